// Steps that begin before the tokens of the one before are known change when rows run, never a
// text: whoever ends, is cancelled, fails or comes meanwhile.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/fault_system.h"
#include "runtime/engine/scheduler.h"
#include "tests/runtime/engine/support.h"

namespace espalier::runtime {
namespace {

// Requests on a scheduler without threads; the clock stands still but where a test moves it.
class Rig {
 public:
  explicit Rig(ToyOptions toy, EngineOptions options = {.max_rows = 64, .poison = true})
      : clock(real_system()),
        backend_(std::move(toy)),
        scheduler(backend_, options, clock, [](auto) {}) {}
  ~Rig() { scheduler.cancel_all(); }

  std::shared_ptr<BranchState> send(Ids prompt, GenerateRequest request, Terms terms = {}) {
    auto state = std::make_shared<BranchState>();
    state->ids = std::move(prompt);
    state->terms = terms;
    state->request = std::move(request);
    scheduler.add(state);
    return state;
  }
  void step() {
    scheduler.step();
    const Status ok = scheduler.check();
    ASSERT_TRUE(ok.has_value()) << ok.error().message;
  }
  void run() {
    for (int i = 0; i < 2000 && !scheduler.idle(); ++i) ASSERT_NO_FATAL_FAILURE(step());
    ASSERT_TRUE(scheduler.idle());
  }
  static const Result<Generated>& answer(const std::shared_ptr<BranchState>& state) {
    return std::get<Result<Generated>>(state->answer);
  }

  FaultSystem clock;

 private:
  ToyBackend backend_;

