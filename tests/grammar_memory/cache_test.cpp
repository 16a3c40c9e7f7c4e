// What grammars say they hold, beside what was allocated; and what stays the same when some of it
// is dropped. A program of its own: it counts all allocations.
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "grammar/automaton_cache.h"
#include "grammar/gbnf.h"
#include "grammar/json_schema.h"
#include "grammar/regex.h"
#include "tests/grammar_schema/random_schema.h"

namespace {

std::atomic<std::size_t> allocated = 0;

std::size_t block(void* p) { return malloc_usable_size(p) + sizeof(std::size_t); }

void* counted(std::size_t size) {
  void* p = std::malloc(size == 0 ? 1 : size);
  if (p == nullptr) throw std::bad_alloc();
  allocated += block(p);
  return p;
}

void freed(void* p) noexcept {
  if (p == nullptr) return;
  allocated -= block(p);
  std::free(p);
}

}  // namespace

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  void* p = std::malloc(size == 0 ? 1 : size);
  if (p != nullptr) allocated += block(p);
  return p;
}
void operator delete(void* p) noexcept { freed(p); }
void operator delete[](void* p) noexcept { freed(p); }
void operator delete(void* p, std::size_t) noexcept { freed(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { freed(p); }
void operator delete[](void* p, std::size_t) noexcept { freed(p); }

namespace espalier::grammar {
namespace {

VocabularyRef vocabulary() {
  static const VocabularyRef made = [] {
    Vocabulary::Spec spec;
    for (int b = 0; b < 256; ++b) spec.bytes.emplace_back(1, static_cast<char>(b));
    std::mt19937_64 random(7);
    for (int i = 0; i < 20'000; ++i) {
      std::string token;
      for (std::uint64_t n = 1 + random() % 4; n > 0; --n) {
        static const char* const kPieces[] = {"\"", "a", "b", "c", "ab",   ":", ",", "{", "}", "[",
                                              "]",  " ", "1", "2", "true", "z", ".", "-", "é", "x"};
        token += kPieces[random() % std::size(kPieces)];
      }
      spec.bytes.push_back(std::move(token));
    }
    spec.end_of_turn = static_cast<TokenId>(spec.bytes.size());
    spec.bytes.emplace_back();
    return Vocabulary::create(std::move(spec)).value();
  }();
  return made;
}

GrammarRef random_schema(std::uint64_t seed, const Limits& limits = {}) {
  SchemaOptions options;
  options.unknown_keywords = true;
  const Json schema = testing::RandomSchema(seed).make(3);
  auto made = compile_json_schema(vocabulary(), schema, {}, options, limits);
  return made ? *made : nullptr;
}

// Something that may come, by a walk's own random numbers.
TokenId choose(const Mask& mask, std::mt19937_64& random) {
  const auto words = mask.words();
  std::vector<TokenId> ids;
  for_each_bit(words, [&](TokenId id) { ids.push_back(id); });
  return ids.empty() ? kNoToken : ids[random() % ids.size()];
}

struct Walk {
  GrammarRef grammar;
  Matcher at;
  std::mt19937_64 random;

  Walk(GrammarRef of, std::uint64_t seed)
      : grammar(std::move(of)), at(grammar->start()), random(seed) {}
  // What the place says, written down; then on by a token. Begins anew at an end.
  std::string step() {
    const MaskRef mask = at.mask(UINT32_MAX);
    const auto words = mask->words();
    std::string out(reinterpret_cast<const char*>(words.data()), words.size_bytes());
    out += at.text() + "/" + std::to_string(at.distance()) + (at.accepting() ? "!" : "");
    std::vector<std::byte> row(mask->size_bytes());
    for (int i = 0; i < 3; ++i) mask->fill(row.data(), row.size());
    out.append(reinterpret_cast<const char*>(row.data()), row.size());
    const TokenId id = choose(*mask, random);
    if (id == kNoToken || !at.advance(id)) at = grammar->start();
    return out;
  }
};

std::vector<GrammarRef> some_grammars(std::uint64_t first, std::size_t count,
                                      const Limits& limits = {}) {
  std::vector<GrammarRef> out;
  for (std::uint64_t seed = first; out.size() < count; ++seed) {
    if (GrammarRef made = random_schema(seed, limits)) out.push_back(std::move(made));
  }
  return out;
}

// The limit is the process's: as it was after each test.
class Memory : public ::testing::Test {
 protected:
  void TearDown() override { set_cache_limit(limit_); }

 private:
  std::size_t limit_ = cache_limit();
};

TEST_F(Memory, WhatGrammarsSayTheyHoldIsWhatWasAllocated) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's blocks are other ones";
#endif
  constexpr std::size_t kGrammars = 60;
  set_cache_limit(SIZE_MAX);
  for (const std::uint64_t seed : {1000U, 2000U, 3000U, 4000U}) {
    SCOPED_TRACE(seed);
    const auto run = [&] {
      std::vector<GrammarRef> held = some_grammars(seed, kGrammars);
      held.push_back(compile_regex(vocabulary(), "([a-z]{1,20}-)*[0-9]{1,8}", {}).value());
      held.push_back(
          compile_gbnf(vocabulary(), "root ::= \"a\" root \"b\" | \"ab\"").value().grammar);
      for (const GrammarRef& grammar : held) {
        Walk walk(grammar, seed);
        for (int i = 0; i < 40; ++i) static_cast<void>(walk.step());
      }
      return held;
    };
    static_cast<void>(run());  // makes what all schemas of the vocabulary share
    const std::size_t before = allocated;
    const std::vector<GrammarRef> held = run();
    const auto really = static_cast<double>(allocated - before);
    const auto cached = static_cast<double>(cache_bytes());  // before anything is counted anew
    double said = 0, states = 0;
    for (const GrammarRef& grammar : held) {
      said += static_cast<double>(grammar->size().bytes);
      states += static_cast<double>(grammar->size().state_bytes);
    }
    EXPECT_GT(said, 0.8 * really);
    EXPECT_LT(said, 1.2 * really);
    EXPECT_LT(states, said);
    EXPECT_GT(cached, 0.7 * states);
    EXPECT_LT(cached, 1.3 * states);
  }
}

TEST_F(Memory, MasksAreTheSameWhateverIsDropped) {
  constexpr std::size_t kGrammars = 12, kSteps = 60;
  for (const std::uint64_t seed : {1U, 500U, 900U}) {
    SCOPED_TRACE(seed);
    std::vector<std::vector<std::string>> said;
    for (const std::size_t limit : {SIZE_MAX, std::size_t{1}, std::size_t{200'000}}) {
      set_cache_limit(limit);
      std::vector<Walk> walks;
      for (const GrammarRef& grammar : some_grammars(seed, kGrammars)) {
        walks.emplace_back(grammar, seed);
      }
      std::vector<std::string> all;
      for (std::size_t i = 0; i < kSteps; ++i) {
        for (Walk& walk : walks) all.push_back(walk.step());
      }
      said.push_back(std::move(all));
    }
    EXPECT_EQ(said[0], said[1]);
    EXPECT_EQ(said[0], said[2]);
  }
}

TEST_F(Memory, TheSumPassesItsBoundsByOneGrammarAtMost) {
  constexpr std::size_t kLimit = 1'000'000;
  set_cache_limit(kLimit);
  Limits limits;
  limits.state_bytes = 500'000;  // more than one call makes of any of these
  const std::vector<GrammarRef> grammars = some_grammars(1, 60, limits);
  std::size_t most = 0, largest = 0;
  for (int round = 0; round < 2; ++round) {
    for (std::size_t g = 0; g < grammars.size(); ++g) {
      Walk walk(grammars[g], g);
      for (int i = 0; i < 30; ++i) {
        static_cast<void>(walk.step());
        most = std::max(most, cache_bytes());
        ASSERT_LE(cache_bytes(), AutomatonCache::kInUse * kLimit + 2 * limits.state_bytes);
      }
      largest = std::max(largest, grammars[g]->size().state_bytes);
    }
  }
  EXPECT_GT(most, kLimit / 2);                 // the limit was met
  EXPECT_LT(largest, 2 * limits.state_bytes);  // an automaton and the next one
  // What was not used of late goes, as far as the limit.
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Walk walk(grammars[0], seed);
    for (int i = 0; i < 30; ++i) static_cast<void>(walk.step());
  }
  EXPECT_LE(cache_bytes(), kLimit + 2 * limits.state_bytes);
}

TEST_F(Memory, GrammarsThatTakeTurnsKeepWhatTheyMade) {
  const std::vector<GrammarRef> grammars = some_grammars(1, 12);
  const auto turns = [&] {
    for (std::size_t g = 0; g < grammars.size(); ++g) {
      Walk walk(grammars[g], g);
      for (int i = 0; i < 5; ++i) static_cast<void>(walk.step());
    }
  };
  set_cache_limit(SIZE_MAX);
  turns();
  const std::size_t all = cache_bytes();
  set_cache_limit(all / 2);
  turns();
  EXPECT_EQ(cache_bytes(), all);
  set_cache_limit(all / (2 * AutomatonCache::kInUse));
  turns();
  EXPECT_LT(cache_bytes(), all);
}

TEST_F(Memory, ManyThreadsWithNothingKeptSayTheSame) {
  constexpr std::size_t kThreads = 4, kSteps = 80;
  const std::vector<GrammarRef> grammars = some_grammars(40, 6);
  const auto run = [&](std::uint64_t seed) {
    std::vector<std::string> out;
    std::vector<Walk> walks;
    for (const GrammarRef& grammar : grammars) walks.emplace_back(grammar, seed);
    for (std::size_t i = 0; i < kSteps; ++i) out.push_back(walks[i % walks.size()].step());
    return out;
  };
  std::vector<std::vector<std::string>> alone, together(kThreads);
  set_cache_limit(SIZE_MAX);
  for (std::size_t t = 0; t < kThreads; ++t) alone.push_back(run(t));
  set_cache_limit(1);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] { together[t] = run(t); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(alone, together);
}

TEST_F(Memory, NothingIsCountedOfGrammarsThatAreGone) {
  const std::size_t before = cache_bytes();
  {
    const std::vector<GrammarRef> grammars = some_grammars(70, 10);
    EXPECT_GT(cache_bytes(), before);
  }
  EXPECT_EQ(cache_bytes(), before);
}

TEST_F(Memory, EqualMasksOfDifferentGrammarsAreOneRow) {
  const auto compile = [](const char* key) {
    const Json schema = {{"type", "object"}, {"properties", {{key, {{"type", "string"}}}}}};
    return compile_json_schema(vocabulary(), schema).value();
  };
  const GrammarRef a = compile("a"), b = compile("b");
  const MaskRef of_a = a->start().mask(UINT32_MAX), of_b = b->start().mask(UINT32_MAX);
  ASSERT_TRUE(std::ranges::equal(of_a->words(), of_b->words()));
  EXPECT_EQ(of_a->words().data(), of_b->words().data());
}

}  // namespace
}  // namespace espalier::grammar
