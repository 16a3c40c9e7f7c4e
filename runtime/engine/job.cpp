#include "runtime/engine/job.h"

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/engine/generate_job.h"
#include "runtime/engine/probe_job.h"
#include "runtime/engine/score_job.h"

namespace espalier::runtime {
namespace {

Status check_ids(std::span<const TokenId> ids, const BackendInfo& info) {
  for (const TokenId id : ids) {
    if (id < 0 || static_cast<std::uint32_t>(id) >= info.vocabulary) {
      return fail(ErrorCode::kInvalid, "token id " + std::to_string(id) +
                                           " is not in the model's vocabulary of " +
                                           std::to_string(info.vocabulary));
    }
  }
  return {};
}

// One page more than the path fills: a boundary page may be held twice while it is copied.
std::size_t pages_of(std::size_t tokens) { return (tokens + kPageTokens - 1) / kPageTokens + 1; }

Status check_pages(std::size_t pages, const BackendInfo& info) {
  if (pages <= info.pages) return {};
  return fail(ErrorCode::kExhausted, "the prompt and its budget need " + std::to_string(pages) +
                                         " KV pages; the pool has " + std::to_string(info.pages));
}

Status check_room(std::size_t prompt, std::size_t budget, const BackendInfo& info) {
  if (prompt + budget > info.context) {
    return fail(ErrorCode::kLimit, "the prompt has " + std::to_string(prompt) + " tokens and " +
                                       std::to_string(budget) +
                                       " more may follow; the model's context holds " +
                                       std::to_string(info.context));
  }
  return check_pages(pages_of(prompt + budget), info);
}

}  // namespace

Result<std::unique_ptr<Job>> Job::make(const std::shared_ptr<BranchState>& state,
                                       const BackendInfo& info, bool jump) {
  if (std::unique_ptr<Job> job = std::move(state->job)) {
    ESP_TRY(check_pages(job->queue.pages_at_most, info));
    return job;
  }
  ESP_TRY(check_ids(state->ids, info));
  const std::size_t prompt = state->ids.size();
  if (auto* generate = std::get_if<GenerateRequest>(&state->request)) {
    if (prompt == 0) return fail(ErrorCode::kInvalid, "nothing to continue: the prompt is empty");
    const std::size_t budget = generate->max_tokens;
    ESP_TRY(check_room(prompt, budget, info));
    auto job = std::make_unique<GenerateJob>(state, std::move(*generate), jump);
    ESP_TRY(job->check());
    job->queue.pages_at_most = pages_of(prompt + budget);
    return job;
  }
  if (auto* score = std::get_if<ScoreRequest>(&state->request)) {
    if (prompt == 0) return fail(ErrorCode::kInvalid, "nothing to continue: the prompt is empty");
    std::size_t total = 0;
    std::size_t longest = 0;
    for (const auto& continuation : score->continuations) {
      ESP_TRY(check_ids(continuation, info));
      if (continuation.empty())
        return fail(ErrorCode::kInvalid, "an empty continuation cannot be scored");
      longest = std::max(longest, continuation.size());
      total += continuation.size() + kPageTokens;  // each may need a boundary page of its own
    }
    ESP_TRY(check_room(prompt, longest, info));
    const std::size_t pages = (prompt + total) / kPageTokens + 2;
    if (pages > info.pages) {
      return fail(ErrorCode::kExhausted, "scoring " + std::to_string(score->continuations.size()) +
                                             " continuations may need " + std::to_string(pages) +
                                             " KV pages; the pool has " +
                                             std::to_string(info.pages));
    }
    auto job = std::make_unique<ScoreJob>(state, std::move(*score));
    job->queue.pages_at_most = pages;
    return job;
  }
  auto* probe = std::get_if<ProbeRequest>(&state->request);
  ESP_CHECK(probe != nullptr);
  ESP_TRY(check_ids(probe->ids, info));
  ESP_TRY(check_room(prompt, probe->ids.size(), info));
  const std::size_t pages = pages_of(prompt + probe->ids.size());
  auto job = std::make_unique<ProbeJob>(state, std::move(*probe));
  job->queue.pages_at_most = pages;
  return job;
}

radix_cache::Lease Job::open_path(radix_cache::RadixCache& cache) {
  radix_cache::Lease lease = cache.open(state_->space);
  // A prefix: the walk stops where it differs. Coming back to what it had is no hit.
  found_ = cache.extend(lease, state_->ids, state_->computed).reused;
  return lease;
}

void Job::count(Stats& stats) {
  BranchState& branch = *state_;
  stats.looked_up_tokens += branch.ids.size();
  stats.found_tokens += std::min(found_, branch.ids.size());
  for (const PromptSegment& segment : branch.segments) {
    if (segment.begin >= segment.end || segment.counted->exchange(true)) continue;
    const std::size_t reused =
        std::min(segment.end, std::max(segment.begin, found_)) - segment.begin;
    stats.prompt_tokens += segment.end - segment.begin;
    stats.reused_tokens += reused;
    stats.computed_tokens += segment.end - segment.begin - reused;
  }
  branch.segments.clear();
  if (branch.computed > found_) stats.recomputed_tokens += branch.computed - found_;
}

void Job::stop(radix_cache::RadixCache& cache, std::uint64_t back) {
  retract(cache);
  if (!strands_.empty()) {
    const std::uint32_t ready = cache.ready(strands_[0].lease);
    state_->computed = std::max<std::size_t>(state_->computed, ready);
    cache.expect(strands_[0].lease, back);
  }
  strands_.clear();
}

}  // namespace espalier::runtime
