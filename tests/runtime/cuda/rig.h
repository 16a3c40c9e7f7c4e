// What tests of kernels share: memory of the device, shuffled orders, failures of the shim.
#pragma once

#include <cuda_runtime.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace espalier::runtime::cuda {

/// An array on the device; what was not written is poison.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t size) : size_(size) {
    EXPECT_EQ(cudaMalloc(&data_, size * sizeof(T)), cudaSuccess);
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) { write(values); }
  ~DeviceArray() { EXPECT_EQ(cudaFree(data_), cudaSuccess); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  [[nodiscard]] T* get() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  void write(const std::vector<T>& values) {
    ASSERT_LE(values.size(), size_);
    EXPECT_EQ(cudaMemcpy(data_, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice),
              cudaSuccess);
  }
  [[nodiscard]] std::vector<T> read() const {
    std::vector<T> values(size_);
    EXPECT_EQ(cudaMemcpy(values.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost),
              cudaSuccess);
    return values;
  }

 private:
  T* data_ = nullptr;
  std::size_t size_;
};

#ifdef ESPALIER_HOST_CUDA
/// Failures of the shim are collected here while it lives, instead of failing the test.
class CollectedFailures {
 public:
  CollectedFailures();
  ~CollectedFailures();
  CollectedFailures(const CollectedFailures&) = delete;
  CollectedFailures& operator=(const CollectedFailures&) = delete;

  [[nodiscard]] const std::vector<std::string>& messages() const { return messages_; }

 private:
  std::vector<std::string> messages_;
};

inline void set_order(std::uint64_t seed) { host_cuda::set_order_seed(seed); }
#else
/// A device has an order of its own.
inline void set_order(std::uint64_t) {}
#endif

/// Whether laws try all that they have (`make test-all`), where some of it shows as much.
inline bool in_full() { return std::getenv("ESPALIER_LONG") != nullptr; }

/// Runs `check` with threads in order (0) and in a few shuffled orders.
template <class F>
void in_all_orders(F check, std::uint64_t orders = 4, std::uint64_t first = 0) {
  for (std::uint64_t seed = first; seed < orders; ++seed) {
    SCOPED_TRACE("order seed " + std::to_string(seed));
    set_order(seed);
    check();
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  }
  set_order(0);
}

template <class T>
::testing::AssertionResult same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) {
    return ::testing::AssertionFailure() << "sizes " << a.size() << " and " << b.size();
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): bits are what is compared
    if (std::memcmp(&a[i], &b[i], sizeof(T)) != 0) {
      return ::testing::AssertionFailure() << "at " << i << ": " << +a[i] << " != " << +b[i];
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace espalier::runtime::cuda
