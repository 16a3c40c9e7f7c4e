// What comes in: JSON-RPC messages and their parameters, read without trust in their shape.
//
// Objects are sorted by key, since members of any number may come and reading them in their own
// order takes quadratic time. Answers are built as Json.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "cli/lsp/text_position.h"

namespace espalier::cli::lsp {

using In = nlohmann::json;

// Error codes of JSON-RPC 2.0 and LSP 3.17.
inline constexpr int kParseError = -32700;
inline constexpr int kInvalidRequest = -32600;
inline constexpr int kMethodNotFound = -32601;
inline constexpr int kInvalidParams = -32602;
inline constexpr int kInternalError = -32603;
inline constexpr int kServerNotInitialized = -32002;
inline constexpr int kRequestFailed = -32803;

/// The member of an object by a path of keys, or null.
[[nodiscard]] inline const In* member(const In& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto at = object.find(key);
  return at == object.end() ? nullptr : &*at;
}
template <class... Keys>
[[nodiscard]] const In* member(const In& object, std::string_view key, Keys... more) {
  const In* inner = member(object, key);
  return inner == nullptr ? nullptr : member(*inner, more...);
}

template <class... Keys>
[[nodiscard]] std::optional<std::string> text_in(const In& object, Keys... keys) {
  const In* found = member(object, keys...);
  if (found == nullptr || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

/// A count that fits: LSP's uinteger goes to 2³¹ - 1.
[[nodiscard]] inline std::optional<std::uint32_t> count_in(const In* value) {
  if (value == nullptr || !value->is_number_integer()) return std::nullopt;
  const auto number = value->get<std::int64_t>();
  if (number < 0 || number > 0x7FFFFFFF) return std::nullopt;
  return static_cast<std::uint32_t>(number);
}

[[nodiscard]] inline std::optional<TextPosition> position_in(const In* value) {
  if (value == nullptr) return std::nullopt;
  const auto line = count_in(member(*value, "line"));
  const auto character = count_in(member(*value, "character"));
  if (!line || !character) return std::nullopt;
  return TextPosition{*line, *character};
}

}  // namespace espalier::cli::lsp
