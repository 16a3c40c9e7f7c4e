// An array that grows and never moves: what an index names stays where it is, and no insertion
// waits for a million elements to be copied.
//
// Pieces of 64 elements, 128, 256 and so on. An element's piece is the place of the highest bit of
// its index, so access costs a few cycles more than a vector's. Pieces are MemoryBlocks, so those
// of two megabytes and more lie in large pages.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "base/result.h"
#include "radix_cache/memory_block.h"

namespace espalier::radix_cache {

template <class T>
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() {
    for (std::size_t i = 0; i < size_; ++i) std::destroy_at(&(*this)[i]);
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] T& operator[](std::size_t i) { return *at(i); }
  [[nodiscard]] const T& operator[](std::size_t i) const { return *at(i); }
  /// One more, made by T{}.
  T& emplace_back() {
    const std::size_t piece = piece_of(size_);
    if (blocks_[piece].data() == nullptr) {
      const std::size_t first = (kFirst << piece) - kFirst;
      blocks_[piece] = MemoryBlock(sizeof(T) * (kFirst << piece));
      origins_[piece] = reinterpret_cast<std::uintptr_t>(blocks_[piece].data()) - first * sizeof(T);
    }
    return *new (at(size_++)) T{};
  }
  /// At least `size` elements.
  void grow(std::size_t size) {
    while (size_ < size) emplace_back();
  }
  void pop_back() { std::destroy_at(at(--size_)); }

 private:
  static constexpr std::size_t kFirst = 64;
  static constexpr unsigned kFirstBits = 6;
  static_assert(alignof(T) <= MemoryBlock::kLine);

  [[nodiscard]] static std::size_t piece_of(std::size_t i) {
    return static_cast<std::size_t>(std::bit_width(i + kFirst)) - 1 - kFirstBits;
  }
  [[nodiscard]] T* at(std::size_t i) const {
    return reinterpret_cast<T*>(origins_[piece_of(i)] + i * sizeof(T));
  }

  static constexpr std::size_t kPieces = 34;  // by size: enough for every index of 32 bits
  std::size_t size_ = 0;
  // Where element 0 would stand if a piece went on to the front.
  std::array<std::uintptr_t, kPieces> origins_{};
  std::array<MemoryBlock, kPieces> blocks_;
};

}  // namespace espalier::radix_cache
