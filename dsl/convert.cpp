#include "dsl/convert.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/utf8.h"
#include "dsl/grammar_blocks.h"
#include "dsl/patterns.h"
#include "dsl/static_types.h"

namespace espalier::dsl {
namespace {

using grammar::Type;
using grammar::TypeKind;
using grammar::TypeRef;

constexpr std::int64_t kIntMin = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kIntMax = std::numeric_limits<std::int64_t>::max();

// What stands in the JSON, for messages: short, and never the whole content.
std::string shown_json(const Json& json) {
  if (json.is_object()) return "an object";
  if (json.is_array()) return "a list of " + std::to_string(json.size());
  if (json.is_string()) {
    const auto& text = json.get_ref<const std::string&>();
    if (text.size() > 40) return "a string of " + std::to_string(utf8::count(text)) + " characters";
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string quoted_cases(const Type& type) {
  std::string out;
  for (std::size_t i = 0; i < type.cases.size() && i < 12; ++i) {
    out += (i == 0 ? "\"" : ", \"") + type.cases[i].surface + "\"";
  }
  return type.cases.size() > 12 ? out + ", …" : out;
}

// Whether some value of the type is an object (or a list, where the JSON is one):
// what it may have been meant for. Scalars are told apart by their values alone.
bool takes_kind(const Json& json, const Type& type, int depth = 0) {
  switch (type.kind) {
    case TypeKind::kRecord:
    case TypeKind::kMap:
    case TypeKind::kCall:
      return json.is_object();
    case TypeKind::kList:
      return json.is_array();
    case TypeKind::kOptional:
    case TypeKind::kUnion:
      return std::ranges::any_of(
          type.items, [&](const TypeRef& item) { return takes_kind(json, *item, depth + 1); });
    case TypeKind::kReference: {
      const TypeRef target = type.target.lock();
      return target != nullptr && depth < 8 && takes_kind(json, *target, depth + 1);
    }
    default:
      return false;
  }
}

/// Where in a value something stands; spelled out for messages alone.
struct Path {
  static constexpr std::size_t kRoot = SIZE_MAX, kMember = SIZE_MAX - 1, kKey = SIZE_MAX - 2;

  const Path* above = nullptr;
  std::string_view name = {};
  std::size_t index = kRoot;  // of an item of a list, or one of the above

  [[nodiscard]] std::string text() const {
    std::vector<const Path*> all;
    for (const Path* at = this; at != nullptr; at = at->above) all.push_back(at);
    std::string out;
    for (auto at = all.rbegin(); at != all.rend(); ++at) {
      if ((*at)->index == kRoot) {
        out += (*at)->name;
      } else if ((*at)->index == kMember) {
        out.append(".").append((*at)->name);
      } else if ((*at)->index == kKey) {
        out.append("[").append(shown_json(Json(std::string((*at)->name)))).append("]");
      } else {
        out.append("[").append(std::to_string((*at)->index)).append("]");
      }
    }
    return out;
  }
};

class Reader {
 public:
  Reader(const Program& program, const grammar::SpanSource* source)
      : program_(program), source_(source) {}

  // Values nest deep: what is done at each level keeps its frame small, and what makes messages or
  // reads leaves is never inlined into it.
  Result<Value> read(const Json& json, const TypeRef& type, const Path& path, std::uint32_t depth) {
    if (depth > kMaxJsonDepth) return too_deep(path);
    if (type == nullptr) return any(json, path, depth);
    switch (type->kind) {
      case TypeKind::kString:
      case TypeKind::kLine:
        return text(json, type, path);
      case TypeKind::kInt:
        return integer(json, type, path);
      case TypeKind::kFloat:
        return number(json, type, path);
      case TypeKind::kBool:
        if (!json.is_boolean()) return wrong(json, type, path);
        return Value::boolean(json.get<bool>());
      case TypeKind::kNull:
        if (!json.is_null()) return wrong(json, type, path);
        return Value();
      case TypeKind::kLiteral:
        if (json != type->literal) return wrong(json, type, path);
        return any(json, path, depth);
      case TypeKind::kEnum:
        return variant(json, type, path);
      case TypeKind::kUnion:
        return one_of(json, type, path, depth);
      case TypeKind::kRegex:
        return pattern(json, type, path, depth);
      case TypeKind::kOptional:
        if (json.is_null()) return Value();
        return read(json, type->items[0], path, depth + 1);
      case TypeKind::kList:
        return list(json, type, path, depth);
      case TypeKind::kMap:
        return map(json, type, path, depth);
      case TypeKind::kRecord:
        return record(json, type, path, depth);
      case TypeKind::kJson:
      case TypeKind::kSchema:
        return any(json, path, depth);
      case TypeKind::kCall:
        return call(json, type, path, depth);
      case TypeKind::kGrammar:
        return in_grammar(json, type, path);
      case TypeKind::kSpan:
        return span(json, type, path);
      case TypeKind::kReference: {
        const TypeRef target = type->target.lock();
        return target == nullptr ? lost(path) : read(json, target, path, depth + 1);
      }
    }
    return lost(path);
  }

 private:
  [[gnu::noinline]] static tl::unexpected<Error> too_deep(const Path& path) {
    return fail(ErrorCode::kLimit,
                path.text() + " nests deeper than " + std::to_string(kMaxJsonDepth) + " levels");
  }
  [[gnu::noinline]] static Result<Value> lost(const Path& path) {
    return fail(ErrorCode::kInternal, path.text() + ": a type is missing");
  }
  [[gnu::noinline]] static tl::unexpected<Error> wrong(const Json& json, const TypeRef& type,
                                                       const Path& path) {
    return fail(ErrorCode::kInvalid,
                path.text() + ": expected " + type_name(type) + ", got " + shown_json(json));
  }

  Result<Value> any(const Json& json, const Path& path, std::uint32_t depth) {
    if (depth > kMaxJsonDepth) return too_deep(path);
    if (json.is_array()) {
      Value::List items;
      for (std::size_t i = 0; i < json.size(); ++i) {
        auto item = any(json[i], Path{&path, {}, i}, depth + 1);
        if (!item) return item;
        items.push_back(std::move(*item));
      }
      return Value::list(std::move(items));
    }
    if (json.is_object()) {
      Value::Entries entries;
      for (auto it = json.begin(); it != json.end(); ++it) {
        auto value = any(it.value(), Path{&path, it.key(), Path::kMember}, depth + 1);
        if (!value) return value;
        entries.push_back({it.key(), std::move(*value)});
      }
      return Value::record(std::move(entries));
    }
    return scalar(json, path);
  }

  [[gnu::noinline]] static Result<Value> scalar(const Json& json, const Path& path) {
    switch (json.type()) {
      case Json::value_t::boolean:
        return Value::boolean(json.get<bool>());
      case Json::value_t::number_integer:
        return Value::integer(json.get<std::int64_t>());
      case Json::value_t::number_unsigned: {
        const auto value = json.get<std::uint64_t>();
        if (value > static_cast<std::uint64_t>(kIntMax))
          return Value::number(static_cast<double>(value));
        return Value::integer(static_cast<std::int64_t>(value));
      }
      case Json::value_t::number_float:
        return Value::number(json.get<double>());
      case Json::value_t::string:
        return checked_text(json, path);
      default:
        return Value();
    }
  }

  [[gnu::noinline]] static Result<Value> checked_text(const Json& json, const Path& path) {
    const auto& text = json.get_ref<const std::string&>();
    if (const std::size_t at = utf8::find_malformed(text); at != std::string_view::npos) {
      return fail(ErrorCode::kInvalid,
                  path.text() + ": malformed UTF-8 at byte " + std::to_string(at));
    }
    return Value::string(text);
  }

  [[gnu::noinline]] static Result<Value> text(const Json& json, const TypeRef& type,
                                              const Path& path) {
    if (!json.is_string()) return wrong(json, type, path);
    const auto& content = json.get_ref<const std::string&>();
    const std::uint64_t length = utf8::count(content);
    if ((type->low && length < *type->low) || (type->high && length > *type->high)) {
      return fail(ErrorCode::kInvalid, path.text() + ": expected " + type_name(type) +
                                           ", got a string of " + std::to_string(length) +
                                           " characters");
    }
    if (type->kind == TypeKind::kLine && content.find('\n') != std::string::npos) {
      return fail(ErrorCode::kInvalid, path.text() + ": a line has no line break");
    }
    return checked_text(json, path);
  }

  [[gnu::noinline]] static Result<Value> integer(const Json& json, const TypeRef& type,
                                                 const Path& path) {
    if (!json.is_number_integer()) return wrong(json, type, path);
    if (json.is_number_unsigned() &&
        json.get<std::uint64_t>() > static_cast<std::uint64_t>(kIntMax)) {
      return wrong(json, type, path);
    }
    const auto value = json.get<std::int64_t>();
    if (value < type->int_low.value_or(kIntMin) || value > type->int_high.value_or(kIntMax)) {
      return wrong(json, type, path);
    }
    return Value::integer(value);
  }

  [[gnu::noinline]] static Result<Value> number(const Json& json, const TypeRef& type,
                                                const Path& path) {
    if (!json.is_number()) return wrong(json, type, path);
    const auto value = json.get<double>();
    if (!std::isfinite(value) || (type->float_low && value < *type->float_low) ||
        (type->float_high && value > *type->float_high)) {
      return wrong(json, type, path);
    }
    return Value::number(value);
  }

  [[gnu::noinline]] static Result<Value> variant(const Json& json, const TypeRef& type,
                                                 const Path& path) {
    if (json.is_string()) {
      const auto& word = json.get_ref<const std::string&>();
      const auto& cases = type->cases;
      for (std::size_t i = 0; i < cases.size(); ++i) {
        if (cases[i].surface == word) return Value::variant(type, i);
      }
      for (std::size_t i = 0; i < cases.size(); ++i) {
        if (cases[i].name == word) return Value::variant(type, i);
      }
    }
    return fail(ErrorCode::kInvalid, path.text() + ": expected one of " + quoted_cases(*type) +
                                         ", got " + shown_json(json));
  }

  [[gnu::noinline]] Result<Value> pattern(const Json& json, const TypeRef& type, const Path& path,
                                          std::uint32_t depth) {
    if (json.is_object()) {  // groups that were found before
      const TypeRef groups = group_record(type->pattern);
      return groups == nullptr ? wrong(json, type, path) : read(json, groups, path, depth + 1);
    }
    if (!json.is_string()) return wrong(json, type, path);
    const auto& text = json.get_ref<const std::string&>();
    auto found = pattern_value(type->pattern, text);
    if (!found) return fail(found.error().code, path.text() + ": " + found.error().message);
    if (!*found) return wrong(json, type, path);
    auto whole = checked_text(json, path);
    if (!whole || !(*found)->is_object()) return whole;
    Value::Entries entries;
    for (const auto& [name, captured] : (*found)->items()) {
      auto value = any(captured, path, depth);
      if (!value) return value;
      entries.push_back({name, std::move(*value)});
    }
    return Value::groups(text, std::move(entries));
  }

  [[gnu::noinline]] Result<Value> list(const Json& json, const TypeRef& type, const Path& path,
                                       std::uint32_t depth) {
    if (!json.is_array()) return wrong(json, type, path);
    if (json.size() < type->low.value_or(0) || (type->high && json.size() > *type->high)) {
      return wrong(json, type, path);
    }
    Value::List items;
    items.reserve(json.size());
    for (std::size_t i = 0; i < json.size(); ++i) {
      auto item = read(json[i], type->items[0], Path{&path, {}, i}, depth + 1);
      if (!item) return item;
      items.push_back(std::move(*item));
    }
    return Value::list(std::move(items));
  }

  [[gnu::noinline]] Result<Value> map(const Json& json, const TypeRef& type, const Path& path,
                                      std::uint32_t depth) {
    if (!json.is_object()) return wrong(json, type, path);
    if (json.size() < type->low.value_or(0) || (type->high && json.size() > *type->high))
      return wrong_count(json, type, path);
    Value::Entries entries;
    for (auto it = json.begin(); it != json.end(); ++it) {
      auto value = read(it.value(), type->items[0], Path{&path, it.key(), Path::kKey}, depth + 1);
      if (!value) return value;
      entries.push_back({it.key(), std::move(*value)});
    }
    return Value::record(std::move(entries));
  }
  [[gnu::noinline]] static Result<Value> wrong_count(const Json& json, const TypeRef& type,
                                                     const Path& path) {
    return fail(ErrorCode::kInvalid, path.text() + ": expected " + type_name(type) +
                                         ", got an object of " + std::to_string(json.size()));
  }

  [[gnu::noinline]] Result<Value> record(const Json& json, const TypeRef& type, const Path& path,
                                         std::uint32_t depth) {
    if (!json.is_object()) return wrong(json, type, path);
    Value::Entries entries;
    std::size_t known = 0;
    for (const auto& field : type->fields) {
      auto found = json.find(field.key);
      if (found == json.end()) found = json.find(field.name);
      const Json* given = found == json.end() ? fallback(type, field) : &*found;
      if (given == nullptr) {
        if (field.omittable) continue;
        return missing(field, path);
      }
      if (found != json.end()) ++known;
      auto value = read(*given, field.type, Path{&path, field.name, Path::kMember}, depth + 1);
      if (!value) return value;
      entries.push_back({field.name, std::move(*value)});
    }
    if (known != json.size()) return foreign(json, type, path);
    return Value::record(std::move(entries), type);
  }
  // The default of a field, or of a tool's parameter, or nothing.
  [[gnu::noinline]] const Json* fallback(const TypeRef& type, const grammar::Field& field) const {
    for (const ToolInfo& tool : program_.tools) {
      if (tool.arguments != type) continue;
      for (const Parameter& parameter : tool.parameters)
        if (parameter.name == field.name)
          return parameter.fallback ? &*parameter.fallback : nullptr;
    }
    const TypeInfo* declared = type->name.empty() ? nullptr : program_.type(type->name);
    return declared != nullptr && declared->defaults.contains(field.name)
               ? &declared->defaults.at(field.name)
               : nullptr;
  }
  [[gnu::noinline]] static Result<Value> missing(const grammar::Field& field, const Path& path) {
    return fail(ErrorCode::kInvalid, path.text() + ": the field `" + field.key + "` is missing");
  }
  [[gnu::noinline]] static Result<Value> foreign(const Json& json, const TypeRef& type,
                                                 const Path& path) {
    for (const auto& [key, item] : json.items()) {
      const bool expected = std::any_of(type->fields.begin(), type->fields.end(),
                                        [&key = key](const grammar::Field& field) {
                                          return field.key == key || field.name == key;
                                        });
      if (!expected)
        return fail(ErrorCode::kInvalid, path.text() + ": unknown field `" + key + "`");
    }
    return fail(ErrorCode::kInvalid,
                path.text() + ": a field is given twice, by its name and by its key");
  }

  // Where one alternative alone could have been meant (it alone takes objects,
  // or lists), what is wrong with it is said, not with the union.
  [[gnu::noinline]] Result<Value> one_of(const Json& json, const TypeRef& type, const Path& path,
                                         std::uint32_t depth) {
    std::optional<Error> reason;
    std::size_t meant = 0;
    for (const TypeRef& item : type->items) {
      auto value = read(json, item, path, depth + 1);
      if (value) return value;
      if (!takes_kind(json, *item)) continue;
      ++meant;
      reason = std::move(value.error());
    }
    if (meant == 1) return tl::unexpected<Error>(std::move(*reason));
    return wrong(json, type, path);
  }

  [[gnu::noinline]] Result<Value> call(const Json& json, const TypeRef& type, const Path& path,
                                       std::uint32_t depth) {
    if (!json.is_object() || !json.contains("name") || !json["name"].is_string()) {
      return fail(ErrorCode::kInvalid, path.text() + ": expected " + type_name(type) +
                                           R"(, {"name": ..., "arguments": {...}}, got )" +
                                           shown_json(json));
    }
    const auto& called = json["name"].get_ref<const std::string&>();
    for (const auto& field : type->fields) {
      if (field.key != called && field.name != called) continue;
      const Json none = Json::object();
      const auto given = json.find("arguments");
      ESP_ASSIGN(auto arguments, read(given == json.end() ? none : *given, field.type,
                                      Path{&path, called, Path::kMember}, depth + 1));
      return Value::call(field.name, std::move(arguments));
    }
    return fail(
        ErrorCode::kInvalid,
        path.text() + ": `" + called + "` is no tool of this hole, which holds " + type_name(type));
  }

  [[gnu::noinline]] Result<Value> in_grammar(const Json& json, const TypeRef& type,
                                             const Path& path) {
    if (!json.is_string()) return wrong(json, type, path);
    const TypeInfo* declared = program_.type(type->name);
    if (declared == nullptr || declared->recogniser == nullptr)
      return fail(ErrorCode::kInternal, path.text() + ": a grammar lost its rules");
    if (!holds(*declared->recogniser, json.get_ref<const std::string&>()))
      return wrong(json, type, path);
    return checked_text(json, path);
  }

  // Without a source (a value from outside, a result) there is nothing to look it up in.
  [[gnu::noinline]] Result<Value> span(const Json& json, const TypeRef& type, const Path& path) {
    if (!json.is_string()) return wrong(json, type, path);
    ESP_ASSIGN(Value value, checked_text(json, path));
    if (source_ == nullptr) return value;
    Origin origin;
    origin.spans = source_->find(json.get_ref<const std::string&>());
    if (origin.spans.empty()) {
      return fail(ErrorCode::kInvalid, path.text() + ": " + shown_json(json) +
                                           " does not stand in the text it is copied from");
    }
    return value.with(std::make_shared<const Origin>(std::move(origin)));
  }

  const Program& program_;
  const grammar::SpanSource* source_;
};

bool holds_text(const TypeRef& type, int depth = 0) {
  if (type == nullptr || depth > 8) return false;
  switch (type->kind) {
    case TypeKind::kString:
    case TypeKind::kLine:
    case TypeKind::kRegex:
    case TypeKind::kEnum:
    case TypeKind::kGrammar:
    case TypeKind::kSpan:
      return true;
    case TypeKind::kLiteral:
      return type->literal.is_string();
    case TypeKind::kReference:
      return holds_text(type->target.lock(), depth + 1);
    case TypeKind::kUnion:
      return std::all_of(type->items.begin(), type->items.end(),
                         [&](const TypeRef& item) { return holds_text(item, depth + 1); });
    default:
      return false;
  }
}

}  // namespace

Result<Value> from_json(const Program& program, const Json& json, const TypeRef& type,
                        std::string_view path, const grammar::SpanSource* source) {
  return Reader(program, source).read(json, type, Path{nullptr, path, Path::kRoot}, 0);
}

Result<std::vector<Value>> arguments_from_json(const Program& program,
                                               const std::vector<Parameter>& parameters,
                                               const Json& json) {
  if (json.is_null()) return arguments_from_json(program, parameters, Json::object());
  if (!json.is_object())
    return fail(ErrorCode::kInvalid, "arguments must be a JSON object, got " + shown_json(json));
  for (const auto& [key, value] : json.items()) {
    const bool known =
        std::any_of(parameters.begin(), parameters.end(), [&key = key](const Parameter& parameter) {
          return parameter.key == key || parameter.name == key;
        });
    if (known) continue;
    std::string names;
    for (const Parameter& parameter : parameters)
      names += (names.empty() ? "`" : ", `") + parameter.name + "`";
    return fail(ErrorCode::kInvalid, "unknown argument `" + key + "`; there " +
                                         (names.empty() ? "are no parameters" : "is " + names));
  }
  std::vector<Value> out;
  for (const Parameter& parameter : parameters) {
    auto found = json.find(parameter.key);
    if (found == json.end()) found = json.find(parameter.name);
    const std::string path = "argument `" + parameter.name + "`";
    if (found != json.end()) {
      if (parameter.omittable && found->is_null()) {
        out.emplace_back();
        continue;
      }
      ESP_ASSIGN(auto value, from_json(program, *found, parameter.type, path));
      out.push_back(std::move(value));
    } else if (parameter.fallback) {
      ESP_ASSIGN(auto value, from_json(program, *parameter.fallback, parameter.type, path));
      out.push_back(std::move(value));
    } else if (parameter.omittable) {
      out.emplace_back();
    } else {
      return fail(ErrorCode::kInvalid, path + " (" + type_name(parameter.type) + ") is missing");
    }
  }
  return out;
}

Json argument_from_text(const TypeRef& type, std::string_view text) {
  if (holds_text(type)) return std::string(text);
  const bool optional = type != nullptr && type->kind == TypeKind::kOptional;
  if (optional && text != "null" && holds_text(type->items[0])) return std::string(text);
  Json parsed = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return std::string(text);
  return parsed;
}

}  // namespace espalier::dsl
