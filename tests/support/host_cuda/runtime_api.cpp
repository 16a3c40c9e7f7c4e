#include "runtime_api.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "streams.h"
#include "together.h"

namespace host_cuda {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kAlignment = 256;  // what cudaMalloc promises
// So many times the host is kept from device memory as soon as nothing runs on it; after that every
// kThenEvery-th time, for a long program would spend half its time on it.
constexpr unsigned kAlwaysClosed = 300;
constexpr unsigned kThenEvery = 16;
constexpr std::size_t kDefaultMemory = std::size_t{16} << 30;
// What was freed and is kept to be given out again, at most: new pages cost many times as much.
constexpr std::size_t kMostKept = std::size_t{256} << 20;
constexpr std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

// An allocation ends at the end of a page, and the next page faults.
struct Allocation {
  unsigned char* pages = nullptr;
  std::size_t page_bytes = 0;  // without the guard
  std::size_t bytes = 0;       // as asked for
};

struct Device {
  std::recursive_mutex mutex;
  std::map<std::uintptr_t, Allocation> allocations;  // by address
  std::multimap<std::size_t, unsigned char*> kept;   // freed: pages by their bytes, closed
  std::size_t kept_bytes = 0;
  std::map<std::uintptr_t, std::size_t> pinned;  // host memory: address, bytes
  std::size_t allocated = 0;
  unsigned open = 0;      // DeviceAccess
  bool closed = true;     // to the host; see kAlwaysClosed
  unsigned accesses = 0;  // since the last reset
  std::size_t memory = kDefaultMemory;
  std::size_t others = 0;  // of it, held by other processes
  int devices = 1;
  std::map<int, Chip> chips;  // of devices that differ
  cudaError_t devices_error = cudaSuccess;
  unsigned failing_malloc = 0;
  unsigned failing_malloc_host = 0;
  unsigned failing_copy = 0;
  std::optional<unsigned> calls_left;
  cudaError_t lost_error = cudaSuccess;
  bool lost = false;
  std::optional<int> losing;  // that device alone
};
std::size_t free_of(const Device& it) {
  return it.memory - std::min(it.memory, it.allocated + it.others);
}
Device& device() {
  static Device it;
  return it;
}
thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = 0;

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

void close(Device& it) {
  if (it.closed) return;
  it.closed = true;
  for (const auto& [address, allocation] : it.allocations) protect(allocation, PROT_NONE);
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

bool due(unsigned& countdown) { return countdown > 0 && --countdown == 0; }

}  // namespace

cudaError_t failed(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

// Whether this thread's device is lost. Under the mutex, or where nothing runs.
bool is_lost_here(const Device& it) {
  return it.lost && it.losing.value_or(current_device) == current_device;
}

// Counts a call; what it must say where the device is not to be had.
cudaError_t enter() {
  Device& it = device();
  const std::lock_guard lock(it.mutex);
  if (it.devices_error != cudaSuccess) return failed(it.devices_error);
  if (it.devices == 0) return failed(cudaErrorNoDevice);
  if (it.losing.has_value() && *it.losing != current_device) return cudaSuccess;
  if (it.calls_left.has_value() && !it.lost) {
    if (*it.calls_left == 0) it.lost = true;
    --*it.calls_left;
  }
  return is_lost_here(it) ? failed(it.lost_error) : cudaSuccess;
}

int current_number() { return current_device; }

bool is_lost(int number) {
  const std::lock_guard lock(device().mutex);
  return device().lost && device().losing.value_or(number) == number;
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

void reset_device() {
  Device& it = device();
  const std::lock_guard lock(it.mutex);
  it.accesses = 0;
  if (it.open == 0) close(it);
  it.memory = kDefaultMemory;
  it.others = 0;
  it.devices = 1;
  it.chips.clear();
  it.devices_error = cudaSuccess;
  it.failing_malloc = 0;
  it.failing_malloc_host = 0;
  it.failing_copy = 0;
  reset_together();
  it.calls_left.reset();
  it.lost = false;
  it.losing.reset();
  last_error = cudaSuccess;
  current_device = 0;
}

void set_devices(int count, cudaError_t error) {
  const std::lock_guard lock(device().mutex);
  device().devices = count;
  device().devices_error = error;
}

void set_memory_limit(std::size_t bytes) {
  const std::lock_guard lock(device().mutex);
  device().memory = bytes;
}

void set_memory_of_others(std::size_t bytes) {
  const std::lock_guard lock(device().mutex);
  device().others = bytes;
}

void set_chip(int number, Chip chip) {
  const std::lock_guard lock(device().mutex);
  device().chips[number] = std::move(chip);
}

void fail_next_malloc(unsigned n) {
  const std::lock_guard lock(device().mutex);
  device().failing_malloc = n;
}

void fail_next_copy(unsigned n) {
  const std::lock_guard lock(device().mutex);
  device().failing_copy = n;
}

void fail_next_malloc_host(unsigned n) {
  const std::lock_guard lock(device().mutex);
  device().failing_malloc_host = n;
}

void lose_device_after(unsigned calls, cudaError_t error, std::optional<int> number) {
  const std::lock_guard lock(device().mutex);
  device().calls_left = calls;
  device().lost_error = error;
  device().losing = number;
}

std::size_t allocated_bytes() {
  const std::lock_guard lock(device().mutex);
  return device().allocated;
}

void set_last_error(cudaError_t error) { last_error = error; }

}  // namespace host_cuda

using host_cuda::device;
using host_cuda::enter;
using host_cuda::enter_unrecorded;
using host_cuda::failed;

cudaError_t cudaGetLastError() {
  const cudaError_t error = host_cuda::last_error;
  // What a lost device says stays.
  host_cuda::last_error = host_cuda::is_lost_here(device()) ? device().lost_error : cudaSuccess;
  return error;
}

cudaError_t cudaPeekAtLastError() { return host_cuda::last_error; }

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

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  if (const cudaError_t error = enter(); error != cudaSuccess) return error;
  const std::lock_guard lock(device().mutex);
  *total = device().memory;
  *free = host_cuda::free_of(device());
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  if (const cudaError_t error = enter(); error != cudaSuccess) return error;
  *count = device().devices;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* which) {
  if (const cudaError_t error = enter(); error != cudaSuccess) return error;
  *which = host_cuda::current_device;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int which) {
  if (const cudaError_t error = enter(); error != cudaSuccess) return error;
  if (which < 0 || which >= device().devices) return failed(cudaErrorInvalidDevice);
  host_cuda::current_device = which;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int which) {
  if (const cudaError_t error = enter(); error != cudaSuccess) return error;
  if (which < 0 || which >= device().devices) return failed(cudaErrorInvalidDevice);
  *properties = {};
  host_cuda::Chip chip{"host shim " + std::to_string(which)};
  {
    const std::lock_guard lock(device().mutex);
    if (const auto it = device().chips.find(which); it != device().chips.end()) chip = it->second;
  }
  std::snprintf(properties->name, sizeof properties->name, "%s", chip.name.c_str());
  properties->totalGlobalMem = device().memory;
  properties->sharedMemPerBlock = std::size_t{48} << 10;
  properties->sharedMemPerBlockOptin = chip.shared_bytes - (std::size_t{1} << 10);
  properties->sharedMemPerMultiprocessor = chip.shared_bytes;
  properties->major = chip.major;
  properties->minor = chip.minor;
  properties->multiProcessorCount = chip.multiprocessors;
  properties->l2CacheSize = 50 << 20;
  properties->memoryBusWidth = 5120;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = 1024;
  properties->pciBusID = which + 1;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int which) {
  cudaDeviceProp properties;
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, which); error != cudaSuccess) {
    return error;
  }
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = properties.maxThreadsPerBlock;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = static_cast<int>(properties.sharedMemPerBlock);
      break;
    case cudaDevAttrClockRate:
      *value = 1'980'000;  // kHz, as an H100's
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = properties.multiProcessorCount;
      break;
    case cudaDevAttrMemoryClockRate:
      *value = 2'619'000;
      break;
    case cudaDevAttrGlobalMemoryBusWidth:
      *value = properties.memoryBusWidth;
      break;
    case cudaDevAttrL2CacheSize:
      *value = properties.l2CacheSize;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = properties.major;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = properties.minor;
      break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = static_cast<int>(properties.sharedMemPerMultiprocessor);
      break;
    case cudaDevAttrCooperativeLaunch:
      *value = host_cuda::runs_together() ? 1 : 0;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(properties.sharedMemPerBlockOptin);
      break;
  }
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = device().devices_error == cudaErrorInsufficientDriver ? 11000 : 13000;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  if (function == nullptr) return failed(cudaErrorInvalidValue);
  if (attribute == cudaFuncAttributeMaxDynamicSharedMemorySize &&
      (value < 0 || value > 227 << 10)) {
    return failed(cudaErrorInvalidValue);
  }
  return enter();
}
