// Tokens that are known or guessed before they are drawn: forced spans and drafts change what a
// text costs, never the text.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "base/fault_system.h"
#include "runtime/engine/drafter.h"
#include "tests/runtime/engine/support.h"

namespace espalier::runtime {
namespace {

TEST(Engine, TextIsTheSameWithAndWithoutJumps) {
  std::vector<std::string> spellings;
  for (int byte = 0; byte < 256; ++byte) spellings.emplace_back(1, static_cast<char>(byte));
  for (const char* longer : {"name", "\":\"", "true", "false", "age", "\":", "{\""})
    spellings.emplace_back(longer);
  const auto vocabulary = jump_vocabulary(spellings);
  const std::string pattern =
      R"re(\{"name":"(ann|bob|anna)","age":[1-9][0-9]?,"ok":(true|false)\})re";
  for (const float temperature : {0.0F, 0.9F}) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      std::vector<Ids> texts;
      std::vector<std::uint64_t> steps;
      for (const bool jump : {true, false}) {
        Given given;
        given.toy.vocabulary = static_cast<std::uint32_t>(spellings.size() + 1);
        given.options.jump = jump;
        auto engine = make_engine(given);
        Branch branch = engine->open();
        branch.append(Ids{1, 2, 3});
        GenerateRequest request = free_text(80, temperature, seed);
        request.matcher = matcher_of(pattern, vocabulary);
        const auto out = branch.generate_now(std::move(request));
        ASSERT_TRUE(out.has_value()) << out.error().message;
        texts.push_back(out->ids);
        steps.push_back(engine->stats().steps);
        EXPECT_GT(engine->stats().forced_tokens, 5U);
      }
      EXPECT_EQ(texts[0], texts[1]);
      EXPECT_LT(steps[0], steps[1]);
    }
  }
}

// A model that would rather have the opening's single bytes is not asked: what every value begins
// with is fed as the tokenizer spells it.
TEST(Engine, WhatEveryValueBeginsWithIsNeverDrawn) {
  std::vector<std::string> spellings;
  for (int byte = 0; byte < 256; ++byte) spellings.emplace_back(1, static_cast<char>(byte));
  for (const char* longer : {"<call>", "ann", "bob"}) spellings.emplace_back(longer);
  const auto vocabulary = jump_vocabulary(spellings);
  for (const bool jump : {true, false}) {
    Given given;
    given.toy.vocabulary = static_cast<std::uint32_t>(spellings.size() + 1);
    given.toy.wants = [](auto, std::size_t token) { return token < 256 ? 100.0F : 0.0F; };
    given.options.jump = jump;
    auto engine = make_engine(given);
    Branch branch = engine->open();
    branch.append(Ids{1, 2, 3});
    std::vector<bool> forced;
    GenerateRequest request = free_text(20, 0, 0);
    request.matcher = matcher_of("<call>(ann|bob)", vocabulary);
    request.on_token = [&](const Progress& event) { forced.push_back(event.forced); };
    const auto out = branch.generate_now(std::move(request));
    ASSERT_TRUE(out.has_value()) << out.error().message;
    EXPECT_EQ(out->ids.front(), 256);
    ASSERT_FALSE(forced.empty());
    EXPECT_TRUE(forced.front());
    // A value that is no choice at all takes no draw.
    request = free_text(20, 0, 0);
    request.matcher = matcher_of("<call>", vocabulary, "ann");
    const auto fixed = branch.generate_now(std::move(request));
    ASSERT_TRUE(fixed.has_value()) << fixed.error().message;
    EXPECT_EQ(fixed->ids, (Ids{256, 257}));
    EXPECT_EQ(fixed->logprob, 0.0);
  }
}

// In all of these the clock stands still, so that no time decides what is guessed: a row counts as
// a tenth of a step.

