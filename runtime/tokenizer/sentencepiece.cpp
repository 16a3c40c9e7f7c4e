#include "runtime/tokenizer/sentencepiece.h"

#include <optional>

namespace espalier::runtime {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581
constexpr char kHex[] = "0123456789ABCDEF";

std::string byte_spelling(unsigned byte) {
  return {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
}

// The byte that "<0x0A>" spells; nothing for any other form.
std::optional<char> spelled_byte(std::string_view text) {
  const auto digit = [](char c) { return std::string_view(kHex, 16).find(c); };
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return std::nullopt;
  const std::size_t high = digit(text[3]);
  const std::size_t low = digit(text[4]);
  if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
  return static_cast<char>(high << 4 | low);
}

}  // namespace

std::string unescape_spaces(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t next = std::min(text.find(kSpace, at), text.size());
    out += text.substr(at, next - at);
    at = next;
    if (at == text.size()) break;
    out += ' ';
    at += kSpace.size();
  }
  return out;
}

Result<std::vector<std::string>> sentencepiece_bytes(const TokenizerSource& source) {
  std::vector<std::string> out(source.tokens.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (source.tokens[i].empty()) continue;
    switch (source.types[i]) {
      case TokenType::kNormal:
      case TokenType::kUserDefined:
        out[i] = unescape_spaces(source.tokens[i]);
        break;
      case TokenType::kByte: {
        const auto byte = spelled_byte(source.tokens[i]);
        if (!byte) {
          return source.refuse(ErrorCode::kCorrupt,
                               source.named(static_cast<TokenId>(i)) +
                                   " is typed a byte, and is not spelled \"<0x00>\" to \"<0xFF>\"");
        }
        out[i] = *byte;
        break;
      }
      case TokenType::kUnknown:
      case TokenType::kControl:
      case TokenType::kUnused:
        break;
    }
  }
  return out;
}

std::array<TokenId, 256> byte_tokens(const TokenizerSource& source) {
  std::array<TokenId, 256> out{};
  for (unsigned byte = 0; byte < 256; ++byte)
    out[byte] = source.find(byte_spelling(byte), TokenType::kByte);
  return out;
}

}  // namespace espalier::runtime
