// Pages on disk: what comes back is the page of exactly these tokens, or nothing; after any crash,
// any damage and whoever else uses the folder.
#include "runtime/engine/page_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/fault_system.h"
#include "runtime/engine/disk_tier.h"
#include "runtime/engine/engine.h"
#include "tests/support/memory_system.h"
#include "tests/support/toy_backend.h"

namespace espalier::runtime {
namespace {

using testing::MemorySystem;
using testing::ToyBackend;
using testing::ToyOptions;

constexpr std::uint64_t kPage = 256;

struct Notes {
  std::vector<std::string> all;
  PageStore::Note sink() {
    return [this](const std::string& message) { all.push_back(message); };
  }
  [[nodiscard]] bool mention(const std::string& what) const {
    return std::any_of(all.begin(), all.end(), [&](const std::string& note) {
      return note.find(what) != std::string::npos;
    });
  }
};

std::unique_ptr<PageStore> open(System& system, Notes& notes, const std::string& fingerprint = "m",
                                std::uint64_t limit = 1u << 30, std::uint64_t segment = 1u << 20) {
  auto store = PageStore::open({"kv", fingerprint, kPage, limit, segment}, system, notes.sink());
  EXPECT_TRUE(store.has_value()) << store.error().message;
  return std::move(*store);
}

struct Path {
  std::vector<TokenId> tokens;
  std::vector<PageStore::Name> names;  // names[i + 1] is page i's
  [[nodiscard]] PageStore::Tokens page(std::size_t i) const {
    return PageStore::Tokens(tokens.data() + i * 16, 16);
  }
};

Path path_of(const PageStore& store, int seed, std::size_t pages) {
  Path path;
  path.names.push_back(store.root(0));
  for (std::size_t t = 0; t < pages * 16; ++t)
    path.tokens.push_back(static_cast<TokenId>(t * 31 + static_cast<std::size_t>(seed)));
  for (std::size_t p = 0; p < pages; ++p)
    path.names.push_back(PageStore::next(path.names.back(), path.page(p)));
  return path;
}

std::vector<std::byte> content(int seed, std::size_t page) {
  std::vector<std::byte> out(kPage);
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<std::byte>(i * 7 + page * 13 + static_cast<std::size_t>(seed));
  return out;
}

Status write(PageStore& store, const Path& path, int seed, std::size_t p) {
  return store.append(path.names[p], path.names[p + 1], path.page(p), p, content(seed, p));
}

/// Pages of the path that come back, each of which must be right.
std::size_t readable(PageStore& store, const Path& path, int seed) {
  std::size_t count = 0;
  std::vector<std::byte> out(kPage);
  for (std::size_t p = 0; p + 1 < path.names.size(); ++p) {
    if (!store.has(path.names[p + 1]) || !store.read(path.names[p + 1], path.page(p), out))
      continue;
    EXPECT_EQ(out, content(seed, p)) << "page " << p << " is wrong";
    ++count;
  }
  return count;
}

TEST(PageStore, GivesBackWhatItGotInThisRunAndTheNext) {
  MemorySystem system;
  Notes notes;
  auto store = open(system, notes);
  const Path path = path_of(*store, 1, 5);
  for (std::size_t p = 0; p < 5; ++p) ASSERT_TRUE(write(*store, path, 1, p).has_value());
  EXPECT_EQ(readable(*store, path, 1), 5u);
  ASSERT_TRUE(store->sync().has_value());
  store = open(system, notes);
  EXPECT_EQ(readable(*store, path, 1), 5u);
  EXPECT_TRUE(notes.all.empty());
}

TEST(PageStore, NamesDependOnEveryTokenBeforeTheSpaceAndTheFingerprint) {
  MemorySystem system;
  Notes notes;
  auto store = open(system, notes);
  const Path a = path_of(*store, 1, 2);
  EXPECT_NE(a.names[2], PageStore::next(store->root(0), a.page(1)));
  EXPECT_NE(store->root(0), store->root(1));
  EXPECT_NE(store->root(0), open(system, notes, "other")->root(0));
}

TEST(PageStore, OtherTokensUnderTheSameNameAreRefused) {
  MemorySystem system;
  Notes notes;
  auto store = open(system, notes);
  const Path a = path_of(*store, 1, 1);
  const Path b = path_of(*store, 2, 1);
  ASSERT_TRUE(write(*store, a, 1, 0).has_value());
  std::vector<std::byte> out(kPage);
  EXPECT_EQ(store->read(a.names[1], b.page(0), out).error().code, ErrorCode::kCorrupt);
}

TEST(PageStore, AKillAtAnyOperationLosesAtMostWhatWasNotFinished) {
  for (std::uint64_t n = 1;; ++n) {
    MemorySystem system;
    Notes notes;
    std::size_t written = 0;
    bool died = false;
    {
      system.die_at(n);
      auto store = PageStore::open({"kv", "m", kPage, 1u << 30, 3000}, system, notes.sink());
      if (store) {
        const Path path = path_of(**store, 1, 6);
        for (; written < 6 && write(**store, path, 1, written); ++written) {
        }
      }
      died = system.dead();
      system.restart();
    }
    auto store = open(system, notes);
    const Path path = path_of(*store, 1, 6);
    EXPECT_GE(readable(*store, path, 1), written) << "killed at operation " << n;
    // And it goes on.
    for (std::size_t p = 0; p < 6; ++p) ASSERT_TRUE(write(*store, path, 1, p).has_value());
    EXPECT_EQ(readable(*store, path, 1), 6u);
    if (!died) break;
    ASSERT_LT(n, 200u);
  }
}

TEST(PageStore, APowerCutAnywhereLeavesOnlyRightPages) {
  for (int keep = 0; keep <= 100; ++keep) {
    MemorySystem system;
    Notes notes;
    {
      auto store = open(system, notes);
      const Path path = path_of(*store, 1, 4);
      for (std::size_t p = 0; p < 4; ++p) ASSERT_TRUE(write(*store, path, 1, p).has_value());
    }
    // The name got to the disk, of the content a part.
    for (const std::string& name : system.paths()) {
      const std::string all = system.get(name);
      system.put(name, all.substr(0, all.size() * static_cast<std::size_t>(keep) / 100));
    }
    auto store = open(system, notes);
    const Path path = path_of(*store, 1, 4);
    const std::size_t whole = readable(*store, path, 1);
    EXPECT_EQ(whole == 4, keep == 100);
    ASSERT_TRUE(write(*store, path, 1, 3).has_value());
    EXPECT_GE(readable(*store, path, 1), std::max<std::size_t>(whole, 1));
  }
}

TEST(PageStore, ADamagedByteAnywhereCostsItsRecordAloneAndIsSaid) {
  MemorySystem system;
  {
    Notes notes;
    auto store = open(system, notes);
    const Path path = path_of(*store, 1, 3);
    for (std::size_t p = 0; p < 3; ++p) ASSERT_TRUE(write(*store, path, 1, p).has_value());
  }
  const std::string file = system.paths().at(0);
  const std::string whole = system.get(file);
  ASSERT_EQ(whole.size(), 4096 + 3 * (512 + kPage));
  for (std::size_t at = 0; at < whole.size(); at += at < 64 || at >= 4000 ? 1 : 37) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    system.put(file, damaged);
    Notes notes;
    auto store = open(system, notes);
    const Path path = path_of(*store, 1, 3);
    EXPECT_EQ(readable(*store, path, 1), at < 4096 ? 0u : 2u) << "byte " << at;
    EXPECT_TRUE(notes.mention(file)) << "byte " << at;
  }
}

TEST(PageStore, AnotherModelsSegmentsArePassedOverWithANote) {
  MemorySystem system;
  Notes notes;
  {
    auto store = open(system, notes, "model a");
    ASSERT_TRUE(write(*store, path_of(*store, 1, 1), 1, 0).has_value());
  }
  auto store = open(system, notes, "model b");
  EXPECT_EQ(store->size(), 0u);
  EXPECT_TRUE(notes.mention("another model"));
}

TEST(PageStore, AFullDiskEndsWritingAndReadingGoesOn) {
  MemorySystem system;
  Notes notes;
  auto store = open(system, notes);
  const Path path = path_of(*store, 1, 40);
  system.limit_disk(4096 + 10 * (512 + kPage) + 100);
  std::size_t written = 0;
  for (std::size_t p = 0; p < 40; ++p) written += write(*store, path, 1, p).has_value() ? 1 : 0;
  EXPECT_EQ(written, 10u);
  EXPECT_FALSE(store->writable());
  EXPECT_TRUE(notes.mention("No space left"));
  EXPECT_EQ(readable(*store, path, 1), 10u);
  EXPECT_EQ(readable(*open(system, notes), path, 1), 10u);
}

TEST(PageStore, AFullDiskLeavesNoFileWithoutPages) {
  for (const std::uint64_t room : {std::uint64_t{100}, std::uint64_t{4096 + 100}}) {
    MemorySystem system;
    Notes notes;
    auto store = open(system, notes);
    const Path path = path_of(*store, 1, 20);
    system.limit_disk(room);
    for (std::size_t p = 0; p < 20; ++p) EXPECT_FALSE(write(*store, path, 1, p)) << room;
    EXPECT_TRUE(notes.mention("No space left"));
    EXPECT_TRUE(system.paths().empty()) << room;
  }
}

TEST(PageStore, EveryFailedCallIsSurvived) {
  for (std::uint64_t n = 1;; ++n) {
    MemorySystem memory;
    FaultSystem system(memory);
    Notes notes;
    system.fail_nth(n);
    auto store = PageStore::open({"kv", "m", kPage, 1u << 30, 3000}, system, notes.sink());
    if (store) {
      const Path path = path_of(**store, 1, 6);
      for (std::size_t p = 0; p < 6; ++p) (void)write(**store, path, 1, p);
      (void)(*store)->sync();
      EXPECT_GE(readable(**store, path, 1), 2u) << n;
    }
    if (!system.reached()) break;
    ASSERT_LT(n, 200u);
  }
}

TEST(PageStore, TheOldestSegmentsMakeRoom) {
  MemorySystem system;
  Notes notes;
  auto store = open(system, notes, "m", 3 * 8192, 8192);
  const Path path = path_of(*store, 1, 60);
  for (std::size_t p = 0; p < 60; ++p) ASSERT_TRUE(write(*store, path, 1, p).has_value());
  std::uint64_t bytes = 0;
  for (const std::string& name : system.paths()) bytes += system.get(name).size();
  EXPECT_LE(bytes, 3u * 8192);
  EXPECT_TRUE(store->has(path.names[60]));
  EXPECT_LT(readable(*store, path, 1), 60u);
}

TEST(PageStore, TwoProcessesShareAFolder) {
  MemorySystem system;
  Notes notes;
  auto a = open(system, notes);
  auto b = open(system, notes);
  const Path path = path_of(*a, 1, 8);
  for (std::size_t p = 0; p < 8; ++p)
    ASSERT_TRUE(write(p % 2 == 0 ? *a : *b, path, 1, p).has_value());
  EXPECT_EQ(readable(*a, path, 1), 4u);
  EXPECT_EQ(readable(*b, path, 1), 4u);
  EXPECT_EQ(readable(*open(system, notes), path, 1), 8u);
  // One's limit may remove the other's segments under it.
  for (const std::string& name : system.paths()) ASSERT_TRUE(system.remove(name).has_value());
  (void)readable(*a, path, 1);
  (void)readable(*b, path, 1);
}

TEST(PageStore, AFileIsNoFolder) {
  MemorySystem system;
  Notes notes;
  system.put("kv", "text");
  const auto store = PageStore::open({"kv", "m", kPage}, system, notes.sink());
  ASSERT_FALSE(store.has_value());
  EXPECT_EQ(store.error().code, ErrorCode::kInvalid);
}

struct Served {
  std::vector<TokenId> ids;
  Stats stats;
  std::uint64_t rows = 0;
};

Served serve(System& system, const std::vector<TokenId>& prompt, const std::string& model = "m",
             bool cache = true) {
  auto backend = std::make_unique<ToyBackend>(ToyOptions{});
  const ToyBackend& toy = *backend;
  EngineOptions options;
  options.cache = cache;
  options.kv_folder = "kv";
  options.model_digest = model;
  options.poison = options.check = true;
  auto engine = Engine::create(std::move(backend), options, system);
  EXPECT_TRUE(engine.has_value());
  Branch branch = (*engine)->open();
  branch.append(prompt);
  GenerateRequest request;
  request.max_tokens = 20;
  const auto out = branch.generate_now(std::move(request));
  EXPECT_TRUE(out.has_value());
  EXPECT_TRUE((*engine)->check_idle().has_value());
  return {out->ids, (*engine)->stats(), toy.rows()};
}

TEST(DiskTier, ARestartFindsItsPrefixesAgainAndWritesTheSameText) {
  MemorySystem system;
  std::vector<TokenId> prompt(200);
  for (std::size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<TokenId>(i * i % 64);
  const Served first = serve(system, prompt);
  EXPECT_EQ(first.stats.reused_tokens, 0u);
  EXPECT_EQ(first.stats.disk_written_pages, 13u);
  const Served second = serve(system, prompt);
  EXPECT_EQ(second.ids, first.ids);
  EXPECT_EQ(second.stats.reused_tokens, 192u);
  EXPECT_EQ(second.stats.reused_tokens + second.stats.computed_tokens, second.stats.prompt_tokens);
  EXPECT_EQ(second.rows, first.rows - 192);
  EXPECT_EQ(second.stats.disk_read_pages, 12u);
  // Another model, another prompt, and the cache turned off find nothing.
  EXPECT_EQ(serve(system, prompt, "other").stats.disk_read_pages, 0u);
  EXPECT_EQ(serve(system, prompt, "m", false).stats.disk_read_pages, 0u);
  prompt[3] = 63;
  EXPECT_EQ(serve(system, prompt).stats.disk_read_pages, 0u);
}

TEST(DiskTier, DamageAndAFullDiskChangeNoText) {
  std::vector<TokenId> prompt(200, 5);
  MemorySystem clean;
  const Served expected = serve(clean, prompt);
  for (const std::uint64_t room : {0u, 5000u, 9000u, 20000u}) {
    MemorySystem system;
    system.limit_disk(room);
    EXPECT_EQ(serve(system, prompt).ids, expected.ids);
    EXPECT_EQ(serve(system, prompt).ids, expected.ids);
  }
  for (const std::string& file : clean.paths()) {
    const std::string whole = clean.get(file);
    for (std::size_t at = 4096 + 100; at < whole.size(); at += 997) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 1);
      MemorySystem system;
      system.put(file, damaged);
      const Served served = serve(system, prompt);
      EXPECT_EQ(served.ids, expected.ids);
      EXPECT_LT(served.stats.disk_read_pages, 13u);
    }
  }
}

