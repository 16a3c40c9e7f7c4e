// A large block of zeroed memory straight from the operating system.
//
// Pages cost nothing until they are touched, so a KV pool may be reserved whole and grows in use
// only. Owned, move-only, 64-byte aligned (page aligned, in fact).
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include "base/result.h"

namespace espalier::runtime::cpu {

class Memory {
 public:
  enum class Use : std::uint8_t {
    kDense,   // all of it will be touched: large pages pay
    kSparse,  // touched bit by bit
  };

  /// kExhausted, naming `what` and the size, where the system refuses.
  [[nodiscard]] static Result<Memory> reserve(std::uint64_t bytes, Use use, const char* what);

  Memory() = default;
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;
  ~Memory();

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::uint64_t size_ = 0;
};

/// A vector that begins a line of the cache.
template <class T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};
  LineAllocator() = default;
  template <class U>
  explicit LineAllocator(const LineAllocator<U>&) {}
  [[nodiscard]] T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), kLine));
  }
  void deallocate(T* data, std::size_t) { ::operator delete(data, kLine); }
  bool operator==(const LineAllocator&) const = default;
};
template <class T>
using LineVector = std::vector<T, LineAllocator<T>>;

}  // namespace espalier::runtime::cpu
