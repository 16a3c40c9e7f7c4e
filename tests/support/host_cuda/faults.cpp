// Which devices there are for the shim, and what goes wrong on demand: no device, no memory at the
// nth allocation, a device that is lost after n calls.
#include <algorithm>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "device_state.h"
#include "streams.h"
#include "together.h"

namespace host_cuda {
namespace {

thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = 0;

}  // namespace

Device& device() {
  static Device it;
  return it;
}
std::size_t free_of(const Device& it) {
  return it.memory - std::min(it.memory, it.allocated + it.others);
}

cudaError_t failed(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

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
using host_cuda::failed;

cudaError_t cudaGetLastError() {
  const std::lock_guard lock(device().mutex);
  const cudaError_t error = host_cuda::last_error;
  // What a lost device says stays.
  host_cuda::last_error = host_cuda::is_lost_here(device()) ? device().lost_error : cudaSuccess;
  return error;
}

cudaError_t cudaPeekAtLastError() { return host_cuda::last_error; }

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
