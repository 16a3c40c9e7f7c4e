#include <algorithm>
#include <charconv>
#include <cmath>

#include "runtime/jinja/interpreter.h"
#include "runtime/jinja/numbers.h"

namespace espalier::runtime::jinja {
namespace {

Result<Value> convert(Arena& arena, const Json& json, Origin origin, std::uint32_t depth) {
  if (depth > kMaxDataNesting)
    return fail(ErrorCode::kLimit,
                "the input is nested deeper than " + std::to_string(kMaxDataNesting));
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value::of(json.get<bool>());
    case Json::value_t::number_integer:
      return Value::of(json.get<std::int64_t>());
    case Json::value_t::number_unsigned:
      if (json.get<std::uint64_t>() > INT64_MAX)
        return fail(ErrorCode::kLimit, "an integer of the input has more than 63 bits");
      return Value::of(json.get<std::int64_t>());
    case Json::value_t::number_float:
      return Value::of(json.get<double>());
    case Json::value_t::string:
      return Value::of(make_str(arena, json.get_ref<const std::string&>(), origin));
    case Json::value_t::array: {
      Value* items = arena.array<Value>(json.size());
      std::uint32_t size = 0;
      for (const Json& it : json) {
        ESP_ASSIGN(items[size++], convert(arena, it, origin, depth + 1));
      }
      return Value::of(arena.make(List{items, size}));
    }
    case Json::value_t::object: {
      Entry* entries = arena.array<Entry>(json.size());
      std::uint32_t size = 0;
      for (const auto& [key, value] : json.items()) {
        entries[size].key = Value::of(make_str(arena, key, origin));
        ESP_ASSIGN(entries[size].value, convert(arena, value, origin, depth + 1));
        ++size;
      }
      return Value::of(arena.make(Dict{entries, size}));
    }
    default:
      return Value::none();
  }
}

}  // namespace

Result<Value> from_json(Arena& arena, const Json& json, Origin origin) {
  return convert(arena, json, origin, 0);
}

const Dict* make_dict(Arena& arena, const std::vector<Entry>& entries) {
  return arena.make(Dict{arena.copy(entries).data(), static_cast<std::uint32_t>(entries.size())});
}
const List* make_list(Arena& arena, const std::vector<Value>& items) {
  return arena.make(List{arena.copy(items).data(), static_cast<std::uint32_t>(items.size())});
}

Value Interpreter::list(const std::vector<Value>& items, Kind kind) {
  return Value::of(make_list(arena_, items), kind);
}

Value Interpreter::iterator(std::span<const Value> items) {
  return Value::of(
      arena_.make(Iterator{items.data(), static_cast<std::uint32_t>(items.size()), 0, nullptr}));
}

// What a generator gives that fails after `items`: the failure waits until a pass gets there.
Value Interpreter::iterator_failing(const std::vector<Value>& items) {
  const Value made = iterator(arena_.copy(items));
  if (failed_ && error_->code == ErrorCode::kInvalid) {
    std::string_view message = error_->message;
    message.remove_prefix(
        std::min(message.find(": ") + 2, message.size()));  // it gets its own line then
    made.iterator->failure = make_str(arena_, message, kTemplate);
    failed_ = false;
    error_.reset();
  }
  return made;
}

std::optional<std::int64_t> Interpreter::length_of(const Value& value) {
  switch (value.kind) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      if (!spend(value.string->size / 32)) return 0;
      return static_cast<std::int64_t>(count_characters(value.string->view()));
    case Kind::kList:
    case Kind::kTuple:
      return value.list->size;
    case Kind::kDict:
      return value.dict->size;
    case Kind::kView:
      return value.view->dict->size;
    case Kind::kRange:
      return value.range->size;
    case Kind::kLoop:
      return length_of(*value.loop);
    default:
      return std::nullopt;
  }
}

bool Interpreter::iterable(const Value& value) {
  switch (value.kind) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kView:
    case Kind::kRange:
    case Kind::kIterator:
    case Kind::kLoop:
      return true;
    default:
      return false;
  }
}

