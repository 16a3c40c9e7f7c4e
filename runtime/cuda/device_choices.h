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
#include "runtime/cuda/device_watch.h"
#include "runtime/cuda/mask_table.h"
#include "runtime/cuda/sample.h"
#include "runtime/cuda/side_copies.h"
#include "runtime/sampling/plan_answers.h"

namespace espalier::runtime::cuda {

/// Whether the device can answer a plan; the rest is the host's.
[[nodiscard]] bool chosen_on_device(const RowPlan& plan);

/// Lives on the device that is current when it is used. Used by one thread.
class DeviceChoices {
 public:
  /// `kernels` and `workers` outlive it. kExhausted.
  [[nodiscard]] static Result<DeviceChoices> create(std::uint32_t vocabulary,
                                                    const cpu::Kernels& kernels,
                                                    cpu::WorkerPool& workers);

  /// What is to be answered: as PlanAnswers::answer, of logits that the stream will have computed.
  /// `what` names the step in errors.
  struct Question {
    std::span<const RowPlan> plans;
    const PlannedRows& planned;
    std::size_t begin, end;
    const float* logits;
    std::size_t stride;
    const std::string& what;
    DeviceWatch* watch = nullptr;
  };
  /// Enqueues the choices. Masks go up beside what the stream does meanwhile.
  [[nodiscard]] Status ask(const Question& question, const Stream& stream);
  /// Waits for what was asked last, and for nothing that the stream was given since, but where the
  /// host must choose.
  [[nodiscard]] Status collect(const Question& question, const Stream& stream,
                               std::span<RowResult> results);

  /// Whether the device chooses what was asked last; else the host must.
  [[nodiscard]] bool chooses() const { return asked_; }
  /// Where it leaves that; null before anything was asked.
  [[nodiscard]] const SampleResult* choices() const { return chosen_.as<SampleResult>(); }
  /// The number of a plan among them: of one that is among the question's, with a token to choose.
  [[nodiscard]] std::uint32_t number_of(const Question& question, std::uint32_t plan) const;
  /// How many there are.
  [[nodiscard]] static std::uint64_t asked_count(const Question& question);

 private:
  DeviceChoices(std::uint32_t vocabulary, MaskTable masks, SideCopies copies, Event chosen,
                const cpu::Kernels& kernels, cpu::WorkerPool& workers)
      : vocabulary_(vocabulary),
        answers_(kernels, workers),
        masks_(std::move(masks)),
        copies_(std::move(copies)),
        chosen_there_(std::move(chosen)) {}
  [[nodiscard]] Status choose(const Question& question, std::span<const std::uint32_t> of_rows,
                              const Stream& stream);

  std::uint32_t vocabulary_;
  PlanAnswers answers_;
  MaskTable masks_;
  SideCopies copies_;
  Event chosen_there_;
  bool asked_ = false;
  PinnedMemory logits_, choices_, chosen_out_;
  DeviceMemory choices_in_, chosen_, scratch_;
};

}  // namespace espalier::runtime::cuda
