#include "grammar/json_schema_compile.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_set>

#include "base/utf8.h"
#include "grammar/compiled_grammar.h"
#include "grammar/number_expression.h"
#include "grammar/regex.h"

namespace espalier::grammar {
namespace {

constexpr std::uint32_t kUnbounded = ExpressionPool::kUnbounded;

// Counts of characters or items beyond 2^32 - 2 are out of reach either way.
std::uint32_t clamp(std::uint64_t n) {
  return n >= kUnbounded ? kUnbounded - 1 : static_cast<std::uint32_t>(n);
}

// Ways to write a number that a schema enumerates: as an integer and as the document has it.
std::vector<std::string> number_spellings(const Json& value) {
  std::vector<std::string> out = {value.dump()};
  if (type_of(value) == JsonTypes(JsonTypes::kInteger)) {
    if (!value.is_number_float()) {
      out.push_back(out[0] + ".0");
    } else if (std::abs(value.get<double>()) < 9007199254740992.0) {
      out.push_back(std::to_string(static_cast<std::int64_t>(value.get<double>())));
    }
  }
  return out;
}

}  // namespace

Result<Expr> SchemaCompiler::run() {
  ESP_TRY(check_schema_document(*root_.schema, SchemaOptions::kMaxDepth));
  target_of_[{root_.schema, JsonTypes().bits()}] = 0;
  targets_.push_back({root_, JsonTypes(), pool_.declare_rule("schema"), {}});
  Expr first = pool_.nothing();
  for (std::size_t i = 0; i < targets_.size() && pool_.ok(); ++i) {
    current_ = i;
    const SchemaPlace place = targets_[i].place;
    ESP_ASSIGN(const Expr body, compile(place, targets_[i].types));
    pool_.define_rule(targets_[i].rule, body);
    if (i == 0) first = body;
  }
  ESP_TRY(pool_.status());
  ESP_TRY(check_reference_cycles());
  if (first == pool_.nothing()) {
    return fail(ErrorCode::kInvalid, "schema: no value satisfies it: " + why_);
  }
  return first;
}

Expr SchemaCompiler::unsatisfiable(const std::string& pointer, const std::string& why) {
  if (why_.empty()) why_ = pointer + ": " + why;
  return pool_.nothing();
}

// A chain of references for the same value that comes back to its start says nothing about any
// value.
Status SchemaCompiler::check_reference_cycles() const {
  enum : std::uint8_t { kNew, kOpen, kDone };
  std::vector<std::uint8_t> state(targets_.size(), kNew);
  std::vector<std::pair<std::size_t, std::size_t>> open;
  for (std::size_t start = 0; start < targets_.size(); ++start) {
    if (state[start] != kNew) continue;
    open.emplace_back(start, 0);
    state[start] = kOpen;
    while (!open.empty()) {
      auto& [at, next] = open.back();
      if (next == targets_[at].same_value.size()) {
        state[at] = kDone;
        open.pop_back();
        continue;
      }
      const std::size_t to = targets_[at].same_value[next++];
      if (state[to] == kOpen) {
        return schema_error(ErrorCode::kInvalid, targets_[to].place.pointer,
                            "its references lead back to itself for the same value");
      }
      if (state[to] == kNew) {
        state[to] = kOpen;
        open.emplace_back(to, 0);
      }
    }
  }
  return {};
}

Result<Expr> SchemaCompiler::compile_inner(const SchemaPlace& at) {
  const std::size_t outer = std::exchange(current_, kNoRule);
  auto out = compile(at, JsonTypes());
  current_ = outer;
  return out;
}

Result<Expr> SchemaCompiler::compile(const SchemaPlace& at, JsonTypes types) {
  if (!pool_.ok() || !pool_.fuel().spend()) return fail(pool_.fuel().error("schema " + at.pointer));
  const Json& schema = *at.schema;
  if (schema.is_boolean()) {
    return schema.get<bool>() ? any(types) : unsatisfiable(at.pointer, "false admits nothing");
  }
  if (!schema.is_object()) {
    return schema_error(ErrorCode::kInvalid, at.pointer, "a schema is an object, true or false");
  }
  ESP_TRY(check_keywords(at, options_));
  ESP_ASSIGN(const JsonTypes own, read_types(at));
  types = types & own;

  // Keywords that speak of the same value by another schema stand alone.
  for (const char* keyword : {"$ref", "anyOf", "oneOf", "allOf"}) {
    if (!schema.contains(keyword)) continue;
    for (const auto& [other, value] : schema.items()) {
      if (other != keyword && constrains(other)) {
        return schema_error(
            ErrorCode::kUnsupported, at.pointer,
            "`" + std::string(keyword) + "` beside `" + other + "` is not enforced");
      }
    }
    return std::string_view(keyword) == "$ref" ? reference(at, types)
                                               : branches(at, keyword, types);
  }
  ESP_ASSIGN(const auto enumerated, read_values(at));
  if (enumerated) return values(at, *enumerated, types);
  return by_type(at, types);
}

Result<Expr> SchemaCompiler::reference(const SchemaPlace& at, JsonTypes types) {
  const Json& to = (*at.schema)["$ref"];
  if (!to.is_string())
    return schema_error(ErrorCode::kInvalid, at.pointer + "/$ref", "a URI reference");
  ESP_ASSIGN(SchemaPlace place, resolve_reference(root_, at, to.get_ref<const std::string&>()));
  if (types.none()) return unsatisfiable(at.pointer, "no type is left");
  const auto [it, fresh] = target_of_.try_emplace({place.schema, types.bits()}, targets_.size());
  if (fresh) {
    const Rule rule = pool_.declare_rule(place.pointer);
    targets_.push_back({std::move(place), types, rule, {}});
  }
  if (current_ != kNoRule) targets_[current_].same_value.push_back(it->second);
  return pool_.rule(targets_[it->second].rule);
}

Result<Expr> SchemaCompiler::branches(const SchemaPlace& at, const std::string& keyword,
                                      JsonTypes types) {
  const Json& list = (*at.schema)[keyword];
  const SchemaPlace here = at.child(list, keyword);
  if (!list.is_array() || list.empty()) {
    return schema_error(ErrorCode::kInvalid, here.pointer, "a list of at least one schema");
  }
  if (keyword == "allOf" && list.size() > 1) {
    return schema_error(ErrorCode::kUnsupported, here.pointer,
                        "`allOf` of more than one schema is not enforced");
  }
  std::vector<SchemaPlace> places;
  for (std::size_t i = 0; i < list.size(); ++i)
    places.push_back(here.child(list[i], std::to_string(i)));
  if (keyword == "oneOf") {  // exactly one: the same as any, where no two go together
    for (std::size_t i = 0; i < places.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        ESP_ASSIGN(const bool apart, disjoint(places[j], places[i], 0));
        if (!apart) {
          return schema_error(ErrorCode::kUnsupported, here.pointer,
                              "`oneOf` is not enforced where a value may satisfy two: " +
                                  std::to_string(j) + " and " + std::to_string(i));
        }
      }
    }
  }
  std::vector<Expr> parts;
  for (const SchemaPlace& place : places) {
    ESP_ASSIGN(const Expr part, compile(place, types));
    parts.push_back(part);
  }
  return pool_.choice(parts);
}