std::span<const Value> Interpreter::items_of(const Value& value) {
  if (failed_) return {};
  const auto made = [&](std::size_t size) -> Value* {
    return room(size * sizeof(Value)) ? arena_.array<Value>(size) : nullptr;
  };
  switch (value.kind) {
    case Kind::kUndefined:
      return {};
    case Kind::kList:
    case Kind::kTuple:
      return value.list->span();
    case Kind::kDict:
    case Kind::kView: {
      const Dict& dict = value.is(Kind::kDict) ? *value.dict : *value.view->dict;
      const auto what = value.is(Kind::kDict) ? View::What::kKeys : value.view->what;
      Value* items = made(dict.size * (what == View::What::kItems ? 3 : 1));
      if (items == nullptr) return {};
      for (std::uint32_t i = 0; i < dict.size; ++i) {
        const Entry& it = dict.entries[i];
        if (what != View::What::kItems) {
          items[i] = what == View::What::kKeys ? it.key : it.value;
          continue;
        }
        Value* pair = items + dict.size + 2 * std::size_t{i};
        pair[0] = it.key;
        pair[1] = it.value;
        items[i] = Value::of(arena_.make(List{pair, 2}), Kind::kTuple);
      }
      return {items, dict.size};
    }
    case Kind::kRange: {
      Value* items = made(value.range->size);
      if (items == nullptr) return {};
      for (std::uint32_t i = 0; i < value.range->size; ++i)
        items[i] = Value::of(value.range->at(i));
      return {items, value.range->size};
    }
    case Kind::kString: {
      const auto text = value.string->view();
      if (!room(text.size() * (sizeof(Value) + sizeof(Str)))) return {};
      std::vector<Value> items;
      for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = character_at(text, at).length;
        items.push_back(Value::of(slice(arena_, *value.string, at, at + length)));
        at += length;
      }
      return arena_.copy(items);
    }
    case Kind::kIterator: {
      Iterator& it = *value.iterator;
      const std::span<const Value> rest(it.items + it.at, it.size - it.at);
      it.at = it.size;
      if (it.failure != nullptr) fail(std::string(it.failure->view()));
      return rest;
    }
    case Kind::kLoop:
      fail("a pass over a loop variable is not supported", ErrorCode::kUnsupported);
      return {};
    default:
      fail(std::string("a ") + type_name(value.kind) + " is not iterable");
      return {};
  }
}

std::optional<std::int64_t> Interpreter::as_integer(const Value& value, const char* what) {
  if (value.is_integral()) return value.as_int();
  if (value.is_undefined())
    fail_undefined(value);
  else
    fail(std::string(what) + " needs an integer, not a " + type_name(value.kind));
  return std::nullopt;
}

Value Interpreter::to_float(const Value& value, const Value& otherwise) {
  if (value.is_undefined()) return fail_undefined(value);
  if (const auto real = number(value)) return Value::of(*real);
  if (value.is(Kind::kString)) {
    if (const auto real = parse_float(value.string->view())) return Value::of(*real);
  }
  return otherwise;
}

Value Interpreter::to_int(const Value& value, const Value& otherwise, std::int64_t base) {
  if (value.is_undefined()) return fail_undefined(value);
  if (value.is_integral()) return Value::of(value.as_int());
  const auto truncated = [&](double real) {
    if (std::isnan(real) || std::isinf(real)) return otherwise;
    if (std::abs(real) >= 9223372036854775808.0)
      return fail("an integer has more than 63 bits", ErrorCode::kLimit);
    return Value::of(static_cast<std::int64_t>(real));
  };
  if (value.is(Kind::kFloat)) return truncated(value.real);
  if (!value.is(Kind::kString)) return otherwise;
  bool too_large = false;
  if (const auto whole = parse_integer(value.string->view(), base, too_large))
    return Value::of(*whole);
  if (too_large) return fail("an integer has more than 63 bits", ErrorCode::kLimit);
  const auto real = parse_float(value.string->view());
  return real ? truncated(*real) : otherwise;
}

}  // namespace espalier::runtime::jinja
