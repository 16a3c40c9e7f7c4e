// A pattern as the type of a hole: the automaton agrees with the definition, groups come back as a
// record.
#include <gtest/gtest.h>
#include <re2/re2.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "grammar/matcher.h"
#include "grammar/regex.h"
#include "tests/support/naive_expression.h"

namespace espalier::grammar {
namespace {

VocabularyRef bytes_vocabulary() {
  Vocabulary::Spec spec;
  for (int b = 0; b < 256; ++b) spec.bytes.emplace_back(1, static_cast<char>(b));
  spec.end_of_turn = 256;
  spec.bytes.emplace_back();
  return Vocabulary::create(std::move(spec)).value();
}

Result<GrammarRef> hole(const std::string& pattern) {
  static const VocabularyRef vocabulary = bytes_vocabulary();
  auto type = std::make_shared<Type>();
  type->kind = TypeKind::kRegex;
  type->pattern = pattern;
  return compile(vocabulary, type, "");
}

std::optional<Json> run(const GrammarRef& grammar, const std::string& text) {
  Matcher matcher = grammar->start();
  for (const char c : text) {
    if (!matcher.mask(10'000)->allows(static_cast<unsigned char>(c))) return std::nullopt;
    if (!matcher.advance(static_cast<unsigned char>(c))) return std::nullopt;
  }
  if (!matcher.accepting()) return std::nullopt;
  return matcher.value();
}

TEST(RegexHole, NamedGroupsMakeAnObjectOfStrings) {
  const std::string pattern = "(?<n>[0-9]{1,3}) (?<unit>day|(?<long>month|year))s?";
  const auto groups = compile_regex(bytes_vocabulary(), pattern);
  ASSERT_TRUE(groups.has_value()) << groups.error().message;
  EXPECT_EQ(run(*groups, "30 days"), (Json{{"n", "30"}, {"unit", "day"}}));
  EXPECT_EQ(run(*groups, "30 months"), (Json{{"n", "30"}, {"long", "month"}, {"unit", "month"}}));
  EXPECT_EQ(run(*groups, "30 weeks"), std::nullopt);
  const auto type = hole(pattern);  // a type of the language: whoever reads the text finds them
  ASSERT_TRUE(type.has_value()) << type.error().message;
  EXPECT_EQ(run(*type, "30 days"), Json("30 days"));
}

// A pattern of a, b, groups and repeats, greedy and lazy. What may be empty is not repeated: how
// often it then was is no two engines' same answer.
class PatternMaker {
 public:
  explicit PatternMaker(std::uint64_t seed) : random_(seed) {}
  std::string make() { return sequence(3, true).text; }

 private:
  struct Part {
    std::string text;
    bool nullable = false;
  };
  Part sequence(int depth, bool may_name) {
    Part out{"", true};
    for (std::uint64_t n = 1 + random_() % 3; n > 0; --n) {
      const Part part = repeated(depth, may_name);
      out = {out.text + part.text, out.nullable && part.nullable};
    }
    return out;
  }
  Part repeated(int depth, bool may_name) {
    static const char* const kRepeats[] = {"", "", "", "+", "{1,2}", "*", "?", "{0,2}"};
    const Part part = atom(depth, may_name);
    const auto kind = random_() % 8;
    if (kind < 3 || part.nullable) return part;
    return {part.text + kRepeats[kind] + (random_() % 2 == 0 ? "?" : ""), kind >= 5};
  }
  Part atom(int depth, bool may_name) {
    static const char* const kAtoms[] = {"a", "b", "[ab]"};
    if (depth == 0 || random_() % 3 == 0) return {kAtoms[random_() % 3], false};
    const bool named = may_name && random_() % 2 == 0;
    const Part body = either(depth - 1, may_name);
    const std::string open = named ? "(?P<g" + std::to_string(groups_++) + ">" : "(?:";
    return {open + body.text + ")", body.nullable};
  }
  Part either(int depth, bool may_name) {
    Part out = sequence(depth, may_name);
    while (random_() % 3 == 0) {
      const Part other = sequence(depth, may_name);
      out = {out.text + "|" + other.text, out.nullable || other.nullable};
    }
    return out;
  }
  std::mt19937_64 random_;
  int groups_ = 0;
};

TEST(RegexHole, GroupsHoldWhatTheyHoldInRE2) {
  std::vector<std::string> texts = {""};
  for (std::size_t i = 0; i < texts.size() && texts[i].size() < 5; ++i) {
    for (const char* letter : {"a", "b"}) texts.push_back(texts[i] + letter);
  }
  std::size_t matches = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const std::string pattern = PatternMaker(seed).make();
    SCOPED_TRACE("seed " + std::to_string(seed) + " /" + pattern + "/");
    const RE2 re(pattern, RE2::Quiet);
    ASSERT_TRUE(re.ok());
    const int groups = re.NumberOfCapturingGroups();
    if (groups == 0) continue;
    const auto compiled = compile_regex(bytes_vocabulary(), pattern);
    ASSERT_TRUE(compiled.has_value()) << compiled.error().message;
    for (const std::string& text : texts) {
      std::vector<re2::StringPiece> pieces(static_cast<std::size_t>(groups) + 1);
      std::optional<Json> expected;
      if (re.Match(text, 0, text.size(), RE2::ANCHOR_BOTH, pieces.data(), groups + 1)) {
        expected = Json::object();
        for (const auto& [index, name] : re.CapturingGroupNames()) {
          const auto& piece = pieces[static_cast<std::size_t>(index)];
          if (piece.data() != nullptr) (*expected)[name] = std::string(piece);
        }
      }
      const std::optional<Json> found = run(*compiled, text);
      ASSERT_EQ(found.has_value(), expected.has_value()) << text;
      if (!found) continue;
      const auto in_any_order = [](const Json& value) {
        return value.get<std::map<std::string, std::string>>();
      };
      ASSERT_EQ(in_any_order(*found), in_any_order(*expected)) << text;
      ++matches;
    }
  }
  EXPECT_GT(matches, 1'000U);
}

TEST(RegexHole, TheAutomatonAgreesWithTheDefinition) {
  const std::string pieces[] = {"a", "b", "(", ")", "|", "*", "?", "^", "$", "{2}", "[^a]"};
  std::vector<std::string> patterns = {""};
  std::vector<std::string> texts = {""};
  for (std::size_t i = 0; i < texts.size() && texts[i].size() < 3; ++i) {
    for (const char* letter : {"a", "b"}) texts.push_back(texts[i] + letter);
  }
  std::size_t checks = 0;
  for (std::size_t i = 0, length = 0, end = 1; length < 4; ++length, end = patterns.size()) {
    for (; i < end; ++i) {
      for (const std::string& piece : pieces) {
        patterns.push_back(patterns[i] + piece);
        if (patterns.size() % 3 != 0) continue;  // a third of them keeps this short
        Fuel fuel("expressions", 100'000);
        ExpressionPool pool(fuel);
        const auto e = regex_expression(pool, patterns.back());
        if (!e) continue;
        const auto grammar = hole(patterns.back());
        testing::NaiveExpression naive(pool, *e);
        if (!grammar) {  // empty language or nullable: the only reasons
          bool any = false;
          for (const std::string& text : texts) any = any || (!text.empty() && naive.matches(text));
          EXPECT_TRUE(naive.matches("") || !any)
              << patterns.back() << ": " << grammar.error().message;
          continue;
        }
        for (const std::string& text : texts) {
          ++checks;
          EXPECT_EQ(run(*grammar, text).has_value(), naive.matches(text))
              << "/" << patterns.back() << "/ on \"" << text << "\"";
        }
      }
    }
  }
  std::printf("%zu checks\n", checks);
}

}  // namespace
}  // namespace espalier::grammar
