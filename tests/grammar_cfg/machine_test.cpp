// Context-free grammars against Earley's algorithm from the textbook: every text up to a length,
// and masks, ends and distances against the words listed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "earley_oracle.h"
#include "grammar/compiled_grammar.h"
#include "grammar/gbnf.h"

namespace espalier::grammar {
namespace {

using testing::EarleyOracle;
using testing::Productions;

bool long_run() { return std::getenv("ESPALIER_LONG") != nullptr; }

VocabularyRef small_vocabulary(const std::vector<std::string>& tokens) {
  Vocabulary::Spec spec;
  spec.bytes = tokens;
  spec.end_of_turn = static_cast<TokenId>(tokens.size());
  spec.bytes.emplace_back();
  return *Vocabulary::create(std::move(spec));
}

// All texts over {a, b} up to `longest`, shortest first.
std::vector<std::string> texts_up_to(std::size_t longest) {
  std::vector<std::string> out{""};
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (out[i].size() == longest) break;
    out.push_back(out[i] + "a");
    out.push_back(out[i] + "b");
  }
  return out;
}

struct Verdict {
  bool alive = false;
  bool word = false;
};

Verdict run(const GrammarRef& grammar, std::string_view text) {
  Matcher at = grammar->start();
  for (const char c : text) {
    if (!at.advance(c == 'a' ? 0 : 1)) return {};
  }
  return {true, at.accepting()};
}

// Texts up to 6 against the oracle; a prefix is alive iff some word up to 6 + 6 has it, so
// aliveness is checked one way: every prefix of a word is alive, and what is alive closes.
void check(const Productions& productions, std::size_t longest) {
  const EarleyOracle oracle(productions);
  const VocabularyRef vocabulary = small_vocabulary({"a", "b", "ab", "ba", "aab", "bb"});
  const auto compiled = compile_gbnf(vocabulary, productions.gbnf());
  const std::vector<std::string> texts = texts_up_to(longest);
  bool any = false;
  std::set<std::string> prefixes;
  for (const std::string& text : texts) {
    if (!oracle.matches(text)) continue;
    any = true;
    for (std::size_t n = 0; n <= text.size(); ++n) prefixes.insert(text.substr(0, n));
  }
  if (!compiled) {
    ASSERT_FALSE(any) << compiled.error().message << "\n" << productions.gbnf();
    return;
  }
  const GrammarRef& grammar = compiled->grammar;
  for (const std::string& text : texts) {
    const Verdict verdict = run(grammar, text);
    ASSERT_EQ(verdict.word, oracle.matches(text)) << "'" << text << "' in\n" << productions.gbnf();
    if (prefixes.contains(text)) {
      ASSERT_TRUE(verdict.alive) << "'" << text << "' in\n" << productions.gbnf();
    }
    if (!verdict.alive || text.size() > 4) continue;
    Matcher at = grammar->start();
    for (const char c : text) ASSERT_TRUE(at.advance(c == 'a' ? 0 : 1));
    // The mask is what advance allows; some token lowers the distance; a hole closes in its budget.
    const std::uint32_t distance = at.distance();
    ASSERT_EQ(distance == 0, at.accepting());
    const MaskRef mask = at.mask(10'000);
    bool lowers = distance == 0;
    for (TokenId id = 0; id < 6; ++id) {
      Matcher next = at;
      const bool allowed = next.advance(id);
      ASSERT_EQ(mask->allows(id), allowed) << text << " + " << vocabulary->bytes(id);
      ASSERT_EQ(allowed, run(grammar, text + std::string(vocabulary->bytes(id))).alive);
      lowers |= allowed && next.distance() < distance;
    }
    ASSERT_TRUE(lowers) << text << "\n" << productions.gbnf();
    ASSERT_EQ(mask->allows(vocabulary->end_of_turn()), at.accepting());
    Matcher closing = at;
    std::uint32_t left = distance;
    std::string word = text;
    while (!closing.accepting()) {
      const MaskRef near = closing.mask(left);
      TokenId chosen = 0;
      while (chosen < 6 && !near->allows(chosen)) ++chosen;
      ASSERT_LT(chosen, 6) << "nothing closes '" << word << "' within " << left << "\n"
                           << productions.gbnf();
      ASSERT_TRUE(closing.advance(chosen));
      word += vocabulary->bytes(chosen);
      ASSERT_GT(left, 0U);
      --left;
      if (word.size() > 200) break;
    }
    if (word.size() <= 40) {
      ASSERT_TRUE(oracle.matches(word)) << word << "\n" << productions.gbnf();
    }
  }
}

TEST(ContextFreeMachine, AgreesWithEarleyOnRandomGrammars) {
  const unsigned seeds = long_run() ? 50'000 : 1'500;
  for (unsigned seed = 0; seed < seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    check(testing::random_productions(random), 7);
    if (HasFatalFailure()) return;
  }
}

// All grammars of one rule with two alternatives of up to three symbols, and of two rules with two
// alternatives of up to two.
TEST(ContextFreeMachine, AgreesWithEarleyOnAllSmallGrammars) {
  const auto bodies = [](std::string_view symbols, std::size_t longest) {
    std::vector<std::string> out{""};
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (out[i].size() == longest) continue;
      for (const char c : symbols) out.push_back(out[i] + c);
    }
    return out;
  };
  for (const auto& x : bodies("Aab", 3)) {
    for (const auto& y : bodies("Aab", 3)) {
      check({{{'A', {x, y}}}}, 5);
      if (HasFatalFailure()) return;
    }
  }
  const auto small = bodies("ABa", 2);
  const std::size_t step = long_run() ? 1 : 7;
  std::size_t n = 0;
  for (const auto& x : small) {
    for (const auto& y : small) {
      for (const auto& z : small) {
        for (const auto& w : small) {
          if (n++ % step != 0) continue;
          check({{{'A', {x, y}}, {'B', {z, w}}}}, 5);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

}  // namespace
}  // namespace espalier::grammar
