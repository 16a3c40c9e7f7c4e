// The engine's laws, on a toy backend whose text depends on every slot it reads.
#include "runtime/engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "runtime/engine/tree_text.h"
#include "tests/runtime/engine/support.h"

namespace espalier::runtime {
namespace {

TEST(Engine, GreedyTextIsTheModelsOwn) {
  std::mt19937 random(1);
  auto engine = make_engine();
  for (const std::size_t length : {1U, 15U, 16U, 17U, 100U, 300U}) {
    const Ids prompt = random_ids(random, length);
    Branch branch = engine->open();
    branch.append(prompt);
    const auto out = branch.generate_now(free_text(40));
    ASSERT_TRUE(out.has_value()) << out.error().message;
    EXPECT_EQ(out->ids, by_definition(prompt, 40));
    EXPECT_TRUE(out->truncated);
    EXPECT_EQ(branch.ids().size(), length + 40);
  }
  EXPECT_TRUE(engine->check_idle().has_value()) << engine->check_idle().error().message;
}

TEST(Engine, ACachedPromptIsNotComputedAgainAndGivesTheSameText) {
  std::mt19937 random(2);
  auto engine = make_engine();
  const Ids prompt = random_ids(random, 160);
  Ids first;
  for (int round = 0; round < 3; ++round) {
    Branch branch = engine->open();
    branch.append(prompt);
    const auto out = branch.generate_now(free_text(5));
    ASSERT_TRUE(out.has_value());
    if (round == 0) first = out->ids;
    EXPECT_EQ(out->ids, first);
  }
  const Stats stats = engine->stats();
  EXPECT_EQ(stats.prompt_tokens, 480U);
  EXPECT_EQ(stats.computed_tokens, 160U);
  EXPECT_EQ(stats.reused_tokens, 320U);
  EXPECT_EQ(stats.recomputed_tokens, 0U);
  EXPECT_EQ(stats.generated_tokens, 15U);
}

TEST(Engine, AForkSharesItsTrunkAndATrunkIsCountedOnce) {
  std::mt19937 random(3);
  auto engine = make_engine();
  Branch trunk = engine->open();
  trunk.append(random_ids(random, 100));
  std::vector<Branch> forks;
  for (int i = 0; i < 4; ++i) forks.push_back(trunk.fork());
  for (std::size_t i = 0; i < forks.size(); ++i) {
    forks[i].append(Ids{static_cast<TokenId>(i)});
    ASSERT_TRUE(forks[i].generate_now(free_text(3)).has_value());
  }
  const Stats stats = engine->stats();
  EXPECT_EQ(stats.prompt_tokens, 104U);
  EXPECT_EQ(stats.computed_tokens, 104U);
  EXPECT_EQ(stats.reused_tokens, 0U);
  EXPECT_EQ(stats.recomputed_tokens, 0U);
}

TEST(Engine, WhatATrunkGetsAfterItsForkHasRunIsCountedToo) {
  std::mt19937 random(5);
  auto engine = make_engine();
  Branch trunk = engine->open();
  trunk.append(random_ids(random, 40));
  {
    Branch fork = trunk.fork();
    ASSERT_TRUE(fork.generate_now(free_text(3)).has_value());
  }
  trunk.append(random_ids(random, 25));
  ASSERT_TRUE(trunk.generate_now(free_text(3)).has_value());
  EXPECT_EQ(engine->stats().prompt_tokens, 65U);
}

TEST(Engine, RollbackReturnsToTheSameText) {
  std::mt19937 random(4);
  auto engine = make_engine();
  Branch branch = engine->open();
  branch.append(random_ids(random, 50));
  const auto first = branch.generate_now(free_text(20));
  branch.rollback(50);
  const auto second = branch.generate_now(free_text(20));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->ids, second->ids);
  EXPECT_EQ(engine->stats().prompt_tokens, 50U);
  EXPECT_EQ(engine->stats().recomputed_tokens, 0U);
}

TEST(Engine, ScoresAreTheModelsLogProbabilities) {
  std::mt19937 random(5);
  auto engine = make_engine();
  const Ids prompt = random_ids(random, 37);
  Branch branch = engine->open();
  branch.append(prompt);
  const std::vector<Ids> continuations = {{1, 2, 3}, {1, 2, 4}, {1},
                                          {5, 6},    {5, 6},    {7, 8, 9, 10, 11}};
  const auto scored = branch.score_now({continuations});
  ASSERT_TRUE(scored.has_value()) << scored.error().message;
  const ToyBackend toy{ToyOptions{}};
  for (std::size_t c = 0; c < continuations.size(); ++c) {
    Ids path = prompt;
    ASSERT_EQ(scored->logprobs[c].size(), continuations[c].size());
    for (std::size_t i = 0; i < continuations[c].size(); ++i) {
      const auto logits = toy.logits_after(path);
      double total = 0;
      for (const float l : logits) total += std::exp(static_cast<double>(l));
      const auto id = static_cast<std::size_t>(continuations[c][i]);
      EXPECT_NEAR(scored->logprobs[c][i], logits[id] - std::log(total), 1e-5);
      path.push_back(continuations[c][i]);
    }
  }
  // 1, 1 2, 5, 7, 7 8, 7 8 9, 7 8 9 10: the inner nodes below the path.
  EXPECT_EQ(engine->stats().select_tokens, 7U);
  EXPECT_EQ(branch.ids().size(), prompt.size());
  branch.append_selected(continuations[0]);
  ASSERT_TRUE(branch.generate_now(free_text(1)).has_value());
  EXPECT_EQ(engine->stats().prompt_tokens, prompt.size());
}

TEST(Engine, AProbeReportsWhatWasThoughtOfEachId) {
  std::mt19937 random(6);
  auto engine = make_engine();
  const Ids text = random_ids(random, 130);
  const ToyBackend toy{ToyOptions{}};
  for (int round = 0; round < 2; ++round) {  // cold, then with everything in the cache
    Branch branch = engine->open();
    const auto probed = branch.probe_now({text, 3});
    ASSERT_TRUE(probed.has_value()) << probed.error().message;
    EXPECT_TRUE(std::isnan(probed->logprobs[0]));
    for (std::size_t i = 1; i < text.size(); ++i) {
      const auto logits = toy.logits_after(std::span(text).first(i));
      double total = 0;
      for (const float l : logits) total += std::exp(static_cast<double>(l));
      EXPECT_NEAR(probed->logprobs[i], logits[static_cast<std::size_t>(text[i])] - std::log(total),
                  1e-5)
          << i;
      EXPECT_EQ(probed->best[i].size(), 3U);
      const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
      EXPECT_EQ(probed->best[i][0].first, best);
    }
  }
}

// One random tree of requests; returns each request's text. Whatever `run` does to interleave them,
// texts must agree.
struct Script {
  Ids prompt;
  std::uint32_t tokens;
  float temperature;
  std::uint64_t seed;
};

std::vector<Script> random_scripts(std::uint64_t seed, std::size_t count) {
  std::mt19937 random(static_cast<unsigned>(seed));
  const Ids trunk = random_ids(random, 1 + random() % 120, 4);
  std::vector<Script> out;
  for (std::size_t i = 0; i < count; ++i) {
    Script script;
    script.prompt.assign(trunk.begin(),
                         trunk.begin() + static_cast<std::ptrdiff_t>(1 + random() % trunk.size()));
    const Ids tail = random_ids(random, random() % 40, 3);
    script.prompt.insert(script.prompt.end(), tail.begin(), tail.end());
    script.tokens = 1 + random() % 24;
    script.temperature = random() % 2 == 0 ? 0.0F : 0.8F;
    script.seed = random();
    out.push_back(std::move(script));
  }
  return out;
}

Ids run_alone(const Script& script) {
  Given given;
  given.options.cache = false;
  auto engine = make_engine(given);
  Branch branch = engine->open();
  branch.append(script.prompt);
  auto out = branch.generate_now(free_text(script.tokens, script.temperature, script.seed));
  EXPECT_TRUE(out.has_value());
  return out ? out->ids : Ids{};
}

std::vector<Ids> run_together(Engine& engine, const std::vector<Script>& scripts,
                              std::uint64_t order_seed) {
  std::vector<Ids> out(scripts.size());
  std::vector<std::size_t> order(scripts.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::mt19937 random(static_cast<unsigned>(order_seed));
  std::shuffle(order.begin(), order.end(), random);
  std::vector<std::thread> threads;
  for (const std::size_t i : order) {
    threads.emplace_back([&, i] {
      Branch branch = engine.open();
      branch.append(scripts[i].prompt);
      auto result = branch.generate_now(
          free_text(scripts[i].tokens, scripts[i].temperature, scripts[i].seed));
      ASSERT_TRUE(result.has_value()) << result.error().message;
      out[i] = result->ids;
    });
  }
  for (auto& thread : threads) thread.join();
  return out;
}

TEST(Engine, TextIsTheSameAloneOrTogetherInAnyOrderWithTheCacheOnOrOff) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    const auto scripts = random_scripts(seed, 12);
    std::vector<Ids> alone;
    for (const auto& script : scripts) alone.push_back(run_alone(script));
    for (const bool cache : {true, false}) {
      for (const std::uint32_t pages : {24U, 256U}) {  // 24: they cannot all be in the pool at once
        for (const std::uint32_t rows : {7U, 64U}) {
          Given given;
          given.toy.pages = pages;
          given.options.cache = cache;
          given.options.max_rows = rows;
          auto engine = make_engine(given);
          for (std::uint64_t order = 0; order < 2; ++order) {
            EXPECT_EQ(run_together(*engine, scripts, order), alone)
                << "seed " << seed << " cache " << cache << " pages " << pages << " rows " << rows;
          }
          const Status idle = engine->check_idle();
          EXPECT_TRUE(idle.has_value()) << idle.error().message;
          const Stats stats = engine->stats();
          EXPECT_EQ(stats.reused_tokens + stats.computed_tokens, stats.prompt_tokens);
        }
      }
    }
  }
}

