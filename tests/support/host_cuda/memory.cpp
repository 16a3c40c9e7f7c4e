// The shim's memory: of the device, which the host must not touch and whose ends fault, pinned
// memory of the host, and copies between them.
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "device_state.h"
#include "streams.h"

namespace host_cuda {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kAlignment = 256;  // what cudaMalloc promises
// So many times the host is kept from device memory as soon as nothing runs on it; after that every
// kThenEvery-th time, for a long program would spend half its time on it.
constexpr unsigned kAlwaysClosed = 300;
constexpr unsigned kThenEvery = 16;
// What was freed and is kept to be given out again, at most: new pages cost many times as much.
constexpr std::size_t kMostKept = std::size_t{256} << 20;
constexpr std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

void protect(const Allocation& allocation, int protection) {
  if (mprotect(allocation.pages, allocation.page_bytes, protection) != 0) {
    std::fputs("host_cuda: mprotect failed\n", stderr);
    std::abort();
  }
}

// The allocation that holds an address.
const Allocation* find(const void* memory) {
  const auto& allocations = device().allocations;
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  auto next = allocations.upper_bound(address);
  if (next == allocations.begin()) return nullptr;
  --next;
  return address < next->first + std::max<std::size_t>(1, next->second.bytes) ? &next->second
                                                                              : nullptr;
}

// Pages that may be written, and one behind them that faults; null where there are none.
unsigned char* take_pages(Device& it, std::size_t bytes) {
  if (const auto kept = it.kept.find(bytes); kept != it.kept.end()) {
    unsigned char* const pages = kept->second;
    it.kept.erase(kept);
    it.kept_bytes -= bytes;
    protect({pages, bytes, 0}, PROT_READ | PROT_WRITE);
    return pages;
  }
  void* const block = mmap(nullptr, bytes + kPage, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (block == MAP_FAILED) return nullptr;
  auto* const pages = static_cast<unsigned char*>(block);
  protect({pages + bytes, kPage, 0}, PROT_NONE);
  return pages;
}

// Until they are given out again, they fault. The oldest of their size are the next.
void give_pages(Device& it, const Allocation& allocation) {
  const std::size_t bytes = allocation.page_bytes;
  if (bytes > kMostKept - std::min(kMostKept, it.kept_bytes)) {
    munmap(allocation.pages, bytes + kPage);
    return;
  }
  protect(allocation, PROT_NONE);
  it.kept.emplace(bytes, allocation.pages);
  it.kept_bytes += bytes;
}

bool within(const void* memory, std::size_t bytes) {
  const auto& allocations = device().allocations;
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  auto next = allocations.upper_bound(address);
  if (next == allocations.begin()) return false;
  --next;
  return address - next->first <= next->second.bytes &&
         bytes <= next->second.bytes - (address - next->first);
}

// Whether the ends of a copy are where its kind says.
bool ends_match(const void* to, const void* from, std::size_t to_bytes, std::size_t from_bytes,
                cudaMemcpyKind kind) {
  const bool to_device = kind == cudaMemcpyDefault
                             ? find(to) != nullptr
                             : kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDefault
                               ? find(from) != nullptr
                               : kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  return (to_device ? within(to, to_bytes) : find(to) == nullptr) &&
         (from_device ? within(from, from_bytes) : find(from) == nullptr);
}

struct Copy {
  void* to;
  std::size_t to_pitch;
  const void* from;
  std::size_t from_pitch;
  std::size_t width;
  std::size_t height;
  cudaMemcpyKind kind;

  [[nodiscard]] std::size_t to_bytes() const { return to_pitch * (height - 1) + width; }
  [[nodiscard]] std::size_t from_bytes() const { return from_pitch * (height - 1) + width; }
  [[nodiscard]] bool is_valid() const {
    const std::lock_guard lock(device().mutex);
    return width <= to_pitch && width <= from_pitch &&
           ends_match(to, from, to_bytes(), from_bytes(), kind);
  }
  void run() const {
    const DeviceAccess access;
    for (std::size_t y = 0; y < height; ++y) {
      std::memmove(static_cast<unsigned char*>(to) + y * to_pitch,
                   static_cast<const unsigned char*>(from) + y * from_pitch, width);
    }
  }
};

// Host memory that copies use without waiting.
bool is_pinned(const void* memory) {
  const std::lock_guard lock(device().mutex);
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  auto next = device().pinned.upper_bound(address);
  return next != device().pinned.begin() && address < (--next)->first + next->second;
}

bool is_on_device(const void* memory) {
  const std::lock_guard lock(device().mutex);
  return find(memory) != nullptr;
}

// Of memory that is not pinned the source is read before the call returns, and what goes there has
// come by then.
cudaError_t start_copy(const Copy& copy, cudaStream_t stream) {
  if (const cudaError_t error = enter(); error != cudaSuccess) return error;
  if (copy.width == 0 || copy.height == 0) return cudaSuccess;
  if (!copy.is_valid()) return failed(cudaErrorInvalidValue);
  const auto is_pageable = [](const void* memory) {
    return !is_on_device(memory) && !is_pinned(memory);
  };
  if (is_recording(stream) || (!is_pageable(copy.to) && !is_pageable(copy.from))) {
    enqueue(stream, [copy] { copy.run(); });
  } else if (is_pageable(copy.to)) {
    finish(stream);
    copy.run();
  } else {
    const auto* from = static_cast<const unsigned char*>(copy.from);
    enqueue(stream, [copy, kept = std::vector<unsigned char>(from, from + copy.from_bytes())] {
      Copy later = copy;
      later.from = kept.data();
      later.run();
    });
  }
  return cudaSuccess;
}

}  // namespace

void close(Device& it) {
  if (it.closed) return;
  it.closed = true;
  for (const auto& [address, allocation] : it.allocations) protect(allocation, PROT_NONE);
}

DeviceAccess::DeviceAccess() {
  Device& it = device();
  it.mutex.lock();
  if (it.open++ > 0 || !it.closed) return;
  it.closed = false;
  for (const auto& [address, allocation] : it.allocations) {
    protect(allocation, PROT_READ | PROT_WRITE);
  }
}

DeviceAccess::~DeviceAccess() {
  Device& it = device();
  if (--it.open == 0 && (++it.accesses < kAlwaysClosed || it.accesses % kThenEvery == 0)) {
    close(it);
  }
  it.mutex.unlock();
}

}  // namespace host_cuda

