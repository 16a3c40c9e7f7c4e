// A thread block's work in attention: an item and a KV head (attention_kernels.h).
//
// It has groups of queries; a group's threads, one to four warps ("slices"), hold kHeld
// queries each in registers, so that a K or V value that is read from shared memory serves as many
// products. A segment passes in two phases through a ring of stages that copies fill ahead of the
// arithmetic, the next segment's first chunks during the last of this one:
//
// - scores: chunks are 16 or 32 dimensions of all the segment's pages, so that every score is one
//   chain over the dimensions and stays in registers; a thread has neighbouring tokens of a page.
//   Where K are codes, the queries are made codes, too, a chunk is a block, and the chain is one
//   over the blocks' sums, which are exact;
// - values: chunks are whole pages; a thread has columns of the head, one chain over the tokens.
//
// Between them stand the weights exp(score - maximum), in shared memory, in the place where the
// queries were. A token that a query does not see has the weight -1 and is left out of its chain:
// what lies there may be NaN.
#pragma once

#include "runtime/cuda/attention_fold.cuh"
#include "runtime/cuda/attention_kernels.h"
#include "runtime/cuda/attention_shape.cuh"
#include "runtime/cuda/math.cuh"
#include "runtime/cuda/ptx.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda::attention {

template <class S>
class Attend {
  using Tile = typename S::Tile;

 public:
  /// `head_part`, of `head_parts`: a KV head, or a part of its group. `thread`: of the block, the
  /// caller's. `shared`: shared_bytes<S>().
  __device__ Attend(const AttentionCall& call, const AttentionHeader& header,
                    const AttentionItem& item, unsigned head_part, unsigned head_parts,
                    unsigned thread, unsigned char* shared)
      : call_(call),
        item_(item),
        given_(item),
        rows_(reinterpret_cast<const AttentionRow*>(call.plan + header.rows_at) + item.row_begin),
        pages_(reinterpret_cast<const std::uint32_t*>(call.plan + header.pages_at)),
        counters_(reinterpret_cast<std::uint32_t*>(call.plan + header.counters_at)),
        width_(call.pool.width),
        group_heads_(call.heads / call.pool.kv_heads),
        head_part_(head_part),
        head_parts_(head_parts),
        kv_head_(head_part % call.pool.kv_heads),
        part_(head_part / call.pool.kv_heads),
        thread_(thread),
        warp_(thread_ / kWarp),
        lane_(thread_ % kWarp),
        group_(thread_ / S::kGroupThreads),
        in_group_(thread_ % S::kGroupThreads),
        fetch_segment_(item.segment) {
    page_halves_ = std::size_t{call.pool.layers} * 2 * call.pool.kv_heads * tile_halves();
    keys_ = call.pool.pages +
            (std::size_t{call.layer} * 2 * call.pool.kv_heads + kv_head_) * tile_halves();
    block_weights_ = reinterpret_cast<float*>(shared);
    stages_ = reinterpret_cast<std::uint16_t*>(block_weights_ + S::kGroups * S::kGroupFloats);
    notes_ = reinterpret_cast<Notes<S>*>(stages_ + S::kStages * S::kStageHalves);
    weights_ = block_weights_ + group_ * S::kGroupFloats;
  }

  __device__ void run() {
    // Asked for before the first copies, which wait for page numbers, and needed after.
    const AttentionRow row = rows_[min(query(min(thread_, S::kQueries - 1)).row, item_.rows - 1)];
    for (unsigned i = 0; i + 1 < S::kStages; ++i) fetch(i);
    for (unsigned s = item_.segment; s < item_.segment + item_.segments; ++s) {
      set_segment(s, row);
      // Lanes beyond the pages have nothing to do: with few pages a thread takes fewer tokens.
      constexpr unsigned kMost = kSegmentPositions / S::kGroupThreads;
      const unsigned positions = page_count_ * kPagePositions;
      if (positions > kMost / 2 * S::kGroupThreads) {
        weigh<kMost>();
      } else if (kMost < 4 || positions > kMost / 4 * S::kGroupThreads) {
        weigh<kMost / 2>();
      } else {
        weigh<(kMost < 4 ? 1 : kMost / 4)>();
      }
      mix(s);
      __syncthreads();  // the next queries go where weights were, and notes change
    }
    if (given_.parts) fold_rows();
  }