// A disk that answers no read while it is stuck.
class StuckDisk final : public FaultSystem {
 public:
  using FaultSystem::FaultSystem;
  void stick() { stuck_ = true; }
  void go_on() {
    stuck_ = false;
    stuck_.notify_all();
  }
  void wait(Clock::duration duration) { waited_ = waited_.load() + duration; }
  Clock::time_point now() override { return FaultSystem::now() + waited_.load(); }
  Result<std::unique_ptr<Mapping>> map(const std::string& path) override {
    auto mapped = FaultSystem::map(path);
    if (!mapped) return mapped;
    return std::make_unique<Gate>(std::move(*mapped), stuck_);
  }

 private:
  class Gate final : public Mapping {
   public:
    Gate(std::unique_ptr<Mapping> inner, const std::atomic<bool>& stuck)
        : inner_(std::move(inner)), stuck_(stuck) {}
    [[nodiscard]] std::span<const std::byte> bytes() const override {
      stuck_.wait(true);
      return inner_->bytes();
    }

   private:
    std::unique_ptr<Mapping> inner_;
    const std::atomic<bool>& stuck_;
  };
  std::atomic<bool> stuck_ = false;
  std::atomic<Clock::duration> waited_{};
};

// An engine over a disk that holds `known` and gets stuck before the first request.
struct OverStuckDisk {
  explicit OverStuckDisk(const std::vector<TokenId>& known) {
    expected = serve(memory, known).ids;
    EngineOptions options;
    options.kv_folder = "kv";
    options.model_digest = "m";
    options.poison = options.check = true;
    auto made = Engine::create(std::make_unique<ToyBackend>(ToyOptions{}), options, disk);
    EXPECT_TRUE(made.has_value());
    engine = std::move(*made);
    disk.stick();
  }
  ~OverStuckDisk() { disk.go_on(); }
  Branch branch(const std::vector<TokenId>& prompt) {
    Branch made = engine->open();
    made.append(prompt);
    return made;
  }
  static Result<Generated> generate(Branch& branch) {
    GenerateRequest request;
    request.max_tokens = 20;
    return branch.generate_now(std::move(request));
  }

