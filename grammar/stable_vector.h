// A vector that only grows and whose elements never move: blocks of some elements each. Empty it
// owns nothing and its blocks are small, where a std::deque begins with half a KiB and a table.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "grammar/held_bytes.h"

namespace espalier::grammar {

template <class T, std::size_t kBlock = 8>
class StableVector {
 public:
  StableVector() = default;
  StableVector(const StableVector&) = delete;
  StableVector& operator=(const StableVector&) = delete;
  ~StableVector() {
    for (std::size_t i = 0; i < size_; ++i) (*this)[i].~T();
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t held_bytes() const {
    std::size_t out = blocks_.size() * block_bytes(kBlock * sizeof(T));
    out += block_bytes(blocks_.capacity() * sizeof blocks_[0]);
    return out + sum_over(*this, [](const T& element) { return grammar::held_bytes(element); });
  }
  T& operator[](std::size_t i) { return *at(i); }
  const T& operator[](std::size_t i) const { return *at(i); }
  T& push_back(T&& value) {
    if (size_ == blocks_.size() * kBlock)
      blocks_.emplace_back(std::allocator<T>().allocate(kBlock));
    T* made = std::construct_at(at(size_), std::move(value));
    ++size_;
    return *made;
  }

 private:
  [[nodiscard]] T* at(std::size_t i) const { return blocks_[i / kBlock].get() + i % kBlock; }
  struct Free {
    void operator()(T* block) const { std::allocator<T>().deallocate(block, kBlock); }
  };
  std::vector<std::unique_ptr<T, Free>> blocks_;
  std::size_t size_ = 0;
};

}  // namespace espalier::grammar
