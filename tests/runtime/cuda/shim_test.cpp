// The shim against plain loops: collectives, orders, and what it must catch; the twins of
// instructions against naive products.
#include <bit>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>

#include "runtime/cuda/numbers.cuh"
#include "runtime/cuda/ptx.cuh"
#include "runtime/model/half.h"
#include "tests/runtime/cuda/rig.h"

namespace espalier::runtime::cuda {
namespace {

using Random = std::mt19937_64;
using ::testing::HasSubstr;

// Runs a body as a kernel of one block.
void run(unsigned threads, const std::function<void()>& body) {
  host_cuda::launch(dim3(1), dim3(threads), 0, nullptr, body);
}

template <class T>
std::vector<T> random_values(Random& random, std::size_t count) {
  std::vector<T> values(count);
  for (T& value : values) value = static_cast<T>(random());
  return values;
}

TEST(Shim, EveryThreadOfEveryBlockRunsOnce) {
  in_all_orders([] {
    const dim3 grid(3, 2, 2);
    const dim3 block(5, 4, 3);
    std::vector<int> seen(std::size_t{3} * 2 * 2 * 5 * 4 * 3);
    host_cuda::launch(grid, block, 0, nullptr, [&] {
      const unsigned b = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
      const unsigned t = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
      ++seen[b * 60 + t];
    });
    EXPECT_EQ(seen, std::vector<int>(seen.size(), 1));
  });
}

template <class T>
void expect_shuffles() {
  Random random(1);
  const auto in = random_values<T>(random, 64);
  for (const int width : {32, 16, 8, 2}) {
    for (int by = 0; by < 32; by += 3) {
      std::vector<T> to(64);
      std::vector<T> up(64);
      std::vector<T> down(64);
      std::vector<T> across(64);
      run(64, [&] {
        const unsigned i = threadIdx.x;
        to[i] = __shfl_sync(kFullWarp, in[i], by, width);
        up[i] = __shfl_up_sync(kFullWarp, in[i], static_cast<unsigned>(by), width);
        down[i] = __shfl_down_sync(kFullWarp, in[i], static_cast<unsigned>(by), width);
        across[i] = __shfl_xor_sync(kFullWarp, in[i], by, width);
      });
      for (int i = 0; i < 64; ++i) {
        const int begin = i / width * width;
        const int at = i - begin;
        const auto value = [&](int j) { return in[static_cast<std::size_t>(j)]; };
        const auto n = static_cast<std::size_t>(i);
        EXPECT_EQ(to[n], value(begin + by % width));
        EXPECT_EQ(up[n], value(at >= by ? i - by : i));
        EXPECT_EQ(down[n], value(at + by < width ? i + by : i));
        const int other = i % 32 ^ by;
        EXPECT_EQ(across[n], value(other < begin % 32 + width ? i / 32 * 32 + other : i));
      }
    }
  }
}

TEST(Shim, ShufflesAreThoseOfPlainLoops) {
  in_all_orders([] {
    expect_shuffles<unsigned>();
    expect_shuffles<std::int64_t>();
  });
}

TEST(Shim, VotesAndReductionsAreThoseOfPlainLoops) {
  Random random(2);
  in_all_orders([&] {
    for (const unsigned mask : {kFullWarp, 0x0000FFFFU, 0xF0F0F0F0U, 1U}) {
      const auto in = random_values<int>(random, 32);
      struct Results {
        unsigned ballot, matches;
        int any, all, sum, least, most;
        unsigned unsigned_most;
      };
      std::vector<Results> got(32);
      run(32, [&] {
        const unsigned i = threadIdx.x;
        if ((mask >> i & 1U) == 0) return;
        Results& r = got[i];
        r.ballot = __ballot_sync(mask, in[i] & 1);
        r.any = __any_sync(mask, in[i] % 7 == 0);
        r.all = __all_sync(mask, in[i] % 16 != 0);
        r.sum = __reduce_add_sync(mask, in[i]);
        r.least = __reduce_min_sync(mask, in[i]);
        r.most = __reduce_max_sync(mask, in[i]);
        r.unsigned_most = __reduce_max_sync(mask, static_cast<unsigned>(in[i]));
        r.matches = __match_any_sync(mask, in[i] & 3);
      });
      Results want{};
      want.all = 1;
      want.least = std::numeric_limits<int>::max();
      want.most = std::numeric_limits<int>::min();
      unsigned sum = 0;
      for (unsigned i = 0; i < 32; ++i) {
        if ((mask >> i & 1U) == 0) continue;
        want.ballot |= static_cast<unsigned>(in[i] & 1) << i;
        want.any |= in[i] % 7 == 0 ? 1 : 0;
        want.all &= in[i] % 16 != 0 ? 1 : 0;
        sum += static_cast<unsigned>(in[i]);
        want.least = std::min(want.least, in[i]);
        want.most = std::max(want.most, in[i]);
        want.unsigned_most = std::max(want.unsigned_most, static_cast<unsigned>(in[i]));
      }
      for (unsigned i = 0; i < 32; ++i) {
        if ((mask >> i & 1U) == 0) continue;
        unsigned matches = 0;
        for (unsigned j = 0; j < 32; ++j) {
          if ((mask >> j & 1U) != 0 && (in[i] & 3) == (in[j] & 3)) matches |= 1U << j;
        }
        EXPECT_EQ(got[i].ballot, want.ballot);
        EXPECT_EQ(got[i].any, want.any);
        EXPECT_EQ(got[i].all, want.all);
        EXPECT_EQ(got[i].sum, static_cast<int>(sum));
        EXPECT_EQ(got[i].least, want.least);
        EXPECT_EQ(got[i].most, want.most);
        EXPECT_EQ(got[i].unsigned_most, want.unsigned_most);
        EXPECT_EQ(got[i].matches, matches);
      }
    }
  });
}

TEST(Shim, LanesThatLeftAreNotWaitedFor) {
  in_all_orders([] {
    std::vector<unsigned> votes(48);
    run(48, [&] {  // the last warp has 16 lanes
      if (threadIdx.x % 32 >= 24) return;
      __syncthreads();
      votes[threadIdx.x] = __ballot_sync(kFullWarp, 1);
    });
    EXPECT_EQ(votes[0], 0x00FFFFFFU);
    EXPECT_EQ(votes[32], 0x0000FFFFU);
  });
}

TEST(Shim, HalvesOfAWarpMayGoTheirOwnWays) {
  in_all_orders([] {
    std::vector<int> sums(32);
    run(32, [&] {
      const int i = static_cast<int>(threadIdx.x);
      int value = i;
      const unsigned mask = i < 16 ? 0x0000FFFFU : 0xFFFF0000U;
      if (i < 16) {
        for (int by = 8; by > 0; by /= 2) value += __shfl_xor_sync(0x0000FFFFU, value, by);
      } else {
        value = __reduce_add_sync(mask, 2 * value);
      }
      __syncwarp();
      sums[threadIdx.x] = value;
    });
    for (int i = 0; i < 16; ++i) EXPECT_EQ(sums[static_cast<std::size_t>(i)], 120);
    for (int i = 16; i < 32; ++i) EXPECT_EQ(sums[static_cast<std::size_t>(i)], 2 * (496 - 120));
  });
}

TEST(Shim, BarriersOfABlockCountItsVotes) {
  in_all_orders([] {
    std::vector<int> any(96);
    std::vector<int> all(96);
    std::vector<int> count(96);
    run(96, [&] {
      const unsigned i = threadIdx.x;
      any[i] = __syncthreads_or(i == 77);
      all[i] = __syncthreads_and(i != 77);
      count[i] = __syncthreads_count(i % 3 == 0);
    });
    EXPECT_EQ(any, std::vector<int>(96, 1));
    EXPECT_EQ(all, std::vector<int>(96, 0));
    EXPECT_EQ(count, std::vector<int>(96, 32));
  });
}

// Adds 128 numbers in shared memory by a tree; `barriers`: as it must be.
template <bool kBarriers>
__global__ void tree_sum(const int* in, int* out) {
  ESP_SHARED int part[128];
  part[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  for (unsigned half = 64; half > 0; half /= 2) {
    if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
    if constexpr (kBarriers) __syncthreads();
  }
  if (threadIdx.x == 0) *out = part[0];
}

TEST(Shim, AMissingBarrierGivesAWrongResultUnderSomeOrder) {
  std::vector<int> in(128);
  std::iota(in.begin(), in.end(), 0);
  const DeviceArray<int> from(in);
  const DeviceArray<int> to(1);
  int wrong = 0;
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    host_cuda::set_order_seed(seed);
    launch(tree_sum<true>, dim3(1), dim3(128), 0, nullptr, from.get(), to.get());
    EXPECT_EQ(to.read()[0], 127 * 64);
    launch(tree_sum<false>, dim3(1), dim3(128), 0, nullptr, from.get(), to.get());
    if (to.read()[0] != 127 * 64) ++wrong;
  }
  host_cuda::set_order_seed(0);
  EXPECT_GT(wrong, 0);
}

// One launch's failure, which is also CUDA's error.
void expect_failure(unsigned threads, const std::function<void()>& body,
                    const std::vector<std::string>& parts) {
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    host_cuda::set_order_seed(seed);
    const CollectedFailures failures;
    run(threads, body);
    EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
    ASSERT_EQ(failures.messages().size(), 1U);
    for (const std::string& part : parts) EXPECT_THAT(failures.messages()[0], HasSubstr(part));
  }
  host_cuda::set_order_seed(0);
  int ran = 0;  // and the shim goes on
  run(64, [&] {
    __syncthreads();
    ++ran;
  });
  EXPECT_EQ(ran, 64);
}

void one_barrier() { __syncthreads(); }
void another_barrier() { __syncthreads(); }

TEST(Shim, DivergentBarriersAreNamed) {
  expect_failure(
      64,
      [] {
        if (threadIdx.x < 32) one_barrier();
        if (threadIdx.x >= 32) another_barrier();
      },
      {"divergent barrier in block (0, 0, 0)",
       "threads 0 to 31 at __syncthreads (shim_test.cpp:", "threads 32 to 63 at __syncthreads"});
  expect_failure(64,
                 [] {
                   if (threadIdx.x == 5) __syncwarp();
                   __syncthreads();
                 },
                 {"thread 5 at __syncwarp", "threads 6 to 63 at __syncthreads"});
  expect_failure(
      32,
      [] {
        if (threadIdx.x != 3) static_cast<void>(__shfl_xor_sync(kFullWarp, 1, 1));
        if (threadIdx.x == 3) static_cast<void>(__ballot_sync(kFullWarp, 1));
      },
      {"thread 3 at __ballot_sync", "mask 0xffffffff", "threads 4 to 31 at __shfl_xor_sync"});
  expect_failure(32, [] { __syncwarp(threadIdx.x == 7 ? 1U : kFullWarp); },
                 {"leaves out the lane that calls it", "thread 7"});
}

template <int kCount>
void look_at_shared_memory(std::vector<unsigned>& seen) {
  ESP_SHARED unsigned words[kCount];
  ESP_SHARED __align__(16) unsigned char bytes[16];
  seen.push_back(words[kCount - 1]);
  words[kCount - 1] = 1;
  for (unsigned char* const byte : {&bytes[3], &dynamic_shared()[5]}) {
    seen.push_back(*byte);
    *byte = 1;
  }
}

TEST(Shim, SharedMemoryIsPoisonUntilItIsWritten) {
  std::vector<unsigned> seen;
  host_cuda::launch(dim3(2), dim3(1), 8, nullptr, [&] {
    look_at_shared_memory<4>(seen);
    look_at_shared_memory<7>(seen);
  });
  // Each instance has memory of its own; the next block finds it as the first did. The dynamic
  // block is one.
  const std::vector<unsigned> block = {~0U, 0xFF, 0xFF, ~0U, 0xFF, 1};
  std::vector<unsigned> want = block;
  want.insert(want.end(), block.begin(), block.end());
  EXPECT_EQ(seen, want);
}

TEST(Shim, WritingPastDynamicSharedMemoryIsFound) {
  const CollectedFailures failures;
  host_cuda::launch(dim3(1), dim3(1), 8, nullptr, [] { dynamic_shared()[8] = 0; });
  ASSERT_EQ(failures.messages().size(), 1U);
  EXPECT_THAT(failures.messages()[0], HasSubstr("past the end of dynamic shared memory"));
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
}

TEST(Shim, ShapesThatCudaRefusesAreRefused) {
  for (const auto& [grid, block] :
       {std::pair{dim3(0), dim3(1)}, std::pair{dim3(1), dim3(1025)},
        std::pair{dim3(1, 65536), dim3(1)}, std::pair{dim3(1), dim3(1, 1, 65)}}) {
    bool ran = false;
    host_cuda::launch(grid, block, 0, nullptr, [&] { ran = true; });
    EXPECT_FALSE(ran);
    EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  }
}

// Copies of two groups: what is waited for is there, in every order; what is not need not be.
TEST(Shim, CopiesAreThereOnceTheyAreWaitedFor) {
  std::vector<unsigned> in(64);
  std::iota(in.begin(), in.end(), 0U);
  const DeviceArray<unsigned> from(in);
  int late = 0;
  in_all_orders(
      [&] {
        std::vector<unsigned> got(8);
        unsigned early = 0;
        run(1, [&] {
          ESP_SHARED __align__(16) unsigned to[8];
          copy_async_16(to, from.get());
          copy_async_commit();
          copy_async_16(to + 4, from.get() + 4);
          copy_async_commit();
          copy_async_wait<1>();
          std::copy(to, to + 4, got.begin());
          early = to[7];
          copy_async_wait<0>();
          std::copy(to + 4, to + 8, got.begin() + 4);
        });
        EXPECT_EQ(got, std::vector<unsigned>(in.begin(), in.begin() + 8));
        if (early != 7) ++late;
      },
      8);
  EXPECT_GT(late, 0);
  EXPECT_LT(late, 8);
}

template <class T>
struct Matrix {
  Matrix(std::size_t row_count, std::size_t column_count)
      : columns(column_count), values(row_count * column_count) {}
  template <class F>
  void fill(F value) {
    for (T& it : values) it = static_cast<T>(value());
  }
  [[nodiscard]] T& at(std::size_t row, std::size_t column) {
    return values[row * columns + column];
  }

