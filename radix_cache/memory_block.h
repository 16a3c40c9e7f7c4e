// Zeroed memory for the tree's large arrays, from the operating system where it is large.
//
// A tree of 10^6 nodes is spread over so much memory that finding an address costs more than
// reading it. Blocks of at least kLarge bytes begin at a multiple of it and ask for large pages,
// which is advice: without them everything is slower and nothing is wrong. Such a block costs
// nothing until it is touched. Owned, move-only; std::bad_alloc where there is none left.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace espalier::radix_cache {

class MemoryBlock {
 public:
  static constexpr std::size_t kLarge = std::size_t{2} << 20;
  static constexpr std::size_t kLine = 64;  // every block begins at a multiple of it

  MemoryBlock() = default;
  explicit MemoryBlock(std::size_t bytes);
  MemoryBlock(MemoryBlock&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  MemoryBlock& operator=(MemoryBlock&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~MemoryBlock();

  [[nodiscard]] void* data() const { return data_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// So many elements, each of which begins as zeros.
template <class T>
class ZeroedArray {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  explicit ZeroedArray(std::size_t size) : block_(size * sizeof(T)), size_(size) {}

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] T& operator[](std::size_t i) { return data()[i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const { return data()[i]; }

 private:
  [[nodiscard]] T* data() const { return static_cast<T*>(block_.data()); }

  MemoryBlock block_;
  std::size_t size_;
};

}  // namespace espalier::radix_cache