// A toy that likes one token gives texts that repeat themselves, which guesses find; how much it
// likes it decides how often they are right. The second run of a prompt finds the first one's text
// in the tree.
TEST(Draft, TextIsTheSameWithAndWithout) {
  FaultSystem clock(real_system());
  std::uint64_t accepted = 0, wrong = 0;
  for (const float liking : {0.0F, 5.0F, 100.0F}) {
    for (const float temperature : {0.0F, 0.9F}) {
      for (std::uint64_t seed = 0; seed < 6; ++seed) {
        std::vector<std::vector<Ids>> texts;
        std::vector<std::uint64_t> steps;
        for (const bool draft : {true, false}) {
          Given given;
          given.toy.wants = [=](auto, std::size_t token) {
            return token % 16 == 5 ? liking : 0.0F;
          };
          given.options.draft = draft;
          given.options.max_rows = seed % 2 == 0 ? 64 : 5;
          auto engine = make_engine(given, clock);
          std::mt19937 random(static_cast<unsigned>(seed));
          const Ids prompt = random_ids(random, 30 + 7 * seed);
          std::vector<Ids> out;
          for (int run = 0; run < 2; ++run) {
            Branch branch = engine->open();
            branch.append(prompt);
            GenerateRequest request = free_text(60, temperature, seed);
            if (seed % 3 == 0) request.end_tokens = {7};
            const auto generated = branch.generate_now(std::move(request));
            ASSERT_TRUE(generated.has_value()) << generated.error().message;
            EXPECT_EQ(branch.ids().size(), prompt.size() + generated->ids.size());
            out.push_back(generated->ids);
          }
          EXPECT_TRUE(engine->check_idle().has_value());
          texts.push_back(std::move(out));
          const Stats stats = engine->stats();
          steps.push_back(stats.steps);
          EXPECT_LE(stats.accepted_tokens, stats.drafted_tokens);
          EXPECT_EQ(stats.reused_tokens + stats.computed_tokens, stats.prompt_tokens);
          if (!draft) {
            EXPECT_EQ(stats.drafted_tokens, 0U);
          } else {
            accepted += stats.accepted_tokens;
            wrong += stats.drafted_tokens - stats.accepted_tokens;
          }
        }
        EXPECT_EQ(texts[0], texts[1])
            << "liking " << liking << ", temperature " << temperature << ", seed " << seed;
        EXPECT_EQ(texts[0][0], texts[0][1]);
        EXPECT_LT(steps[0], steps[1]) << "the second run is in the tree";
      }
    }
  }
  EXPECT_GT(accepted, 1000U);
  EXPECT_GT(wrong, 100U);
}

TEST(Draft, TextIsTheSameUnderAGrammar) {
  FaultSystem clock(real_system());
  std::vector<std::string> spellings;
  for (int byte = 0; byte < 256; ++byte) spellings.emplace_back(1, static_cast<char>(byte));
  for (const char* longer : {"name", "\":\"", "true", "ab", "\":", "{\""})
    spellings.emplace_back(longer);
  const auto vocabulary = jump_vocabulary(spellings);
  const std::string pattern = R"re(\{"name":"(a|b|ab){8,20}","list":"(true|ab|, ){6,30}"\})re";
  std::uint64_t accepted = 0, wrong = 0;
  for (const float temperature : {0.0F, 0.9F}) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      std::vector<Ids> texts;
      std::vector<Json> values;
      for (const bool draft : {true, false}) {
        for (const bool jump : {true, false}) {
          Given given;
          given.toy.vocabulary = static_cast<std::uint32_t>(spellings.size() + 1);
          given.options.draft = draft;
          given.options.jump = jump;
          auto engine = make_engine(given, clock);
          for (int run = 0; run < 2; ++run) {
            Branch branch = engine->open();
            branch.append(Ids{1, 2, 3});
            GenerateRequest request = free_text(70, temperature, seed);
            request.matcher = matcher_of(pattern, vocabulary);
            const auto out = branch.generate_now(std::move(request));
            ASSERT_TRUE(out.has_value()) << out.error().message;
            texts.push_back(out->ids);
            values.push_back(out->matcher.value());
          }
          accepted += engine->stats().accepted_tokens;
          wrong += engine->stats().drafted_tokens - engine->stats().accepted_tokens;
        }
      }
      for (std::size_t i = 1; i < texts.size(); ++i) {
        EXPECT_EQ(texts[i], texts[0]) << "run " << i;
        EXPECT_EQ(values[i], values[0]);
      }
    }
  }
  EXPECT_GT(accepted, 500U);
  EXPECT_GT(wrong, 100U);
}

// Where the budget is used up the follow is still to come, and behind the token that ends a hole
// nothing is.
TEST(Draft, ChangesNothingAtABudgetsEnd) {
  FaultSystem clock(real_system());
  std::vector<std::string> spellings;
  for (int byte = 0; byte < 256; ++byte) spellings.emplace_back(1, static_cast<char>(byte));
  for (const char* longer : {"ab", "abab", ")\n", "b)"}) spellings.emplace_back(longer);
  const auto vocabulary = jump_vocabulary(spellings);
  std::uint64_t drafted = 0;
  for (const char* follow : {"", ")", ")\nend"}) {
    for (std::uint32_t budget = 4; budget < 20; ++budget) {
      for (std::uint64_t seed = 0; seed < 4; ++seed) {
        std::vector<Ids> texts;
        for (const bool draft : {true, false}) {
          Given given;
          given.toy.vocabulary = static_cast<std::uint32_t>(spellings.size() + 1);
          given.options.draft = draft;
          auto engine = make_engine(given, clock);
          for (int run = 0; run < 3; ++run) {
            Branch branch = engine->open();
            branch.append(Ids{1, 2, 3});
            GenerateRequest request = free_text(budget, seed % 2 == 0 ? 0.0F : 0.9F, seed);
            request.matcher = matcher_of("(a|b){3,40}", vocabulary, follow);
            const auto out = branch.generate_now(std::move(request));
            ASSERT_TRUE(out.has_value()) << budget << ": " << out.error().message;
            texts.push_back(out->ids);
            // What follows computes the last token too: the next run finds all of it in the tree.
            branch.append(Ids{4});
            ASSERT_TRUE(branch.generate_now(free_text(1)).has_value());
          }
          drafted += engine->stats().drafted_tokens;
        }
        for (std::size_t i = 1; i < texts.size(); ++i)
          EXPECT_EQ(texts[i], texts[0]) << "budget " << budget << ", follow " << follow;
      }
    }
  }
  EXPECT_GT(drafted, 200U);
}

