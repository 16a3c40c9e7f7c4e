// Pages beside the pool: what was saved comes back bit for bit, in the step that needs it, whatever
// the copies meet on their way; and under the engine no text changes.
//
// Over the shim nothing that is enqueued has run before somebody waits for it, so a wait that is
// missing shows.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/fault_system.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/page_transfers.h"
#include "runtime/engine/engine.h"
#include "tests/runtime/cuda/twins.h"

namespace espalier::runtime::cuda {
namespace {

std::shared_ptr<const Model> tiny() { return four_layers(); }

// One device; one behind layers on the CPU; two that share each layer; two stages of one behind
// layers on the CPU. (A page is bytes: one of another type only has fewer.)
struct Places {
  std::uint32_t layers;
  std::size_t ranks;
  std::uint32_t tensor;
  KvType type = KvType::kF16;
};
constexpr Places kPlaces[] = {
    {4, 1, 1}, {3, 1, 1, KvType::kBF16}, {4, 2, 2, KvType::kQ8}, {3, 2, 1}};

CudaOptions options_of(const Places& places) {
  CudaOptions out;
  out.threads = 2;
  out.layers = places.layers;
  out.devices.assign(places.ranks, 0);
  out.tensor_parallel = places.tensor;
  out.links = CudaOptions::Links::kThreads;
  out.kv_type = places.type;
  return out;
}

class HostPagesTest : public ::testing::TestWithParam<Places> {
 protected:
  void SetUp() override {
    model_ = tiny();
    twins_ = std::make_unique<Twins>(model_, options_of(GetParam()));
    ASSERT_TRUE(*twins_);
    host_ = twins_->device.backend->host_pages();
    ASSERT_NE(host_, nullptr);
  }
  void TearDown() override {
    twins_.reset();
#ifdef ESPALIER_HOST_CUDA
    host_cuda::reset_device();
#endif
  }
  // A prompt on both, of whole pages.
  Sequence prompt(std::size_t pages) {
    Sequence sequence = twins_->cpu.sequence(static_cast<std::uint32_t>(pages * kPageTokens + 90));
    BatchBuilder builder;
    const auto first = builder.append(sequence, random_ids(random_, *model_, pages * kPageTokens));
    twins_->step(builder.batch, {first});
    return sequence;
  }
  // The prompt's pages elsewhere in the pool, for both.
  Sequence elsewhere(const Sequence& from) {
    Sequence to = twins_->cpu.sequence(static_cast<std::uint32_t>(from.length) + 90);
    to.length = from.length;
    std::vector<std::byte> bytes(twins_->cpu.backend->info().page_bytes);
    for (std::size_t i = 0; i < from.length / kPageTokens; ++i) {
      twins_->cpu.backend->export_page(from.pages[i], bytes);
      twins_->cpu.backend->import_page(to.pages[i], bytes);
    }
    return to;
  }
  static std::vector<HostCopy> copies(const Sequence& sequence, std::uint32_t first_slot = 0) {
    std::vector<HostCopy> out;
    for (std::uint32_t i = 0; i < sequence.length / kPageTokens; ++i) {
      out.push_back({first_slot + i, sequence.pages[i]});
    }
    return out;
  }
  void save(const Sequence& sequence, std::uint32_t first_slot = 0) {
    for (const HostCopy& copy : copies(sequence, first_slot)) {
      ASSERT_TRUE(host_->reserve(copy.slot + 1));
      ASSERT_TRUE(host_->save(copy));
    }
  }
  void decode(Sequence& sequence, std::size_t tokens = 1) {
    BatchBuilder builder;
    const auto first = builder.append(sequence, random_ids(random_, *model_, tokens));
    twins_->step(builder.batch, {first + static_cast<std::uint32_t>(tokens) - 1});
  }

