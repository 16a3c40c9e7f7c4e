#include "dsl/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace espalier::dsl {

struct Value::ListData {
  List items;
  std::uint64_t weight = 1;
  std::uint32_t depth = 1;
};
struct Value::RecordData {
  Entries entries;
  grammar::TypeRef type;
  std::optional<std::string> text;  // of a pattern's groups
  std::uint64_t weight = 1;
  std::uint32_t depth = 1;
};
struct Value::VariantData {
  grammar::TypeRef type;
  std::size_t index = 0;
};
struct Value::CallData {
  std::string tool;
  Value arguments;
};

namespace {

Status within_limits(std::uint64_t weight, std::uint32_t depth) {
  if (weight > Value::kMaxWeight) {
    return fail(ErrorCode::kLimit,
                "a value would weigh more than " + std::to_string(Value::kMaxWeight) + " bytes");
  }
  if (depth > Value::kMaxDepth) {
    return fail(ErrorCode::kLimit,
                "a value would nest deeper than " + std::to_string(Value::kMaxDepth) + " levels");
  }
  return {};
}

}  // namespace

std::string_view name(ValueKind kind) {
  switch (kind) {
    case ValueKind::kNull:
      return "null";
    case ValueKind::kBool:
      return "a bool";
    case ValueKind::kInt:
      return "an int";
    case ValueKind::kFloat:
      return "a float";
    case ValueKind::kString:
      return "a string";
    case ValueKind::kList:
      return "a list";
    case ValueKind::kRecord:
      return "a record";
    case ValueKind::kVariant:
      return "an enum case";
    case ValueKind::kCall:
      return "a tool call";
    case ValueKind::kRange:
      return "a range";
  }
  return "a value";
}

Value Value::boolean(bool value) {
  Value out;
  out.data_ = value;
  return out;
}
Value Value::integer(std::int64_t value) {
  Value out;
  out.data_ = value;
  return out;
}
Value Value::number(double value) {
  Value out;
  out.data_ = value;
  return out;
}
Value Value::string(std::string value) {
  Value out;
  out.data_ = std::make_shared<const std::string>(std::move(value));
  return out;
}
Value Value::variant(grammar::TypeRef type, std::size_t index) {
  ESP_CHECK(type != nullptr && index < type->cases.size());
  Value out;
  out.data_ = std::make_shared<const VariantData>(VariantData{std::move(type), index});
  return out;
}
Value Value::range(std::int64_t low, std::int64_t high) {
  Value out;
  out.data_ = Range{low, high};
  return out;
}

Result<Value> Value::list(List items) {
  ListData data;
  for (const Value& item : items) {
    data.weight += item.weight();
    data.depth = std::max(data.depth, item.depth() + 1);
    ESP_TRY(within_limits(data.weight, data.depth));
  }
  data.items = std::move(items);
  Value out;
  out.data_ = std::make_shared<const ListData>(std::move(data));
  return out;
}

Result<Value> Value::record(Entries entries, grammar::TypeRef type) {
  return made_record(std::move(entries), std::move(type), std::nullopt);
}
Result<Value> Value::groups(std::string text, Entries entries) {
  return made_record(std::move(entries), nullptr, std::move(text));
}

Result<Value> Value::made_record(Entries entries, grammar::TypeRef type,
                                 std::optional<std::string> text) {
  RecordData data;
  data.weight += text ? text->size() : 0;
  for (const Entry& entry : entries) {
    data.weight += entry.name.size() + entry.value.weight();
    data.depth = std::max(data.depth, entry.value.depth() + 1);
    ESP_TRY(within_limits(data.weight, data.depth));
  }
  data.entries = std::move(entries);
  data.type = std::move(type);
  data.text = std::move(text);
  Value out;
  out.data_ = std::make_shared<const RecordData>(std::move(data));
  return out;
}

Result<Value> Value::call(std::string tool, Value arguments) {
  ESP_TRY(within_limits(arguments.weight() + tool.size() + 1, arguments.depth() + 1));
  Value out;
  out.data_ = std::make_shared<const CallData>(CallData{std::move(tool), std::move(arguments)});
  return out;
}

