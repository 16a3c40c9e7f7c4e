#include "runtime/jinja/characters.h"

#include <algorithm>
#include <span>

#include "base/utf8.h"

namespace espalier::runtime::jinja {
namespace {

using namespace internal;  // NOLINT(google-build-using-namespace): tables of its own

bool within(std::span<const CharacterRange> ranges, char32_t code) {
  const auto found =
      std::upper_bound(ranges.begin(), ranges.end(), code,
                       [](char32_t c, const CharacterRange& range) { return c < range.first; });
  return found != ranges.begin() && code <= std::prev(found)->last;
}

// The character that `code` becomes, or itself. A run of step 2 may lie inside another's bounds, so
// the few runs before the place are tried.
char32_t changed(std::span<const CaseRange> ranges, char32_t code) {
  auto found = std::upper_bound(ranges.begin(), ranges.end(), code,
                                [](char32_t c, const CaseRange& range) { return c < range.first; });
  for (int tries = 0; tries < 3 && found != ranges.begin(); ++tries) {
    --found;
    if (code <= found->last && (code - found->first) % static_cast<char32_t>(found->step) == 0)
      return static_cast<char32_t>(static_cast<std::int32_t>(code) + found->move);
  }
  return code;
}

const char* special(std::span<const CaseSpecial> list, char32_t code) {
  const auto found =
      std::lower_bound(list.begin(), list.end(), code,
                       [](const CaseSpecial& it, char32_t c) { return it.code < c; });
  return found != list.end() && found->code == code ? found->text : nullptr;
}

}  // namespace

Character character_at(std::string_view text, std::size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x80) return {byte, 1};
  const auto decoded = utf8::decode(text, at);
  return decoded.length == 0 ? Character{kMalformed, 1}
                             : Character{decoded.code_point, decoded.length};
}

std::size_t character_before(std::string_view text, std::size_t end) {
  for (std::size_t length = 2; length <= 4 && length <= end; ++length) {
    if (static_cast<unsigned char>(text[end - 1]) < 0x80) break;
    if (utf8::decode(text, end - length).length == length) return end - length;
  }
  return end - 1;
}

std::size_t count_characters(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); at += character_at(text, at).length) ++count;
  return count;
}

bool is_space(char32_t code) {
  if (code < 0x80)
    return code == ' ' || (code >= 9 && code <= 13) || (code >= 0x1C && code <= 0x1F);
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

std::size_t space_end(std::string_view text, std::size_t from) {
  while (from < text.size()) {
    const Character c = character_at(text, from);
    if (!is_space(c.code)) break;
    from += c.length;
  }
  return from;
}

std::string_view strip_left(std::string_view text) { return text.substr(space_end(text, 0)); }

std::string_view strip_right(std::string_view text) {
  while (!text.empty()) {
    const std::size_t start = character_before(text, text.size());
    if (!is_space(character_at(text, start).code)) break;
    text = text.substr(0, start);
  }
  return text;
}

bool is(CharacterClass wanted, char32_t code) {
  switch (wanted) {
    case CharacterClass::kAlpha:
      return within({kAlpha, kAlphaSize}, code);
    case CharacterClass::kDecimal:
      return within({kDecimal, kDecimalSize}, code);
    case CharacterClass::kDigit:
      return within({kDigit, kDigitSize}, code);
    case CharacterClass::kNumeric:
      return within({kNumeric, kNumericSize}, code);
    case CharacterClass::kPrintable:
      return within({kPrintable, kPrintableSize}, code);
  }
  return false;
}

void append_in_case(std::string& out, char32_t code, Case wanted) {
  if (wanted == Case::kTitle) {
    if (const char* text = special({kTitleSpecial, kTitleSpecialSize}, code); text != nullptr) {
      out += text;
      return;
    }
  }
  const bool lower = wanted == Case::kLower;
  const char* text = lower ? special({kLowerSpecial, kLowerSpecialSize}, code)
                           : special({kUpperSpecial, kUpperSpecialSize}, code);
  if (text != nullptr)
    out += text;
  else
    utf8::append(out,
                 lower ? changed({kLower, kLowerSize}, code) : changed({kUpper, kUpperSize}, code));
}

char32_t lower_sigma(bool cased_before, std::string_view after) {
  const char32_t next = after.empty() ? kMalformed : character_at(after, 0).code;
  const bool cased_after = next != kMalformed && (has_upper(next) || has_lower(next));
  return cased_before && !cased_after ? 0x3C2 : 0x3C3;
}

bool has_upper(char32_t code) {
  return changed({kLower, kLowerSize}, code) != code ||
         special({kLowerSpecial, kLowerSpecialSize}, code) != nullptr;
}
bool has_lower(char32_t code) {
  return changed({kUpper, kUpperSize}, code) != code ||
         special({kUpperSpecial, kUpperSpecialSize}, code) != nullptr;
}

}  // namespace espalier::runtime::jinja