  MemorySystem memory;
  StuckDisk disk{memory};
  std::vector<TokenId> expected;
  std::unique_ptr<Engine> engine;
};

std::vector<TokenId> numbers(std::size_t count, std::size_t seed) {
  std::vector<TokenId> out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<TokenId>((i * i + seed) % 64);
  return out;
}

TEST(DiskTier, OthersAreServedWhileAPrefixIsReadAndItIsReadOnce) {
  const std::vector<TokenId> known = numbers(200, 0);
  OverStuckDisk over(known);
  std::vector<std::vector<TokenId>> texts(3);
  std::vector<std::thread> waiting;
  for (auto& text : texts) {
    waiting.emplace_back([&over, &known, &text] {
      Branch branch = over.branch(known);
      const auto out = OverStuckDisk::generate(branch);
      EXPECT_TRUE(out.has_value());
      if (out) text = out->ids;
    });
  }
  for (std::size_t other = 1; other < 9; ++other) {
    Branch branch = over.branch(numbers(50, other));
    EXPECT_TRUE(OverStuckDisk::generate(branch).has_value());
  }
  EXPECT_EQ(over.engine->stats().disk_read_pages, 0u);
  over.disk.go_on();
  for (std::thread& thread : waiting) thread.join();
  for (const auto& text : texts) EXPECT_EQ(text, over.expected);
  EXPECT_EQ(over.engine->stats().disk_read_pages, 12u);
  EXPECT_TRUE(over.engine->check_idle().has_value());
}