 private:
  struct Range {  // pages [begin, begin + count) of the context
    unsigned begin, count;
  };
  __device__ Range pages_of(unsigned segment) const {
    const unsigned before = segment * kSegmentPositions;
    const unsigned begin = max(item_.first, before) / kPagePositions;
    const unsigned end =
        (min(item_.end, before + kSegmentPositions) + kPagePositions - 1) / kPagePositions;
    return {begin, end - begin};
  }
  __device__ unsigned tile_halves() const { return Tile::key_halves(width_); }
  __device__ unsigned key_chunks() const { return (width_ + S::kChunk - 1) / S::kChunk; }
  __device__ unsigned pages_of_chunk() const {
    return min(S::kStageHalves / tile_halves(), kSegmentPages);
  }
  __device__ const std::uint16_t* keys(unsigned page) const {
    return keys_ + pages_[item_.pages + page] * page_halves_;
  }

  // Starts the copies of the next chunk, if there is one, into a stage.
  __device__ void fetch(unsigned stage) {
    if (fetch_segment_ < item_.segment + item_.segments) {
      std::uint16_t* to = stages_ + stage * S::kStageHalves;
      const Range pages = pages_of(fetch_segment_);
      if (fetch_chunk_ < key_chunks()) {
        const unsigned dimension = fetch_chunk_ * S::kChunk;
        const unsigned pieces = Tile::key_halves(min(width_ - dimension, S::kChunk)) / kPiece;
        for (unsigned p = warp_; p < pages.count; p += S::kWarps) {
          const std::uint16_t* from = keys(pages.begin + p) + Tile::key_halves(dimension);
          for (unsigned i = lane_; i < pieces; i += kWarp) {
            copy_async_16(to + p * S::kKeyHalves + i * kPiece, from + i * kPiece);
          }
        }
        ++fetch_chunk_;
      } else {
        const unsigned first = (fetch_chunk_ - key_chunks()) * pages_of_chunk();
        const unsigned count = min(pages.count - first, pages_of_chunk());
        const unsigned pieces = tile_halves() / kPiece;
        const std::size_t values = std::size_t{call_.pool.kv_heads} * tile_halves();
        unsigned page = 0;
        for (unsigned piece = thread_;; piece += S::kThreads) {
          for (; piece >= pieces; piece -= pieces) ++page;
          if (page >= count) break;
          copy_async_16(to + (page * pieces + piece) * kPiece,
                        keys(pages.begin + first + page) + values + piece * kPiece);
        }
        ++fetch_chunk_;
        if (first + count == pages.count) {
          fetch_chunk_ = 0;
          ++fetch_segment_;
        }
      }
    }
    copy_async_commit();
  }

  // Waits for the next chunk, for all threads, and starts the copies of a later one where the chunk
  // before it was.
  __device__ const std::uint16_t* next_chunk() {
    copy_async_wait<S::kStages - 2>();
    __syncthreads();
    const unsigned stage = stage_;
    stage_ = stage + 1 == S::kStages ? 0 : stage + 1;
    fetch(stage == 0 ? S::kStages - 1 : stage - 1);
    return stages_ + stage * S::kStageHalves;
  }

  __device__ bool has_queries() const { return group_ * S::kHeld < item_.rows * heads_of_part(); }
  __device__ unsigned heads_of_part() const { return part_heads(group_heads_); }
  struct Query {
    unsigned row;   // of the item's
    unsigned head;  // of all
    bool is;
  };
  __device__ Query query(unsigned q) const {
    const unsigned of_part = heads_of_part();
    const unsigned row = q / of_part;
    const unsigned of_group = part_ * of_part + q % of_part;
    return {row, kv_head_ * group_heads_ + of_group, row < item_.rows && of_group < group_heads_};
  }

  // Notes what each query sees of the segment, and loads the scaled queries.
  __device__ void set_segment(unsigned segment, const AttentionRow& row) {
    const Range pages = pages_of(segment);
    page_count_ = pages.count;
    static_assert(S::kQueries <= S::kThreads);
    if (const unsigned q = thread_; q < S::kQueries) {
      const Query it = query(q);
      const float* from = nullptr;
      unsigned first = 0;
      unsigned end = 0;
      if (it.is) {
        // Positions count from the first page that is read.
        const unsigned before = pages.begin * kPagePositions;
        const unsigned positions = pages.count * kPagePositions;
        first = row.first > before ? row.first - before : 0;
        end = row.end > before ? min(row.end - before, positions) : 0;
        if (first < end) {
          from = call_.queries + row.query * call_.query_stride + it.head * width_;
        } else {
          first = end = 0;
        }
      }
      notes_->query[q] = from;
      notes_->first[q] = first;
      notes_->end[q] = end;
    }
    __syncthreads();
    if constexpr (S::kType == KvType::kQ8) {
      load_coded_queries();
    } else {
      load_queries();
    }
  }