ValueKind Value::kind() const { return static_cast<ValueKind>(data_.index()); }

double Value::as_double() const {
  if (kind() == ValueKind::kInt) return static_cast<double>(as_int());
  return std::get<double>(data_);
}
const Value::List& Value::as_list() const { return std::get<ListRef>(data_)->items; }
const Value::Entries& Value::as_record() const { return std::get<RecordRef>(data_)->entries; }
const grammar::EnumCase& Value::as_case() const {
  const VariantData& data = *std::get<VariantRef>(data_);
  return data.type->cases[data.index];
}
const grammar::TypeRef& Value::variant_type() const { return std::get<VariantRef>(data_)->type; }
const std::string& Value::tool() const { return std::get<CallRef>(data_)->tool; }
const Value& Value::arguments() const { return std::get<CallRef>(data_)->arguments; }

const grammar::TypeRef& Value::record_type() const { return std::get<RecordRef>(data_)->type; }

const Value* Value::field(std::string_view name) const {
  if (kind() != ValueKind::kRecord) return nullptr;
  for (const Entry& entry : as_record()) {
    if (entry.name == name) return &entry.value;
  }
  return nullptr;
}

std::uint64_t Value::length() const {
  if (kind() == ValueKind::kList) return as_list().size();
  const Range range = std::get<Range>(data_);
  if (range.low > range.high) return 0;
  const std::uint64_t span =
      static_cast<std::uint64_t>(range.high) - static_cast<std::uint64_t>(range.low);
  return span == std::numeric_limits<std::uint64_t>::max() ? span : span + 1;
}

Value Value::item(std::uint64_t index) const {
  if (kind() == ValueKind::kList) return as_list()[index];
  return integer(static_cast<std::int64_t>(static_cast<std::uint64_t>(low()) + index));
}

Value Value::with(std::shared_ptr<const Origin> origin) const {
  Value out = *this;
  out.origin_ = std::move(origin);
  return out;
}

std::uint64_t Value::weight() const {
  switch (kind()) {
    case ValueKind::kString:
      return as_string().size() + 1;
    case ValueKind::kList:
      return std::get<ListRef>(data_)->weight;
    case ValueKind::kRecord:
      return std::get<RecordRef>(data_)->weight;
    case ValueKind::kVariant:
      return as_case().surface.size() + 1;
    case ValueKind::kCall:
      return arguments().weight() + tool().size() + 1;
    // A range prints as a list: its numbers count, so that a huge one cannot become text.
    case ValueKind::kRange:
      return length() > kMaxWeight ? kMaxWeight + 1 : 1 + 8 * length();
    default:
      return 1;
  }
}

std::uint32_t Value::depth() const {
  switch (kind()) {
    case ValueKind::kList:
      return std::get<ListRef>(data_)->depth;
    case ValueKind::kRecord:
      return std::get<RecordRef>(data_)->depth;
    case ValueKind::kCall:
      return arguments().depth() + 1;
    case ValueKind::kRange:
      return 2;
    default:
      return 1;
  }
}

std::string print(double value) {
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  std::string out(buffer, end);
  if (out.find_first_of(".en") == std::string::npos) out += ".0";
  return out;
}

std::optional<std::string> text_of(const Value& value) {
  if (value.kind() == ValueKind::kString) return value.as_string();
  if (value.kind() == ValueKind::kVariant) return value.as_case().surface;
  return std::nullopt;
}

std::string print(const Value& value) {
  switch (value.kind()) {
    case ValueKind::kString:
      return value.as_string();
    case ValueKind::kVariant:
      return value.as_case().surface;
    case ValueKind::kInt:
      return std::to_string(value.as_int());
    case ValueKind::kFloat:
      return print(value.as_double());
    case ValueKind::kNull:
      return "null";
    case ValueKind::kBool:
      return value.as_bool() ? "true" : "false";
    default: {
      const Json json = written_json(value);
      if (json.is_string()) return json.get<std::string>();  // of a pattern's groups
      return json.dump(-1, ' ', false, Json::error_handler_t::replace);
    }
  }
}

