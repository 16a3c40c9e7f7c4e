// Who is in the tree: order of admission, room, preemption, endings before the end.
#include <algorithm>
#include <string>
#include <utility>

#include "runtime/engine/elapsed.h"
#include "runtime/engine/scheduler.h"

namespace espalier::runtime {
namespace {

// Requests in the tree at once; more wait outside it.
constexpr std::size_t kMaxRunning = 256;
// Waiting requests that are looked up anew in one step: each costs O(ids / 16).
constexpr std::size_t kLookUps = 64;
// A request asks for pages from disk so often: those that are read for somebody else, and the rest.
constexpr std::uint32_t kReads = 2;
// A step of waiting, and a step of priority, weigh as much as so many cached tokens.
constexpr std::int64_t kAgeTokens = 4;
constexpr std::int64_t kPriorityTokens = 4096;

/// Higher goes first, in the tree and into it.
std::int32_t standing(const Job& job) { return job.state().terms.priority + job.queue.preempted; }

/// Earlier programs first, and in a program what came last: its tree of branches is walked depth
/// first, which keeps the fewest pages.
bool arrived_before(const Job& a, const Job& b) {
  return a.queue.place != b.queue.place ? a.queue.place < b.queue.place
                                        : a.queue.arrival > b.queue.arrival;
}

bool precedes(const Job& a, const Job& b) {
  return standing(a) != standing(b) ? standing(a) > standing(b) : arrived_before(a, b);
}

}  // namespace

void Scheduler::enqueue(std::unique_ptr<Job> job) {
  job->queue.since = stats_.steps;
  job->queue.since_time = system_.now();
  job->queue.matched_at = job->queue.denied_pages = UINT64_MAX;
  job->queue.reads = job->queue.host_pages = 0;
  next_deadline_ = std::min(next_deadline_, job->state().terms.deadline);
  insert_waiting(std::move(job));
}

void Scheduler::insert_waiting(std::unique_ptr<Job> job) {
  const auto at =
      std::upper_bound(waiting_.begin(), waiting_.end(), job,
                       [](const auto& a, const auto& b) { return arrived_before(*a, *b); });
  waiting_.insert(at, std::move(job));
}

void Scheduler::drop_ended() {
  const auto now = next_deadline_ == System::Clock::time_point::max()
                       ? System::Clock::time_point::min()
                       : system_.now();
  const bool due = now >= next_deadline_;
  if (due) next_deadline_ = System::Clock::time_point::max();
  const auto drop = [&](auto& jobs) {
    for (std::size_t i = 0; i < jobs.size();) {
      const BranchState& state = jobs[i]->state();
      const bool cancelled = state.cancelled.load(std::memory_order_relaxed);
      const bool late = due && state.terms.deadline <= now;
      if (!cancelled && !late) {
        if (due) next_deadline_ = std::min(next_deadline_, state.terms.deadline);
        ++i;
        continue;
      }
      std::unique_ptr<Job> job = std::move(jobs[i]);
      jobs.erase(jobs.begin() + static_cast<std::ptrdiff_t>(i));
      finish(std::move(job), cancelled ? fail(ErrorCode::kCancelled, "cancelled")
                                       : fail(ErrorCode::kTimeout, "the request's time ran out"));
    }
  };
  drop(running_);
  drop(waiting_);
  drop(reading_);
}

std::vector<std::shared_ptr<BranchState>> Scheduler::release_waiting() {
  std::vector<std::shared_ptr<BranchState>> out;
  const auto release = [&](std::unique_ptr<Job>& job) {
    job->queue.read.reset();
    out.push_back(job->shared());
    out.back()->job = std::move(job);
  };
  for (auto& job : waiting_) release(job);
  for (auto& job : reading_) release(job);
  waiting_.clear();
  reading_.clear();
  return out;
}

void Scheduler::cancel_all() {
  for (auto& job : running_) job->state().cancelled = true;
  for (auto& job : waiting_) job->state().cancelled = true;
  for (auto& job : reading_) job->state().cancelled = true;
  drop_ended();
}

std::uint64_t Scheduler::expected_back() const {
  // Four times the mean: of exponential gaps all but 2 % are shorter.
  return stats_.steps + 16 + static_cast<std::uint64_t>(4 * park_steps_);
}

std::uint64_t Scheduler::growth(const Job& job) const {
  const auto left = static_cast<double>(job.remaining());
  const double comes =
      job.runs_to_its_budget() ? left : std::min(left, output_tokens_.value_or(left));
  // And a page a strand to go on with.
  return static_cast<std::uint64_t>(comes) / kPageTokens + job.strands().size();
}

std::uint64_t Scheduler::demand_with(const Job& job) const {
  std::uint64_t pages = growth(job);
  std::vector<radix_cache::RadixCache::Wanted> paths;
  const auto add = [&](const Job& it) {
    for (const Strand& strand : it.strands()) paths.push_back({&strand.lease, strand.end});
  };
  add(job);
  for (const auto& other : running_) {
    pages += growth(*other);
    add(*other);
  }
  return pages + cache_.pages_needed(paths);
}

std::uint64_t Scheduler::kept_for_others(const Job& job) const {
  std::uint64_t pages = 0;
  const std::vector<TokenId> path = job.path();
  for (const Parked& it : parked_) {
    if (it.place > job.queue.place || it.lineage.expired()) continue;
    // What goes on from there needs no room beside it.
    const bool its_own =
        it.path.size() <= path.size() && std::equal(it.path.begin(), it.path.end(), path.begin());
    if (!its_own) pages += it.pages;
  }
  return pages;
}

void Scheduler::look_up() {
  const std::uint64_t changes = cache_.changes();
  for (std::size_t n = std::min(kLookUps, waiting_.size()); n > 0; --n) {
    Job& job = *waiting_[looked_++ % waiting_.size()];
    if (job.queue.matched_at == changes) continue;
    job.queue.matched = cache_.match(job.state().space, job.path());
    job.queue.matched_at = changes;
  }
}

std::size_t Scheduler::best_waiting() const {
  const auto score = [&](const Job& job) {
    const auto age = static_cast<std::int64_t>(stats_.steps - job.state().lineage->since);
    return std::int64_t{job.queue.matched} + age * kAgeTokens +
           std::int64_t{standing(job)} * kPriorityTokens;
  };
  std::size_t best = 0;
  std::int64_t best_score = score(*waiting_[0]);
  for (std::size_t i = 1; i < waiting_.size(); ++i) {
    const std::int64_t s = score(*waiting_[i]);
    if (s > best_score) {
      best = i;
      best_score = s;
    }
  }
  return best;
}

Scheduler::Disk Scheduler::from_disk(Job& job) {
  if (!tier_) return Disk::kReady;
  Job::Queue& queue = job.queue;
  const std::uint64_t space = job.state().space;
  const std::vector<TokenId> path = job.path();
  for (;;) {
    if (queue.read) {
      if (!queue.read->done.load(std::memory_order_acquire)) return Disk::kReading;
      if (tier_->import(cache_, space, path, *queue.read)) return Disk::kImporting;
      queue.read.reset();
    }
    if (queue.reads == kReads) return Disk::kReady;
    ++queue.reads;
    queue.read = tier_->fetch(space, path, cache_.match(space, path));
    if (!queue.read) return Disk::kReady;
  }
}

bool Scheduler::from_host(Job& job) {
  if (!host_) return false;
  const std::vector<TokenId> path = job.path();
  // As many as it has: what comes must not be evicted and come again for ever.
  if (job.queue.host_pages >= path.size() / kPageTokens) return false;
  const HostTier::Loaded loaded = host_->load(cache_, job.state().space, path);
  job.queue.host_pages += loaded.pages;
  return loaded.more;
}

bool Scheduler::try_admit(std::size_t at) {
  Job& job = *waiting_[at];
  if (!job.finished()) {
    radix_cache::Usage usage = cache_.usage();
    const std::uint64_t kept =
        parked_.empty() ? 0 : std::min<std::uint64_t>(kept_for_others(job), usage.evictable);
    const std::uint64_t room = usage.free + usage.evictable - kept;
    // Entering the tree is not free: not again before there is more room than when it did not fit.
    if (!running_.empty() && job.queue.denied_pages != UINT64_MAX && room <= job.queue.denied_pages)
      return false;
    if (from_host(job)) return false;
    switch (from_disk(job)) {
      case Disk::kReading:
        reading_.push_back(std::move(waiting_[at]));
        waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(at));
        return true;
      case Disk::kImporting:
        return false;
      case Disk::kReady:
        break;
    }
    job.start(cache_);
    if (!running_.empty() || kept > 0) {
      const std::uint64_t need = demand_with(job) + kept;
      usage = cache_.usage();  // what the job pinned is no longer evictable
      if (need > usage.free + usage.evictable) {
        job.stop(cache_, 0);
        job.queue.denied_pages = room;
        job.queue.reads = job.queue.host_pages = 0;
        holding_ = running_.empty();
        return false;
      }
    }
  }
  job.count(stats_);
  if (!job.queue.admitted) ++stats_.requests;
  job.queue.admitted = true;
  stats_.queue_steps += stats_.steps - job.queue.since;
  stats_.queue_seconds += elapsed(system_, job.queue.since_time);
  std::unique_ptr<Job> owned = std::move(waiting_[at]);
  waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(at));
  const auto place =
      std::upper_bound(running_.begin(), running_.end(), owned,
                       [](const auto& a, const auto& b) { return precedes(*a, *b); });
  running_.insert(place, std::move(owned));
  ++admissions_;
  return true;
}

void Scheduler::admit() {
  holding_ = false;
  std::erase_if(parked_,
                [&](const Parked& it) { return it.lineage.expired() || stats_.steps >= it.until; });
  for (std::size_t i = 0; i < reading_.size();) {
    if (!reading_[i]->queue.read->done.load(std::memory_order_acquire)) {
      ++i;
      continue;
    }
    insert_waiting(std::move(reading_[i]));
    reading_.erase(reading_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  if (waiting_.empty() || running_.size() >= kMaxRunning) return;
  look_up();
  while (!waiting_.empty() && running_.size() < kMaxRunning) {
    const bool oldest = admissions_ % kOldestEvery == 0;
    if (!oldest && try_admit(best_waiting())) continue;
    if (!try_admit(0)) return;
  }
}

bool Scheduler::preempt_last() {
  if (running_.size() <= 1) return false;
  std::unique_ptr<Job> job = std::move(running_.back());
  running_.pop_back();
  if (host_) {
    for (const Strand& strand : job->strands()) {
      host_->save(cache_, strand.lease, job->state().space);
    }
  }
  job->stop(cache_, expected_back());
  ++job->queue.preempted;
  ++stats_.preemptions;
  enqueue(std::move(job));
  return true;
}

}  // namespace espalier::runtime
