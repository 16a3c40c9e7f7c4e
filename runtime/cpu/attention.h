// Attention of a step's rows over paged KV.
//
// The result of a row is a function of its own tokens and position alone (numerics contract):
// positions are cut into segments of kSegmentTokens; within one, scores, their maximum, the
// exponentials' sum and the weighted values are taken in token order; segments are merged in order.
// How rows are grouped only decides which loads are shared:
//
// - A block is a few rows, neighbours in the order of their page tables: rows of one prompt, or
//   decode rows of branches with a common prefix.
// - In each segment a block's rows are cut into runs: rows with the same whole pages side by side
//   share every load of K and V; a row's partial pages are runs of its own: the last one, and the
//   first that its window reaches.
//
// With a window of w a row at position p sees positions p - w + 1 to p only; segments, lanes and
// order are those of the whole context.
//
// The plan is made once a step and serves every layer and head.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/backend.h"
#include "runtime/cpu/kernels.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/cpu/matrix.h"
#include "runtime/cpu/tuning.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/model/model.h"

namespace espalier::runtime::cpu {

class Attention {
 public:
  /// `window`: positions that a row sees, its own among them; 0: all up to its own.
  /// What is referred to outlives it; `tuning` is looked at by plan().
  Attention(const ModelShape& shape, std::uint32_t window, const Kernels& kernels,
            WorkerPool& workers, const Tuning& tuning);

  /// Plans the attention of some rows over a pool of type `type`. The batch stays alive until the
  /// last run(). May throw bad_alloc.
  void plan(const Batch& batch, std::span<const std::uint32_t> rows, KvType type);
  /// out[row] = attention of queries[row] (rotated, all heads) over layer `layer`, for the planned
  /// rows. `pool` is of the planned type.
  void run(const KvPool& pool, std::size_t layer, const float* queries, std::size_t query_stride,
           float* out, std::size_t out_stride);

 private:
  // Rows [row_begin, row_end) of a block over `tokens` tokens from tile_begin on, without the first
  // `skip` of that tile. Where tokens are skipped, the run ends with the tile.
  struct Run {
    std::uint32_t row_begin, row_end, tile_begin, tokens, skip;
  };
  struct Segment {
    std::uint32_t runs_begin, runs_end;
  };
  struct Block {
    std::uint32_t row_begin, row_end;       // in order_
    std::uint32_t segment_begin, segments;  // in segments_
    std::uint32_t first_segment;            // the number of the first
  };
  struct Span {  // tokens [begin, end) of a segment that a row sees
    std::uint32_t begin, end;
  };
  struct Scratch {
    std::vector<float> queries, scores, values, carried, maxima, sums, later_maxima, later_sums;
    Activations codes;  // of the queries, where K are codes
  };

  [[nodiscard]] const PageId* table(std::uint32_t row) const;
  [[nodiscard]] std::uint32_t tokens(std::uint32_t row) const;
  [[nodiscard]] std::uint32_t first_token(std::uint32_t row) const;
  [[nodiscard]] Span span(std::uint32_t row, std::uint32_t segment) const;
  void add_heads(const Block& block, std::uint32_t segment);
  void add_runs(const Block& block, std::uint32_t segment, std::uint32_t begin, std::uint32_t end,
                std::uint32_t tile);
  void gather(const Block& block, std::size_t head, const float* queries, std::size_t stride,
              Scratch& scratch) const;
  void code(float* query, std::size_t index, Scratch& scratch) const;
  void score(const Run& run, const void* const* tiles, std::size_t tile_count,
             const void* const* soon, std::size_t soon_count, Scratch& scratch) const;
  void segment(const KvPool& pool, std::size_t layer, const Block& block, std::size_t head,
               std::uint32_t number, Scratch& scratch) const;

  const Kernels& kernels_;
  WorkerPool& workers_;
  const Tuning& tuning_;
  std::size_t heads_, kv_heads_, group_, width_, stride_;
  std::uint32_t window_;
  float scale_;

  const Batch* batch_ = nullptr;
  KvType type_ = KvType::kF16;
  std::vector<std::uint32_t> order_;
  std::vector<Block> blocks_;
  std::vector<Segment> segments_;
  std::vector<Run> runs_;
  std::uint32_t most_segments_ = 0;
  bool split_ = false;  // segments are items of their own; their parts are merged afterwards
  std::vector<Scratch> scratch_;
  std::vector<float> part_values_, part_maxima_, part_sums_;
};

}  // namespace espalier::runtime::cpu
