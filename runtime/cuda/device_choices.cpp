#include "runtime/cuda/device_choices.h"

#include <algorithm>
#include <utility>

#include "runtime/cuda/sample.h"

namespace espalier::runtime::cuda {
namespace {

// Masks that stay on the device: 16 KB each for a vocabulary of 128k.
constexpr std::uint32_t kMasks = 1024;

std::span<const std::uint32_t> of_rows(const DeviceChoices::Question& question) {
  const PlannedRows& planned = question.planned;
  return std::span(planned.order)
      .subspan(planned.first[question.begin],
               planned.first[question.end] - planned.first[question.begin]);
}

}  // namespace

bool chosen_on_device(const RowPlan& plan) {
  return plan.want == Want::kToken && plan.count == 0 && plan.sampling->top_k == 0 &&
         plan.sampling->top_p >= 1.0F && plan.sampling->min_p <= 0.0F &&
         (plan.counts == nullptr || !plan.sampling->has_penalties());
}

Result<DeviceChoices> DeviceChoices::create(std::uint32_t vocabulary, const cpu::Kernels& kernels,
                                            cpu::WorkerPool& workers) {
  ESP_ASSIGN(auto masks, MaskTable::create(vocabulary, kMasks));
  ESP_ASSIGN(auto copies, SideCopies::create());
  ESP_ASSIGN(auto chosen, Event::create(false));
  return DeviceChoices(vocabulary, std::move(masks), std::move(copies), std::move(chosen), kernels,
                       workers);
}

// Sets asked_, but where there are more masks than there is room for.
Status DeviceChoices::choose(const Question& question, std::span<const std::uint32_t> of_rows,
                             const Stream& stream) {
  masks_.begin();
  const auto count = static_cast<std::uint32_t>(of_rows.size());
  ESP_TRY(choices_.fit(count * sizeof(SampleRow), "choices"));
  ESP_TRY(choices_in_.fit(count * sizeof(SampleRow), "choices"));
  ESP_TRY(chosen_.fit(count * sizeof(SampleResult), "choices"));
  ESP_TRY(chosen_out_.fit(count * sizeof(SampleResult), "choices"));
  if (const std::size_t bytes = sample_scratch_bytes(count, vocabulary_); bytes > scratch_.size()) {
    ESP_TRY(scratch_.fit(bytes, "choices"));
    ESP_TRY(
        check(cudaMemsetAsync(scratch_.data(), 0, scratch_.size(), stream.get()), question.what));
  }
  std::size_t row = question.begin;
  for (std::uint32_t i = 0; i < count; ++i) {
    const RowPlan& plan = question.plans[of_rows[i]];
    while (question.planned.rows[row] != plan.row) ++row;
    SampleRow& choice = choices_.as<SampleRow>()[i];
    choice = {};
    choice.logits_row = static_cast<std::uint32_t>(row - question.begin);
    choice.temperature = plan.sampling->temperature;
    if (choice.temperature > 0) choice.uniform = plan.key.uniform(plan.counter);
    if (plan.mask == nullptr) continue;
    ESP_ASSIGN(choice.mask, masks_.place(plan.mask, copies_));
    choice.mask_words = masks_.words();
    if (choice.mask == nullptr) return {};
  }
  ESP_TRY(copies_.copy_in(choices_in_.data(), choices_.bytes().data(), count * sizeof(SampleRow)));
  ESP_TRY(copies_.join(stream));
  ESP_TRY(DeviceWatch::launch(question.watch, stream, [&]() -> Status {
    sample(stream.get(), count, choices_in_.as<SampleRow>(), question.logits, question.stride,
           vocabulary_, scratch_.data(), chosen_.as<SampleResult>());
    return {};
  }));
  ESP_TRY(
      stream.copy_out(chosen_out_.bytes().data(), chosen_.data(), count * sizeof(SampleResult)));
  ESP_TRY(chosen_there_.record(stream));
  asked_ = true;
  return {};
}

Status DeviceChoices::ask(const Question& question, const Stream& stream) {
  asked_ = false;
  const auto plans = of_rows(question);
  const bool here = std::all_of(plans.begin(), plans.end(), [&](std::uint32_t i) {
    return chosen_on_device(question.plans[i]);
  });
  return here ? choose(question, plans, stream) : Status();
}

std::uint32_t DeviceChoices::number_of(const Question& question, std::uint32_t plan) const {
  const auto plans = of_rows(question);
  const auto at = std::find(plans.begin(), plans.end(), plan);
  ESP_CHECK(asked_ && at != plans.end());
  return static_cast<std::uint32_t>(at - plans.begin());
}

std::uint64_t DeviceChoices::asked_count(const Question& question) {
  return of_rows(question).size();
}

Status DeviceChoices::collect(const Question& question, const Stream& stream,
                              std::span<RowResult> results) {
  if (asked_) {
    ESP_TRY(chosen_there_.wait(question.what));
    const auto plans = of_rows(question);
    bool all = true;
    for (std::uint32_t i = 0; i < plans.size(); ++i) {
      const SampleResult& chosen = chosen_out_.as<SampleResult>()[i];
      if (chosen.state == SampleState::kChosen) {
        results[plans[i]].sampled = {chosen.token, chosen.probability};
      } else {
        all = false;  // the host words the error
      }
    }
    if (all) return {};
  }
  const std::uint64_t bytes = (question.end - question.begin) * question.stride * sizeof(float);
  ESP_TRY(logits_.fit(bytes, "logits"));
  ESP_TRY(stream.copy_out(logits_.bytes().data(), question.logits, bytes));
  ESP_TRY(stream.wait(question.what));
  return answers_.answer(question.plans, question.planned, question.begin, question.end,
                         logits_.as<float>(), question.stride, vocabulary_, results);
}

}  // namespace espalier::runtime::cuda
