#include "grammar/type_expression.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/utf8.h"
#include "grammar/grammar_rules.h"
#include "grammar/json_schema.h"
#include "grammar/number_expression.h"
#include "grammar/regex.h"

namespace espalier::grammar {
namespace {

std::string described(const Type& type) {
  if (!type.name.empty()) return "`" + type.name + "`";
  switch (type.kind) {
    case TypeKind::kString:
      return "`string`";
    case TypeKind::kLine:
      return "`line`";
    case TypeKind::kInt:
      return "`int`";
    case TypeKind::kFloat:
      return "`float`";
    case TypeKind::kBool:
      return "`bool`";
    case TypeKind::kNull:
      return "`null`";
    case TypeKind::kLiteral:
      return "`" + type.literal.dump(-1, ' ', false, Json::error_handler_t::replace) + "`";
    case TypeKind::kEnum:
      return "the enum";
    case TypeKind::kUnion:
      return "the union";
    case TypeKind::kRegex:
      return "`/" + type.pattern + "/`";
    case TypeKind::kOptional:
      return "the optional";
    case TypeKind::kList:
      return "the list";
    case TypeKind::kRecord:
      return "the record";
    case TypeKind::kMap:
      return "the map";
    case TypeKind::kJson:
      return "`json`";
    case TypeKind::kSchema:
      return "the schema";
    case TypeKind::kCall:
      return "the call";
    case TypeKind::kGrammar:
      return "the grammar";
    case TypeKind::kSpan:
      return "`span`";
    case TypeKind::kReference:
      return "the type";
  }
  return "the type";
}

// A call, or a list of calls, in the form of the model's template.
enum class Calls : std::uint8_t { kNone, kOne, kSeveral };

Calls calls_in(const TypeRef& type) {
  if (type == nullptr) return Calls::kNone;
  if (type->kind == TypeKind::kCall) return Calls::kOne;
  const bool several = type->kind == TypeKind::kList && type->items.size() == 1 &&
                       type->items[0] != nullptr && type->items[0]->kind == TypeKind::kCall;
  return several ? Calls::kSeveral : Calls::kNone;
}

tl::unexpected<Error> invalid(const std::string& message) {
  return fail(ErrorCode::kInvalid, message);
}

std::uint32_t count_of(std::uint64_t n) {
  return n >= ExpressionPool::kUnbounded ? ExpressionPool::kUnbounded - 1
                                         : static_cast<std::uint32_t>(n);
}

}  // namespace

Result<Expr> TypeExpressions::plain(const TypeRef& type) { return convert(type, false, 0); }

Result<Expr> TypeExpressions::convert(const TypeRef& type, bool json, int depth) {
  if (type == nullptr) return invalid("a type is missing");
  if (depth > kDepth) {
    return fail(ErrorCode::kLimit,
                "more than " + std::to_string(kDepth) + " types inside each other");
  }
  switch (type->kind) {
    case TypeKind::kString:
    case TypeKind::kLine:
      return text(*type, json);
    case TypeKind::kInt: {
      const std::int64_t low = type->int_low.value_or(std::numeric_limits<std::int64_t>::min());
      const std::int64_t high = type->int_high.value_or(std::numeric_limits<std::int64_t>::max());
      if (low > high) {
        return invalid("E0301: " + described(*type) + " has no value: " + std::to_string(low) +
                       " > " + std::to_string(high));
      }
      return pool_.capture(Capture::kInteger, integer_range(pool_, {low, high, false, false}));
    }
    case TypeKind::kFloat: {
      for (const auto& bound : {type->float_low, type->float_high}) {
        if (bound && !std::isfinite(*bound)) return pool_.nothing();
      }
      DecimalRange range;
      range.low = type->float_low;
      range.high = type->float_high;
      return pool_.capture(Capture::kFloat, decimal_range(pool_, range));
    }
    case TypeKind::kBool:
      return json_.boolean();
    case TypeKind::kNull:
      return json_.null();
    case TypeKind::kLiteral:
      return literal(*type, json);
    case TypeKind::kEnum:
      return enumeration(*type, json);
    case TypeKind::kUnion:
      return alternatives(*type, json, depth);
    case TypeKind::kRegex:
      return pattern(*type, json);
    case TypeKind::kOptional: {
      if (type->items.size() != 1) return invalid("an optional type has one item");
      if (!json)
        return invalid("E0307: " + described(*type) +
                       " may be empty here; write `| null` or give it a word");
      ESP_ASSIGN(const Expr item, convert(type->items[0], json, depth + 1));
      const TypeKind kind = type->items[0]->kind;
      if (kind == TypeKind::kJson || kind == TypeKind::kOptional || kind == TypeKind::kNull) {
        return pool_.choice({item, json_.null()});  // null either way, with the same value
      }
      const Expr both = pool_.intersection(item, json_.null());
      if (both != pool_.nothing())
        distinct_.push_back({both, described(*type->items[0]) + " and `null`"});
      return pool_.choice({item, json_.null()});
    }
    case TypeKind::kList:
      return list(*type, json, depth);
    case TypeKind::kRecord:
      return record(*type, depth);
    case TypeKind::kMap:
      return map(*type, depth);
    case TypeKind::kJson:
      return json_.any();
    case TypeKind::kSchema:
      return schema_expression(pool_, type->literal);
    case TypeKind::kCall:
      if (json) return call(*type, kPlainCall, depth);
      {
        ESP_ASSIGN(const Expr one, call(*type, form_, depth));
        return pool_.concat({pool_.bytes(form_.begin), one, pool_.bytes(form_.end)});
      }
    case TypeKind::kReference:
      return reference(*type, json, depth);
    case TypeKind::kGrammar: {
      if (type->rules == nullptr) return invalid(described(*type) + " has no rules");
      ESP_ASSIGN(const Expr text, rules_expression(pool_, *type->rules, json));
      return json ? json_.string_of(text) : pool_.capture(Capture::kText, text);
    }
    case TypeKind::kSpan:
      return span(json);
  }
  return fail(ErrorCode::kInternal, "a type of unknown kind");
}

Result<Expr> TypeExpressions::reference(const Type& type, bool json, int depth) {
  const TypeRef target = type.target.lock();
  if (target == nullptr) return invalid("the type `" + type.name + "` is not defined");
  const auto key = std::pair(target.get(), json);
  if (const auto known = rules_.find(key); known != rules_.end()) return pool_.rule(known->second);
  const Rule rule = pool_.declare_rule(target->name);
  rules_.emplace(key, rule);
  ESP_ASSIGN(const Expr body, convert(target, json, depth + 1));
  pool_.define_rule(rule, body);
  return pool_.rule(rule);
}

Result<Expr> TypeExpressions::text(const Type& type, bool json) {
  const std::uint64_t low = type.low.value_or(json || type.high == std::uint64_t{0} ? 0 : 1);
  if (type.high && low > *type.high) {
    return invalid("E0301: " + described(type) + " has no value: at least " + std::to_string(low) +
                   " and at most " + std::to_string(*type.high) + " characters");
  }
  const bool line = type.kind == TypeKind::kLine;
  if (json) {
    if (!line) return json_.string(low, type.high);
    const CodePointRange no_line_feed[] = {{0, '\n' - 1}, {'\n' + 1, 0x10FFFF}};
    const std::uint32_t high = type.high ? count_of(*type.high) : ExpressionPool::kUnbounded;
    return json_.string_of(
        pool_.repeat(json_.string_characters_of(no_line_feed), count_of(low), high));
  }
  // Control characters (Cc) are out but for tab and, in a string, line feed.
  std::vector<CodePointRange> characters{{'\t', '\t'}, {0x20, 0x7E}, {0xA0, 0x10FFFF}};
  if (!line) characters.emplace_back('\n', '\n');
  const std::uint32_t high = type.high ? count_of(*type.high) : ExpressionPool::kUnbounded;
  return pool_.capture(Capture::kText,
                       pool_.repeat(pool_.code_points(characters), count_of(low), high));
}

Result<Expr> TypeExpressions::literal(const Type& type, bool json) {
  if (type.literal.is_structured())
    return invalid("a literal type is a string, a number, a bool or null");
  if (!type.literal.is_string()) return json_.literal(type.literal);
  const auto& value = type.literal.get_ref<const std::string&>();
  if (utf8::find_malformed(value) != std::string::npos)
    return invalid("a literal is not well-formed UTF-8");
  if (json) return json_.literal(type.literal);
  return pool_.constant(type.literal, pool_.bytes(value));
}

Result<Expr> TypeExpressions::enumeration(const Type& type, bool json) {
  if (type.cases.empty()) return invalid("E0301: " + described(type) + " has no case");
  std::vector<std::string> words;
  Json names = Json::object();
  for (const EnumCase& c : type.cases) {
    const std::string& surface = c.surface.empty() ? c.name : c.surface;
    if (utf8::find_malformed(surface) != std::string::npos) {
      return invalid("the case `" + c.name + "` is not well-formed UTF-8");
    }
    std::string word =
        json ? pool_.bytes_of(pool_.concat(
                   {pool_.bytes("\""), json_.string_content(surface), pool_.bytes("\"")}))
             : surface;
    if (!pool_.ok()) return pool_.nothing();
    if (names.contains(word)) {
      return invalid("E0303: this union cannot be told apart: two cases of " + described(type) +
                     " are written `" + surface + "`");
    }
    names[word] = c.name;
    words.push_back(std::move(word));
  }
  return pool_.table(std::move(names), pool_.words(words));
}

Result<Expr> TypeExpressions::alternatives(const Type& type, bool json, int depth) {
  if (type.items.empty()) return invalid("E0301: " + described(type) + " has no alternative");
  // Literals among the alternatives become one trie, so that many of them cost no more than one.
  std::vector<std::string> words;
  Json values = Json::object();
  struct Part {
    Expr expression;
    std::string what;
    bool calls = false;
    bool no_call = false;  // a text in which none begins
  };
  std::vector<Part> parts;
  // A turn that is calls or a text: the text is one in which no call begins.
  Calls beside = Calls::kNone;
  for (const TypeRef& item : type.items)
    if (!json) beside = std::max(beside, calls_in(item));
  for (const TypeRef& item : type.items) {
    if (item == nullptr) return invalid("a type is missing");
    ESP_ASSIGN(Expr e, convert(item, json, depth + 1));
    const bool no_call = beside != Calls::kNone &&
                         (item->kind == TypeKind::kString || item->kind == TypeKind::kLine);
    if (no_call)
      e = pool_.capture(Capture::kText, pool_.difference(e, begun(beside == Calls::kSeveral)));
    if (!pool_.ok()) return pool_.nothing();
    if (item->kind == TypeKind::kLiteral && e != pool_.nothing()) {
      const Expr spelled = pool_.children(e)[0];
      const std::string word = spelled == pool_.empty() ? std::string() : pool_.bytes_of(spelled);
      if (values.contains(word)) {
        return invalid("E0303: this union cannot be told apart: " + described(*item) +
                       " stands in it twice");
      }
      values[word] = item->literal;
      words.push_back(word);
    } else {
      parts.push_back({e, described(*item), !json && calls_in(item) != Calls::kNone, no_call});
    }
  }
  if (!words.empty()) {
    parts.push_back({pool_.table(std::move(values), pool_.words(words)),
                     words.size() == 1 ? "the literal" : "the literals"});
  }
  std::vector<Expr> choices;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if ((parts[i].calls && parts[j].no_call) || (parts[i].no_call && parts[j].calls)) continue;
      const Expr both = pool_.intersection(parts[j].expression, parts[i].expression);
      if (!pool_.ok()) return pool_.nothing();
      if (both != pool_.nothing())
        distinct_.push_back({both, parts[j].what + " and " + parts[i].what});
    }
    choices.push_back(parts[i].expression);
  }
  return pool_.choice(choices);
}

