// Pages in host memory: which are there (against a plain model), and that they change no text
// whatever becomes of the copies.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "runtime/engine/page_index.h"
#include "tests/runtime/engine/plain_index.h"
#include "tests/runtime/engine/support.h"

namespace espalier::runtime {
namespace {

// ---- the index

TEST(PageIndex, HasWhatThePlainModelHas) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(static_cast<unsigned>(seed));
    const auto room = static_cast<PageIndex::Slot>(random() % 12);
    PageIndex index(room);
    PlainIndex plain(room);
    std::map<Ids, PageIndex::Slot> known;
    std::vector<PageIndex::Slot> slots;
    for (int operation = 0; operation < 120; ++operation) {
      // Each token of a page is the page's number, of which there are three: paths meet and part.
      Ids path;
      for (std::size_t page = random() % 6; page > 0; --page) {
        path.insert(path.end(), kPageTokens, static_cast<TokenId>(random() % 3));
      }
      path.insert(path.end(), random() % kPageTokens, 0);
      index.find(0, path, slots);
      ASSERT_EQ(slots.size(), plain.use(path));
      for (std::size_t i = 0; i < slots.size(); ++i) {
        const Ids head(path.begin(),
                       path.begin() + static_cast<std::ptrdiff_t>((i + 1) * kPageTokens));
        ASSERT_EQ(slots[i], known.at(head));
      }
      if (random() % 4 == 0) continue;
      for (std::size_t p = slots.size(); (p + 1) * kPageTokens <= path.size(); ++p) {
        const std::size_t before = plain.size();
        const PageIndex::Slot slot =
            index.add(0, p == 0 ? PageIndex::kNone : slots[p - 1],
                      PageIndex::Tokens(path.data() + p * kPageTokens, kPageTokens));
        ASSERT_EQ(slot != PageIndex::kNone, plain.add(path, p));
        if (slot == PageIndex::kNone) break;
        ASSERT_LT(slot, plain.room());
        const bool fresh = slot == before && plain.size() > before;
        if (fresh && random() % 40 == 0) {
          index.withdraw(slot);
          plain.withdraw(path, p + 1);
          ASSERT_EQ(index.capacity(), plain.room());
          break;
        }
        known[Ids(path.begin(),
                  path.begin() + static_cast<std::ptrdiff_t>((p + 1) * kPageTokens))] = slot;
        slots.push_back(slot);
      }
      ASSERT_EQ(index.size(), plain.size());
      const Status ok = index.check();
      ASSERT_TRUE(ok.has_value()) << ok.error().message;
    }
  }
}

TEST(PageIndex, SpacesDoNotMeet) {
  PageIndex index(4);
  const Ids page(kPageTokens, 1);
  const auto slot = index.add(1, PageIndex::kNone, PageIndex::Tokens(page.data(), kPageTokens));
  ASSERT_NE(slot, PageIndex::kNone);
  std::vector<PageIndex::Slot> found;
  index.find(2, page, found);
  EXPECT_TRUE(found.empty());
  index.find(1, page, found);
  EXPECT_EQ(found, std::vector<PageIndex::Slot>{slot});
  index.remove(slot);
  index.find(1, page, found);
  EXPECT_TRUE(found.empty());
}

// ---- under the engine

struct Said {
  std::vector<Ids> texts;
  Stats stats;
  std::vector<std::string> notes;
};

/// Prompts with common beginnings that a small pool cannot hold together, three times over.
Said say(ToyOptions toy, std::uint64_t host_pages, bool cache = true) {
  Said out;
  Given given;
  given.toy = std::move(toy);
  given.options.cache = cache;
  given.options.note = [&](const std::string& message) { out.notes.push_back(message); };
  given.options.host_kv_bytes = host_pages * ToyBackend(given.toy).info().page_bytes;
  auto engine = make_engine(given);
  std::mt19937 random(5);
  std::vector<Ids> prompts;
  for (int i = 0; i < 6; ++i) {
    prompts.push_back(random_ids(random, 90));
    prompts.push_back(prompts.back());
    const Ids own = random_ids(random, 20);
    prompts.back().insert(prompts.back().end(), own.begin(), own.end());
  }
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      Branch branch = engine->open();
      branch.append(prompts[i]);
      auto answer = branch.generate_now(free_text(20, i % 3 == 0 ? 0.7F : 0.0F, i));
      EXPECT_TRUE(answer.has_value()) << answer.error().message;
      if (answer) out.texts.push_back(answer->ids);
    }
  }
  const Status idle = engine->check_idle();
  EXPECT_TRUE(idle.has_value()) << idle.error().message;
  out.stats = engine->stats();
  engine.reset();  // it notes into `out`
  return out;
}

ToyOptions small_pool(std::uint32_t host_slots) {
  ToyOptions toy;
  toy.pages = 12;
  toy.host_slots = host_slots;
  return toy;
}

