#include "runtime/cuda/limits.h"

#include <algorithm>
#include <cstdint>

#include "runtime/cuda/device.h"

namespace espalier::runtime::cuda {

Result<MeasuredLimits> measure_limits(int device) {
  constexpr std::uint64_t kBytes = std::uint64_t{1} << 30;
  constexpr int kRuns = 10;
  ESP_TRY(use_device(device));
  MeasuredLimits out;
  ESP_ASSIGN(const auto all, devices());
  for (const DeviceFacts& facts : all) {
    if (facts.number != device) continue;
    out.architecture = "sm_" + facts.architecture;
    std::erase(out.architecture, '.');
  }
  ESP_ASSIGN(const DeviceMemory from, DeviceMemory::allocate(kBytes, "measuring"));
  ESP_ASSIGN(const DeviceMemory to, DeviceMemory::allocate(kBytes, "measuring"));
  ESP_ASSIGN(const Stream stream, Stream::create());
  // Not zeros: those are cheaper to move.
  ESP_TRY(check(cudaMemsetAsync(from.data(), 0x5B, kBytes, stream.get()), "measuring"));
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  ESP_TRY(check(cudaEventCreate(&begin), "event"));
  ESP_TRY(check(cudaEventCreate(&end), "event"));
  Status status;
  for (int i = 0; i < kRuns && status; ++i) {
    cudaEventRecord(begin, stream.get());
    cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice, stream.get());
    cudaEventRecord(end, stream.get());
    status = stream.wait("measuring");
    float milliseconds = 0;
    cudaEventElapsedTime(&milliseconds, begin, end);
    if (milliseconds > 0) {
      out.bytes_per_second =
          std::max(out.bytes_per_second, 2.0 * kBytes / (static_cast<double>(milliseconds) / 1e3));
    }
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  ESP_TRY(std::move(status));
  return out;
}

}  // namespace espalier::runtime::cuda