TEST(Engine, TwoRequestsWithACommonColdPromptComputeItOnce) {
  std::mt19937 random(8);
  const Ids prompt = random_ids(random, 1000);
  std::uint64_t rows = 0;
  Given given;
  given.toy.pages = 200;
  given.toy.on_step = [&](const Batch& batch) { rows += batch.rows.size(); };
  auto engine = make_engine(given);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      Branch branch = engine->open();
      branch.append(prompt);
      branch.append(Ids{static_cast<TokenId>(i)});
      EXPECT_TRUE(branch.generate_now(free_text(1)).has_value());
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(engine->check_idle().has_value());
  EXPECT_EQ(engine->stats().prompt_tokens, 8 * 1001U);
  EXPECT_EQ(engine->stats().computed_tokens, 1000U + 8U);
  EXPECT_EQ(rows, 1000U + 8U);
}

TEST(Engine, ForksAtOnePlaceDrawFromOneRow) {
  std::mt19937 random(13);
  std::uint64_t rows = 0;
  Given given;
  given.toy.on_step = [&](const Batch& batch) { rows += batch.rows.size(); };
  auto engine = make_engine(given);
  Branch trunk = engine->open();
  trunk.append(random_ids(random, 100));
  std::vector<Branch> forks;
  for (int i = 0; i < 6; ++i) forks.push_back(trunk.fork());
  std::vector<Ids> got(forks.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < forks.size(); ++i) {
    threads.emplace_back([&, i] {
      const auto out = forks[i].generate_now(free_text(1, 0.8F, i));
      ASSERT_TRUE(out.has_value());
      got[i] = out->ids;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(engine->check_idle().has_value());
  // The 100 rows of the trunk, and at most one more for each step that came later.
  EXPECT_LE(rows, 100 + engine->stats().steps);
  for (std::size_t i = 0; i < forks.size(); ++i) {
    Branch again = trunk.fork();
    const auto alone = again.generate_now(free_text(1, 0.8F, i));
    ASSERT_TRUE(alone.has_value());
    EXPECT_EQ(got[i], alone->ids);
  }
}

TEST(Engine, CancellingFreesEverythingAndLeavesTheOthersAlone) {
  std::mt19937 random(9);
  for (int round = 0; round < 20; ++round) {
    Given given;
    given.toy.pages = 40;
    auto engine = make_engine(given);
    const Ids trunk = random_ids(random, 100);
    Branch victim = engine->open();
    victim.append(trunk);
    Branch other = engine->open();
    other.append(trunk);
    other.append(Ids{1, 2, 3});
    Ids expected_path = trunk;
    expected_path.insert(expected_path.end(), {1, 2, 3});
    Result<Generated> victim_result = fail(ErrorCode::kInternal, "not run");
    std::thread thread([&] { victim_result = victim.generate_now(free_text(400)); });
    std::thread canceller([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 500));
      victim.cancel();
    });
    const auto out = other.generate_now(free_text(50));
    thread.join();
    canceller.join();
    ASSERT_TRUE(out.has_value()) << out.error().message;
    EXPECT_EQ(out->ids, by_definition(expected_path, 50));
    if (!victim_result) {
      EXPECT_EQ(victim_result.error().code, ErrorCode::kCancelled);
    }
    const Status idle = engine->check_idle();
    EXPECT_TRUE(idle.has_value()) << idle.error().message;
  }
}

TEST(Engine, WhatCanNeverRunIsRefusedAtOnceWithBothFigures) {
  Given given;
  given.toy.context = 100;
  given.toy.pages = 4;
  auto engine = make_engine(given);
  std::mt19937 random(10);
  {
    Branch branch = engine->open();
    branch.append(random_ids(random, 90));
    const auto out = branch.generate_now(free_text(11));
    ASSERT_FALSE(out.has_value());
    EXPECT_EQ(out.error().code, ErrorCode::kLimit);
    EXPECT_NE(out.error().message.find("90"), std::string::npos);
    EXPECT_NE(out.error().message.find("100"), std::string::npos);
  }
  {
    Branch branch = engine->open();
    branch.append(random_ids(random, 60));
    EXPECT_EQ(branch.generate_now(free_text(11)).error().code, ErrorCode::kExhausted);
  }
  {
    Branch branch = engine->open();
    EXPECT_EQ(branch.generate_now(free_text(1)).error().code, ErrorCode::kInvalid);
    branch.append(Ids{64});
    EXPECT_EQ(branch.generate_now(free_text(1)).error().code, ErrorCode::kInvalid);
  }
  EXPECT_TRUE(engine->check_idle().has_value());
}

TEST(Engine, AFailedStepFailsItsRequestsAndTheNextOnesRun) {
  for (std::uint64_t at = 1; at < 16; ++at) {
    Given given;
    given.toy.fail_at_step = (at + 1) / 2;
    given.toy.fail_late = at % 2 == 0;
    auto engine = make_engine(given);
    std::mt19937 random(11);
    const Ids prompt = random_ids(random, 200);
    Branch branch = engine->open();
    branch.append(prompt);
    const auto broken = branch.generate_now(free_text(10));
    ASSERT_FALSE(broken.has_value());
    EXPECT_EQ(broken.error().code, ErrorCode::kIo);
    EXPECT_TRUE(engine->check_idle().has_value());
    const auto out = branch.generate_now(free_text(10));
    ASSERT_TRUE(out.has_value()) << out.error().message;
    EXPECT_EQ(out->ids, by_definition(prompt, 10));
  }
}

// What no mask decides has begun by then.
TEST(Engine, MasksAreMadeWhileTheRowsRun) {
  std::vector<std::string> spellings;
  for (int byte = 0; byte < 256; ++byte) spellings.emplace_back(1, static_cast<char>(byte));
  const grammar::Matcher matcher =
      matcher_of("[a-m]([n-z][0-9]|[0-4]x)[a-z]{2}([A-F]|[u-z]){3,9}", jump_vocabulary(spellings));
  Given given;
  given.toy.vocabulary = static_cast<std::uint32_t>(spellings.size() + 1);
  given.options.draft = false;
  const auto made = [&] { return matcher.grammar()->size().state_bytes; };
  std::size_t before = 0;
  int steps = 0;
  given.toy.on_begun = [&] { before = made(); };
  given.toy.on_finish = [&](std::span<const RowPlan> plans) {
    if (!plans.empty() && made() > before) ++steps;
  };
  auto engine = make_engine(given);
  Branch branch = engine->open();
  branch.append(Ids{1, 2, 3});
  GenerateRequest request = free_text(40);
  request.matcher = matcher;
  const auto out = branch.generate_now(std::move(request));
  ASSERT_TRUE(out.has_value()) << out.error().message;
  EXPECT_GE(steps, 5);
}

TEST(Engine, BranchesThatOutliveTheEngineOnlyFail) {
  auto engine = make_engine();
  Branch branch = engine->open();
  branch.append(Ids{1, 2, 3});
  std::thread runs([&] { (void)branch.generate_now(free_text(2000)); });
  engine.reset();
  runs.join();
  EXPECT_EQ(branch.generate_now(free_text(1)).error().code, ErrorCode::kCancelled);
}

TEST(Engine, CoroutinesAwaitTheirAnswersOnTheirExecutor) {
  auto engine = make_engine();
  Executor executor(2);
  const auto program = [](Engine& e, Executor& x, TokenId first) -> Task<Result<Ids>> {
    Branch branch = e.open();
    const Ids ids = {first};
    branch.append(ids);
    Ids all;
    for (int turn = 0; turn < 5; ++turn) {
      auto operation = branch.generate(x, free_text(7));
      Result<Generated> out = co_await operation;
      if (!out) co_return Result<Ids>(fail(out.error()));
      all.insert(all.end(), out->ids.begin(), out->ids.end());
    }
    co_return Result<Ids>(all);
  };
  std::vector<Ids> got(6);
  std::vector<std::thread> threads;
  for (TokenId i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      auto out = executor.run(program(*engine, executor, i));
      ASSERT_TRUE(out.has_value());
      got[static_cast<std::size_t>(i)] = *out;
    });
  }
  for (auto& thread : threads) thread.join();
  for (TokenId i = 0; i < 6; ++i)
    EXPECT_EQ(got[static_cast<std::size_t>(i)], by_definition({i}, 35));
}

