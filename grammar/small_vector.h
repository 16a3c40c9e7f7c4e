// A vector of plain values whose first N lie in the object itself: most that a machine keeps for a
// place have one or two, and an allocation each would cost more than all else about them.
//
// T is trivially copyable. Moving leaves the other one empty. Grows by doubling; references die
// with growth, and with a move where the values lie inside.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <type_traits>

#include "grammar/held_bytes.h"

namespace espalier::grammar {

template <class T, std::uint32_t N>
class SmallVector {
  static_assert(std::is_trivially_copyable_v<T> && N > 0);

 public:
  using value_type = T;

  SmallVector() = default;
  template <std::forward_iterator It>
  SmallVector(It from, It to) {
    append(from, to);
  }
  SmallVector(const SmallVector& other) { append(other.begin(), other.end()); }
  SmallVector(SmallVector&& other) noexcept { take(other); }
  SmallVector& operator=(const SmallVector& other) {
    if (this != &other) assign(other.begin(), other.end());
    return *this;
  }
  SmallVector& operator=(SmallVector&& other) noexcept {
    if (this != &other) {
      release();
      take(other);
    }
    return *this;
  }
  ~SmallVector() { release(); }

  [[nodiscard]] T* data() { return heap_ != nullptr ? heap_ : inside(); }
  [[nodiscard]] const T* data() const { return heap_ != nullptr ? heap_ : inside(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t held_bytes() const {
    return heap_ == nullptr ? 0 : block_bytes(room_ * sizeof(T));
  }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  [[nodiscard]] const T* begin() const { return data(); }
  [[nodiscard]] const T* end() const { return data() + size_; }
  T& operator[](std::size_t i) { return data()[i]; }
  const T& operator[](std::size_t i) const { return data()[i]; }
  T& back() { return data()[size_ - 1]; }
  [[nodiscard]] const T& back() const { return data()[size_ - 1]; }

  void push_back(const T& value) {
    const T copy = value;  // it may lie in here
    if (size_ == room_) grow(size_ + 1);
    data()[size_++] = copy;
  }
  void pop_back() { --size_; }
  void clear() { size_ = 0; }
  void reserve(std::size_t room) {
    if (room > room_) grow(room);
  }
  /// Drops the values behind the first `size`.
  void shorten(std::size_t size) { size_ = std::min(size_, static_cast<std::uint32_t>(size)); }
  /// `from` and `to` may not lie in here.
  template <std::forward_iterator It>
  void append(It from, It to) {
    reserve(size_ + static_cast<std::size_t>(std::distance(from, to)));
    for (; from != to; ++from) data()[size_++] = *from;
  }
  template <std::forward_iterator It>
  void assign(It from, It to) {
    clear();
    append(from, to);
  }
  friend bool operator==(const SmallVector& a, const SmallVector& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  [[nodiscard]] T* inside() { return reinterpret_cast<T*>(inside_); }
  [[nodiscard]] const T* inside() const { return reinterpret_cast<const T*>(inside_); }
  void grow(std::size_t least) {
    const std::size_t room = std::max<std::size_t>(least, std::size_t{2} * room_);
    T* more = static_cast<T*>(::operator new(room * sizeof(T)));
    std::memcpy(static_cast<void*>(more), data(), size_ * sizeof(T));
    ::operator delete(heap_);
    heap_ = more;
    room_ = static_cast<std::uint32_t>(room);
  }
  void release() {
    ::operator delete(heap_);
    heap_ = nullptr;
    room_ = N;
    size_ = 0;
  }
  // Into an empty one.
  void take(SmallVector& other) {
    heap_ = other.heap_;
    size_ = other.size_;
    room_ = other.room_;
    if (heap_ == nullptr) std::memcpy(inside_, other.inside_, size_ * sizeof(T));
    other.heap_ = nullptr;
    other.size_ = 0;
    other.room_ = N;
  }

  T* heap_ = nullptr;  // nullptr: inside
  std::uint32_t size_ = 0, room_ = N;
  alignas(T) std::byte inside_[N * sizeof(T)];
};

}  // namespace espalier::grammar
