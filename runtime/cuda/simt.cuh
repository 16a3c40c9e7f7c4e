// What kernels are written against: CUDA under nvcc, and the host shim (tests/support/host_cuda)
// under a C++ compiler, which runs the same source on the CPU.
//
// Kernels use the names below and CUDA's own (`threadIdx`, `__shfl_xor_sync`, `__syncthreads`, …)
// as far as the shim knows them; what needs an instruction by name stands in ptx.cuh with a twin
// for the host. Static shared memory is declared with ESP_SHARED; the dynamic block is
// dynamic_shared(). Arithmetic is IEEE, round to nearest, no contraction (-fmad=false): a fused
// operation is written out as fmaf.
#pragma once

#include <cuda_runtime.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace espalier::runtime::cuda {

inline constexpr unsigned kWarp = 32;
inline constexpr unsigned kFullWarp = 0xFFFFFFFFU;

/// The most shared memory that a multiprocessor has where this code may run: what is made for sm_80
/// (164 KiB) later devices translate. Each block takes kSharedOfBlock beside its own.
#if __CUDA_ARCH__ == 860 || __CUDA_ARCH__ == 890 || __CUDA_ARCH__ >= 1200
inline constexpr std::size_t kSharedOfMultiprocessor = std::size_t{100} << 10;
#else
inline constexpr std::size_t kSharedOfMultiprocessor = std::size_t{228} << 10;
#endif
inline constexpr std::size_t kSharedOfBlock = 1024;

#ifdef ESPALIER_HOST_CUDA

#define ESP_SHARED HOST_CUDA_SHARED
inline unsigned char* dynamic_shared() { return host_cuda::dynamic_shared(); }

template <class... P, class... A>
inline void launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared,
                   cudaStream_t stream, A... arguments) {
  host_cuda::launch(grid, block, shared, stream, [=] { kernel(static_cast<P>(arguments)...); });
}

template <class... P, class... A>
inline cudaError_t launch_together(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared,
                                   cudaStream_t stream, A... arguments) {
  return static_cast<cudaError_t>(host_cuda::launch_together(
      grid, block, shared, stream, [=] { kernel(static_cast<P>(arguments)...); }));
}

#else

#define ESP_SHARED __shared__
__device__ inline unsigned char* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char espalier_dynamic_shared[];
  return espalier_dynamic_shared;
}

/// Empty: what is known of its machine code holds for the other kernels too.
template <int = 0>
__global__ void known_kernel() {}

/// Whether kernels may start before the ones before them have ended, as those of Hopper and later
/// can (programmatic dependent launch): on the current device, with the code that it has loaded.
inline bool start_early() {
  constexpr int kMostDevices = 64;
  static std::atomic<signed char> known[kMostDevices];
  int device = 0;
  if (cudaGetDevice(&device) != cudaSuccess || device >= kMostDevices) return false;
  signed char state = known[device].load(std::memory_order_relaxed);
  if (state == 0) {
    cudaFuncAttributes attributes{};
    const bool can = cudaFuncGetAttributes(&attributes, known_kernel<0>) == cudaSuccess &&
                     attributes.binaryVersion >= 90 && attributes.ptxVersion >= 90;
    state = can ? 1 : -1;
    known[device].store(state, std::memory_order_relaxed);
  }
  return state > 0;
}

/// More than 48 KB must be asked for; a kernel's static shared memory counts too.
template <class... P>
inline void allow_shared(void (*kernel)(P...), std::size_t shared) {
  if (shared <= 32U * 1024U) return;
  (void)cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
}

/// Launches on a stream. Errors stay with the runtime: the backend asks once a step.
template <class... P, class... A>
inline void launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared,
                   cudaStream_t stream, A... arguments) {
  allow_shared(kernel, shared);
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = start_early() ? 1 : 0;
  (void)cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...);
}

/// Launches a kernel whose blocks may wait for each other (grid_barrier, ptx.cuh): all of them are
/// on the device at once, or it is an error, which is returned. It does not start before what comes
/// before it has ended.
template <class... P, class... A>
inline cudaError_t launch_together(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared,
                                   cudaStream_t stream, A... arguments) {
  allow_shared(kernel, shared);
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  return cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...);
}

#endif

/// Blocks of a kernel that a multiprocessor holds at a time: a launch_together() may have as many
/// for each. 0 where it cannot be said.
template <class... P>
inline std::uint32_t blocks_together(void (*kernel)(P...), unsigned threads, std::size_t shared) {
#ifndef ESPALIER_HOST_CUDA
  allow_shared(kernel, shared);
#endif
  int blocks = 0;
  if (cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, reinterpret_cast<const void*>(kernel),
                                                    static_cast<int>(threads),
                                                    shared) != cudaSuccess) {
    (void)cudaGetLastError();
    return 0;
  }
  return static_cast<std::uint32_t>(blocks);
}

}  // namespace espalier::runtime::cuda
