// From logits to the answers of a step's plans: what all backends that sample on the host share.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "runtime/backend.h"
#include "runtime/cpu/kernels.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/sampling/sampler.h"

namespace espalier::runtime {

/// What a plan is answered without logits: the token where its mask allows one alone and nothing
/// else is asked for, else kNoToken.
[[nodiscard]] TokenId only_token(const RowPlan& plan, std::uint32_t vocabulary);

/// The rows whose logits plans need, rising and once each, with their plans. Plans with
/// only_token() need none: they are answered with it in `results`, and rows that only they name are
/// not among these. May throw bad_alloc.
struct PlannedRows {
  PlannedRows(std::span<const RowPlan> plans, std::uint32_t vocabulary,
              std::span<RowResult> results);
  /// Takes `wanted` rows in among these, which are some of them: the others have no plans.
  void spread_over(std::span<const std::uint32_t> wanted);
  /// Whether any of rows [begin, end) has plans.
  [[nodiscard]] bool any(std::size_t begin, std::size_t end) const {
    return first[begin] != first[end];
  }

  std::vector<std::uint32_t> rows;
  std::vector<std::uint32_t> order;  // of plans: by row, then as they were given
  std::vector<std::uint32_t> first;  // rows[i] has the plans order[first[i]] to order[first[i + 1]]
};

/// The tokens whose logits the plans of rows [begin, end) of `planned` may look at, as the words of
/// a mask: empty where it is all of them.
[[nodiscard]] std::vector<std::uint64_t> wanted_tokens(std::span<const RowPlan> plans,
                                                       const PlannedRows& planned,
                                                       std::size_t begin, std::size_t end);

/// Check what would make a step read or write outside memory, always: it is short beside a step.
/// `before`: the plans that rows may name.
void check_batch(const BackendInfo& info, const Batch& batch, std::span<const std::uint32_t> wanted,
                 std::span<const RowPlan> before = {});
void check_plans(const BackendInfo& info, std::span<const std::uint32_t> wanted,
                 std::span<const RowPlan> plans);

class PlanAnswers {
 public:
  /// Both outlive it.
  PlanAnswers(const cpu::Kernels& kernels, cpu::WorkerPool& workers)
      : workers_(workers), samplers_(workers.threads(), Sampler(kernels)) {}

  /// Answers the plans of rows [begin, end) of `planned`; logits[(i - begin) * stride] on are those
  /// of planned.rows[i]. kInternal where a logit that matters is not finite, kExhausted.
  [[nodiscard]] Status answer(std::span<const RowPlan> plans, const PlannedRows& planned,
                              std::size_t begin, std::size_t end, const float* logits,
                              std::size_t stride, std::uint32_t vocabulary,
                              std::span<RowResult> results);

 private:
  cpu::WorkerPool& workers_;
  std::vector<Sampler> samplers_;
};

}  // namespace espalier::runtime
