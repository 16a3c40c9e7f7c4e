#include "runtime/tokenizer/word_pattern.h"

#include "base/result.h"

namespace espalier::runtime {
namespace {

using Contractions = WordPattern::Contractions;
using Words = WordPattern::Words;

bool is_newline(char32_t code_point) { return code_point == '\r' || code_point == '\n'; }

// The length of 's, 't, 're, 've, 'm, 'll or 'd at `at`, or 0.
std::size_t contraction(std::string_view text, std::size_t at, bool any_case) {
  if (at + 1 >= text.size() || text[at] != '\'') return 0;
  const auto letter = [&](std::size_t offset) -> char {
    if (offset >= text.size()) return '\0';
    const char c = text[offset];
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  };
  const char first = letter(at + 1);
  const char second = letter(at + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
      (first == 'l' && second == 'l'))
    return 3;
  return 0;
}

bool in_capitals(CharClass kind) {
  return kind == CharClass::kUpper || kind == CharClass::kUncased || is_mark(kind);
}
bool in_small(CharClass kind) {
  return kind == CharClass::kLower || kind == CharClass::kUncased || is_mark(kind);
}

// U*L+ from `at`, or 0. Where the run of U takes all that L would need, a backtracking matcher
// gives back its characters up to the last that is also an L.
std::size_t match_small_word(std::string_view text, std::size_t at) {
  std::size_t end = at;
  std::size_t after_shared = 0;  // the end of the last character that is both U and L
  while (end < text.size()) {
    const Scanned next = scan(text, end);
    if (!in_capitals(next.kind)) break;
    end += next.length;
    if (next.kind != CharClass::kUpper) after_shared = end;
  }
  if (end < text.size() && scan(text, end).kind == CharClass::kLower)
    return end_of_run(text, end, [](const Scanned& it) { return in_small(it.kind); });
  return after_shared;
}

// U+L* from `at`, or 0.
std::size_t match_capital_word(std::string_view text, std::size_t at) {
  const auto capitals = [](const Scanned& it) { return in_capitals(it.kind); };
  const auto small = [](const Scanned& it) { return in_small(it.kind); };
  const std::size_t end = end_of_run(text, at, capitals);
  return end == at ? 0 : end_of_run(text, end, small);
}

// The end of a capitalised word with the character before it, or 0.
std::size_t match_capitalised(std::string_view text, std::size_t at, const Scanned& first) {
  const bool can_lead =
      !is_letter(first.kind) && first.kind != CharClass::kNumber && !is_newline(first.code_point);
  for (const auto word : {match_small_word, match_capital_word}) {
    std::size_t end = 0;
    if (can_lead) end = word(text, at + first.length);
    if (end == 0) end = word(text, at);
    if (end != 0) return end;
  }
  return 0;
}

}  // namespace

std::size_t match_white_space(std::string_view text, std::size_t at, bool newlines) {
  std::size_t end = at;
  std::size_t last = at;           // where the run's last character starts
  std::size_t after_newline = at;  // the end of the run's last line break
  while (end < text.size()) {
    const Scanned next = scan(text, end);
    if (next.kind != CharClass::kSpace) break;
    last = end;
    end += next.length;
    if (is_newline(next.code_point)) after_newline = end;
  }
  if (newlines && after_newline > at) return after_newline - at;
  // All of it at the text's end; else its last character belongs to what follows, or stands alone.
  return (end < text.size() && last > at ? last : end) - at;
}

std::size_t WordPattern::match(std::string_view text, std::size_t at) const {
  if (contractions == Contractions::kLower || contractions == Contractions::kAnyCase) {
    const std::size_t length = contraction(text, at, contractions == Contractions::kAnyCase);
    if (length > 0) return length;
  }
  const Scanned first = scan(text, at);
  const std::size_t next_at = at + first.length;
  const Scanned second = next_at < text.size() ? scan(text, next_at) : Scanned{0, 0};

  // Words.
  const bool marks = words == Words::kWithMarks;
  const auto in_word = [marks](const Scanned& it) {
    return is_letter(it.kind) || (marks && is_mark(it.kind));
  };
  if (words == Words::kCapitalised) {
    if (const std::size_t end = match_capitalised(text, at, first); end > 0) {
      const bool ending = contractions == Contractions::kEnding;
      return end + (ending ? contraction(text, end, true) : 0) - at;
    }
  } else {
    const bool leads = words == Words::kAfterSpace
                           ? first.code_point == ' '
                           : first.kind != CharClass::kNumber && !is_newline(first.code_point);
    if (in_word(first) || (leads && in_word(second)))
      return end_of_run(text, next_at, in_word) - at;
  }

  // Numbers.
  const bool spaced = first.code_point == ' ';
  const auto is_number = [](const Scanned& it) { return it.kind == CharClass::kNumber; };
  if (is_number(first) || (space_before_digits && spaced && is_number(second))) {
    std::size_t end = next_at;
    for (std::size_t count = 1; count < digits && end < text.size(); ++count) {
      const Scanned next = scan(text, end);
      if (!is_number(next)) break;
      end += next.length;
    }
    return end - at;
  }

  // Runs of other characters.
  const auto is_other = [&](const Scanned& it) {
    return it.length > 0 && it.kind != CharClass::kSpace && !in_word(it) && !is_number(it);
  };
  if (is_other(first) || (spaced && is_other(second))) {
    std::size_t end = end_of_run(text, next_at, is_other);
    while (end < text.size() && after_others.find(text[end]) != std::string_view::npos) ++end;
    return end - at;
  }
  ESP_CHECK(first.kind == CharClass::kSpace);
  return match_white_space(text, at, newlines);
}

}  // namespace espalier::runtime
