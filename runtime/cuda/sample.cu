// One thread block a choice. It passes over the row twice, in segments of 128 tokens, a warp each:
//
//   1. the best allowed token, and how many are allowed before each segment (their ranks);
//   2. exp(logit - best) of the allowed, packed by rank into shared memory, tile after tile of 16
//      segments. Meanwhile a warp of its own adds up the tile before, in the contract's 16 lanes
//      (rank mod 16, in rising order): that chain of additions, 4 cycles for 16 tokens, is the
//      longest part where nearly all tokens are allowed, so it waits for nothing else.
//
// A draw wants cumulative sums in double in the order of ids. Here they are taken by segments, then
// within the one where the draw falls. That differs from the host's sums by less than `margin`, so
// a draw that is farther than it from both borders of its token is the host's draw too.
#include "runtime/cuda/sample.h"

#include <cfloat>
#include <cmath>

#include "runtime/cuda/chain.cuh"
#include "runtime/cuda/math.cuh"
#include "runtime/cuda/ptx.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda {
namespace {

constexpr unsigned kScanWarps = 16;
constexpr unsigned kWarps = kScanWarps + 1;  // the last one adds up
constexpr unsigned kThreads = kWarps * kWarp;
constexpr unsigned kLaneTokens = 4;
constexpr unsigned kSegment = kWarp * kLaneTokens;
constexpr unsigned kTile = kScanWarps * kSegment;
constexpr unsigned kTogether = 4;  // segments whose logits a warp asks for at once
constexpr std::uint32_t kNone = 0xFFFFFFFFU;

// What dynamic shared memory holds, for tiles * kScanWarps segments.
struct Shared {
  float* packed;        // two tiles
  double* sums;         // of each segment's weights
  std::uint32_t* rank;  // of each segment's first token, and the count of all

  __device__ explicit Shared(std::uint32_t segments)
      : packed(reinterpret_cast<float*>(dynamic_shared())),
        sums(reinterpret_cast<double*>(packed + std::size_t{2} * kTile)),
        rank(reinterpret_cast<std::uint32_t*>(sums + segments)) {}
};

std::size_t shared_bytes(std::uint32_t segments) {
  return sizeof(float) * 2 * kTile + (sizeof(double) + sizeof(std::uint32_t)) * segments +
         sizeof(std::uint32_t);
}

struct Best {
  float logit;
  std::uint32_t token;

  // Ties go to the lowest id. A NaN is never better.
  __device__ void take(float other, std::uint32_t other_token) {
    if (other > logit || (other == logit && other_token < token)) {
      logit = other;
      token = other_token;
    }
  }
};

// A row's logits and mask as a warp reads them.
struct Row {
  const float* logits;
  const std::uint32_t* mask;
  std::uint32_t mask_words;
  std::uint32_t vocabulary;

  // Bit i: whether token + i is allowed, i < 4; token is a multiple of 4.
  __device__ unsigned allowed(std::uint32_t token) const {
    if (token >= vocabulary) return 0;
    unsigned bits = 0xFU;
    if (mask != nullptr) {
      bits = token / 32 < mask_words ? mask[token / 32] >> token % 32 & 0xFU : 0U;
    }
    const std::uint32_t left = vocabulary - token;
    return left < kLaneTokens ? bits & ((1U << left) - 1U) : bits;
  }
  __device__ float4 four(std::uint32_t token, unsigned bits) const {
    if (bits == 0) return make_float4(0, 0, 0, 0);
    return *reinterpret_cast<const float4*>(logits + token);
  }
};

// Of a segment, from each lane's bits: how many are allowed, and how many in the lanes before.
struct Counted {
  std::uint32_t all = 0;
  std::uint32_t before = 0;

