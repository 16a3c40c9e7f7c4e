// A model whose last layers are on the device and the first ones on the CPU: the bits of one in
// either place, whatever the tree does with its pages.
#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/cpu/kv_pool.h"
#include "runtime/cuda/panels.h"
#include "runtime/device.h"
#include "runtime/engine/engine.h"
#include "tests/runtime/cuda/twins.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/memory_system.h"
#include "tests/support/source_folder.h"

namespace espalier::runtime::cuda {
namespace {

using espalier::testing::MemorySystem;
using espalier::testing::TinyLlama;

std::shared_ptr<const Model> tiny(std::uint32_t layers = 4) {
  TinyLlama description;
  description.layers = layers;
  description.matrix_type = static_cast<std::uint32_t>(TensorType::kQ4_0);
  return load_bytes(description.writer().finish().bytes);
}

class EveryArchitecture : public ::testing::TestWithParam<const char*> {};

TEST_P(EveryArchitecture, HasTheSameBitsWhereverItsLayersAre) {
  const std::string path = espalier::testing::source_folder() +
                           "/tests/runtime/model/fixtures/arch_" + GetParam() + ".gguf";
  const auto model = Model::load(path, real_system());
  ASSERT_TRUE(model.has_value()) << model.error().message;
  const std::uint32_t all = (*model)->shape().layers;
  // One, half, all: so layers that see everything and local ones are on either side.
  for (const std::uint32_t layers : std::set<std::uint32_t>{1, (all + 1) / 2, all}) {
    SCOPED_TRACE(layers);
    run_branches(*model, layers, 60, {.layers = layers});
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, EveryArchitecture,
                         ::testing::Values("gemma3", "llama3", "llama_window", "llama_yarn",
                                           "mistral3", "phi3", "qwen2", "qwen3"),
                         [](const auto& named) { return std::string(named.param); });

// Of a page each place has its layers' bytes: what one exports the other can go on from.
TEST(SplitLayers, PagesGoFromOnePlaceToAnother) {
  const auto model = tiny();
  ASSERT_NE(model, nullptr);
  Random random(7);
  Twins twins(model, {.layers = 3});
  ASSERT_TRUE(twins);
  const auto ids = random_ids(random, *model, 40);
  Sequence there = twins.device.sequence(64);
  const auto expected = twins.device.feed(there, ids);
  Sequence here = twins.cpu.sequence(64);
  std::vector<std::byte> bytes(twins.cpu.backend->info().page_bytes);
  for (std::size_t i = 0; i < 2; ++i) {
    twins.device.backend->export_page(there.pages[i], bytes);
    twins.cpu.backend->import_page(here.pages[i], bytes);
  }
  here.length = 32;
  const auto last = std::span(ids).subspan(32);
  EXPECT_TRUE(same_bits(expected, twins.cpu.feed(here, last)));
}

// ---- under the engine

struct Said {
  std::vector<std::vector<TokenId>> texts;
  Stats stats;
};

std::unique_ptr<Backend> on_cpu(const std::shared_ptr<const Model>& model, std::uint32_t pages,
                                KvType type = KvType::kF16) {
  CpuOptions options;
  options.threads = 1;
  options.kv_type = type;
  options.kv_bytes = pages * cpu::KvPool::page_bytes(model->shape(), type);
  auto made = CpuBackend::create(model, options, real_system());
  EXPECT_TRUE(made.has_value());
  return std::move(*made);
}

// The last `layers` on the device; or on so many ranks of it, in stages, so many of which share
// each layer.
std::unique_ptr<Backend> in_two_places(const std::shared_ptr<const Model>& model,
                                       std::uint32_t pages, std::uint32_t layers,
                                       std::size_t ranks = 1, std::uint32_t tensor = 1,
                                       KvType type = KvType::kF16) {
  CudaOptions options;
  options.threads = 2;
  options.layers = layers;
  options.devices.assign(ranks, 0);
  options.tensor_parallel = tensor;
  options.links = CudaOptions::Links::kThreads;
  options.kv_type = type;
  options.kv_bytes = pages * cpu::KvPool::page_bytes(model->shape(), type);
  auto made = CudaBackend::create(model, options, real_system());
  EXPECT_TRUE(made.has_value());
  EXPECT_EQ((*made)->info().pages, pages);
  return std::move(*made);
}

// A trunk, forks of it that say something at once or one after the other, and their answers; some
// at a temperature. In a small pool they evict each other's pages.
Said say(std::unique_ptr<Backend> backend, System& system, bool disk,
         std::unique_ptr<Backend> draft = nullptr) {
  EngineOptions options;
  options.max_rows = 32;
  options.poison = options.check = true;
  if (disk) {
    options.kv_folder = "kv";
    options.model_digest = "tiny";
  }
  auto made = Engine::create(std::move(backend), options, system, std::move(draft));
  EXPECT_TRUE(made.has_value()) << made.error().message;
  Engine& engine = **made;
  Said out;
  for (std::uint32_t round = 0; round < 3; ++round) {
    Branch trunk = engine.open();
    std::vector<TokenId> head;
    for (std::uint32_t i = 0; i < 70; ++i) {
      head.push_back(static_cast<TokenId>(3 + (i * 7 + round / 2 * 13) % 200));
    }
    trunk.append(head);
    for (std::uint32_t i = 0; i < 3; ++i) {
      Branch branch = trunk.fork();
      branch.append(std::vector<TokenId>{static_cast<TokenId>(20 + i)});
      GenerateRequest request;
      request.max_tokens = 12;
      request.sampling.temperature = i == 1 ? 0.8F : 0.0F;
      request.key = RandomKey(i + 1);
      auto answer = branch.generate_now(std::move(request));
      EXPECT_TRUE(answer.has_value()) << answer.error().message;
      if (answer) out.texts.push_back(answer->ids);
    }
  }
  const Status idle = engine.check_idle();
  EXPECT_TRUE(idle.has_value()) << idle.error().message;
  out.stats = engine.stats();
  return out;
}

TEST(SplitLayers, ForksSayTheSameAsOnTheCpu) {
  const auto model = tiny();
  const Said expected = say(on_cpu(model, 64), real_system(), false);
  for (const std::uint32_t layers : {1U, 2U, 4U}) {
    const Said said = say(in_two_places(model, 64, layers), real_system(), false);
    EXPECT_EQ(said.texts, expected.texts) << layers;
    EXPECT_EQ(said.stats.computed_tokens, expected.stats.computed_tokens);
  }
}

TEST(SplitLayers, EvictedPagesAreComputedAgainToTheSameText) {
  const auto model = tiny();
  const Said expected = say(on_cpu(model, 64), real_system(), false);
  const Said said = say(in_two_places(model, 8, 2), real_system(), false);
  EXPECT_EQ(said.texts, expected.texts);
  EXPECT_LT(said.stats.pages_total, 9U);
  EXPECT_GT(said.stats.computed_tokens, expected.stats.computed_tokens);
}

// The disk tier finds what either kind of backend wrote: pages of a type have one form.
TEST(SplitLayers, PagesOnDiskAreReadByABackendOfAnotherSplit) {
  const auto model = tiny();
  MemorySystem disk;
  for (const KvType type : {KvType::kF16, KvType::kQ8}) {
    SCOPED_TRACE(kv_type_name(type));
    const Said expected = say(on_cpu(model, 64, type), real_system(), false);
    const Said first = say(in_two_places(model, 64, 3, 1, 1, type), disk, true);
    EXPECT_EQ(first.texts, expected.texts);
    EXPECT_EQ(first.stats.disk_read_pages, 0U);  // nor are those of another type
    const Said again = say(in_two_places(model, 64, 1, 1, 1, type), disk, true);
    EXPECT_EQ(again.texts, expected.texts);
    EXPECT_GT(again.stats.disk_read_pages, 0U);
    const Said cpu = say(on_cpu(model, 64, type), disk, true);
    EXPECT_EQ(cpu.texts, expected.texts);
    EXPECT_GT(cpu.stats.disk_read_pages, 0U);
  }
}

TEST(SplitLayers, ADraftModelChangesNoText) {
  const auto model = tiny();
  const Said expected = say(on_cpu(model, 64), real_system(), false);
  const Said said =
      say(in_two_places(model, 64, 2), real_system(), false, in_two_places(model, 64, 3));
  EXPECT_EQ(said.texts, expected.texts);
}

// All of it on ranks that share layers (two heads of keys and values each), have them in turn, or
// both, some of them behind layers on the CPU.
TEST(LayersOnSeveralRanks, SayTheSameThroughTheTreeTheDiskAndDrafts) {
  const auto model = tiny();
  const Said expected = say(on_cpu(model, 64), real_system(), false);
  const auto ranks = [&](std::uint32_t pages, std::uint32_t layers, std::size_t count,
                         std::uint32_t tensor) {
    return in_two_places(model, pages, layers, count, tensor);
  };
  EXPECT_EQ(say(ranks(8, 3, 2, 1), real_system(), false).texts, expected.texts);  // evicts
  EXPECT_EQ(say(ranks(8, 4, 4, 2), real_system(), false).texts, expected.texts);
  EXPECT_EQ(say(ranks(64, 4, 2, 2), real_system(), false, ranks(64, 3, 2, 1)).texts,
            expected.texts);
  MemorySystem disk;
  EXPECT_EQ(say(ranks(64, 4, 4, 2), disk, true).texts, expected.texts);
  const Said again = say(ranks(64, 3, 2, 2), disk, true);
  EXPECT_EQ(again.texts, expected.texts);
  EXPECT_GT(again.stats.disk_read_pages, 0U);
  const Said cpu = say(on_cpu(model, 64), disk, true);
  EXPECT_EQ(cpu.texts, expected.texts);
  EXPECT_GT(cpu.stats.disk_read_pages, 0U);
}

// ---- which layers go where

constexpr std::uint64_t kPool = std::uint64_t{24} << 20;

BackendOptions on(Device::Kind kind, std::optional<std::uint32_t> layers = std::nullopt) {
  BackendOptions out;
  out.device.kind = kind;
  out.threads = 1;
  out.gpu_layers = layers;
  out.kv_bytes = kPool;
  return out;
}

TEST(GpuLayers, AreRefusedByNameWithTheLimit) {
  const auto model = tiny();
  const auto refused = [&](const BackendOptions& options) {
    const auto made = create_backend(model, options, real_system());
    return made ? Error{ErrorCode::kInternal, "made"} : made.error();
  };
  for (const auto kind : {Device::Kind::kAuto, Device::Kind::kCpu, Device::Kind::kCuda}) {
    const Error error = refused(on(kind, 5));
    EXPECT_EQ(error.code, ErrorCode::kInvalid);
    EXPECT_EQ(error.message, "GPU layers 5: the model has 4 layers");
  }
  const Error cpu = refused(on(Device::Kind::kCpu, 2));
  EXPECT_EQ(cpu.code, ErrorCode::kInvalid);
  EXPECT_EQ(cpu.message, "GPU layers 2: the device asked for is the CPU, which takes 0");
  auto made = CudaBackend::create(model, {.layers = 5}, real_system());
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code, ErrorCode::kInvalid);
}

#ifdef ESPALIER_HOST_CUDA

TEST(GpuLayers, SaidOrNotAreWhereTheyAreSaidToBe) {
  const auto model = tiny();
  host_cuda::reset_device();
  const auto where = [&](const BackendOptions& options) {
    const auto made = create_backend(model, options, real_system());
    EXPECT_TRUE(made.has_value()) << made.error().message;
    return made ? made->device + "|" + made->note : "";
  };
  const std::string device = where(on(Device::Kind::kCuda));
  EXPECT_EQ(device.substr(0, 8), "cuda:0 (");
  EXPECT_EQ(device.back(), '|');
  const std::string name = device.substr(0, device.size() - 1);
  EXPECT_EQ(where(on(Device::Kind::kAuto)), name + "|");
  EXPECT_EQ(where(on(Device::Kind::kAuto, 4)), name + "|");
  EXPECT_EQ(where(on(Device::Kind::kAuto, 3)), name + ", the last 3 of 4 layers|");
  EXPECT_EQ(where(on(Device::Kind::kCuda, 1)), name + ", the last 1 of 4 layers|");
  EXPECT_EQ(where(on(Device::Kind::kCuda, 0)), "cpu|");
  EXPECT_EQ(where(on(Device::Kind::kCpu, 0)), "cpu|");

  host_cuda::set_devices(0, cudaErrorNoDevice);
  EXPECT_EQ(where(on(Device::Kind::kAuto)), "cpu|");
  const auto missing = create_backend(model, on(Device::Kind::kAuto, 2), real_system());
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::kUnsupported);
  host_cuda::reset_device();
}

TEST(GpuLayers, OfSeveralDevicesAreWhereTheyAreSaidToBe) {
  const auto model = tiny();
  host_cuda::reset_device();
  host_cuda::set_devices(4);
  ASSERT_EQ(setenv("ESPALIER_NCCL", "none", 1), 0);
  const auto where = [&](const std::string& device, std::uint32_t tensor,
                         std::optional<std::uint32_t> layers = std::nullopt) {
    BackendOptions options = on(Device::Kind::kCuda, layers);
    auto parsed = Device::parse(device);
    EXPECT_TRUE(parsed.has_value());
    options.device = *parsed;
    options.tensor_parallel = tensor;
    const auto made = create_backend(model, options, real_system());
    EXPECT_TRUE(made.has_value()) << made.error().message;
    return made ? made->device.substr(made->device.find("), ") + 3) : "";
  };
  // Two heads of keys and values: two can share a layer.
  EXPECT_EQ(where("cuda:0,1", 0), "2 share each layer, copies between them");
  EXPECT_EQ(where("cuda:3,1", 1), "2 stages of layers, copies between them");
  EXPECT_EQ(where("cuda:0,1,2,3", 0),
            "2 share each layer, 2 stages of layers, copies between them");
  EXPECT_EQ(where("cuda:0,2", 0, 3),
            "2 share each layer, copies between them, the last 3 of 4 layers");
  ASSERT_EQ(setenv("ESPALIER_NCCL", "/nowhere/libnccl.so.2", 1), 0);
  BackendOptions options = on(Device::Kind::kCuda);
  options.device.numbers = {0, 1};
  const auto made = create_backend(model, options, real_system());
  ASSERT_FALSE(made.has_value());
  EXPECT_NE(made.error().message.find("/nowhere/libnccl.so.2"), std::string::npos);
  unsetenv("ESPALIER_NCCL");
  host_cuda::reset_device();
}

// From much memory to none: all layers, then ever fewer, then none, and a line that says so.
TEST(GpuLayers, AreAsManyAsTheMemoryTakes) {
  const auto model = tiny(6);
  // Pools of layers, far larger than this model's weights, are what makes the difference.
  BackendOptions options = on(Device::Kind::kAuto);
  options.kv_bytes = std::uint64_t{600} << 20;
  constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
  std::uint32_t before = 7;
  std::vector<std::uint32_t> seen;
  for (std::uint64_t mib = 2000; mib >= 1000; mib -= 50) {
    host_cuda::set_memory_limit(mib * kMiB);
    const auto fit =
        CudaBackend::layers_that_fit(model, {.tensor_parallel = 1, .kv_bytes = options.kv_bytes});
    ASSERT_TRUE(fit.has_value());
    EXPECT_LE(*fit, before);
    // 100 MiB a layer beside a GiB, and what a small model's weights take.
    const std::uint64_t most = mib < 1024 ? 0 : (mib - 1024) / 100;
    EXPECT_LE(*fit, most);
    EXPECT_GE(*fit + 1, std::min<std::uint64_t>(most, 6));
    if (*fit != before) seen.push_back(*fit);
    before = *fit;
  }
  EXPECT_EQ(seen, (std::vector<std::uint32_t>{6, 5, 4, 3, 2, 1, 0}));

  host_cuda::set_memory_limit(1350 * kMiB);
  {
    const auto made = create_backend(model, options, real_system());
    ASSERT_TRUE(made.has_value()) << made.error().message;
    EXPECT_NE(made->note.find("has memory for the last 3 of 6 layers; the first 3 are on the CPU"),
              std::string::npos)
        << made->note;
  }
  host_cuda::set_memory_limit(1030 * kMiB);
  const auto cpu = create_backend(model, options, real_system());
  ASSERT_TRUE(cpu.has_value());
  EXPECT_EQ(cpu->device, "cpu");
  options.device.kind = Device::Kind::kCuda;
  const auto none = create_backend(model, options, real_system());
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::kExhausted);
  EXPECT_NE(none.error().message.find("1030 MiB are free"), std::string::npos)
      << none.error().message;
  host_cuda::reset_device();
}

