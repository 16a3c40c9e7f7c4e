// Strings under patterns that are searched, which nearly always can still become one that fits:
// what is said of their tokens without a walk, against trying each.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "grammar/program.h"
#include "grammar/regex.h"
#include "grammar/schema/reset_word.h"
#include "grammar/schema/scalar_library.h"
#include "grammar/schema/scalar_product.h"
#include "tests/grammar_schema/mask_check.h"

namespace espalier::grammar {
namespace {

// A pattern's strings, searched for, in one spelling or in any.
ProgramRef program_of(const VocabularyRef& vocabulary, const std::string& pattern, bool canonical) {
  Fuel fuel("steps", 1'000'000);
  const auto pool = std::make_shared<ExpressionPool>(fuel);
  const auto inside =
      regex_expression(*pool, pattern, {RegexDialect::kEcma, true, true, false, canonical});
  EXPECT_TRUE(inside) << pattern;
  const Expr root = pool->concat({pool->bytes("\""), *inside, pool->bytes("\"")});
  return Program::create(pool, root, vocabulary, {}, {}, fuel).value();
}

std::vector<std::string> patterns() {
  return {"a.{2}$", "b.{3}$",   "[ab].{2}c", "a.*b",   "^x",        "b$",           "^[^x]",
          "a",      "^.{0,6}$", "(^|@)ab",   "[^a].$", "\\u00e9.$", "^(ab|[^b])*$", "a.{5}c.{2}$"};
}

// How random combinations came out.
struct Seen {
  std::size_t tokens = 0, reset = 0, carried = 0;
};

// A random combination both ways: finished, and side by side with all that masks need.
void check_combination(const VocabularyRef& vocabulary, const std::vector<ProgramRef>& programs,
                       const Terminal* characters, std::size_t opened, std::uint64_t seed,
                       Seen& seen) {
  const auto library = ScalarLibrary::of(vocabulary);
  std::mt19937_64 random(seed);
  ScalarCombination finished;
  const auto lazy = std::make_shared<ScalarCombination>();
  std::vector<ScalarCombination::Node> own[2], none_of[2];
  const std::uint64_t count = 1 + random() % 4;
  for (std::uint64_t i = 0; i < count; ++i) {
    const ProgramRef& program = programs[random() % programs.size()];
    const auto dfa = ScalarDfa::create(program, 1'000'000, library->string());
    ASSERT_NE(dfa, nullptr);
    auto& to = random() % 2 == 0 ? own : none_of;
    to[0].push_back(finished.words(dfa));
    to[1].push_back(random() % 2 == 0 ? lazy->words(program) : lazy->words(dfa));
  }
  const auto low = static_cast<std::uint32_t>(random() % 4);
  const std::uint32_t high = random() % 3 != 0 ? ScalarCombination::kUnbounded
                                               : low + static_cast<std::uint32_t>(random() % 12);
  const bool counted = own[0].empty() || random() % 2 == 0;
  for (int k = 0; k < 2; ++k) {
    ScalarCombination& what = k == 0 ? finished : *lazy;
    if (counted) own[k].push_back(what.characters(characters, low, high));
    auto root = what.all(own[k]);
    if (!none_of[k].empty()) root = what.all({root, what.negation(what.any(none_of[k]))});
    what.set_root(root);
    what.settle(*library->canonical_string());
  }
  bool empty = false;
  const auto dfa = ScalarDfa::combine(finished, 8000, ByteSet::all(), library->string(), &empty);
  const auto shared = std::make_shared<PartAutomata>();
  shared->states_made = opened;
  ScalarProduct product(lazy, vocabulary->json_bytes(), vocabulary->single_bytes(), shared,
                        &library->tables());
  if (empty) {
    EXPECT_EQ(product.start(), ScalarProduct::kNone);
    return;
  }
  if (dfa == nullptr) return;  // too large to compare with
  if (product.start() == ScalarProduct::kNone) {
    EXPECT_TRUE(product.undecided());
    return;
  }
  ScalarDfa::State q = dfa->next(dfa->start(), '"');
  ScalarProduct::State at = product.next(product.start(), '"');
  for (int step = 0; step < 6 && at != ScalarProduct::kNone && !product.accepting(at); ++step) {
    const auto tokens = product.tokens(at, TokenTrie::kRoot);
    std::vector<bool> stays(vocabulary->size(), false);
    for (const TokenId id : tokens->stay) stays[static_cast<std::size_t>(id)] = true;
    for_each_bit(tokens->many.words,
                 [&](TokenId id) { stays[static_cast<std::size_t>(id)] = true; });
    std::vector<TokenId> ways;
    for (TokenId id = 0; static_cast<std::size_t>(id) < vocabulary->size(); ++id) {
      const std::string_view text = vocabulary->bytes(id);
      ScalarDfa::State to = text.empty() ? ScalarDfa::kDead : q;
      for (const char c : text) {
        to = dfa->next(to, static_cast<unsigned char>(c));
        if (to == ScalarDfa::kDead || dfa->accepting(to)) to = ScalarDfa::kDead;
        if (to == ScalarDfa::kDead) break;
      }
      ++seen.tokens;
      // What searches did not find is left out where they have little fuel, and there alone.
      ASSERT_TRUE(opened > 0 || !product.undecided()) << "seed " << seed;
      if (product.undecided() && !stays[static_cast<std::size_t>(id)]) continue;
      ASSERT_EQ(stays[static_cast<std::size_t>(id)], to != ScalarDfa::kDead)
          << "seed " << seed << " step " << step << " token " << text;
      if (to == ScalarDfa::kDead) continue;
      ways.push_back(id);
      // Where the mask leads, something leads on, within what it says and along its closings.
      ScalarProduct::State behind = at;
      for (const char c : text) behind = product.next(behind, static_cast<unsigned char>(c));
      ASSERT_NE(behind, ScalarProduct::kNone) << "seed " << seed << " token " << text;
      ASSERT_LE(product.closing_size(behind), tokens->longest) << "seed " << seed;
      ASSERT_GE(product.closing_size(behind), dfa->closing_size(to)) << "seed " << seed;
      // What remains of a closing is as long as it said; with little fuel, which takes what it
      // found first, a shorter one may have been found since.
      const std::uint32_t size = product.closing_size(behind);
      const std::uint32_t rest =
          product.closing_size(product.next(behind, product.closing_byte(behind)));
      ASSERT_LT(rest, size) << "seed " << seed << " token " << text;
      if (opened == 0) {
        ASSERT_EQ(rest, size - 1) << "seed " << seed << " token " << text;
        ASSERT_EQ(size, dfa->closing_size(to)) << "seed " << seed << " token " << text;
      }
    }
    const auto& exits = tokens->piece->exits;
    for (std::uint32_t i = 0; i < exits.size(); ++i) {
      ScalarDfa::State to = q;
      for (const char c : vocabulary->bytes(exits[i].id).substr(0, exits[i].size + 1U)) {
        to = dfa->next(to, static_cast<unsigned char>(c));
      }
      ASSERT_EQ(std::ranges::binary_search(tokens->exits, i), dfa->accepting(to))
          << "seed " << seed << " exit " << vocabulary->bytes(exits[i].id);
    }
    if (ways.empty()) break;
    for (const char c : vocabulary->bytes(ways[random() % ways.size()])) {
      q = dfa->next(q, static_cast<unsigned char>(c));
      at = product.next(at, static_cast<unsigned char>(c));
    }
  }
  std::vector<PartAutomata::Part*> automata;
  std::vector<std::uint32_t> states(lazy->parts());
  lazy->start(states);
  for (std::size_t i = 0; i < lazy->parts(); ++i) {
    automata.push_back(lazy->program(i) != nullptr ? &shared->of(lazy->program(i)) : nullptr);
    if (automata[i] == nullptr) {
      states[i] = lazy->read(i, states[i], '"');
    } else {
      Automaton& automaton = automata[i]->automaton;
      states[i] = 2 * automaton.step(automaton.start({}), '"');
    }
  }
  const auto word = reset_word(*lazy, automata, states, *characters);
  if (!word) return;
  const bool carries = std::ranges::count(word->carried, true) > 0;
  ++(carries ? seen.carried : seen.reset);
}

TEST(ResetWords, GiveEachPlaceTheTokensThatTryingEachGives) {
  const std::uint64_t seeds = std::getenv("ESPALIER_LONG") != nullptr ? 20'000 : 400;
  Seen seen;
  for (const bool canonical : {true, false}) {
    const VocabularyRef vocabulary = testing::random_vocabulary(
        canonical ? 5 : 6, {"aaaa", "abcabc", "a__\"", "b___\",", "xx", "@ab", "\xC3\xA9z", "c\"}",
                            "aaaaaaaaaaaaaaaa", "________________________", "ab\\u0061"});
    const auto library = ScalarLibrary::of(vocabulary);
    std::vector<ProgramRef> programs;
    for (const std::string& pattern : patterns()) {
      programs.push_back(program_of(vocabulary, pattern, canonical));
    }
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      check_combination(vocabulary, programs,
                        canonical ? library->canonical_string() : library->string(),
                        seed % 4 == 0 ? ScalarProduct::kMostOfAll : 0, seed, seen);
      if (HasFatalFailure() || HasFailure()) return;
    }
  }
  EXPECT_GT(seen.tokens, 100'000U);
  EXPECT_GT(seen.reset, 100U);
  EXPECT_GT(seen.carried, 100U);
}

TEST(ResetWords, LeadEveryPartToOneState) {
  const VocabularyRef vocabulary = testing::byte_vocabulary();
  const auto library = ScalarLibrary::of(vocabulary);
  const Terminal& characters = *library->canonical_string();
  for (const std::string& pattern : {std::string("a.{2}$"), std::string("[ab].{3}$")}) {
    const auto dfa =
        ScalarDfa::create(program_of(vocabulary, pattern, true), 1'000'000, library->string());
    ScalarCombination what;
    what.set_root(what.all({what.negation(what.words(dfa)),
                            what.characters(&characters, 0, ScalarCombination::kUnbounded)}));
    std::vector<std::uint32_t> opened(2);
    what.start(opened);
    for (std::size_t i = 0; i < 2; ++i) opened[i] = what.read(i, opened[i], '"');
    const std::vector<PartAutomata::Part*> none(2, nullptr);
    const auto word = reset_word(what, none, opened, characters);
    ASSERT_TRUE(word) << pattern;
    EXPECT_EQ(std::ranges::count(word->carried, true), 0) << pattern;
    std::mt19937_64 random(3);
    std::vector<ScalarDfa::State> ends;
    for (int run = 0; run < 200; ++run) {
      auto q = static_cast<ScalarDfa::State>(opened[0]);
      for (std::uint64_t n = random() % 8; n > 0; --n) {
        q = dfa->next(q, static_cast<unsigned char>("abz"[random() % 3]));
      }
      for (std::uint32_t n = 0; n < word->count; ++n) q = dfa->next(q, word->byte);
      ends.push_back(q);
    }
    EXPECT_EQ(std::ranges::count(ends, ends[0]), 200) << pattern;
  }
}

// Automata that would not be finished: of values, of lengths beside them, of keys in their classes.
TEST(ResetWords, MasksOfSearchedPatternsAreWhatEachTokenTriedAloneGives) {
  const auto strings = [](const char* pattern) -> Json {
    return {{"type", "string"}, {"pattern", pattern}};
  };
  const auto keys = [](Json patterns, Json more) -> Json {
    return {{"type", "object"},
            {"patternProperties", std::move(patterns)},
            {"additionalProperties", std::move(more)}};
  };
  const Json integer = {{"type", "integer"}};
  Json bounded = strings("a.{12}$");
  bounded["maxLength"] = 30;
  bounded["minLength"] = 20;
  Json named = keys({{"a.{6}$", integer}, {"b.{7}$", true}}, false);
  named["propertyNames"] = {{"maxLength", 20}};
  named["properties"] = {{"abc", integer}};
  named["required"] = {"abc"};
  const Json rows[] = {
      strings("a.{20}$"),
      strings("[abc].{16}[0-9]"),
      strings("(?=.*\\d)(?=.*[a-z])(?=.*[A-Z])(?=.*[^\\w]).{8,}"),
      strings("a.{0,40}b.{0,40}c"),
      bounded,
      keys({{"a.{12}$", integer}}, false),
      keys({{"a.{12}$", integer}, {"b.{13}$", strings("b.{14}$")}}, {{"type", "null"}}),
      keys({{"^x", integer}, {"a.{7}$", {{"minimum", 1}}}, {"b.{8}$", true}}, false),
      named,
  };
  std::uint64_t seed = 7'000;
  for (const Json& schema : rows) {
    for (int round = 0; round < 2; ++round) {
      ++seed;
      testing::MaskCheck check(
          testing::random_vocabulary(seed, {"aaaaaaaaaaaaa\"", "a____________", "{\"x", "\"b",
                                            "bbbbbbbbbbbbbb\":", "{\"abc\":1,\"a", "zZ@9aaaa"}),
          schema, seed);
      check.walk(4, false);
      if (HasFatalFailure() || HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace espalier::grammar
