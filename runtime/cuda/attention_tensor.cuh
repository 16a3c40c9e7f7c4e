// A thread block's work in attention of prompts on tensor cores (numerics `tensor`): an item of at
// most 64 queries that leaves no parts, and a KV head.
//
// Queries are rounded to the pages' 16 bits; scores, the running maximum, sum and values are fp32;
// weights are rounded to 16 bits before they multiply V. A warp has 16 queries, and all warps pass
// 64 positions at a time, which copies have brought to shared memory while the 64 before them were
// computed. Scores never leave registers: as a lane holds what a product gives, so it holds what
// the next one takes.
//
// In shared memory the pieces of 16 bytes of a page lie in an order in which eight that are loaded
// at once have different banks: of K the two of a dimension change places in every other four, of
// a token of V a piece is moved by the token's number.
//
// A position that a query does not see has the score -infinity. What lies in a position that no row
// of the item sees may be NaN, which a weight of 0 does not hide: its V becomes 0.
#pragma once

#include "runtime/cuda/attention_kernels.h"
#include "runtime/cuda/math.cuh"
#include "runtime/cuda/numbers.cuh"
#include "runtime/cuda/ptx.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda::attention {

template <KvType kType, unsigned kWidth>
class TensorAttend {
 public:
  static constexpr unsigned kWarps = 4;
  static constexpr unsigned kThreads = kWarps * kWarp;
  static constexpr unsigned kWarpQueries = 16;
  static_assert(kWarps * kWarpQueries == kMostTileQueries);
  static constexpr unsigned kPages = 4;  // at a time
  static constexpr unsigned kPositions = kPages * kPagePositions;
  static constexpr unsigned kTileHalves = kWidth * kPagePositions;
  static constexpr unsigned kStageHalves = 2 * kPages * kTileHalves;
  static constexpr std::size_t kSharedBytes = 2 * kStageHalves * sizeof(std::uint16_t);

  __device__ TensorAttend(const AttentionCall& call, const AttentionHeader& header,
                          const AttentionItem& item)
      : call_(call),
        item_(item),
        rows_(reinterpret_cast<const AttentionRow*>(call.plan + header.rows_at) + item.row_begin),
        pages_(reinterpret_cast<const std::uint32_t*>(call.plan + header.pages_at)),
        end_page_((item.end + kPagePositions - 1) / kPagePositions),
        lane_(threadIdx.x % kWarp) {
    stages_ = reinterpret_cast<std::uint16_t*>(dynamic_shared());
    const std::size_t heads = call.pool.kv_heads;
    page_halves_ = call.pool.layers * 2 * heads * kTileHalves;
    values_after_ = heads * kTileHalves;
    keys_ =
        call.pool.pages + (call.layer * 2 * heads + blockIdx.y % call.pool.kv_heads) * kTileHalves;
  }

  __device__ void run() {
    unsigned page = item_.first / kPagePositions;
    fetch(page, stages_);
    for (std::uint32_t i = 0; i < item_.rows; ++i) {
      all_from_ = max(all_from_, rows_[i].first);
      all_to_ = min(all_to_, rows_[i].end);
    }
    load_queries();
    for (unsigned stage = 0; page < end_page_; page += kPages, stage ^= 1U) {
      copy_async_wait<0>();
      __syncthreads();  // everybody's copies are there, and the other stage has been read
      fetch(page + kPages, stages_ + (stage ^ 1U) * kStageHalves);
      pass(page * kPagePositions, stages_ + stage * kStageHalves);
    }
    store();
  }

 private:
  // Starts the copies of the pages from `page` on that there are.
  __device__ void fetch(unsigned page, std::uint16_t* stage) const {
    constexpr unsigned kPieces = kTileHalves / 8;  // of a tile
    constexpr unsigned kTokenPieces = kWidth / 8;
    for (unsigned i = threadIdx.x; i < kPages * 2 * kPieces; i += kThreads) {
      const unsigned tile = i / kPieces;  // K and V of the first page, of the next, ...
      const unsigned piece = i % kPieces;
      if (page + tile / 2 >= end_page_) break;
      const bool is_key = tile % 2 == 0;
      const std::uint16_t* from = keys_ + pages_[item_.pages + page + tile / 2] * page_halves_ +
                                  (is_key ? 0 : values_after_);
      const unsigned row = is_key ? piece / 2 : piece / kTokenPieces;
      const unsigned to = is_key ? key_at(row, piece % 2) : value_at(row, piece % kTokenPieces);
      copy_async_16(stage + tile * kTileHalves + to, from + piece * 8);
    }
    copy_async_commit();
  }
  // Where a piece lies in its tile: tokens 8 * half.. of a dimension, or dimensions 8 * piece.. of
  // a token.
  __device__ static unsigned key_at(unsigned dimension, unsigned half) {
    return dimension * kPagePositions + (half ^ (dimension / 4 % 2)) * 8;
  }
  __device__ static unsigned value_at(unsigned token, unsigned piece) {
    return token * kWidth + (piece ^ (token % 8)) * 8;
  }

