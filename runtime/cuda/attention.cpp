#include "runtime/cuda/attention.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

namespace espalier::runtime::cuda {
namespace {

static_assert(kPagePositions == kPageTokens);

constexpr std::uint32_t kAllSegments = 0xFFFFFFFFU;
// What a block costs, in cycles: to start, and for each position and dimension, by tile. Estimates
// from the kernels' instructions; they only decide how many rows share a block.
constexpr double kStartCost = 2500;
constexpr double kTileCost[kAttentionTiles] = {0.18, 0.27, 0.46, 0.76, 1.34};

constexpr std::uint32_t divide_up(std::uint32_t x, std::uint32_t by) { return (x + by - 1) / by; }
constexpr std::size_t aligned(std::size_t bytes) { return (bytes + 15) / 16 * 16; }

/// How many an item reads.
std::uint32_t positions(const AttentionItem& item) {
  return std::min(item.end, (item.segment + item.segments) * kSegmentPositions) -
         std::max(item.first, item.segment * kSegmentPositions);
}

template <class T>
std::size_t bytes_of(const std::vector<T>& items) {
  return items.size() * sizeof(T);
}

template <class T>
void put(std::span<std::byte> out, std::size_t at, const std::vector<T>& items) {
  if (!items.empty()) std::memcpy(out.data() + at, items.data(), bytes_of(items));
}

}  // namespace

AttentionPlan::AttentionPlan(const ModelShape& shape, std::uint32_t window,
                             const AttentionLimits& limits)
    : width_(shape.head_width),
      heads_(shape.heads),
      kv_heads_(shape.kv_heads),
      window_(window),
      limits_(limits),
      queries_of_row_(part_heads(heads_ / kv_heads_)),
      block_heads_(kv_heads_ * group_parts(heads_ / kv_heads_)) {
  set_limits(limits);
}

void AttentionPlan::set_limits(const AttentionLimits& limits) {
  limits_ = limits;
  most_rows_ = std::max(1U, limits.most_queries / queries_of_row_);
}

std::size_t AttentionPlan::counters() const { return std::size_t{rows_with_parts_} * block_heads_; }

bool AttentionPlan::same_sequence(std::uint32_t a, std::uint32_t b) const {
  return sequences_[a] == sequences_[b];
}

AttentionPlan::Span AttentionPlan::segments(const AttentionRow& row) const {
  return {row.first / kSegmentPositions, divide_up(row.end, kSegmentPositions)};
}

void AttentionPlan::plan(const Batch& batch, std::span<const std::uint32_t> rows) {
  batch_ = &batch;
  rows_.clear();
  pages_.clear();
  groups_.clear();
  parts_ = 0;
  rows_with_parts_ = 0;
  choose_order(rows);
  copy_tables();
  give_parts();
  group_whole_rows();
  Span all{kAllSegments, 0};
  for (const AttentionRow& row : rows_) {
    const Span of_row = segments(row);
    all = {std::min(all.begin, of_row.begin), std::max(all.end, of_row.end)};
  }
  for (std::uint32_t s = all.begin; s < all.end; ++s) group_rows(s);
  cut_groups();
}

// Branches that share a prefix become neighbours; rows of one sequence stay in order.
void AttentionPlan::choose_order(std::span<const std::uint32_t> rows) {
  std::vector<std::uint32_t> order(rows.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto& sequences = batch_->sequences;
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    const std::uint32_t x = batch_->rows[rows[a]].sequence;
    const std::uint32_t y = batch_->rows[rows[b]].sequence;
    if (x == y) return false;
    if (sequences[x] != sequences[y]) return sequences[x] < sequences[y];
    return x < y;
  });
  sequences_.clear();
  for (const std::uint32_t i : order) {
    const Row& row = batch_->rows[rows[i]];
    const std::uint32_t end = row.position + 1;
    const std::uint32_t first = window_ == 0 || end <= window_ ? 0 : end - window_;
    rows_.push_back({.query = rows[i], .out = i, .first = first, .end = end, .part = kNoPart});
    sequences_.push_back(row.sequence);
  }
}

// Of each sequence the pages that its rows read.
void AttentionPlan::copy_tables() {
  tables_.assign(rows_.size(), 0);
  for (std::uint32_t begin = 0; begin < rows_.size();) {
    std::uint32_t end = begin;
    Span span{0xFFFFFFFFU, 0};
    for (; end < rows_.size() && same_sequence(begin, end); ++end) {
      span.begin = std::min(span.begin, rows_[end].first / kPagePositions);
      span.end = std::max(span.end, divide_up(rows_[end].end, kPagePositions));
    }
    const auto& table = batch_->sequences[sequences_[begin]];
    const auto at = static_cast<std::uint32_t>(pages_.size());
    std::fill(tables_.begin() + begin, tables_.begin() + end, at - span.begin);
    pages_.insert(pages_.end(), table.begin() + span.begin, table.begin() + span.end);
    begin = end;
  }
}