TEST(Draft, WrongGuessesLeaveNothingInTheTree) {
  FaultSystem clock(real_system());
  std::vector<std::size_t> tokens, pages;
  for (const bool draft : {true, false}) {
    Given given;
    given.toy.wants = [](auto, std::size_t token) { return token < 4 ? 5.0F : 0.0F; };
    given.options.draft = draft;
    auto engine = make_engine(given, clock);
    Branch branch = engine->open();
    branch.append(Ids{1, 2, 3, 1, 2, 3});
    ASSERT_TRUE(branch.generate_now(free_text(300, 0.8F, 3)).has_value());
    if (draft) {
      EXPECT_GT(engine->stats().drafted_tokens, engine->stats().accepted_tokens + 20);
    }
    std::size_t all = 0;
    for (const auto trees = engine->trees(); const auto& node : trees[0]) all += node.tokens.size();
    tokens.push_back(all);
    pages.push_back(engine->stats().pages_held);
  }
  EXPECT_EQ(tokens[0], tokens[1]);
  EXPECT_EQ(pages[0], pages[1]);
}

TEST(NGramIndex, GuessesWhatFollowedTheLatestTime) {
  std::mt19937 random(4);
  for (int round = 0; round < 50; ++round) {
    NGramIndex index;
    Ids path;
    std::size_t found = 0, known = 0;
    const auto alphabet = static_cast<TokenId>(2 + random() % 12);
    while (path.size() < 400) {
      const Ids more = random_ids(random, 1 + random() % 5, alphabet);
      path.insert(path.end(), more.begin(), more.end());
      // By definition: the latest earlier end of the last n tokens, three before two.
      std::size_t expected = 0;
      for (const std::size_t n : {3U, 2U}) {
        for (std::size_t end = path.size() - 1; path.size() > n && end >= n && expected == 0;
             --end) {
          if (std::equal(path.end() - static_cast<std::ptrdiff_t>(n), path.end(),
                         path.begin() + static_cast<std::ptrdiff_t>(end - n)))
            expected = end;
        }
        if (expected != 0) break;
      }
      const auto guess = index.guess(path, 5);
      known += expected != 0 ? 1 : 0;
      if (guess.tokens.empty()) continue;
      ++found;
      const auto at = static_cast<std::size_t>(guess.tokens.data() - path.data());
      const std::size_t n = guess.source == DraftSource::kTrigram ? 3 : 2;
      ASSERT_LT(at, path.size());
      EXPECT_TRUE(std::equal(path.end() - static_cast<std::ptrdiff_t>(n), path.end(),
                             path.begin() + static_cast<std::ptrdiff_t>(at - n)));
      if (n == 3) {
        EXPECT_EQ(at, expected);
      }
      EXPECT_EQ(guess.tokens.size(), std::min<std::size_t>(5, path.size() - at));
    }
    EXPECT_GE(found * 10, known * 9) << "a hash that another n-gram has taken is a guess less";
  }
}

TEST(StepCost, ARowPaysWhereItIsLikelierThanItsShareOfTheStep) {
  StepCost cost;
  EXPECT_NEAR(cost.threshold(1), 0.1, 1e-9) << "before anything was measured";
  for (int i = 0; i < 200; ++i) cost.record(1 + i % 8, 0.003 + 0.0005 * (1 + i % 8));
  EXPECT_NEAR(cost.threshold(1), 0.5 / 3.5, 0.01);
  EXPECT_NEAR(cost.threshold(16), 8.0 / 11.0, 0.01);
}

TEST(DraftTrust, LooksAsFarAsItIsRightAndTriesAgain) {
  DraftTrust trust;
  for (int i = 0; i < 100; ++i) trust.record(DraftSource::kTrigram, true);
  EXPECT_EQ(trust.worth(DraftSource::kTrigram, 0.2, 7), 7U);
  for (int i = 0; i < 100; ++i) trust.record(DraftSource::kTrigram, false);
  // Seldomer where a row is dear.
  const auto tries = [](DraftTrust it, double threshold) {
    std::size_t tried = 0;
    for (int i = 0; i < 1000; ++i) tried += it.worth(DraftSource::kTrigram, threshold, 7);
    return tried;
  };
  EXPECT_EQ(tries(trust, 0.2), 40U);
  EXPECT_EQ(tries(trust, 0.75), 3U);
  EXPECT_GT(trust.worth(DraftSource::kTree, 0.2, 7), 1U) << "another source is another matter";
}

}  // namespace
}  // namespace espalier::runtime