 public:
  Scheduler scheduler;
};

ToyOptions ahead(bool on = true) {
  ToyOptions toy;
  toy.ahead = on;
  return toy;
}

EngineOptions without_drafts() { return {.max_rows = 64, .draft = false, .poison = true}; }

TEST(StepsAhead, GiveTheTextsOfStepsOneAtATime) {
  std::uint64_t begun = 0, wasted = 0;
  for (const float temperature : {0.0F, 0.9F}) {
    for (const std::size_t branches : {1, 2, 7}) {
      for (std::uint64_t seed = 0; seed < 8; ++seed) {
        std::vector<std::vector<Ids>> texts;
        std::vector<std::vector<double>> logprobs;
        std::vector<std::uint64_t> steps;
        for (const bool on : {false, true}) {
          ToyOptions toy = ahead(on);
          // Some next steps are not begun, for whatever reason.
          toy.refuse_ahead = seed % 3 == 0 ? 4 : 0;
          Rig rig(toy, without_drafts());
          std::mt19937 random(static_cast<unsigned>(seed));
          std::vector<std::shared_ptr<BranchState>> states;
          // Prompts of a common trunk, whose ends lie all over a page; texts of several lengths.
          const Ids trunk = random_ids(random, 20);
          for (std::size_t i = 0; i < branches; ++i) {
            Ids prompt = trunk;
            prompt.push_back(static_cast<TokenId>(i));
            for (const TokenId id : random_ids(random, 3 * i)) prompt.push_back(id);
            GenerateRequest request =
                free_text(static_cast<std::uint32_t>(40 + 3 * i), temperature, seed + i);
            if (i % 2 == 1) request.end_tokens = {7, 9};
            states.push_back(rig.send(std::move(prompt), std::move(request)));
          }
          ASSERT_NO_FATAL_FAILURE(rig.run());
          std::vector<Ids>& out = texts.emplace_back();
          std::vector<double>& likely = logprobs.emplace_back();
          for (const auto& state : states) {
            ASSERT_TRUE(Rig::answer(state).has_value()) << Rig::answer(state).error().message;
            out.push_back(Rig::answer(state)->ids);
            likely.push_back(Rig::answer(state)->logprob);
          }
          const Stats stats = rig.scheduler.stats();
          EXPECT_EQ(stats.steps_ahead > 0, on);
          begun += stats.steps_ahead;
          wasted += stats.wasted_rows;
          steps.push_back(stats.backend_steps);
        }
        EXPECT_EQ(texts[0], texts[1]);
        EXPECT_EQ(logprobs[0], logprobs[1]);
        // A step more, at most, that only rows for nothing ran in.
        EXPECT_LE(steps[1], steps[0] + 1);
      }
    }
  }
  EXPECT_GT(begun, 1000U);
  EXPECT_GT(wasted, 20U);
}

TEST(StepsAhead, AreAllButTheFirstWhereOneTextRunsAlone) {
  Rig rig(ahead(), without_drafts());
  const auto state = rig.send({1, 2, 3}, free_text(50));
  ASSERT_NO_FATAL_FAILURE(rig.run());
  EXPECT_EQ(Rig::answer(state)->ids, by_definition({1, 2, 3}, 50));
  const Stats stats = rig.scheduler.stats();
  EXPECT_EQ(stats.backend_steps, 50U);
  EXPECT_EQ(stats.steps_ahead, 49U);
  EXPECT_EQ(stats.wasted_rows, 0U);  // the budget's end is known before it comes
  EXPECT_EQ(stats.decode_rows + stats.prefill_rows, 52U);
}

// An end that nobody knew of, at every place in a page: the row behind it was for nothing, and what
// was taken for it is there again.
TEST(StepsAhead, GiveBackThePlacesOfTextsThatHaveEnded) {
  for (std::size_t length = 1; length <= 34; ++length) {
    SCOPED_TRACE(length);
    std::mt19937 random(static_cast<unsigned>(length));
    const Ids prompt = random_ids(random, length);
    Ids text = by_definition(prompt, 40);
    std::size_t end = 5;
    while (std::find(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), text[end]) !=
           text.begin() + static_cast<std::ptrdiff_t>(end)) {
      ++end;
    }
    text.resize(end + 1);
    for (const bool alone : {false, true}) {
      Rig rig(ahead(), without_drafts());
      GenerateRequest request = free_text(40);
      request.end_tokens = {text[end]};
      const auto state = rig.send(prompt, std::move(request));
      std::shared_ptr<BranchState> other;
      if (!alone) other = rig.send({1, 2}, free_text(60));
      ASSERT_NO_FATAL_FAILURE(rig.run());
      EXPECT_EQ(Rig::answer(state)->ids, text);
      EXPECT_EQ(rig.scheduler.stats().wasted_rows, 1U);
      if (other) {
        EXPECT_EQ(Rig::answer(other)->ids, by_definition({1, 2}, 60));
      }
    }
  }
}

// Texts at one place go one step at a time until they part: the next place would be both's.
TEST(StepsAhead, AreBegunOnceTextsHaveParted) {
  for (const float temperature : {0.0F, 0.9F}) {
    Rig rig(ahead(), without_drafts());
    std::vector<std::shared_ptr<BranchState>> states;
    for (std::uint64_t i = 0; i < 3; ++i)
      states.push_back(rig.send({1, 2, 3}, free_text(40, temperature, i)));
    ASSERT_NO_FATAL_FAILURE(rig.run());
    for (std::uint64_t i = 0; i < 3; ++i) {
      Rig alone(ahead(false), without_drafts());
      const auto state = alone.send({1, 2, 3}, free_text(40, temperature, i));
      ASSERT_NO_FATAL_FAILURE(alone.run());
      EXPECT_EQ(Rig::answer(states[i])->ids, Rig::answer(state)->ids);
    }
    EXPECT_EQ(rig.scheduler.stats().steps_ahead > 30, temperature > 0);
  }
}

// What the host alone can choose, and what more than a token follows, goes one step at a time.
TEST(StepsAhead, AreNotBegunForChoicesThatTheHostMakes) {
  for (const int kind : {0, 1, 2, 3}) {
    SCOPED_TRACE(kind);
    Rig rig(ahead(), without_drafts());
    GenerateRequest request = free_text(20, 0.9F, 3);
    if (kind == 0) request.sampling.top_k = 3;
    if (kind == 1) request.sampling.presence = 0.5F;
    if (kind == 2) request.logprobs = 2;
    const auto state = rig.send({1, 2, 3}, std::move(request));
    // All or none: another text waits for this one's tokens too.
    const auto other = rig.send({4, 5, 6}, free_text(20));
    std::shared_ptr<BranchState> probe;
    if (kind == 3) {
      state->cancelled = true;
      probe = std::make_shared<BranchState>();
      probe->ids = {7, 8};
      probe->request = ProbeRequest{Ids(400, 5), 1};
      rig.scheduler.add(probe);
      for (int i = 0; i < 5; ++i) ASSERT_NO_FATAL_FAILURE(rig.step());
      EXPECT_EQ(rig.scheduler.stats().steps_ahead, 0U);
    }
    ASSERT_NO_FATAL_FAILURE(rig.run());
    EXPECT_EQ(Rig::answer(other)->ids, by_definition({4, 5, 6}, 20));
    if (kind < 3) {
      EXPECT_EQ(rig.scheduler.stats().steps_ahead, 0U);
    }
  }
}

// A request that comes is let in after the step that was begun ahead, however long the others run.
TEST(StepsAhead, LetInWhoeverComes) {
  Rig rig(ahead(), without_drafts());
  const auto first = rig.send({1, 2, 3}, free_text(200));
  for (int i = 0; i < 10; ++i) ASSERT_NO_FATAL_FAILURE(rig.step());
  EXPECT_EQ(rig.scheduler.stats().steps_ahead, 9U);
  const auto second = rig.send({1, 2, 4}, free_text(5));
  ASSERT_NO_FATAL_FAILURE(rig.step());
  EXPECT_EQ(rig.scheduler.waiting(), 1U);
  ASSERT_NO_FATAL_FAILURE(rig.step());
  EXPECT_EQ(rig.scheduler.waiting(), 0U);
  const std::uint64_t before = rig.scheduler.stats().steps_ahead;
  ASSERT_NO_FATAL_FAILURE(rig.step());
  EXPECT_EQ(rig.scheduler.stats().steps_ahead, before + 1);  // both of them
  ASSERT_NO_FATAL_FAILURE(rig.run());
  EXPECT_EQ(Rig::answer(first)->ids, by_definition({1, 2, 3}, 200));
  EXPECT_EQ(Rig::answer(second)->ids, by_definition({1, 2, 4}, 5));
}

// Cancelled, or out of time, with a row under way whose token was not known when it began: at every
// place in a page.
TEST(StepsAhead, AreGivenUpWithTheTextsThatEnd) {
  for (const bool late : {false, true}) {
    for (int after = 1; after < 20; ++after) {
      for (const bool alone : {false, true}) {
        Rig rig(ahead(), without_drafts());
        Terms terms;
        if (late) terms.deadline = rig.clock.now() + std::chrono::milliseconds(1);
        const auto ends = rig.send({1, 2, 3}, free_text(40), terms);
        std::shared_ptr<BranchState> other;
        if (!alone) other = rig.send({4, 5}, free_text(40));
        for (int i = 0; i < after; ++i) ASSERT_NO_FATAL_FAILURE(rig.step());
        if (late) {
          rig.clock.advance(std::chrono::milliseconds(2));
        } else {
          ends->cancelled = true;
        }
        ASSERT_NO_FATAL_FAILURE(rig.run());
        EXPECT_EQ(Rig::answer(ends).error().code,
                  late ? ErrorCode::kTimeout : ErrorCode::kCancelled);
        if (other) {
          EXPECT_EQ(Rig::answer(other)->ids, by_definition({4, 5}, 40));
        }
        EXPECT_EQ(rig.scheduler.stats().wasted_rows, 1U);
        // Where it was, another text goes on.
        const auto again = rig.send({1, 2, 3}, free_text(40));
        ASSERT_NO_FATAL_FAILURE(rig.run());
        EXPECT_EQ(Rig::answer(again)->ids, by_definition({1, 2, 3}, 40));
      }
    }
  }
}

// A step that fails, in either half, fails those that run, and nobody after them. One that cannot
// be begun ahead is begun when the tokens are there.
TEST(StepsAhead, FailForThoseThatRunAlone) {
  for (const bool late : {false, true}) {
    for (std::uint64_t step = 1; step < 24; ++step) {
      SCOPED_TRACE(std::to_string(step) + (late ? " late" : ""));
      ToyOptions toy = ahead();
      toy.fail_at_step = step;
      toy.fail_late = late;
      Rig rig(toy, without_drafts());
      const auto a = rig.send({1, 2, 3}, free_text(30));
      const auto b = rig.send({4, 5}, free_text(30));
      ASSERT_NO_FATAL_FAILURE(rig.run());
      const bool fails = late || step == 1;
      for (const auto& [state, prompt] : {std::pair(a, Ids{1, 2, 3}), std::pair(b, Ids{4, 5})}) {
        ASSERT_EQ(Rig::answer(state).has_value(), !fails);
        if (fails) {
          EXPECT_EQ(Rig::answer(state).error().code, ErrorCode::kIo);
        } else {
          EXPECT_EQ(Rig::answer(state)->ids, by_definition(prompt, 30));
        }
      }
      const auto next = rig.send({1, 2, 3}, free_text(30));
      ASSERT_NO_FATAL_FAILURE(rig.run());
      EXPECT_EQ(Rig::answer(next)->ids, by_definition({1, 2, 3}, 30));
    }
  }
}

// Under a grammar masks are made for rows that run already; what is forced behind a token comes in
// the step after.
TEST(StepsAhead, GiveTheSameValuesUnderAGrammar) {
  std::vector<std::string> spellings;
  for (int byte = 0; byte < 256; ++byte) spellings.emplace_back(1, static_cast<char>(byte));
  for (const char* longer : {"name", "\":\"", "{\""}) spellings.emplace_back(longer);
  const auto vocabulary = jump_vocabulary(spellings);
  const std::string pattern = R"re(\{"name":"[a-z]{18,40}","next":"[a-z]{1,9}"\})re";
  std::uint64_t begun = 0, wasted = 0;
  for (const bool jump : {true, false}) {
    for (const float temperature : {0.0F, 0.9F}) {
      for (std::uint64_t seed = 0; seed < 12; ++seed) {
        std::vector<Ids> texts;
        for (const bool on : {false, true}) {
          ToyOptions toy = ahead(on);
          toy.vocabulary = static_cast<std::uint32_t>(spellings.size() + 1);
          EngineOptions options = without_drafts();
          options.jump = jump;
          Rig rig(toy, options);
          GenerateRequest request = free_text(90, temperature, seed);
          request.matcher = matcher_of(pattern, vocabulary);
          const auto state = rig.send({1, 2, 3}, std::move(request));
          ASSERT_NO_FATAL_FAILURE(rig.run());
          ASSERT_TRUE(Rig::answer(state).has_value()) << Rig::answer(state).error().message;
          texts.push_back(Rig::answer(state)->ids);
          begun += rig.scheduler.stats().steps_ahead;
          wasted += rig.scheduler.stats().wasted_rows;
        }
        EXPECT_EQ(texts[0], texts[1]);
      }
    }
  }
  EXPECT_GT(begun, 100U);
  EXPECT_GT(wasted, 10U);
}

// Where guesses pay they are made: a text that repeats itself is guessed, and goes ahead where
// nothing is worth guessing.
TEST(StepsAhead, LeaveGuessesTheirTurn) {
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    std::vector<Ids> texts;
    for (const bool on : {false, true}) {
      ToyOptions toy = ahead(on);
      // First a text like no other, then one token again and again.
      toy.wants = [](std::span<const TokenId> path, std::size_t token) {
        return path.size() > 60 && token == 5 ? 100.0F : 0.0F;
      };
      Rig rig(toy);
      const auto state = rig.send({1, 2, 3}, free_text(150, 0.9F, seed));
      ASSERT_NO_FATAL_FAILURE(rig.run());
      texts.push_back(Rig::answer(state)->ids);
      const Stats stats = rig.scheduler.stats();
      EXPECT_GT(stats.accepted_tokens, 30U);
      EXPECT_EQ(stats.steps_ahead > 20, on);
    }
    EXPECT_EQ(texts[0], texts[1]);
  }
}

}  // namespace
}  // namespace espalier::runtime