  __device__ void load_queries() {
    // A warp takes 4 queries x 8 dimensions: whole sectors of memory, few conflicts of banks.
    for (unsigned i = warp_; i < (width_ + 7) / 8 * (S::kQueries / 4); i += S::kWarps) {
      const unsigned q = i % (S::kQueries / 4) * 4 + lane_ / 8;
      const unsigned d = i / (S::kQueries / 4) * 8 + lane_ % 8;
      const float* from = notes_->query[q];
      if (from != nullptr && d < width_) {
        float* to = block_weights_ + q / S::kHeld * S::kGroupFloats;
        to[d * S::kHeld + q % S::kHeld] = from[d] * call_.scale;
      }
    }
  }

  // Of a group: [four dimensions][query] codes, [block][query] scales. A warp takes a block of a
  // query.
  __device__ void load_coded_queries() {
    const unsigned blocks = (width_ + kBlock - 1) / kBlock;
    for (unsigned i = warp_; i < blocks * S::kQueries; i += S::kWarps) {
      const unsigned q = i % S::kQueries;
      const unsigned block = i / S::kQueries;
      const unsigned d = block * kBlock + lane_;
      const float* from = notes_->query[q];
      if (from == nullptr) continue;
      const float x = hadamard(d < width_ ? from[d] * call_.scale : 0.0F);
      const LaneCode code = code_of_lane(x * (1.0F / kBlock));
      float* to = block_weights_ + q / S::kHeld * S::kGroupFloats + q % S::kHeld;
      auto* codes = reinterpret_cast<unsigned char*>(to + d / 4 * S::kHeld);
      codes[d % 4] = static_cast<unsigned char>(code.bits);
      if (lane_ == 0) to[(kQueryScalesAt + block) * S::kHeld] = code.scale;
    }
  }

  // What dimensions [begin, begin + count) of a chunk give to the scores of the thread's tokens.
  template <unsigned kTokens>
  __device__ void score(const std::uint16_t* chunk, unsigned begin, unsigned count,
                        float (&scores)[S::kHeld][kTokens]) const {
    const unsigned token = in_group_ * kTokens;
    const std::uint16_t* key =
        chunk + token / kPagePositions * S::kKeyHalves + token % kPagePositions;
    const float* query = weights_ + begin * S::kHeld;
#pragma unroll 8
    for (unsigned d = 0; d < count; ++d) {
      float k[kTokens];
      Tile::load(key + d * kPagePositions, k);
      float values[S::kHeld];
      load_floats<S::kHeld>(query + d * S::kHeld, values);
#pragma unroll
      for (unsigned q = 0; q < S::kHeld; ++q) {
#pragma unroll
        for (unsigned t = 0; t < kTokens; ++t) scores[q][t] = fmaf(k[t], values[q], scores[q][t]);
      }
    }
  }

  // What a block of codes gives to them. Sums of few queries at a time leave registers for scores.
  template <unsigned kTokens>
  __device__ void score_codes(const std::uint16_t* chunk, unsigned block,
                              float (&scores)[S::kHeld][kTokens]) const {
    constexpr unsigned kMost = 16 / kTokens;
    constexpr unsigned kTogether = S::kHeld < kMost ? S::kHeld : kMost;
    const unsigned token = in_group_ * kTokens;
    const std::uint16_t* page = chunk + token / kPagePositions * S::kKeyHalves;
    const auto* keys = reinterpret_cast<const std::uint32_t*>(page) + token % kPagePositions;
    const std::uint16_t* steps = page + Tile::kScalesAt + token % kPagePositions;
#pragma unroll
    for (unsigned first = 0; first < S::kHeld; first += kTogether) {
      const float* query = weights_ + block * (kBlock / 4) * S::kHeld + first;
      std::int32_t sums[kTogether][kTokens];
#pragma unroll
      for (unsigned q = 0; q < kTogether; ++q) {
#pragma unroll
        for (unsigned t = 0; t < kTokens; ++t) sums[q][t] = kFloatBits;
      }
#pragma unroll(kTokens == 8 ? 1 : 2)
      for (unsigned four = 0; four < kBlock / 4; ++four) {
        std::uint32_t k[kTokens];
        load_words<kTokens>(k, keys + four * kPagePositions);
        std::uint32_t codes[kTogether];
        load_words<kTogether>(codes, query + four * S::kHeld);
#pragma unroll
        for (unsigned t = 0; t < kTokens; ++t) {
          const auto four_codes = static_cast<std::int32_t>(k[t] ^ Tile::kFlip);
#pragma unroll
          for (unsigned q = 0; q < kTogether; ++q) {
            sums[q][t] = __dp4a(four_codes, static_cast<std::int32_t>(codes[q]), sums[q][t]);
          }
        }
      }
#pragma unroll
      for (unsigned q = 0; q < kTogether; ++q) {
        const float scale = weights_[(kQueryScalesAt + block) * S::kHeld + first + q];
#pragma unroll
        for (unsigned t = 0; t < kTokens; ++t) {
          const float sum = __int_as_float(sums[q][t]) - kFloatOffset;
          scores[first + q][t] = fmaf(sum, half_to_float(steps[t]) * scale, scores[first + q][t]);
        }
      }
    }
  }

