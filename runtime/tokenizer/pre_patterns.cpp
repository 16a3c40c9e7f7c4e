#include "runtime/tokenizer/pre_patterns.h"

#include <algorithm>
#include <iterator>

#include "runtime/tokenizer/word_pattern.h"

namespace espalier::runtime {
namespace {

struct Range {
  char32_t first, last;
};

// The letters that DeepSeek LLM's tokenizer lists: those with case, as its authors' Unicode had
// them.
constexpr Range kDeepseekLetters[] = {
    {0x41, 0x5a},       {0x61, 0x7a},       {0xb5, 0xb5},       {0xc0, 0xd6},
    {0xd8, 0xf6},       {0xf8, 0x1ba},      {0x1bc, 0x1bf},     {0x1c4, 0x293},
    {0x295, 0x2af},     {0x370, 0x373},     {0x376, 0x377},     {0x37b, 0x37d},
    {0x37f, 0x37f},     {0x386, 0x386},     {0x388, 0x38a},     {0x38c, 0x38c},
    {0x38e, 0x3a1},     {0x3a3, 0x3f5},     {0x3f7, 0x481},     {0x48a, 0x52f},
    {0x531, 0x556},     {0x10a0, 0x10c5},   {0x13a0, 0x13f5},   {0x13f8, 0x13fd},
    {0x1c90, 0x1cba},   {0x1cbd, 0x1cbf},   {0x1d00, 0x1d2b},   {0x1d6b, 0x1d77},
    {0x1d79, 0x1d9a},   {0x1e00, 0x1f15},   {0x1f18, 0x1f1d},   {0x1f20, 0x1f45},
    {0x1f48, 0x1f4d},   {0x1f50, 0x1f57},   {0x1f59, 0x1f59},   {0x1f5b, 0x1f5b},
    {0x1f5d, 0x1f5d},   {0x1f5f, 0x1f7d},   {0x1f80, 0x1fb4},   {0x1fb6, 0x1fbc},
    {0x1fbe, 0x1fbe},   {0x1fc2, 0x1fc4},   {0x1fc6, 0x1fcc},   {0x1fd0, 0x1fd3},
    {0x1fd6, 0x1fdb},   {0x1fe0, 0x1fec},   {0x1ff2, 0x1ff4},   {0x1ff6, 0x1ffc},
    {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210a, 0x2113},   {0x2115, 0x2115},
    {0x2119, 0x211d},   {0x2124, 0x2124},   {0x2126, 0x2126},   {0x2128, 0x2128},
    {0x212a, 0x212d},   {0x212f, 0x2134},   {0x2139, 0x2139},   {0x213c, 0x213f},
    {0x2145, 0x2149},   {0x214e, 0x214e},   {0x2183, 0x2184},   {0x2c00, 0x2c7b},
    {0x2c7e, 0x2ce4},   {0x2ceb, 0x2cee},   {0x2cf2, 0x2cf3},   {0xa640, 0xa66d},
    {0xa680, 0xa69b},   {0xa722, 0xa76f},   {0xa771, 0xa787},   {0xa78b, 0xa78e},
    {0xab70, 0xabbf},   {0xfb00, 0xfb06},   {0xfb13, 0xfb17},   {0xff21, 0xff3a},
    {0xff41, 0xff5a},   {0x10400, 0x1044f}, {0x104b0, 0x104d3}, {0x104d8, 0x104fb},
    {0x10c80, 0x10cb2}, {0x10cc0, 0x10cf2}, {0x118a0, 0x118df}, {0x1e900, 0x1e943},
};
constexpr Range kDeepseekPunctuation[] = {
    {'!', '/'}, {':', '~'}, {0x2018, 0x201f}, {0x3000, 0x3002}, {0xff01, 0xff0f}, {0xff1a, 0xff5e},
};
constexpr Range kDeepseekCjk[] = {{0x800, 0x9fa5}, {0xac00, 0xd7ff}};
constexpr Range kHanAndKana[] = {{0x3040, 0x30ff}, {0x4e00, 0x9fa5}};

template <std::size_t size>
bool contains(const Range (&ranges)[size], char32_t code_point) {
  const Range* const after =
      std::upper_bound(std::begin(ranges), std::end(ranges), code_point,
                       [](char32_t wanted, const Range& range) { return wanted < range.first; });
  return after != std::begin(ranges) && code_point <= std::prev(after)->last;
}

template <class Belongs>
std::size_t match_run(std::string_view piece, std::size_t at, Belongs&& belongs) {
  return end_of_run(piece, at, belongs) - at;
}

// A run after `lead`, the end of an optional character before it: lead?run+. The run is tried after
// the lead first, then without it.
template <class Belongs>
std::size_t match_led_run(std::string_view piece, std::size_t at, std::size_t lead,
                          Belongs&& belongs) {
  const std::size_t end = end_of_run(piece, lead, belongs);
  return end > lead ? end - at : match_run(piece, at, belongs);
}

// \s?run+
template <class Belongs>
std::size_t match_spaced_run(std::string_view piece, std::size_t at, Belongs&& belongs) {
  const Scanned first = scan(piece, at);
  const std::size_t lead = at + (first.kind == CharClass::kSpace ? first.length : 0U);
  return match_led_run(piece, at, lead, belongs);
}

bool is_newline(const Scanned& it) { return it.code_point == '\r' || it.code_point == '\n'; }

bool is_ascii_letter(const Scanned& it) { return it.code_point < 0x80 && is_letter(it.kind); }

bool is_mark_or_letter(const Scanned& it) { return is_letter(it.kind) || is_mark(it.kind); }

bool is_punctuation_or_symbol(const Scanned& it) {
  return it.kind == CharClass::kPunctuation || it.kind == CharClass::kSymbol;
}

}  // namespace

std::size_t match_three_ascii_digits(std::string_view piece, std::size_t at) {
  const std::string_view three = piece.substr(at, 3);
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return three.size() == 3 && std::all_of(three.begin(), three.end(), digit) ? 3 : 0;
}

std::size_t match_newline(std::string_view piece, std::size_t at) {
  return piece[at] == '\r' || piece[at] == '\n' ? 1 : 0;
}

std::size_t match_line(std::string_view piece, std::size_t at) {
  const std::size_t end =
      piece[at] == '\n' ? piece.find_first_not_of('\n', at) : piece.find('\n', at);
  return std::min(end, piece.size()) - at;
}

std::size_t match_trailing_white_space(std::string_view piece, std::size_t at) {
  const auto space = [](const Scanned& it) { return it.kind == CharClass::kSpace; };
  if (!space(scan(piece, at))) return 0;
  // Only a run's first character is asked: where the run is not at the end, none of its others can
  // match either, and asking them all would take quadratic time.
  for (std::size_t length = std::min<std::size_t>(at, 4); length > 0; --length) {
    const Scanned before = scan(piece, at - length);
    if (before.length == length && space(before)) return 0;
  }
  const std::size_t end = end_of_run(piece, at, space);
  return end == piece.size() ? end - at : 0;
}

std::size_t match_falcon_punctuation(std::string_view piece, std::size_t at) {
  return match_run(piece, at, [](const Scanned& it) {
    return it.kind == CharClass::kPunctuation ||
           (it.code_point < 0x80 && it.kind == CharClass::kSymbol);
  });
}

std::size_t match_default_punctuation(std::string_view piece, std::size_t at) {
  return match_run(piece, at, [](const Scanned& it) {
    return it.kind == CharClass::kPunctuation ||
           (it.code_point < 0x80 && it.kind == CharClass::kSymbol && it.code_point != '`');
  });
}

std::size_t match_spaced_letters(std::string_view piece, std::size_t at) {
  return match_spaced_run(piece, at, [](const Scanned& it) { return is_letter(it.kind); });
}

std::size_t match_spaced_punctuation(std::string_view piece, std::size_t at) {
  return match_spaced_run(piece, at,
                          [](const Scanned& it) { return it.kind == CharClass::kPunctuation; });
}

std::size_t match_deepseek_letters(std::string_view piece, std::size_t at) {
  return match_spaced_run(
      piece, at, [](const Scanned& it) { return contains(kDeepseekLetters, it.code_point); });
}

std::size_t match_deepseek_punctuation(std::string_view piece, std::size_t at) {
  return match_spaced_run(
      piece, at, [](const Scanned& it) { return contains(kDeepseekPunctuation, it.code_point); });
}

std::size_t match_deepseek_cjk(std::string_view piece, std::size_t at) {
  return match_run(piece, at,
                   [](const Scanned& it) { return contains(kDeepseekCjk, it.code_point); });
}

std::size_t match_han_and_kana(std::string_view piece, std::size_t at) {
  return match_run(piece, at,
                   [](const Scanned& it) { return contains(kHanAndKana, it.code_point); });
}

std::size_t match_deepseek3_words(std::string_view piece, std::size_t at) {
  const Scanned first = scan(piece, at);
  const std::size_t next = at + first.length;
  if (first.code_point < 0x80 && is_punctuation_or_symbol(first)) {
    const std::size_t end = end_of_run(piece, next, is_ascii_letter);
    if (end > next) return end - at;
  }
  const bool leads_word =
      !is_newline(first) && !is_letter(first.kind) && !is_punctuation_or_symbol(first);
  if (const std::size_t word = match_led_run(piece, at, leads_word ? next : at, is_mark_or_letter);
      word > 0)
    return word;
  const std::size_t lead = first.code_point == ' ' ? next : at;
  if (const std::size_t run = match_led_run(piece, at, lead, is_punctuation_or_symbol); run > 0)
    return end_of_run(piece, at + run, is_newline) - at;
  return match_white_space(piece, at, /*newlines=*/true);
}

std::size_t match_bloom_words(std::string_view piece, std::size_t at) {
  // The class that is written in the expression: parentheses and the bar are members by its quirk.
  const auto belongs = [](const Scanned& it) {
    static constexpr char32_t kNot[] = {'(',    '|',    '.',    ',',    '!',    '?',    ')',
                                        0x2026, 0x3002, 0xff0c, 0x3001, 0x0964, 0x06d4, 0x060c};
    return it.kind != CharClass::kSpace &&
           std::find(std::begin(kNot), std::end(kNot), it.code_point) == std::end(kNot);
  };
  const std::size_t lead = at + (piece[at] == ' ' ? 1 : 0);
  return match_led_run(piece, at, lead, belongs);
}

}  // namespace espalier::runtime
