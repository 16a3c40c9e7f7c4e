// Arena: memory that lives as long as one template or one rendering, given back in one piece.
//
// Only trivially destructible things go in, so that nothing nested is ever destroyed by recursion.
// A limit in bytes bounds it: alloc() beyond the limit sets `exhausted` and still returns memory
// (the caller stops at its next check), unless the single request is itself larger than the limit:
// callers ask fits() before a size that input chooses.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace espalier::runtime::jinja {

class Arena {
 public:
  explicit Arena(std::size_t limit) : limit_(limit) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  [[nodiscard]] void* alloc(std::size_t size) {
    size = (size + kAlign - 1) / kAlign * kAlign;
    if (size > left_) grow(size);
    std::byte* place = next_;
    next_ += size;
    left_ -= size;
    return place;
  }
  template <class T>
  [[nodiscard]] T* make(T value) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= kAlign);
    return ::new (alloc(sizeof(T))) T(std::move(value));
  }
  /// `count` value-initialised objects.
  template <class T>
  [[nodiscard]] T* array(std::size_t count) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= kAlign);
    // NOLINTNEXTLINE(bugprone-sizeof-expression): T may well be a pointer
    T* first = static_cast<T*>(alloc(count * sizeof(T)));
    std::uninitialized_value_construct_n(first, count);
    return first;
  }
  template <class T>
  [[nodiscard]] std::span<T> copy(const std::vector<T>& from) {
    T* first = array<T>(from.size());
    std::copy(from.begin(), from.end(), first);
    return {first, from.size()};
  }

  /// Whether `bytes` more stay within the limit.
  [[nodiscard]] bool fits(std::size_t bytes) const {
    return bytes <= limit_ - std::min(limit_, used_);
  }
  [[nodiscard]] bool exhausted() const { return used_ > limit_; }
  [[nodiscard]] std::size_t limit() const { return limit_; }

 private:
  static constexpr std::size_t kAlign = 16;
  static constexpr std::size_t kFirstBlock = std::size_t{16} << 10;
  static constexpr std::size_t kLargestBlock = std::size_t{1} << 20;

  void grow(std::size_t size) {
    const std::size_t block = std::max(size, block_);
    block_ = std::min(block_ * 2, kLargestBlock);
    blocks_.push_back(std::make_unique_for_overwrite<std::byte[]>(block));
    next_ = blocks_.back().get();
    left_ = block;
    used_ += block;
  }

  std::size_t limit_;
  std::size_t used_ = 0;
  std::size_t block_ = kFirstBlock;
  std::byte* next_ = nullptr;
  std::size_t left_ = 0;
  std::vector<std::unique_ptr<std::byte[]>> blocks_;
};

}  // namespace espalier::runtime::jinja
