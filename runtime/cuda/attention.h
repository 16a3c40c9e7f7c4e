// Who shares which loads in a step's attention on the device: the host's half of
// attention_kernels.h.
//
// A plan says, for some rows of a batch and one window, which rows pass which segments together. In
// a segment, rows that lie side by side in the order of their page tables and read the same pages
// are one item: rows of one prompt, or decode rows of branches with a common prefix. Rows with
// pages of their own there are items of their own. Where a prompt has rows enough to fill the
// device, its rows go through all their segments in one item, which leaves no parts to fold. How
// rows are grouped never changes a bit.
//
// A plan is built once a step and serves all layers with its window. It goes to the device as one
// block of bytes without pointers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/backend.h"
#include "runtime/cuda/attention_kernels.h"
#include "runtime/model/model.h"

namespace espalier::runtime::cuda {

struct AttentionLimits {
  /// Thread blocks that keep the device busy (1.5 for each multiprocessor of the largest chips):
  /// prompts with as many are not cut by segments.
  std::uint32_t busy_blocks = 200;
  /// What the device runs side by side: rows that share are kept apart where it would stand idle.
  std::uint32_t multiprocessors = 132;
  /// What parts may take, in bytes. Rows whose parts would not fit take all their segments in one
  /// item.
  std::size_t part_bytes = std::size_t{64} << 20;
  /// The most queries of an item: as many as a tile has, and a row at least.
  std::uint32_t most_queries = kMostTileQueries;
  /// Full items that leave no parts are for tensor cores: numerics `tensor`, where
  /// tensor_cores_attend().
  bool tensor_cores = false;
};

class AttentionPlan {
 public:
  /// `window`: positions that a row sees, its own among them; 0: all up to its own.
  AttentionPlan(const ModelShape& shape, std::uint32_t window, const AttentionLimits& limits = {});

  /// For plans from now on.
  void set_limits(const AttentionLimits& limits);

  /// Plans `rows` of the batch: the result of rows[i] will be row i of `out`. May throw bad_alloc.
  /// Cost: the pages that the rows read, compared and copied once.
  void plan(const Batch& batch, std::span<const std::uint32_t> rows);

  /// What the kernels read: write_to() fills bytes() bytes, which go to 16-byte aligned memory.
  [[nodiscard]] std::size_t bytes() const;
  void write_to(std::span<std::byte> out) const;
  /// The launches of this plan.
  [[nodiscard]] const AttentionGrid& grid() const { return grid_; }
  /// Parts that AttentionCall::parts must have room for: never more than the limit allows.
  [[nodiscard]] std::uint32_t parts() const { return parts_; }

 private:
  struct Span {
    std::uint32_t begin, end;
  };
  // Rows that may share an item, with the pages of `table_of`: of one segment, or of all.
  struct Group {
    std::uint32_t begin, end;
    std::uint32_t table_of;
    std::uint32_t segment;
    std::uint32_t positions = 0;
  };
  [[nodiscard]] bool same_sequence(std::uint32_t a, std::uint32_t b) const;
  [[nodiscard]] std::size_t counters() const;
  [[nodiscard]] Span segments(const AttentionRow& row) const;
  void choose_order(std::span<const std::uint32_t> rows);
  void copy_tables();
  void give_parts();
  void group_whole_rows();
  void group_rows(std::uint32_t segment);
  [[nodiscard]] AttentionItem item(const Group& group, std::uint32_t begin,
                                   std::uint32_t end) const;
  [[nodiscard]] std::uint32_t rows_of_tile(std::uint32_t tile) const;
  [[nodiscard]] std::uint32_t tile_of(std::uint32_t rows) const;
  [[nodiscard]] std::uint32_t best_tile() const;
  void cut_groups();

  std::uint32_t width_, heads_, kv_heads_, window_;
  AttentionLimits limits_;
  std::uint32_t queries_of_row_;  // in a block
  std::uint32_t most_rows_ = 1;   // of an item
  std::uint32_t block_heads_;     // blocks that an item has

  const Batch* batch_ = nullptr;
  std::vector<std::uint32_t> sequences_;  // of rows_
  std::vector<std::uint32_t> tables_;     // of rows_: where page 0 would be in pages_
  std::vector<bool> whole_;               // of rows_: all segments in one item
  std::vector<AttentionRow> rows_;
  std::vector<std::uint32_t> pages_;
  std::vector<Group> groups_;
  std::vector<AttentionItem> items_[kItemKinds];
  AttentionGrid grid_;
  std::uint32_t parts_ = 0;
  std::uint32_t rows_with_parts_ = 0;
};

}  // namespace espalier::runtime::cuda
