// Sizes of work on a device: whatever they are, the bits stay; what was measured is kept and not
// trusted; measuring ends in time. Times are made up: those of a shim say nothing.
#include "runtime/cuda/tuning.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/cuda/autotuner.h"
#include "tests/runtime/cuda/cublaslt.h"
#include "tests/runtime/cuda/twins.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/memory_system.h"

namespace espalier::runtime::cuda {
namespace {

using Json = nlohmann::json;
using espalier::testing::MemorySystem;
using espalier::testing::TinyLlama;

// As small as a model is that sizes are measured for.
std::shared_ptr<const Model> model_to_tune(TensorType type = TensorType::kQ4_0,
                                           std::uint32_t layers = 1) {
  TinyLlama description;
  description.layers = layers;
  description.matrix_type = static_cast<std::uint32_t>(type);
  description.feed_forward = 4096;
  description.context = 700;
  if (tensor_traits(type)->block_weights == 256) {
    description.width = 256;
    description.feed_forward = 1024;
  }
  return load_bytes(description.writer().finish().bytes);
}

// Made-up seconds a run, which pass on the system's clock; every `every`-th run's work is done.
struct MadeUp {
  MemorySystem& system;
  std::uint64_t seed = 1;
  int every = 1'000'000'000;
  std::chrono::nanoseconds pass{0};
  int runs = 0;

