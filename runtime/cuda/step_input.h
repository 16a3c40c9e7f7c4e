// What a step sends to the device, in one copy: sections of a pinned block and where they will lie.
//
// On the host there are two such blocks, which steps have in turn: one is written while the other
// may still be waiting to be copied. On the device there is one, for copies come in order.
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

  /// Begins the input of a step; that of the one before the last has been copied.
  void clear() {
    size_ = 0;
    turn_ = 1 - turn_;
  }
  template <class T>
  [[nodiscard]] Place add(std::uint64_t count) {
    const Place place{size_, count * sizeof(T)};
    size_ += (place.bytes + kAlign - 1) / kAlign * kAlign;
    return place;
  }
  /// Room for all that was added. kExhausted.
  [[nodiscard]] Status reserve() {
    ESP_TRY(host_[turn_].fit(size_, "a step's input"));
    return device_.fit(size_, "a step's input");
  }
  /// `copies`: a Stream or SideCopies.
  template <class Copies>
  [[nodiscard]] Status send(const Copies& copies) const {
    return copies.copy_in(device_.data(), host_[turn_].bytes().data(), size_);
  }

  /// A section, to be filled after reserve() and before send().
  template <class T>
  [[nodiscard]] std::span<T> host(Place place) const {
    return {host_[turn_].as<T>(place.offset), place.bytes / sizeof(T)};
  }
  template <class T>
  [[nodiscard]] T* device(Place place) const {
    return device_.as<T>(place.offset);
  }

 private:
  static constexpr std::uint64_t kAlign = 256;
  PinnedMemory host_[2];
  unsigned turn_ = 0;
  DeviceMemory device_;
  std::uint64_t size_ = 0;
};

}  // namespace espalier::runtime::cuda