TEST(DiskTier, ARequestEndsWhileItsPrefixIsRead) {
  const std::vector<TokenId> known = numbers(200, 0);
  OverStuckDisk over(known);
  Branch cancelled = over.branch(known);
  Branch late = over.branch(known);
  late.set_terms({.deadline = over.disk.now() + std::chrono::seconds(1)});
  std::thread one([&] {
    const auto out = OverStuckDisk::generate(cancelled);
    ASSERT_FALSE(out.has_value());
    EXPECT_EQ(out.error().code, ErrorCode::kCancelled);
  });
  std::thread two([&] {
    const auto out = OverStuckDisk::generate(late);
    ASSERT_FALSE(out.has_value());
    EXPECT_EQ(out.error().code, ErrorCode::kTimeout);
  });
  Branch other = over.branch(numbers(50, 1));
  EXPECT_TRUE(OverStuckDisk::generate(other).has_value());
  cancelled.cancel();
  one.join();
  over.disk.wait(std::chrono::seconds(2));
  two.join();
  over.disk.go_on();
  Branch again = over.branch(known);
  const auto out = OverStuckDisk::generate(again);
  ASSERT_TRUE(out.has_value());
  EXPECT_EQ(out->ids, over.expected);
  EXPECT_TRUE(over.engine->check_idle().has_value());
}

