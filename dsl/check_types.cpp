// Type expressions become grammar::Type: names, arguments and bounds are checked, recursion is
// closed.
#include <algorithm>
#include <array>
#include <utility>

#include "dsl/checker.h"
#include "dsl/patterns.h"
#include "dsl/static_strings.h"

namespace espalier::dsl {
namespace {

constexpr std::size_t kMaxParts = 1000;
constexpr std::size_t kMaxPattern = 64u << 10;
constexpr std::uint32_t kMaxTypeLevels = 300;
constexpr std::uint32_t kDefinition = 4;

// The first alternative that is calls; items.size() where there is none.
std::size_t find_calls(const std::vector<TypeRef>& items) {
  return static_cast<std::size_t>(
      std::find_if(items.begin(), items.end(), [](const TypeRef& t) { return is_calls(t); }) -
      items.begin());
}

}  // namespace

std::string written_number(const Number& number) {
  return number.integer ? std::to_string(number.int_value) : Json(number.value).dump();
}

bool Checker::too_many(std::size_t count, const Span& span, const std::string& what) {
  if (count <= kMaxParts) return false;
  error("E0306", span,
        std::to_string(count) + " " + what + " are more than the limit of " +
            std::to_string(kMaxParts));
  return true;
}

/// Says what is against a pattern; false where it can be a type.
bool Checker::unreadable_pattern(const std::string& pattern, const Span& span) {
  const auto why = pattern_error(pattern);
  if (!why) return false;
  const std::string_view code = why->code == ErrorCode::kLimit         ? "E0306"
                                : why->code == ErrorCode::kUnsupported ? "E0309"
                                                                       : "E0308";
  Diagnostic& said = error(std::string(code), span,
                           code == "E0308" ? "this pattern does not parse: " + why->message
                                           : "this pattern cannot be enforced: " + why->message);
  if (why->code != ErrorCode::kLimit) {
    said.help = "patterns have RE2's syntax: no look-around, no back-references";
  }
  return true;
}

TypeRef Checker::type(const TypeExpr& written, Place place) { return type_at(written, place); }

TypeRef Checker::type_at(const TypeExpr& written, Place place) {
  deepest_type_ = std::max(deepest_type_, ++type_level_);
  TypeRef made = type_inside(written, place);
  --type_level_;
  return made;
}

TypeRef Checker::type_inside(const TypeExpr& written, Place place) {
  const Place inner = place == Place::kValue ? Place::kValue : Place::kJson;
  if (const auto* node = std::get_if<RecordType>(&written.node)) {
    for (const FieldDecl& field : node->fields)
      if (field.value)
        error("E0100", field.value->span, "a field of a record type without a name has no default");
    if (place != Place::kValue) reasoning_order(node->fields);
    return record_type(node->fields, nullptr);
  }
  if (const auto* node = std::get_if<RegexType>(&written.node)) {
    if (node->pattern.size() > kMaxPattern) {
      error("E0306", written.span,
            "this pattern is longer than the limit of " + std::to_string(kMaxPattern) + " bytes");
      return nullptr;
    }
    if (unreadable_pattern(node->pattern, written.span)) return nullptr;
    auto made = std::make_shared<Type>();
    made->kind = TypeKind::kRegex;
    made->pattern = node->pattern;
    return made;
  }
  if (const auto* node = std::get_if<LiteralType>(&written.node)) {
    if (const auto* string = std::get_if<std::string>(&node->value)) return literal_type(*string);
    const Number& number = std::get<Number>(node->value);
    return literal_type(number.integer ? Json(number.int_value) : Json(number.value));
  }
  if (const auto* node = std::get_if<NamedType>(&written.node)) return named_type(written, *node);
  if (const auto* node = std::get_if<UnionType>(&written.node))
    return union_of(written, *node, place);
  if (const auto* node = std::get_if<OptionalType>(&written.node)) {
    const TypeRef item = type_at(*node->item, inner);
    if (item != nullptr && item->kind != TypeKind::kReference && may_be_null(item)) return item;
    if (item == nullptr) return nullptr;
    auto made = std::make_shared<Type>();
    made->kind = TypeKind::kOptional;
    made->items.push_back(item);
    return made;
  }
  const auto& node = std::get<ListType>(written.node);
  const TypeRef item = type_at(*node.item, inner);
  auto made = std::make_shared<Type>();
  made->kind = TypeKind::kList;
  made->items.push_back(item);
  if (node.length && !length_bounds(*node.length, *made)) return nullptr;
  return item == nullptr ? nullptr : made;
}

bool Checker::length_bounds(const RangeLiteral& range, Type& type) {
  for (const auto* end : {&range.low, &range.high}) {
    if (!*end) continue;
    if (!(*end)->integer || (*end)->int_value < 0) {
      error("E0211", (*end)->span, "a length is a whole number from 0",
            "found " + written_number(**end));
      return false;
    }
  }
  if (range.low) type.low = static_cast<std::uint64_t>(range.low->int_value);
  if (range.high) type.high = static_cast<std::uint64_t>(range.high->int_value);
  if (type.low && type.high && *type.low > *type.high) {
    error("E0301", range.span, "no value fits this length", "the lower end is above the upper end")
        .help = "write " + std::to_string(*type.high) + ".." + std::to_string(*type.low);
    return false;
  }
  return true;
}

TypeRef Checker::union_of(const TypeExpr& written, const UnionType& node, Place place) {
  if (too_many(node.alternatives.size(), written.span, "alternatives")) return nullptr;
  const Place inner = place == Place::kValue ? Place::kValue : Place::kJson;
  std::vector<TypeRef> items;
  std::vector<Span> spans;
  bool broken = false;
  for (const TypePtr& alternative : node.alternatives) {
    TypeRef item = type_at(*alternative, inner);
    broken = broken || item == nullptr;
    items.push_back(std::move(item));
    spans.push_back(alternative->span);
  }
  if (broken) return nullptr;
  join_calls(items, spans);
  if (items.size() == 1) return items.front();
  if (place != Place::kValue) {
    const std::size_t before = diagnostics_.errors();
    ambiguity(items, spans, true);
    if (place == Place::kPlain && diagnostics_.errors() == before) {
      if (find_calls(items) < items.size()) {
        calls_or_text(items, spans);
      } else {
        ambiguity(items, spans, false);
      }
    }
    if (diagnostics_.errors() != before) return nullptr;
  }
  auto made = std::make_shared<Type>();
  made->kind = TypeKind::kUnion;
  made->items = std::move(items);
  return made;
}

/// The tools of a union are one alternative: a call of any of them.
void Checker::join_calls(std::vector<TypeRef>& items, std::vector<Span>& spans) {
  const auto is_call = [](const TypeRef& t) {
    return resolve(t) != nullptr && resolve(t)->kind == TypeKind::kCall;
  };
  const auto at =
      static_cast<std::size_t>(std::find_if(items.begin(), items.end(), is_call) - items.begin());
  if (at == items.size()) return;
  auto made = std::make_shared<Type>();
  made->kind = TypeKind::kCall;
  std::vector<TypeRef> joined;
  std::vector<Span> places;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!is_call(items[i]) || i == at) {
      joined.push_back(i == at ? TypeRef(made) : items[i]);
      places.push_back(spans[i]);
    }
    if (!is_call(items[i])) continue;
    for (const auto& field : resolve(items[i])->fields) {
      const bool twice = std::any_of(made->fields.begin(), made->fields.end(),
                                     [&](const auto& f) { return f.name == field.name; });
      if (twice) {
        error("E0105", spans[i], "the tool `" + field.name + "` is named twice");
      } else {
        made->fields.push_back(field);
      }
    }
  }
  items = std::move(joined);
  spans = std::move(places);
}