// The text alone: its named groups are found again by whoever reads the value, in JSON and out of
// it.
Result<Expr> TypeExpressions::pattern(const Type& type, bool json) {
  ESP_ASSIGN(const Expr body,
             regex_expression(pool_, type.pattern, {RegexDialect::kRe2, false, json, false}));
  return json ? json_.string_of(body) : body;
}

Result<Expr> TypeExpressions::span(bool json) {
  if (source_ == nullptr)
    return invalid("E0407: `span` has no text to copy from: the hole says no `from`");
  const Expr words = pool_.factor(source_, json);
  return json ? json_.string_of(words) : pool_.capture(Capture::kText, words);
}

Result<Expr> TypeExpressions::list(const Type& type, bool json, int depth) {
  if (type.items.size() != 1) return invalid("a list type has one item");
  if (type.low && type.high && *type.low > *type.high) {
    return invalid("E0301: " + described(type) + " has no value: at least " +
                   std::to_string(*type.low) + " and at most " + std::to_string(*type.high) +
                   " items");
  }
  if (!json && type.items[0] != nullptr && type.items[0]->kind == TypeKind::kCall)
    return calls(type, depth + 1);
  ESP_ASSIGN(const Expr item, convert(type.items[0], true, depth + 1));
  return json_.array(item, count_of(type.low.value_or(0)),
                     type.high ? count_of(*type.high) : ExpressionPool::kUnbounded);
}

