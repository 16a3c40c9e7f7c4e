#include "runtime/cuda/device.h"

#include <algorithm>

namespace espalier::runtime::cuda {
namespace {

// What kernels are built for at least (Ampere: asynchronous copies, int8 products of 16 x 8 x 32).
constexpr int kLeastMajor = 8;

thread_local std::uint64_t moved = 0;

std::string size_text(std::uint64_t bytes) {
  return std::to_string((bytes + (1U << 20) - 1) >> 20) + " MiB";
}

Status lacking(std::uint64_t bytes, const std::string& what, const char* where, cudaError_t error) {
  cudaGetLastError();  // an allocation that failed leaves the device usable: so says the next call
  std::string message = what + ": " + size_text(bytes) + " of " + where + " memory";
  std::size_t free = 0;
  std::size_t total = 0;
  if (cudaMemGetInfo(&free, &total) == cudaSuccess) {
    message += " (the device has " + size_text(free) + " free of " + size_text(total) + ")";
  }
  ESP_TRY(check(error, message));
  return {};
}

struct FoundDevices {
  std::vector<DeviceFacts> usable;
  std::string others;  // why those are not
};

Result<FoundDevices> find_devices() {
  int count = 0;
  ESP_TRY(check(cudaGetDeviceCount(&count), "looking for devices"));
  FoundDevices out;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties{};
    ESP_TRY(check(cudaGetDeviceProperties(&properties, i), "device " + std::to_string(i)));
    DeviceFacts facts;
    facts.number = i;
    facts.name = properties.name;
    facts.architecture = std::to_string(properties.major) + "." + std::to_string(properties.minor);
    facts.multiprocessors = static_cast<std::uint32_t>(properties.multiProcessorCount);
    if (properties.major >= kLeastMajor) {
      out.usable.push_back(std::move(facts));
    } else {
      out.others += "; device " + std::to_string(i) + " (" + facts.name +
                    ") has compute capability " + facts.architecture + ", the least is " +
                    std::to_string(kLeastMajor) + ".0";
    }
  }
  return out;
}

}  // namespace

Status check(cudaError_t error, const std::string& what) {
  if (error == cudaSuccess) return {};
  ErrorCode code = ErrorCode::kInternal;
  std::string advice;
  switch (error) {
    case cudaErrorMemoryAllocation:
      code = ErrorCode::kExhausted;
      break;
    case cudaErrorNoDevice:
      code = ErrorCode::kUnsupported;
      break;
    case cudaErrorInsufficientDriver:
      code = ErrorCode::kUnsupported;
      advice = "; no driver was found, or it is older than this build's CUDA " +
               std::to_string(CUDART_VERSION / 1000) + "." +
               std::to_string(CUDART_VERSION % 1000 / 10);
      break;
    case cudaErrorNoKernelImageForDevice:
      code = ErrorCode::kUnsupported;
      advice = "; build with -DCMAKE_CUDA_ARCHITECTURES set to this device's";
      break;
    case cudaErrorDevicesUnavailable:
      code = ErrorCode::kUnsupported;
      advice = "; another process may have it to itself (nvidia-smi shows its compute mode)";
      break;
    case cudaErrorNotSupported:
      code = ErrorCode::kUnsupported;
      break;
    default:
      break;
  }
  return fail(code, "CUDA: " + what + ": " + cudaGetErrorString(error) + advice);
}

Result<std::vector<DeviceFacts>> devices() {
  ESP_ASSIGN(FoundDevices found, find_devices());
  if (found.usable.empty()) {
    return fail(ErrorCode::kUnsupported, "CUDA: no device that can be used" + found.others);
  }
  return std::move(found.usable);
}

Result<std::vector<DeviceFacts>> named_devices(const std::vector<int>& numbers) {
  ESP_ASSIGN(const FoundDevices found, find_devices());
  std::vector<DeviceFacts> out;
  for (const int number : numbers) {
    const auto it = std::find_if(found.usable.begin(), found.usable.end(),
                                 [&](const auto& facts) { return facts.number == number; });
    if (it == found.usable.end()) {
      return fail(ErrorCode::kUnsupported, "CUDA: there is no usable device " +
                                               std::to_string(number) + "; there are " +
                                               std::to_string(found.usable.size()) + found.others);
    }
    out.push_back(*it);
  }
  return out;
}