TEST(Engine, PagesOfADeadBranchAreEvictedFirst) {
  Given given;
  given.toy.pages = 16;
  auto engine = make_engine(given);
  std::mt19937 random(12);
  const Ids kept = random_ids(random, 80);
  const Ids dead = random_ids(random, 80);
  {
    Branch branch = engine->open();
    branch.append(kept);
    ASSERT_TRUE(branch.generate_now(free_text(1)).has_value());
  }
  {
    Branch branch = engine->open();
    branch.append(dead);
    ASSERT_TRUE(branch.generate_now(free_text(1)).has_value());
    branch.mark_dead();
  }
  Branch third = engine->open();
  third.append(random_ids(random, 100));
  ASSERT_TRUE(third.generate_now(free_text(1)).has_value());
  const auto before = engine->stats();
  Branch again = engine->open();
  again.append(kept);
  ASSERT_TRUE(again.generate_now(free_text(1)).has_value());
  EXPECT_EQ(engine->stats().reused_tokens - before.reused_tokens, 80U);
}

// Said before the last request, it holds when that ends: the branch may still be there, parked.
TEST(Engine, ABranchThatIsDeadBeforeItsLastRequestMakesRoomAtOnceAndLeavesItsTrunk) {
  Given given;
  given.toy.pages = 22;
  auto engine = make_engine(given);
  std::mt19937 random(13);
  const Ids kept = random_ids(random, 80);
  {
    Branch branch = engine->open();
    branch.append(kept);
    ASSERT_TRUE(branch.generate_now(free_text(1)).has_value());
  }
  Branch trunk = engine->open();
  trunk.append(random_ids(random, 80));
  Branch scratch = trunk.fork();
  scratch.append(random_ids(random, 80));
  scratch.mark_dead();
  ASSERT_TRUE(scratch.generate_now(free_text(1)).has_value());
  Branch other = engine->open(1);
  other.append(random_ids(random, 130));
  ASSERT_TRUE(other.generate_now(free_text(1)).has_value());
  EXPECT_GT(engine->stats().evicted_pages.dead, 0U);
  EXPECT_EQ(engine->stats().evicted_pages.once, 0U);
  const auto before = engine->stats();
  ASSERT_TRUE(trunk.generate_now(free_text(1)).has_value());
  EXPECT_GE(engine->stats().found_tokens - before.found_tokens, 79U);
  // It was a hint: who goes on after all has the same text.
  const Ids path = scratch.ids();
  const auto on = scratch.generate_now(free_text(4));
  ASSERT_TRUE(on.has_value());
  EXPECT_EQ(on->ids, by_definition(path, 4));
  EXPECT_TRUE(engine->check_idle().has_value());
}