Result<Expr> SchemaCompiler::values(const SchemaPlace& at, const std::vector<const Json*>& all,
                                    JsonTypes types) {
  // Scalars make one trie; objects and arrays stand beside it.
  ESP_ASSIGN(const NumberBounds bounds, read_bounds(at));
  ESP_ASSIGN(const auto shortest, read_count(at, "minLength"));
  ESP_ASSIGN(const auto longest, read_count(at, "maxLength"));
  ESP_ASSIGN(const std::optional<Expr> matching, pattern(at));
  std::vector<std::string> words;
  Json::object_t table;
  std::unordered_set<std::string> seen;
  std::vector<Expr> parts;
  const auto put = [&](std::string word, const Json& value) {
    if (!seen.insert(word).second) return;
    table.emplace_back(word, value);
    words.push_back(std::move(word));
  };
  for (const Json* value : all) {
    if (!pool_.fuel().spend()) return fail(pool_.fuel().error("schema " + at.pointer));
    const JsonTypes type = type_of(*value);
    if ((type & types).none()) continue;
    if (value->is_structured()) {
      for (const auto& [keyword, ignored] : at.schema->items()) {
        const bool speaks = value->is_object()
                                ? keyword == "properties" || keyword == "required" ||
                                      keyword == "additionalProperties" ||
                                      keyword == "minProperties" || keyword == "maxProperties"
                                : keyword == "items" || keyword == "prefixItems" ||
                                      keyword == "minItems" || keyword == "maxItems";
        if (speaks) {
          return schema_error(
              ErrorCode::kUnsupported, at.pointer,
              "an enumerated object or array beside `" + keyword + "` is not enforced");
        }
      }
      parts.push_back(json_.literal(*value));
    } else if (value->is_number()) {
      if (!within(bounds, *value)) continue;
      for (std::string& word : number_spellings(*value)) put(std::move(word), *value);
    } else if (value->is_string()) {
      const auto& text = value->get_ref<const std::string&>();
      const std::size_t length = utf8::count(text);
      if ((shortest && length < *shortest) || (longest && length > *longest)) continue;
      const Expr content = json_.string_content(text);
      if (matching) {
        parts.push_back(pool_.constant(
            *value, pool_.concat({pool_.bytes("\""), pool_.intersection(content, *matching),
                                  pool_.bytes("\"")})));
        continue;
      }
      put("\"" + (content == pool_.empty() ? std::string() : pool_.bytes_of(content)) + "\"",
          *value);
      if (!pool_.ok()) break;
    } else {
      put(value->dump(), *value);
    }
  }
  if (!words.empty()) parts.push_back(pool_.table(Json(std::move(table)), pool_.words(words)));
  if (parts.empty())
    return unsatisfiable(at.pointer, "none of the enumerated values satisfies the rest");
  return pool_.choice(parts);
}

