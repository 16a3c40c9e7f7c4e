// What the shim's device is and holds, for the sources of its runtime_api: memory.cpp, faults.cpp
// and facts.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>

#include "runtime_api.h"

namespace host_cuda {

constexpr std::size_t kDefaultMemory = std::size_t{16} << 30;

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
  bool closed = true;     // to the host; see memory.cpp
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

/// Of all threads. Under its mutex.
Device& device();
[[nodiscard]] std::size_t free_of(const Device& it);
/// Device memory faults when the host touches it. Under the mutex.
void close(Device& it);
/// Whether this thread's device is lost. Under the mutex.
[[nodiscard]] bool is_lost_here(const Device& it);
/// Counts down to the call that fails.
inline bool due(unsigned& countdown) { return countdown > 0 && --countdown == 0; }

}  // namespace host_cuda
