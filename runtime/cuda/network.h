// Who is linked with whom: the ranks of several devices, and how they leave each other where one
// fails.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/result.h"
#include "runtime/cuda/communicator.h"
#include "runtime/cuda/forward.h"

namespace espalier::runtime::cuda {

/// Links between the devices of these numbers, in order.
using MakeGroup = std::function<Result<Group>(const std::vector<int>& devices)>;

/// The ranks' links: those of a stage, and those of the same place in each stage.
class Network {
 public:
  Network(MakeGroup make, std::vector<int> devices, std::uint32_t tensor)
      : make_(std::move(make)), devices_(std::move(devices)), tensor_(tensor) {}

  /// Makes what is not there: at first, and after give_up().
  Status join() {
    if (!gone_ && !links_.empty()) return {};
    links_.assign(devices_.size(), {});
    groups_.clear();
    gone_ = false;
    const auto stages = static_cast<std::uint32_t>(devices_.size()) / tensor_;
    if (tensor_ > 1) {
      for (std::uint32_t s = 0; s < stages; ++s) {
        ESP_TRY(join(s * tensor_, 1, tensor_, &Links::across));
      }
    }
    if (stages > 1) {
      for (std::uint32_t r = 0; r < tensor_; ++r) {
        ESP_TRY(join(r, tensor_, stages, &Links::along));
      }
    }
    return {};
  }
  [[nodiscard]] const Links& of(std::uint32_t rank) const { return links_[rank]; }
  /// From any rank's thread.
  void give_up() {
    gone_ = true;
    for (const Group& group : groups_) {
      for (const auto& it : group) it->give_up();
    }
  }

 private:
  Status join(std::uint32_t first, std::uint32_t step, std::uint32_t count,
              Communicator* Links::*link) {
    std::vector<int> devices;
    for (std::uint32_t i = 0; i < count; ++i) devices.push_back(devices_[first + i * step]);
    auto group = make_(devices);
    if (!group) {
      links_.clear();
      return fail(std::move(group).error());
    }
    for (std::uint32_t i = 0; i < count; ++i) links_[first + i * step].*link = (*group)[i].get();
    groups_.push_back(std::move(*group));
    return {};
  }

  MakeGroup make_;
  std::vector<int> devices_;
  std::uint32_t tensor_;
  std::vector<Group> groups_;
  std::vector<Links> links_;
  std::atomic<bool> gone_ = false;
};

}  // namespace espalier::runtime::cuda
