// A draft model changes no text, whatever it guesses, and is asked only where it pays. Time stands
// still where it is to guess: then nothing costs anything.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/fault_system.h"
#include "tests/runtime/engine/support.h"

namespace espalier::runtime {
namespace {

enum class Draft { kNone, kSame, kOther, kSmallPool, kShortContext, kBreaks };
constexpr Draft kDrafts[] = {Draft::kNone,      Draft::kSame,         Draft::kOther,
                             Draft::kSmallPool, Draft::kShortContext, Draft::kBreaks};

/// Time that passes when a backend runs, by a price a row.
struct Priced {
  FaultSystem* clock = nullptr;
  std::chrono::microseconds step{0}, row{0};
};

std::unique_ptr<Backend> toy_draft(Draft kind, std::uint32_t vocabulary, Priced price = {}) {
  ToyOptions toy;
  toy.vocabulary = vocabulary;
  if (kind == Draft::kOther) toy.sharpness = 1.0F;
  if (kind == Draft::kSmallPool) toy.pages = 5;
  if (kind == Draft::kShortContext) toy.context = 50;
  if (kind == Draft::kBreaks) toy.fail_at_step = 12;
  if (price.clock != nullptr) {
    toy.on_step = [price](const Batch& batch) {
      price.clock->advance(price.step + price.row * static_cast<int>(batch.rows.size()));
    };
  }
  return std::make_unique<ToyBackend>(std::move(toy));
}

std::unique_ptr<Engine> with_draft(Given given, Draft kind, System& system, Priced price = {}) {
  auto draft = kind == Draft::kNone ? nullptr : toy_draft(kind, given.toy.vocabulary, price);
  auto engine = Engine::create(std::make_unique<ToyBackend>(std::move(given.toy)), given.options,
                               system, std::move(draft));
  EXPECT_TRUE(engine.has_value()) << engine.error().message;
  return std::move(*engine);
}

TEST(DraftModel, ChangesNoText) {
  FaultSystem clock(real_system());
  std::vector<std::string> spellings;
  for (int byte = 0; byte < 256; ++byte) spellings.emplace_back(1, static_cast<char>(byte));
  spellings.insert(spellings.end(), {"ab", "ba", "aba", "bbb"});
  const auto vocabulary = jump_vocabulary(spellings);
  for (const bool held : {false, true}) {
    for (const float temperature : {0.0F, 0.8F}) {
      std::vector<Ids> expected;
      for (const Draft kind : kDrafts) {
        Given given;
        std::vector<std::string> notes;
        given.options.note = [&](const std::string& note) { notes.push_back(note); };
        given.toy.vocabulary = static_cast<std::uint32_t>(vocabulary->size());
        auto engine = with_draft(given, kind, clock);
        std::vector<Ids> texts;
        for (std::uint64_t seed = 0; seed < 6; ++seed) {
          Branch branch = engine->open();
          branch.append(Ids{1, 2, 3});
          branch.append(Ids{static_cast<TokenId>(seed % 3)});
          GenerateRequest request = free_text(70, temperature, seed);
          if (held) request.matcher = matcher_of("(a|b){3,60}", vocabulary);
          if (seed == 5) request.sampling.presence = 1.0F;
          const auto out = branch.generate_now(std::move(request));
          ASSERT_TRUE(out.has_value()) << out.error().message;
          texts.push_back(out->ids);
        }
        if (kind == Draft::kNone) expected = texts;
        EXPECT_EQ(texts, expected) << static_cast<int>(kind);
        ASSERT_TRUE(engine->check_idle());
        const Stats stats = engine->stats();
        EXPECT_LE(stats.model_accepted_tokens, stats.model_drafted_tokens);
        EXPECT_EQ(stats.model_drafted_tokens > 0, kind != Draft::kNone);
        // Drawn by the same key under the same mask, the same model says the same.
        if (kind == Draft::kSame && !held) {
          EXPECT_GT(stats.model_accepted_tokens, 100U);
          EXPECT_EQ(stats.model_accepted_tokens, stats.model_drafted_tokens);
        }
        EXPECT_EQ(notes.size(), kind == Draft::kBreaks ? 1U : 0U);
      }
    }
  }
}

TEST(DraftModel, ManyBranchesAtOnceInSmallPoolsSayWhatTheySayAlone) {
  FaultSystem clock(real_system());
  std::mt19937 random(5);
  std::vector<Ids> prompts;
  for (int i = 0; i < 12; ++i) {
    Ids prompt = i % 3 == 0 ? Ids(40, 7) : random_ids(random, 1 + random() % 60);
    prompt.push_back(static_cast<TokenId>(i / 2));
    prompts.push_back(std::move(prompt));
  }
  for (const std::uint32_t pages : {16U, 64U}) {
    for (const Draft kind : {Draft::kSame, Draft::kOther, Draft::kSmallPool}) {
      Given given;
      given.toy.pages = pages;
      given.options.max_rows = 24;
      auto engine = with_draft(given, kind, clock);
      std::vector<Branch> branches;
      std::vector<std::thread> threads;
      std::vector<Ids> texts(prompts.size());
      for (std::size_t i = 0; i < prompts.size(); ++i) {
        branches.push_back(engine->open());
        branches[i].append(prompts[i]);
      }
      for (std::size_t i = 0; i < prompts.size(); ++i) {
        threads.emplace_back([&, i] {
          const auto out = branches[i].generate_now(free_text(40));
          if (out) texts[i] = out->ids;
        });
      }
      for (auto& thread : threads) thread.join();
      for (std::size_t i = 0; i < prompts.size(); ++i)
        EXPECT_EQ(texts[i], by_definition(prompts[i], 40)) << i;
      EXPECT_GT(engine->stats().model_drafted_tokens, 0U);
      EXPECT_TRUE(engine->check_idle());
    }
  }
}

TEST(DraftModel, IsAskedOnlyWhereItPays) {
  using std::chrono::microseconds;
  // (what a step of the draft takes, whether it is worth it): a step of the model takes 1 ms.
  for (const auto& [step, pays] :
       {std::pair{microseconds(20), true}, std::pair{microseconds(2000), false}}) {
    FaultSystem clock(real_system());
    Given given;
    given.toy.on_step = [&clock](const Batch& batch) {
      clock.advance(microseconds(1000) + microseconds(10) * static_cast<int>(batch.rows.size()));
    };
    auto engine = with_draft(given, Draft::kSame, clock, {&clock, step, microseconds(1)});
    Branch branch = engine->open();
    branch.append(Ids{1, 2, 3});
    ASSERT_TRUE(branch.generate_now(free_text(200)).has_value());
    const Stats stats = engine->stats();
    EXPECT_EQ(stats.model_accepted_tokens > 100, pays) << stats.model_accepted_tokens;
    EXPECT_EQ(stats.model_drafted_tokens > 0, pays);
    EXPECT_EQ(stats.steps < 100, pays);
    EXPECT_EQ(stats.draft_seconds > 0, pays);
  }
}

TEST(DraftModel, DoesNotReadALongPromptForAShortText) {
  using std::chrono::microseconds;
  FaultSystem clock(real_system());
  Given given;
  given.toy.pages = 256;
  given.toy.on_step = [&clock](const Batch& batch) {
    clock.advance(microseconds(1000) + microseconds(10) * static_cast<int>(batch.rows.size()));
  };
  auto engine =
      with_draft(given, Draft::kSame, clock, {&clock, microseconds(20), microseconds(50)});
  std::mt19937 random(8);
  Branch branch = engine->open();
  branch.append(random_ids(random, 2000));
  ASSERT_TRUE(branch.generate_now(free_text(20)).has_value());
  EXPECT_EQ(engine->stats().model_drafted_tokens, 0U);
}

TEST(DraftModel, OfAnotherVocabularyIsRefused) {
  Given given;
  const auto engine = Engine::create(std::make_unique<ToyBackend>(given.toy), given.options,
                                     real_system(), toy_draft(Draft::kSame, 63));
  ASSERT_FALSE(engine.has_value());
  EXPECT_EQ(engine.error().message, "the draft model has 63 tokens, the model 64");
}

}  // namespace
}  // namespace espalier::runtime