TEST(HostTier, PagesThatThePoolLetGoComeBackAndTheTextIsTheSame) {
  const Said without = say(small_pool(0), 0);
  const Said with = say(small_pool(1000), 1000);
  EXPECT_EQ(with.texts, without.texts);
  EXPECT_GT(with.stats.host_loaded_pages, 50U);
  EXPECT_EQ(with.stats.host_dropped_pages, 0U);
  EXPECT_EQ(with.stats.host_pages_held, with.stats.host_saved_pages);
  EXPECT_LT(with.stats.computed_tokens, without.stats.computed_tokens * 2 / 3);
  EXPECT_EQ(with.stats.reused_tokens + with.stats.computed_tokens, with.stats.prompt_tokens);
}

TEST(HostTier, ARoomThatIsTooSmallKeepsWhatWasUsedLast) {
  const Said without = say(small_pool(0), 0);
  for (const std::uint32_t room : {1U, 5U, 20U}) {
    SCOPED_TRACE(room);
    const Said with = say(small_pool(1000), room);
    EXPECT_EQ(with.texts, without.texts);
    EXPECT_EQ(with.stats.host_pages_total, room);
    EXPECT_LE(with.stats.host_pages_held, room);
  }
}

TEST(HostTier, WhereHostMemoryEndsItIsAsLargeAsItGot) {
  const Said without = say(small_pool(0), 0);
  const Said with = say(small_pool(30), 1000);
  EXPECT_EQ(with.texts, without.texts);
  EXPECT_EQ(with.stats.host_pages_total, 30U);
  EXPECT_GT(with.stats.host_dropped_pages, 0U);
  ASSERT_EQ(with.notes.size(), 1U);
  EXPECT_NE(with.notes[0].find("there is room for 30"), std::string::npos) << with.notes[0];
}

TEST(HostTier, CopiesThatFailCostTheirPagesAlone) {
  const Said without = say(small_pool(0), 0);
  ToyOptions toy = small_pool(1000);
  toy.fail_saves = 9;
  toy.fail_loads = 2;
  const Said with = say(toy, 1000);
  EXPECT_EQ(with.texts, without.texts);
  EXPECT_GT(with.stats.host_loaded_pages, 0U);
  EXPECT_GT(with.stats.host_dropped_pages, 0U);
}

TEST(HostTier, RestsWhereNothingCanBeCopied) {
  const Said without = say(small_pool(0), 0);
  ToyOptions toy = small_pool(1000);
  toy.fail_loads = 1;
  const Said with = say(toy, 1000);
  EXPECT_EQ(with.texts, without.texts);
  EXPECT_EQ(with.stats.host_loaded_pages, 0U);
  toy.fail_saves = 1;
  const Said never = say(toy, 1000);
  EXPECT_EQ(never.texts, without.texts);
  EXPECT_EQ(never.stats.host_saved_pages, 0U);
  ASSERT_EQ(never.notes.size(), 3U);
  EXPECT_NE(never.notes[2].find("none are kept"), std::string::npos) << never.notes[2];
}

TEST(HostTier, LoadsNothingThatIsCheaperToCompute) {
  ToyOptions toy = small_pool(1000);
  toy.load_seconds = 1e6;
  const Said with = say(toy, 1000);
  EXPECT_EQ(with.texts, say(small_pool(0), 0).texts);
  // The first is a measurement; every 32nd is tried again.
  EXPECT_GT(with.stats.host_loaded_pages, 0U);
  EXPECT_LT(with.stats.host_loaded_pages, 20U);
}

TEST(HostTier, KeepsNothingWhereTheCacheIsOff) {
  const Said with = say(small_pool(1000), 1000, false);
  EXPECT_EQ(with.stats.host_saved_pages, 0U);
  EXPECT_EQ(with.stats.host_loaded_pages, 0U);
}

TEST(HostTier, IsRefusedWhereThePoolIsHostMemory) {
  EngineOptions options;
  options.host_kv_bytes = 1U << 20;
  auto none = Engine::create(std::make_unique<ToyBackend>(ToyOptions{}), options, real_system());
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::kUnsupported);
  ToyOptions toy;
  toy.host_slots = 1;
  options.host_kv_bytes = 1;
  auto small = Engine::create(std::make_unique<ToyBackend>(toy), options, real_system());
  ASSERT_FALSE(small.has_value());
  EXPECT_EQ(small.error().code, ErrorCode::kInvalid);
  EXPECT_NE(small.error().message.find("1 bytes hold no page"), std::string::npos);
  // Engines side by side have equal parts of it: nothing at all would be left of one byte.
  std::vector<EngineBackends> two;
  for (int i = 0; i < 2; ++i) two.push_back({std::make_unique<ToyBackend>(toy), nullptr});
  auto parts = Engine::create(std::move(two), options, real_system());
  ASSERT_FALSE(parts.has_value());
  EXPECT_NE(parts.error().message.find("engine 1 of 2"), std::string::npos);
  EXPECT_NE(parts.error().message.find("0 bytes hold no page"), std::string::npos);
}

}  // namespace
}  // namespace espalier::runtime