  Stopwatch stopwatch() {
    return [this, random = Random(seed)](
               const Stream& stream, const std::function<void()>& work) mutable -> Result<double> {
      system.advance(pass);
      if (++runs % every == 0) {
        work();
        ESP_TRY(stream.wait("a test"));
      }
      return 1.0 + 4.0 * static_cast<double>(random() % 1000) / 1000;
    };
  }
};

CudaOptions tuned_by(Stopwatch stopwatch) {
  CudaOptions out;
  out.tune = true;
  out.stopwatch = std::move(stopwatch);
  return out;
}

Stopwatch never() {
  return [](const Stream&, const std::function<void()>&) -> Result<double> {
    ADD_FAILURE() << "measured";
    return 1.0;
  };
}

// The file that a start leaves in a home that had none.
std::string file_of(MemorySystem& system, const std::shared_ptr<const Model>& model) {
  system.set_environment("HOME", "/home/x");
  MadeUp clock{system};
  EXPECT_TRUE(Twins::made(model, tuned_by(clock.stopwatch()), system));
  EXPECT_EQ(system.paths().size(), 1U);
  EXPECT_GT(clock.runs, 0);
  return system.paths().empty() ? "" : system.paths()[0];
}

void put(MemorySystem& system, const std::string& path, const std::vector<std::uint32_t>& numbers) {
  Json kept = Json::parse(system.get(path));
  const auto names = Tuning::names();
  for (std::size_t i = 0; i < numbers.size(); ++i) kept[names[i]] = numbers[i];
  system.put(path, kept.dump());
}

std::vector<std::uint32_t> random_sizes(Random& random) {
  std::vector<std::uint32_t> out;
  for (const SizeLimits limits : Tuning::limits()) {
    // Where the range is wide small ones matter, and the ends.
    const std::uint32_t most =
        random() % 4 == 0 ? limits.most : std::min(limits.most, limits.least + 16);
    out.push_back(random() % 8 == 0 ? limits.most
                                    : limits.least + static_cast<std::uint32_t>(
                                                         random() % (most - limits.least + 1)));
  }
  return out;
}

// Choices under masks of few tokens and many, which the head's panels are left out by.
void run_masked(const std::shared_ptr<const Model>& model, std::uint64_t seed,
                const CudaOptions& options, System& system) {
  Random random(seed);
  Twins twins(model, options, system);
  ASSERT_TRUE(twins);
  const std::uint32_t vocabulary = model->shape().vocabulary;
  for (const std::uint32_t rows : {1U, 9U}) {
    for (const std::uint32_t most : {20U, vocabulary}) {
      twins.choose_masked(random, *model, rows, most,
                          [](const auto&, const auto& expected, const auto& actual) {
                            EXPECT_EQ(expected.token, actual.token);
                            EXPECT_EQ(expected.probability, actual.probability);
                          });
    }
  }
}

class TunedType : public ::testing::TestWithParam<TensorType> {};

TEST_P(TunedType, HasTheSameBitsWhateverAFileSaysWithinItsLimits) {
  const auto model = model_to_tune(GetParam());
  ASSERT_NE(model, nullptr);
  MemorySystem system;
  const std::string path = file_of(system, model);
  Random random(static_cast<std::uint64_t>(GetParam()));
  const int rounds = in_full() ? 3 : GetParam() == TensorType::kBF16 ? 1 : 2;
  for (int round = 0; round < rounds; ++round) {
    const auto sizes = random_sizes(random);
    put(system, path, sizes);
    const auto kept = Tuning::of(sizes);
    ASSERT_TRUE(kept);
    SCOPED_TRACE(kept->text());
    const auto made = Twins::made(model, tuned_by(never()), system);
    ASSERT_TRUE(made);
    ASSERT_EQ((*made)->info().tuning, kept->text());
    ASSERT_NO_FATAL_FAILURE(
        run_branches(model, static_cast<std::uint64_t>(round), 70, tuned_by(never()), system));
    ASSERT_NO_FATAL_FAILURE(
        run_masked(model, static_cast<std::uint64_t>(round), tuned_by(never()), system));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, TunedType,
                         ::testing::Values(TensorType::kQ4_0, TensorType::kQ8_0, TensorType::kQ6_K,
                                           TensorType::kBF16),
                         [](const auto& named) {
                           return std::string(tensor_traits(named.param)->name);
                         });

TEST(DeviceTuning, IsTheRulesWhereNobodyAsks) {
  const auto model = model_to_tune();
  ASSERT_NE(model, nullptr);
  MemorySystem system;
  system.set_environment("HOME", "/home/x");
  const auto made = Twins::made(model, {}, system);
  ASSERT_TRUE(made);
  EXPECT_EQ((*made)->info().tuning, "rules");
  EXPECT_TRUE(system.paths().empty());
  ASSERT_TRUE(Tuning().valid());
  for (const std::uint32_t rows : {0U, 1U, 2U, 3U, 64U, 65U, 100'000U}) {
    const AttentionLimits limits = Tuning().of(rows).attention(132);
    EXPECT_EQ(limits.multiprocessors, 132U);
    EXPECT_EQ(limits.busy_blocks, 198U);
  }
}

// What is measured runs, and what is found has the same bits.
TEST(DeviceTuning, IsMeasuredOnceAndKept) {
  for (const auto& [type, every] : {std::pair(TensorType::kQ4_0, 101), {TensorType::kBF16, 997}}) {
    const auto model = model_to_tune(type);
    ASSERT_NE(model, nullptr);
    MemorySystem system;
    system.set_environment("HOME", "/home/x");
    MadeUp clock{system, 5, every};
    const auto first = Twins::made(model, tuned_by(clock.stopwatch()), system);
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_GT(clock.runs, 1000);
    const std::string found = (*first)->info().tuning;
    EXPECT_TRUE(found.starts_with("rules but ")) << found;
    ASSERT_EQ(system.paths().size(), 1U);
    EXPECT_TRUE(system.paths()[0].starts_with("/home/x/.cache/espalier/tuning/"));
    const auto second = Twins::made(model, tuned_by(never()), system);
    ASSERT_TRUE(second);
    EXPECT_EQ((*second)->info().tuning, found);
    run_branches(model, 3, 40, tuned_by(never()), system);
  }
}

// Each of several devices has its own sizes, or those that one before it with the same part found.
TEST(DeviceTuning, OfSeveralDevicesHasTheSameBits) {
  const auto model = model_to_tune(TensorType::kQ4_0, 2);
  ASSERT_NE(model, nullptr);
  for (const std::uint32_t tensor : {1U, 2U}) {
    SCOPED_TRACE(tensor);
    MemorySystem system;
    system.set_environment("HOME", "/home/x");
    MadeUp clock{system, 5};
    CudaOptions options = tuned_by(clock.stopwatch());
    options.devices = std::vector<int>(2 * tensor, 0);
    options.tensor_parallel = tensor;
    options.links = CudaOptions::Links::kThreads;
    ASSERT_NO_FATAL_FAILURE(run_branches(model, 3, 40, options, system));
    EXPECT_GE(system.paths().size(), 2U);
    options.stopwatch = never();
    EXPECT_TRUE(Twins::made(model, options, system));
  }
}

#ifdef ESPALIER_HOST_CUDA
// Layers are one kernel, or not, as the file says, whatever the rule.
TEST(DeviceTuning, SaysWhetherLayersAreOneKernel) {
  const auto model = model_to_tune();
  ASSERT_NE(model, nullptr);
  MemorySystem system;
  const std::string path = file_of(system, model);
  for (std::uint32_t blocks = 0; blocks <= kOneKernelByRule; ++blocks) {
    SCOPED_TRACE(blocks);
    Tuning tuning;
    for (StepSizes& step : tuning.steps) step.one_kernel = blocks;
    put(system, path, tuning.numbers());
    Twins twins(model, tuned_by(never()), system);
    ASSERT_TRUE(twins);
    const std::uint64_t before = host_cuda::launches_together();
    Random random(3);
    Sequence sequence = twins.cpu.sequence(40);
    for (const std::size_t rows : {1U, 2U, 8U}) {
      BatchBuilder builder;
      const auto first = builder.append(sequence, random_ids(random, *model, rows));
      ASSERT_NO_FATAL_FAILURE(twins.step(builder.batch, {first}));
    }
    EXPECT_EQ(host_cuda::launches_together() > before, blocks != 0);
  }
}
#endif

TEST(DeviceTuning, OfADamagedForeignOrImpossibleFileIsMeasuredAnew) {
  const auto model = model_to_tune();
  ASSERT_NE(model, nullptr);
  MemorySystem system;
  const std::string path = file_of(system, model);
  const std::string good = system.get(path);
  Json foreign = Json::parse(good);
  foreign["of"] = foreign["of"].get<std::string>() + " of another";
  const std::vector<std::string> damaged = {"", good.substr(0, good.size() / 2), "[]",
                                            foreign.dump()};
  for (const std::string& text : damaged) {
    SCOPED_TRACE(text);
    system.put(path, text);
    MadeUp clock{system, 1};
    ASSERT_TRUE(Twins::made(model, tuned_by(clock.stopwatch()), system));
    EXPECT_GT(clock.runs, 0);
    EXPECT_EQ(system.get(path), good);
  }
  std::vector<std::string> impossible;
  const auto names = Tuning::names();
  const auto limits = Tuning::limits();
  for (std::size_t i = 0; i < names.size(); i += 17) {
    Json kept = Json::parse(good);
    kept[names[i]] = limits[i].most + 1;
    impossible.push_back(kept.dump());
    kept[names[i]] = -1;
    impossible.push_back(kept.dump());
    kept.erase(names[i]);
    impossible.push_back(kept.dump());
    if (limits[i].least == 0) continue;
    kept[names[i]] = limits[i].least - 1;
    impossible.push_back(kept.dump());
  }
  // Of each it is enough that measuring begins: its first run takes all the time there is.
  for (const std::string& text : impossible) {
    SCOPED_TRACE(text);
    system.put(path, text);
    MadeUp clock{system, 1};
    clock.pass = Autotuner::kBudget;
    ASSERT_TRUE(Twins::made(model, tuned_by(clock.stopwatch()), system));
    EXPECT_GT(clock.runs, 0);
    EXPECT_NE(system.get(path), text);
  }
}

TEST(DeviceTuning, IsOfOneShapeTypeAndKindOfPages) {
  MemorySystem system;
  // That measuring begins says enough: its first run takes all the time there is.
  const auto start = [&](TensorType type, KvType pages) {
    MadeUp clock{system};
    clock.pass = Autotuner::kBudget;
    CudaOptions options = tuned_by(clock.stopwatch());
    options.kv_type = pages;
    EXPECT_TRUE(Twins::made(model_to_tune(type), options, system));
    return clock.runs > 0;
  };
  system.set_environment("HOME", "/home/x");
  EXPECT_TRUE(start(TensorType::kQ4_0, KvType::kF16));
  EXPECT_TRUE(start(TensorType::kQ8_0, KvType::kF16));
  EXPECT_TRUE(start(TensorType::kQ4_0, KvType::kQ8));
  EXPECT_FALSE(start(TensorType::kQ4_0, KvType::kF16));
  EXPECT_EQ(system.paths().size(), 3U);
  system.put("/proc/driver/nvidia/version", "NVRM version: another\n");
  EXPECT_TRUE(start(TensorType::kQ4_0, KvType::kF16));
}

TEST(DeviceTuning, IsOfOneVersionOfTheNumerics) {
  MemorySystem system;
  system.set_environment("HOME", "/home/x");
  const auto model = model_to_tune(TensorType::kBF16);
  for (std::size_t i = 0; i < 2; ++i) {
    for (const Numerics numerics : {Numerics::kExact, Numerics::kTensor, Numerics::kFp8}) {
      MadeUp clock{system};
      clock.pass = Autotuner::kBudget;
      CudaOptions options = tuned_by(clock.stopwatch());
      options.numerics = numerics;
      options.find_cublaslt = find_cublaslt;
      EXPECT_TRUE(Twins::made(model, options, system));
      EXPECT_EQ(clock.runs > 0, i == 0) << numerics_name(numerics);
    }
  }
  EXPECT_EQ(system.paths().size(), 3U);
}

TEST(DeviceTuning, WithoutAPlaceForItIsNotMeasured) {
  const auto model = model_to_tune();
  ASSERT_NE(model, nullptr);
  const auto expect_rules = [&](MemorySystem& system) {
    const auto made = Twins::made(model, tuned_by(never()), system);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ((*made)->info().tuning, "rules");
  };
  MemorySystem homeless;
  expect_rules(homeless);
  MemorySystem full;
  full.set_environment("HOME", "/home/x");
  full.limit_disk(100);
  expect_rules(full);
  MemorySystem dead;
  dead.set_environment("HOME", "/home/x");
  dead.die_at(1);
  expect_rules(dead);
}

TEST(DeviceTuning, OfAModelTooSmallToMatterIsNotMeasured) {
  const auto model = load_bytes(TinyLlama().writer().finish().bytes);
  ASSERT_NE(model, nullptr);
  MemorySystem system;
  system.set_environment("HOME", "/home/x");
  ASSERT_TRUE(Twins::made(model, tuned_by(never()), system));
  EXPECT_TRUE(system.paths().empty());
}

TEST(DeviceTuning, EndsInTimeWithWhatIsKnown) {
  const auto model = model_to_tune();
  ASSERT_NE(model, nullptr);
  const auto all = [&] {
    MemorySystem system;
    system.set_environment("HOME", "/home/x");
    MadeUp clock{system, 7};
    EXPECT_TRUE(Twins::made(model, tuned_by(clock.stopwatch()), system));
    return clock.runs;
  }();
  for (const int runs : {1, 40, 300, 1500}) {
    SCOPED_TRACE(runs);
    ASSERT_LT(runs, all);
    MemorySystem system;
    system.set_environment("HOME", "/home/x");
    MadeUp clock{system, 7};
    clock.pass = std::chrono::nanoseconds(Autotuner::kBudget) / runs;
    const auto begin = system.now();
    const auto made = Twins::made(model, tuned_by(clock.stopwatch()), system);
    ASSERT_TRUE(made);
    // Copies in pieces come in rounds.
    EXPECT_LE(clock.runs, runs + 1 + 5);
    EXPECT_LE(system.now() - begin, Autotuner::kBudget + 6 * clock.pass);
    EXPECT_EQ(system.paths().size(), 1U);
    if (runs == 1) {
      EXPECT_EQ((*made)->info().tuning, "rules");
    }
  }
}

TEST(DeviceTuning, OfWorkThatDoesNotRunIsTheRules) {
  const auto model = model_to_tune();
  ASSERT_NE(model, nullptr);
  MemorySystem system;
  system.set_environment("HOME", "/home/x");
  const Stopwatch broken = [](const Stream&, const std::function<void()>&) -> Result<double> {
    return fail(ErrorCode::kInternal, "not for this device");
  };
  const auto made = Twins::made(model, tuned_by(broken), system);
  ASSERT_TRUE(made);
  EXPECT_EQ((*made)->info().tuning, "rules");
}

#ifdef ESPALIER_HOST_CUDA

// A start that measures fails for want of as many blocks as one that does not; where it lacks
// others, its steps are whole.
TEST(DeviceTuning, ThatLacksMemoryIsNoError) {
  const auto model = model_to_tune();
  ASSERT_NE(model, nullptr);
  int without = 0;
  int with = 0;
  // Steps of three sizes have been measured by then, and those of others ask for the same.
  constexpr int kRuns = 1600;
  for (unsigned lacking = 1; lacking < (in_full() ? 60 : 42); ++lacking) {
    SCOPED_TRACE(lacking);
    host_cuda::fail_next_malloc(lacking);
    without += Twins::made(model, {}, real_system()).has_value() ? 0 : 1;
    MemorySystem system;
    system.set_environment("HOME", "/home/x");
    MadeUp clock{system, 1};
    if (!in_full()) clock.pass = std::chrono::nanoseconds(Autotuner::kBudget) / kRuns;
    host_cuda::fail_next_malloc(lacking);
    const auto made = Twins::made(model, tuned_by(clock.stopwatch()), system);
    host_cuda::fail_next_malloc(0);
    with += made.has_value() ? 0 : 1;
    if (!made || lacking % (in_full() ? 8 : 16) != 1) continue;
    CudaOptions options = tuned_by(clock.stopwatch());
    run_branches(model, lacking, 40, options, system);
  }
  EXPECT_EQ(with, without);
  EXPECT_GT(without, 0);
}

TEST(DeviceTuning, OnADeviceThatIsLostSaysSo) {
  const auto model = model_to_tune();
  ASSERT_NE(model, nullptr);
  MemorySystem system;
  system.set_environment("HOME", "/home/x");
  int measured = 0;
  const Stopwatch stopwatch = [&](const Stream& stream,
                                  const std::function<void()>& work) -> Result<double> {
    if (++measured == 3) host_cuda::lose_device_after(1);
    if (measured > 8) return 1.0;
    return time_on_device(stream, work);
  };
  const auto made = Twins::made(model, tuned_by(stopwatch), system);
  host_cuda::reset_device();
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kInternal) << made.error().message;
  for (const std::string& path : system.paths()) EXPECT_FALSE(path.ends_with(".json"));
}

#endif

TEST(DeviceTuning, IsReadBackFromItsNumbers) {
  Random random(3);
  ASSERT_EQ(Tuning::names().size(), Tuning::limits().size());
  for (int round = 0; round < 20; ++round) {
    const auto sizes = random_sizes(random);
    const auto tuning = Tuning::of(sizes);
    ASSERT_TRUE(tuning);
    EXPECT_EQ(tuning->numbers(), sizes);
  }
  EXPECT_EQ(Tuning::of(Tuning().numbers()), Tuning());
  EXPECT_EQ(Tuning().text(), "rules");
  Tuning other;
  other.steps[3].of(ProductOf::kHidden).warps = 4;
  other.piece_kib = 1024;
  EXPECT_EQ(other.text(), "rules but 8 hidden_warps 4, piece_kib 1024");
  EXPECT_FALSE(Tuning::of(std::vector<std::uint32_t>(3)));
}

TEST(FastestProduct, IsTheOneThatWasMadeFastest) {
  const auto always = [] { return true; };
  for (const ProductSizes best :
       {ProductSizes{8, 4, 4}, ProductSizes{16, 2, 0}, ProductSizes{64, 1, 0}}) {
    const auto run = [&](const ProductSizes& it) {
      return 1.0 + (it.rows == best.rows ? 0 : 1) + (it.warps == best.warps ? 0 : 0.5) +
             (it.ahead == best.ahead ? 0 : 0.25);
    };
    EXPECT_EQ(fastest_product(64, false, run, always), best);
  }
  // Only what makes a difference to so many rows.
  std::vector<ProductSizes> tried;
  const auto note = [&](const ProductSizes& it) {
    tried.push_back(it);
    return 1.0;
  };
  EXPECT_EQ(fastest_product(1, false, note, always), ProductSizes());
  EXPECT_EQ(fastest_product(4, true, note, always), ProductSizes());
  for (const ProductSizes& it : tried) EXPECT_LE(it.rows, 8U);
  EXPECT_TRUE(std::any_of(tried.begin(), tried.end(), [](const auto& it) { return it.rows == 4; }));
  EXPECT_EQ(fastest_product(
                64, false, [](const ProductSizes& it) { return it.rows == 8 ? 0.1 : 1.0; },
                [] { return false; }),
            ProductSizes());
}

}  // namespace
}  // namespace espalier::runtime::cuda
