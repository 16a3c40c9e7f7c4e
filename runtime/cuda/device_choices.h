// From logits on the device to the answers of a step's plans: masks and choices there, what only
// the host can do on the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "runtime/backend.h"
#include "runtime/cpu/kernels.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/mask_table.h"
#include "runtime/cuda/side_copies.h"
#include "runtime/sampling/plan_answers.h"

namespace espalier::runtime::cuda {

/// Lives on the device that is current when it is used. Used by one thread.
class DeviceChoices {
 public:
  /// `kernels` and `workers` outlive it. kExhausted.
  [[nodiscard]] static Result<DeviceChoices> create(std::uint32_t vocabulary,
                                                    const cpu::Kernels& kernels,
                                                    cpu::WorkerPool& workers);

  /// As PlanAnswers::answer, of logits that the stream will have computed; waits for it. Masks go
  /// up beside what the stream does meanwhile. `what` names the step in errors.
  [[nodiscard]] Status answer(std::span<const RowPlan> plans, const PlannedRows& planned,
                              std::size_t begin, std::size_t end, const float* logits,
                              std::size_t stride, const Stream& stream, const std::string& what,
                              std::span<RowResult> results);

 private:
  DeviceChoices(std::uint32_t vocabulary, MaskTable masks, SideCopies copies,
                const cpu::Kernels& kernels, cpu::WorkerPool& workers)
      : vocabulary_(vocabulary),
        answers_(kernels, workers),
        masks_(std::move(masks)),
        copies_(std::move(copies)) {}
  /// False where the host must choose.
  [[nodiscard]] Result<bool> choose(std::span<const RowPlan> plans, const PlannedRows& planned,
                                    std::size_t begin, std::span<const std::uint32_t> of_rows,
                                    const float* logits, std::size_t stride, const Stream& stream,
                                    const std::string& what, std::span<RowResult> results);

  std::uint32_t vocabulary_;
  PlanAnswers answers_;
  MaskTable masks_;
  SideCopies copies_;
  PinnedMemory logits_, choices_, chosen_out_;
  DeviceMemory choices_in_, chosen_, scratch_;
};

}  // namespace espalier::runtime::cuda
