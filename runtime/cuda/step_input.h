// What a step sends to the device, in one copy: sections of a pinned block and where they will lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "runtime/cuda/device.h"

namespace espalier::runtime::cuda {

class StepInput {
 public:
  /// A section's place in the block.
  struct Place {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };

  /// Begins the input of a step; the last one's has been copied.
  void clear() { size_ = 0; }
  template <class T>
  [[nodiscard]] Place add(std::uint64_t count) {
    const Place place{size_, count * sizeof(T)};
    size_ += (place.bytes + kAlign - 1) / kAlign * kAlign;
    return place;
  }
  /// Room for all that was added. kExhausted.
  [[nodiscard]] Status reserve() {
    ESP_TRY(host_.fit(size_, "a step's input"));
    return device_.fit(size_, "a step's input");
  }
  /// `copies`: a Stream or SideCopies.
  template <class Copies>
  [[nodiscard]] Status send(const Copies& copies) const {
    return copies.copy_in(device_.data(), host_.bytes().data(), size_);
  }

  /// A section, to be filled after reserve() and before send().
  template <class T>
  [[nodiscard]] std::span<T> host(Place place) const {
    return {host_.as<T>(place.offset), place.bytes / sizeof(T)};
  }
  template <class T>
  [[nodiscard]] T* device(Place place) const {
    return device_.as<T>(place.offset);
  }

 private:
  static constexpr std::uint64_t kAlign = 256;
  PinnedMemory host_;
  DeviceMemory device_;
  std::uint64_t size_ = 0;
};

}  // namespace espalier::runtime::cuda
