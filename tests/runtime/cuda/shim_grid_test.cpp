// Launches whose blocks wait for each other: over the shim as CUDA promises them, and what it must
// catch.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/cuda/ptx.cuh"
#include "runtime/cuda/simt.cuh"
#include "tests/runtime/cuda/rig.h"

namespace espalier::runtime::cuda {
namespace {

using ::testing::HasSubstr;

constexpr unsigned kThreads = 64;
constexpr unsigned kBlocks = 7;

cudaError_t run_together(unsigned blocks, const std::function<void()>& body,
                         std::size_t shared = 0) {
  return static_cast<cudaError_t>(
      host_cuda::launch_together(dim3(blocks), dim3(kThreads), shared, nullptr, body));
}

// Every block adds up what all have written in the round before.
void pass_round(std::vector<std::uint32_t>& values, unsigned rounds, bool waits) {
  ESP_SHARED std::uint32_t shared_sum;
  for (unsigned round = 0; round < rounds; ++round) {
    const std::uint32_t* const from = values.data() + (round % 2) * kBlocks;
    std::uint32_t* const to = values.data() + (round + 1) % 2 * kBlocks;
    if (threadIdx.x == 0) shared_sum = 0;
    __syncthreads();
    if (threadIdx.x < kBlocks) atomicAdd(&shared_sum, from[threadIdx.x]);
    __syncthreads();
    if (threadIdx.x == 0) to[blockIdx.x] = shared_sum + blockIdx.x;
    if (waits) grid_barrier(nullptr);
  }
}

std::vector<std::uint32_t> rounds_by_hand(unsigned rounds) {
  std::vector<std::uint32_t> values(kBlocks, 1);
  for (unsigned round = 0; round < rounds; ++round) {
    std::uint32_t sum = 0;
    for (const std::uint32_t value : values) sum += value;
    for (unsigned b = 0; b < kBlocks; ++b) values[b] = sum + b;
  }
  return values;
}

TEST(ShimGrid, BlocksSeeWhatAllHaveWrittenBeforeABarrier) {
  constexpr unsigned kRounds = 4;
  in_all_orders([] {
    std::vector<std::uint32_t> values(std::size_t{2} * kBlocks, 1);
    ASSERT_EQ(run_together(kBlocks, [&] { pass_round(values, kRounds, true); }), cudaSuccess);
    values.resize(kBlocks);
    EXPECT_EQ(values, rounds_by_hand(kRounds));
  });
}

TEST(ShimGrid, AMissingBarrierGivesAWrongResultInSomeOrder) {
  unsigned wrong = 0;
  for (std::uint64_t seed = 1; seed < 9; ++seed) {
    set_order(seed);
    std::vector<std::uint32_t> values(std::size_t{2} * kBlocks, 1);
    ASSERT_EQ(run_together(kBlocks, [&] { pass_round(values, 2, false); }), cudaSuccess);
    values.resize(kBlocks);
    wrong += values == rounds_by_hand(2) ? 0 : 1;
  }
  set_order(0);
  EXPECT_GT(wrong, 0U);
}

// Static and dynamic shared memory are each block's own while all of them live.
TEST(ShimGrid, SharedMemoryIsTheBlocksOwn) {
  in_all_orders([] {
    std::vector<std::uint32_t> seen(kBlocks);
    ASSERT_EQ(run_together(
                  kBlocks,
                  [&] {
                    ESP_SHARED std::uint32_t shared_own;
                    auto* const dynamic = reinterpret_cast<std::uint32_t*>(dynamic_shared());
                    if (threadIdx.x == 0) {
                      EXPECT_EQ(shared_own, 0xFFFFFFFFU);
                      EXPECT_EQ(dynamic[0], 0xFFFFFFFFU);
                      shared_own = blockIdx.x;
                      dynamic[0] = 100 + blockIdx.x;
                    }
                    grid_barrier(nullptr);
                    if (threadIdx.x == 1) seen[blockIdx.x] = shared_own + dynamic[0];
                  },
                  16),
              cudaSuccess);
    for (unsigned b = 0; b < kBlocks; ++b) EXPECT_EQ(seen[b], 100 + 2 * b);
  });
}

std::string failure_of(unsigned blocks, const std::function<void()>& body) {
  const CollectedFailures failures;
  EXPECT_EQ(run_together(blocks, body), cudaSuccess);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
  return failures.messages().empty() ? "" : failures.messages()[0];
}

TEST(ShimGrid, ABlockThatNeverComesIsAFailureNotAHang) {
  in_all_orders([] {
    const std::string left = failure_of(3, [] {
      if (blockIdx.x != 1) grid_barrier(nullptr);
    });
    EXPECT_THAT(left, HasSubstr("divergent barrier of the grid"));
    EXPECT_THAT(left, HasSubstr("block 0 at grid_barrier (shim_grid_test.cpp:"));
    EXPECT_THAT(left, HasSubstr("block 1 left the kernel"));
  });
  const std::string lines = failure_of(2, [] {
    if (blockIdx.x == 0) grid_barrier(nullptr);
    if (blockIdx.x == 1) grid_barrier(nullptr);
  });
  EXPECT_THAT(lines, HasSubstr("block 1 at grid_barrier"));
  const std::string threads = failure_of(2, [] {
    if (threadIdx.x % 2 == 0) grid_barrier(nullptr);
  });
  EXPECT_THAT(threads, HasSubstr("divergent barrier in block"));
  EXPECT_THAT(threads, HasSubstr("left the kernel"));
}

TEST(ShimGrid, ABarrierInAnOrdinaryLaunchIsAFailure) {
  const CollectedFailures failures;
  host_cuda::launch(dim3(2), dim3(kThreads), 0, nullptr, [] { grid_barrier(nullptr); });
  ASSERT_EQ(failures.messages().size(), 1U);
  EXPECT_THAT(failures.messages()[0], HasSubstr("do not run together"));
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
}

void nothing() {}

TEST(ShimGrid, MoreBlocksThanTheDeviceHoldsAreRefused) {
  const auto body = [] { grid_barrier(nullptr); };
  constexpr std::size_t kShared = std::size_t{100} << 10;
  const std::uint32_t each = blocks_together(nothing, kThreads, kShared);
  EXPECT_EQ(each, 2U);
  int multiprocessors = 0;
  ASSERT_EQ(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, 0),
            cudaSuccess);
  const auto most = static_cast<unsigned>(multiprocessors) * each;
  EXPECT_EQ(run_together(most, body, kShared), cudaSuccess);
  EXPECT_EQ(run_together(most + 1, body, kShared), cudaErrorCooperativeLaunchTooLarge);
  EXPECT_EQ(cudaGetLastError(), cudaErrorCooperativeLaunchTooLarge);
  host_cuda::refuse_together_from(2);
  EXPECT_EQ(run_together(1, body), cudaSuccess);
  EXPECT_EQ(run_together(1, body), cudaErrorCooperativeLaunchTooLarge);
  EXPECT_EQ(run_together(1, body), cudaErrorCooperativeLaunchTooLarge);
  host_cuda::reset_device();
  host_cuda::set_together(false);
  EXPECT_EQ(run_together(1, body), cudaErrorNotSupported);
  host_cuda::reset_device();
  EXPECT_EQ(run_together(1, body), cudaSuccess);
}

}  // namespace
}  // namespace espalier::runtime::cuda