// Embeddings that are not the head's are on the device where the GiB beside the layers stays whole,
// and no layer leaves it for them.
TEST(GpuLayers, ComeBeforeEmbeddingsAndBothLeaveTheirRoom) {
  const auto model = four_layers(TensorType::kF32, 2, false);
  const CudaOptions options{
      .tensor_parallel = 1, .threads = 1, .kv_bytes = pool_bytes(*model), .layers = 4};
  const std::uint64_t embedding = device_bytes(model->weights().embedding);
  constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
  const auto all_fit = [&](std::uint64_t bytes) {
    host_cuda::set_memory_limit(bytes);
    const auto fit = CudaBackend::layers_that_fit(model, options);
    return fit.has_value() && *fit == 4;
  };
  std::uint64_t least = 2 * kGiB;  // that takes all layers
  for (std::uint64_t step = kGiB; step > 0; step /= 2) {
    if (all_fit(least - step)) least -= step;
  }
  const auto taken = [&](std::uint64_t bytes) -> std::uint64_t {
    EXPECT_TRUE(all_fit(bytes));
    const std::size_t before = host_cuda::allocated_bytes();
    const auto made = CudaBackend::create(model, options, real_system());
    EXPECT_TRUE(made.has_value());
    return host_cuda::allocated_bytes() - before;
  };
  const std::uint64_t without = taken(least);
  EXPECT_EQ(taken(least + embedding / 2), without);
  // Small vectors are beside the weights.
  EXPECT_EQ(taken(least + embedding + (kGiB >> 10)), without + embedding);
  host_cuda::reset_device();
}