Status use_device(int number) {
  return check(cudaSetDevice(number), "device " + std::to_string(number));
}

Result<std::uint64_t> free_bytes() {
  std::size_t free = 0;
  std::size_t total = 0;
  ESP_TRY(check(cudaMemGetInfo(&free, &total), "free memory"));
  return free;
}

Result<DeviceMemory> DeviceMemory::allocate(std::uint64_t bytes, const std::string& what) {
  DeviceMemory out;
  if (bytes == 0) return out;
  void* data = nullptr;
  if (const cudaError_t error = cudaMalloc(&data, bytes); error != cudaSuccess) {
    ESP_TRY(lacking(bytes, what, "device", error));
  }
  out.data_ = static_cast<std::byte*>(data);
  out.size_ = bytes;
  return out;
}

DeviceMemory::DeviceMemory(DeviceMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

DeviceMemory& DeviceMemory::operator=(DeviceMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

DeviceMemory::~DeviceMemory() {
  if (data_ != nullptr) cudaFree(data_);
}

std::uint64_t DeviceMemory::moves() { return moved; }

Status DeviceMemory::fit(std::uint64_t bytes, const std::string& what) {
  if (bytes <= size_) return {};
  ++moved;
  // The old block goes first: both might not fit. cudaFree waits for what still uses it.
  const std::uint64_t size = std::max(bytes, size_ + size_ / 2);
  *this = DeviceMemory();
  auto made = allocate(size, what);
  if (!made && size > bytes) made = allocate(bytes, what);
  if (!made) return fail(std::move(made).error());
  *this = std::move(*made);
  return {};
}

PinnedMemory::PinnedMemory(PinnedMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

PinnedMemory& PinnedMemory::operator=(PinnedMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

PinnedMemory::~PinnedMemory() {
  if (data_ != nullptr) cudaFreeHost(data_);
}

Status PinnedMemory::fit(std::uint64_t bytes, const std::string& what) {
  if (bytes <= size_) return {};
  const std::uint64_t size = std::max(bytes, size_ + size_ / 2);
  *this = PinnedMemory();
  void* data = nullptr;
  if (const cudaError_t error = cudaMallocHost(&data, size); error != cudaSuccess) {
    ESP_TRY(lacking(size, what, "pinned host", error));
  }
  data_ = static_cast<std::byte*>(data);
  size_ = size;
  return {};
}

Result<Stream> Stream::create() {
  Stream out;
  ESP_TRY(check(cudaStreamCreateWithFlags(&out.stream_, cudaStreamNonBlocking), "stream"));
  return out;
}

Stream::~Stream() {
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
}

Status Stream::copy_in(void* to, const void* from, std::uint64_t bytes) const {
  if (bytes == 0) return {};
  return check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_),
               "copying to the device");
}

Status Stream::copy_out(void* to, const void* from, std::uint64_t bytes) const {
  if (bytes == 0) return {};
  return check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_),
               "copying from the device");
}

Result<Event> Event::create(bool timed) {
  Event out;
  ESP_TRY(check(
      cudaEventCreateWithFlags(&out.event_, timed ? cudaEventDefault : cudaEventDisableTiming),
      "event"));
  return out;
}

Event::~Event() {
  if (event_ != nullptr) cudaEventDestroy(event_);
}

Status Event::record(const Stream& stream) const {
  return check(cudaEventRecord(event_, stream.get()), "recording an event");
}

Status Event::hold(const Stream& stream) const {
  return check(cudaStreamWaitEvent(stream.get(), event_, 0), "waiting for an event");
}

bool Event::reached() const { return cudaEventQuery(event_) == cudaSuccess; }

Status Event::wait(const std::string& what) const {
  const cudaError_t launched = cudaGetLastError();
  ESP_TRY(check(cudaEventSynchronize(event_), what));
  return check(launched, what);
}

Result<double> Event::seconds_since(const Event& begin) const {
  float milliseconds = 0;
  ESP_TRY(check(cudaEventElapsedTime(&milliseconds, begin.event_, event_), "timing"));
  return static_cast<double>(milliseconds) / 1e3;
}

Status Stream::wait(const std::string& what) const {
  const cudaError_t launched = cudaGetLastError();
  ESP_TRY(check(cudaStreamSynchronize(stream_), what));
  return check(launched, what);
}

}  // namespace espalier::runtime::cuda
