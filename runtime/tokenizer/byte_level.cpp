#include "runtime/tokenizer/byte_level.h"

#include "base/utf8.h"

namespace espalier::runtime {
namespace {

// Printable Latin-1 bytes stand for themselves; the other 68 take the code points from 256 on, in
// order.
constexpr std::size_t kAlphabetEnd = 256 + 68;

constexpr bool is_printable(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr std::array<char32_t, 256> code_points() {
  std::array<char32_t, 256> out{};
  char32_t next = 256;
  for (unsigned byte = 0; byte < 256; ++byte) out[byte] = is_printable(byte) ? byte : next++;
  return out;
}
constexpr auto kCodePoints = code_points();

constexpr std::array<std::int16_t, kAlphabetEnd> bytes_of_code_points() {
  std::array<std::int16_t, kAlphabetEnd> out{};
  for (auto& byte : out) byte = -1;
  for (unsigned byte = 0; byte < 256; ++byte)
    out[kCodePoints[byte]] = static_cast<std::int16_t>(byte);
  return out;
}
constexpr auto kBytes = bytes_of_code_points();

}  // namespace

const std::array<std::string, 256>& byte_level_spellings() {
  static const auto spellings = [] {
    std::array<std::string, 256> out;
    for (std::size_t byte = 0; byte < 256; ++byte) utf8::append(out[byte], kCodePoints[byte]);
    return out;
  }();
  return spellings;
}

std::optional<std::string> byte_level_decode(std::string_view spelling) {
  std::string out;
  for (std::size_t at = 0; at < spelling.size();) {
    const utf8::Decoded next = utf8::decode(spelling, at);
    if (next.length == 0 || next.code_point >= kAlphabetEnd || kBytes[next.code_point] < 0)
      return std::nullopt;
    out += static_cast<char>(kBytes[next.code_point]);
    at += next.length;
  }
  return out;
}

}  // namespace espalier::runtime
