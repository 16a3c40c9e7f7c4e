#include "runtime/engine/generate_job.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace espalier::runtime {
namespace {

void count_token(std::vector<std::pair<TokenId, std::uint32_t>>& counts, TokenId token) {
  const auto at = std::lower_bound(counts.begin(), counts.end(), token,
                                   [](const auto& entry, TokenId id) { return entry.first < id; });
  if (at != counts.end() && at->first == token) {
    ++at->second;
  } else {
    counts.insert(at, {token, 1});
  }
}

// Under a grammar the row behind an answer is begun ahead where so many tokens were drawn in a row:
// where something is forced behind it, its own rows come a step later for that.
constexpr std::uint32_t kDrawnInARow = 16;

}  // namespace

GenerateJob::GenerateJob(std::shared_ptr<BranchState> branch, GenerateRequest request, bool jump)
    : Job(std::move(branch)), request_(std::move(request)), jump_(jump) {
  out_.matcher = request_.matcher;
  if (!request_.matcher.valid() && request_.max_tokens == 0) finished_ = true;
  if (request_.sampling.has_penalties()) {
    for (const TokenId id : state().ids) count_token(counts_.context, id);
  }
  force();
}

Status GenerateJob::check() const {
  ESP_TRY(request_.sampling.check());
  if (request_.matcher.valid() && request_.matcher.distance() > request_.max_tokens) {
    return fail(ErrorCode::kInvalid, "a budget of " + std::to_string(request_.max_tokens) +
                                         " tokens is too small: the shortest value takes " +
                                         std::to_string(request_.matcher.distance()));
  }
  return {};
}

std::uint32_t GenerateJob::tokens_left() const {
  const auto used = static_cast<std::uint32_t>(out_.ids.size());
  return used >= request_.max_tokens ? 0 : request_.max_tokens - used;
}

std::uint32_t GenerateJob::length() const {
  return static_cast<std::uint32_t>(state().ids.size() + out_.ids.size());
}

bool GenerateJob::ends(TokenId token) const {
  const auto& ends = request_.end_tokens;
  return std::find(ends.begin(), ends.end(), token) != ends.end();
}

void GenerateJob::start(radix_cache::RadixCache& cache) {
  Strand strand;
  strand.lease = open_path(cache);
  // After a preemption: what was generated so far, which may have lost its pages.
  found_ += cache.extend(strand.lease, out_.ids, out_.ids.size()).reused;
  strand.end = strand.lease.length();
  strand.cursor = strand.end - 1;
  strands_.push_back(std::move(strand));
}

bool GenerateJob::may_guess(const radix_cache::RadixCache& cache) const {
  // A row with penalties depends on what was counted before it.
  if (strands_.empty() || finished_ || !forced_.empty() || !draft_.tokens.empty() ||
      request_.sampling.has_penalties())
    return false;
  const Strand& strand = strands_[0];
  return cache.ready(strand.lease) + 1 >= strand.end;  // the prompt is computed
}

std::size_t GenerateJob::most_guessed() const {
  // The row behind the last guessed token gives one more; at the budget's end a follow may still
  // come.
  return tokens_left() < 2 ? 0 : std::min<std::size_t>(kMostGuessed, tokens_left() - 1);
}

void GenerateJob::propose(radix_cache::RadixCache& cache, double threshold) {
  if (!may_guess(cache)) return;
  guess(cache, threshold);
  enter_guess(cache);
}

void GenerateJob::enter_guess(radix_cache::RadixCache& tree) {
  if (draft_.tokens.empty()) return;
  Strand& strand = strands_[0];
  const std::vector<TokenId> tokens(draft_.tokens.begin(), draft_.tokens.end());
  const radix_cache::Extended found = tree.extend(strand.lease, tokens, tokens.size());
  strand.end = strand.lease.length();
  draft_.fresh = strand.end - found.fresh;
}

void GenerateJob::begin_guess(DraftSource source) {
  draft_ = {};
  draft_.source = source;
  draft_.left = tokens_left();
  draft_.matcher = out_.matcher;
  if (draft_.matcher.valid()) draft_.mask = draft_.matcher.mask(draft_.left);
}