  std::size_t columns;
  std::vector<T> values;
};

// The 16 x 8 of c + a * b.
template <class T>
std::vector<T> naive_product(Matrix<T> a, Matrix<T> b, Matrix<T> c) {
  for (std::size_t row = 0; row < 16; ++row) {
    for (std::size_t column = 0; column < 8; ++column) {
      for (std::size_t i = 0; i < a.columns; ++i) {
        c.at(row, column) += a.at(row, i) * b.at(i, column);
      }
    }
  }
  return c.values;
}

// Fragments by the PTX ISA's formulas, element by element: element i of a lane's c.
template <class T>
T& element_of_c(Matrix<T>& c, std::size_t i) {
  const std::size_t group = threadIdx.x >> 2U;
  const std::size_t in_group = threadIdx.x % 4;
  return c.at(i < 2 ? group : group + 8, in_group * 2 + (i & 1U));
}

TEST(Shim, ProductsOfBytesAreExact) {
  Random random(3);
  in_all_orders([&] {
    for (int variant = 0; variant < 4; ++variant) {
      SCOPED_TRACE(variant);
      const bool is_unsigned = variant % 2 == 0;
      const std::size_t k = variant < 2 ? 32 : 16;
      Matrix<int> a(16, k);
      Matrix<int> b(k, 8);
      Matrix<int> c(16, 8);
      a.fill([&] { return static_cast<int>(random() % 256) - (is_unsigned ? 0 : 128); });
      b.fill([&] { return static_cast<int>(random() % 256) - 128; });
      const int start = static_cast<int>(random() % 2000) - 1000;
      c.fill([&] { return start; });
      const std::vector<int> want = naive_product(a, b, c);
      run(32, [&] {
        const std::size_t group = threadIdx.x >> 2U;
        const std::size_t in_group = threadIdx.x % 4;
        std::uint32_t a_words[4] = {};
        std::uint32_t b_words[2] = {};
        std::int32_t sums[4];
        for (std::size_t i = 0; i < k / 2; ++i) {
          const std::size_t row = i < 4 || (i >= 8 && i < 12) ? group : group + 8;
          const std::size_t column = in_group * 4 + (i & 3U) + (i < 8 ? 0 : 16);
          a_words[i / 4] |= (static_cast<std::uint32_t>(a.at(row, column)) & 0xFFU) << 8 * (i % 4);
        }
        for (std::size_t i = 0; i < k / 4; ++i) {
          const std::size_t row = in_group * 4 + (i & 3U) + (i < 4 ? 0 : 16);
          b_words[i / 4] |= (static_cast<std::uint32_t>(b.at(row, group)) & 0xFFU) << 8 * (i % 4);
        }
        const std::uint32_t half[2] = {a_words[0], a_words[1]};
        switch (variant) {
          case 0:
            mma_16x8x32_u8(sums, a_words, b_words, start);
            break;
          case 1:
            mma_16x8x32_s8(sums, a_words, b_words, start);
            break;
          case 2:
            mma_16x8x16_u8(sums, half, b_words[0], start);
            break;
          default:
            mma_16x8x16_s8(sums, half, b_words[0], start);
        }
        for (std::size_t i = 0; i < 4; ++i) element_of_c(c, i) = sums[i];
      });
      EXPECT_EQ(c.values, want);
    }
  });
}

TEST(Shim, SmallIntegerFunctions) {
  Random random(5);
  for (int round = 0; round < 1000; ++round) {
    const auto x = static_cast<unsigned>(random());
    const auto y = static_cast<unsigned>(random());
    const auto selector = static_cast<unsigned>(random());
    const std::uint8_t bytes[8] = {
        static_cast<std::uint8_t>(x),       static_cast<std::uint8_t>(x >> 8),
        static_cast<std::uint8_t>(x >> 16), static_cast<std::uint8_t>(x >> 24),
        static_cast<std::uint8_t>(y),       static_cast<std::uint8_t>(y >> 8),
        static_cast<std::uint8_t>(y >> 16), static_cast<std::uint8_t>(y >> 24)};
    unsigned permuted = 0;
    int signed_dot = 17;
    unsigned dot = 17;
    unsigned reversed = 0;
    for (unsigned i = 0; i < 4; ++i) {
      permuted |= static_cast<unsigned>(bytes[selector >> 4 * i & 7U]) << 8 * i;
      signed_dot += static_cast<std::int8_t>(bytes[i]) * static_cast<std::int8_t>(bytes[4 + i]);
      dot += static_cast<unsigned>(bytes[i]) * bytes[4 + i];
    }
    for (unsigned i = 0; i < 32; ++i) reversed = reversed << 1U | (x >> i & 1U);
    EXPECT_EQ(__byte_perm(x, y, selector & 0x7777U), permuted);
    EXPECT_EQ(__dp4a(static_cast<int>(x), static_cast<int>(y), 17), signed_dot);
    EXPECT_EQ(__dp4a(x, y, 17U), dot);
    EXPECT_EQ(__brev(x), reversed);
  }
  EXPECT_EQ(__ffs(0), 0);
  EXPECT_EQ(__ffs(8), 4);
  EXPECT_EQ(__clz(1), 31);
  EXPECT_EQ(__popcll(~0ULL), 64);
  EXPECT_EQ(__float2int_rn(2.5F), 2);
  EXPECT_EQ(__float2int_rn(-3.5F), -4);
  EXPECT_EQ(__float2int_rn(std::nanf("")), 0);
  EXPECT_EQ(__float2int_rn(1e20F), std::numeric_limits<int>::max());
}

TEST(Shim, NumbersOf16BitsAreThoseOfTheModel) {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = half_to_float(half);
    if (std::isnan(value)) {
      EXPECT_TRUE((bits & 0x7C00U) == 0x7C00U && (bits & 0x3FFU) != 0);
    } else {
      EXPECT_EQ(std::bit_cast<unsigned>(value),
                std::bit_cast<unsigned>(runtime::half_to_float(half)));
      EXPECT_EQ(float_to_half(value), half);
    }
    EXPECT_EQ(__float_as_uint(bfloat16_to_float(half)), bits << 16);
  }
  Random random(6);
  for (int i = 0; i < 1'000'000; ++i) {
    const float value = std::bit_cast<float>(static_cast<unsigned>(random()));
    if (std::isnan(value)) continue;
    ASSERT_EQ(float_to_half(value), runtime::float_to_half(value)) << value;
  }
}

TEST(Shim, AtomicsReturnWhatWasThere) {
  in_all_orders([] {
    unsigned count = 0;
    unsigned long long most = 0;
    int winner = -1;
    std::vector<int> tickets(100);
    run(100, [&] {
      ++tickets[atomicAdd(&count, 1U)];
      atomicMax(&most, 1000ULL * threadIdx.x);
      if (atomicCAS(&winner, -1, static_cast<int>(threadIdx.x)) == -1) {
        EXPECT_EQ(winner, static_cast<int>(threadIdx.x));
      }
    });
    EXPECT_EQ(tickets, std::vector<int>(100, 1));
    EXPECT_EQ(most, 99'000ULL);
    EXPECT_GE(winner, 0);
  });
}

}  // namespace
}  // namespace espalier::runtime::cuda