Expr SchemaCompiler::any(JsonTypes types) {
  if (types == JsonTypes()) return json_.any();
  std::vector<Expr> parts;
  if (types.has(JsonTypes::kObject)) {
    parts.push_back(json_.object(
        pool_.separated(json_.free_member(json_.string(), json_.any()), json_.comma(), 1), true));
  }
  if (types.has(JsonTypes::kArray)) parts.push_back(json_.array(json_.any()));
  if (types.has(JsonTypes::kString)) parts.push_back(json_.string());
  if (types.has(JsonTypes::kNumber)) {
    parts.push_back(json_.number());
  } else if (types.has(JsonTypes::kInteger)) {
    parts.push_back(pool_.capture(Capture::kInteger, integer_range(pool_, INT64_MIN, INT64_MAX)));
  }
  if (types.has(JsonTypes::kBoolean)) parts.push_back(json_.boolean());
  if (types.has(JsonTypes::kNull)) parts.push_back(json_.null());
  return pool_.choice(parts);
}

Result<Expr> SchemaCompiler::by_type(const SchemaPlace& at, JsonTypes types) {
  if (types.none()) return unsatisfiable(at.pointer, "no type is left");
  bool constrained = false;
  for (const auto& [keyword, value] : at.schema->items()) {
    constrained = constrained || constrains(keyword);
  }
  if (!constrained) return any(types);
  std::vector<Expr> parts;
  if (types.has(JsonTypes::kObject)) {
    ESP_ASSIGN(const Expr part, object(at));
    parts.push_back(part);
  }
  if (types.has(JsonTypes::kArray)) {
    ESP_ASSIGN(const Expr part, array(at));
    parts.push_back(part);
  }
  if (types.has(JsonTypes::kString)) {
    ESP_ASSIGN(const Expr part, string(at));
    parts.push_back(part);
  }
  if (types.has(JsonTypes::kInteger)) {
    ESP_ASSIGN(const Expr part, number(at, types));
    parts.push_back(part);
  }
  parts.push_back(any(types & (JsonTypes::kBoolean | JsonTypes::kNull)));
  return pool_.choice(parts);
}