// Each branch of a deep path began inside a page and copied its head: the pages that are then held
// twice must not keep a path out of a pool that it fits.
TEST(Engine, APathOfManyBranchesFitsThePoolThatItsTokensFit) {
  Given given;
  given.toy.pages = 6;  // 80 tokens, and one page
  auto engine = make_engine(given);
  std::mt19937 random(15);
  Branch trunk = engine->open();
  trunk.append(random_ids(random, 18));
  Ids path;
  while (trunk.ids().size() + 6 <= 80) {
    ASSERT_TRUE(trunk.generate_now(free_text(1)).has_value());
    Branch first = trunk.fork();
    Branch second = trunk.fork();
    for (Branch* branch : {&first, &second}) {
      branch->append(Ids{branch == &first ? 1 : 2, 3, 4, 5});
      path = branch->ids();
      const auto generated = branch->generate_now(free_text(1));
      ASSERT_TRUE(generated.has_value()) << path.size() << " tokens: " << generated.error().message;
      EXPECT_EQ(generated->ids, by_definition(path, 1));
    }
    trunk = std::move(second);
  }
  EXPECT_GT(path.size(), 70U);
  EXPECT_TRUE(engine->check_idle().has_value());
}

TEST(Engine, ABranchThatComesBackIsNoHitAndItsPathIsExpected) {
  std::mt19937 random(14);
  auto engine = make_engine();
  Branch branch = engine->open();
  branch.append(random_ids(random, 40));
  for (int turn = 0; turn < 4; ++turn) {
    ASSERT_TRUE(branch.generate_now(free_text(20)).has_value());
    const auto tree = engine->trees()[0];
    ASSERT_FALSE(tree.empty());
    for (const auto& node : tree) EXPECT_EQ(node.hits, 0U);
    EXPECT_EQ(tree.back().eviction, radix_cache::EvictionClass::kExpected);
  }
  branch = engine->open();  // the program ends
  EXPECT_TRUE(engine->check_idle().has_value());
  for (const auto trees = engine->trees(); const auto& node : trees[0])
    EXPECT_NE(node.eviction, radix_cache::EvictionClass::kExpected);
}