// Decides which rows go whole, and gives parts to the others where they have several segments.
void AttentionPlan::give_parts() {
  whole_.assign(rows_.size(), false);
  std::uint32_t prompt_blocks = 0;
  const auto each_sequence = [&](auto&& f) {
    for (std::uint32_t begin = 0; begin < rows_.size();) {
      std::uint32_t end = begin + 1;
      while (end < rows_.size() && same_sequence(begin, end)) ++end;
      // More rows than smaller tiles hold: blocks are full without other sequences.
      const bool prompt = (end - begin) * queries_of_row_ > kTileQueries[kAttentionTiles - 2];
      f(begin, end, prompt);
      begin = end;
    }
  };
  each_sequence([&](std::uint32_t begin, std::uint32_t end, bool prompt) {
    if (prompt) prompt_blocks += divide_up(end - begin, most_rows_);
  });
  const bool busy = prompt_blocks * block_heads_ >= limits_.busy_blocks;
  const std::size_t part = part_floats(width_) * heads_ * sizeof(float);
  const std::size_t most_parts = std::min<std::size_t>(limits_.part_bytes / part, kNoPart - 1);
  each_sequence([&](std::uint32_t begin, std::uint32_t end, bool prompt) {
    for (std::uint32_t at = begin; at < end; ++at) {
      AttentionRow& row = rows_[at];
      const Span of_row = segments(row);
      const std::uint32_t count = of_row.end - of_row.begin;
      if (count == 1 && !(busy && prompt)) continue;
      if ((busy && prompt) || count > most_parts - parts_) {
        whole_[at] = true;
        continue;
      }
      row.part = parts_;
      parts_ += count;
      row.counter = rows_with_parts_++;
    }
  });
}

void AttentionPlan::group_whole_rows() {
  for (std::uint32_t begin = 0; begin < rows_.size();) {
    if (!whole_[begin]) {
      ++begin;
      continue;
    }
    std::uint32_t end = begin + 1;
    while (end < rows_.size() && whole_[end] && same_sequence(begin, end) &&
           end - begin < most_rows_) {
      ++end;
    }
    groups_.push_back({.begin = begin, .end = end, .table_of = begin, .segment = kAllSegments});
    begin = end;
  }
}

// Rows that go together in one segment, all but those that go whole.
void AttentionPlan::group_rows(std::uint32_t segment) {
  const std::uint32_t before = segment * kSegmentPositions;
  const auto pages_read = [&](std::uint32_t at) -> Span {
    const std::uint32_t first = std::max(rows_[at].first, before);
    const std::uint32_t end = std::min(rows_[at].end, before + kSegmentPositions);
    if (whole_[at] || first >= end) return {0, 0};
    return {first / kPagePositions, divide_up(end, kPagePositions)};
  };
  const auto covers = [](Span a, Span b) { return a.begin <= b.begin && b.end <= a.end; };
  const auto same_pages = [&](std::uint32_t a, std::uint32_t b, Span pages) {
    const auto from = [&](std::uint32_t at) {
      return pages_.begin() + (tables_[at] + pages.begin);
    };
    return std::equal(from(a), from(a) + (pages.end - pages.begin), from(b));
  };
  for (std::uint32_t begin = 0; begin < rows_.size();) {
    Span span = pages_read(begin);
    std::uint32_t end = begin + 1;
    if (span.begin == span.end) {
      begin = end;
      continue;
    }
    std::uint32_t widest = begin;  // its table has all the pages of `span`
    for (; end < rows_.size() && end - begin < most_rows_; ++end) {
      const Span more = pages_read(end);
      if (more.begin == more.end) break;
      if (tables_[end] == tables_[widest]) {
        span = {std::min(span.begin, more.begin), std::max(span.end, more.end)};
      } else if (covers(more, span) && same_pages(widest, end, span)) {
        span = more;
        widest = end;
      } else if (!covers(span, more) || !same_pages(widest, end, more)) {
        break;
      }
    }
    groups_.push_back({.begin = begin, .end = end, .table_of = widest, .segment = segment});
    begin = end;
  }
}

// The item of rows [begin, end) of a group.
AttentionItem AttentionPlan::item(const Group& group, std::uint32_t begin,
                                  std::uint32_t end) const {
  AttentionItem item;
  item.row_begin = begin;
  item.rows = end - begin;
  item.pages = tables_[group.table_of];
  item.first = rows_[begin].first;
  for (std::uint32_t at = begin; at < end; ++at) {
    item.first = std::min(item.first, rows_[at].first);
    item.end = std::max(item.end, rows_[at].end);
    item.parts = item.parts || rows_[at].part != kNoPart;
  }
  const bool all = group.segment == kAllSegments;
  item.segment = all ? item.first / kSegmentPositions : group.segment;
  item.segments = all ? divide_up(item.end, kSegmentPositions) - item.segment : 1;
  return item;
}

