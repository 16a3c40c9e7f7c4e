// The KV pages: one page holds 16 tokens of every layer, in the pool's type.
//
// page: [layer] { K: [kv head] tile, V: [kv head] tile }.
// f16, bf16: a K tile is [dimension][16 tokens], transposed so that 16 lanes are 16 tokens' scores;
// a V tile is [16 tokens][dimension].
// q8: a token's K and V are codes and scales of 32 dimensions each, the last filled with zeros, K
// after a transform that leaves no dimension standing out (hadamard.h). A K tile is a weight panel
// of type Q8_0 (kernels.h) whose outputs are the 16 tokens, so scores are its products; a V tile is
// [16 tokens][block] { binary16 scale, 32 codes }.
//
// Memory is reserved whole and costs nothing until a page is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/backend.h"
#include "runtime/cpu/kernels.h"
#include "runtime/cpu/kv_type.h"
#include "runtime/cpu/matrix.h"
#include "runtime/cpu/memory.h"
#include "runtime/model/model.h"
#include "runtime/numerics.h"

namespace espalier::runtime::cpu {

static_assert(kTileTokens == kPageTokens, "an attention tile is a page");

/// A token's K and V of one layer as the pool keeps them; KvPool makes and reads it.
struct KvRow {
  std::vector<std::uint16_t> key, value;  // f16, bf16: of all kv heads
  Activations codes;                      // q8: a row a head, those of K first
  std::vector<float> padded;              // q8: one head, filled to whole blocks
};

class KvPool {
 public:
  /// What a page's bits depend on beside the model: on every backend the same (BackendInfo).
  /// `calibration`: the name of what numerics were calibrated by; empty: nothing.
  [[nodiscard]] static std::string format(KvType type, Numerics numerics,
                                          const std::string& calibration = {});
  [[nodiscard]] static std::uint64_t page_bytes(const ModelShape& shape, KvType type);
  /// Whole pages in `bytes`. kLimit where not one fits.
  [[nodiscard]] static Result<std::uint32_t> pages_in(const ModelShape& shape, KvType type,
                                                      std::uint64_t bytes);
  /// As many pages as fit in `bytes`. kLimit where not one does, kExhausted where memory lacks.
  [[nodiscard]] static Result<KvPool> create(const ModelShape& shape, KvType type,
                                             std::uint64_t bytes);

  [[nodiscard]] KvType type() const { return type_; }
  [[nodiscard]] std::uint32_t pages() const { return pages_; }
  [[nodiscard]] const std::byte* keys(PageId page, std::size_t layer, std::size_t head) const {
    return at(page, layer, head);
  }
  [[nodiscard]] const std::byte* values(PageId page, std::size_t layer, std::size_t head) const {
    return at(page, layer, heads_ + head);
  }
  /// A token's part of a V tile.
  [[nodiscard]] std::size_t value_bytes() const { return tile_bytes_ / kPageTokens; }

  /// Makes room in `row` for encode(). May throw bad_alloc.
  void reserve(KvRow& row) const;
  /// One token's key and value of one layer (all kv heads in a row) in the pool's type.
  void encode(const Kernels& kernels, const float* key, const float* value, KvRow& row) const;
  void write(KvSlot slot, std::size_t layer, const KvRow& row);
  /// Copies the first `slots` tokens of every layer.
  void copy(PageId from, PageId to, std::uint32_t slots);
  /// A page's bytes, all layers.
  [[nodiscard]] std::span<std::byte> bytes(PageId page) const {
    return {at(page, 0, 0), page_bytes_};
  }
  /// Fills a page with what reads as NaN.
  void poison(PageId page);

 private:
  [[nodiscard]] std::byte* at(PageId page, std::size_t layer, std::size_t plane) const {
    return memory_.data() + page * page_bytes_ + (layer * 2 * heads_ + plane) * tile_bytes_;
  }
  void write_codes(KvSlot slot, std::size_t layer, std::size_t head, const QuantisedRows& rows);

  Memory memory_;
  KvType type_ = KvType::kF16;
  std::uint32_t pages_ = 0;
  std::size_t layers_ = 0;
  std::size_t heads_ = 0;
  std::size_t width_ = 0;
  std::size_t tile_bytes_ = 0;
  std::size_t page_bytes_ = 0;
};

}  // namespace espalier::runtime::cpu