Result<Expr> SchemaCompiler::number(const SchemaPlace& at, JsonTypes types) {
  ESP_ASSIGN(const NumberBounds bounds, read_bounds(at));
  if (types.has(JsonTypes::kNumber)) {
    if (!bounds.any) return json_.number();
    const Expr range = decimal_range(pool_, bounds.decimal);
    if (range == pool_.nothing())
      return unsatisfiable(at.pointer, "no number is within the bounds");
    return pool_.capture(Capture::kNumber, range);
  }
  if (bounds.none) return unsatisfiable(at.pointer, "no integer is within the bounds");
  return pool_.capture(Capture::kInteger, integer_range(pool_, bounds.low.value_or(INT64_MIN),
                                                        bounds.high.value_or(INT64_MAX)));
}

Result<std::optional<Expr>> SchemaCompiler::pattern(const SchemaPlace& at) {
  const auto it = at.schema->find("pattern");
  if (it == at.schema->end()) return std::nullopt;
  if (!it->is_string())
    return schema_error(ErrorCode::kInvalid, at.pointer + "/pattern", "a regular expression");
  auto content = regex_expression(pool_, it->get_ref<const std::string&>(),
                                  {RegexDialect::kEcma, true, true, false});
  if (!content) {
    return fail(std::move(content).error().within("schema " + at.pointer + "/pattern"));
  }
  return *content;
}

Result<Expr> SchemaCompiler::string(const SchemaPlace& at) {
  ESP_ASSIGN(const auto low, read_count(at, "minLength"));
  ESP_ASSIGN(const auto high, read_count(at, "maxLength"));
  if (low && high && *low > *high) return unsatisfiable(at.pointer, "minLength is above maxLength");
  if (low && *low >= kUnbounded - 1) return unsatisfiable(at.pointer, "minLength is out of reach");
  ESP_ASSIGN(const std::optional<Expr> content, pattern(at));
  if (!content) return json_.string(low.value_or(0), high);
  if (*content == pool_.nothing())
    return unsatisfiable(at.pointer, "no string matches the pattern");
  if (!low && !high) return json_.string_of(*content);
  const Expr lengths = pool_.repeat(json_.string_character(), clamp(low.value_or(0)),
                                    high ? clamp(*high) : kUnbounded);
  return json_.string_of(pool_.intersection(*content, lengths));
}