  Random random_{11};
  std::shared_ptr<const Model> model_;
  std::unique_ptr<Twins> twins_;
  HostPages* host_ = nullptr;
};

TEST_P(HostPagesTest, WhatWasSavedComesBackInTheStepThatReadsIt) {
  const Sequence from = prompt(3);
  ASSERT_NO_FATAL_FAILURE(save(from));
  Sequence to = elsewhere(from);
  ASSERT_TRUE(host_->load(copies(to)));
  // Of few rows, which are recorded, and of many.
  ASSERT_NO_FATAL_FAILURE(decode(to));
  Sequence again = elsewhere(from);
  ASSERT_TRUE(host_->load(copies(again)));
  ASSERT_NO_FATAL_FAILURE(decode(again, 70));
  for (std::size_t i = 0; i < 3; ++i) {
    twins_->expect_same_page(to.pages[i]);
    twins_->expect_same_page(again.pages[i]);
  }
}

// Layers that are read in turn, each behind what brings it.
TEST(PagesInPieces, AreThereWhenTheirLayersAreReadHoweverLargePiecesAre) {
  constexpr std::uint32_t kFew = 4;
  constexpr std::uint32_t kLayers = 6;
  constexpr std::uint64_t kLayer = 64;
  constexpr std::uint64_t kPage = kLayers * kLayer;
  for (const std::uint64_t piece : {1U, 64U, 100U, 128U, 1U << 20}) {
    SCOPED_TRACE(piece);
    std::vector<unsigned char> bytes(kFew * kPage);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(i * 7 + 1);
    const DeviceArray<unsigned char> pool(bytes);
    const auto steps = Stream::create();
    ASSERT_TRUE(steps);
    auto* const data = reinterpret_cast<std::byte*>(pool.get());
    PageTransfers transfers(data, kFew, kPage, kLayers, *steps);
    transfers.set_piece_bytes(piece);
    ASSERT_TRUE(transfers.reserve(kFew));
    for (std::uint32_t i = 0; i < kFew; ++i) ASSERT_TRUE(transfers.save({i, i}));
    std::vector<HostCopy> back;  // to other pages
    for (std::uint32_t i = 0; i < kFew; ++i) back.push_back({i, kFew - 1 - i});
    ASSERT_TRUE(transfers.load(back));
    std::vector<unsigned char> read(kLayer);
    for (std::uint32_t layer = 0; layer < kLayers; ++layer) {
      ASSERT_TRUE(transfers.before_layer(layer));
      for (const HostCopy& it : back) {
        ASSERT_TRUE(steps->copy_out(read.data(), data + it.page * kPage + layer * kLayer, kLayer));
        ASSERT_TRUE(steps->wait("reading"));
        const auto from = bytes.begin() + static_cast<std::ptrdiff_t>(it.slot * kPage);
        EXPECT_TRUE(std::equal(read.begin(), read.end(),
                               from + static_cast<std::ptrdiff_t>(layer * kLayer)));
      }
    }
    transfers.finish();
  }
}

TEST_P(HostPagesTest, APageThatIsSavedIsNotOverwrittenBefore) {
  const Sequence from = prompt(2);
  const Sequence to = elsewhere(from);
  ASSERT_NO_FATAL_FAILURE(save(from));
  // Poison, another's bytes, a step's own rows: all come behind the copy.
  twins_->device.backend->poison(from.pages[0]);
  twins_->cpu.backend->poison(from.pages[0]);
  Sequence over;
  over.pages = {from.pages[0], from.pages[1]};
  ASSERT_NO_FATAL_FAILURE(decode(over, 20));
  ASSERT_TRUE(host_->load(copies(to)));
  twins_->expect_same_page(to.pages[0]);
  twins_->expect_same_page(to.pages[1]);
}

TEST_P(HostPagesTest, APageThatArrivesIsCopiedAndWrittenBehindIt) {
  const Sequence from = prompt(2);
  ASSERT_NO_FATAL_FAILURE(save(from));
  const Sequence to = elsewhere(from);
  ASSERT_TRUE(host_->load(copies(to)));
  // A branch in the middle of the second page takes its head along.
  Sequence branch = twins_->cpu.sequence(60);
  branch.pages[0] = to.pages[0];
  branch.length = 20;
  BatchBuilder builder;
  builder.batch.copies = {{to.pages[1], branch.pages[1], 4}};
  const auto row = builder.append(branch, random_ids(random_, *model_, 1));
  ASSERT_NO_FATAL_FAILURE(twins_->step(builder.batch, {row}));
  // And pages that come again are others' then.
  ASSERT_TRUE(host_->load(copies(to)));
  Sequence over;
  over.pages = to.pages;
  ASSERT_NO_FATAL_FAILURE(decode(over, 24));
  twins_->expect_same_page(over.pages[0]);
  twins_->expect_same_page(over.pages[1]);
}

TEST_P(HostPagesTest, SlotsAreUsedAgain) {
  const Sequence first = prompt(2);
  const Sequence second = prompt(2);
  ASSERT_NO_FATAL_FAILURE(save(first));
  Sequence a = elsewhere(first);
  ASSERT_TRUE(host_->load(copies(a)));
  ASSERT_NO_FATAL_FAILURE(save(second));  // the same slots
  Sequence b = elsewhere(second);
  ASSERT_TRUE(host_->load(copies(b)));
  ASSERT_NO_FATAL_FAILURE(decode(a));
  ASSERT_NO_FATAL_FAILURE(decode(b));
  EXPECT_GT(host_->loads_took().pages, 0U);
  EXPECT_EQ(host_->loads_took().pages, 0U);
}

#ifdef ESPALIER_HOST_CUDA
TEST_P(HostPagesTest, ACopyThatCannotBeBegunIsAnErrorAndNoMore) {
  const Sequence from = prompt(2);
  ASSERT_NO_FATAL_FAILURE(save(from));
  host_cuda::fail_next_copy(1);
  EXPECT_FALSE(host_->save({0, from.pages[0]}).has_value());
  ASSERT_NO_FATAL_FAILURE(save(from));
  const Sequence to = elsewhere(from);
  for (unsigned at = 1; at <= 3; ++at) {
    host_cuda::fail_next_copy(at);
    const bool refused = !host_->load(copies(to)).has_value();
    host_cuda::fail_next_copy(0);
    EXPECT_TRUE(refused || at > 2 * GetParam().ranks);
  }
  ASSERT_TRUE(host_->load(copies(to)));
  Sequence on = to;
  ASSERT_NO_FATAL_FAILURE(decode(on));
}

TEST_P(HostPagesTest, WithoutPinnedMemoryThereIsNoSlot) {
  host_cuda::fail_next_malloc_host(1);
  const Status none = host_->reserve(1);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::kExhausted);
  EXPECT_NE(none.error().message.find("pinned host memory"), std::string::npos);
  EXPECT_TRUE(host_->reserve(1).has_value());
}

TEST_P(HostPagesTest, ADeviceThatIsLostWhileCopiesRunSaysSoInTheStep) {
  const Sequence from = prompt(2);
  ASSERT_NO_FATAL_FAILURE(save(from));
  const Sequence to = elsewhere(from);
  ASSERT_TRUE(host_->load(copies(to)));
  expect_the_loss_is_said(twins_->device, *model_, random_, 0);
  EXPECT_FALSE(host_->save({0, from.pages[0]}).has_value());
  EXPECT_FALSE(host_->load(copies(to)).has_value());
}
#endif

INSTANTIATE_TEST_SUITE_P(Places, HostPagesTest, ::testing::ValuesIn(kPlaces), [](const auto& it) {
  return std::to_string(it.param.ranks) + "RanksOf" + std::to_string(it.param.tensor) + "With" +
         std::to_string(it.param.layers) + "Layers";
});

// ---- under the engine

struct Said {
  std::vector<std::vector<TokenId>> texts;
  Stats stats;
};

// An hour passes at each look at its clock: whatever an engine measures to compute takes long.
class HourAtEachLook final : public FaultSystem {
 public:
  using FaultSystem::FaultSystem;
  Clock::time_point now() override { return FaultSystem::now() + std::chrono::hours(++looks_); }

