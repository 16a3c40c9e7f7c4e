// Owned things of a CUDA device: memory, pinned host memory, a stream; and its errors as ours.
//
// All are move-only and free what they own. Everything belongs to the device that is current on the
// calling thread (use_device). A device that is lost (an illegal access, a fault of the hardware)
// answers every later call with an error too; the process and what it has on disk go on.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace espalier::runtime::cuda {

/// kExhausted for lacking memory, kUnsupported where there is no driver or device for this build,
/// else kInternal; the message says what was tried and what CUDA calls the error.
[[nodiscard]] Status check(cudaError_t error, const std::string& what);

struct DeviceFacts {
  int number = 0;
  std::string name;
  std::string architecture;  // "9.0"
  std::uint32_t multiprocessors = 0;
};
/// The devices that this build can use. kUnsupported, saying why, where there is none.
[[nodiscard]] Result<std::vector<DeviceFacts>> devices();
/// Of these devices, in this order. kUnsupported, saying why, where one cannot be used.
[[nodiscard]] Result<std::vector<DeviceFacts>> named_devices(const std::vector<int>& numbers);
/// Makes a device current on this thread.
[[nodiscard]] Status use_device(int number);
/// Bytes that are free on the current device.
[[nodiscard]] Result<std::uint64_t> free_bytes();

/// Memory of the current device.
class DeviceMemory {
 public:
  /// kExhausted, naming `what`, the size and what is free. Zero bytes own nothing.
  [[nodiscard]] static Result<DeviceMemory> allocate(std::uint64_t bytes, const std::string& what);
  DeviceMemory() = default;
  DeviceMemory(DeviceMemory&& other) noexcept;
  DeviceMemory& operator=(DeviceMemory&& other) noexcept;
  ~DeviceMemory();

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  template <class T>
  [[nodiscard]] T* as(std::uint64_t byte_offset = 0) const {
    return reinterpret_cast<T*>(data_ + byte_offset);
  }
  /// Room for `bytes`, at least; what was in it is lost where it grows.
  [[nodiscard]] Status fit(std::uint64_t bytes, const std::string& what);
  /// Counts blocks that have grown, and so moved, in this thread.
  [[nodiscard]] static std::uint64_t moves();

 private:
  std::byte* data_ = nullptr;
  std::uint64_t size_ = 0;
};

/// Host memory that the device copies from and to without help.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  PinnedMemory(PinnedMemory&& other) noexcept;
  PinnedMemory& operator=(PinnedMemory&& other) noexcept;
  ~PinnedMemory();

  /// As DeviceMemory::fit.
  [[nodiscard]] Status fit(std::uint64_t bytes, const std::string& what);
  [[nodiscard]] std::span<std::byte> bytes() const { return {data_, size_}; }
  template <class T>
  [[nodiscard]] T* as(std::uint64_t byte_offset = 0) const {
    return reinterpret_cast<T*>(data_ + byte_offset);
  }

 private:
  std::byte* data_ = nullptr;
  std::uint64_t size_ = 0;
};

/// A queue of work on the current device.
class Stream {
 public:
  [[nodiscard]] static Result<Stream> create();
  Stream() = default;
  Stream(Stream&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)) {}
  Stream& operator=(Stream&& other) noexcept {
    std::swap(stream_, other.stream_);
    return *this;
  }
  ~Stream();

  [[nodiscard]] cudaStream_t get() const { return stream_; }
  [[nodiscard]] Status copy_in(void* to, const void* from, std::uint64_t bytes) const;
  [[nodiscard]] Status copy_out(void* to, const void* from, std::uint64_t bytes) const;
  /// Waits for all of it; also reports what went wrong in launches since the last call.
  [[nodiscard]] Status wait(const std::string& what) const;

 private:
  cudaStream_t stream_ = nullptr;
};

/// A place in a stream's work.
class Event {
 public:
  /// `timed`: seconds_since() may be asked.
  [[nodiscard]] static Result<Event> create(bool timed);
  Event() = default;
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&& other) noexcept {
    std::swap(event_, other.event_);
    return *this;
  }
  ~Event();

  /// Behind all that the stream has so far.
  [[nodiscard]] Status record(const Stream& stream) const;
  /// What the stream is given from now on waits for it; the host does not.
  [[nodiscard]] Status hold(const Stream& stream) const;
  [[nodiscard]] bool reached() const;
  /// Stream::wait(), for what comes before it alone.
  [[nodiscard]] Status wait(const std::string& what) const;
  /// From `begin` to this one, both reached.
  [[nodiscard]] Result<double> seconds_since(const Event& begin) const;

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace espalier::runtime::cuda
