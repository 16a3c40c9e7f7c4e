// Pre-tokenizers split as the regular expressions that vocabularies were trained with: RE2 is the
// oracle.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <re2/re2.h>

#include <deque>

#include "base/random.h"
#include "base/utf8.h"
#include "runtime/tokenizer/pre_tokenizer.h"
#include "runtime/tokenizer/unicode.h"

namespace espalier::runtime {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> pieces(const char* pre, const std::string& text) {
  std::vector<std::size_t> ends;
  find_pre_tokenizer(pre)->split(text, ends);
  std::vector<std::string> out;
  std::size_t start = 0;
  for (const std::size_t end : ends) {
    out.push_back(text.substr(start, end - start));
    start = end;
  }
  return out;
}

TEST(Unicode, ClassesAreRe2s) {
  const std::pair<CharClass, const char*> classes[] = {
      {CharClass::kUpper, "\\p{Lu}|\\p{Lt}"},      {CharClass::kLower, "\\p{Ll}"},
      {CharClass::kUncased, "\\p{Lm}|\\p{Lo}"},    {CharClass::kAccent, "\\p{Mn}"},
      {CharClass::kMark, "\\p{Mc}|\\p{Me}"},       {CharClass::kNumber, "\\pN"},
      {CharClass::kPunctuation, "\\pP"},           {CharClass::kSymbol, "\\pS"},
      {CharClass::kSpace, "\\pZ|[\\t-\\r\\x{85}]"}};
  std::vector<CharClass> expected(0x110000, CharClass::kOther);
  for (const auto& [kind, pattern] : classes) {
    const RE2 matcher(pattern);
    for (char32_t code = 0; code < 0x110000; ++code) {
      if (code >= 0xD800 && code < 0xE000) continue;
      std::string text;
      utf8::append(text, code);
      if (RE2::FullMatch(text, matcher)) expected[code] = kind;
    }
  }
  std::size_t newer = 0;
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (char_class(code) == expected[code]) continue;
    // A library with a younger Unicode knows more characters, and no fewer.
    ASSERT_EQ(char_class(code), CharClass::kOther) << std::hex << static_cast<std::uint32_t>(code);
    ++newer;
  }
  EXPECT_LT(newer, 20000U);
}

TEST(PreTokenizer, SplitsAsTheRegularExpressionSays) {
  EXPECT_THAT(pieces("gpt-2", "It's  12 o'clock\n\n x"),
              ElementsAre("It", "'s", " ", " 12", " o", "'", "clock", "\n\n", " x"));
  EXPECT_THAT(pieces("smollm", " 12 a  3"), ElementsAre(" ", "1", "2", " a", "  ", "3"));
  EXPECT_THAT(pieces("gpt-2", "  "), ElementsAre("  "));
  EXPECT_THAT(pieces("gpt-2", ""), ElementsAre());
  EXPECT_THAT(pieces("gpt-2", "\xFF\xFE a"), ElementsAre("\xFF\xFE", " a"));
}

// What RE2 lacks: \\s is all white space here, and \\s+(?!\\S) is the group named "last", whose
// match gives its last character back where more text follows it and it has several.
std::string written(std::string pattern) {
  const auto replace = [&](const std::string& from, const std::string& to) {
    for (std::size_t at = pattern.find(from); at != std::string::npos;
         at = pattern.find(from, at + to.size()))
      pattern.replace(at, from.size(), to);
  };
  replace("\\s+(?!\\S)", "(?P<last>\\s+)");
  replace("[^\\s", "[^\\pZ\\t-\\r\\x{85}");
  replace("[^(\\s", "[^(\\pZ\\t-\\r\\x{85}");
  replace("\\s", "[\\pZ\\t-\\r\\x{85}]");
  return pattern;
}

class Stage {
 public:
  explicit Stage(const std::string& pattern) : matcher_(written(pattern)) {
    EXPECT_TRUE(matcher_.ok()) << matcher_.error();
    const auto groups = matcher_.NamedCapturingGroups();
    const auto last = groups.find("last");
    if (last != groups.end()) last_ = last->second;
  }

