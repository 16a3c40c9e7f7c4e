// A warp takes a segment of the vocabulary (numerics contract 10): it reads the segment's logits
// into shared memory, once, and leaves their maximum and the sums of their exponentials. So a
// row has as many blocks as its segments need, and each logit is read from memory once. The block
// that comes last folds the row's segments in order, and for a draw looks through the one segment
// where it falls.
#include "runtime/cuda/sample.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "runtime/cpu/choice_order.h"
#include "runtime/cuda/math.cuh"
#include "runtime/cuda/ptx.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda {
namespace {

constexpr unsigned kWarps = 4;
constexpr unsigned kThreads = kWarps * kWarp;
constexpr std::uint32_t kSegment = kChoiceSegment;
constexpr unsigned kSegmentWords = kSegment / 32;
// A lane has four tokens of each round: as many of the contract's lanes.
constexpr unsigned kRounds = kSegment / kChoiceLanes;
constexpr std::uint32_t kNone = 0xFFFFFFFFU;
static_assert(kChoiceLanes == 4 * kWarp && kSegmentWords == 2 * kWarp);
static_assert(kSegment == kThreads * kChoiceRun, "a draw has a thread a run");
constexpr unsigned kParts = kSegment / kChoicePart;
constexpr unsigned kPartRuns = kChoicePart / kChoiceRun;

// What is known of a segment.
struct alignas(16) Found {
  float top;            // the best logit
  float sum;            // of exp(logit - top)
  float weight;         // the same at the row's temperature
  std::uint32_t token;  // that has the best logit; kNone: none is allowed
};

// A row's part of the scratch memory; its segments follow.
struct alignas(16) RowScratch {
  std::uint32_t arrived;  // blocks
};

__host__ __device__ inline std::size_t row_scratch_bytes(std::uint32_t segments) {
  return sizeof(RowScratch) + segments * sizeof(Found);
}

// What dynamic shared memory holds of a row's segments, in place of logits.
struct Shared {
  Found* found;
  double* reached;  // the draw's weights up to each segment, and with it

  __device__ explicit Shared(std::uint32_t segments)
      : found(reinterpret_cast<Found*>(dynamic_shared())),
        reached(reinterpret_cast<double*>(found + segments)) {}
};

std::size_t shared_bytes(std::uint32_t segments) {
  const std::size_t of_logits = kWarps * kSegment * sizeof(float);
  return std::max(of_logits, segments * (sizeof(Found) + sizeof(double)));
}

// A row's logits and mask.
struct Row {
  const float* logits;
  const std::uint32_t* mask;
  std::uint32_t mask_words;
  std::uint32_t vocabulary;

  // Bit i: whether token 32 * word + i is allowed.
  __device__ std::uint32_t allowed(std::uint32_t word) const {
    const std::uint32_t token = word * 32;
    if (token >= vocabulary) return 0;
    std::uint32_t bits = ~0U;
    if (mask != nullptr) bits = word < mask_words ? mask[word] : 0;
    const std::uint32_t left = vocabulary - token;
    return left < 32 ? bits & ((1U << left) - 1U) : bits;
  }
};

// Four logits of which a bit each says whether it counts: -infinity where not.
__device__ inline float4 masked(float4 logits, unsigned bits) {
  if ((bits & 1U) == 0) logits.x = -INFINITY;
  if ((bits & 2U) == 0) logits.y = -INFINITY;
  if ((bits & 4U) == 0) logits.z = -INFINITY;
  if ((bits & 8U) == 0) logits.w = -INFINITY;
  return logits;
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
  __device__ void take_warps() {
#pragma unroll
    for (int by = 16; by > 0; by /= 2) {
      const float other = __shfl_xor_sync(kFullWarp, logit, by);
      take(other, __shfl_xor_sync(kFullWarp, token, by));
    }
  }
};

// What exponentials of a segment are taken from: 0 where its best logit is -infinity.
__device__ inline float shift_of(float top) { return top == -INFINITY ? 0.0F : top; }

// A segment in a warp's shared memory, and in it the four tokens a round that a lane has. A lane
// reads and writes nobody else's.
class Segment {
 public:
  __device__ explicit Segment(float4* warps_memory) : mine_(warps_memory + threadIdx.x % kWarp) {}