  __device__ static std::uint32_t sixteen(float value) {
    return kType == KvType::kF16 ? activation_to_half(value) : float_to_bfloat16(value);
  }
  __device__ static std::uint32_t pair(float a, float b) { return sixteen(a) | sixteen(b) << 16; }
  __device__ static void multiply(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                  std::uint32_t b1) {
    if constexpr (kType == KvType::kF16) {
      mma_16x8x16_f16(c, a, b0, b1);
    } else {
      mma_16x8x16_bf16(c, a, b0, b1);
    }
  }

  // The lane's two queries: rows g and g + 8 of its warp's sixteen.
  struct Query {
    std::uint32_t row;  // of the item's
    std::uint32_t head;
    bool is;
  };
  __device__ Query query(unsigned i) const {
    const std::uint32_t group = call_.heads / call_.pool.kv_heads;
    const std::uint32_t of_part = part_heads(group);
    const unsigned q = threadIdx.x / kWarp * kWarpQueries + lane_ / 4 + 8 * i;
    const std::uint32_t of_group = blockIdx.y / call_.pool.kv_heads * of_part + q % of_part;
    return {q / of_part, blockIdx.y % call_.pool.kv_heads * group + of_group,
            q / of_part < item_.rows && of_group < group};
  }

  __device__ void load_queries() {
#pragma unroll
    for (unsigned i = 0; i < 2; ++i) {
      const Query it = query(i);
      const AttentionRow row = rows_[min(it.row, item_.rows - 1)];
      first_[i] = it.is ? row.first : 0;
      end_[i] = it.is ? row.end : 0;
      const float* from = call_.queries + row.query * call_.query_stride +
                          (it.is ? it.head : 0) * kWidth + 2 * (lane_ % 4);
#pragma unroll
      for (unsigned k = 0; k < kWidth / 16; ++k) {
#pragma unroll
        for (unsigned half = 0; half < 2; ++half) {
          const float* two = from + 16 * k + 8 * half;
          queries_[k][2 * half + i] = pair(two[0] * call_.scale, two[1] * call_.scale);
        }
      }
    }
  }

  // The positions from `begin` on, which lie in `stage`.
  __device__ void pass(unsigned begin, std::uint16_t* stage) {
    const bool all_seen = begin >= all_from_ && begin + kPositions <= all_to_;
    if (!all_seen) {
      clear_unseen(begin, stage);
      __syncthreads();
    }
    const unsigned matrix = lane_ / 8;
    const unsigned of_matrix = matrix % 2 * 8 + lane_ % 8;
    float scores[2 * kPages][4];
#pragma unroll
    for (unsigned j = 0; j < 2 * kPages; ++j) {
#pragma unroll
      for (float& it : scores[j]) it = 0.0F;
    }
#pragma unroll
    for (unsigned k = 0; k < kWidth / 16; ++k) {
#pragma unroll
      for (unsigned p = 0; p < kPages; ++p) {
        std::uint32_t b[4];
        load_matrices_transposed(
            b, stage + 2 * p * kTileHalves + key_at(16 * k + of_matrix, matrix / 2));
        multiply(scores[2 * p], queries_[k], b[0], b[1]);
        multiply(scores[2 * p + 1], queries_[k], b[2], b[3]);
      }
    }
    if (!all_seen) hide_unseen(begin, scores);
    weigh(scores);
#pragma unroll
    for (unsigned p = 0; p < kPages; ++p) {
      const float(&left)[4] = scores[2 * p];
      const float(&right)[4] = scores[2 * p + 1];
      const std::uint32_t weights[4] = {pair(left[0], left[1]), pair(left[2], left[3]),
                                        pair(right[0], right[1]), pair(right[2], right[3])};
#pragma unroll
      for (unsigned n = 0; n < kWidth / 16; ++n) {
        std::uint32_t b[4];
        load_matrices_transposed(
            b, stage + (2 * p + 1) * kTileHalves + value_at(of_matrix, 2 * n + matrix / 2));
        multiply(out_[2 * n], weights, b[0], b[1]);
        multiply(out_[2 * n + 1], weights, b[2], b[3]);
      }
    }
  }

