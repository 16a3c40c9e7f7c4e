#include "runtime/cpu/attention.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "runtime/cpu/hadamard.h"

namespace espalier::runtime::cpu {
namespace {

constexpr std::uint32_t kSegmentTiles = kSegmentTokens / kTileTokens;
constexpr std::size_t kItemsAThread = 4;
constexpr std::size_t kRowsToShareMerging = 16;  // fewer merge before another thread is there
// K tiles of later runs that are asked for: the runs of branches' own tokens are often of one or
// two, which take less time than a line from memory.
constexpr std::size_t kTilesAhead = 8;

}  // namespace

Attention::Attention(const ModelShape& shape, std::uint32_t window, const Kernels& kernels,
                     WorkerPool& workers, const Tuning& tuning)
    : kernels_(kernels),
      workers_(workers),
      tuning_(tuning),
      heads_(shape.heads),
      kv_heads_(shape.kv_heads),
      group_(shape.heads / shape.kv_heads),
      width_(shape.head_width),
      stride_(round_up(shape.head_width, kBlock)),
      window_(window),
      scale_(shape.query_scale),
      scratch_(workers.threads()) {}

const PageId* Attention::table(std::uint32_t row) const {
  return batch_->sequences[batch_->rows[row].sequence].data();
}

std::uint32_t Attention::tokens(std::uint32_t row) const { return batch_->rows[row].position + 1; }

std::uint32_t Attention::first_token(std::uint32_t row) const {
  return window_ == 0 || tokens(row) <= window_ ? 0 : tokens(row) - window_;
}

Attention::Span Attention::span(std::uint32_t row, std::uint32_t segment) const {
  const auto length = static_cast<std::uint32_t>(kSegmentTokens);
  const std::uint32_t before = segment * length;
  const auto within = [&](std::uint32_t position) {
    return position <= before ? 0U : std::min(position - before, length);
  };
  return {within(first_token(row)), within(tokens(row))};
}

void Attention::plan(const Batch& batch, std::span<const std::uint32_t> wanted, KvType type) {
  batch_ = &batch;
  type_ = type;
  const auto rows = static_cast<std::uint32_t>(wanted.size());
  order_.assign(wanted.begin(), wanted.end());
  // Branches that share a prefix become neighbours; rows of one sequence stay in order.
  std::stable_sort(order_.begin(), order_.end(), [&](std::uint32_t a, std::uint32_t b) {
    const std::uint32_t x = batch.rows[a].sequence;
    const std::uint32_t y = batch.rows[b].sequence;
    if (x == y) return false;
    if (batch.sequences[x] != batch.sequences[y]) return batch.sequences[x] < batch.sequences[y];
    return x < y;
  });

  blocks_.clear();
  segments_.clear();
  runs_.clear();
  most_segments_ = 1;
  // (One thread has nothing to balance.)
  const std::size_t items = workers_.threads() == 1 ? 1 : kItemsAThread * workers_.threads();
  // The more queries a block has, the less it costs to widen K and V for them (their scores of a
  // segment, a KiB each, are passed through once a kernel), and the fewer blocks there are to deal
  // out.
  const auto most_rows = static_cast<std::uint32_t>(std::max<std::size_t>(
      1,
      std::clamp<std::size_t>(rows * heads_ / items, tuning_.fewest_queries, tuning_.most_queries) /
          group_));
  std::uint32_t family_end = 0;  // of the related rows that `begin` is among
  for (std::uint32_t begin = 0; begin < rows;) {
    const auto related = [&](std::uint32_t a, std::uint32_t b) {
      if (batch.rows[a].sequence == batch.rows[b].sequence) return true;
      return tokens(a) >= kTileTokens && tokens(b) >= kTileTokens && table(a)[0] == table(b)[0];
    };
    if (family_end <= begin) {
      family_end = begin + 1;
      while (family_end < rows && related(order_[family_end - 1], order_[family_end])) ++family_end;
    }
    // As even as can be: what is left over would read all that the others do for a few rows.
    const std::uint32_t left = family_end - begin;
    const std::uint32_t blocks = (left + most_rows - 1) / most_rows;
    const std::uint32_t end = begin + (left + blocks - 1) / blocks;
    std::uint32_t most_tokens = 0;
    std::uint32_t first = first_token(order_[begin]);
    for (std::uint32_t at = begin; at < end; ++at) {
      most_tokens = std::max(most_tokens, tokens(order_[at]));
      first = std::min(first, first_token(order_[at]));
    }
    const auto first_segment = static_cast<std::uint32_t>(first / kSegmentTokens);
    const auto count =
        static_cast<std::uint32_t>((most_tokens + kSegmentTokens - 1) / kSegmentTokens) -
        first_segment;
    const Block block{begin, end, static_cast<std::uint32_t>(segments_.size()), count,
                      first_segment};
    for (std::uint32_t s = first_segment; s < first_segment + count; ++s) {
      const auto runs_begin = static_cast<std::uint32_t>(runs_.size());
      add_heads(block, s);
      add_runs(block, s, begin, end, 0);
      segments_.push_back({runs_begin, static_cast<std::uint32_t>(runs_.size())});
    }
    most_segments_ = std::max(most_segments_, count);
    blocks_.push_back(block);
    begin = end;
  }

  split_ = workers_.threads() > 1 && most_segments_ > 1 && blocks_.size() * kv_heads_ < items;
  if (split_) {
    const std::size_t parts = std::size_t{rows} * heads_ * most_segments_;
    if (part_sums_.size() < parts) {
      part_values_.resize(parts * stride_);
      part_maxima_.resize(parts);
      part_sums_.resize(parts);
    }
  }
  const std::size_t queries = most_rows * group_;
  for (Scratch& scratch : scratch_) {
    if (type_ == KvType::kQ8) scratch.codes.reshape_codes(queries, stride_);
    if (scratch.maxima.size() >= queries) continue;
    scratch.queries.resize(queries * stride_);
    scratch.scores.resize(queries * kSegmentTokens);
    scratch.values.resize(queries * stride_);
    scratch.carried.resize(queries * stride_);
    scratch.maxima.resize(queries);
    scratch.sums.resize(queries);
    scratch.later_maxima.resize(queries);
    scratch.later_sums.resize(queries);
  }
}

// The pages that windows begin inside of: a run for each row.
void Attention::add_heads(const Block& block, std::uint32_t segment) {
  if (window_ == 0) return;
  for (std::uint32_t at = block.row_begin; at < block.row_end; ++at) {
    const auto [begin, end] = span(order_[at], segment);
    const std::uint32_t skip = begin % kTileTokens;
    if (skip == 0 || begin >= end) continue;
    const std::uint32_t row = at - block.row_begin;
    const auto rest = std::min<std::uint32_t>(end - begin, kTileTokens - skip);
    runs_.push_back({row, row + 1, static_cast<std::uint32_t>(begin / kTileTokens), rest, skip});
  }
}

// Runs of rows [begin, end) of order_, from tile `tile` of the segment on, in token order for each
// row. Recursion is at most kSegmentTiles deep: each level takes at least one tile.
void Attention::add_runs(const Block& block, std::uint32_t segment, std::uint32_t begin,
                         std::uint32_t end, std::uint32_t tile) {
  const std::uint32_t first_tile = segment * kSegmentTiles;
  const auto last = [&](std::uint32_t at) { return span(order_[at], segment).end; };
  const auto start = [&](std::uint32_t at) {  // the first tile that add_heads has left
    return static_cast<std::uint32_t>((span(order_[at], segment).begin + kTileTokens - 1) /
                                      kTileTokens);
  };
  const auto whole = [&](std::uint32_t at, std::uint32_t t) {
    return t < kSegmentTiles && last(at) >= (t + 1) * kTileTokens;
  };
  const auto page = [&](std::uint32_t at, std::uint32_t t) {
    return table(order_[at])[first_tile + t];
  };
  while (begin < end) {
    if (last(begin) <= std::max(tile, start(begin)) * kTileTokens) {
      ++begin;
      continue;
    }
    std::uint32_t stop = begin + 1;
    if (start(begin) > tile) {  // windows that begin later: those rows go on together
      std::uint32_t later = start(begin);
      for (; stop < end && start(stop) > tile; ++stop) later = std::min(later, start(stop));
      add_runs(block, segment, begin, stop, later);
      begin = stop;
      continue;
    }
    if (whole(begin, tile)) {
      while (stop < end && start(stop) <= tile && whole(stop, tile) &&
             page(stop, tile) == page(begin, tile)) {
        ++stop;
      }
    }
    const std::uint32_t row = begin - block.row_begin;
    if (stop == begin + 1) {
      const auto count = static_cast<std::uint32_t>(last(begin) - tile * kTileTokens);
      runs_.push_back({row, row + 1, tile, count, 0});
    } else {
      std::uint32_t next = tile + 1;
      const auto shared = [&](std::uint32_t t) {
        for (std::uint32_t at = begin; at < stop; ++at) {
          if (!whole(at, t) || page(at, t) != page(begin, t)) return false;
        }
        return true;
      };
      while (shared(next)) ++next;
      runs_.push_back({row, stop - block.row_begin, tile,
                       static_cast<std::uint32_t>((next - tile) * kTileTokens), 0});
      if (next < kSegmentTiles) add_runs(block, segment, begin, stop, next);
    }
    begin = stop;
  }
}

void Attention::gather(const Block& block, std::size_t head, const float* queries,
                       std::size_t stride, Scratch& scratch) const {
  float* to = scratch.queries.data();
  std::size_t query = 0;
  for (std::uint32_t at = block.row_begin; at < block.row_end; ++at) {
    const float* from = queries + order_[at] * stride + head * group_ * width_;
    for (std::size_t g = 0; g < group_; ++g, to += stride_, ++query) {
      kernels_.scale(from + g * width_, scale_, width_, to);
      if (type_ == KvType::kQ8) code(to, query, scratch);
    }
  }
}

// A query as K is kept in codes. Transformed, both count 32 times as much together.
void Attention::code(float* query, std::size_t index, Scratch& scratch) const {
  std::fill(query + width_, query + stride_, 0.0F);
  hadamard(query, stride_ / kBlock);
  kernels_.scale(query, 1.0F / kBlock, stride_, query);
  scratch.codes.set(kernels_, index, query);
}

// One run's scores. K tiles of codes are panels, whose outputs are tokens.
void Attention::score(const Run& run, const void* const* tiles, std::size_t tile_count,
                      const void* const* soon, std::size_t soon_count, Scratch& scratch) const {
  const std::size_t first = run.row_begin * group_;
  const std::size_t count = (run.row_end - run.row_begin) * group_;
  float* to = scratch.scores.data() + first * kSegmentTokens + run.tile_begin * kTileTokens;
  if (type_ != KvType::kQ8) {
    kernels_.scores(type_, tiles, tile_count, soon, soon_count, width_,
                    scratch.queries.data() + first * stride_, stride_, count, to, kSegmentTokens);
    return;
  }
  const auto fetch = [&](const void* tile) {
    const auto* bytes = static_cast<const std::byte*>(tile);
    for (std::size_t i = 0; i < stride_ / kBlock * panel_unit_bytes(PanelType::kQ8_0); i += 64) {
      __builtin_prefetch(bytes + i);
    }
  };
  std::size_t fetched = 0;
  for (std::size_t t = 0; t < tile_count; ++t) {
    if (t + 1 < tile_count) fetch(tiles[t + 1]);
    for (; fetched < soon_count * (t + 1) / tile_count; ++fetched) fetch(soon[fetched]);
    kernels_.panel_product(PanelType::kQ8_0, tiles[t], scratch.codes.quantised(), first, count,
                           to + t * kTileTokens, kSegmentTokens, false);
  }
}

// Leaves values, later_maxima and later_sums of the segment in scratch, for rows that reach it.
void Attention::segment(const KvPool& pool, std::size_t layer, const Block& block, std::size_t head,
                        std::uint32_t number, Scratch& scratch) const {
  const Segment& it = segments_[block.segment_begin + number - block.first_segment];
  const std::uint32_t first_tile = number * kSegmentTiles;
  const void* tiles[kSegmentTiles];
  const void* soon[3 * kSegmentTiles];
  const auto tile_count = [](const Run& run) {
    return (run.skip + run.tokens + kTileTokens - 1) / kTileTokens;
  };
  const auto pages_of = [&](const Run& run) {
    return table(order_[block.row_begin + run.row_begin]) + first_tile + run.tile_begin;
  };
  std::uint32_t asked = it.runs_begin + 1;  // runs whose K are here or on their way
  std::size_t tiles_ahead = 0;              // theirs, of runs after the one at hand
  for (std::uint32_t r = it.runs_begin; r < it.runs_end; ++r) {
    const Run& run = runs_[r];
    const PageId* pages = pages_of(run);
    std::size_t soon_count = 0;
    for (std::size_t t = 0; t < tile_count(run); ++t) {
      tiles[t] = pool.keys(pages[t], layer, head);
      soon[soon_count++] = pool.values(pages[t], layer, head);
    }
    if (r > it.runs_begin) tiles_ahead -= tile_count(run);
    for (; asked < it.runs_end && tiles_ahead < kTilesAhead; ++asked) {
      const Run& later = runs_[asked];
      for (std::size_t t = 0; t < tile_count(later); ++t) {
        soon[soon_count++] = pool.keys(pages_of(later)[t], layer, head);
      }
      tiles_ahead += tile_count(later);
    }
    score(run, tiles, tile_count(run), soon, soon_count, scratch);
  }
  for (std::uint32_t row = 0; row < block.row_end - block.row_begin; ++row) {
    const Span seen = span(order_[block.row_begin + row], number);
    if (seen.begin >= seen.end) continue;
    // Lanes go by position mod 16: what lies before the window in its first page weighs nothing.
    const std::uint32_t start = seen.begin / kTileTokens * kTileTokens;
    for (std::size_t q = row * group_; q < (row + 1) * group_; ++q) {
      float* scores = scratch.scores.data() + q * kSegmentTokens;
      std::fill(scores + start, scores + seen.begin, -std::numeric_limits<float>::infinity());
      scratch.later_maxima[q] = kernels_.maximum(scores + start, seen.end - start);
    }
  }
  // In a loop of their own: a row need not wait for its maximum then.
  for (std::uint32_t row = 0; row < block.row_end - block.row_begin; ++row) {
    const Span seen = span(order_[block.row_begin + row], number);
    if (seen.begin >= seen.end) continue;
    const std::uint32_t start = seen.begin / kTileTokens * kTileTokens;
    for (std::size_t q = row * group_; q < (row + 1) * group_; ++q) {
      scratch.later_sums[q] =
          kernels_.weights_of(scratch.scores.data() + q * kSegmentTokens + start, seen.end - start,
                              scratch.later_maxima[q]);
      std::fill_n(scratch.values.data() + q * stride_, width_, 0.0F);
    }
  }
  for (std::uint32_t r = it.runs_begin; r < it.runs_end; ++r) {
    const Run& run = runs_[r];
    for (std::size_t t = 0; t < tile_count(run); ++t) {
      tiles[t] = pool.values(pages_of(run)[t], layer, head) + run.skip * pool.value_bytes();
    }
    kernels_.values(type_, tiles, run.tokens, width_,
                    scratch.scores.data() + run.row_begin * group_ * kSegmentTokens +
                        run.tile_begin * kTileTokens + run.skip,
                    kSegmentTokens, (run.row_end - run.row_begin) * group_,
                    scratch.values.data() + run.row_begin * group_ * stride_, stride_);
  }
}

void Attention::run(const KvPool& pool, std::size_t layer, const float* queries,
                    std::size_t query_stride, float* out, std::size_t out_stride) {
  const auto blocks = static_cast<std::uint32_t>(blocks_.size());
  const auto kv_heads = static_cast<std::uint32_t>(kv_heads_);
  const auto finish = [&](std::uint32_t row, std::size_t q_head, const float* values, float sum) {
    kernels_.scale(values, 1.0F / sum, width_, out + row * out_stride + q_head * width_);
  };
  if (!split_) {
    // The longest blocks come last in a prompt: hand them out first.
    workers_.for_each(blocks * kv_heads, [&](std::uint32_t item, unsigned thread) {
      const Block& block = blocks_[blocks - 1 - item / kv_heads];
      const std::size_t head = item % kv_heads;
      Scratch& scratch = scratch_[thread];
      gather(block, head, queries, query_stride, scratch);
      const std::size_t count = (block.row_end - block.row_begin) * group_;
      for (std::uint32_t s = block.first_segment; s < block.first_segment + block.segments; ++s) {
        segment(pool, layer, block, head, s, scratch);
        for (std::size_t q = 0; q < count; ++q) {
          const std::uint32_t row = order_[block.row_begin + q / group_];
          const std::size_t first = first_token(row) / kSegmentTokens;
          if (s < first || tokens(row) <= s * kSegmentTokens) continue;
          float* carried = scratch.carried.data() + q * stride_;
          const float* later = scratch.values.data() + q * stride_;
          if (s == first) {
            scratch.maxima[q] = scratch.later_maxima[q];
            scratch.sums[q] = scratch.later_sums[q];
            std::memcpy(carried, later, width_ * sizeof(float));
          } else {
            kernels_.merge(&scratch.maxima[q], &scratch.sums[q], carried, scratch.later_maxima[q],
                           scratch.later_sums[q], later, width_);
          }
        }
      }
      for (std::size_t q = 0; q < count; ++q) {
        finish(order_[block.row_begin + q / group_], head * group_ + q % group_,
               scratch.carried.data() + q * stride_, scratch.sums[q]);
      }
    });
    return;
  }
  const auto part = [&](std::size_t at, std::size_t q_head, std::size_t s) {
    return (at * heads_ + q_head) * most_segments_ + s;
  };
  workers_.for_each(blocks * kv_heads * most_segments_, [&](std::uint32_t item, unsigned thread) {
    const std::uint32_t s = item % most_segments_;
    const std::size_t head = item / most_segments_ % kv_heads;
    const Block& block = blocks_[item / most_segments_ / kv_heads];
    if (s >= block.segments) return;
    Scratch& scratch = scratch_[thread];
    gather(block, head, queries, query_stride, scratch);
    segment(pool, layer, block, head, block.first_segment + s, scratch);
    for (std::size_t q = 0; q < (block.row_end - block.row_begin) * group_; ++q) {
      const std::size_t at = block.row_begin + q / group_;
      const Span seen = span(order_[at], block.first_segment + s);
      if (seen.begin >= seen.end) continue;
      const std::size_t to = part(at, head * group_ + q % group_, s);
      part_maxima_[to] = scratch.later_maxima[q];
      part_sums_[to] = scratch.later_sums[q];
      std::memcpy(part_values_.data() + to * stride_, scratch.values.data() + q * stride_,
                  width_ * sizeof(float));
    }
  });
  const auto merge = [&](std::uint32_t item, unsigned) {
    const Block& block = blocks_[item / kv_heads];
    const std::size_t head_begin = item % kv_heads * group_;
    for (std::size_t at = block.row_begin; at < block.row_end; ++at) {
      const std::uint32_t row = order_[at];
      const std::size_t begin = first_token(row) / kSegmentTokens - block.first_segment;
      const std::size_t end = (tokens(row) - 1) / kSegmentTokens + 1 - block.first_segment;
      for (std::size_t head = head_begin; head < head_begin + group_; ++head) {
        const std::size_t first = part(at, head, begin);
        float* carried = part_values_.data() + first * stride_;
        for (std::size_t s = 1; begin + s < end; ++s) {
          kernels_.merge(&part_maxima_[first], &part_sums_[first], carried, part_maxima_[first + s],
                         part_sums_[first + s], carried + s * stride_, width_);
        }
        finish(row, head, carried, part_sums_[first]);
      }
    }
  };
  if (order_.size() >= kRowsToShareMerging) {
    workers_.for_each(blocks * kv_heads, merge);
  } else {
    for (std::uint32_t item = 0; item < blocks * kv_heads; ++item) merge(item, 0);
  }
}

}  // namespace espalier::runtime::cpu