  // Of the tokens from `first` on, those of the words of the mask that the warp's lanes have: the
  // segment's first 32 and its last.
  __device__ void read(const float* logits, std::uint32_t first, std::uint32_t low,
                       std::uint32_t high) {
    const unsigned lane = threadIdx.x % kWarp;
    const float4* from = reinterpret_cast<const float4*>(logits + first) + lane;
    all_ = __all_sync(kFullWarp, (low & high) == ~0U) != 0;
    if (all_) {
#pragma unroll
      for (unsigned i = 0; i < kRounds; ++i) copy_async_16(mine_ + i * kWarp, from + i * kWarp);
    } else {
#pragma unroll
      for (unsigned i = 0; i < kRounds; ++i) {
        const std::uint32_t words = i < kRounds / 2 ? low : high;
        const std::uint32_t word =
            __shfl_sync(kFullWarp, words, static_cast<int>(i * 4 % kWarp + lane / 8));
        const std::uint64_t bits = word >> lane % 8 * 4 & 0xFU;
        bits_ |= bits << 4 * i;
        if (bits != 0) {
          copy_async_16(mine_ + i * kWarp, from + i * kWarp);
        } else {
          mine_[i * kWarp] = make_float4(-INFINITY, -INFINITY, -INFINITY, -INFINITY);
        }
      }
    }
    copy_async_commit();
  }
  // Waits for them. -infinity where there is none; a NaN is never better.
  __device__ float best() {
    copy_async_wait<0>();
    float top = -INFINITY;
#pragma unroll 4
    for (unsigned i = 0; i < kRounds; ++i) {
      float4 four = mine_[i * kWarp];
      if (!all_) {
        four = masked(four, static_cast<unsigned>(bits_ >> 4 * i));
        mine_[i * kWarp] = four;
      }
      top = fmaxf(fmaxf(top, four.x), fmaxf(four.y, fmaxf(four.z, four.w)));
    }
#pragma unroll
    for (int by = 16; by > 0; by /= 2) top = fmaxf(top, __shfl_xor_sync(kFullWarp, top, by));
    return top;
  }
  // The sum of exp((logit - shift) * factor), or without the factor.
  template <bool kTempered>
  __device__ float add_up(float shift, float factor) const {
    const auto weigh = [shift, factor](float logit) {
      return exponential_to_one(kTempered ? (logit - shift) * factor : logit - shift);
    };
    float4 sum = make_float4(0.0F, 0.0F, 0.0F, 0.0F);
#pragma unroll 2
    for (unsigned i = 0; i < kRounds; ++i) {
      const float4 four = mine_[i * kWarp];
      sum.x += weigh(four.x);
      sum.y += weigh(four.y);
      sum.z += weigh(four.z);
      sum.w += weigh(four.w);
    }
#pragma unroll
    for (int by = 16; by > 0; by /= 2) {
      sum.x += __shfl_xor_sync(kFullWarp, sum.x, by);
      sum.y += __shfl_xor_sync(kFullWarp, sum.y, by);
      sum.z += __shfl_xor_sync(kFullWarp, sum.z, by);
      sum.w += __shfl_xor_sync(kFullWarp, sum.w, by);
    }
    return (sum.x + sum.z) + (sum.y + sum.w);
  }
  // The first token, counted from the segment's, whose logit is `top`; kNone.
  __device__ std::uint32_t first_of(float top) const {
    std::uint32_t token = kNone;
#pragma unroll 4
    for (unsigned i = kRounds; i-- > 0;) {
      const float4 four = mine_[i * kWarp];
      const std::uint32_t at = (i * kWarp + threadIdx.x % kWarp) * 4;
      if (four.w == top) token = at + 3;
      if (four.z == top) token = at + 2;
      if (four.y == top) token = at + 1;
      if (four.x == top) token = at;
    }
    return __reduce_min_sync(kFullWarp, token);
  }