using host_cuda::device;
using host_cuda::enter;
using host_cuda::enter_unrecorded;
using host_cuda::failed;

cudaError_t cudaMalloc(void** to, std::size_t bytes) {
  if (const cudaError_t error = enter_unrecorded(); error != cudaSuccess) return error;
  host_cuda::Device& it = device();
  const std::lock_guard lock(it.mutex);
  *to = nullptr;
  if (bytes == 0) return cudaSuccess;
  if (host_cuda::due(it.failing_malloc) || bytes > host_cuda::free_of(it)) {
    return failed(cudaErrorMemoryAllocation);
  }
  const std::size_t padded = host_cuda::round_up(bytes, host_cuda::kAlignment);
  const std::size_t page_bytes = host_cuda::round_up(padded, host_cuda::kPage);
  unsigned char* const pages = host_cuda::take_pages(it, page_bytes);
  if (pages == nullptr) return failed(cudaErrorMemoryAllocation);
  std::memset(pages, host_cuda::kDevicePoison, page_bytes);
  const host_cuda::Allocation allocation{pages, page_bytes, bytes};
  if (it.closed) host_cuda::protect(allocation, PROT_NONE);
  unsigned char* const memory = pages + page_bytes - padded;
  it.allocations.emplace(reinterpret_cast<std::uintptr_t>(memory), allocation);
  it.allocated += bytes;
  *to = memory;
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  if (const cudaError_t error = enter_unrecorded(); error == cudaErrorStreamCaptureUnsupported) {
    return error;
  }
  host_cuda::finish_all();
  host_cuda::Device& it = device();
  const host_cuda::DeviceAccess access;
  const auto found = it.allocations.find(reinterpret_cast<std::uintptr_t>(memory));
  if (found == it.allocations.end()) return failed(cudaErrorInvalidValue);
  const host_cuda::Allocation& allocation = found->second;
  auto* const end = allocation.pages + allocation.page_bytes;
  const auto untouched = [](unsigned char byte) { return byte == host_cuda::kDevicePoison; };
  if (!std::all_of(static_cast<unsigned char*>(memory) + allocation.bytes, end, untouched) ||
      !std::all_of(allocation.pages, static_cast<unsigned char*>(memory), untouched)) {
    const std::string message = "written outside an allocation of " +
                                std::to_string(allocation.bytes) + " bytes of device memory";
    host_cuda::fail(message.c_str());
  }
  host_cuda::give_pages(it, allocation);
  it.allocated -= allocation.bytes;
  it.allocations.erase(found);
  return host_cuda::is_lost_here(it) ? failed(it.lost_error) : cudaSuccess;
}