  // Appends the matches in `text` and what lies between them.
  void split(const std::string& text, std::vector<std::string>& out) const {
    std::size_t at = 0;
    std::vector<re2::StringPiece> groups(static_cast<std::size_t>(last_) + 1);
    while (at < text.size() && matcher_.Match(text, at, text.size(), RE2::UNANCHORED, groups.data(),
                                              static_cast<int>(groups.size()))) {
      const auto start = static_cast<std::size_t>(groups[0].data() - text.data());
      std::size_t length = groups[0].size();
      if (last_ > 0 && groups[static_cast<std::size_t>(last_)].data() != nullptr &&
          start + length < text.size()) {
        std::size_t shorter = 0;
        for (std::size_t next = start; next < start + length; next += scan(text, next).length)
          shorter = next - start;
        if (shorter > 0) length = shorter;
      }
      if (start > at) out.push_back(text.substr(at, start - at));
      out.push_back(text.substr(start, length));
      at = start + length;
    }
    if (at < text.size()) out.push_back(text.substr(at));
  }

 private:
  RE2 matcher_;
  int last_ = 0;
};

struct Expression {
  const char* name;
  std::vector<std::string> stages;
};

std::vector<Expression> expressions() {
  const std::string contractions = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
  const std::string word = "[^\\r\\n\\pL\\pN]?\\pL+";
  const std::string tail = "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  const std::string others = "| ?[^\\s\\pL\\pN]+[\\r\\n]*";
  const std::string gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\pL+| ?\\pN+| ?[^\\s\\pL\\pN]+|\\s+(?!\\S)";
  const std::string capitals = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\pM]";
  const std::string small = "[\\p{Ll}\\p{Lm}\\p{Lo}\\pM]";
  const auto capitalised = [&](const std::string& ending) {
    const std::string lead = "[^\\r\\n\\pL\\pN]?";
    return lead + capitals + "*" + small + "+" + ending + "|" + lead + capitals + "+" + small +
           "*" + ending;
  };
  const std::string slashed = "| ?[^\\s\\pL\\pN]+[\\r\\n/]*";
  const std::string deepseek_cjk = "[一-龥\\x{800}-一가-\\x{d7ff}]+";
  const std::string bloom = " ?[^(\\s|.,!?…。，、।۔،)]+";
  return {
      {"gpt-2", {gpt2 + "|\\s+"}},
      {"starcoder", {"\\pN", gpt2}},
      {"llama-bpe", {contractions + "|" + word + "|\\pN{1,3}" + others + tail}},
      {"dbrx", {contractions + "|" + word + "|\\pN{1,3}" + others + tail}},
      {"qwen2", {contractions + "|" + word + "|\\pN" + others + tail}},
      {"qwen35",
       {contractions + "|[^\\r\\n\\pL\\pN]?[\\pL\\pM]+|\\pN| ?[^\\s\\pL\\pM\\pN]+[\\r\\n]*" +
        tail}},
      {"minicpm5", {"\\pN{1,3}", contractions + "|" + word + "|\\pN+" + others + tail}},
      {"seed-coder", {contractions + "|" + word + "|\\pN| ?[^\\s\\pL\\pN\\r\\n]+" + tail}},
      {"ufakzeka", {word + "|\\pN" + others + tail}},
      {"tekken", {capitalised("") + "|\\pN" + slashed + tail}},
      {"gpt-4o", {capitalised(contractions + "?") + "|\\pN{1,3}" + slashed + tail}},
      {"laguna", {"[^\\n]+|[\\n]+", contractions + "|" + word + "|\\pN" + others + tail}},
      {"falcon", {"[\\pP\\$\\+<=>\\^~\\|`]+", gpt2, "[0-9][0-9][0-9]"}},
      {"default", {"[\\pP\\$\\+<=>\\^~\\|]+", gpt2, "\\pN+", "[0-9][0-9][0-9]"}},
      // Of its list of letters, those that the texts below have.
      {"deepseek-llm",
       {"[\\r\\n]", "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯΑ-ΡΣ-ϵ\\x{10400}-\\x{1044f}]+",
        "\\s?[!-/:-~！-／：-～‘-‟\\x{3000}-。]+", "\\s+\\z", deepseek_cjk, "\\pN+"}},
      {"deepseek-coder", {"[\\r\\n]", "\\s?\\pL+", "\\s?\\pP+", deepseek_cjk, "\\pN"}},
      {"deepseek-v3",
       {"\\pN{1,3}", "[一-龥\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+",
        "[!-/:-@\\[-`{-~][A-Za-z]+|[^\\r\\n\\pL\\pP\\pS]?[\\pL\\pM]+| ?[\\pP\\pS]+[\\r\\n]*" +
            tail}},
      {"bloom", {bloom}},
      {"viking", {bloom, "\\pN"}},
  };
}