std::uint32_t AttentionPlan::rows_of_tile(std::uint32_t tile) const {
  return std::max(1U, kTileQueries[tile] / queries_of_row_);
}

std::uint32_t AttentionPlan::tile_of(std::uint32_t rows) const {
  std::uint32_t tile = 0;
  while (rows * queries_of_row_ > kTileQueries[tile]) ++tile;
  return tile;
}

// The largest tile with which the device is done soonest: large items cost less in all, small ones
// occupy more of it.
std::uint32_t AttentionPlan::best_tile() const {
  std::uint32_t best = kAttentionTiles - 1;
  double best_time = std::numeric_limits<double>::infinity();
  for (std::uint32_t tile = kAttentionTiles; tile-- > 0;) {
    if (kTileQueries[tile] > limits_.most_queries && rows_of_tile(tile) > most_rows_) continue;
    double all = 0;
    double longest = 0;
    for (const Group& group : groups_) {
      const std::uint32_t rows = group.end - group.begin;
      const std::uint32_t items = divide_up(rows, rows_of_tile(tile));
      const double cost =
          kStartCost + kTileCost[tile_of(divide_up(rows, items))] * group.positions * width_;
      all += cost * items * block_heads_;
      longest = std::max(longest, cost);
    }
    const double time = std::max(all / limits_.multiprocessors, longest);
    if (time < best_time) {
      best = tile;
      best_time = time;
    }
    if (rows_of_tile(tile) == 1) break;
  }
  return best;
}

void AttentionPlan::cut_groups() {
  for (Group& group : groups_) group.positions = positions(item(group, group.begin, group.end));
  const std::uint32_t most = rows_of_tile(best_tile());
  for (auto& items : items_) items.clear();
  for (const Group& group : groups_) {
    const std::uint32_t rows = group.end - group.begin;
    const std::uint32_t each = divide_up(rows, divide_up(rows, most));
    for (std::uint32_t begin = group.begin; begin < group.end; begin += each) {
      const std::uint32_t end = std::min(begin + each, group.end);
      const AttentionItem made = item(group, begin, end);
      const std::uint32_t tile = tile_of(end - begin);
      const bool on_tensor_cores =
          limits_.tensor_cores && tile + 1 == kAttentionTiles && !made.parts;
      items_[on_tensor_cores ? kTensorItems : tile].push_back(made);
    }
  }
  for (std::uint32_t t = 0; t < kItemKinds; ++t) {
    // The longest first, so that short ones fill the end.
    std::stable_sort(items_[t].begin(), items_[t].end(),
                     [](const auto& a, const auto& b) { return positions(a) > positions(b); });
    grid_.items[t] = static_cast<std::uint32_t>(items_[t].size());
  }
}

std::size_t AttentionPlan::bytes() const {
  std::size_t total = aligned(sizeof(AttentionHeader)) + aligned(bytes_of(rows_)) +
                      aligned(bytes_of(pages_)) + aligned(counters() * sizeof(std::uint32_t));
  std::size_t items = 0;
  for (const auto& of_tile : items_) items += bytes_of(of_tile);
  return total + aligned(items);
}

void AttentionPlan::write_to(std::span<std::byte> out) const {
  AttentionHeader header;
  std::size_t at = aligned(sizeof header);
  const auto next = [&at](std::size_t size) {
    const std::size_t here = at;
    at += aligned(size);
    return static_cast<std::uint32_t>(here);
  };
  std::uint32_t items = 0;
  for (std::uint32_t t = 0; t < kItemKinds; ++t) {
    header.item_begin[t] = items;
    header.item_count[t] = static_cast<std::uint32_t>(items_[t].size());
    items += header.item_count[t];
  }
  header.items_at = next(items * sizeof(AttentionItem));
  header.rows_at = next(bytes_of(rows_));
  header.pages_at = next(bytes_of(pages_));
  header.counters_at = next(counters() * sizeof(std::uint32_t));
  std::memcpy(out.data(), &header, sizeof header);
  for (std::uint32_t t = 0; t < kItemKinds; ++t) {
    put(out, header.items_at + header.item_begin[t] * sizeof(AttentionItem), items_[t]);
  }
  put(out, header.rows_at, rows_);
  put(out, header.pages_at, pages_);
  std::memset(out.data() + header.counters_at, 0, counters() * sizeof(std::uint32_t));
}

}  // namespace espalier::runtime::cuda
