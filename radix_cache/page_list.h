// The pages of one node, in order. Up to two stand in the list itself: most nodes are short, and
// theirs are then read with the node.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>

#include "radix_cache/radix_cache.h"

namespace espalier::radix_cache {

class PageList {
 public:
  PageList() = default;
  PageList(const PageList&) = delete;
  PageList& operator=(const PageList&) = delete;
  ~PageList() { clear(); }

  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] PageId operator[](std::uint32_t i) const { return data()[i]; }
  [[nodiscard]] PageId front() const { return data()[0]; }
  [[nodiscard]] PageId back() const { return data()[size_ - 1]; }
  [[nodiscard]] std::span<const PageId> all() const { return {data(), size_}; }

  void push_back(PageId page) {
    if (size_ == capacity_) grow(capacity_ * 2);
    data()[size_++] = page;
  }
  void pop_back() { --size_; }
  void set_back(PageId page) { data()[size_ - 1] = page; }
  /// Takes the place of what was there.
  void assign(std::span<const PageId> pages) {
    const auto count = static_cast<std::uint32_t>(pages.size());
    size_ = 0;
    if (count > capacity_) grow(count);
    std::copy(pages.begin(), pages.end(), data());
    size_ = count;
  }
  void drop_front(std::uint32_t count) {
    std::copy(data() + count, data() + size_, data());
    size_ -= count;
  }
  /// Empty, with no memory beside itself.
  void clear() {
    if (capacity_ > kInside) delete[] outside_;
    capacity_ = kInside;
    size_ = 0;
  }

 private:
  static constexpr std::uint32_t kInside = 2;

  [[nodiscard]] const PageId* data() const { return capacity_ > kInside ? outside_ : inside_; }
  [[nodiscard]] PageId* data() { return capacity_ > kInside ? outside_ : inside_; }
  void grow(std::uint32_t capacity) {
    auto* larger = new PageId[capacity];
    std::copy_n(data(), size_, larger);
    if (capacity_ > kInside) delete[] outside_;
    outside_ = larger;
    capacity_ = capacity;
  }

  union {
    PageId inside_[kInside] = {};
    PageId* outside_;
  };
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = kInside;
};

}  // namespace espalier::radix_cache