TEST(DiskTier, ALongPrefixComesInParts) {
  MemorySystem system;
  const std::vector<TokenId> head = numbers(600, 3);  // more pages than are put in at once
  const std::vector<TokenId> expected = serve(system, head).ids;
  std::vector<TokenId> longer = head;
  longer.insert(longer.end(), 100, 7);
  const std::vector<TokenId> after = serve(system, longer).ids;
  const Served again = serve(system, longer);
  EXPECT_EQ(again.ids, after);
  EXPECT_EQ(again.stats.disk_read_pages, 43u);
  EXPECT_EQ(again.stats.computed_tokens, 700u - 43u * 16u);
  EXPECT_EQ(serve(system, head).ids, expected);
}

TEST(DiskTier, ReadsWhereItIsCheaperThanComputingAndTriesAgainNowAndThen) {
  const std::string folder = ::testing::TempDir() + "espalier_disk_tier";
  System& system = real_system();
  ToyBackend backend{ToyOptions{}};
  Notes notes;
  const auto tier_of = [&] {
    auto store = PageStore::open({folder, "m", backend.info().page_bytes}, system, notes.sink());
    EXPECT_TRUE(store.has_value());
    return std::make_unique<DiskTier>(std::move(*store), backend, system);
  };
  const std::vector<TokenId> path(160, 7);
  {
    auto tier = tier_of();
    radix_cache::RadixCache cache({.pages = 64});
    radix_cache::Lease lease = cache.open(0);
    cache.extend(lease, path);
    radix_cache::StepPlan plan;
    cache.plan(lease, plan, UINT32_MAX);
    cache.seal(plan);
    cache.commit(plan);
    tier->save(cache, lease, 0);
  }
  auto tier = tier_of();
  radix_cache::RadixCache cache({.pages = 64});
  const auto loads = [&] {
    cache.clear();
    const auto read = tier->fetch(0, path, 0);
    if (read) {
      while (!read->done.load(std::memory_order_acquire)) std::this_thread::yield();
      while (tier->import(cache, 0, path, *read)) continue;
    }
    EXPECT_TRUE(cache.check().has_value());
    EXPECT_EQ(cache.match(0, path), read ? 160u : 0u);
    return read != nullptr;
  };
  EXPECT_TRUE(loads());  // nothing is known yet
  tier->prefill_took(16, 1e-15);
  int tried = 0;
  for (int i = 0; i < 64; ++i) tried += loads() ? 1 : 0;
  EXPECT_EQ(tried, 2);
  tier->prefill_took(16, 1e6);
  EXPECT_TRUE(loads());
  EXPECT_TRUE(loads());
  const auto names = system.list(folder);
  ASSERT_TRUE(names.has_value());
  for (const std::string& name : *names)
    EXPECT_TRUE(system.remove(folder + "/" + name).has_value());
}

}  // namespace
}  // namespace espalier::runtime
