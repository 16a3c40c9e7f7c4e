#include "runtime/engine/draft_model.h"

#include <algorithm>
#include <utility>

#include "runtime/engine/elapsed.h"

namespace espalier::runtime {
namespace {

// Rows that a path may lack without being asked whether catching up pays: what one step of the
// engine adds to it.
constexpr std::uint32_t kBehind = kMostGuessed + 2;
// Catching up may take so much of the time that the rest of the text takes without guesses.
constexpr double kCatchUpShare = 0.25;

// Both halves of a step at once: a guess's mask is there before its row, for it says whether there
// is one. Each plan has a row of its own, and they rise.
Result<std::vector<RowResult>> run(Backend& backend, const Batch& batch,
                                   std::span<const RowPlan> plans) {
  std::vector<std::uint32_t> wanted;
  for (const RowPlan& plan : plans) wanted.push_back(plan.row);
  ESP_TRY(backend.begin(batch, wanted));
  return backend.finish(plans);
}

}  // namespace

DraftModel::DraftModel(std::unique_ptr<Backend> backend, const Options& options, System& system,
                       std::function<void(const std::string&)> note)
    : backend_(std::move(backend)),
      options_(options),
      system_(system),
      note_(std::move(note)),
      cache_({.pages = backend_->info().pages}) {
  if (options_.poison) {
    cache_.on_free([](void* context, PageId page) { static_cast<Backend*>(context)->poison(page); },
                   backend_.get());
  }
  measure();
}

void DraftModel::fail(const std::string& why) {
  broken_ = true;
  if (note_) note_("the draft model guesses no more: " + why);
}

void DraftModel::measure() {
  // One row and a few, each twice: the first of all also touches the weights for the first time.
  for (const std::uint32_t rows : {1u, 1u, 8u, 1u, 8u}) {
    if (rows > std::min(backend_->info().pages * kPageTokens, backend_->info().context)) continue;
    Batch batch;
    for (std::uint32_t i = 0; i < rows; ++i) {
      batch.rows.push_back({0, i, 0, i, 1});
      batch.writes.push_back({0, i});
    }
    batch.sequences.push_back({0});
    const auto start = system_.now();
    const auto results = run(*backend_, batch, {});
    if (!results) return fail(results.error().message);
    if (steps_++ > 0) cost_.record(rows, elapsed(system_, start));
  }
  if (options_.poison) backend_->poison(0);
}

bool DraftModel::pays(const Ask& ask, std::uint32_t missing, double rows, const StepCost& cost,
                      double usual) const {
  if (missing <= kBehind) return true;
  const auto line = cost.line();
  const auto own = cost_.line();
  if (!line || !own) return false;
  return missing * own->row <= kCatchUpShare * std::min<double>(ask.path->to_come(), usual) *
                                   (line->base / rows + line->row);
}

void DraftModel::guess(std::span<DraftPath* const> paths, double rows, const StepCost& cost,
                       double usual, radix_cache::RadixCache& tree) {
  if (broken_ || paths.empty()) return;
  const auto own = cost_.line();
  const auto count = static_cast<double>(paths.size());
  const double threshold = own ? cost.threshold(rows, own->base + count * own->row) : 1;
  if (threshold >= 1) return;
  cache_.set_time(++steps_);
  std::vector<Ask> asks;
  for (DraftPath* path : paths) {
    Ask ask;
    ask.path = path;
    ask.most = path->worth(threshold, kMostGuessed);
    if (ask.most == 0) continue;
    const std::vector<TokenId> known = path->known();
    if (known.size() + ask.most > backend_->info().context) continue;
    const std::uint32_t there = cache_.match(path->space(), known);
    if (!pays(ask, static_cast<std::uint32_t>(known.size()) - there, rows, cost, usual)) continue;
    ask.lease = cache_.open(path->space());
    cache_.extend(ask.lease, known, known.size());
    asks.push_back(std::move(ask));
  }
  // The rows of the first round are what the paths lack.
  for (std::uint32_t budget = options_.max_rows; round(asks, budget); budget = UINT32_MAX) {
  }
  for (const Ask& ask : asks) ask.path->enter_guess(tree);
}

bool DraftModel::round(std::vector<Ask>& asks, std::uint32_t budget) {
  Batch batch;
  std::vector<RowPlan> plans;
  std::vector<Ask*> asked;
  radix_cache::StepPlan plan;
  std::vector<std::pair<Ask*, radix_cache::RowRange>> slices;
  for (Ask& ask : asks) {
    if (ask.over) continue;
    const std::uint32_t end = ask.lease.length();
    const std::uint32_t from = cache_.planned(ask.lease, plan);
    // Another path computes its last row in this step, or the budget or the pool is at its end:
    // in the engine's next step, then.
    if (from < end && budget > 0) {
      const auto range = cache_.plan(ask.lease, plan, std::min(budget, end - from));
      budget -= std::min(budget, range.size());
      if (range.size() > 0) slices.emplace_back(&ask, range);
      ask.over = cache_.planned(ask.lease, plan) < end;
    } else if (from < end) {
      ask.over = true;
    } else {
      slices.emplace_back(&ask, radix_cache::RowRange{});
    }
  }
  cache_.seal(plan);
  for (const auto& write : plan.writes()) batch.writes.push_back({write.page, write.slot});
  for (const auto& copy : plan.copies()) batch.copies.push_back({copy.from, copy.to, copy.slots});
  for (auto& [ask, range] : slices) {
    const auto sequence = static_cast<std::uint32_t>(batch.sequences.size());
    const std::uint32_t end = ask->lease.length();
    for (std::uint32_t r = range.begin; r < range.end; ++r) {
      const auto& row = plan.rows()[r];
      batch.rows.push_back({row.token, row.position, sequence, row.first_write, row.writes});
    }
    // What is known to its end already runs its last row again, for the logits.
    if (range.size() == 0)
      batch.rows.push_back({cache_.tokens(ask->lease).back(), end - 1, sequence, 0, 0});
    std::vector<PageId> pages;
    cache_.page_table(ask->lease, batch.rows.back().position + 1, pages);
    batch.sequences.push_back(std::move(pages));
    if (ask->over) continue;
    plans.push_back(ask->path->next_guess());
    plans.back().row = static_cast<std::uint32_t>(batch.rows.size() - 1);
    asked.push_back(ask);
  }
  if (batch.rows.empty()) return false;
  const auto start = system_.now();
  auto results = run(*backend_, batch, plans);
  const double took = elapsed(system_, start);
  seconds_ += took;
  if (!results) {
    cache_.abandon(plan);
    fail(results.error().message);
    return false;
  }
  cache_.commit(plan);
  cost_.record(static_cast<double>(batch.rows.size()), took);
  bool more = false;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    Ask& ask = *asked[i];
    const TokenId token = (*results)[i].sampled.token;
    ask.over = !ask.path->add_guess(token) || ++ask.guessed == ask.most;
    if (ask.over) continue;
    cache_.extend(ask.lease, {&token, 1});
    more = true;
  }
  return more;
}

}  // namespace espalier::runtime
