// What of a value is asked for by name, by pattern and by type.
#include <algorithm>
#include <limits>

#include "base/utf8.h"
#include "dsl/convert.h"
#include "dsl/evaluate.h"
#include "dsl/static_types.h"

namespace espalier::dsl {
namespace {

using grammar::TypeKind;
using grammar::TypeRef;

// `.spans`
Outcome<Value> places(const Origin& origin, const Span& span) {
  Value::List out;
  for (const auto& [start, end] : origin.spans) {
    auto place =
        made(Value::record({{"start", Value::integer(start)}, {"end", Value::integer(end)}}), span);
    if (!place) return place;
    out.push_back(std::move(*place));
  }
  return made(Value::list(std::move(out)), span);
}

}  // namespace

bool bind_pattern(const Program& program, Scope& scope, const Pattern& pattern,
                  const Value& value) {
  const PatternInfo& info = program.patterns[pattern.id];
  switch (info.test) {
    case PatternTest::kAny:
      scope.bind(pattern.name.text, value);
      return true;
    case PatternTest::kCase:
      return (value.kind() == ValueKind::kVariant && value.as_case().name == pattern.name.text) ||
             (value.kind() == ValueKind::kString && value.as_string() == pattern.name.text);
    case PatternTest::kTool: {
      if (value.kind() != ValueKind::kCall || value.tool() != program.tools[info.index].name) {
        return false;
      }
      for (const Identifier& binding : pattern.bindings) {
        const Value* field = value.arguments().field(binding.text);
        scope.bind(binding.text, field == nullptr ? Value() : *field);  // absent: it was omittable
      }
      return true;
    }
    case PatternTest::kType:
      if ((info.index >> static_cast<unsigned>(value.kind()) & 1U) == 0) return false;
      if (value.kind() == ValueKind::kRecord && !info.records.empty() &&
          std::none_of(info.records.begin(), info.records.end(),
                       [&](const TypeRef& one) { return fits(program, value, one); }))
        return false;
      scope.bind(pattern.name.text, value);
      return true;
    case PatternTest::kLiteral:
      if (pattern.kind == PatternKind::kString) return equal(value, Value::string(pattern.string));
      return equal(value, pattern.number.integer ? Value::integer(pattern.number.int_value)
                                                 : Value::number(pattern.number.value));
    case PatternTest::kNull:
      return value.is_null();
    case PatternTest::kTrue:
      return value.kind() == ValueKind::kBool && value.as_bool();
    case PatternTest::kFalse:
      return value.kind() == ValueKind::kBool && !value.as_bool();
  }
  return false;
}

namespace {

const Json* default_of(const Program& program, const grammar::Type& record,
                       const grammar::Field& field) {
  const TypeInfo* declared = record.name.empty() ? nullptr : program.type(record.name);
  if (declared == nullptr) return nullptr;
  const auto found = declared->defaults.find(field.name);
  return found == declared->defaults.end() ? nullptr : &found->second;
}

// Whether a record has the keys of the type, those that may be left out aside, and no others.
bool has_keys(const Program& program, const Value& value, const TypeRef& type) {
  if (type == nullptr || type->kind != TypeKind::kRecord || value.kind() != ValueKind::kRecord)
    return false;
  std::size_t known = 0;
  for (const grammar::Field& field : type->fields) {
    if (value.field(field.name) != nullptr) {
      ++known;
    } else if (!field.omittable && default_of(program, *type, field) == nullptr) {
      return false;
    }
  }
  return known == value.as_record().size();
}

}  // namespace

bool fits(const Program& program, const Value& value, const TypeRef& given) {
  const TypeRef type = resolve(given);
  if (!has_keys(program, value, type)) return false;
  return std::all_of(type->fields.begin(), type->fields.end(), [&](const grammar::Field& field) {
    const Value* found = value.field(field.name);
    if (found == nullptr || (field.omittable && found->is_null())) return true;
    if ((value_kinds(field.type) >> static_cast<unsigned>(found->kind()) & 1U) == 0) return false;
    const auto listed = listed_values(field.type);
    return !listed || std::find(listed->begin(), listed->end(), to_json(*found)) != listed->end();
  });
}

Value bound_by(const Program& program, const TypePtr& written, Value value) {
  const auto type =
      written == nullptr ? program.let_types.end() : program.let_types.find(written.get());
  return type == program.let_types.end() ? value : conform(program, std::move(value), type->second);
}

Value conform(const Program& program, Value value, const TypeRef& type) {
  if (type == nullptr) return value;
  switch (type->kind) {
    case TypeKind::kFloat:
      return value.kind() == ValueKind::kInt ? Value::number(value.as_double()) : value;
    case TypeKind::kOptional:
      return value.is_null() ? value : conform(program, std::move(value), type->items[0]);
    case TypeKind::kReference:
      return conform(program, std::move(value), type->target.lock());
    case TypeKind::kEnum:
      if (value.kind() == ValueKind::kString) {
        for (std::size_t i = 0; i < type->cases.size(); ++i) {
          if (type->cases[i].surface == value.as_string()) return Value::variant(type, i);
        }
      }
      return value;
    case TypeKind::kList: {
      if (value.kind() != ValueKind::kList) return value;
      Value::List items;
      for (const Value& item : value.as_list())
        items.push_back(conform(program, item, type->items[0]));
      auto out = Value::list(std::move(items));
      return out ? out->with(value.shared_origin()) : value;
    }
    case TypeKind::kMap: {
      if (value.kind() != ValueKind::kRecord) return value;
      Value::Entries entries;
      for (const Value::Entry& entry : value.as_record())
        entries.push_back({entry.name, conform(program, entry.value, type->items[0])});
      auto out = Value::record(std::move(entries));
      return out ? out->with(value.shared_origin()) : value;
    }
    case TypeKind::kUnion: {
      auto item = std::find_if(type->items.begin(), type->items.end(),
                               [&](const auto& one) { return fits(program, value, one); });
      if (item == type->items.end())
        item = std::find_if(type->items.begin(), type->items.end(), [&](const auto& one) {
          return has_keys(program, value, resolve(one));
        });
      return item == type->items.end() ? value : conform(program, std::move(value), *item);
    }
    case TypeKind::kRecord: {
      if (!has_keys(program, value, type)) return value;
      Value::Entries entries;
      for (const grammar::Field& field : type->fields) {
        if (const Value* given = value.field(field.name)) {
          entries.push_back({field.name, conform(program, *given, field.type)});
        } else if (const Json* fallback = default_of(program, *type, field)) {
          auto made = from_json(program, *fallback, field.type, field.name);
          if (!made) return value;  // it was checked with the program
          entries.push_back({field.name, std::move(*made)});
        }
      }
      auto out = Value::record(std::move(entries), type);
      return out ? out->with(value.shared_origin()) : value;
    }
    default:
      return value;
  }
}

Outcome<Value> part_of(const Value& x, const Value& places, const Span& span) {
  const std::int64_t low = std::max<std::int64_t>(places.low(), 0);
  if (x.kind() == ValueKind::kList || x.kind() == ValueKind::kRange) {
    const auto last = static_cast<std::int64_t>(std::min<std::uint64_t>(
                          x.length(), std::numeric_limits<std::int64_t>::max())) -
                      1;
    const std::int64_t high = std::min(places.high(), last);
    if (x.kind() == ValueKind::kRange)
      return low > high ? Value::range(0, -1) : Value::range(x.low() + low, x.low() + high);
    Value::List items;
    for (std::int64_t i = low; i <= high; ++i)
      items.push_back(x.as_list()[static_cast<std::size_t>(i)]);
    return made(Value::list(std::move(items)), span);
  }
  const auto text = text_of(x);
  if (!text)
    return value_failure(span,
                         std::string(name(x.kind())) + " is no list and no text to take a part of");
  const auto place = [&](std::int64_t character, std::size_t from) {
    std::size_t at = from;
    for (; character > 0 && at < text->size(); --character)
      at += std::max<std::size_t>(utf8::decode(*text, at).length, 1);
    return at;
  };
  if (places.high() < low) return Value::string("");
  const std::size_t begin = place(low, 0);
  const std::int64_t more = places.high() - low;
  const std::size_t end =
      place(more == std::numeric_limits<std::int64_t>::max() ? more : more + 1, begin);
  return Value::string(text->substr(begin, end - begin));
}

Outcome<Value> member(const Value& value, std::string_view key, const Span& span) {
  if (const Value* field = value.field(key)) return *field;
  const auto missing = [&] {
    return value_failure(
        span, std::string(name(value.kind())) + " has no field `" + std::string(key) + "`");
  };
  if (value.kind() == ValueKind::kRecord) {
    // A declared field that was left out (it may be) reads as null.
    if (const TypeRef& type = value.record_type(); type != nullptr) {
      for (const auto& field : type->fields) {
        if (field.name == key) return Value();
      }
    }
  }
  if (const Origin* origin = value.origin()) {
    if (key == "p" && origin->p) return Value::number(*origin->p);
    if (key == "dist" && origin->p) {
      Value::Entries entries;
      for (const auto& [choice, p] : origin->dist) entries.push_back({choice, Value::number(p)});
      return made(Value::record(std::move(entries)), span);
    }
    if (key == "truncated") return Value::boolean(origin->truncated);
    if (key == "spans") return places(*origin, span);
  }
  // A span that no hole of this run copied.
  if (key == "spans" && value.kind() == ValueKind::kString) return made(Value::list({}), span);
  switch (value.kind()) {
    case ValueKind::kVariant:
      if (key == "name") return Value::string(value.as_case().name);
      if (key == "surface") return Value::string(value.as_case().surface);
      if (key == "doc") return Value::string(value.as_case().doc);
      break;
    case ValueKind::kCall:
      if (key == "name") return Value::string(value.tool());
      if (key == "arguments") return value.arguments();
      return member(value.arguments(), key, span);
    case ValueKind::kList: {
      Value::List items;
      for (const Value& item : value.as_list()) {
        auto field = member(item, key, span);
        if (!field) return field;
        items.push_back(std::move(*field));
      }
      return made(Value::list(std::move(items)), span);
    }
    default:
      break;
  }
  return missing();
}

}  // namespace espalier::dsl