bool GenerateJob::add_guess(TokenId token) {
  grammar::Matcher& matcher = draft_.matcher;
  if (matcher.valid()) {
    if (draft_.mask == nullptr || !draft_.mask->allows(token) || !matcher.advance(token))
      return false;
    if (matcher.done()) return false;  // the row behind it would have nothing to allow
    draft_.mask = matcher.mask(--draft_.left);
    // A guess must never end a request.
    if (draft_.mask == nullptr || draft_.mask->count() == 0) return false;
  }
  draft_.tokens.push_back(token);
  draft_.masks.push_back(draft_.mask);
  // What follows an end, or what is forced then, is not guessed.
  return matcher.valid() ? matcher.forced(draft_.left).empty() : !ends(token);
}

NGramIndex::Guess GenerateJob::find_guess(const radix_cache::RadixCache& cache) {
  const std::size_t most = most_guessed();
  if (most == 0) return {};
  NGramIndex::Guess found{DraftSource::kTree, cache.following(strands_[0].lease, most)};
  if (found.tokens.empty()) {
    if (path_.empty()) path_ = state().ids;
    path_.insert(path_.end(), out_.ids.end() - (length() - path_.size()), out_.ids.end());
    found = index_.guess(path_, most);
  }
  return found;
}

Job::Follows GenerateJob::follows(const radix_cache::RadixCache& cache,
                                  std::optional<double> guesses_above) {
  if (!forced_.empty() || !draft_.tokens.empty()) return Follows::kMore;
  if (tokens_left() < 2) return Follows::kNothing;
  if (out_.matcher.valid() && drawn_ < kDrawnInARow) return Follows::kMore;
  if (!guesses_above) return Follows::kItsToken;
  const NGramIndex::Guess found = find_guess(cache);
  if (found.tokens.empty()) return Follows::kItsToken;
  due_ = trust_.worth(found.source, *guesses_above, found.tokens.size());
  return due_ > 0 ? Follows::kMore : Follows::kItsToken;
}

void GenerateJob::guess(radix_cache::RadixCache& cache, double threshold) {
  const NGramIndex::Guess found = find_guess(cache);
  const std::size_t due = std::exchange(due_, 0);
  if (found.tokens.empty()) return;
  const std::size_t count = due > 0 ? std::min(due, found.tokens.size())
                                    : trust_.worth(found.source, threshold, found.tokens.size());
  if (count == 0) return;
  begin_guess(found.source);
  for (const TokenId token : found.tokens.first(count)) {
    if (!add_guess(token)) return;
  }
}

DraftPath* GenerateJob::draft_path(const radix_cache::RadixCache& cache) {
  return may_guess(cache) && most_guessed() > 0 ? this : nullptr;
}

std::size_t GenerateJob::worth(double threshold, std::size_t most) {
  const std::size_t count =
      trust_.worth(DraftSource::kModel, threshold, std::min(most, most_guessed()));
  if (count > 0) begin_guess(DraftSource::kModel);
  return count;
}

RowPlan GenerateJob::next_guess() const {
  RowPlan plan;
  plan.want = Want::kToken;
  plan.mask = draft_.mask;
  plan.sampling = &request_.sampling;
  plan.key = request_.key;
  plan.counter = out_.ids.size() + draft_.tokens.size();
  return plan;
}

void GenerateJob::retract(radix_cache::RadixCache& cache) {
  allowed_.clear();
  if (draft_.tokens.empty() || strands_.empty()) return;
  Strand& strand = strands_[0];
  cache.retract(strand.lease, length(), draft_.fresh);
  strand.end = strand.lease.length();
  strand.cursor = strand.end - 1;
  draft_ = {};
}

Status GenerateJob::want(const Strand&, std::uint32_t position, RowPlan& plan) {
  plan.want = Want::kToken;
  const std::uint32_t ahead = position + 1 - length();  // guessed tokens before the row's answer
  if (out_.matcher.valid()) {
    plan.mask = ahead == 0 ? out_.matcher.mask(tokens_left()) : draft_.masks[ahead - 1];
    if (plan.mask == nullptr || plan.mask->count() == 0) {
      return fail(ErrorCode::kInternal, "the grammar allows no token after " +
                                            std::to_string(out_.ids.size() + ahead) +
                                            " tokens of the value");
    }
  }
  allowed_.push_back(plan.mask == nullptr ? 0 : plan.mask->count());
  plan.sampling = &request_.sampling;
  plan.counts = request_.sampling.has_penalties() ? &counts_ : nullptr;
  plan.key = request_.key;
  plan.counter = out_.ids.size() + ahead;
  plan.count = request_.logprobs;
  return {};
}

