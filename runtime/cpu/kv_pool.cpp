#include "runtime/cpu/kv_pool.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

namespace espalier::runtime::cpu {

std::uint64_t KvPool::page_bytes(const ModelShape& shape) {
  return std::uint64_t{2} * 2 * shape.layers * shape.kv_heads * shape.head_width * kPageTokens;
}

Result<std::uint32_t> KvPool::pages_in(const ModelShape& shape, std::uint64_t bytes) {
  const std::uint64_t page = page_bytes(shape);
  const std::uint64_t pages =
      std::min<std::uint64_t>(bytes / page, std::numeric_limits<std::uint32_t>::max() - 1);
  if (pages == 0) {
    return fail(ErrorCode::kLimit, "KV pool of " + std::to_string(bytes) +
                                       " bytes: one page of this model needs " +
                                       std::to_string(page));
  }
  return static_cast<std::uint32_t>(pages);
}

Result<KvPool> KvPool::create(const ModelShape& shape, std::uint64_t bytes) {
  const std::uint64_t page = page_bytes(shape);
  ESP_ASSIGN(const std::uint32_t pages, pages_in(shape, bytes));
  KvPool pool;
  ESP_ASSIGN(pool.memory_, Memory::reserve(pages * page, Memory::Use::kSparse, "KV pool"));
  pool.pages_ = pages;
  pool.layers_ = shape.layers;
  pool.heads_ = shape.kv_heads;
  pool.width_ = shape.head_width;
  pool.tile_halves_ = shape.head_width * kPageTokens;
  pool.page_halves_ = page / sizeof(std::uint16_t);
  return pool;
}

void KvPool::write(KvSlot slot, std::size_t layer, const std::uint16_t* key,
                   const std::uint16_t* value) {
  for (std::size_t head = 0; head < heads_; ++head, key += width_, value += width_) {
    std::uint16_t* k = at(slot.page, layer, head) + slot.slot;
    for (std::size_t d = 0; d < width_; ++d) k[d * kPageTokens] = key[d];
    std::memcpy(at(slot.page, layer, heads_ + head) + slot.slot * width_, value,
                width_ * sizeof(std::uint16_t));
  }
}

void KvPool::copy(PageId from, PageId to, std::uint32_t slots) {
  for (std::size_t layer = 0; layer < layers_; ++layer) {
    for (std::size_t head = 0; head < heads_; ++head) {
      const std::uint16_t* k = at(from, layer, head);
      std::uint16_t* k_to = at(to, layer, head);
      for (std::size_t d = 0; d < width_; ++d) {
        std::memcpy(k_to + d * kPageTokens, k + d * kPageTokens, slots * sizeof(std::uint16_t));
      }
      std::memcpy(at(to, layer, heads_ + head), at(from, layer, heads_ + head),
                  slots * width_ * sizeof(std::uint16_t));
    }
  }
}

void KvPool::poison(PageId page) {
  constexpr std::uint16_t kNan = 0x7E00;
  std::uint16_t* first = at(page, 0, 0);
  std::fill(first, first + page_halves_, kNan);
}

}  // namespace espalier::runtime::cpu
