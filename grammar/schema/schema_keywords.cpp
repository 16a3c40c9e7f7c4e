// The keywords that say something of one value alone: types and values, numbers, strings, members,
// items, dependencies.
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "grammar/decimal.h"
#include "grammar/decimal_multiple.h"
#include "grammar/regex_parser.h"
#include "grammar/schema/leading_looks.h"
#include "grammar/schema/schema_graph.h"

namespace espalier::grammar {
namespace {

using Parts = std::vector<FormulaId>;

// What OpenAPI's registry of formats says of numbers; of other values nothing.
struct NumberFormat {
  std::string_view name;
  bool whole;
  std::string_view least, most;  // empty: as far as numbers go
};
constexpr NumberFormat kNumberFormats[] = {
    {"int8", true, "-128", "127"},
    {"uint8", true, "0", "255"},
    {"int16", true, "-32768", "32767"},
    {"uint16", true, "0", "65535"},
    {"int32", true, "-2147483648", "2147483647"},
    {"uint32", true, "0", "4294967295"},
    {"int64", true, "-9223372036854775808", "9223372036854775807"},
    {"uint64", true, "0", "18446744073709551615"},
    {"float", false, "-3.4028234663852886e38", "3.4028234663852886e38"},
    {"double", false, "", ""},
};

std::string too_many_places() {
  return "a number of more than " + std::to_string(Decimal::kMostPlaces) + " places";
}

std::uint32_t clamp(std::uint64_t n) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(n, UINT32_MAX - 1));
}

}  // namespace

Result<std::optional<std::uint64_t>> SchemaGraph::count(const SchemaPlace& at,
                                                        const char* name) const {
  if (!has(at, name)) return std::nullopt;
  return read_count(at, name);
}

FormulaId SchemaGraph::unless(const Atom& atom, JsonTypes types) {
  const JsonTypes others(static_cast<std::uint8_t>(JsonTypes::kAll & ~types.bits()));
  return formulas_.any({formulas_.types(others), formulas_.literal(atom, true)});
}

// An enumerated value, with its own order where members keep the declared one.
FormulaId SchemaGraph::value_formula(const Json& value) {
  const FormulaId whole = formulas_.equals(value);
  if (!ordered() || !value.is_object()) return whole;
  std::vector<std::uint32_t> names;
  for (const auto& [key, inner] : value.items()) names.push_back(formulas_.name(key));
  return formulas_.all({whole, order(std::move(names))});
}

FormulaId SchemaGraph::order(std::vector<std::uint32_t> names) {
  return formulas_.literal({AtomKind::kOrder, formulas_.name_list(std::move(names)), 0});
}

Status SchemaGraph::read_values(const SchemaPlace& at, Parts& parts) {
  if (!documents_.rules(at).validation) return {};
  ESP_ASSIGN(const JsonTypes types, read_types(at));
  parts.push_back(formulas_.types(types));
  ESP_ASSIGN(const auto values, grammar::read_values(at, has(at, "const")));
  if (!values) return {};
  std::vector<Json> scalars;
  Parts any;
  for (const Json* value : *values) {
    if (holds_number_text(*value)) {
      ESP_ASSIGN(const FormulaId f,
                 unenforced(at.pointer + (has(at, "enum") ? "/enum" : "/const"),
                            "a number of more digits than 64 bits or a double keep"));
      parts.push_back(f);
      return {};
    }
    if (!fuel_->spend()) return fail(fuel_->error("schema " + at.pointer));
    if (value->is_structured()) {
      any.push_back(value_formula(*value));
      enumerated_.push_back(*value);
    } else {
      scalars.push_back(*value);
    }
  }
  any.push_back(formulas_.literal({AtomKind::kIn, formulas_.set(std::move(scalars)), 0}));
  parts.push_back(formulas_.any(any));
  return {};
}

std::optional<SchemaGraph::NumberBound> SchemaGraph::number_bound(const SchemaPlace& at,
                                                                  const char* name) const {
  const Json* it = keyword(at, name);
  if (it == nullptr || !is_json_number(*it)) return std::nullopt;
  const std::optional<Decimal> bound = Decimal::of(*it);
  if (!bound) return std::nullopt;
  const bool lower = std::string_view(name).ends_with("inimum");
  const Json* open = keyword(at, lower ? "exclusiveMinimum" : "exclusiveMaximum");
  const bool strict = name[0] == 'e' || (open != nullptr && open->is_boolean() && *open == true);
  return NumberBound{*bound, lower, strict};
}

