#include "runtime/cuda/device_choices.h"

#include <algorithm>
#include <utility>

#include "runtime/cuda/sample.h"

namespace espalier::runtime::cuda {
namespace {

// Masks that stay on the device: 16 KB each for a vocabulary of 128k.
constexpr std::uint32_t kMasks = 1024;

// What the kernel can answer; the rest is the host's.
bool chosen_on_device(const RowPlan& plan) {
  return plan.want == Want::kToken && plan.count == 0 && plan.sampling->top_k == 0 &&
         plan.sampling->top_p >= 1.0F && plan.sampling->min_p <= 0.0F &&
         (plan.counts == nullptr || !plan.sampling->has_penalties());
}

}  // namespace

Result<DeviceChoices> DeviceChoices::create(std::uint32_t vocabulary, const cpu::Kernels& kernels,
                                            cpu::WorkerPool& workers) {
  ESP_ASSIGN(auto masks, MaskTable::create(vocabulary, kMasks));
  ESP_ASSIGN(auto copies, SideCopies::create());
  return DeviceChoices(vocabulary, std::move(masks), std::move(copies), kernels, workers);
}

Result<bool> DeviceChoices::choose(std::span<const RowPlan> plans, const PlannedRows& planned,
                                   std::size_t begin, std::span<const std::uint32_t> of_rows,
                                   const float* logits, std::size_t stride, const Stream& stream,
                                   const std::string& what, std::span<RowResult> results) {
  masks_.begin();
  const auto count = static_cast<std::uint32_t>(of_rows.size());
  ESP_TRY(choices_.fit(count * sizeof(SampleRow), "choices"));
  ESP_TRY(choices_in_.fit(count * sizeof(SampleRow), "choices"));
  ESP_TRY(chosen_.fit(count * sizeof(SampleResult), "choices"));
  ESP_TRY(chosen_out_.fit(count * sizeof(SampleResult), "choices"));
  if (const std::size_t bytes = sample_scratch_bytes(count, vocabulary_); bytes > scratch_.size()) {
    ESP_TRY(scratch_.fit(bytes, "choices"));
    ESP_TRY(check(cudaMemsetAsync(scratch_.data(), 0, scratch_.size(), stream.get()), what));
  }
  std::size_t row = begin;
  for (std::uint32_t i = 0; i < count; ++i) {
    const RowPlan& plan = plans[of_rows[i]];
    while (planned.rows[row] != plan.row) ++row;
    SampleRow& choice = choices_.as<SampleRow>()[i];
    choice = {};
    choice.logits_row = static_cast<std::uint32_t>(row - begin);
    choice.temperature = plan.sampling->temperature;
    if (choice.temperature > 0) choice.uniform = plan.key.uniform(plan.counter);
    if (plan.mask == nullptr) continue;
    ESP_ASSIGN(choice.mask, masks_.place(plan.mask, copies_));
    choice.mask_words = masks_.words();
    if (choice.mask == nullptr) return false;
  }
  ESP_TRY(copies_.copy_in(choices_in_.data(), choices_.bytes().data(), count * sizeof(SampleRow)));
  ESP_TRY(copies_.join(stream));
  sample(stream.get(), count, choices_in_.as<SampleRow>(), logits, stride, vocabulary_,
         scratch_.data(), chosen_.as<SampleResult>());
  ESP_TRY(
      stream.copy_out(chosen_out_.bytes().data(), chosen_.data(), count * sizeof(SampleResult)));
  ESP_TRY(stream.wait(what));
  bool all = true;
  for (std::uint32_t i = 0; i < count; ++i) {
    const SampleResult& chosen = chosen_out_.as<SampleResult>()[i];
    if (chosen.state == SampleState::kChosen) {
      results[of_rows[i]].sampled = {chosen.token, chosen.probability};
    } else {
      all = false;  // the host words the error
    }
  }
  return all;
}

Status DeviceChoices::answer(std::span<const RowPlan> plans, const PlannedRows& planned,
                             std::size_t begin, std::size_t end, const float* logits,
                             std::size_t stride, const Stream& stream, const std::string& what,
                             std::span<RowResult> results) {
  const auto of_rows =
      std::span(planned.order)
          .subspan(planned.first[begin], planned.first[end] - planned.first[begin]);
  if (std::all_of(of_rows.begin(), of_rows.end(),
                  [&](std::uint32_t i) { return chosen_on_device(plans[i]); })) {
    ESP_ASSIGN(const bool done,
               choose(plans, planned, begin, of_rows, logits, stride, stream, what, results));
    if (done) return {};
  }
  const std::uint64_t bytes = (end - begin) * stride * sizeof(float);
  ESP_TRY(logits_.fit(bytes, "logits"));
  ESP_TRY(stream.copy_out(logits_.bytes().data(), logits, bytes));
  ESP_TRY(stream.wait(what));
  return answers_.answer(plans, planned, begin, end, logits_.as<float>(), stride, vocabulary_,
                         results);
}

}  // namespace espalier::runtime::cuda
