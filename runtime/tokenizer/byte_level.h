// GPT-2's byte-level alphabet: each byte is written as one printable code point in vocabularies and
// merges.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace espalier::runtime {

/// The UTF-8 spelling of each byte's code point.
[[nodiscard]] const std::array<std::string, 256>& byte_level_spellings();

/// The bytes that `spelling` stands for; nothing where it has a character outside the alphabet.
[[nodiscard]] std::optional<std::string> byte_level_decode(std::string_view spelling);

}  // namespace espalier::runtime