cudaError_t cudaMallocHost(void** to, std::size_t bytes, unsigned /*flags*/) {
  if (const cudaError_t error = enter_unrecorded(); error != cudaSuccess) return error;
  const std::lock_guard lock(device().mutex);
  *to = nullptr;
  if (bytes == 0) return cudaSuccess;
  if (!host_cuda::due(device().failing_malloc_host)) {
    *to = std::aligned_alloc(host_cuda::kAlignment,
                             host_cuda::round_up(bytes, host_cuda::kAlignment));
  }
  if (*to == nullptr) return failed(cudaErrorMemoryAllocation);
  std::memset(*to, host_cuda::kDevicePoison, bytes);
  device().pinned[reinterpret_cast<std::uintptr_t>(*to)] = bytes;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  if (const cudaError_t error = enter_unrecorded(); error == cudaErrorStreamCaptureUnsupported) {
    return error;
  }
  host_cuda::finish_all();
  const std::lock_guard lock(device().mutex);
  if (device().pinned.erase(reinterpret_cast<std::uintptr_t>(memory)) == 0) {
    return failed(cudaErrorInvalidValue);
  }
  std::free(memory);
  return host_cuda::is_lost_here(device()) ? failed(device().lost_error) : cudaSuccess;
}

cudaError_t cudaHostRegister(void* memory, std::size_t bytes, unsigned /*flags*/) {
  if (const cudaError_t error = enter_unrecorded(); error != cudaSuccess) return error;
  if (memory == nullptr || bytes == 0) return failed(cudaErrorInvalidValue);
  const std::lock_guard lock(device().mutex);
  device().pinned[reinterpret_cast<std::uintptr_t>(memory)] = bytes;
  return cudaSuccess;
}

cudaError_t cudaHostUnregister(void* memory) {
  if (const cudaError_t error = enter_unrecorded(); error != cudaSuccess) return error;
  host_cuda::finish_all();
  const std::lock_guard lock(device().mutex);
  return device().pinned.erase(reinterpret_cast<std::uintptr_t>(memory)) == 1
             ? cudaSuccess
             : failed(cudaErrorInvalidValue);
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  if (const cudaError_t error = enter_unrecorded(); error != cudaSuccess) return error;
  if (bytes == 0) return cudaSuccess;
  const host_cuda::Copy copy{to, bytes, from, bytes, bytes, 1, kind};
  if (!copy.is_valid()) return failed(cudaErrorInvalidValue);
  host_cuda::finish_blocking();
  copy.run();
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  {
    const std::lock_guard lock(device().mutex);
    if (host_cuda::due(device().failing_copy)) return failed(cudaErrorInvalidValue);
  }
  return host_cuda::start_copy({to, bytes, from, bytes, bytes, 1, kind}, stream);
}

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from,
                              std::size_t from_pitch, std::size_t width, std::size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  return host_cuda::start_copy({to, to_pitch, from, from_pitch, width, height, kind}, stream);
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  if (const cudaError_t error = enter_unrecorded(); error != cudaSuccess) return error;
  return cudaMemsetAsync(to, value, bytes, nullptr);
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  if (const cudaError_t error = enter(); error != cudaSuccess) return error;
  if (bytes == 0) return cudaSuccess;
  {
    const std::lock_guard lock(device().mutex);
    if (!host_cuda::within(to, bytes)) return failed(cudaErrorInvalidValue);
  }
  host_cuda::enqueue(stream, [=] {
    const host_cuda::DeviceAccess access;
    std::memset(to, value, bytes);
  });
  return cudaSuccess;
}