Status SchemaGraph::read_numbers(const SchemaPlace& at, Parts& parts) {
  for (const char* name : kNumberBounds) {
    const Json* it = keyword(at, name);
    if (it == nullptr || (name[0] == 'e' && it->is_boolean())) continue;
    const std::string pointer = at.pointer + "/" + name;
    if (!is_json_number(*it)) {
      return schema_error(ErrorCode::kInvalid, pointer, "a bound is a number");
    }
    const std::optional<NumberBound> bound = number_bound(at, name);
    if (!bound) {
      ESP_ASSIGN(const FormulaId f, unenforced(pointer, too_many_places()));
      parts.push_back(f);
      continue;
    }
    const std::uint32_t n = formulas_.number(bound->at);
    if (bound->lower) {
      parts.push_back(
          formulas_.literal({bound->strict ? AtomKind::kAbove : AtomKind::kAtLeast, n, 0}));
    } else {
      parts.push_back(unless({bound->strict ? AtomKind::kAtLeast : AtomKind::kAbove, n, 0},
                             JsonTypes::kNumber));
    }
  }
  if (const Json* it = keyword(at, "multipleOf"); it != nullptr) {
    const std::optional<Decimal> divisor = Decimal::of(*it);
    if (!is_json_number(*it) || (divisor && *divisor <= Decimal())) {
      return schema_error(ErrorCode::kInvalid, at.pointer + "/multipleOf",
                          "a number greater than 0");
    }
    if (!divisor || !DecimalMultiple::of(*divisor)) {
      ESP_ASSIGN(
          const FormulaId f,
          unenforced(at.pointer + "/multipleOf",
                     divisor ? "a multiple of " + (it->is_binary() ? divisor->text() : it->dump()) +
                                   " takes more than 2^32 remainders"
                             : too_many_places()));
      parts.push_back(f);
    } else {
      parts.push_back(formulas_.literal({AtomKind::kMultipleOf, formulas_.number(*divisor), 0}));
    }
  }
  return {};
}

Result<FormulaId> SchemaGraph::pattern(const std::string& pointer, const std::string& regex) {
  const auto parsed = parse_regex(regex, RegexDialect::kEcma);
  if (!parsed && parsed.error().code == ErrorCode::kUnsupported) {
    return unenforced(pointer, parsed.error().message);
  }
  if (!parsed) {
    Error error = parsed.error();
    return fail(std::move(error).within("schema " + pointer));
  }
  if (const auto counted = counted_pattern(regex, *parsed)) return *counted;
  const std::string searched = looks_from_line_starts(regex, *parsed).value_or(regex);
  return formulas_.literal({AtomKind::kPattern, formulas_.pattern({searched, true}), 0});
}