/// A hole of a union with calls: what else it may be is a text, told from them by how they begin.
void Checker::calls_or_text(const std::vector<TypeRef>& items, const std::vector<Span>& spans) {
  const std::size_t calls = find_calls(items);
  const TypeRef list = resolve(items[calls]);
  if (list->kind == TypeKind::kList && list->low.value_or(0) == 0) {
    error("E0303", spans[calls], "this union cannot be told apart",
          "no call at all would be a text as well")
        .help = "ask for one call at least: `[1..n]`";
    return;
  }
  const TypeRef* text = nullptr;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i == calls) continue;
    const TypeRef type = resolve(items[i]);
    const bool plain = type->kind == TypeKind::kString || type->kind == TypeKind::kLine;
    if (plain && text == nullptr) {
      text = &items[i];
      continue;
    }
    Diagnostic& diagnostic = error("E0303", spans[i], "this union cannot be told apart",
                                   is_calls(items[i]) ? "begins as the other calls do" : "");
    diagnostic.secondary.push_back({spans[calls], "begins as the model's template has it"});
    diagnostic.help =
        "beside calls a hole takes one `string` or `line`: a text in which no call begins; for "
        "anything else make it a tool as well (one without `=` is only a shape)";
    return;
  }
}

void Checker::ambiguity(const std::vector<TypeRef>& items, const std::vector<Span>& spans,
                        bool json) {
  const auto found = find_ambiguity(items, json);
  if (!found) return;
  Diagnostic& diagnostic = error("E0303", spans[found->first], "this union cannot be told apart");
  diagnostic.secondary.push_back({spans[found->second], found->why});
  const bool records = found->why.rfind("both are records", 0) == 0;
  diagnostic.help =
      records ? "make the first field differ, e.g. `kind: \"" +
                    std::string(source().slice(spans[found->first])) + "\"` and `kind: \"" +
                    std::string(source().slice(spans[found->second])) + "\"`"
              : "keep one of them, or wrap each in a record with a first field `kind` that differs";
  if (records && (spans[found->first].end - spans[found->first].begin > 30 ||
                  spans[found->second].end - spans[found->second].begin > 30))
    diagnostic.help = "make the first field differ, e.g. `kind: \"a\"` and `kind: \"b\"`";
}

