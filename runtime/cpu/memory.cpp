#include "runtime/cpu/memory.h"

#include <sys/mman.h>

#include <limits>
#include <string>
#include <utility>

namespace espalier::runtime::cpu {

Result<Memory> Memory::reserve(std::uint64_t bytes, Use use, const char* what) {
  Memory out;
  if (bytes == 0) return out;
  if (bytes <= std::numeric_limits<std::size_t>::max() / 2) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (use == Use::kSparse ? MAP_NORESERVE : 0);
    void* address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (address != MAP_FAILED) {
      // Advice only: small pages are slower or larger in use, never wrong.
      (void)::madvise(address, bytes, use == Use::kDense ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
      out.data_ = static_cast<std::byte*>(address);
      out.size_ = bytes;
      return out;
    }
  }
  return fail(ErrorCode::kExhausted, std::string(what) + ": the system refuses " +
                                         std::to_string(bytes) + " bytes of memory");
}

Memory::Memory(Memory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Memory::~Memory() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace espalier::runtime::cpu
