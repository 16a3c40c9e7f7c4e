#include "cli/step_bench.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

namespace espalier::cli {
namespace {

constexpr std::uint32_t kChunk = 512;    // rows of a prompt in one step
constexpr std::uint32_t kBudget = 4096;  // tokens that a value may have: never the limit here

std::uint64_t pages_of(std::uint64_t tokens) {
  return (tokens + runtime::kPageTokens - 1) / runtime::kPageTokens;
}

}  // namespace

std::uint64_t StepBench::pages(std::uint32_t batch, std::uint32_t depth, std::uint32_t tokens) {
  return pages_of(depth) + batch * pages_of(tokens);
}

TokenId StepBench::some_token(std::uint32_t i) const {
  const std::uint32_t vocabulary = backend_.info().vocabulary;
  const std::uint32_t first = std::min(1000U, vocabulary / 2);
  return static_cast<TokenId>(first + i * 37 % std::min(20'000U, vocabulary - first));
}

std::vector<runtime::PageId> StepBench::take_pages(std::uint32_t tokens) {
  std::vector<runtime::PageId> out(pages_of(tokens));
  for (runtime::PageId& page : out) page = next_page_++;
  return out;
}

void StepBench::append(runtime::Batch& batch, Branch& branch, TokenId token,
                       std::uint32_t sequence) {
  const std::uint32_t position = branch.length++;
  batch.rows.push_back(
      {token, position, sequence, static_cast<std::uint32_t>(batch.writes.size()), 1});
  batch.writes.push_back(
      {branch.pages[position / runtime::kPageTokens], position % runtime::kPageTokens});
}

Status StepBench::begin_step(const runtime::Batch& batch, std::span<const std::uint32_t> wanted) {
  if (!go_on_()) return fail(ErrorCode::kCancelled, "stopped");
  return backend_.begin(batch, wanted);
}

Status StepBench::feed(Branch& branch, std::uint32_t tokens) {
  while (branch.length < tokens) {
    const std::uint32_t count = std::min(kChunk, tokens - branch.length);
    runtime::Batch batch;
    batch.sequences.push_back(branch.pages);
    for (std::uint32_t i = 0; i < count; ++i) append(batch, branch, some_token(branch.length), 0);
    std::vector<std::uint32_t> wanted;
    std::vector<runtime::RowPlan> plans;
    if (branch.length == tokens) {
      wanted.push_back(count - 1);
      plans.emplace_back().row = count - 1;
      plans.back().sampling = &greedy_;
    }
    ESP_TRY(begin_step(batch, wanted));
    ESP_TRY(backend_.finish(plans));
  }
  return {};
}

Result<double> StepBench::prefill(std::uint32_t tokens) {
  next_page_ = 0;
  Branch branch;
  branch.pages = take_pages(tokens);
  const auto start = system_.now();
  ESP_TRY(feed(branch, tokens));
  return tokens / std::chrono::duration<double>(system_.now() - start).count();
}

bool StepBench::goes_ahead() const {
  runtime::RowPlan plan;
  plan.sampling = &greedy_;
  return backend_.chooses_ahead(plan);
}

runtime::Batch StepBench::rows_of(std::vector<Branch>& branches, bool known) {
  runtime::Batch out;
  for (std::uint32_t b = 0; b < branches.size(); ++b) {
    out.sequences.push_back(branches[b].pages);
    append(out, branches[b], known ? branches[b].next : kNoToken, b);
    if (!known) out.rows.back().chosen = b;
  }
  return out;
}

Status StepBench::end_step(std::vector<Branch>& branches, const Decode& what,
                           runtime::Batch* next) {
  const bool ahead = next != nullptr && what.ahead;
  if (ahead) {
    if (!go_on_()) return fail(ErrorCode::kCancelled, "stopped");
    *next = rows_of(branches, false);
  }
  // As the engine does: masks are made while a device runs the layers.
  std::vector<runtime::RowPlan> plans(branches.size());
  for (std::uint32_t b = 0; b < branches.size(); ++b) {
    plans[b].row = b;
    plans[b].sampling = &greedy_;
    if (what.grammar != nullptr) plans[b].mask = branches[b].matcher.mask(kBudget);
  }
  runtime::NextStep beside{next, wanted_};
  ESP_ASSIGN(const auto results,
             ahead ? backend_.finish_and_begin(plans, beside) : backend_.finish(plans));
  for (std::uint32_t b = 0; b < branches.size(); ++b) {
    Branch& branch = branches[b];
    branch.next = results[b].sampled.token;
    if (what.grammar == nullptr) continue;
    ESP_CHECK(branch.matcher.advance(branch.next));
    if (branch.matcher.done()) branch.matcher = what.grammar->start();
  }
  if (next == nullptr || beside.begun) return {};
  if (ahead) {
    for (Branch& branch : branches) --branch.length;
  }
  *next = rows_of(branches, true);
  return begin_step(*next, wanted_);
}

Status StepBench::decode_all(std::vector<Branch>& branches, const Decode& what) {
  runtime::Batch batches[2] = {rows_of(branches, true), {}};
  ESP_TRY(begin_step(batches[0], wanted_));
  for (std::uint32_t i = 1; i <= what.tokens; ++i) {
    ESP_TRY(end_step(branches, what, i < what.tokens ? &batches[i % 2] : nullptr));
  }
  return {};
}

Result<double> StepBench::decode(const Decode& what) {
  ESP_CHECK(what.depth % runtime::kPageTokens == 0);
  next_page_ = 0;
  Branch trunk;
  trunk.pages = take_pages(what.depth);
  ESP_TRY(feed(trunk, what.depth));
  std::vector<Branch> branches(what.batch);
  for (std::uint32_t b = 0; b < what.batch; ++b) {
    Branch& branch = branches[b];
    branch = trunk;
    const auto own = take_pages(what.tokens);
    branch.pages.insert(branch.pages.end(), own.begin(), own.end());
    branch.next = some_token(b + 100);
    if (what.grammar != nullptr) branch.matcher = what.grammar->start();
  }
  wanted_.resize(what.batch);
  std::iota(wanted_.begin(), wanted_.end(), 0U);
  const auto start = system_.now();
  ESP_TRY(decode_all(branches, what));
  const double seconds = std::chrono::duration<double>(system_.now() - start).count();
  return static_cast<double>(what.batch) * what.tokens / seconds;
}

}  // namespace espalier::cli