// Of a pattern such as `^[a-z][a-z0-9]{0,62}$`, all of whose words differ in how often one part of
// it stands: that part any number of times, and how many characters that makes. Lengths are
// counted, where the part that often would be written out. Looks take no characters; those at the
// text's beginning may say the same of all of it: `^(?=.{8,64}$)`.
std::optional<FormulaId> SchemaGraph::counted_pattern(const std::string& text, const Regex& regex) {
  // Beside looks each count is there once for whatever they have seen.
  const std::uint32_t few = regex.looks ? 2 : 16;
  // Characters that a node has, and those that it may have besides: low..high times `width`, by the
  // repeat `counted`.
  struct Size {
    std::uint64_t fixed = 0, width = 0;
    std::uint32_t low = 0, high = 0, counted = 0;
    bool known = true;
  };
  const RegexNode& root = regex.nodes[regex.root];
  const auto child = [&](const RegexNode& node, std::uint32_t i) {
    return regex.children[node.first + i];
  };
  if (root.op != RegexOp::kConcat || regex.nodes[child(root, 0)].op != RegexOp::kBegin) {
    return std::nullopt;
  }
  // What goes from the text's beginning to its end, if an end stands last in it.
  std::vector<std::uint32_t> wholes{regex.root};
  for (std::uint32_t i = 1; i < root.count; ++i) {
    const RegexNode& look = regex.nodes[child(root, i)];
    if (look.op != RegexOp::kAhead && look.op != RegexOp::kNotAhead) break;
    if (look.op == RegexOp::kAhead) wholes.push_back(child(look, 0));
  }
  const auto is_whole = [&](std::uint32_t n) {
    return std::ranges::find(wholes, n) != wholes.end();
  };
  const auto ended = [&](std::uint32_t n) {
    const RegexNode& node = regex.nodes[n];
    return node.op == RegexOp::kConcat &&
           regex.nodes[child(node, node.count - 1)].op == RegexOp::kEnd;
  };
  std::vector<Size> sizes(regex.nodes.size());
  for (std::uint32_t n = 0; n < regex.nodes.size(); ++n) {
    const RegexNode& node = regex.nodes[n];
    Size& size = sizes[n];
    switch (node.op) {
      case RegexOp::kEmpty:
        break;
      case RegexOp::kClass:
        size.fixed = 1;
        break;
      case RegexOp::kConcat:
      case RegexOp::kGroup:
        for (std::uint32_t i = 0; i < node.count; ++i) {
          const std::uint32_t c = child(node, i);
          const RegexOp op = regex.nodes[c].op;
          // The whole is between the text's ends, and no other part is.
          const bool end = (n == regex.root && i == 0 && op == RegexOp::kBegin) ||
                           (i + 1 == node.count && op == RegexOp::kEnd && is_whole(n));
          if (end) continue;
          const Size& part = sizes[c];
          size.known = size.known && part.known && (part.width == 0 || size.width == 0);
          size.fixed += part.fixed;
          if (part.width == 0) continue;
          size.width = part.width;
          size.low = part.low;
          size.high = part.high;
          size.counted = part.counted;
        }
        break;
      case RegexOp::kAlternate:
        size = sizes[child(node, 0)];
        for (std::uint32_t i = 0; i < node.count; ++i) {
          const Size& part = sizes[child(node, i)];
          size.known = size.known && part.known && part.width == 0 && part.fixed == size.fixed;
        }
        break;
      case RegexOp::kRepeat: {
        const Size& part = sizes[child(node, 0)];
        size.known = part.known && part.width == 0 && part.fixed <= Regex::kMaxRepeat;
        if (node.a == node.b && node.a < few) {
          size.fixed = part.fixed * node.a;
        } else {
          const bool many = (node.b == ExpressionPool::kUnbounded ? node.a : node.b) >= few;
          size.known = size.known && many && part.fixed > 0;
          size.width = part.fixed;
          size.low = node.a;
          size.high = node.b;
          size.counted = n;
        }
        break;
      }
      case RegexOp::kAhead:
      case RegexOp::kNotAhead:
      case RegexOp::kBehind:
      case RegexOp::kNotBehind:
      case RegexOp::kBoundary:
      case RegexOp::kNoBoundary:
        break;
      default:
        size.known = false;
    }
    if (size.fixed > Regex::kMaxRepeat) return std::nullopt;
  }
  const auto one = std::ranges::find_if(
      wholes, [&](std::uint32_t n) { return ended(n) && sizes[n].known && sizes[n].width != 0; });
  if (one == wholes.end()) return std::nullopt;
  const Size& whole = sizes[*one];
  // The same text with a star in the count's place: known by what it is read as.
  const auto same = [&](const Regex& other) {
    const bool alike = other.nodes.size() == regex.nodes.size() && other.root == regex.root &&
                       other.children == regex.children && other.classes == regex.classes;
    for (std::uint32_t n = 0; alike && n < regex.nodes.size(); ++n) {
      const RegexNode& a = regex.nodes[n];
      const RegexNode& b = other.nodes[n];
      const bool counts = n == whole.counted ? b.a == 0 && b.b == ExpressionPool::kUnbounded
                                             : a.a == b.a && a.b == b.b;
      if (a.op != b.op || a.first != b.first || a.count != b.count || !counts) return false;
    }
    return alike;
  };
  const std::uint64_t least = whole.fixed + whole.width * whole.low;
  const bool ends = whole.high != ExpressionPool::kUnbounded;
  const std::uint64_t most = whole.fixed + whole.width * whole.high;
  for (std::size_t at = text.find('{'); at != std::string::npos; at = text.find('{', at + 1)) {
    const std::size_t end = text.find('}', at);
    if (end == std::string::npos) break;
    const std::string any = text.substr(0, at) + '*' + text.substr(end + 1);
    const auto parsed = parse_regex(any, RegexDialect::kEcma);
    if (!parsed || !same(*parsed)) continue;
    const auto more = counted_pattern(any, *parsed);
    Parts parts{more ? *more
                     : formulas_.literal({AtomKind::kPattern, formulas_.pattern({any, true}), 0})};
    if (least > 0) parts.push_back(formulas_.literal({AtomKind::kLength, clamp(least), 0}));
    if (ends) {
      parts.push_back(unless({AtomKind::kLength, clamp(most + 1), 0}, JsonTypes::kString));
    }
    return formulas_.all(parts);
  }
  return std::nullopt;
}

