// The step that begins before the tokens of the one before it are known: rows behind paths whose
// next token a device chooses and hands on, while the host has not seen it.
//
// All that runs goes ahead, or nothing does: what is not ready would miss a step. Of such a row the
// tree knows nothing but that its slot is taken; once the token is there the path goes on with it
// as ever, and the row is planned where it already runs. Where the text has ended the row was for
// nothing and the slot is given back. What is wanted of the row, a mask above all, is asked for
// when its own step is ended, so no text depends on any of it.
#include <algorithm>
#include <utility>

#include "runtime/engine/scheduler.h"

namespace espalier::runtime {

std::unique_ptr<Scheduler::Step> Scheduler::plan_ahead(const Step& step,
                                                       std::span<const RowPlan> plans) {
  // Whoever waits is let in between two steps; a draft model guesses there.
  if (!waiting_.empty() || !reading_.empty() || draft_model_) return nullptr;
  if (plans.size() != running_.size() || plans.size() > most_rows_) return nullptr;
  const bool chosen_there = std::all_of(plans.begin(), plans.end(), [&](const RowPlan& plan) {
    return backend_.chooses_ahead(plan);
  });
  if (!chosen_there) return nullptr;
  std::optional<double> guesses_above;
  if (options_.draft) guesses_above = cost_.threshold(static_cast<double>(running_.size()));
  auto next = std::make_unique<Step>();
  next->ahead = true;
  Batch& batch = next->batch;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const Asked& it = step.asked[i];
    const std::vector<Strand>& strands = it.job->strands();
    const radix_cache::Lease& lease = strands[it.strand].lease;
    const std::uint32_t position = lease.length();
    Job::Follows follows = Job::Follows::kMore;
    if (strands.size() == 1 && it.position + 1 == position)
      follows = it.job->follows(cache_, guesses_above);
    if (follows == Job::Follows::kNothing) continue;
    const auto place = follows == Job::Follows::kItsToken ? cache_.reserve(lease) : std::nullopt;
    if (!place) {
      give_back(*next);
      return nullptr;
    }
    const auto row = static_cast<std::uint32_t>(batch.rows.size());
    std::vector<PageId>& pages = batch.sequences.emplace_back();
    cache_.page_table(lease, position, pages);
    if (place->slot == 0) pages.push_back(place->page);
    batch.rows.push_back({kNoToken, position, row, row, 1, static_cast<std::uint32_t>(i)});
    batch.writes.push_back({place->page, place->slot});
    next->pending.push_back({it.job, position, row, *place});
    next->jobs.push_back(it.job);
  }
  if (batch.rows.empty()) return nullptr;
  next->decode_rows = static_cast<std::uint32_t>(batch.rows.size());
  return next;
}

void Scheduler::give_back(Step& step) {
  for (const Pending& it : std::exchange(step.pending, {})) cache_.give_back(it.place);
}

void Scheduler::know_ahead() {
  for (const Pending& it : std::exchange(ahead_->pending, {})) {
    Strand& strand = it.job->strands()[0];
    cache_.plan(strand.lease, ahead_->plan, it.place);
    // What is forced behind the token comes in the next step.
    if (strand.cursor == it.position) {
      ahead_->asked.push_back({it.job, 0, it.position, it.row});
    } else {
      ++stats_.wasted_rows;
    }
  }
  cache_.seal(ahead_->plan);
}

void Scheduler::leave_ahead(const Job& job) {
  const auto gone = [&](const auto& it) { return it.job == &job; };
  const auto pending = std::find_if(ahead_->pending.begin(), ahead_->pending.end(), gone);
  if (pending != ahead_->pending.end()) {
    cache_.give_back(pending->place);
    ahead_->pending.erase(pending);
    ++stats_.wasted_rows;
  }
  stats_.wasted_rows += std::erase_if(ahead_->asked, gone);
  std::erase(ahead_->jobs, &job);
  if (!ahead_->jobs.empty()) return;
  // The backend gives it up when the next one begins.
  cache_.abandon(ahead_->plan);
  ahead_.reset();
}

}  // namespace espalier::runtime