  // Scores of the segment, then their weights, which are there for others after the next chunk's
  // barrier. A thread has kTokens neighbours.
  template <unsigned kTokens>
  __device__ void weigh() {
    const unsigned token = in_group_ * kTokens;
    const unsigned page = token / kPagePositions;
    // Whole warps without pages stay away; lanes without one compute what nobody reads.
    const bool works =
        has_queries() && (in_group_ - lane_) * kTokens / kPagePositions < page_count_;
    float scores[S::kHeld][kTokens];
#pragma unroll
    for (unsigned q = 0; q < S::kHeld; ++q) {
#pragma unroll
      for (unsigned t = 0; t < kTokens; ++t) scores[q][t] = 0.0F;
    }
    for (unsigned begin = 0; begin < width_; begin += S::kChunk) {
      const std::uint16_t* chunk = next_chunk();
      if (!works) continue;
      if constexpr (S::kType == KvType::kQ8) {
        score_codes<kTokens>(chunk, begin / kBlock, scores);
      } else {
        score<kTokens>(chunk, begin, min(width_ - begin, S::kChunk), scores);
      }
    }

    float tops[S::kHeld];
#pragma unroll
    for (unsigned q = 0; q < S::kHeld; ++q) {
      const unsigned first = notes_->first[group_ * S::kHeld + q];
      const unsigned end = notes_->end[group_ * S::kHeld + q];
      tops[q] = -kInfinity;
#pragma unroll
      for (unsigned t = 0; t < kTokens; ++t) {
        const bool seen = token + t >= first && token + t < end;
        tops[q] = seen ? fmaxf(tops[q], scores[q][t]) : tops[q];
      }
#pragma unroll
      for (unsigned mask = kWarp / 2; mask > 0; mask /= 2) {
        tops[q] = fmaxf(tops[q], __shfl_xor_sync(kFullWarp, tops[q], mask));
      }
    }
    const unsigned slice = warp_ % S::kSlices;
#pragma unroll
    for (unsigned q = 0; q < S::kHeld; ++q) {
      if (lane_ == q) notes_->slice_tops[slice][group_ * S::kHeld + q] = tops[q];
    }
    if constexpr (S::kSlices > 1) {
      __syncthreads();
#pragma unroll
      for (unsigned q = 0; q < S::kHeld; ++q) {
        tops[q] = notes_->slice_tops[0][group_ * S::kHeld + q];
#pragma unroll
        for (unsigned i = 1; i < S::kSlices; ++i) {
          tops[q] = fmaxf(tops[q], notes_->slice_tops[i][group_ * S::kHeld + q]);
        }
      }
    } else {
      __syncwarp();  // other lanes have read the queries, whose place the weights take
    }

    if (works && page < page_count_) {
#pragma unroll
      for (unsigned q = 0; q < S::kHeld; ++q) {
        const unsigned first = notes_->first[group_ * S::kHeld + q];
        const unsigned end = notes_->end[group_ * S::kHeld + q];
#pragma unroll
        for (unsigned t = 0; t < kTokens; ++t) {
          const bool seen = token + t >= first && token + t < end;
          // The difference is chosen first: a choice after is a branch round the exponential.
          const float weight = exponential(seen ? scores[q][t] - tops[q] : 0.0F);
          scores[q][t] = seen ? weight : kUnseen;
        }
      }
#pragma unroll
      for (unsigned t = 0; t < kTokens; ++t) {
        float* to = weights_ + 4 * (token + t + (token + t) / 8);
#pragma unroll
        for (unsigned q = 0; q < S::kHeld; q += 4) {
          *reinterpret_cast<float4*>(to + q / 4 * kPlaneFloats) =
              make_float4(scores[q][t], scores[q + 1][t], scores[q + 2][t], scores[q + 3][t]);
        }
      }
    }
  }