// Memory that lacks while layers are dealt out is an error that leaves nothing, and in a step one
// that leaves the next step whole.
TEST(GpuLayers, LackingMemoryFailsAlone) {
  const auto model = tiny();
  const std::size_t held = host_cuda::allocated_bytes();
  for (unsigned n = 1; n < 5; ++n) {
    host_cuda::fail_next_malloc(n);
    const auto made = CudaBackend::create(
        model, {.threads = 1, .kv_bytes = pool_bytes(*model), .layers = 2}, real_system());
    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(made.error().code, ErrorCode::kExhausted);
    EXPECT_EQ(host_cuda::allocated_bytes(), held);
    host_cuda::reset_device();
  }
  Twins twins(model, {.layers = 2});
  ASSERT_TRUE(twins);
  Random random(3);
  Sequence sequence = twins.cpu.sequence(40);
  const auto ids = random_ids(random, *model, 20);
  for (unsigned n = 1; n < 4; ++n) {
    Sequence lost = sequence;
    BatchBuilder builder;
    builder.append(lost, ids);
    host_cuda::fail_next_malloc(n);
    const auto failed = run_step(*twins.device.backend, builder.batch, {});
    ASSERT_FALSE(failed) << n;
    EXPECT_EQ(failed.error().code, ErrorCode::kExhausted);
    host_cuda::reset_device();
  }
  BatchBuilder builder;
  const auto first = builder.append(sequence, ids);
  twins.step(builder.batch, {first + 19});
}

#endif

}  // namespace
}  // namespace espalier::runtime::cuda