TypeRef Checker::record_type(const std::vector<FieldDecl>& fields,
                             std::map<std::string, Json>* defaults) {
  auto made = std::make_shared<Type>();
  made->kind = TypeKind::kRecord;
  std::set<std::string> names, keys;
  if (!fields.empty() && too_many(fields.size(), fields.front().span, "fields")) return nullptr;
  for (const FieldDecl& decl : fields) {
    grammar::Field field;
    field.name = decl.name.text;
    field.key = decl.as ? decl.as->value : decl.name.text;
    field.type = type_at(*decl.type, Place::kJson);
    field.omittable = decl.omittable || decl.value != nullptr;
    field.doc = decl.doc;
    if (!names.insert(field.name).second) {
      error("E0104", decl.name.span, "the field `" + field.name + "` is declared twice");
      continue;
    }
    if (!keys.insert(field.key).second)
      error("E0104", decl.as ? decl.as->span : decl.name.span,
            "two fields have the key \"" + field.key + "\"");
    if (decl.value && decl.omittable)
      error("E0105", decl.value->span, "`?` and a default exclude each other").help =
          "a field with a default may be left out as it is";
    if (decl.value && defaults != nullptr) {
      if (auto value = constant(*decl.value, field.type))
        defaults->emplace(field.name, std::move(*value));
    }
    made->fields.push_back(std::move(field));
  }
  note_record(made, fields);
  // A field of unknown type (reported) leaves the others known: members of the record are still
  // checked.
  return made;
}

TypeRef Checker::enum_type(const EnumDecl& decl) {
  auto made = std::make_shared<Type>();
  made->kind = TypeKind::kEnum;
  std::map<std::string, Span> names, surfaces;
  if (too_many(decl.cases.size(), decl.name.span, "cases")) return nullptr;
  for (const EnumCaseDecl& one : decl.cases) {
    const std::string surface = one.as ? one.as->value : one.name.text;
    const Span place = one.as ? one.as->span : one.name.span;
    if (const auto [at, fresh] = names.emplace(one.name.text, one.name.span); !fresh) {
      error("E0104", one.name.span, "the case `" + one.name.text + "` is declared twice")
          .secondary.push_back({at->second, "first here"});
      continue;
    }
    if (const auto [at, fresh] = surfaces.emplace(surface, place); !fresh)
      error("E0303", place, "two cases are written \"" + surface + "\"")
          .secondary.push_back({at->second, "first here"});
    if (surface.empty())
      error("E0307", place, "a case is written as no text at all").help =
          "give it at least one character";
    made->cases.push_back({one.name.text, surface, one.doc});
  }
  if (decl.cases.empty() && !broken_)
    error("E0301", decl.name.span, "this enum has no cases", "nothing could be chosen");
  return made;
}

TypeRef Checker::declared_type(std::uint32_t index, const Span& use) {
  const auto fits = [&](std::uint32_t levels) {
    if (type_level_ + levels <= kMaxTypeLevels) return true;
    error("E0113", use,
          "types stand in each other more than " + std::to_string(kMaxTypeLevels) +
              " levels deep here",
          "a type that is declared further down counts for " + std::to_string(kDefinition));
    return false;
  };
  if (type_states_[index] == State::kNew) {
    if (!fits(kDefinition)) return nullptr;
    type_level_ += kDefinition;
    define_type(index);
    type_level_ -= kDefinition;
  }
  if (type_states_[index] == State::kDone) {
    if (!fits(type_levels_[index])) return nullptr;
    deepest_type_ = std::max(deepest_type_, type_level_ + type_levels_[index]);
    return program_.types[index].type;
  }
  // In use while it is being defined: a reference that is closed when the definition is complete.
  if (type_references_[index] == nullptr) {
    type_references_[index] = std::make_shared<Type>();
    type_references_[index]->kind = TypeKind::kReference;
    type_references_[index]->name = program_.types[index].name;
  }
  return type_references_[index];
}