  // The sums of weights, and what becomes of the segment's values. The last warps come first: of
  // narrow heads they have no columns.
  __device__ void add_up(unsigned segment) {
#pragma unroll
    for (unsigned i = 0; i < (S::kHeld * kSumLanes + S::kGroupThreads - 1) / S::kGroupThreads;
         ++i) {
      const unsigned chain = (i * S::kSlices + S::kSlices - 1 - warp_ % S::kSlices) * kWarp + lane_;
      const unsigned held = chain / kSumLanes;
      const unsigned lane = chain % kSumLanes;
      if (held >= S::kHeld) break;  // whole warps
      float sum = 0.0F;
      const float* from = weights_ + held / 4 * kPlaneFloats + 4 * (lane + lane / 8) + held % 4;
      const unsigned q = group_ * S::kHeld + held;
      const bool is = notes_->query[q] != nullptr;
      if (is) {
        for (unsigned page = 0; page < page_count_; ++page) {
          const float weight = from[page * kUnitsOfPage * 4];
          sum = weight < 0.0F ? sum : sum + weight;
        }
      }
#pragma unroll
      for (unsigned mask = kSumLanes / 2; mask > 0; mask /= 2) {
        sum = sum + __shfl_xor_sync(kFullWarp, sum, mask);
      }
      if (is && lane == 0) note_sum(segment, q, sum);
    }
  }

  __device__ void note_sum(unsigned segment, unsigned q, float sum) {
    float top = notes_->slice_tops[0][q];
#pragma unroll
    for (unsigned i = 1; i < S::kSlices; ++i) top = fmaxf(top, notes_->slice_tops[i][q]);
    const Query it = query(q);
    const AttentionRow row = rows_[it.row];
    if (row.part != kNoPart) {
      const unsigned part = row.part + segment - row.first / kSegmentPositions;
      float* to = call_.parts + (std::size_t{part} * call_.heads + it.head) * part_floats(width_);
      to[0] = top;
      to[1] = sum;
      notes_->out[q] = to + 4;
      notes_->merges[q] = false;
      notes_->ends[q] = false;
      return;
    }
    notes_->out[q] = call_.out + row.out * call_.out_stride + it.head * width_;
    const bool begins = row.first / kSegmentPositions == segment;
    if (!begins) {
      const float carried = notes_->top[q];
      const float shift = carried > top ? carried : top;
      const float before = exponential(carried - shift);
      const float after = exponential(top - shift);
      sum = notes_->sum[q] * before + sum * after;
      top = shift;
      notes_->before[q] = before;
      notes_->after[q] = after;
    }
    notes_->top[q] = top;
    notes_->sum[q] = sum;
    notes_->merges[q] = !begins;
    notes_->ends[q] = (row.end - 1) / kSegmentPositions == segment;
    notes_->inverse[q] = 1.0F / sum;
  }

  // Columns [column, column + kVector) of the head; past its end, columns that are not stored.
  __device__ unsigned column(unsigned i) const {
    return (in_group_ + i * S::kGroupThreads) * S::kVector;
  }

  template <bool kSomeUnseen>
  __device__ void mix_page(const std::uint16_t* values, const float* weights,
                           float (&sums)[S::kHeld][S::kColumns][S::kVector]) const {
#pragma unroll
    for (unsigned eight = 0; eight < kPagePositions / 8; ++eight) {
#pragma unroll
      for (unsigned t = 0; t < 8; ++t) {
        const unsigned token = eight * 8 + t;
        float weight[S::kHeld];
#pragma unroll
        for (unsigned q = 0; q < S::kHeld; q += 4) {
          load_floats<4>(weights + q / 4 * kPlaneFloats + 4 * (token + eight), weight + q);
        }
#pragma unroll
        for (unsigned c = 0; c < S::kColumns; ++c) {
          float v[S::kVector];
          Tile::load_value(values + token * Tile::token_halves(width_),
                           min(column(c), width_ - S::kVector), v);
#pragma unroll
          for (unsigned q = 0; q < S::kHeld; ++q) {
#pragma unroll
            for (unsigned i = 0; i < S::kVector; ++i) {
              const float sum = fmaf(weight[q], v[i], sums[q][c][i]);
              sums[q][c][i] = kSomeUnseen && weight[q] < 0.0F ? sums[q][c][i] : sum;
            }
          }
        }
      }
    }
  }

