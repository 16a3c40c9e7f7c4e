// How ranks, each a device with a thread of its own, give each other what they have computed.
//
// What a model in several places needs, and no more: all ranks of a layer gather the columns that
// each of them has formed, and a stage of layers sends the residual stream to the next one. Nothing
// is reduced: sums across ranks would depend on how many there are (../model/model_part.h).
//
// A rank's calls come from its own thread, on its device, and all ranks make the same calls in the
// same order. There are two kinds: ThreadCommunicator, which copies between the devices of this
// process and works everywhere, and NcclCommunicator.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "runtime/cuda/device.h"

namespace espalier::runtime::cuda {

class Communicator {
 public:
  Communicator() = default;
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  [[nodiscard]] virtual std::uint32_t rank() const = 0;
  [[nodiscard]] virtual std::uint32_t ranks() const = 0;
  /// Enqueues: rank r's floats [offsets[r], offsets[r + 1]) of `buffer` become everybody's. The own
  /// ones are in place; all ranks give the same offsets, ranks() + 1 of them.
  [[nodiscard]] virtual Status all_gather(float* buffer, std::span<const std::uint64_t> offsets,
                                          const Stream& stream) = 0;
  /// Enqueues the two ends of a copy of `count` floats from a rank to another.
  [[nodiscard]] virtual Status send(const float* from, std::uint64_t count, std::uint32_t to,
                                    const Stream& stream) = 0;
  [[nodiscard]] virtual Status receive(float* to, std::uint64_t count, std::uint32_t from,
                                       const Stream& stream) = 0;
  /// Whether its calls can be recorded in a graph.
  [[nodiscard]] virtual bool records() const = 0;
  /// One rank has failed: what waits for it, in any rank, fails now with kCancelled, and so does
  /// every later call. From any thread.
  virtual void give_up() = 0;
};

/// Communicators of a group, by rank.
using Group = std::vector<std::unique_ptr<Communicator>>;

}  // namespace espalier::runtime::cuda