Json json_of(const Value& value, bool written) {
  switch (value.kind()) {
    case ValueKind::kNull:
      return nullptr;
    case ValueKind::kBool:
      return value.as_bool();
    case ValueKind::kInt:
      return value.as_int();
    case ValueKind::kFloat:
      return value.as_double();
    case ValueKind::kString:
      return value.as_string();
    case ValueKind::kVariant:
      return value.as_case().surface;
    case ValueKind::kList:
    case ValueKind::kRange: {
      Json out = Json::array();
      const std::uint64_t n = std::min(value.length(), Value::kMaxWeight / 8);
      for (std::uint64_t i = 0; i < n; ++i) out.push_back(json_of(value.item(i), written));
      return out;
    }
    case ValueKind::kRecord: {
      const Value::RecordData& data = *std::get<Value::RecordRef>(value.data_);
      if (written && data.text) return *data.text;
      Json out = Json::object();
      for (const Value::Entry& entry : value.as_record()) {
        const std::string* key = &entry.name;
        if (data.type != nullptr) {
          for (const auto& field : data.type->fields) {
            if (field.name == entry.name) key = &field.key;
          }
        }
        out[*key] = json_of(entry.value, written);
      }
      return out;
    }
    case ValueKind::kCall: {
      Json out = Json::object();
      out["name"] = value.tool();
      out["arguments"] = json_of(value.arguments(), written);
      return out;
    }
  }
  return nullptr;
}

Json to_json(const Value& value) { return json_of(value, false); }
Json written_json(const Value& value) { return json_of(value, true); }

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return compare(a, b) == 0;
  if (a.kind() == ValueKind::kVariant && b.kind() == ValueKind::kString)
    return a.as_case().surface == b.as_string();
  if (b.kind() == ValueKind::kVariant && a.kind() == ValueKind::kString) return equal(b, a);
  const auto sequence = [](const Value& v) {
    return v.kind() == ValueKind::kList || v.kind() == ValueKind::kRange;
  };
  if (sequence(a) && sequence(b)) {
    if (a.length() != b.length()) return false;
    if (a.kind() == ValueKind::kRange && b.kind() == ValueKind::kRange)
      return a.length() == 0 || a.low() == b.low();
    for (std::uint64_t i = 0; i < a.length(); ++i) {
      if (!equal(a.item(i), b.item(i))) return false;
    }
    return true;
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case ValueKind::kNull:
      return true;
    case ValueKind::kBool:
      return a.as_bool() == b.as_bool();
    case ValueKind::kString:
      return a.as_string() == b.as_string();
    case ValueKind::kVariant:
      return a.as_case().name == b.as_case().name &&
             a.variant_type()->name == b.variant_type()->name;
    case ValueKind::kRecord: {
      if (a.as_record().size() != b.as_record().size()) return false;
      return std::all_of(a.as_record().begin(), a.as_record().end(),
                         [&](const Value::Entry& entry) {
                           const Value* other = b.field(entry.name);
                           return other != nullptr && equal(entry.value, *other);
                         });
    }
    case ValueKind::kCall:
      return a.tool() == b.tool() && equal(a.arguments(), b.arguments());
    default:
      return false;
  }
}

std::optional<int> compare(const Value& a, const Value& b) {
  const auto order = [](const auto& x, const auto& y) { return x < y ? -1 : (y < x ? 1 : 0); };
  if (a.kind() == ValueKind::kInt && b.kind() == ValueKind::kInt)
    return order(a.as_int(), b.as_int());
  if (a.is_number() && b.is_number()) {
    // long double holds every int64 and every double exactly on x86-64 and AArch64.
    const auto wide = [](const Value& v) {
      return v.kind() == ValueKind::kInt ? static_cast<long double>(v.as_int())
                                         : static_cast<long double>(v.as_double());
    };
    if (std::isnan(wide(a)) || std::isnan(wide(b))) return std::nullopt;
    return order(wide(a), wide(b));
  }
  if (a.kind() == ValueKind::kString && b.kind() == ValueKind::kString)
    return order(a.as_string(), b.as_string());
  return std::nullopt;
}

}  // namespace espalier::dsl