Result<Expr> SchemaCompiler::array(const SchemaPlace& at) {
  ESP_ASSIGN(const auto low, read_count(at, "minItems"));
  ESP_ASSIGN(const auto high, read_count(at, "maxItems"));
  if (low && high && *low > *high) return unsatisfiable(at.pointer, "minItems is above maxItems");
  const std::uint32_t least = clamp(low.value_or(0));
  const std::uint32_t most = high ? clamp(*high) : kUnbounded;

  std::vector<Expr> first;
  if (const auto it = at.schema->find("prefixItems"); it != at.schema->end()) {
    const SchemaPlace here = at.child(*it, "prefixItems");
    if (!it->is_array())
      return schema_error(ErrorCode::kInvalid, here.pointer, "a list of schemas");
    for (std::size_t i = 0; i < it->size() && i < most; ++i) {
      ESP_ASSIGN(const Expr item, compile_inner(here.child((*it)[i], std::to_string(i))));
      first.push_back(item);
    }
  }
  Expr rest = pool_.nothing();
  if (const auto it = at.schema->find("items"); it == at.schema->end()) {
    if (first.size() < most) rest = json_.any();
  } else {
    if (it->is_array()) {
      return schema_error(ErrorCode::kUnsupported, at.pointer + "/items",
                          "a list of items is of drafts before 2020-12: write `prefixItems`");
    }
    const std::string outer_why = why_;
    ESP_ASSIGN(rest, compile_inner(at.child(*it, "items")));
    if (least == 0) why_ = outer_why;  // [] is left
  }
  if (first.empty()) {
    if (rest == pool_.nothing() && least == 0) return json_.array(pool_.nothing(), 0, 0);
    return json_.array(rest, least, most);
  }
  // From the end: `more` is what may follow the first i items (i > 0), `start` all of them.
  const auto count = static_cast<std::uint32_t>(first.size());
  Expr more = most <= count ? pool_.empty()
                            : pool_.repeat(pool_.concat({json_.comma(), rest}),
                                           least > count ? least - count : 0,
                                           most == kUnbounded ? kUnbounded : most - count);
  if (least > count && most <= count) more = pool_.nothing();
  for (std::uint32_t i = count; i-- > 1;) {
    const Expr go_on = pool_.concat({json_.comma(), first[i], more});
    more = i >= least ? pool_.choice({go_on, pool_.empty()}) : go_on;
  }
  const Expr filled = pool_.concat({first[0], more, json_.whitespace()});
  const Expr inside = least == 0 ? pool_.optional(filled) : filled;
  return pool_.capture(Capture::kArray, pool_.concat({pool_.bytes("["), json_.whitespace(), inside,
                                                      pool_.bytes("]")}));
}

// "key": value for every key but the declared ones. Keys stand in their one canonical spelling
// here, so that
// "\u0061" is not a second way to write a declared "a".
Result<Expr> SchemaCompiler::additional_member(const SchemaPlace& at,
                                               const std::vector<std::string>& declared,
                                               const Json* schema) {
  Expr value = json_.any();
  if (schema != nullptr) {
    const std::string outer_why = why_;
    ESP_ASSIGN(value, compile_inner(at.child(*schema, "additionalProperties")));
    why_ = outer_why;  // no further member is no contradiction
  }
  if (value == pool_.nothing()) return value;
  Expr key = json_.string();
  if (!declared.empty()) {
    const CodePointRange all[] = {{0, 0x10FFFF}};
    std::vector<std::string> words;
    for (const std::string& name : declared) {
      const Expr content = json_.string_content(name);
      words.push_back(content == pool_.empty() || !pool_.ok() ? std::string()
                                                              : pool_.bytes_of(content));
    }
    key = json_.string_of(
        pool_.difference(pool_.repeat(json_.string_characters_of(all), 0), pool_.words(words)));
  }
  return json_.free_member(key, value);
}