Status SchemaGraph::read_strings(const SchemaPlace& at, Parts& parts) {
  ESP_ASSIGN(const auto shortest, count(at, "minLength"));
  ESP_ASSIGN(const auto longest, count(at, "maxLength"));
  if (shortest) parts.push_back(formulas_.literal({AtomKind::kLength, clamp(*shortest), 0}));
  if (longest && *longest < UINT32_MAX - 2) {
    parts.push_back(unless({AtomKind::kLength, clamp(*longest + 1), 0}, JsonTypes::kString));
  }
  if (const Json* it = keyword(at, "pattern"); it != nullptr) {
    if (!it->is_string())
      return schema_error(ErrorCode::kInvalid, at.pointer + "/pattern", "a regular expression");
    ESP_ASSIGN(const FormulaId f,
               pattern(at.pointer + "/pattern", it->get_ref<const std::string&>()));
    parts.push_back(f);
  }
  const Json* format = keyword(at, "format");
  if (format == nullptr) return {};
  const std::string pointer = at.pointer + "/format";
  if (!format->is_string()) return schema_error(ErrorCode::kInvalid, pointer, "a format's name");
  if (!documents_.rules(at).formats.value_or(options_.formats)) {
    note(pointer, KeywordOutcome::Kind::kRecorded, "formats only annotate here");
    return {};
  }
  const auto& name = format->get_ref<const std::string&>();
  const auto known = schema_format(name);
  if (known) {
    parts.push_back(
        formulas_.literal({AtomKind::kPattern, formulas_.pattern({known->regex, false}), 0}));
    if (known->longest > 0) {
      parts.push_back(unless({AtomKind::kLength, known->longest + 1, 0}, JsonTypes::kString));
    }
  } else if (const auto* number = std::ranges::find(kNumberFormats, name, &NumberFormat::name);
             number != std::end(kNumberFormats)) {
    const auto bound = [&](std::string_view text) {
      return formulas_.number(*Decimal::read(text));
    };
    if (number->whole) parts.push_back(formulas_.types(JsonTypes::kAll & ~JsonTypes::kFraction));
    if (!number->least.empty()) {
      parts.push_back(formulas_.literal({AtomKind::kAtLeast, bound(number->least), 0}));
      parts.push_back(unless({AtomKind::kAbove, bound(number->most), 0}, JsonTypes::kNumber));
    }
  } else if (options_.unknown_keywords) {
    note(pointer, KeywordOutcome::Kind::kRecorded, "the format `" + name + "` is unknown");
  } else {
    ESP_ASSIGN(const FormulaId f, unenforced(pointer, "the format `" + name + "` is unknown"));
    parts.push_back(f);
  }
  return {};
}

