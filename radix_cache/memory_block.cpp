#include "radix_cache/memory_block.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

namespace espalier::radix_cache {

namespace {

constexpr std::size_t round_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

/// A mapping that begins at a multiple of kLarge: one that is larger, with its ends given back.
void* map_aligned(std::size_t bytes) {
  const std::size_t asked = bytes + MemoryBlock::kLarge;
  void* mapped = ::mmap(nullptr, asked, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  const auto from = reinterpret_cast<std::uintptr_t>(mapped);
  const std::size_t head = round_up(from, MemoryBlock::kLarge) - from;
  const std::size_t tail = asked - head - bytes;
  auto* data = static_cast<std::byte*>(mapped) + head;
  if (head > 0) (void)::munmap(mapped, head);
  if (tail > 0) (void)::munmap(data + bytes, tail);
  (void)::madvise(data, bytes, MADV_HUGEPAGE);
  return data;
}

}  // namespace

MemoryBlock::MemoryBlock(std::size_t bytes) {
  if (bytes == 0) return;
  if (bytes > std::numeric_limits<std::size_t>::max() / 2) throw std::bad_alloc();
  bytes_ = round_up(bytes, bytes < kLarge ? kLine : kLarge);
  if (bytes_ >= kLarge) {
    data_ = map_aligned(bytes_);
    return;
  }
  data_ = std::aligned_alloc(kLine, bytes_);
  if (data_ == nullptr) throw std::bad_alloc();
  std::memset(data_, 0, bytes_);
}

MemoryBlock::~MemoryBlock() {
  if (data_ == nullptr) return;
  if (bytes_ >= kLarge) {
    (void)::munmap(data_, bytes_);
  } else {
    std::free(data_);
  }
}

}  // namespace espalier::radix_cache