  __device__ Counted(unsigned bits, unsigned lane) {
    const unsigned lower = (1U << lane) - 1U;
#pragma unroll
    for (unsigned i = 0; i < kLaneTokens; ++i) {
      const unsigned votes = __ballot_sync(kFullWarp, static_cast<int>(bits >> i & 1U));
      all += static_cast<std::uint32_t>(__popc(votes));
      before += static_cast<std::uint32_t>(__popc(votes & lower));
    }
  }
};

// The sum of the values of the threads before this one, and of all. All threads must call.
template <class T>
__device__ inline T sum_before(T value, T& total) {
  ESP_SHARED T of_warp[kWarps];
  const unsigned lane = threadIdx.x % kWarp;
  const unsigned warp = threadIdx.x / kWarp;
  T sum = value;
#pragma unroll
  for (unsigned by = 1; by < kWarp; by *= 2) {
    const T other = __shfl_up_sync(kFullWarp, sum, by);
    if (lane >= by) sum = other + sum;
  }
  T before = __shfl_up_sync(kFullWarp, sum, 1);
  if (lane == 0) before = 0;
  if (lane == kWarp - 1) of_warp[warp] = sum;
  __syncthreads();
  T warps_before = 0;
  T all = 0;
  for (unsigned w = 0; w < kWarps; ++w) {
    if (w == warp) warps_before = all;
    all += of_warp[w];
  }
  __syncthreads();
  total = all;
  return warps_before + before;
}

// Pass 1. Leaves the ranks in shared memory; how many are allowed.
__device__ inline Best find_best(const Row& row, std::uint32_t segments, const Shared& shared,
                                 std::uint32_t& count) {
  ESP_SHARED Best of_warp[kScanWarps];
  const unsigned lane = threadIdx.x % kWarp;
  const unsigned warp = threadIdx.x / kWarp;
  if (warp < kScanWarps) {
    Best best{-INFINITY, kNone};
    // kTogether * kScanWarps segments at a time; segments is a multiple of kScanWarps.
    for (std::uint32_t start = warp; start < segments; start += kTogether * kScanWarps) {
      unsigned bits[kTogether];
      float4 four[kTogether];
#pragma unroll
      for (unsigned i = 0; i < kTogether; ++i) {
        const std::uint32_t token = (start + i * kScanWarps) * kSegment + lane * kLaneTokens;
        bits[i] = row.allowed(token);
        four[i] = row.four(token, bits[i]);
      }
#pragma unroll
      for (unsigned i = 0; i < kTogether; ++i) {
        const std::uint32_t segment = start + i * kScanWarps;
        const std::uint32_t token = segment * kSegment + lane * kLaneTokens;
        if ((bits[i] & 1U) != 0) best.take(four[i].x, token);
        if ((bits[i] & 2U) != 0) best.take(four[i].y, token + 1);
        if ((bits[i] & 4U) != 0) best.take(four[i].z, token + 2);
        if ((bits[i] & 8U) != 0) best.take(four[i].w, token + 3);
        const Counted counted(bits[i], lane);
        if (lane == 0 && segment < segments) shared.rank[segment] = counted.all;
      }
    }
#pragma unroll
    for (int by = 16; by > 0; by /= 2) {
      const float logit = __shfl_xor_sync(kFullWarp, best.logit, by);
      best.take(logit, __shfl_xor_sync(kFullWarp, best.token, by));
    }
    if (lane == 0) of_warp[warp] = best;
  }
  __syncthreads();
  Best best = of_warp[0];
  for (unsigned w = 1; w < kScanWarps; ++w) best.take(of_warp[w].logit, of_warp[w].token);

  // Counts to ranks: each thread has some segments in a row.
  const std::uint32_t share = (segments + kThreads - 1) / kThreads;
  const std::uint32_t first = min(threadIdx.x * share, segments);
  const std::uint32_t last = min(first + share, segments);
  std::uint32_t mine = 0;
  for (std::uint32_t s = first; s < last; ++s) mine += shared.rank[s];
  std::uint32_t rank = sum_before(mine, count);
  for (std::uint32_t s = first; s < last; ++s) {
    const std::uint32_t of_segment = shared.rank[s];
    shared.rank[s] = rank;
    rank += of_segment;
  }
  if (threadIdx.x == 0) shared.rank[segments] = count;
  __syncthreads();
  return best;
}

// exp((logit - top) * factor): what a draw weighs a token with.
__device__ inline float weigh(float logit, float top, float factor) {
  return exponential((logit - top) * factor);
}

// A lane's weights in a segment, 0 where a token is not allowed.
__device__ inline void weights_of(float4 four, unsigned bits, float top, float factor,
                                  float (&weights)[kLaneTokens]) {
  weights[0] = (bits & 1U) != 0 ? weigh(four.x, top, factor) : 0.0F;
  weights[1] = (bits & 2U) != 0 ? weigh(four.y, top, factor) : 0.0F;
  weights[2] = (bits & 4U) != 0 ? weigh(four.z, top, factor) : 0.0F;
  weights[3] = (bits & 8U) != 0 ? weigh(four.w, top, factor) : 0.0F;
}

__device__ inline double sum_of(const float (&weights)[kLaneTokens]) {
  return ((static_cast<double>(weights[0]) + static_cast<double>(weights[1])) +
          static_cast<double>(weights[2])) +
         static_cast<double>(weights[3]);
}

// A warp's segment of pass 2: its exponentials, packed, and the sum of its tempered weights.
__device__ inline void weigh_segment(const Row& row, std::uint32_t segment, const Shared& shared,
                                     float top, float temperature, float factor) {
  const unsigned lane = threadIdx.x % kWarp;
  const std::uint32_t rank = shared.rank[segment];
  if (shared.rank[segment + 1] == rank) {
    if (lane == 0) shared.sums[segment] = 0;
    return;
  }
  const std::uint32_t token = segment * kSegment + lane * kLaneTokens;
  const unsigned bits = row.allowed(token);
  const float4 four = row.four(token, bits);
  float weights[kLaneTokens];
  weights_of(four, bits, top, 1.0F, weights);
  const std::uint32_t tile = segment / kScanWarps;
  float* to = shared.packed + tile % 2 * kTile + (rank - shared.rank[tile * kScanWarps]) +
              Counted(bits, lane).before;
#pragma unroll
  for (unsigned i = 0; i < kLaneTokens; ++i) {
    if ((bits >> i & 1U) != 0) *to++ = weights[i];
  }
  if (temperature <= 0.0F) return;
  if (temperature != 1.0F) weights_of(four, bits, top, factor, weights);
  double sum = sum_of(weights);
#pragma unroll
  for (int by = 1; by < static_cast<int>(kWarp); by *= 2) {
    sum += __shfl_xor_sync(kFullWarp, sum, by);
  }
  if (lane == 0) shared.sums[segment] = sum;
}

// Pass 2: the sum of exp(logit - top) as the contract has it, in all lanes of the last warp.
__device__ inline float add_up(const Row& row, std::uint32_t segments, const Shared& shared,
                               float top, float temperature, float factor) {
  const unsigned warp = threadIdx.x / kWarp;
  const unsigned lane = threadIdx.x % kSumLanes;  // the warp's halves do the same
  const std::uint32_t tiles = segments / kScanWarps;
  float sum = 0.0F;
  for (std::uint32_t tile = 0; tile <= tiles; ++tile) {
    if (warp < kScanWarps) {
      if (tile < tiles) {
        weigh_segment(row, tile * kScanWarps + warp, shared, top, temperature, factor);
      }
    } else if (tile > 0) {
      const std::uint32_t begin = shared.rank[(tile - 1) * kScanWarps];
      const std::uint32_t count = shared.rank[tile * kScanWarps] - begin;
      const float* packed = shared.packed + (tile - 1) % 2 * kTile;
      for_lane(packed, (lane - begin) % kSumLanes, count, [&sum](float e) { sum += e; });
    }
    __syncthreads();
  }
  return tree_sum(sum);
}

// The token where the cumulative weights pass uniform * their sum, in threads of warp 0; kNone
// where that is too close to tell.
__device__ inline std::uint32_t draw(const Row& row, std::uint32_t segments, const Shared& shared,
                                     std::uint32_t count, float top, float factor, double uniform) {
  ESP_SHARED std::uint32_t winner;  // the first thread in whose segments the draw falls
  ESP_SHARED std::uint32_t segment;
  ESP_SHARED double sum_before_segment;
  if (threadIdx.x == 0) {
    winner = kNone;
    segment = kNone;
  }
  const std::uint32_t share = (segments + kThreads - 1) / kThreads;
  const std::uint32_t first = min(threadIdx.x * share, segments);
  const std::uint32_t last = min(first + share, segments);
  double mine = 0;
  for (std::uint32_t s = first; s < last; ++s) mine += shared.sums[s];
  double total = 0;
  double before = sum_before(mine, total);  // its barriers also stand behind the two above
  const double target = uniform * total;
  // The host's sums are off by less than count * 2^-53 of the total, and so is its target; these
  // sums by less than 100 of them.
  const double margin = total * (4.0 * count + 512.0) * 0x1p-53;
  if (before <= target && target < before + mine) atomicMin(&winner, threadIdx.x);
  __syncthreads();
  if (threadIdx.x == winner) {
    for (std::uint32_t s = first; s < last; ++s) {
      if (before + shared.sums[s] > target) {
        segment = s;
        sum_before_segment = before;
        break;
      }
      before += shared.sums[s];
    }
  }
  __syncthreads();
  if (threadIdx.x >= kWarp || segment == kNone) return kNone;

  const unsigned lane = threadIdx.x;
  const std::uint32_t token = segment * kSegment + lane * kLaneTokens;
  const unsigned bits = row.allowed(token);
  float weights[kLaneTokens];
  weights_of(row.four(token, bits), bits, top, factor, weights);
  double sum = sum_of(weights);
#pragma unroll
  for (unsigned by = 1; by < kWarp; by *= 2) {
    const double other = __shfl_up_sync(kFullWarp, sum, by);
    if (lane >= by) sum = other + sum;
  }
  const double lanes_before = __shfl_up_sync(kFullWarp, sum, 1);
  double reached = sum_before_segment + (lane == 0 ? 0.0 : lanes_before);
  std::uint32_t chosen = kNone;
  bool clear = false;
#pragma unroll
  for (unsigned i = 0; i < kLaneTokens; ++i) {
    const double next = reached + static_cast<double>(weights[i]);
    if (chosen == kNone && next > target) {
      chosen = token + i;
      clear = (reached == 0 || target - reached >= margin) && next - target > margin;
    }
    reached = next;
  }
  if (!clear) chosen = kNone;
  const unsigned found = __ballot_sync(kFullWarp, static_cast<int>(reached > target));
  if (found == 0) return kNone;
  return __shfl_sync(kFullWarp, chosen, __ffs(static_cast<int>(found)) - 1);
}

__global__ void __launch_bounds__(kThreads)
    sample_rows(const SampleRow* rows, const float* logits, std::size_t stride,
                std::uint32_t vocabulary, std::uint32_t segments, SampleResult* results) {
  let_next_start();
  wait_for_inputs();
  ESP_SHARED float shared_total;
  const SampleRow wanted = rows[blockIdx.x];
  const Row row{logits + wanted.logits_row * stride, wanted.mask, wanted.mask_words, vocabulary};
  const Shared shared(segments);
  std::uint32_t count = 0;
  const Best best = find_best(row, segments, shared, count);
  if (count == 0 || !(fabsf(best.logit) < INFINITY)) {
    if (threadIdx.x == 0) {
      results[blockIdx.x] = {count == 0 ? SampleState::kNothingAllowed : SampleState::kNotFinite,
                             -1, 0.0F};
    }
    return;
  }
  const float factor = fminf(1.0F / wanted.temperature, FLT_MAX);  // as the host's: never infinite
  const float total = add_up(row, segments, shared, best.logit, wanted.temperature, factor);
  if (threadIdx.x == kThreads - 1) shared_total = total;
  std::uint32_t token = best.token;
  if (wanted.temperature > 0.0F) {
    token = draw(row, segments, shared, count, best.logit, factor, wanted.uniform);
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  SampleResult result;
  if (!(shared_total < INFINITY)) {
    result.state = SampleState::kNotFinite;
  } else if (token == kNone) {
    result.state = SampleState::kTooClose;
  } else {
    result.token = static_cast<std::int32_t>(token);
    result.probability = weigh(row.logits[token], best.logit, 1.0F) / shared_total;
  }
  results[blockIdx.x] = result;
}

}  // namespace

void sample(cudaStream_t stream, std::uint32_t rows, const SampleRow* row, const float* logits,
            std::size_t stride, std::uint32_t vocabulary, SampleResult* results) {
  if (rows == 0) return;
  const std::uint32_t segments = (vocabulary + kTile - 1) / kTile * kScanWarps;
  launch(sample_rows, dim3(rows), dim3(kThreads), shared_bytes(segments), stream, row, logits,
         stride, vocabulary, segments, results);
}

}  // namespace espalier::runtime::cuda