void Checker::define_type(std::uint32_t index) {
  const InFile here(*this, program_.types[index].span.file);
  type_states_[index] = State::kOpen;
  const std::uint32_t deepest = std::exchange(deepest_type_, type_level_);
  TypeRef made;
  TypeInfo& info = program_.types[index];
  if (const auto* record = std::get_if<RecordDecl>(type_decls_[index])) {
    std::map<std::string, Json> defaults;
    made = record_type(record->fields, &defaults);
    program_.types[index].defaults = std::move(defaults);
    reasoning_order(record->fields);
  } else if (const auto* enumeration = std::get_if<EnumDecl>(type_decls_[index])) {
    made = enum_type(*enumeration);
  } else if (const auto* alias = std::get_if<AliasDecl>(type_decls_[index])) {
    made = type_at(*alias->type, Place::kJson);
  } else if (const auto* grammar = std::get_if<GrammarDecl>(type_decls_[index])) {
    made = grammar_type(*grammar, info);
  }
  if (made != nullptr && made == type_references_[index]) {
    error("E0214", info.span, "the type `" + info.name + "` is only itself");
    made = nullptr;
  }
  if (made != nullptr) {
    // Aliases of a named type keep that name; a fresh type takes the declaration's.
    if (made->name.empty() && made->kind != TypeKind::kReference) {
      auto named = std::make_shared<Type>(*made);
      named->name = info.name;
      named->doc = info.doc;
      if (notes_ != nullptr) notes_->record_alias(named, made.get());
      made = named;
    }
    if (type_references_[index] != nullptr) {
      type_references_[index]->target = made;
      program_.keep.push_back(made);
      program_.keep.push_back(type_references_[index]);
      std::set<const Type*> seen, passed;
      int fuel = 100'000;
      if (reaches(made, made.get(), passed)) {
        error("E0214", info.span, "the type `" + info.name + "` is an alternative of itself").help =
            "put the inner one into a record or a list";
        made = nullptr;
      } else if (!productive(made, seen, fuel)) {
        error("E0214", info.span, "a value of `" + info.name + "` would never end",
              "every value holds another one")
            .help = "make the inner one optional (`?`) or a list";
        made = nullptr;
      }
    }
  }
  program_.types[index].type = made;
  type_states_[index] = State::kDone;
  type_levels_[index] = deepest_type_ - type_level_;
  deepest_type_ = std::max(deepest, deepest_type_);
}

/// `target` is met again without a record or list in between.
bool Checker::reaches(const TypeRef& given, const Type* target, std::set<const Type*>& passed) {
  const TypeRef type = resolve(given);
  if (type == nullptr || (type->kind != TypeKind::kUnion && type->kind != TypeKind::kOptional))
    return false;
  if (!passed.insert(type.get()).second) return type.get() == target;
  return std::any_of(type->items.begin(), type->items.end(), [&](const TypeRef& i) {
    return resolve(i).get() == target || reaches(i, target, passed);
  });
}

/// Some finite value exists. A reference that is met while it is being asked counts as none.
bool Checker::productive(const TypeRef& given, std::set<const Type*>& seen, int& fuel) {
  if (--fuel < 0) return true;
  const TypeRef type = resolve(given);
  if (type == nullptr) return given == nullptr || given->kind == TypeKind::kReference;
  if (!seen.insert(type.get()).second) return false;
  bool result = true;
  switch (type->kind) {
    case TypeKind::kRecord:
      result = std::all_of(type->fields.begin(), type->fields.end(), [&](const auto& f) {
        return f.omittable || productive(f.type, seen, fuel);
      });
      break;
    case TypeKind::kUnion:
      result = std::any_of(type->items.begin(), type->items.end(),
                           [&](const TypeRef& i) { return productive(i, seen, fuel); });
      break;
    case TypeKind::kList:
    case TypeKind::kMap:
      result = type->low.value_or(0) == 0 || productive(type->items.at(0), seen, fuel);
      break;
    default:
      break;
  }
  seen.erase(type.get());
  return result;
}

}  // namespace espalier::dsl