 private:
  float4* mine_;
  std::uint64_t bits_ = 0;
  bool all_ = false;
};

// What a warp finds of a segment.
__device__ inline Found look_through(const Row& row, std::uint32_t segment, float temperature,
                                     float factor) {
  const unsigned lane = threadIdx.x % kWarp;
  const std::uint32_t low = row.allowed(segment * kSegmentWords + lane);
  const std::uint32_t high = row.allowed(segment * kSegmentWords + kWarp + lane);
  if (__any_sync(kFullWarp, (low | high) != 0) == 0) return {-INFINITY, 0.0F, 0.0F, kNone};
  const std::uint32_t first = segment * kSegment;
  Segment tokens(reinterpret_cast<float4*>(dynamic_shared()) +
                 threadIdx.x / kWarp * (kSegment / 4));
  tokens.read(row.logits, first, low, high);
  const float top = tokens.best();
  const float shift = shift_of(top);
  Found found{top, tokens.add_up<false>(shift, 1.0F), 0.0F, first};
  if (temperature > 0.0F) {
    found.weight = factor == 1.0F ? found.sum : tokens.add_up<true>(shift, factor);
  } else {
    const std::uint32_t token = tokens.first_of(top);
    if (token != kNone) found.token += token;  // else there are only NaN, and nobody asks
  }
  return found;
}

// Where a target falls among weights that are added up in turn, from `before` on: the first at
// which their sum passes it, else the last that weighs anything. Leaves the sum up to there.
template <unsigned kCount, class WeightOf>
__device__ inline unsigned fall(double& before, double target, WeightOf weight_of) {
  unsigned at = 0;
  double sum = before;
  bool passed = false;
#pragma unroll
  for (unsigned i = 0; i < kCount; ++i) {
    const double weight = weight_of(i);
    if (passed || weight == 0) continue;
    at = i;
    before = sum;
    sum += weight;
    passed = sum > target;
  }
  return at;
}

// The token of a segment at which `share` of the segment's weight is passed. All threads must call.
__device__ inline std::uint32_t draw_within(const Row& row, std::uint32_t segment, float top,
                                            float factor, double share) {
  ESP_SHARED double runs[kThreads];
  ESP_SHARED double parts[kParts];
  ESP_SHARED double target;
  ESP_SHARED double reached;
  ESP_SHARED unsigned winner;
  ESP_SHARED std::uint32_t chosen;
  const float shift = shift_of(top);
  const std::uint32_t first =
      segment * kSegment + threadIdx.x * static_cast<std::uint32_t>(kChoiceRun);
  const unsigned bits = row.allowed(first / 32) >> first % 32 & 0xFFFFU;
  float weights[kChoiceRun];
  double sum = 0;
#pragma unroll
  for (unsigned i = 0; i < kChoiceRun; i += 4) {
    float4 four = make_float4(0.0F, 0.0F, 0.0F, 0.0F);
    if ((bits >> i & 0xFU) != 0) four = *reinterpret_cast<const float4*>(row.logits + first + i);
    four = masked(four, bits >> i);
    weights[i] = exponential_to_one((four.x - shift) * factor);
    weights[i + 1] = exponential_to_one((four.y - shift) * factor);
    weights[i + 2] = exponential_to_one((four.z - shift) * factor);
    weights[i + 3] = exponential_to_one((four.w - shift) * factor);
#pragma unroll
    for (unsigned k = i; k < i + 4; ++k) sum += static_cast<double>(weights[k]);
  }
  runs[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x < kParts) {
    double part = 0;
#pragma unroll
    for (unsigned i = 0; i < kPartRuns; ++i) part += runs[threadIdx.x * kPartRuns + i];
    parts[threadIdx.x] = part;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    double total = 0;
#pragma unroll
    for (unsigned i = 0; i < kParts; ++i) total += parts[i];
    target = share * total;
    double before = 0;
    const unsigned part = fall<kParts>(before, target, [&](unsigned i) { return parts[i]; });
    winner = part * kPartRuns + fall<kPartRuns>(before, target, [&](unsigned i) {
               return runs[part * kPartRuns + i];
             });
    reached = before;
  }
  __syncthreads();
  if (threadIdx.x == winner) {
    double before = reached;
    chosen = first + fall<kChoiceRun>(before, target,
                                      [&](unsigned i) { return static_cast<double>(weights[i]); });
  }
  __syncthreads();
  return chosen;
}

// The token where the row's weights pass uniform * their sum. All threads must call, after
// `shared` is filled. A number below 1 times the sum is below the sum, so there is one.
__device__ inline std::uint32_t draw(const Row& row, std::uint32_t segments, const Shared& shared,
                                     float top, float factor, double uniform) {
  ESP_SHARED std::uint32_t segment;
  if (threadIdx.x == 0) segment = segments - 1;
  __syncthreads();
  const double target = uniform * shared.reached[segments - 1];
  for (std::uint32_t s = threadIdx.x; s < segments; s += kThreads) {
    if (shared.reached[s] > target) {
      atomicMin(&segment, s);
      break;
    }
  }
  __syncthreads();
  const Found found = shared.found[segment];
  const double before = segment > 0 ? shared.reached[segment - 1] : 0.0;
  const double weight = static_cast<double>(found.weight) *
                        static_cast<double>(exponential_to_one((found.top - top) * factor));
  return draw_within(row, segment, found.top, factor, (target - before) / weight);
}

// Of a row whose segments were all looked through. All threads must call; thread 0 has the result.
__device__ inline SampleResult choose(const Row& row, const SampleRow& wanted,
                                      const Found* all_found, std::uint32_t segments,
                                      float factor) {
  ESP_SHARED Best of_warp[kWarps];
  ESP_SHARED float total;
  const Shared shared(segments);
  Best best{-INFINITY, kNone};
  for (std::uint32_t s = threadIdx.x; s < segments; s += kThreads) {
    // Past the nearest cache, which may hold what lay there before other blocks wrote.
    const float4 words = __ldcg(reinterpret_cast<const float4*>(all_found + s));
    const Found found{words.x, words.y, words.z, __float_as_uint(words.w)};
    best.take(found.top, found.token);
    shared.found[s] = found;
  }
  best.take_warps();
  if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = best;
  __syncthreads();
#pragma unroll
  for (unsigned w = 0; w < kWarps; ++w) best.take(of_warp[w].logit, of_warp[w].token);
  if (best.token == kNone) return {SampleState::kNothingAllowed, -1, 0.0F};
  if (!(fabsf(best.logit) < INFINITY)) return {SampleState::kNotFinite, -1, 0.0F};

  for (std::uint32_t s = threadIdx.x; s < segments; s += kThreads) {
    Found& found = shared.found[s];
    const float below = found.top - best.logit;
    found.sum *= exponential_to_one(below);
    shared.reached[s] =
        static_cast<double>(found.weight) * static_cast<double>(exponential_to_one(below * factor));
  }
  __syncthreads();
  // Two chains side by side.
  if (threadIdx.x == 0) {
    float sum = 0.0F;
#pragma unroll 8
    for (std::uint32_t s = 0; s < segments; ++s) sum += shared.found[s].sum;
    total = sum;
  } else if (threadIdx.x == kWarp && wanted.temperature > 0.0F) {
    double sum = 0.0;
#pragma unroll 8
    for (std::uint32_t s = 0; s < segments; ++s) {
      sum += shared.reached[s];
      shared.reached[s] = sum;
    }
  }
  __syncthreads();
  if (!(total < INFINITY)) return {SampleState::kNotFinite, -1, 0.0F};
  const std::uint32_t token = wanted.temperature > 0.0F
                                  ? draw(row, segments, shared, best.logit, factor, wanted.uniform)
                                  : best.token;
  SampleResult result{SampleState::kChosen, static_cast<std::int32_t>(token), 0.0F};
  if (threadIdx.x == 0) {
    result.probability = exponential_to_one(row.logits[token] - best.logit) / total;
  }
  return result;
}

// `blocks` take a row, one behind the other, so that rows end one after the other too.
__global__ void __launch_bounds__(kThreads)
    sample_rows(const SampleRow* rows, const float* logits, std::size_t stride,
                std::uint32_t vocabulary, std::uint32_t segments, std::uint32_t blocks,
                unsigned char* scratch, SampleResult* results) {
  let_next_start();
  wait_for_inputs();
  ESP_SHARED bool last;
  const std::uint32_t at = blockIdx.x / blocks;
  const SampleRow wanted = rows[at];
  const Row row{logits + wanted.logits_row * stride, wanted.mask, wanted.mask_words, vocabulary};
  const float factor = fminf(1.0F / wanted.temperature, FLT_MAX);  // as the host's: never infinite
  auto* mine = reinterpret_cast<RowScratch*>(scratch + at * row_scratch_bytes(segments));
  auto* all_found = reinterpret_cast<Found*>(mine + 1);

  const std::uint32_t segment = blockIdx.x % blocks * kWarps + threadIdx.x / kWarp;
  if (segment < segments) {
    const Found found = look_through(row, segment, wanted.temperature, factor);
    if (threadIdx.x % kWarp == 0) all_found[segment] = found;
  }
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(&mine->arrived, 1U) + 1 == blocks;
    if (last) mine->arrived = 0;
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  const SampleResult result = choose(row, wanted, all_found, segments, factor);
  if (threadIdx.x == 0) results[at] = result;
}

std::uint32_t segments_of(std::uint32_t vocabulary) {
  return (vocabulary + kSegment - 1) / kSegment;
}

}  // namespace

std::size_t sample_scratch_bytes(std::uint32_t rows, std::uint32_t vocabulary) {
  return rows * row_scratch_bytes(segments_of(vocabulary));
}

void sample(cudaStream_t stream, std::uint32_t rows, const SampleRow* row, const float* logits,
            std::size_t stride, std::uint32_t vocabulary, void* scratch, SampleResult* results) {
  if (rows == 0) return;
  const std::uint32_t segments = segments_of(vocabulary);
  const std::uint32_t blocks = (segments + kWarps - 1) / kWarps;
  launch(sample_rows, dim3(rows * blocks), dim3(kThreads), shared_bytes(segments), stream, row,
         logits, stride, vocabulary, segments, blocks, static_cast<unsigned char*>(scratch),
         results);
}

}  // namespace espalier::runtime::cuda