Result<Expr> TypeExpressions::map(const Type& type, int depth) {
  if (type.items.size() != 1) return invalid("a map type has one item");
  if (type.low && type.high && *type.low > *type.high) {
    return invalid("E0301: " + described(type) + " has no value: at least " +
                   std::to_string(*type.low) + " and at most " + std::to_string(*type.high) +
                   " members");
  }
  ESP_ASSIGN(const Expr item, convert(type.items[0], true, depth + 1));
  const std::uint32_t low = count_of(type.low.value_or(0));
  const std::uint32_t high = type.high ? count_of(*type.high) : ExpressionPool::kUnbounded;
  const Expr member = json_.free_member(json_.string(), item);
  const Expr members =
      high == 0 ? pool_.nothing() : pool_.separated(member, json_.comma(), std::max(low, 1U), high);
  return json_.object(members, low == 0);
}

// Fields in declared order, some of which may be left out. Built from the last field: two
// expressions a place, one for "nothing written yet" and one for "something stands before", so the
// size is linear.
Result<Expr> TypeExpressions::record(const Type& type, int depth) {
  std::set<std::string> keys;
  std::vector<Expr> members;
  bool all_omittable = true;
  for (const Field& f : type.fields) {
    const std::string& key = f.key.empty() ? f.name : f.key;
    if (utf8::find_malformed(key) != std::string::npos)
      return invalid("the key of `" + f.name + "` is not UTF-8");
    if (!keys.insert(key).second)
      return invalid("the key `" + key + "` stands twice in " + described(type));
    auto value = convert(f.type, true, depth + 1);
    if (!value) return fail(std::move(value).error());
    members.push_back(
        pool_.concat({pool_.bytes("\""), json_.string_content(key), pool_.bytes("\":"),
                      json_.whitespace(), pool_.field(f.name, *value)}));
    all_omittable &= f.omittable;
  }
  Expr first = pool_.nothing();
  Expr more = pool_.empty();
  for (std::size_t i = type.fields.size(); i-- > 0;) {
    const Expr with_first = pool_.concat({members[i], more});
    const Expr with_more = pool_.concat({json_.comma(), members[i], more});
    first = type.fields[i].omittable ? pool_.choice({with_first, first}) : with_first;
    more = type.fields[i].omittable ? pool_.choice({with_more, more}) : with_more;
  }
  return json_.object(first, all_omittable);
}

