// The KV pages: binary16, one page holding 16 tokens of every layer.
//
// page: [layer] { K: [kv head][dimension][16 tokens], V: [kv head][16 tokens][dimension] }. K is
// transposed so that 16 lanes are 16 tokens' scores. Memory is reserved whole and costs nothing
// until a page is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "runtime/backend.h"
#include "runtime/cpu/kernels.h"
#include "runtime/cpu/memory.h"
#include "runtime/model/model.h"

namespace espalier::runtime::cpu {

static_assert(kTileTokens == kPageTokens, "an attention tile is a page");

class KvPool {
 public:
  /// What a page's bits depend on beside the model: on every backend the same (BackendInfo).
  static constexpr const char* kFormat = "numerics 2, layout cpu 1, f16";
  [[nodiscard]] static std::uint64_t page_bytes(const ModelShape& shape);
  /// Whole pages in `bytes`. kLimit where not one fits.
  [[nodiscard]] static Result<std::uint32_t> pages_in(const ModelShape& shape, std::uint64_t bytes);
  /// As many pages as fit in `bytes`. kLimit where not one does, kExhausted where memory lacks.
  [[nodiscard]] static Result<KvPool> create(const ModelShape& shape, std::uint64_t bytes);

  [[nodiscard]] std::uint32_t pages() const { return pages_; }
  [[nodiscard]] const std::uint16_t* keys(PageId page, std::size_t layer, std::size_t head) const {
    return at(page, layer, head);
  }
  [[nodiscard]] const std::uint16_t* values(PageId page, std::size_t layer,
                                            std::size_t head) const {
    return at(page, layer, heads_ + head);
  }
  /// Writes one token's key and value of one layer (all kv heads in a row, binary16).
  void write(KvSlot slot, std::size_t layer, const std::uint16_t* key, const std::uint16_t* value);
  /// Copies the first `slots` tokens of every layer.
  void copy(PageId from, PageId to, std::uint32_t slots);
  /// A page's bytes, all layers.
  [[nodiscard]] std::span<std::byte> bytes(PageId page) const {
    return std::as_writable_bytes(std::span(at(page, 0, 0), page_halves_));
  }
  /// Fills a page with NaN.
  void poison(PageId page);

 private:
  [[nodiscard]] std::uint16_t* at(PageId page, std::size_t layer, std::size_t plane) const {
    return reinterpret_cast<std::uint16_t*>(memory_.data()) + page * page_halves_ +
           (layer * 2 * heads_ + plane) * tile_halves_;
  }

  Memory memory_;
  std::uint32_t pages_ = 0;
  std::size_t layers_ = 0;
  std::size_t heads_ = 0;
  std::size_t width_ = 0;
  std::size_t tile_halves_ = 0;
  std::size_t page_halves_ = 0;
};

}  // namespace espalier::runtime::cpu
