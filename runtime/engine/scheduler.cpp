#include "runtime/engine/scheduler.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <unordered_map>
#include <utility>

#include "runtime/engine/elapsed.h"

namespace espalier::runtime {
namespace {

static_assert(kPageTokens == radix_cache::kPageTokens);

// A strand with no more rows than this to go decodes (or feeds a forced span); it is served before
// any prefill.
constexpr std::uint32_t kDecodeRows = 16;
// Tokens that a text is taken to have before one has ended, where little hangs on it.
constexpr double kUnknownText = 32;

/// Rising, once each.
template <class Asked>
std::vector<std::uint32_t> rows_of(const std::vector<Asked>& asked) {
  std::vector<std::uint32_t> out;
  for (const Asked& it : asked) out.push_back(it.row);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace

Scheduler::Scheduler(Backend& backend, EngineOptions options, System& system, Complete complete,
                     std::unique_ptr<PageStore> store, std::unique_ptr<Backend> draft)
    : backend_(backend),
      options_(std::move(options)),
      system_(system),
      complete_(std::move(complete)),
      cache_([&] {
        radix_cache::RadixCache::Options cache;
        cache.pages = backend.info().pages;
        cache.timed = true;
        cache.retained_pages =
            static_cast<std::uint32_t>(options_.retained_share * backend.info().pages);
        return cache;
      }()),
      most_rows_(options_.max_rows) {
  if (store) tier_ = std::make_unique<DiskTier>(std::move(store), backend_, system_);
  if (options_.host_kv_bytes > 0) {
    const std::uint64_t pages = options_.host_kv_bytes / backend_.info().page_bytes;
    host_.emplace(*backend_.host_pages(),
                  static_cast<std::uint32_t>(std::min<std::uint64_t>(pages, UINT32_MAX - 1)),
                  options_.note);
  }
  if (draft != nullptr && options_.draft) {
    draft_model_ = std::make_unique<DraftModel>(
        std::move(draft), DraftModel::Options{options_.max_rows, options_.poison}, system_,
        options_.note);
  }
  if (options_.poison) {
    cache_.on_free([](void* context, PageId page) { static_cast<Backend*>(context)->poison(page); },
                   &backend_);
  }
}

void Scheduler::add(std::shared_ptr<BranchState> state) {
  if (state->parked > 0) {
    const auto gap = static_cast<double>(stats_.steps - std::exchange(state->parked, 0));
    park_steps_ += (gap - park_steps_) / 16;
  }
  auto job = Job::make(state, backend_.info(), options_.jump);
  if (job) {
    (*job)->queue.arrival = ++arrivals_;
    Lineage& lineage = *(*job)->state().lineage;
    if (lineage.left == 0) {
      lineage.place = arrivals_;
      lineage.since = stats_.steps;
      lineage.left = Lineage::kRequests;
    }
    --lineage.left;
    (*job)->queue.place = lineage.place;
    enqueue(std::move(*job));
    return;
  }
  // Put the refusal where the kind of request expects its answer.
  Error error = std::move(job).error();
  if (std::holds_alternative<GenerateRequest>(state->request)) {
    state->answer = Result<Generated>(fail(std::move(error)));
  } else if (std::holds_alternative<ScoreRequest>(state->request)) {
    state->answer = Result<Scored>(fail(std::move(error)));
  } else {
    state->answer = Result<Probed>(fail(std::move(error)));
  }
  complete_(std::move(state));
}

void Scheduler::forget(const BranchState& state) {
  // Its forks may be on their way; they have a step or two to come.
  for (Parked& it : parked_) {
    if (it.path == state.ids) it.until = std::min(it.until, stats_.steps + kForkSteps);
  }
  cache_.forget(state.space, state.ids, state.dead, static_cast<std::uint32_t>(state.forked_at));
}

Stats Scheduler::stats() const {
  Stats out = stats_;
  const radix_cache::Usage usage = cache_.usage();
  out.pages_total = usage.total;
  out.pages_free = usage.free;
  out.pages_held = usage.held;
  out.pages_retained = usage.retained;
  if (draft_model_) out.draft_seconds = draft_model_->seconds();
  out.evicted_pages = cache_.evicted();
  out.tree_seconds = cache_.seconds();
  if (tier_) {
    out.disk_read_pages = tier_->counts().read_pages;
    out.disk_written_pages = tier_->counts().written_pages;
    out.disk_dropped_pages = tier_->counts().dropped_pages;
    out.disk_read_seconds = tier_->counts().read_seconds;
  }
  if (host_) {
    const HostTier::Counts counts = host_->counts();
    out.host_pages_total = counts.total;
    out.host_pages_held = counts.held;
    out.host_saved_pages = counts.saved;
    out.host_loaded_pages = counts.loaded;
    out.host_dropped_pages = counts.dropped;
    out.host_load_seconds = counts.load_seconds;
  }
  return out;
}

Status Scheduler::check() const {
  ESP_TRY(cache_.check());
  const radix_cache::Usage usage = cache_.usage();
  if (usage.free + usage.held != usage.total) {
    return fail(ErrorCode::kInternal, "page accounting: " + std::to_string(usage.free) +
                                          " free + " + std::to_string(usage.held) +
                                          " held != " + std::to_string(usage.total));
  }
  if (idle() && usage.evictable != usage.held) {
    return fail(ErrorCode::kInternal,
                std::to_string(usage.held - usage.evictable) + " pages are held by nobody");
  }
  return {};
}

void Scheduler::finish(std::unique_ptr<Job> job, Status status) {
  BranchState& state = job->state();
  const std::uint64_t space = state.space;
  const bool ok = status.has_value();
  const bool dead = state.dead;
  const auto trunk = static_cast<std::uint32_t>(state.forked_at);
  const std::size_t before = state.ids.size();
  if (ahead_ != nullptr) leave_ahead(*job);
  job->retract(cache_);
  radix_cache::Lease stored;  // the answer does not wait for the tiers
  if ((tier_ || host_) && !job->strands().empty()) stored = cache_.fork(job->strands()[0].lease);
  const bool comes_back = ok && !dead;
  if (ok && dead && !job->strands().empty()) cache_.mark_dead(job->strands()[0].lease, trunk);
  if (ok && !job->strands().empty()) cache_.retain(job->strands()[0].lease, state.terms.retention);
  const std::uint64_t back = comes_back ? expected_back() : 0;
  const std::uint32_t evictable = cache_.usage().evictable;
  job->stop(cache_, back);
  job->answer(std::move(status));
  Parked parked{state.lineage, job->queue.place, stats_.steps + kParkedSteps, state.ids, 0};
  if (state.ids.size() > before) {
    const auto length = static_cast<double>(state.ids.size() - before);
    const double mean = output_tokens_.value_or(length);
    output_tokens_ = mean + (length - mean) / 16;
  }
  state.computed = std::min(state.computed, state.ids.size());
  state.parked = comes_back ? stats_.steps : 0;
  complete_(job->shared());  // from here on the state is the program's
  if (stored.valid()) {
    // What nobody comes back to needs no second place.
    if (host_) host_->save(cache_, stored, space, dead ? trunk : UINT32_MAX);
    if (tier_ && ok) tier_->save(cache_, stored, space);
    // It left last, so it says what becomes of the path.
    if (ok && dead) cache_.mark_dead(stored, trunk);
    cache_.expect(stored, back);
    stored = {};
  }
  parked.pages = cache_.usage().evictable - evictable;
  if (comes_back) parked_.push_back(std::move(parked));
}

void Scheduler::fail_job(const Job* job, Error error) {
  const auto at =
      std::find_if(running_.begin(), running_.end(), [&](const auto& j) { return j.get() == job; });
  ESP_CHECK(at != running_.end());
  std::unique_ptr<Job> owned = std::move(*at);
  running_.erase(at);
  finish(std::move(owned), fail(std::move(error)));
}

void Scheduler::fail_jobs(Failures& failed) {
  std::vector<const Job*> gone;
  for (auto& [job, error] : failed) {
    if (std::find(gone.begin(), gone.end(), job) != gone.end()) continue;
    gone.push_back(job);
    fail_job(job, std::move(error));
  }
}

void Scheduler::go_on_with_fewer_rows(const Step& step, const Error& error, Failures& failed) {
  const auto rows = static_cast<std::uint32_t>(step.batch.rows.size());
  if (rows > 1) {
    if (options_.note && most_rows_ == options_.max_rows) {
      options_.note("a step of " + std::to_string(rows) +
                    " rows found no memory, so those that follow have fewer: " + error.message);
    }
    most_rows_ = rows / 2;
    whole_steps_ = 0;
  } else {
    for (const Job* job : step.jobs) failed.emplace_back(job, error);
  }
  // What they asked and guessed for this step.
  for (const auto& job : running_) job->retract(cache_);
  fail_jobs(failed);
}

bool Scheduler::compact_running() {
  std::uint32_t freed = 0;
  for (const auto& job : running_) {
    for (const Strand& strand : job->strands()) freed += cache_.compact(strand.lease);
  }
  return freed > 0;
}

std::vector<Scheduler::Slice> Scheduler::plan(radix_cache::StepPlan& step) {
  std::vector<Slice> slices;
  std::uint32_t budget = most_rows_;
  const auto serve = [&](bool decoding) {
    for (const auto& job : running_) {
      for (std::size_t i = 0; i < job->strands().size() && budget > 0; ++i) {
        Strand& strand = job->strands()[i];
        if (strand.cursor == strand.end) continue;
        const std::uint32_t ready = cache_.ready(strand.lease);
        if ((strand.end - std::min(ready, strand.cursor) <= kDecodeRows) != decoding) continue;
        Slice slice;
        slice.job = job.get();
        slice.strand = i;
        const std::uint32_t planned = cache_.planned(strand.lease, step);
        slice.logits_begin = slice.logits_end = strand.cursor;
        if (strand.cursor < planned) {
          slice.logits_end = std::min({planned, strand.end, strand.cursor + budget});
          budget -= slice.logits_end - slice.logits_begin;
        }
        if (planned < strand.end && budget > 0) {
          slice.planned_at = planned;
          slice.planned = cache_.plan(strand.lease, step, std::min(budget, strand.end - planned));
          budget -= slice.planned.size();
        }
        if (slice.logits_end > slice.logits_begin || slice.planned.size() > 0)
          slices.push_back(slice);
      }
    }
  };
  serve(true);
  serve(false);
  return slices;
}

void Scheduler::propose() {
  const auto rows = static_cast<double>(running_.size());
  const double threshold = cost_.threshold(rows);
  for (const auto& job : running_) job->propose(cache_, threshold);
  if (!draft_model_) return;
  std::vector<DraftPath*> paths;
  for (const auto& job : running_) {
    if (DraftPath* path = job->draft_path(cache_); path != nullptr) paths.push_back(path);
  }
  draft_model_->guess(paths, rows, cost_, output_tokens_.value_or(kUnknownText), cache_);
}

void Scheduler::step() {
  cache_.set_time(++stats_.steps);
  drop_ended();
  const std::unique_ptr<Step> step = ahead_ != nullptr ? std::move(ahead_) : plan_step();
  if (step == nullptr) return;
  run(*step);
  if (options_.check) {
    const Status ok = check();
    if (!ok) espalier::internal::check_failed(__FILE__, __LINE__, ok.error().message.c_str());
  }
}

std::unique_ptr<Scheduler::Step> Scheduler::plan_step() {
  admit();
  // A job can be finished before its first row (a budget of nothing).
  for (std::size_t i = 0; i < running_.size();) {
    if (!running_[i]->finished()) {
      ++i;
      continue;
    }
    std::unique_ptr<Job> job = std::move(running_[i]);
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
    finish(std::move(job), {});
  }
  if (running_.empty()) return nullptr;
  if (options_.draft) propose();

  for (;;) {
    radix_cache::StepPlan step_plan;
    const std::vector<Slice> slices = plan(step_plan);
    if (!slices.empty()) return make_step(std::move(step_plan), slices);
    cache_.abandon(step_plan);
    for (const auto& job : running_) job->retract(cache_);
    if (compact_running()) continue;
    if (!preempt_last()) {
      const radix_cache::Usage usage = cache_.usage();
      fail_job(running_[0].get(),
               {ErrorCode::kExhausted,
                "no KV page is left: the pool has " + std::to_string(usage.total) + ", " +
                    std::to_string(usage.held - usage.evictable) + " of them in use"});
      return nullptr;
    }
  }
}

Result<std::vector<RowResult>> Scheduler::run_backend(Step& step, Failures& failed,
                                                      double& seconds) {
  if (!step.ahead) {
    const auto start = system_.now();
    const Status begun = backend_.begin(step.batch, rows_of(step.asked));
    seconds = elapsed(system_, start);
    ESP_TRY(begun);
  }
  const auto masks_start = system_.now();
  std::vector<RowPlan> plans;
  std::vector<Asked> answered;
  for (const Asked& it : step.asked) {
    RowPlan plan;
    plan.row = it.row;
    if (Status status = it.job->want(it.job->strands()[it.strand], it.position, plan); !status) {
      failed.emplace_back(it.job, std::move(status).error());
      continue;
    }
    plans.push_back(std::move(plan));
    answered.push_back(it);
  }
  step.asked = std::move(answered);
  stats_.mask_seconds += elapsed(system_, masks_start);
  std::unique_ptr<Step> next = plan_ahead(step, plans);
  std::vector<std::uint32_t> wanted;
  if (next != nullptr) {
    wanted.resize(next->batch.rows.size());
    std::iota(wanted.begin(), wanted.end(), 0U);
  }
  const auto rest_start = system_.now();
  NextStep beside{next != nullptr ? &next->batch : nullptr, wanted};
  auto results =
      next != nullptr ? backend_.finish_and_begin(plans, beside) : backend_.finish(plans);
  seconds += elapsed(system_, rest_start);
  if (beside.begun) {
    ahead_ = std::move(next);
  } else if (next != nullptr) {
    give_back(*next);
  }
  return results;
}

std::unique_ptr<Scheduler::Step> Scheduler::make_step(radix_cache::StepPlan plan,
                                                      const std::vector<Slice>& slices) {
  auto out = std::make_unique<Step>();
  out->plan = std::move(plan);
  radix_cache::StepPlan& step = out->plan;
  cache_.seal(step);
  Batch& batch = out->batch;
  batch.writes.reserve(step.writes().size());
  for (const auto& write : step.writes()) batch.writes.push_back({write.page, write.slot});
  for (const auto& copy : step.copies()) batch.copies.push_back({copy.from, copy.to, copy.slots});

  // A slot holds one prefix and nothing else, so a row that is already in the batch under a slot of
  // ours has our logits: forks at one place draw their samples from one row.
  std::unordered_map<std::uint64_t, std::uint32_t> row_of_slot;
  const auto slot_key = [](PageId page, std::uint32_t slot) {
    return std::uint64_t{page} * kPageTokens + slot;
  };
  std::vector<PageId> pages;
  for (const Slice& slice : slices) {
    if (std::find(out->jobs.begin(), out->jobs.end(), slice.job) == out->jobs.end())
      out->jobs.push_back(slice.job);
    Strand& strand = slice.job->strands()[slice.strand];
    const auto sequence = static_cast<std::uint32_t>(batch.sequences.size());
    const std::size_t rows_before = batch.rows.size();
    const std::uint32_t length =
        slice.planned.size() > 0 ? slice.planned_at + slice.planned.size() : slice.logits_end;
    pages.clear();
    cache_.page_table(strand.lease, length, pages);
    const auto ask = [&](std::uint32_t row, std::uint32_t position) {
      if (position < strand.cursor || position >= strand.end) return;
      out->asked.push_back({slice.job, slice.strand, position, row});
    };
    const auto add = [&](TokenId token, std::uint32_t position, std::uint32_t first_write,
                         std::uint32_t writes) {
      const auto row = static_cast<std::uint32_t>(batch.rows.size());
      batch.rows.push_back({token, position, sequence, first_write, writes});
      row_of_slot.emplace(slot_key(pages[position / kPageTokens], position % kPageTokens), row);
      for (std::uint32_t w = first_write; w < first_write + writes; ++w) {
        row_of_slot.emplace(slot_key(batch.writes[w].page, batch.writes[w].slot), row);
      }
      ask(row, position);
    };
    if (slice.logits_end > slice.logits_begin) {
      const std::vector<TokenId> tokens = cache_.tokens(strand.lease);
      for (std::uint32_t p = slice.logits_begin; p < slice.logits_end; ++p) {
        const auto same = row_of_slot.find(slot_key(pages[p / kPageTokens], p % kPageTokens));
        if (same != row_of_slot.end()) {
          ask(same->second, p);
        } else {
          add(tokens[p], p, 0, 0);
        }
      }
    }
    for (std::uint32_t r = slice.planned.begin; r < slice.planned.end; ++r) {
      const auto& row = step.rows()[r];
      add(row.token, row.position, row.first_write, row.writes);
    }
    (slice.planned.size() > kDecodeRows ? out->prefill_rows : out->decode_rows) +=
        slice.planned.size();
    if (batch.rows.size() > rows_before) batch.sequences.push_back(pages);
  }
  return out;
}

void Scheduler::run(Step& step) {
  const std::uint32_t prefill_rows = step.prefill_rows;
  const std::uint32_t decode_rows = step.decode_rows;
  stats_.prefill_rows += prefill_rows;
  stats_.decode_rows += decode_rows;
  stats_.logits_rows += step.batch.rows.size() - prefill_rows - decode_rows;
  if (step.ahead) ++stats_.steps_ahead;

  double took = 0;
  Failures failed;
  Result<std::vector<RowResult>> results = run_backend(step, failed, took);
  const auto rows = static_cast<double>(step.batch.rows.size());
  const double prefill = took * prefill_rows / rows;
  ++stats_.backend_steps;
  if (decode_rows == 0 && prefill_rows > 0) ++stats_.prefill_steps;
  stats_.rows_squared += rows * rows;
  stats_.rows_seconds += rows * took;
  stats_.prefill_seconds += prefill;
  stats_.decode_seconds += took - prefill;
  // What a step took that others overlap is not known.
  if (results && prefill_rows == 0 && !step.ahead) cost_.record(rows, took);
  if (results && prefill_rows > 0) {
    if (tier_) tier_->prefill_took(prefill_rows, prefill);
    if (host_) host_->prefill_took(prefill_rows, prefill);
  }
  failure_.reset();
  if (!results) {
    cache_.abandon(step.plan);
    if (results.error().code == ErrorCode::kExhausted) {
      go_on_with_fewer_rows(step, results.error(), failed);
      return;
    }
    failure_ = results.error();
    std::vector<std::unique_ptr<Job>> all = std::exchange(running_, {});
    for (auto& job : all) finish(std::move(job), fail(results.error()));
    return;
  }
  cache_.commit(step.plan);
  if (most_rows_ < options_.max_rows && ++whole_steps_ == kWholeSteps) {
    most_rows_ = std::min(options_.max_rows, 2 * most_rows_);
    whole_steps_ = 0;
  }

  const auto has_failed = [&](const Job* job) {
    return std::any_of(failed.begin(), failed.end(), [&](const auto& f) { return f.first == job; });
  };
  for (std::size_t i = 0; i < step.asked.size(); ++i) {
    const Asked& it = step.asked[i];
    Job* const job = it.job;
    if (has_failed(job)) continue;
    Strand& strand = job->strands()[it.strand];
    if (strand.stale) continue;
    strand.cursor = it.position + 1;
    Status status = job->take(strand, it.position, (*results)[i], cache_, stats_);
    if (!status) failed.emplace_back(job, std::move(status).error());
  }
  for (const auto& job : running_) {
    for (Strand& strand : job->strands()) strand.stale = false;
  }
  for (std::size_t i = 0; i < running_.size();) {
    if (!running_[i]->finished() || has_failed(running_[i].get())) {
      ++i;
      continue;
    }
    std::unique_ptr<Job> job = std::move(running_[i]);
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
    finish(std::move(job), {});
  }
  fail_jobs(failed);
  if (ahead_ != nullptr) know_ahead();
}

}  // namespace espalier::runtime
