// The disk tier under a real model: whatever happens to its folder, texts are what they are without
// one, and the pages add up.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/fault_system.h"
#include "runtime/engine/engine.h"
#include "tests/runtime/engine/real_engine.h"
#include "tests/support/memory_system.h"

namespace espalier::runtime {
namespace {

using espalier::testing::MemorySystem;
using testing::engine_of;
using testing::expect_nothing_is_held;
using testing::free_text;
using testing::Ids;
using testing::prompt;

constexpr std::size_t kSegmentHeader = 4096;
constexpr std::size_t kRecordHeader = 512;

struct Served {
  Ids ids;
  Stats stats;
  std::vector<std::string> notes;
};

std::unique_ptr<Engine> engine_with(System& system, std::vector<std::string>& notes) {
  EngineOptions options = testing::checked();
  options.kv_folder = "kv";
  options.model_digest = "tiny";
  options.note = [&notes](const std::string& message) { notes.push_back(message); };
  return engine_of(64, {}, system, options);
}

Served serve(System& system) {
  Served out;
  {
    const auto engine = engine_with(system, out.notes);
    Branch branch = engine->open();
    branch.append(prompt(70, 5));
    auto generated = branch.generate_now(free_text(6));
    EXPECT_TRUE(generated.has_value()) << generated.error().message;
    if (generated) out.ids = generated->ids;
    expect_nothing_is_held(*engine);
    out.stats = engine->stats();
  }
  return out;
}

TEST(DiskDamage, AnyFieldOfARecordMayBeWrongAndTheTextIsTheSame) {
  MemorySystem clean;
  const Served expected = serve(clean);
  ASSERT_EQ(expected.stats.disk_written_pages, 4u);
  ASSERT_EQ(clean.paths().size(), 1u);
  const std::string file = clean.paths()[0];
  const std::string whole = clean.get(file);
  ASSERT_EQ(serve(clean).stats.disk_read_pages, 4u);
  // Magic, index, both names, tokens, the payload's digest, the header's own, and the payload.
  std::vector<std::size_t> places;
  for (std::size_t at = 0; at < kRecordHeader; at += 4) places.push_back(at);
  for (std::size_t at = kRecordHeader; kSegmentHeader + at < whole.size(); at += 1021)
    places.push_back(at);
  for (const std::size_t at : places) {
    std::string damaged = whole;
    damaged[kSegmentHeader + at] = static_cast<char>(damaged[kSegmentHeader + at] ^ 0x10);
    MemorySystem system;
    system.put(file, damaged);
    const Served served = serve(system);
    EXPECT_EQ(served.ids, expected.ids) << "byte " << at;
    EXPECT_LT(served.stats.disk_read_pages, 4u) << "byte " << at;
    EXPECT_FALSE(served.notes.empty()) << "byte " << at << " is passed over without a word";
  }
}

// A disk that can be read and not written.
class ReadOnlyDisk final : public FaultSystem {
 public:
  using FaultSystem::FaultSystem;
  Result<std::unique_ptr<OutputFile>> open(const std::string& path, OpenMode) override {
    return refuse(path);
  }
  Status rename(const std::string&, const std::string& to) override { return refuse(to); }
  Status remove(const std::string& path) override { return refuse(path); }
  Status make_directories(const std::string& path) override { return refuse(path); }

 private:
  static tl::unexpected<Error> refuse(const std::string& path) {
    return fail(ErrorCode::kIo, "cannot write '" + path + "': Read-only file system");
  }
};

TEST(DiskDamage, AReadOnlyFolderIsReadAndTroubleIsSaidOnce) {
  MemorySystem memory;
  const Served expected = serve(memory);
  ReadOnlyDisk known(memory);
  const Served again = serve(known);
  EXPECT_EQ(again.ids, expected.ids);
  EXPECT_EQ(again.stats.disk_read_pages, 4u);
  MemorySystem empty;
  ReadOnlyDisk nothing(empty);
  const Served without = serve(nothing);
  EXPECT_EQ(without.ids, expected.ids);
  EXPECT_EQ(without.stats.disk_read_pages, 0u);
  ASSERT_FALSE(without.notes.empty());
  EXPECT_LE(without.notes.size(), 3u);
  EXPECT_NE(without.notes.back().find("Read-only"), std::string::npos) << without.notes.back();
}

TEST(DiskDamage, ADiskThatFillsUpAtAnyByteChangesNoText) {
  MemorySystem clean;
  const Served expected = serve(clean);
  const std::size_t all = clean.get(clean.paths().at(0)).size();
  for (std::size_t room = 0; room < all; room += all / 23) {
    MemorySystem system;
    system.limit_disk(room);
    EXPECT_EQ(serve(system).ids, expected.ids) << "room for " << room << " bytes";
    const Served next = serve(system);
    EXPECT_EQ(next.ids, expected.ids) << "room for " << room << " bytes";
    EXPECT_LT(next.stats.disk_read_pages, 4u);
  }
}

TEST(DiskDamage, TwoEnginesShareAFolderAndTakeItsFilesFromUnderEachOther) {
  MemorySystem clean;
  const Served expected = serve(clean);
  MemorySystem system;
  std::vector<std::string> notes[2];
  std::atomic<bool> wrong = false;
  std::vector<std::thread> threads;
  for (auto& own : notes) {
    threads.emplace_back([&] {
      for (int round = 0; round < 6; ++round) {
        const auto engine = engine_with(system, own);
        Branch branch = engine->open();
        branch.append(prompt(70, 5));
        const auto generated = branch.generate_now(free_text(6));
        if (!generated || generated->ids != expected.ids) wrong = true;
        expect_nothing_is_held(*engine);
        if (round % 2 == 0) continue;
        for (const std::string& path : system.paths()) (void)system.remove(path);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(wrong);
}

}  // namespace
}  // namespace espalier::runtime