void GenerateJob::append(TokenId token, bool forced, Stats& stats,
                         std::span<const std::pair<TokenId, float>> best) {
  out_.ids.push_back(token);
  ++stats.generated_tokens;
  if (forced) ++stats.forced_tokens;
  drawn_ = forced ? 0 : drawn_ + 1;
  if (request_.sampling.has_penalties()) {
    count_token(counts_.context, token);
    count_token(counts_.generated, token);
  }
  if (request_.on_token) {
    request_.on_token({token, forced, out_.matcher.valid() ? &out_.matcher : nullptr,
                       forced ? 0 : allowed_.front(), best});
  }
}

std::vector<TokenId> GenerateJob::path() const {
  std::vector<TokenId> ids = state().ids;
  ids.insert(ids.end(), out_.ids.begin(), out_.ids.end());
  return ids;
}

Status GenerateJob::take_sampled(RowResult& result, Stats& stats) {
  const TokenId token = result.sampled.token;
  out_.logprob += std::log(result.sampled.probability);
  std::span<const std::pair<TokenId, float>> best;
  if (request_.logprobs > 0) best = out_.best.emplace_back(std::move(result.best));
  if (!out_.matcher.valid()) {
    append(token, false, stats, best);
    if (ends(token)) {
      finished_ = true;
    } else if (tokens_left() == 0) {
      out_.truncated = true;
      finished_ = true;
    }
    return {};
  }
  if (!out_.matcher.advance(token)) {
    return fail(ErrorCode::kInternal,
                "the grammar refused token " + std::to_string(token) + " that its mask allowed");
  }
  append(token, false, stats, best);
  force();
  return {};
}

// Forced ids are fed canonically and without a draw (CONTRACTS 14), from the hole's first byte on;
// the matcher holds back what is not stable.
void GenerateJob::force() {
  if (!out_.matcher.valid() || out_.matcher.done()) return;
  forced_ = out_.matcher.forced(tokens_left());
  std::reverse(forced_.begin(), forced_.end());
}

Status GenerateJob::take_forced(Stats& stats) {
  const TokenId next = forced_.back();
  forced_.pop_back();
  if (!out_.matcher.advance(next)) {
    return fail(ErrorCode::kInternal,
                "the grammar refused token " + std::to_string(next) + " that it forced");
  }
  append(next, true, stats);
  return {};
}

Status GenerateJob::take(Strand& strand, std::uint32_t, RowResult& result,
                         radix_cache::RadixCache& cache, Stats& stats) {
  const std::size_t before = out_.ids.size();
  std::uint32_t kept = length();  // of what the lease holds
  if (forced_.empty()) {
    ESP_TRY(take_sampled(result, stats));
  } else {
    ESP_TRY(take_forced(stats));  // the row ran to be there; nothing is drawn from it
  }
  while (jump_ && !forced_.empty()) ESP_TRY(take_forced(stats));
  allowed_.pop_front();
  if (out_.matcher.valid()) finished_ = forced_.empty() && out_.matcher.done();
  if (!draft_.tokens.empty()) {
    const bool right = draft_.tokens.front() == out_.ids[before];
    trust_.record(draft_.source, right);
    const std::uint64_t by_model = draft_.source == DraftSource::kModel ? 1 : 0;
    ++stats.drafted_tokens;
    stats.accepted_tokens += right ? 1 : 0;
    stats.model_drafted_tokens += by_model;
    stats.model_accepted_tokens += right ? by_model : 0;
    if (right) {
      draft_.tokens.pop_front();
      draft_.masks.pop_front();
      ++kept;
    }
    if (right && !finished_ && out_.ids.size() == before + 1)
      return {};  // the next row answers too
    stats.drafted_tokens += draft_.tokens.size();
    stats.model_drafted_tokens += by_model * draft_.tokens.size();
    cache.retract(strand.lease, kept, std::max(kept, draft_.fresh));
    draft_ = {};
    allowed_.clear();
    strand.stale = true;
  }
  cache.extend(strand.lease, std::span(out_.ids).last(length() - kept));
  strand.end = strand.lease.length();
  strand.cursor = strand.end - 1;
  return {};
}

void GenerateJob::answer(Status status) {
  if (!status) {
    state().answer = Result<Generated>(fail(std::move(status).error()));
    return;
  }
  out_.prompt = state().ids.size();
  out_.found = std::min(found_, out_.prompt);
  state().ids.insert(state().ids.end(), out_.ids.begin(), out_.ids.end());
  state().answer = Result<Generated>(std::move(out_));
}

}  // namespace espalier::runtime
