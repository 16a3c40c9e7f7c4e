// What the shim says of its devices.
#include <cstdio>
#include <mutex>
#include <string>

#include "device_state.h"
#include "streams.h"
#include "together.h"

using host_cuda::device;
using host_cuda::enter;
using host_cuda::failed;

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
