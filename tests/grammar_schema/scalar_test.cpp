// Scalars that are made of several conditions: every short text over a few pieces, against the
// conditions one by one.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <list>
#include <random>
#include <regex>
#include <string>
#include <vector>

#include "grammar/number_expression.h"
#include "grammar/program.h"
#include "grammar/regex.h"
#include "grammar/schema/scalar_library.h"
#include "grammar/schema/scalar_product.h"
#include "tests/grammar_schema/verdicts.h"

namespace espalier::grammar {
namespace {

GrammarRef compiled(const Json& schema) {
  auto made = compile_json_schema(testing::byte_vocabulary(), schema);
  EXPECT_TRUE(made) << schema.dump() << ": " << (made ? "" : made.error().message);
  return made ? *made : nullptr;
}

// All texts of at most `most` of the pieces.
std::vector<std::string> texts_of(const std::vector<std::string>& pieces, std::size_t most) {
  std::vector<std::string> out{""};
  for (std::size_t begin = 0; most > 0; --most) {
    const std::size_t end = out.size();
    for (; begin < end; ++begin) {
      for (const std::string& piece : pieces) out.push_back(out[begin] + piece);
    }
  }
  return out;
}

void expect_strings(const Json& schema, const std::vector<std::string>& texts,
                    const std::function<bool(const std::string&)>& valid) {
  const auto made = compile_json_schema(testing::byte_vocabulary(), schema);
  EXPECT_TRUE(made || made.error().message.find("no value satisfies") != std::string::npos)
      << schema.dump();
  for (const std::string& text : texts) {
    EXPECT_EQ(made && testing::accepts(*made, Json(text).dump()), valid(text))
        << schema.dump() << " " << text;
  }
}

std::size_t length(const std::string& text) {
  std::size_t out = 0;
  for (const char c : text) out += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return out;
}

bool finds(const std::string& pattern, const std::string& text) {
  return std::regex_search(text, std::regex(pattern));
}

TEST(CountedPatterns, MeanWhatTheyWriteOut) {
  std::vector<std::string> texts = texts_of({"x", "a", "yz"}, 3);
  for (std::size_t n = 0; n < 40; ++n) {
    for (const char* around : {"", "x", "yz", "a"}) {
      const std::string run(n, 'a');
      texts.push_back(run + around);
      texts.push_back(around + run);
      texts.push_back("x" + run + around + "yz");
      texts.push_back("x" + run + around + run + "yz");
    }
  }
  for (const char* pattern : {"^[ab]{2,20}$", "^x[ab]{3,18}(yz)$", "^(aa){1,17}$",
                              "^x(?:a[ab]){16}yz$", "^a{0,16}$", "^(x|a)a{2,30}y?z$", "^(a{1,16})$",
                              "^a{1,2}a{3,18}$", "^((ab|aa){2}){2,17}$", "^[^x]{16,17}$"}) {
    expect_strings({{"type", "string"}, {"pattern", pattern}}, texts,
                   [&](const std::string& text) { return finds(pattern, text); });
    expect_strings({{"type", "string"}, {"not", {{"pattern", pattern}}}}, texts,
                   [&](const std::string& text) { return !finds(pattern, text); });
    expect_strings({{"type", "string"}, {"pattern", pattern}, {"minLength", 5}, {"maxLength", 18}},
                   texts, [&](const std::string& text) {
                     return finds(pattern, text) && text.size() >= 5 && text.size() <= 18;
                   });
  }
}

// As keys each text stands once, and the last one leaves none.
TEST(CountedPatterns, AsKeysAreUsedUp) {
  const Json keys = {{"type", "object"},
                     {"patternProperties", {{"^a{2,17}$", {{"type", "integer"}}}}},
                     {"additionalProperties", false}};
  const Json names = {{"type", "object"},
                      {"propertyNames", {{"pattern", "^a{2,17}$"}}},
                      {"additionalProperties", {{"type", "integer"}}}};
  for (const Json& schema : {keys, names}) {
    const GrammarRef grammar = compiled(schema);
    ASSERT_NE(grammar, nullptr);
    for (const bool falling : {false, true}) {
      Matcher matcher = grammar->start();
      std::string read = "{";
      for (std::size_t i = 0; i < 16; ++i) {
        const std::size_t size = falling ? 17 - i : 2 + i;
        if (i > 0) read += ',';
        read += '"' + std::string(size, 'a') + "\":1";
        EXPECT_TRUE(testing::accepts(grammar, read + "}")) << schema.dump() << read;
      }
      bool fits = true;
      for (const char c : read) fits = fits && matcher.advance(static_cast<unsigned char>(c));
      ASSERT_TRUE(fits) << read;
      EXPECT_FALSE(matcher.advance(',')) << "a key more after " << read;
    }
    EXPECT_FALSE(testing::accepts(grammar, R"({"a":1})"));
    EXPECT_FALSE(testing::accepts(grammar, "{\"" + std::string(18, 'a') + "\":1}"));
    EXPECT_FALSE(testing::accepts(grammar, R"({"aa":1,"aa":1})"));
  }
}

TEST(CountedPatterns, TellKeysApartByTheirLength) {
  const GrammarRef grammar =
      compiled({{"type", "object"},
                {"properties", {{"bb", {{"type", "null"}}}}},
                {"patternProperties", {{"^[ab]{1,16}$", {{"type", "integer"}}}}},
                {"additionalProperties", {{"type", "string"}}}});
  ASSERT_NE(grammar, nullptr);
  for (const std::string& key : {std::string("a"), std::string(16, 'b')}) {
    EXPECT_TRUE(testing::accepts(grammar, "{\"" + key + "\":1}")) << key;
    EXPECT_FALSE(testing::accepts(grammar, "{\"" + key + "\":\"s\"}")) << key;
  }
  for (const std::string& key :
       {std::string(), std::string("c"), std::string(17, 'b'), std::string("aac"),
        std::string(16, 'b') + "c", std::string(300, 'a')}) {
    EXPECT_FALSE(testing::accepts(grammar, "{\"" + key + "\":1}")) << key;
    EXPECT_TRUE(testing::accepts(grammar, "{\"" + key + "\":\"s\"}")) << key;
    EXPECT_FALSE(testing::accepts(grammar, "{\"" + key + "\":\"s\",\"" + key + "\":\"s\"}")) << key;
  }
  EXPECT_FALSE(testing::accepts(grammar, R"({"bb":1})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"bb":null})"));  // it is under the pattern too
}

TEST(Lengths, BesidePatternsBoundBothEnds) {
  const std::vector<std::string> texts = texts_of({"a", "1", "é", "\"", "\n"}, 5);
  for (const char* pattern : {"[0-9]", "^a", "a$", "^[a1]*$", "1.*1", "^(a1)*$", "^(a|1é)+$"}) {
    for (const std::size_t low : {0U, 1U, 2U, 3U, 4U}) {
      for (const std::size_t high : {2U, 3U, 4U, 9U}) {
        Json schema = {{"type", "string"}, {"pattern", pattern}};
        if (low > 0) schema["minLength"] = low;
        if (high < 9) schema["maxLength"] = high;
        if (low > high) continue;
        const auto valid = [&](const std::string& text) {
          return finds(pattern, text) && length(text) >= low && length(text) <= high;
        };
        // `.` is one byte for the standard library: none of these depend on it.
        expect_strings(schema, texts, valid);
      }
    }
  }
}

TEST(Patterns, TogetherAndAgainstEachOtherAreWhatEachSays) {
  const std::vector<std::string> texts = texts_of({"ab", "b", "ca", "\n", "é"}, 4);
  const std::vector<std::string> patterns = {"ab", "^b", "ca$", "b.*b", "^(ab|ca)*$"};
  Json one = {{"type", "string"}, {"oneOf", Json::array()}};
  Json any = {{"type", "string"}, {"anyOf", Json::array()}};
  Json all = {{"type", "string"}, {"allOf", Json::array()}};
  Json none = {{"type", "string"}, {"allOf", Json::array()}};
  for (const std::string& pattern : patterns) {
    one["oneOf"].push_back({{"pattern", pattern}});
    any["anyOf"].push_back({{"pattern", pattern}, {"maxLength", 5}});
    if (all["allOf"].size() < 2) all["allOf"].push_back({{"pattern", pattern}});
    none["allOf"].push_back({{"not", {{"pattern", pattern}}}});
  }
  const auto found = [&](const std::string& text, std::size_t of) {
    std::size_t out = 0;
    for (std::size_t i = 0; i < of; ++i) out += finds(patterns[i], text) ? 1 : 0;
    return out;
  };
  expect_strings(one, texts, [&](const auto& text) { return found(text, 5) == 1; });
  expect_strings(any, texts,
                 [&](const auto& text) { return found(text, 5) > 0 && length(text) <= 5; });
  expect_strings(all, texts, [&](const auto& text) { return found(text, 2) == 2; });
  expect_strings(none, texts, [&](const auto& text) { return found(text, 5) == 0; });
}

// Many alternatives are one pattern where that means the same: not where flags go on behind one.
TEST(Patterns, OfManyAlternativesAreThoseOfEach) {
  std::vector<std::string> patterns = {"^(?i:Ab)$", "(?i)^cd$",   "^ef|gh$",
                                       "^(?!x)y.$", "^[a-c]{2}!", "^.\\(?$",
                                       "k$",        "^$",         "^\\^(?:l|m)+$"};
  for (int i = 0; i < 30; ++i) patterns.push_back("^p" + std::to_string(i) + "-[0-9]+$");
  Json all = {{"anyOf", Json::array()}};
  std::vector<GrammarRef> each;
  for (const std::string& pattern : patterns) {
    const Json one = {{"type", "string"}, {"pattern", pattern}};
    all["anyOf"].push_back(one);
    each.push_back(compiled(one));
  }
  const GrammarRef grammar = compiled(all);
  for (const std::string text :
       {"",   "AB",  "aB", "ab",  "CD",   "cD",   "ef",     "EF",    "EFG", "efg",  "gh",  "ggh",
        "GH", "ghx", "yx", "xy",  "bc!",  "BC!",  "bc!?",   "q(",    "q",   "qq",   "k",   "xk",
        "K",  "^lm", "lm", "^LM", "p7-1", "P7-1", "p29-00", "p30-1", "p7-", "p3-x", "ef\n"}) {
    const std::string json = Json(text).dump();
    const bool any = std::ranges::any_of(
        each, [&](const GrammarRef& one) { return testing::accepts(one, json); });
    EXPECT_EQ(testing::accepts(grammar, json), any) << json;
  }
}

TEST(Multiples, WithinBoundsAreThoseOfEach) {
  const GrammarRef grammar =
      compiled({{"type", "integer"}, {"minimum", -50}, {"maximum", 500}, {"multipleOf", 12}});
  const GrammarRef both =
      compiled({{"type", "integer"}, {"multipleOf", 4}, {"allOf", {{{"multipleOf", 6}}}}});
  const GrammarRef halves = compiled({{"type", "number"}, {"minimum", 1}, {"multipleOf", 0.5}});
  ASSERT_TRUE(grammar != nullptr && both != nullptr && halves != nullptr);
  for (int n = -100; n <= 600; ++n) {
    const std::string text = std::to_string(n);
    EXPECT_EQ(testing::accepts(grammar, text), n % 12 == 0 && n >= -50 && n <= 500) << n;
    EXPECT_EQ(testing::accepts(both, text), n % 12 == 0) << n;
    EXPECT_EQ(testing::accepts(halves, text), n >= 1) << n;
    EXPECT_EQ(testing::accepts(halves, text + ".5"), n >= 1) << n;
    EXPECT_FALSE(testing::accepts(halves, text + ".25")) << n;
  }
  EXPECT_TRUE(
      testing::accepts(compiled({{"type", "integer"}, {"multipleOf", 3}}), "9223372036854775806"));
}

// Against a list in order of use, and a set beside it.
TEST(FinishedNumbers, AreTheRangeAndNoTwoStatesSayTheSame) {
  const VocabularyRef vocabulary = testing::byte_vocabulary();
  for (const auto& [low, high] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {0, INT64_MAX}, {-120, 998}, {7, 1000}, {INT64_MIN, -31}}) {
    Fuel fuel("steps", 1'000'000);
    const auto pool = std::make_shared<ExpressionPool>(fuel);
    const Expr root = integer_range(*pool, {low, high, false, false});
    const auto program = Program::create(pool, root, vocabulary, {}, {}, fuel);
    ASSERT_TRUE(program);
    const auto dfa = ScalarDfa::create(*program, 1'000'000, nullptr);
    ASSERT_NE(dfa, nullptr);
    const auto reads = [&](const std::string& text) {
      ScalarDfa::State q = dfa->start();
      for (const char c : text) q = dfa->next(q, static_cast<unsigned char>(c));
      return dfa->accepting(q);
    };
    for (std::int64_t n = -2000; n < 2000; ++n) {
      EXPECT_EQ(reads(std::to_string(n)), low <= n && n <= high) << n;
    }
    EXPECT_EQ(reads(std::to_string(low)) && reads(std::to_string(high)), true);
    EXPECT_FALSE(reads("01") || reads("-") || reads("9223372036854775808") ||
                 reads("-9223372036854775809"));
    // Pairs that some text tells apart, by its length.
    const std::size_t count = dfa->size();
    std::vector<bool> apart(count * count, false);
    for (std::size_t i = 0; i < count * count; ++i) {
      const auto p = static_cast<ScalarDfa::State>(i / count);
      const auto q = static_cast<ScalarDfa::State>(i % count);
      apart[i] = dfa->accepting(p) != dfa->accepting(q);
    }
    for (bool more = true; more;) {
      more = false;
      for (std::size_t i = 0; i < count * count; ++i) {
        const auto p = static_cast<ScalarDfa::State>(i / count);
        const auto q = static_cast<ScalarDfa::State>(i % count);
        for (const char c : std::string_view("-0123456789")) {
          const auto byte = static_cast<unsigned char>(c);
          if (apart[i] || !apart[dfa->next(p, byte) * count + dfa->next(q, byte)]) continue;
          apart[i] = more = true;
        }
      }
    }
    for (std::size_t i = 0; i < count * count; ++i) EXPECT_EQ(apart[i], i / count != i % count);
  }
}

TEST(Patterns, AreTheSameInAnySpellingAndInOne) {
  const std::vector<std::string> texts = texts_of({"a", "b", "\u00e9", "/"}, 3);
  for (const std::string pattern : {"ab", "^a/*b?$", "b$", "[^a]a"}) {
    const GrammarRef grammar =
        compiled({{"type", "object"},
                  {"properties", {{"v", {{"type", "string"}, {"pattern", pattern}}}}},
                  {"patternProperties", {{pattern, {{"type", "integer"}}}}},
                  {"additionalProperties", {{"type", "boolean"}}}});
    for (const std::string& text : texts) {
      if (text == "v") continue;
      const std::string spelled = Json(text).dump();
      const auto value = testing::accepts(grammar, "{\"v\":" + spelled + "}");
      EXPECT_EQ(value, finds(pattern, text)) << pattern << " " << text;
      // As a key, after a value under the same pattern.
      const std::string before = pattern == "^a/*b?$" ? R"({"v":"ab",)"
                                 : pattern == "b$"    ? R"({"v":"b",)"
                                 : pattern == "ab"    ? R"({"v":"ab",)"
                                                      : R"({"v":"ba",)";
      EXPECT_EQ(testing::accepts(grammar, before + spelled + ":1}"), finds(pattern, text));
      EXPECT_EQ(testing::accepts(grammar, before + spelled + ":true}"), !finds(pattern, text));
      if (text.starts_with('/')) {
        EXPECT_FALSE(testing::accepts(grammar, before + "\"\\" + spelled.substr(1) + ":1}"));
        EXPECT_FALSE(testing::accepts(grammar, before + "\"\\" + spelled.substr(1) + ":true}"));
      }
    }
  }
}

// Parts run side by side as texts come by them are the automaton that finishing them gives: the
// same texts, ways to the end as short, as many texts to come.
TEST(ScalarProducts, AreTheFinishedAutomataOfTheirParts) {
  const VocabularyRef vocabulary = testing::byte_vocabulary();
  const auto library = ScalarLibrary::of(vocabulary);
  std::vector<ProgramRef> programs;
  for (const char* pattern :
       {"^[ab]{1,3}$", "a.*b", "^(ab|a)*$", "b{2}", "^.{2,4}$", "^$", "^(a|\\u00e9)*b?$", "^ab$"}) {
    Fuel fuel("steps", 1'000'000);
    const auto pool = std::make_shared<ExpressionPool>(fuel);
    const auto inside =
        regex_expression(*pool, pattern, {RegexDialect::kEcma, true, true, false, true});
    ASSERT_TRUE(inside);
    const Expr root = pool->concat({pool->bytes("\""), *inside, pool->bytes("\"")});
    programs.push_back(Program::create(pool, root, vocabulary, {}, {}, fuel).value());
  }
  std::mt19937_64 random(7);
  std::size_t none = 0, few = 0, checked = 0;
  for (int run = 0; run < 300; ++run) {
    // Some hold, some may not, one of them as it is before it is finished.
    const std::uint64_t open = random() % 4;
    ScalarCombination finished;
    const auto lazy = std::make_shared<ScalarCombination>();
    std::vector<ScalarCombination::Node> own[2], none_of[2];
    for (std::uint64_t i = 0; i < 1 + random() % 4; ++i) {
      const ProgramRef& program = programs[random() % programs.size()];
      const auto dfa = ScalarDfa::create(program, 1'000'000, library->string());
      auto& to = random() % 2 == 0 ? own : none_of;
      to[0].push_back(finished.words(dfa));
      to[1].push_back(i == open ? lazy->words(program) : lazy->words(dfa));
    }
    const auto low = static_cast<std::uint32_t>(random() % 3);
    const std::uint32_t high = random() % 2 == 0 ? ScalarCombination::kUnbounded
                                                 : low + static_cast<std::uint32_t>(random() % 4);
    for (int k = 0; k < 2; ++k) {
      ScalarCombination& what = k == 0 ? finished : *lazy;
      own[k].push_back(what.characters(library->canonical_string(), low, high));
      auto root = what.all(own[k]);
      if (!none_of[k].empty()) root = what.all({root, what.negation(what.any(none_of[k]))});
      what.set_root(root);
      if (random() % 2 == 0) what.settle(*library->canonical_string());
    }
    bool empty = false;
    const auto dfa = ScalarDfa::combine(finished, 8000, ByteSet::all(), library->string(), &empty);
    ScalarProduct product(lazy, ByteSet::all(), ByteSet::all(), std::make_shared<PartAutomata>());
    EXPECT_FALSE(product.undecided());
    ASSERT_EQ(product.start() == ScalarProduct::kNone, empty);
    if (empty) {
      ++none;
      continue;
    }
    ASSERT_NE(dfa, nullptr);
    for (int walk = 0; walk < 20; ++walk) {
      ScalarDfa::State q = dfa->start();
      ScalarProduct::State at = product.start();
      while (at != ScalarProduct::kNone && !product.accepting(at)) {
        ++checked;
        EXPECT_EQ(product.closing_size(at), dfa->closing_size(q));
        for (const std::uint64_t count : {0, 1, 2, 5, 40}) {
          EXPECT_EQ(product.exceeds(at, count), dfa->completions(q) > count) << count;
        }
        few += dfa->completions(q) <= 40 ? 1 : 0;
        EXPECT_EQ(product.closing_size(product.next(at, product.closing_byte(at))),
                  product.closing_size(at) - 1);
        static constexpr std::string_view kBytes = "ab\"\xC3\xA9\\nz";
        const auto byte = static_cast<unsigned char>(kBytes[random() % kBytes.size()]);
        q = dfa->next(q, byte);
        at = product.next(at, byte);
        ASSERT_EQ(at == ScalarProduct::kNone, q == ScalarDfa::kDead);
        ASSERT_TRUE(at == ScalarProduct::kNone || product.accepting(at) == dfa->accepting(q));
      }
    }
  }
  EXPECT_GT(none, 10U);
  EXPECT_GT(few, 100U);
  EXPECT_GT(checked, 2'000U);
}

TEST(ScalarLibrary, KeepsWhatWasUsedLastAndWhatStaysForGood) {
  std::mt19937_64 random(1);
  const VocabularyRef vocabulary = testing::byte_vocabulary();
  ScalarLibrary library(*vocabulary);
  std::list<std::string> model;
  std::vector<std::string> stays;
  library.keep_for_good(true);
  for (int i = 0; i < 20; ++i) {
    stays.push_back("for good " + std::to_string(i));
    ASSERT_TRUE(library.add(stays.back(), {}));
  }
  library.keep_for_good(false);
  for (int step = 0; step < 20'000; ++step) {
    const std::string key = std::to_string(random() % 700);
    const auto known = std::find(model.begin(), model.end(), key);
    ASSERT_EQ(library.find(key).has_value(), known != model.end()) << step << " " << key;
    if (known != model.end()) {
      model.splice(model.begin(), model, known);
      continue;
    }
    ASSERT_TRUE(library.add(key, {}));
    model.push_front(key);
    if (model.size() + stays.size() > ScalarLibrary::kEntries) model.pop_back();
  }
  for (const std::string& key : stays) EXPECT_TRUE(library.find(key)) << key;
}

// Objects that end by members which only some alternatives want: each text against what the
// conditions say, one by one.
TEST(Plans, FindTheMembersThatAnObjectStillWants) {
  const Json schema = Json::parse(R"({"type": "object",
      "properties": {"in": {"enum": ["q", "p"]}, "s": {"type": "null"}, "c": {"type": "null"}},
      "required": ["in"], "oneOf": [{"required": ["s"]}, {"required": ["c"]}],
      "if": {"properties": {"in": {"const": "p"}}}, "then": {"properties": {"r": {"const": 1}},
      "required": ["r"]}, "patternProperties": {"^x": true}, "unevaluatedProperties": false})");
  const GrammarRef made = compiled(schema);
  ASSERT_NE(made, nullptr);
  const std::vector<std::string> members{R"("in":"q")", R"("in":"p")", R"("s":null)",
                                         R"("c":null)", R"("r":1)",    R"("xy":[])"};
  for (unsigned set = 0; set < 64; ++set) {
    const auto has = [&](unsigned i) { return (set >> i & 1) != 0; };
    if (has(0) && has(1)) continue;
    const bool valid = (has(0) || has(1)) && has(2) != has(3) && (has(1) ? has(4) : !has(4));
    for (const bool backwards : {false, true}) {
      std::string text;
      for (unsigned n = 0; n < 6; ++n) {
        const unsigned i = backwards ? 5 - n : n;
        if (has(i)) text += (text.empty() ? "" : ",") + members[i];
      }
      EXPECT_EQ(testing::accepts(made, "{" + text + "}"), valid) << text;
    }
  }
}

}  // namespace
}  // namespace espalier::grammar