Result<Expr> SchemaCompiler::object(const SchemaPlace& at) {
  const Json& schema = *at.schema;
  struct Member {
    std::string key;
    Expr value;
    bool required = false;
  };
  std::vector<std::string> required;
  if (const auto it = schema.find("required"); it != schema.end()) {
    if (!it->is_array())
      return schema_error(ErrorCode::kInvalid, at.pointer + "/required", "a list of names");
    for (const Json& name : *it) {
      if (!name.is_string())
        return schema_error(ErrorCode::kInvalid, at.pointer + "/required", "a list of names");
      required.push_back(name.get<std::string>());
    }
  }
  const std::unordered_set<std::string> is_required(required.begin(), required.end());
  std::unordered_set<std::string> declared;
  std::vector<Member> members;
  if (const auto it = schema.find("properties"); it != schema.end()) {
    const SchemaPlace here = at.child(*it, "properties");
    if (!it->is_object())
      return schema_error(ErrorCode::kInvalid, here.pointer, "an object of schemas");
    for (const auto& [key, value] : it->items()) {
      const bool needed = is_required.contains(key);
      const std::string outer_why = why_;
      ESP_ASSIGN(const Expr e, compile_inner(here.child(value, key)));
      if (!needed) why_ = outer_why;  // an object without this member is left
      declared.insert(key);
      members.push_back({key, e, needed});
    }
  }
  const std::size_t named = members.size();
  std::vector<std::string> names;
  for (const Member& member : members) names.push_back(member.key);
  std::vector<std::string> extra_names;
  for (const std::string& key : required) {
    if (declared.insert(key).second) extra_names.push_back(key);
  }
  names.insert(names.end(), extra_names.begin(), extra_names.end());

  const auto additional = schema.find("additionalProperties");
  const Json* additional_schema = additional == schema.end() ? nullptr : &*additional;
  ESP_ASSIGN(const Expr extra, additional_member(at, names, additional_schema));
  // Required names that `properties` does not declare are additional members that must stand.
  for (const std::string& key : extra_names) {
    Expr value = json_.any();
    if (additional_schema != nullptr) {
      ESP_ASSIGN(value, compile_inner(at.child(*additional_schema, "additionalProperties")));
    }
    if (value == pool_.nothing()) {
      return unsatisfiable(at.pointer, "`" + key + "` is required and not allowed");
    }
    members.push_back({key, value, true});
  }

  ESP_ASSIGN(const auto least, read_count(at, "minProperties"));
  ESP_ASSIGN(const auto most, read_count(at, "maxProperties"));
  std::size_t must = members.size() - named;
  for (std::size_t i = 0; i < named; ++i) must += members[i].required ? 1 : 0;
  if (least && *least > std::max<std::size_t>(must, 1)) {
    return schema_error(ErrorCode::kUnsupported, at.pointer + "/minProperties",
                        "`minProperties` is not enforced above the number of required members");
  }
  const bool empty_object = most && *most == 0;
  if (empty_object && must > 0)
    return unsatisfiable(at.pointer, "maxProperties is 0 and members are required");
  if (most && !empty_object && (extra != pool_.nothing() || members.size() > *most)) {
    return schema_error(ErrorCode::kUnsupported, at.pointer + "/maxProperties",
                        "`maxProperties` is not enforced where more members may stand");
  }
  if (empty_object) {
    if (least && *least > 0)
      return unsatisfiable(at.pointer, "minProperties is above maxProperties");
    return json_.object(pool_.nothing(), true);
  }

  // From the end: `more` is what may follow where a member stands already, `start` where none does.
  Expr more = pool_.repeat(pool_.concat({json_.comma(), extra}), 0);
  Expr start = pool_.concat({extra, more});
  for (std::size_t i = members.size(); i-- > 0;) {
    const Expr member = json_.member(members[i].key, members[i].value);
    const Expr starting = pool_.concat({member, more});
    const Expr following = pool_.concat({json_.comma(), member, more});
    start = members[i].required ? starting : pool_.choice({starting, start});
    more = members[i].required ? following : pool_.choice({following, more});
  }
  const bool may_be_empty = must == 0 && (!least || *least == 0);
  if (start == pool_.nothing() && !may_be_empty) {
    return unsatisfiable(at.pointer, "no member may stand and one must");
  }
  return json_.object(start, may_be_empty);
}

Result<Expr> schema_expression(ExpressionPool& pool, JsonExpressions& json, const Json& schema,
                               const SchemaOptions& options) {
  return SchemaCompiler(pool, json, schema, options).run();
}

Result<GrammarRef> compile_json_schema(VocabularyRef vocabulary, const Json& schema,
                                       std::string_view follow, const SchemaOptions& options,
                                       const Limits& limits) {
  Fuel fuel("compile steps (limits.compile_fuel)", limits.compile_fuel);
  auto pool = std::make_shared<ExpressionPool>(fuel);
  JsonExpressions json(*pool);
  ESP_ASSIGN(const Expr root, schema_expression(*pool, json, schema, options));
  ESP_TRY(pool->status());
  ESP_ASSIGN(auto grammar,
             compile_expression(std::move(vocabulary), pool, root, follow, limits, fuel));
  return GrammarRef(std::move(grammar));
}

}  // namespace espalier::grammar