Status SchemaGraph::read_objects(const SchemaPlace& at, std::uint32_t scope, Parts& parts) {
  MemberMap map;
  Parts unsure;  // of patterns that are not enforced
  bool speaks = false;
  if (const Json* it = keyword(at, "properties"); it != nullptr) {
    const SchemaPlace here = documents_.child(at, *it, "properties");
    if (!it->is_object())
      return schema_error(ErrorCode::kInvalid, here.pointer, "an object of schemas");
    speaks = true;
    for (const auto& [key, value] : it->items()) {
      ESP_ASSIGN(const FormulaId f, node(documents_.child(here, value, key), scope));
      map.named.emplace_back(formulas_.name(key), f);
    }
    if (ordered()) {
      std::vector<std::uint32_t> names;
      for (const auto& [name, f] : map.named) names.push_back(name);
      parts.push_back(order(std::move(names)));
    }
    std::stable_sort(map.named.begin(), map.named.end());
    for (std::size_t i = 1; i < map.named.size(); ++i) {
      if (map.named[i].first == map.named[i - 1].first) {
        return schema_error(ErrorCode::kInvalid, here.pointer,
                            "`" + formulas_.name_of(map.named[i].first) + "` stands twice");
      }
    }
  }
  if (const Json* it = keyword(at, "patternProperties"); it != nullptr) {
    const SchemaPlace here = documents_.child(at, *it, "patternProperties");
    if (!it->is_object())
      return schema_error(ErrorCode::kInvalid, here.pointer, "an object of schemas");
    if (it->size() > kMaxKeyPatterns) {
      return schema_error(ErrorCode::kLimit, here.pointer,
                          "more than " + std::to_string(kMaxKeyPatterns) + " patterns of keys");
    }
    speaks = true;
    for (const auto& [key, value] : it->items()) {
      const SchemaPlace place = documents_.child(here, value, key);
      ESP_ASSIGN(const FormulaId k, pattern(place.pointer, key));
      ESP_ASSIGN(const FormulaId f, node(place, scope));
      if (formulas_.atom(k).kind == AtomKind::kUnknown) {
        unsure.push_back(f);
      } else {
        map.patterns.emplace_back(k, f);
      }
    }
  }
  if (has(at, "additionalProperties")) {
    speaks = true;
    ESP_ASSIGN(map.other, child(at, scope, "additionalProperties"));
  }
  if (!unsure.empty()) {  // another key may match these patterns or none
    unsure.push_back(map.other);
    map.other = formulas_.any(unsure);
  }
  if (speaks) parts.push_back(formulas_.literal({AtomKind::kMembers, formulas_.members(map), 0}));
  if (has(at, "propertyNames")) {
    ESP_ASSIGN(const FormulaId key, child(at, scope, "propertyNames"));
    MemberMap names;
    names.patterns.emplace_back(formulas_.negate(key), Formulas::kFalse);
    parts.push_back(
        formulas_.literal({AtomKind::kMembers, formulas_.members(std::move(names)), 0}));
  }
  if (const Json* it = keyword(at, "required"); it != nullptr) {
    const bool names = it->is_array() && std::all_of(it->begin(), it->end(), [](const Json& name) {
                         return name.is_string();
                       });
    if (!names)
      return schema_error(ErrorCode::kInvalid, at.pointer + "/required", "a list of names");
    for (const Json& name : *it) {
      parts.push_back(formulas_.literal(
          {AtomKind::kHas, formulas_.name(name.get_ref<const std::string&>()), 0}));
    }
  }
  ESP_ASSIGN(const auto least, count(at, "minProperties"));
  ESP_ASSIGN(const auto most, count(at, "maxProperties"));
  if (least) parts.push_back(formulas_.literal({AtomKind::kMembersAtLeast, clamp(*least), 0}));
  if (most && *most < UINT32_MAX - 2) {
    parts.push_back(unless({AtomKind::kMembersAtLeast, clamp(*most + 1), 0}, JsonTypes::kObject));
  }
  return {};
}