Expr TypeExpressions::begun(bool several) {
  const Expr anything = pool_.repeat(pool_.byte_range(0, 0xFF), 0);
  constexpr const char* kSpace = " \t\r\n";
  std::string_view mark;
  for (const std::string_view piece : {form_.begin, form_.name_prefix, form_.prefix}) {
    const std::size_t first = piece.find_first_not_of(kSpace);
    if (first == std::string_view::npos) continue;
    mark = piece.substr(first, piece.find_last_not_of(kSpace) + 1 - first);
    break;
  }
  if (!mark.empty()) return pool_.concat({anything, pool_.bytes(mark), anything});
  // Bare JSON is a call only where the turn begins with it.
  ByteSet open = ByteSet::of("{");
  if (several) open.add('[');
  return pool_.concat(
      {pool_.repeat(pool_.byte_set(ByteSet::of(kSpace)), 0), pool_.byte_set(open), anything});
}

Result<Expr> TypeExpressions::call(const Type& type, const CallForm& form, int depth) {
  if (type.fields.empty()) return invalid("E0301: " + described(type) + " has no tool");
  std::vector<Expr> calls;
  std::set<std::string> names;
  for (const Field& tool : type.fields) {
    const std::string& name = tool.key.empty() ? tool.name : tool.key;
    if (utf8::find_malformed(name) != std::string::npos)
      return invalid("the name of the tool `" + tool.name + "` is not well-formed UTF-8");
    if (!names.insert(name).second)
      return invalid("E0303: the tool `" + name + "` stands twice in one call");
    ESP_ASSIGN(const Expr arguments, convert(tool.type, true, depth + 1));
    if (form.name_key.empty()) {
      calls.push_back(
          pool_.capture(Capture::kObject,
                        pool_.concat({pool_.bytes(form.name_prefix),
                                      pool_.field("name", pool_.constant(name, pool_.bytes(name))),
                                      pool_.bytes(form.prefix), pool_.field("arguments", arguments),
                                      pool_.bytes(form.suffix)})));
      continue;
    }
    // The value has the plain keys, whatever the text says.
    const auto member = [&](std::string_view key, std::string_view as, Expr value) {
      return pool_.concat({pool_.bytes("\""), json_.string_content(key), pool_.bytes("\":"),
                           json_.whitespace(), pool_.field(as, value)});
    };
    Expr members = pool_.concat({member(form.name_key, "name", json_.literal(name)), json_.comma(),
                                 member(form.arguments_key, "arguments", arguments)});
    if (!form.id_key.empty()) {
      const Expr with_id = member(form.id_key, "id", id(form));
      members = form.id_first ? pool_.concat({with_id, json_.comma(), members})
                              : pool_.concat({members, json_.comma(), with_id});
    }
    const Expr object = json_.object(members);
    calls.push_back(pool_.concat({pool_.bytes(form.prefix), object, pool_.bytes(form.suffix)}));
  }
  return pool_.choice(calls);
}

