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

char32_t to_lower(char32_t code_point) {
  const std::span<const internal::LowerRange> ranges{internal::kLowerRanges,
                                                     internal::kLowerRangesSize};
  const auto after = std::upper_bound(
      ranges.begin(), ranges.end(), code_point,
      [](char32_t wanted, const internal::LowerRange& range) { return wanted < range.first; });
  if (after == ranges.begin()) return code_point;
  const internal::LowerRange& range = *std::prev(after);
  if (code_point > range.last || (code_point - range.first) % range.step != 0) return code_point;
  return static_cast<char32_t>(static_cast<std::int32_t>(code_point) + range.shift);
}

void append_base(std::u32string& out, char32_t code_point) {
  // Hangul syllables are made of two or three letters by a formula (Unicode, section 3.12).
  constexpr char32_t kFirst = 0xAC00, kVowels = 21, kTrailing = 28;
  if (code_point >= kFirst && code_point <= 0xD7A3) {
    const char32_t index = code_point - kFirst;
    out.push_back(0x1100 + index / (kVowels * kTrailing));
    out.push_back(0x1161 + index / kTrailing % kVowels);
    if (index % kTrailing > 0) out.push_back(0x11A7 + index % kTrailing);
    return;
  }
  const std::span<const internal::Base> bases{internal::kBases, internal::kBasesSize};
  const auto found = std::lower_bound(
      bases.begin(), bases.end(), code_point,
      [](const internal::Base& base, char32_t wanted) { return base.code_point < wanted; });
  if (found == bases.end() || found->code_point != code_point) {
    out += code_point;
    return;
  }
  for (const char32_t kept : found->kept) {
    if (kept != 0) out += kept;
  }
}

Scanned scan(std::string_view text, std::size_t offset) {
  const auto byte = static_cast<unsigned char>(text[offset]);
  if (byte < kAscii.size()) return {byte, 1, kAscii[byte]};
  const utf8::Decoded decoded = utf8::decode(text, offset);
  if (decoded.length == 0) return {0xFFFD, 1, CharClass::kSymbol};
  return {decoded.code_point, decoded.length, char_class(decoded.code_point)};
}

}  // namespace espalier::runtime