  __device__ void clear_unseen(unsigned begin, std::uint16_t* stage) const {
    static_assert(kPositions <= kThreads);
    if (threadIdx.x >= kPositions) return;
    const unsigned position = begin + threadIdx.x;
    bool seen = false;
    for (std::uint32_t i = 0; i < item_.rows; ++i) {
      seen = seen || (position >= rows_[i].first && position < rows_[i].end);
    }
    if (seen) return;
    std::uint16_t* const token = stage + (2 * (threadIdx.x / kPagePositions) + 1) * kTileHalves +
                                 threadIdx.x % kPagePositions * kWidth;
    for (unsigned i = 0; i < kWidth; i += 8) {
      *reinterpret_cast<uint4*>(token + i) = make_uint4(0, 0, 0, 0);
    }
  }

  // Which positions of a product a lane has: 8j + 2t and the next one, of each of its queries.
  __device__ void hide_unseen(unsigned begin, float (&scores)[2 * kPages][4]) const {
#pragma unroll
    for (unsigned j = 0; j < 2 * kPages; ++j) {
#pragma unroll
      for (unsigned i = 0; i < 4; ++i) {
        const unsigned position = begin + 8 * j + 2 * (lane_ % 4) + i % 2;
        const bool seen = position >= first_[i / 2] && position < end_[i / 2];
        scores[j][i] = seen ? scores[j][i] : -kInfinity;
      }
    }
  }

  // Makes weights of scores, and carries what there is so far over to the new maximum.
  __device__ void weigh(float (&scores)[2 * kPages][4]) {
#pragma unroll
    for (unsigned i = 0; i < 2; ++i) {
      float top = top_[i];
#pragma unroll
      for (unsigned j = 0; j < 2 * kPages; ++j) {
        top = fmaxf(top, fmaxf(scores[j][2 * i], scores[j][2 * i + 1]));
      }
      top = fmaxf(top, __shfl_xor_sync(kFullWarp, top, 1));
      top = fmaxf(top, __shfl_xor_sync(kFullWarp, top, 2));
      const float shift = top == -kInfinity ? 0.0F : top;  // nothing is seen yet
      const float kept = exponential(top_[i] - shift);
      top_[i] = top;
      sum_[i] = sum_[i] * kept;
#pragma unroll
      for (unsigned j = 0; j < 2 * kPages; ++j) {
#pragma unroll
        for (unsigned c = 2 * i; c < 2 * i + 2; ++c) {
          scores[j][c] = exponential(scores[j][c] - shift);
          sum_[i] = sum_[i] + scores[j][c];
        }
      }
#pragma unroll
      for (unsigned n = 0; n < kWidth / 8; ++n) {
        out_[n][2 * i] = out_[n][2 * i] * kept;
        out_[n][2 * i + 1] = out_[n][2 * i + 1] * kept;
      }
    }
  }

  __device__ void store() {
#pragma unroll
    for (unsigned i = 0; i < 2; ++i) {
      float sum = sum_[i] + __shfl_xor_sync(kFullWarp, sum_[i], 1);
      sum = sum + __shfl_xor_sync(kFullWarp, sum, 2);
      const Query it = query(i);
      if (!it.is) continue;
      const float inverse = 1.0F / sum;
      float* const to =
          call_.out + rows_[it.row].out * call_.out_stride + it.head * kWidth + 2 * (lane_ % 4);
#pragma unroll
      for (unsigned n = 0; n < kWidth / 8; ++n) {
        *reinterpret_cast<float2*>(to + 8 * n) =
            make_float2(out_[n][2 * i] * inverse, out_[n][2 * i + 1] * inverse);
      }
    }
  }

  static constexpr float kInfinity = __builtin_inff();

  const AttentionCall& call_;
  const AttentionItem item_;
  const AttentionRow* rows_;
  const std::uint32_t* pages_;  // from item_.pages on (modulo 2^32) by position / 16
  const unsigned end_page_;
  const unsigned lane_;
  std::uint16_t* stages_;      // [stage][page] K, V
  const std::uint16_t* keys_;  // of page 0, this layer and head
  std::size_t page_halves_, values_after_;
  // Positions that all rows of the item see.
  std::uint32_t all_from_ = 0, all_to_ = 0xFFFFFFFFU;
  // Of the lane's two queries.
  std::uint32_t first_[2], end_[2];
  float top_[2] = {-kInfinity, -kInfinity};
  float sum_[2] = {};  // of the lane's positions
  std::uint32_t queries_[kWidth / 16][4];
  float out_[kWidth / 8][4] = {};
};

}  // namespace espalier::runtime::cuda::attention
