// The values of a GGUF's keys: their types and ranges.
#include <cmath>
#include <limits>
#include <utility>

#include "runtime/model/gguf_values.h"

namespace espalier::runtime {
namespace {

template <class Visit>
auto visit_integer(GgufType type, const std::byte* bytes, Visit visit) {
  switch (type) {
    case GgufType::kU8:
      return visit(load<std::uint8_t>(bytes));
    case GgufType::kI8:
      return visit(load<std::int8_t>(bytes));
    case GgufType::kU16:
      return visit(load<std::uint16_t>(bytes));
    case GgufType::kI16:
      return visit(load<std::int16_t>(bytes));
    case GgufType::kU32:
      return visit(load<std::uint32_t>(bytes));
    case GgufType::kI32:
      return visit(load<std::int32_t>(bytes));
    case GgufType::kI64:
      return visit(load<std::int64_t>(bytes));
    default:
      return visit(load<std::uint64_t>(bytes));
  }
}

bool is_integer(GgufType type) {
  return type == GgufType::kU64 || type == GgufType::kI64 || static_cast<std::uint32_t>(type) <= 5;
}

}  // namespace

bool Gguf::has_array(std::string_view key) const {
  const auto found = values_.find(key);
  return found != values_.end() && found->second.type == GgufType::kArray;
}

std::vector<std::string_view> Gguf::keys_below(std::string_view prefix) const {
  std::vector<std::string_view> out;
  for (auto it = values_.lower_bound(prefix); it != values_.end(); ++it) {
    if (!it->first.starts_with(prefix)) break;
    out.push_back(it->first);
  }
  return out;
}

Result<const Gguf::Value*> Gguf::value(std::string_view key, GgufType type) const {
  const auto found = values_.find(key);
  if (found == values_.end())
    return refuse(ErrorCode::kNotFound, "key " + shown(key) + " is missing");
  if (found->second.type != type) {
    return refuse(ErrorCode::kCorrupt, "key " + shown(key) + " is of type " +
                                           type_name(found->second.type) + ", expected " +
                                           type_name(type));
  }
  return &found->second;
}

Result<const Gguf::Value*> Gguf::array(std::string_view key, GgufType element) const {
  ESP_ASSIGN(const Value* found, value(key, GgufType::kArray));
  if (found->element != element) {
    return refuse(ErrorCode::kCorrupt, "key " + shown(key) + " is an array of " +
                                           type_name(found->element) + ", expected " +
                                           type_name(element));
  }
  ESP_TRY(check_array_size(key, *found));
  return found;
}

Status Gguf::check_array_size(std::string_view key, const Value& found) const {
  if (found.count <= kMaxArrayElements) return {};
  return refuse(ErrorCode::kLimit, "key " + shown(key) + ": an array of " +
                                       number_text(found.count) + " elements; at most " +
                                       number_text(kMaxArrayElements));
}

std::string Gguf::stored_value(std::string_view key) const {
  const Value& value = values_.find(key)->second;
  std::string out;
  const auto put = [&out](auto number) {
    out.append(reinterpret_cast<const char*>(&number), sizeof number);
  };
  put(static_cast<std::uint32_t>(value.type));
  if (value.type == GgufType::kArray) {
    put(static_cast<std::uint32_t>(value.element));
    put(value.count);
  } else if (value.type == GgufType::kString) {
    put(std::uint64_t{value.bytes.size()});
  }
  out.append(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
  return out;
}

Result<std::uint64_t> Gguf::integer(std::string_view key, std::uint64_t least,
                                    std::uint64_t most) const {
  const auto found = values_.find(key);
  if (found == values_.end())
    return refuse(ErrorCode::kNotFound, "key " + shown(key) + " is missing");
  if (!is_integer(found->second.type)) {
    return refuse(ErrorCode::kCorrupt, "key " + shown(key) + " is of type " +
                                           type_name(found->second.type) + ", expected an integer");
  }
  return visit_integer(
      found->second.type, found->second.bytes.data(), [&](auto stored) -> Result<std::uint64_t> {
        if (std::cmp_less(stored, least) || std::cmp_greater(stored, most)) {
          return refuse(ErrorCode::kCorrupt, "key " + shown(key) + ": " + std::to_string(stored) +
                                                 " is not in " + number_text(least) + " to " +
                                                 number_text(most));
        }
        return static_cast<std::uint64_t>(stored);
      });
}

Result<std::uint64_t> Gguf::integer_or(std::string_view key, std::uint64_t fallback,
                                       std::uint64_t least, std::uint64_t most) const {
  if (!has(key)) return fallback;
  return integer(key, least, most);
}

Result<double> Gguf::number(std::string_view key, double least, double most) const {
  const auto found = values_.find(key);
  const bool wide = found != values_.end() && found->second.type == GgufType::kF64;
  ESP_ASSIGN(const Value* stored, value(key, wide ? GgufType::kF64 : GgufType::kF32));
  const double number =
      wide ? load<double>(stored->bytes.data()) : load<float>(stored->bytes.data());
  if (!std::isfinite(number) || number < least || number > most) {
    return refuse(ErrorCode::kCorrupt, "key " + shown(key) + ": " + std::to_string(number) +
                                           " is not in " + std::to_string(least) + " to " +
                                           std::to_string(most));
  }
  return number;
}

Result<double> Gguf::number_or(std::string_view key, double fallback, double least,
                               double most) const {
  if (!has(key)) return fallback;
  return number(key, least, most);
}

Result<bool> Gguf::boolean(std::string_view key) const {
  ESP_ASSIGN(const Value* stored, value(key, GgufType::kBool));
  return load<std::uint8_t>(stored->bytes.data()) == 1;
}

Result<bool> Gguf::boolean_or(std::string_view key, bool fallback) const {
  if (!has(key)) return fallback;
  return boolean(key);
}

Result<std::string_view> Gguf::string(std::string_view key) const {
  ESP_ASSIGN(const Value* stored, value(key, GgufType::kString));
  return std::string_view(reinterpret_cast<const char*>(stored->bytes.data()),
                          stored->bytes.size());
}

Result<std::vector<std::string_view>> Gguf::strings(std::string_view key) const {
  ESP_ASSIGN(const Value* stored, array(key, GgufType::kString));
  std::vector<std::string_view> out;
  out.reserve(stored->count);
  const std::byte* at = stored->bytes.data();
  for (std::uint64_t i = 0; i < stored->count; ++i) {  // read_array() has walked the same bytes
    const auto length = load<std::uint64_t>(at);
    out.emplace_back(reinterpret_cast<const char*>(at + sizeof length), length);
    at += sizeof length + length;
  }
  return out;
}

Result<std::vector<std::int64_t>> Gguf::integers(std::string_view key) const {
  ESP_ASSIGN(const Value* stored, value(key, GgufType::kArray));
  if (!is_integer(stored->element)) {
    return refuse(ErrorCode::kCorrupt, "key " + shown(key) + " is an array of " +
                                           type_name(stored->element) + ", expected integers");
  }
  ESP_TRY(check_array_size(key, *stored));
  std::vector<std::int64_t> out;
  out.reserve(stored->count);
  const std::uint64_t step = scalar_bytes(stored->element);
  for (std::uint64_t i = 0; i < stored->count; ++i) {
    const auto fits =
        visit_integer(stored->element, stored->bytes.data() + i * step, [&](auto number) {
          if (std::cmp_greater(number, std::numeric_limits<std::int64_t>::max())) return false;
          out.push_back(static_cast<std::int64_t>(number));
          return true;
        });
    if (!fits) {
      return refuse(ErrorCode::kCorrupt,
                    "key " + shown(key) + ": element " + number_text(i) + " is above 2^63 - 1");
    }
  }
  return out;
}

Result<std::vector<bool>> Gguf::booleans(std::string_view key) const {
  ESP_ASSIGN(const Value* stored, array(key, GgufType::kBool));
  std::vector<bool> out;
  out.reserve(stored->count);
  for (const std::byte value : stored->bytes) out.push_back(value != std::byte{0});
  return out;
}

Result<std::vector<float>> Gguf::numbers(std::string_view key) const {
  ESP_ASSIGN(const Value* stored, array(key, GgufType::kF32));
  std::vector<float> out(stored->count);
  if (!out.empty()) std::memcpy(out.data(), stored->bytes.data(), stored->bytes.size());
  return out;
}

}  // namespace espalier::runtime