  // The weighted values of the segment, and their way out.
  __device__ void mix(unsigned segment) {
    const bool works = has_queries() && (in_group_ - lane_) * S::kVector < width_;
    float sums[S::kHeld][S::kColumns][S::kVector];
    unsigned first = 0;  // positions [first, end) are seen by all queries of the group
    unsigned end = kSegmentPositions;
#pragma unroll
    for (unsigned q = 0; q < S::kHeld; ++q) {
      if (notes_->query[group_ * S::kHeld + q] != nullptr) {
        first = max(first, notes_->first[group_ * S::kHeld + q]);
        end = min(end, notes_->end[group_ * S::kHeld + q]);
      }
#pragma unroll
      for (unsigned c = 0; c < S::kColumns; ++c) {
#pragma unroll
        for (unsigned i = 0; i < S::kVector; ++i) sums[q][c][i] = 0.0F;
      }
    }
    for (unsigned begin = 0; begin < page_count_; begin += pages_of_chunk()) {
      const std::uint16_t* values = next_chunk();
      if (begin == 0) add_up(segment);
      if (!works) continue;
      const unsigned stop = min(begin + pages_of_chunk(), page_count_);
      for (unsigned page = begin; page < stop; ++page, values += tile_halves()) {
        const float* weights = weights_ + page * kUnitsOfPage * 4;
        const unsigned position = page * kPagePositions;
        if (position >= first && position + kPagePositions <= end) {
          mix_page<false>(values, weights, sums);
        } else {
          mix_page<true>(values, weights, sums);
        }
      }
    }
    __syncthreads();  // notes of what becomes of the values
    if (!works) return;
#pragma unroll
    for (unsigned h = 0; h < S::kHeld; ++h) {
      const unsigned q = group_ * S::kHeld + h;
      if (notes_->query[q] == nullptr) continue;
#pragma unroll
      for (unsigned c = 0; c < S::kColumns; ++c) {
        if (column(c) >= width_) continue;
        float* to = notes_->out[q] + column(c);
        if (notes_->merges[q]) {
          float carried[S::kVector];
          load_floats<S::kVector>(to, carried);
#pragma unroll
          for (unsigned i = 0; i < S::kVector; ++i) {
            sums[h][c][i] = carried[i] * notes_->before[q] + sums[h][c][i] * notes_->after[q];
          }
        }
        if (notes_->ends[q]) {
#pragma unroll
          for (unsigned i = 0; i < S::kVector; ++i) sums[h][c][i] *= notes_->inverse[q];
        }
        store_floats<S::kVector>(to, sums[h][c]);
      }
    }
  }

  // Folds the parts of rows for which this block is the last of their segments.
  __device__ void fold_rows() {
    __threadfence();
    __syncthreads();
    for (unsigned r = thread_; r < item_.rows; r += S::kThreads) {
      const AttentionRow row = rows_[r];
      bool last = false;
      if (row.part != kNoPart) {
        std::uint32_t* counter = counters_ + std::size_t{row.counter} * head_parts_ + head_part_;
        last = atomicAdd(counter, 1U) + 1 == segments_of(row);
        if (last) *counter = 0;
      }
      notes_->last[r] = last;
    }
    __threadfence();
    __syncthreads();
    const unsigned heads = heads_of_part();
    for (unsigned q = warp_; q < item_.rows * heads; q += S::kWarps) {
      const Query it = query(q);
      if (it.is && notes_->last[it.row]) fold_parts(call_, rows_[it.row], it.head);
    }
  }
  const AttentionCall& call_;
  const AttentionItem item_;
  const AttentionItem& given_;  // the same in memory: for what is asked once, at the end
  const AttentionRow* rows_;
  const std::uint32_t* pages_;
  std::uint32_t* counters_;
  const std::uint16_t* keys_;  // of page 0, this layer and head
  std::size_t page_halves_;
  float* block_weights_;  // of all groups; queries before
  float* weights_;        // of the thread's group
  std::uint16_t* stages_;
  Notes<S>* notes_;
  const unsigned width_, group_heads_, head_part_, head_parts_, kv_head_, part_;
  const unsigned thread_, warp_, lane_, group_, in_group_;
  unsigned fetch_segment_;
  unsigned fetch_chunk_ = 0;
  unsigned stage_ = 0;
  unsigned page_count_ = 0;
};

}  // namespace espalier::runtime::cuda::attention
