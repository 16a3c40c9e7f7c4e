#include "runtime/tokenizer/unicode.h"

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <vector>

#include "base/utf8.h"

namespace espalier::runtime {
namespace {

// Pages of 256 code points; most are equal to another, so that few are kept.
class ClassTable {
 public:
  ClassTable() {
    std::map<Page, std::uint16_t> known;
    std::span<const internal::ClassRange> left{internal::kClassRanges, internal::kClassRangesSize};
    for (std::size_t number = 0; number < pages_.size(); ++number) {
      Page page{};
      const auto first = static_cast<char32_t>(number * kPageSize);
      while (!left.empty() && left.front().first < first + kPageSize) {
        const internal::ClassRange& range = left.front();
        const char32_t end = std::min<char32_t>(range.last + 1, first + kPageSize);
        for (char32_t code = std::max(range.first, first); code < end; ++code)
          page[code - first] = range.kind;
        if (range.last >= first + kPageSize) break;
        left = left.subspan(1);
      }
      const auto [at, fresh] =
          known.emplace(page, static_cast<std::uint16_t>(contents_.size() / kPageSize));
      if (fresh) contents_.insert(contents_.end(), page.begin(), page.end());
      pages_[number] = at->second;
    }
  }
  CharClass operator[](char32_t code) const {
    return contents_[pages_[code / kPageSize] * kPageSize + code % kPageSize];
  }

 private:
  static constexpr std::size_t kPageSize = 256;
  using Page = std::array<CharClass, kPageSize>;
  std::array<std::uint16_t, 0x110000 / kPageSize> pages_{};
  std::vector<CharClass> contents_;
};

constexpr std::array<CharClass, 128> ascii_classes() {
  std::array<CharClass, 128> classes{};
  for (char32_t c = 0; c < 128; ++c) {
    if (c > ' ' && c < 127) classes[c] = CharClass::kPunctuation;
    if (c >= 'A' && c <= 'Z') classes[c] = CharClass::kUpper;
    if (c >= 'a' && c <= 'z') classes[c] = CharClass::kLower;
    if (c >= '0' && c <= '9') classes[c] = CharClass::kNumber;
    if (c == ' ' || (c >= 9 && c <= 13)) classes[c] = CharClass::kSpace;
  }
  for (const char c : {'$', '+', '<', '=', '>', '^', '`', '|', '~'})
    classes[static_cast<unsigned char>(c)] = CharClass::kSymbol;
  return classes;
}
constexpr auto kAscii = ascii_classes();

}  // namespace

CharClass char_class(char32_t code_point) {
  if (code_point < kAscii.size()) return kAscii[code_point];
  static const ClassTable table;
  return code_point < 0x110000 ? table[code_point] : CharClass::kOther;
}

Scanned scan(std::string_view text, std::size_t offset) {
  const auto byte = static_cast<unsigned char>(text[offset]);
  if (byte < kAscii.size()) return {byte, 1, kAscii[byte]};
  const utf8::Decoded decoded = utf8::decode(text, offset);
  if (decoded.length == 0) return {0xFFFD, 1, CharClass::kSymbol};
  return {decoded.code_point, decoded.length, char_class(decoded.code_point)};
}

}  // namespace espalier::runtime