Expr TypeExpressions::id(const CallForm& form) {
  const Expr digit = pool_.byte_range('0', '9');
  if (form.id_size == 0)
    return json_.string_of(pool_.choice(
        {pool_.bytes("0"), pool_.concat({pool_.byte_range('1', '9'), pool_.repeat(digit, 0, 2)})}));
  const ByteSet letters =
      ByteSet::range('0', '9') | ByteSet::range('A', 'Z') | ByteSet::range('a', 'z');
  return json_.string_of(pool_.repeat(pool_.byte_set(letters), form.id_size, form.id_size));
}

// Several calls in one turn. A form for one call alone has them in a JSON array.
Result<Expr> TypeExpressions::calls(const Type& type, int depth) {
  const std::uint32_t low = count_of(type.low.value_or(0));
  const std::uint32_t high = type.high ? count_of(*type.high) : ExpressionPool::kUnbounded;
  ESP_ASSIGN(const Expr item, call(*type.items[0], form_, depth));
  if (!form_.several) return json_.array(item, low, high);
  if (high == 0) return pool_.capture(Capture::kArray, pool_.empty());
  const Expr separator = pool_.bytes(form_.separator);
  // White space between calls does not say that another follows: models write it before they end
  // the turn, too, and one that may not would have to write another call.
  const bool blank = form_.separator.find_first_not_of(" \n") == std::string_view::npos;
  const Expr end = form_.end.empty() && blank && !form_.separator.empty()
                       ? pool_.optional(separator)
                       : pool_.bytes(form_.end);
  const Expr filled = pool_.concat(
      {pool_.bytes(form_.begin), pool_.separated(item, separator, std::max(low, 1U), high), end});
  return pool_.capture(Capture::kArray, low == 0 ? pool_.optional(filled) : filled);
}

}  // namespace espalier::grammar