Status SchemaGraph::read_arrays(const SchemaPlace& at, std::uint32_t scope, Parts& parts) {
  const SchemaDraft draft = documents_.rules(at).draft;
  ItemMap map;
  bool speaks = false;
  const Json* items = keyword(at, "items");
  const bool listed = items != nullptr && items->is_array();
  if (listed && documents_.rules(at).declared && draft == SchemaDraft::k2020) {
    return schema_error(ErrorCode::kInvalid, at.pointer + "/items",
                        "a list of items is of drafts before 2020-12: write `prefixItems`");
  }
  const char* prefix = has(at, "prefixItems") ? "prefixItems" : listed ? "items" : nullptr;
  if (prefix != nullptr) {
    speaks = true;
    const Json& schemas = (*at.schema)[prefix];
    if (!schemas.is_array())
      return schema_error(ErrorCode::kInvalid, at.pointer + "/" + prefix, "a list of schemas");
    const SchemaPlace here = documents_.child(at, schemas, prefix);
    for (std::size_t i = 0; i < schemas.size(); ++i) {
      ESP_ASSIGN(const FormulaId f,
                 node(documents_.child(here, schemas[i], std::to_string(i)), scope));
      map.first.push_back(f);
    }
  }
  const char* rest = listed ? "additionalItems" : "items";
  if (has(at, rest)) {
    speaks = true;
    ESP_ASSIGN(map.other, child(at, scope, rest));
  }
  const std::size_t kinds = map.first.size();
  if (speaks) {
    parts.push_back(formulas_.literal({AtomKind::kItems, formulas_.items(std::move(map)), 0}));
  }
  ESP_ASSIGN(const auto least, count(at, "minItems"));
  ESP_ASSIGN(const auto most, count(at, "maxItems"));
  if (least) parts.push_back(formulas_.literal({AtomKind::kItemsAtLeast, clamp(*least), 0}));
  if (most && *most < UINT32_MAX - 2) {
    parts.push_back(unless({AtomKind::kItemsAtLeast, clamp(*most + 1), 0}, JsonTypes::kArray));
  }
  if (const Json* it = keyword(at, "uniqueItems"); it != nullptr) {
    if (!it->is_boolean())
      return schema_error(ErrorCode::kInvalid, at.pointer + "/uniqueItems", "true or false");
    if (it->get<bool>()) {
      if (kinds > kMaxUniquePrefix) {
        ESP_ASSIGN(const FormulaId f,
                   unenforced(at.pointer + "/uniqueItems", "`uniqueItems` beside more than " +
                                                               std::to_string(kMaxUniquePrefix) +
                                                               " kinds of items"));
        parts.push_back(f);
      } else {
        parts.push_back(formulas_.literal({AtomKind::kUnique, formulas_.values({}), 0}));
      }
    }
  }
  if (has(at, "contains")) {
    ESP_ASSIGN(const FormulaId f, child(at, scope, "contains"));
    ESP_ASSIGN(const auto at_least, count(at, "minContains"));
    ESP_ASSIGN(const auto at_most, count(at, "maxContains"));
    parts.push_back(formulas_.literal({AtomKind::kContains, f, clamp(at_least.value_or(1))}));
    if (at_most && *at_most < UINT32_MAX - 2) {
      parts.push_back(unless({AtomKind::kContains, f, clamp(*at_most + 1)}, JsonTypes::kArray));
    }
  }
  return {};
}

Status SchemaGraph::read_dependencies(const SchemaPlace& at, std::uint32_t scope, Parts& parts) {
  for (const std::string_view name : {"dependentRequired", "dependentSchemas", "dependencies"}) {
    const Json* it = keyword(at, name);
    if (it == nullptr) continue;
    const bool old = name == "dependencies";
    const SchemaPlace here = documents_.child(at, *it, name);
    if (!it->is_object()) return schema_error(ErrorCode::kInvalid, here.pointer, "an object");
    for (const auto& [key, value] : it->items()) {
      const SchemaPlace place = documents_.child(here, value, key);
      const FormulaId absent = formulas_.literal({AtomKind::kHas, formulas_.name(key), 0}, true);
      FormulaId then = Formulas::kTrue;
      if (name == "dependentSchemas" || (old && !value.is_array() && !value.is_string())) {
        ESP_ASSIGN(then, node(place, scope));
        // Of objects alone: for other values the member is absent in either case.
        const FormulaId other =
            formulas_.types(static_cast<std::uint8_t>(JsonTypes::kAll & ~JsonTypes::kObject));
        then = formulas_.any({other, then});
      } else {
        Parts needed;
        const auto need = [&](const Json& member) -> Status {
          if (!member.is_string())
            return schema_error(ErrorCode::kInvalid, place.pointer, "a list of names");
          needed.push_back(formulas_.literal(
              {AtomKind::kHas, formulas_.name(member.get_ref<const std::string&>()), 0}));
          return {};
        };
        if (value.is_array()) {
          for (const Json& member : value) ESP_TRY(need(member));
        } else {
          ESP_TRY(need(value));
        }
        then = formulas_.all(needed);
      }
      // "Absent" holds of no value but an object; the rest must not be caught by the dependency.
      const FormulaId other =
          formulas_.types(static_cast<std::uint8_t>(JsonTypes::kAll & ~JsonTypes::kObject));
      parts.push_back(formulas_.any({other, absent, then}));
    }
  }
  return {};
}

}  // namespace espalier::grammar