TEST(Engine, TheTreeCanBeSeen) {
  std::mt19937 random(15);
  auto engine = make_engine();
  const Ids head = random_ids(random, 40);
  for (TokenId i = 0; i < 3; ++i) {
    Branch branch = engine->open();
    branch.append(head);
    branch.append(Ids{i, i, i});
    ASSERT_TRUE(branch.generate_now(free_text(2)).has_value());
  }
  EXPECT_TRUE(engine->check_idle().has_value());
  const auto trees = engine->trees();
  ASSERT_EQ(trees.size(), 1U);
  const auto& tree = trees[0];
  const std::string drawn =
      draw_tree(tree, [](std::span<const TokenId> ids) { return std::string(ids.size(), 'x'); });
  EXPECT_EQ(std::count(drawn.begin(), drawn.end(), '\n'), 4);
  EXPECT_EQ(drawn.find("0..40  3 pages, found 2 times  \"xxxx"), 0U) << drawn;
  EXPECT_NE(drawn.find("\n  40..4"), std::string::npos) << drawn;
  const auto json = nlohmann::json::parse(tree_json(trees));
  ASSERT_EQ(json.size(), 4U);
  EXPECT_TRUE(json[0]["parent"].is_null());
  EXPECT_EQ(json[0]["tokens"].get<Ids>(), head);
  EXPECT_EQ(json[1]["parent"], 0);
}

TEST(Engine, ARequestEndsAtItsDeadline) {
  std::mt19937 random(16);
  auto engine = make_engine();
  Branch branch = engine->open();
  branch.append(random_ids(random, 40));
  branch.set_terms({.deadline = std::chrono::steady_clock::now() - std::chrono::seconds(1)});
  Branch fork = branch.fork();
  for (Branch* late : {&branch, &fork}) {
    const auto out = late->generate_now(free_text(10));
    ASSERT_FALSE(out.has_value());
    EXPECT_EQ(out.error().code, ErrorCode::kTimeout);
  }
  branch.set_terms({});
  EXPECT_TRUE(branch.generate_now(free_text(10)).has_value());
  EXPECT_TRUE(engine->check_idle().has_value());
}

}  // namespace
}  // namespace espalier::runtime
