#include "runtime/sampling/plan_answers.h"

#include <algorithm>
#include <new>
#include <optional>
#include <utility>

namespace espalier::runtime {
namespace {

// Runs on any thread, so memory that lacks is caught here.
std::optional<Error> answer_one(const RowPlan& plan, std::span<const float> logits,
                                Sampler& sampler, RowResult& result) {
  try {
    if (plan.want == Want::kToken) {
      auto sampled = sampler.sample(logits, plan.mask.get(), *plan.sampling, plan.counts, plan.key,
                                    plan.counter);
      if (!sampled) return std::move(sampled).error();
      result.sampled = *sampled;
    }
    if (plan.count == 0 && plan.want == Want::kToken) return std::nullopt;
    const auto normaliser = sampler.log_normaliser(logits);
    if (!normaliser) return normaliser.error();
    result.best = Sampler::best(logits, plan.count, *normaliser);
    if (plan.want == Want::kLogprobs) {
      for (const TokenId id : plan.ids) {
        const double logit = logits[static_cast<std::size_t>(id)];
        result.logprobs.push_back(static_cast<float>(logit - *normaliser));
      }
    }
    return std::nullopt;
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kExhausted, "sampling: out of memory"};
  }
}

}  // namespace

TokenId only_token(const RowPlan& plan, std::uint32_t vocabulary) {
  if (plan.want != Want::kToken || plan.count > 0 || plan.mask == nullptr ||
      plan.mask->count() != 1) {
    return kNoToken;
  }
  const TokenId token = plan.mask->ids()[0];
  return static_cast<std::uint32_t>(token) < vocabulary ? token : kNoToken;
}

PlannedRows::PlannedRows(std::span<const RowPlan> plans, std::uint32_t vocabulary,
                         std::span<RowResult> results) {
  for (std::uint32_t i = 0; i < plans.size(); ++i) {
    const TokenId only = only_token(plans[i], vocabulary);
    if (only == kNoToken) {
      order.push_back(i);
    } else {
      results[i].sampled = {only, 1.0F};
    }
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return plans[a].row < plans[b].row; });
  for (std::uint32_t i = 0; i < order.size(); ++i) {
    const std::uint32_t row = plans[order[i]].row;
    if (!rows.empty() && rows.back() == row) continue;
    rows.push_back(row);
    first.push_back(i);
  }
  first.push_back(static_cast<std::uint32_t>(order.size()));
}

void PlannedRows::spread_over(std::span<const std::uint32_t> wanted) {
  std::vector<std::uint32_t> firsts;
  std::size_t at = 0;
  for (const std::uint32_t row : wanted) {
    firsts.push_back(first[at]);
    if (at < rows.size() && rows[at] == row) ++at;
  }
  firsts.push_back(first[at]);
  rows.assign(wanted.begin(), wanted.end());
  first = std::move(firsts);
}

std::vector<std::uint64_t> wanted_tokens(std::span<const RowPlan> plans, const PlannedRows& planned,
                                         std::size_t begin, std::size_t end) {
  std::vector<std::uint64_t> out;
  const grammar::Mask* before = nullptr;  // rows of one place often have one mask
  for (std::uint32_t at = planned.first[begin]; at < planned.first[end]; ++at) {
    const RowPlan& plan = plans[planned.order[at]];
    if (plan.want != Want::kToken || plan.count > 0 || plan.mask == nullptr) return {};
    if (std::exchange(before, plan.mask.get()) == plan.mask.get()) continue;
    const auto words = plan.mask->words();
    out.resize(std::max(out.size(), words.size()));
    for (std::size_t i = 0; i < words.size(); ++i) out[i] |= words[i];
  }
  return out;
}

void check_batch(const BackendInfo& info, const Batch& batch, std::span<const std::uint32_t> wanted,
                 std::span<const RowPlan> before) {
  for (const auto& table : batch.sequences) {
    for (const PageId page : table) ESP_CHECK(page < info.pages);
  }
  for (std::size_t i = 0; i < batch.rows.size(); ++i) {
    const Row& row = batch.rows[i];
    if (row.chosen == Row::kKnown) {
      ESP_CHECK(row.token >= 0 && static_cast<std::uint32_t>(row.token) < info.vocabulary);
    } else {
      ESP_CHECK(row.chosen < before.size());
    }
    ESP_CHECK(row.sequence < batch.sequences.size());
    ESP_CHECK(row.position / kPageTokens < batch.sequences[row.sequence].size());
    ESP_CHECK(row.first_write <= batch.writes.size() &&
              row.writes <= batch.writes.size() - row.first_write);
    ESP_DCHECK(row.position < info.context);
    ESP_DCHECK(i == 0 || batch.rows[i - 1].sequence != row.sequence ||
               batch.rows[i - 1].position < row.position);
  }
  for (const KvSlot& slot : batch.writes) {
    ESP_CHECK(slot.page < info.pages && slot.slot < kPageTokens);
  }
  for (const PageCopy& copy : batch.copies) {
    ESP_CHECK(copy.from < info.pages && copy.to < info.pages && copy.slots <= kPageTokens);
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    ESP_CHECK(wanted[i] < batch.rows.size());
    ESP_CHECK(i == 0 || wanted[i - 1] < wanted[i]);
  }
}

void check_plans(const BackendInfo& info, std::span<const std::uint32_t> wanted,
                 std::span<const RowPlan> plans) {
  for (const RowPlan& plan : plans) {
    ESP_CHECK(std::binary_search(wanted.begin(), wanted.end(), plan.row));
    ESP_CHECK(plan.want != Want::kToken || plan.sampling != nullptr);
    for (const TokenId id : plan.ids) {
      ESP_CHECK(id >= 0 && static_cast<std::uint32_t>(id) < info.vocabulary);
    }
  }
}

Status PlanAnswers::answer(std::span<const RowPlan> plans, const PlannedRows& planned,
                           std::size_t begin, std::size_t end, const float* logits,
                           std::size_t stride, std::uint32_t vocabulary,
                           std::span<RowResult> results) {
  const std::uint32_t first = planned.first[begin];
  const std::uint32_t count = planned.first[end] - first;
  std::vector<std::optional<Error>> errors(count);
  workers_.for_each(count, [&](std::uint32_t item, unsigned thread) {
    const std::uint32_t index = planned.order[first + item];
    const RowPlan& plan = plans[index];
    const auto row = std::lower_bound(planned.rows.begin() + static_cast<std::ptrdiff_t>(begin),
                                      planned.rows.end(), plan.row);
    const auto at = static_cast<std::size_t>(row - planned.rows.begin()) - begin;
    errors[item] =
        answer_one(plan, {logits + at * stride, vocabulary}, samplers_[thread], results[index]);
  });
  for (auto& error : errors) {
    if (error) return fail(std::move(*error));
  }
  return {};
}

}  // namespace espalier::runtime
