// A model's layers as one kernel (one_kernel.h) takes them, where it can: what lies on the device
// for it, and whether a step goes that way.
//
// By the rule it does where layers are small, since then it is launches that take the time; or as a
// measurement says (StepSizes::one_kernel). No bit depends on it.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/one_kernel.h"
#include "runtime/cuda/weights.h"
#include "runtime/model/model.h"

namespace espalier::runtime::cuda {

class LayersTogether {
 public:
  /// None, which has no blocks.
  LayersTogether() = default;
  /// Of layers whose weights outlive it, over pages of this type: none where the kernel cannot take
  /// them or the current device cannot run it. kExhausted.
  [[nodiscard]] static Result<LayersTogether> create(const DeviceWeights& weights,
                                                     const ModelShape& shape, KvType kv_type,
                                                     std::uint32_t multiprocessors,
                                                     const Stream& stream);

  /// Blocks of a step of so many rows; 0: one kernel a stage. `wanted`: StepSizes::one_kernel.
  [[nodiscard]] std::uint32_t blocks(std::uint32_t rows, std::uint32_t wanted) const;
  /// Enqueues the layers: fills in what it has of the call. What follows is where they have left
  /// the residual stream, up to a last block that is still to be added (post norms).
  [[nodiscard]] cudaError_t run(const Stream& stream, std::uint32_t blocks,
                                OneKernelCall call) const;
  /// Where run() leaves the residual stream.
  [[nodiscard]] float* residual(const OneKernelCall& call) const;
  /// The most blocks a multiprocessor; 0: there is no such kernel.
  [[nodiscard]] std::uint32_t most_blocks() const { return blocks_; }
  /// From now on it has no blocks.
  void give_up() { blocks_ = 0; }

 private:
  DeviceMemory facts_;
  DeviceMemory turned_;
  DeviceMemory barrier_;
  std::uint32_t layers_ = 0;
  std::uint32_t moves_ = 0;  // of the residual stream, but for a last layer's rows
  bool last_has_post_ = false;
  std::uint32_t most_rows_ = 0;
  std::size_t shared_ = 0;
  std::uint32_t multiprocessors_ = 0;
  std::uint32_t blocks_ = 0;  // the most a multiprocessor
  std::uint32_t by_rule_ = 0;
};

}  // namespace espalier::runtime::cuda
