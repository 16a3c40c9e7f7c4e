#include "runtime/cuda/limits.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "runtime/cuda/device.h"
#include "runtime/cuda/tensor_products.h"

namespace espalier::runtime::cuda {
namespace {

constexpr int kRuns = 10;

// The least seconds of kRuns of what `enqueue()`, a Status, enqueues. Endless where none took any.
template <class Enqueue>
Result<double> least_seconds(const Stream& stream, Enqueue&& enqueue) {
  ESP_ASSIGN(const Event begin, Event::create(true));
  ESP_ASSIGN(const Event end, Event::create(true));
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kRuns; ++i) {
    ESP_TRY(begin.record(stream));
    ESP_TRY(enqueue());
    ESP_TRY(end.record(stream));
    ESP_TRY(stream.wait("measuring"));
    ESP_ASSIGN(const double took, end.seconds_since(begin));
    if (took > 0) least = std::min(least, took);
  }
  return least;
}

// Numbers from a half to one, of either sign: equal ones would be cheaper to multiply.
Status fill(const Stream& stream, const DeviceMemory& matrix, bool e4m3) {
  std::vector<std::uint16_t> numbers(std::size_t{1} << 20);
  std::mt19937 random(1);
  for (std::uint16_t& it : numbers) {
    it = static_cast<std::uint16_t>(e4m3 ? (random() & 0x8787U) | 0x3030U
                                         : (random() & 0x807FU) | 0x3F00U);
  }
  const std::uint64_t bytes = numbers.size() * sizeof(std::uint16_t);
  for (std::uint64_t at = 0; at < matrix.size(); at += bytes) {
    ESP_TRY(
        stream.copy_in(matrix.data() + at, numbers.data(), std::min(bytes, matrix.size() - at)));
  }
  return stream.wait("measuring");
}

Result<double> products_per_second(const Stream& stream, const CublasLtFunctions& functions,
                                   WeightFormat format) {
#ifdef ESPALIER_HOST_CUDA
  constexpr std::uint32_t kSide = 128;  // where the time says nothing
#else
  constexpr std::uint32_t kSide = 8192;
#endif
  constexpr std::uint64_t kNumbers = std::uint64_t{kSide} * kSide;
  ESP_ASSIGN(const auto products, TensorProducts::create(functions));
  ESP_ASSIGN(const DeviceMemory weights, DeviceMemory::allocate(kNumbers * 2, "measuring"));
  ESP_ASSIGN(const DeviceMemory rows, DeviceMemory::allocate(kNumbers * 2, "measuring"));
  ESP_ASSIGN(const DeviceMemory out, DeviceMemory::allocate(kNumbers * 4, "measuring"));
  const bool e4m3 = format == WeightFormat::kE4M3;
  ESP_TRY(fill(stream, weights, e4m3));
  ESP_TRY(fill(stream, rows, e4m3));
  DeviceMatrix matrix;
  matrix.data = weights.as<unsigned char>();
  matrix.rows = matrix.columns = kSide;
  matrix.format = format;
  const StripRows x{rows.as<std::uint16_t>(), kSide, matrix.format};
  const E4m3Rows codes{rows.as<std::uint8_t>(), nullptr, kSide};
  ESP_ASSIGN(const double seconds, least_seconds(stream, [&]() -> Status {
               if (!e4m3) {
                 return products->product(stream, matrix, x, kSide, out.as<float>(), kSide, false);
               }
               ESP_ASSIGN(const bool enqueued, products->code_product(stream, matrix, codes, kSide,
                                                                      out.as<float>(), kSide));
               if (enqueued) return {};
               return fail(ErrorCode::kUnsupported,
                           "CUDA: cuBLASLt has no products of E4M3 matrices here");
             }));
  return static_cast<double>(kNumbers) * kSide / seconds;
}

}  // namespace

Result<MeasuredLimits> measure_limits(int device, const CublasLtFunctions* tensor,
                                      WeightFormat format) {
  constexpr std::uint64_t kBytes = std::uint64_t{1} << 30;
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
  ESP_ASSIGN(const double seconds, least_seconds(stream, [&] {
               return check(cudaMemcpyAsync(to.data(), from.data(), kBytes,
                                            cudaMemcpyDeviceToDevice, stream.get()),
                            "measuring");
             }));
  out.bytes_per_second = 2.0 * kBytes / seconds;
  if (tensor != nullptr) {
    ESP_ASSIGN(out.products_per_second, products_per_second(stream, *tensor, format));
  }
  return out;
}

}  // namespace espalier::runtime::cuda