// Text that pre-tokenizers find hard: few kinds of characters, of every class, and much mixing.
std::string random_text(const RandomKey& key) {
  static const char* const kAtoms[] = {
      "a",    "the", "B",      "HTML",   "Parser", " ",      "  ",     "\n",
      "\r\n", "\t",  "'s",     "'S",     "'",      "'ll",    "'LL",    "'Re",
      "1",    "234", "½",      "Ⅷ",      "१२",     "é",      "中",     "あ",
      "가",   "ǅ",   "ʰ",      "ا",      "\u0301", "\u0903", "!",      "/",
      "(.",   "~",   "`",      "$",      "|",      "，",     "。",     "،",
      "€",    "❤",   "\u200d", "\u00a0", "\u3000", "\u0085", "\u2028", "🦙",
      "𝐀",    "𐐀",   "\x01",   "\x1c",   "\ufffd", "Ω",      "ª",      "<|im_end|>"};
  std::string out;
  for (std::uint64_t i = 0; i < 1 + key.bits(0)[0] % 24; ++i)
    out += kAtoms[key.bits(i + 1)[0] % std::size(kAtoms)];
  return out;
}

TEST(PreTokenizer, EveryFamilyAgreesWithItsExpressionOnRandomTexts) {
  std::string families;
  for (const Expression& expression : expressions()) {
    families += (families.empty() ? "" : ", ") + std::string(expression.name);
    std::deque<Stage> stages;
    for (const std::string& stage : expression.stages) stages.emplace_back(stage);
    for (std::uint64_t seed = 0; seed < 3000; ++seed) {
      const std::string text = random_text(RandomKey(seed));
      std::vector<std::string> expected{text};
      for (const Stage& stage : stages) {
        std::vector<std::string> finer;
        for (const std::string& piece : expected) stage.split(piece, finer);
        expected = std::move(finer);
      }
      ASSERT_EQ(pieces(expression.name, text), expected)
          << expression.name << ", seed " << seed << ": " << text;
    }
  }
  EXPECT_EQ(families, pre_tokenizer_families());
}

TEST(PreTokenizer, EveryNameIsKnownAndKeepsAnyBytes) {
  for (const std::string_view name : pre_tokenizer_names()) {
    const PreTokenizer* const found = find_pre_tokenizer(name);
    ASSERT_NE(found, nullptr) << name;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      const RandomKey key(seed);
      std::string text;
      for (std::uint64_t i = 0; i < seed % 40; ++i) {
        const auto bits = key.bits(i);
        text += static_cast<char>(bits[0] % 3 == 0 ? bits[1] : " a\n\xE3\x80\xF0"[bits[1] % 6]);
      }
      std::vector<std::size_t> ends;
      found->split(text, ends);
      std::size_t before = 0;
      for (const std::size_t end : ends) {
        ASSERT_GT(end, before) << name << ", seed " << seed;
        before = end;
      }
      ASSERT_EQ(before, text.size()) << name << ", seed " << seed;
    }
  }
  EXPECT_EQ(find_pre_tokenizer("mystery"), nullptr);
}

// A quadratic scan of these would take hours.
TEST(PreTokenizer, LongHostileTextsTakeNoQuadraticTime) {
  const char* const atoms[] = {"a",       " ",
                               "A",       "1",
                               "\n",      "\r\n",
                               "!",       "'",
                               "\u0301",  "\u3000",
                               "\xFF",    "中",
                               "ʰA",      "👨‍👩‍👧",
                               " \u0301", "\t ",
                               "A\u0301", "\u3000a\u3000"};
  for (const std::string_view name : pre_tokenizer_names()) {
    for (const char* atom : atoms) {
      for (const char* end : {"", "x", "\n"}) {
        std::string text;
        while (text.size() < 200'000) text += atom;
        text += end;
        std::vector<std::size_t> ends;
        find_pre_tokenizer(name)->split(text, ends);
        ASSERT_EQ(ends.back(), text.size());
      }
    }
  }
}

}  // namespace
}  // namespace espalier::runtime