 private:
  std::atomic<std::int64_t> looks_ = 0;
};

// Prompts that a pool of ten pages holds one at a time of, asked for in turn.
Said say(std::unique_ptr<Backend> backend, std::uint64_t host_pages, System& system) {
  Said out;
  EngineOptions options;
  options.max_rows = 96;
  options.poison = options.check = true;
  options.host_kv_bytes = host_pages * backend->info().page_bytes;
  auto made = Engine::create(std::move(backend), options, system);
  EXPECT_TRUE(made.has_value()) << made.error().message;
  Engine& engine = **made;
  for (int i = 0; i < 9; ++i) {
    Branch branch = engine.open();
    std::vector<TokenId> prompt;
    for (int t = 0; t < 100; ++t) {
      // Those of a round begin alike, and those of the last go on for longer.
      prompt.push_back(static_cast<TokenId>(3 + (t * 7 + (t < 20 ? 0 : i % 3 * 13)) % 200));
    }
    if (i >= 6) prompt.insert(prompt.end(), 20, static_cast<TokenId>(50 + i));
    branch.append(prompt);
    GenerateRequest request;
    request.max_tokens = 4;
    request.sampling.temperature = i % 3 == 1 ? 0.8F : 0.0F;
    request.key = RandomKey(static_cast<std::uint64_t>(i % 3));
    auto answer = branch.generate_now(std::move(request));
    EXPECT_TRUE(answer.has_value()) << answer.error().message;
    if (answer) out.texts.push_back(answer->ids);
  }
  const Status idle = engine.check_idle();
  EXPECT_TRUE(idle.has_value()) << idle.error().message;
  out.stats = engine.stats();
  return out;
}

// Pages come back where that is cheaper than computing them, and copies are measured on the device:
// by the engine's clock computing is the dearer, however busy the machine is.
TEST(HostTierOnADevice, SaysWhatTheCpuSays) {
  const auto model = tiny();
  HourAtEachLook system(real_system());
  for (const Places& places : kPlaces) {
    SCOPED_TRACE(places.ranks);
    const std::uint64_t page_bytes = cpu::KvPool::page_bytes(model->shape(), places.type);
    CpuOptions on_cpu;
    on_cpu.threads = 1;
    on_cpu.kv_type = places.type;
    on_cpu.kv_bytes = 64 * page_bytes;
    auto cpu = CpuBackend::create(model, on_cpu, real_system());
    ASSERT_TRUE(cpu.has_value());
    ASSERT_EQ((*cpu)->host_pages(), nullptr);
    const Said expected = say(std::move(*cpu), 0, system);
    CudaOptions options = options_of(places);
    options.kv_bytes = 10 * page_bytes;
    auto backend = CudaBackend::create(model, options, real_system());
    ASSERT_TRUE(backend.has_value()) << backend.error().message;
    const Said said = say(std::move(*backend), 100, system);
    EXPECT_EQ(said.texts, expected.texts);
    EXPECT_GT(said.stats.host_loaded_pages, 5U);
  }
}

}  // namespace
}  // namespace espalier::runtime::cuda
