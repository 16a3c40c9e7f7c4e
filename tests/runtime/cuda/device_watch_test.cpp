// A device's time at work: what a step launches is work, all else is waiting, and watching changes
// nothing.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "runtime/cuda/device_watch.h"
#include "tests/runtime/cuda/twins.h"

namespace espalier::runtime::cuda {
namespace {

constexpr std::uint32_t kRows = 3;
constexpr int kSteps = 12;

// Decodes by kRows texts, one step after the other; `idle` passes before each, and `late` before
// its second half.
std::vector<TokenId> decode(const std::shared_ptr<const Model>& model,
                            std::shared_ptr<DeviceWatch> watch, std::chrono::milliseconds idle,
                            std::chrono::milliseconds late) {
  CudaOptions options;
  options.threads = 1;
  options.kv_bytes = pool_bytes(*model);
  options.watch = std::move(watch);
  auto made = CudaBackend::create(model, options, real_system());
  EXPECT_TRUE(made.has_value()) << made.error().message;
  if (!made) return {};
  Backend& backend = **made;
  std::vector<TokenId> said;
  std::vector<TokenId> next(kRows, 5);
  const Sampling greedy;
  for (int step = 0; step < kSteps; ++step) {
    Batch batch;
    std::vector<std::uint32_t> wanted;
    std::vector<RowPlan> plans(kRows);
    for (std::uint32_t i = 0; i < kRows; ++i) {
      const auto position = static_cast<std::uint32_t>(step);
      batch.sequences.push_back({i});
      batch.rows.push_back({next[i], position, i, i, 1});
      batch.writes.push_back({i, position});
      wanted.push_back(i);
      plans[i].row = i;
      plans[i].sampling = &greedy;
    }
    std::this_thread::sleep_for(idle);
    EXPECT_TRUE(backend.begin(batch, wanted).has_value());
    std::this_thread::sleep_for(late);
    const auto results = backend.finish(plans);
    EXPECT_TRUE(results.has_value());
    if (!results) return {};
    for (std::uint32_t i = 0; i < kRows; ++i) said.push_back(next[i] = (*results)[i].sampled.token);
  }
  return said;
}

TEST(ADeviceWatch, CountsWhatIsLaunchedAsWorkAndAllElseAsWaiting) {
  using std::chrono::milliseconds;
  set_order(0);  // the shim does nothing before it is waited for
  const auto model = four_layers();
  const auto expected = decode(model, nullptr, milliseconds(0), milliseconds(0));
  for (const auto& [idle, late] :
       {std::pair{0, 0}, std::pair{20, 0}, std::pair{0, 20}, std::pair{10, 10}}) {
    SCOPED_TRACE(std::to_string(idle) + " ms before, " + std::to_string(late) + " within");
    const auto watch = std::make_shared<DeviceWatch>(100);
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(decode(model, watch, milliseconds(idle), milliseconds(late)), expected);
    const double all =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const auto time = watch->of_steps(kRows);
    ASSERT_TRUE(time.has_value()) << time.error().message;
    EXPECT_EQ(time->steps, std::uint64_t{kSteps - 1});
    EXPECT_GT(time->at_work, 0.0);
    EXPECT_LT(time->seconds, all);
    // The host's sleep is none of the work.
    EXPECT_GE(time->seconds - time->at_work, 0.9e-3 * (idle + late) * (kSteps - 1));
    EXPECT_GT(time->outside(), 0.0);
    EXPECT_LT(time->outside(), 1.0);
  }
}

TEST(ADeviceWatch, CountsStepsOfTheRowsAskedForThatFollowEachOther) {
  const auto stream = Stream::create();
  ASSERT_TRUE(stream.has_value());
  DeviceWatch watch(7);
  const auto launch = [&] { return DeviceWatch::launch(&watch, *stream, [] { return Status(); }); };
  // Pairs of 4 rows: 1st and 2nd, and 4th and 5th; the last one seen has none behind it.
  for (const std::uint32_t rows : {4U, 4U, 5U, 4U, 4U, 3U, 4U, 4U, 4U}) {
    watch.begin_step(rows);
    ASSERT_TRUE(launch().has_value());
    ASSERT_TRUE(launch().has_value());
  }
  ASSERT_TRUE(stream->wait("all").has_value());
  const auto steps = [&](std::uint32_t rows) { return watch.of_steps(rows).value().steps; };
  EXPECT_EQ(steps(4), 2U);
  EXPECT_EQ(steps(3), 0U);
  EXPECT_EQ(steps(9), 0U);
  EXPECT_EQ(DeviceWatch(9).of_steps(4).value().steps, 0U);
  EXPECT_EQ(DeviceWatch(9).of_steps(4).value().outside(), 0.0);

  DeviceWatch broken(9);
  for (const bool fails : {true, false, false}) {
    broken.begin_step(2);
    const Status status = DeviceWatch::launch(&broken, *stream, [&]() -> Status {
      if (fails) return fail(ErrorCode::kInternal, "no");
      return {};
    });
    EXPECT_EQ(status.has_value(), !fails);
  }
  ASSERT_TRUE(stream->wait("all").has_value());
  EXPECT_EQ(broken.of_steps(2).value().steps, 1U);
}

}  // namespace
}  // namespace espalier::runtime::cuda
