#include <algorithm>
#include <span>
#include <utility>

#include "runtime/engine/core.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/engine_group.h"
#include "runtime/engine/job.h"
#include "runtime/engine/together.h"

namespace espalier::runtime {
namespace {

template <class Answer>
void refuse(BranchState& state) {
  state.outstanding = false;
  state.answer = Result<Answer>(fail(ErrorCode::kCancelled, "the engine has ended"));
}

template <class Answer>
Result<Answer> take_answer(BranchState& state) {
  auto* answer = std::get_if<Result<Answer>>(&state.answer);
  ESP_CHECK(answer != nullptr);
  Result<Answer> out = std::move(*answer);
  state.answer = std::monostate();
  state.request = std::monostate();
  return out;
}

template <class Answer, class Request>
Result<Answer> wait_for(const std::shared_ptr<BranchState>& state, Request request) {
  ESP_CHECK(!state->outstanding);
  state->request = std::move(request);
  state->blocking = true;
  state->outstanding = true;
  state->lineage->group->place(*state);
  if (state->core->inbox.push(state)) {
    state->done.acquire();
  } else {
    refuse<Answer>(*state);
  }
  state->blocking = false;
  return take_answer<Answer>(*state);
}

void append_segment(BranchState& state, std::size_t count) {
  const std::size_t begin = state.ids.size() - count;
  auto& segments = state.segments;
  // A segment that nobody shares grows; one that a fork shares, or has counted before it ended,
  // must not.
  if (!segments.empty() && segments.back().end == begin &&
      segments.back().counted.use_count() == 1 && !segments.back().counted->load()) {
    segments.back().end += count;
  } else {
    segments.push_back({begin, begin + count, std::make_shared<std::atomic<bool>>(false)});
  }
}

}  // namespace

void complete(const std::shared_ptr<BranchState>& state) {
  // The waiter may use the state as soon as it runs: read everything first.
  Executor* const executor = std::exchange(state->executor, nullptr);
  const std::coroutine_handle<> waiter = std::exchange(state->waiter, {});
  const bool blocking = state->blocking;
  state->outstanding = false;
  if (executor != nullptr) {
    executor->post(waiter);
  } else if (blocking) {
    state->done.release();
  }
}

namespace {
thread_local Together* together = nullptr;

void refuse_any(BranchState& state) {
  if (std::holds_alternative<GenerateRequest>(state.request)) refuse<Generated>(state);
  if (std::holds_alternative<ScoreRequest>(state.request)) refuse<Scored>(state);
  if (std::holds_alternative<ProbeRequest>(state.request)) refuse<Probed>(state);
}
}  // namespace

Together::Together() {
  ESP_CHECK(together == nullptr);
  together = this;
}

Together::~Together() {
  together = nullptr;
  // Each engine has its own at once; the branches of one program are of one, unless its device is
  // lost meanwhile.
  for (auto from = kept_.begin(); from != kept_.end();) {
    const auto to = std::stable_partition(
        from, kept_.end(), [&](const auto& state) { return state->core == (*from)->core; });
    if (!(*from)->core->inbox.push(std::span(from, to))) {
      for (auto state = from; state != to; ++state) {
        refuse_any(**state);
        complete(*state);
      }
    }
    from = to;
  }
}

bool Together::keep(const std::shared_ptr<BranchState>& state) {
  if (together == nullptr) return false;
  together->kept_.push_back(state);
  return true;
}

template <class Answer>
bool Operation<Answer>::await_suspend(std::coroutine_handle<> handle) {
  ESP_CHECK(!state_->outstanding);
  state_->executor = &executor_;
  state_->waiter = handle;
  state_->outstanding = true;
  // The answer may arrive, and this object go, before push returns: keep the state by a local.
  const std::shared_ptr<BranchState> state = state_;
  state->lineage->group->place(*state);
  if (Together::keep(state) || state->core->inbox.push(state)) return true;
  state->executor = nullptr;
  refuse<Answer>(*state);
  return false;
}

template <class Answer>
Result<Answer> Operation<Answer>::await_resume() {
  return take_answer<Answer>(*state_);
}

template class Operation<Generated>;
template class Operation<Scored>;
template class Operation<Probed>;

BranchState::BranchState() = default;
BranchState::~BranchState() = default;

Branch::Branch(std::shared_ptr<BranchState> state) : state_(std::move(state)) {}

Branch& Branch::operator=(Branch&& other) noexcept {
  if (this != &other) {
    Branch gone(std::move(*this));
    state_ = std::move(other.state_);
  }
  return *this;
}

Branch::~Branch() {
  if (!state_) return;
  if (state_->outstanding) {
    cancel();
    return;
  }
  if (state_->computed == 0) return;
  if (!state_->dead) state_->lineage->group->left(*state_);
  if (state_->core != nullptr && (state_->dead || state_->parked > 0)) {
    state_->request = ForgetRequest{};
    (void)state_->core->inbox.push(state_);  // an engine that has ended has forgotten already
  }
}

const std::vector<TokenId>& Branch::ids() const { return state_->ids; }

void Branch::append(std::span<const TokenId> ids) {
  ESP_CHECK(!state_->outstanding);
  if (ids.empty()) return;
  state_->ids.insert(state_->ids.end(), ids.begin(), ids.end());
  append_segment(*state_, ids.size());
}

void Branch::append_selected(std::span<const TokenId> ids) {
  ESP_CHECK(!state_->outstanding);
  state_->ids.insert(state_->ids.end(), ids.begin(), ids.end());
}

Branch Branch::fork() const {
  ESP_CHECK(!state_->outstanding);
  auto child = std::make_shared<BranchState>();
  EngineGroup& group = *state_->lineage->group;
  child->core = state_->core;
  child->space = group.space_of(state_->space);
  child->ids = state_->ids;
  child->segments = state_->segments;
  child->terms = state_->terms;
  child->lineage = state_->lineage;
  child->computed = group.cache() ? state_->computed : 0;
  child->forked_at = child->ids.size();
  return Branch(std::move(child));
}

void Branch::rollback(std::size_t length) {
  ESP_CHECK(!state_->outstanding && length <= state_->ids.size());
  state_->ids.resize(length);
  state_->computed = std::min(state_->computed, length);
  state_->forked_at = std::min(state_->forked_at, length);
  auto& segments = state_->segments;
  while (!segments.empty() && segments.back().begin >= length) segments.pop_back();
  if (!segments.empty() && segments.back().end > length) {
    // Cut a copy: forks that share the segment keep its whole length.
    PromptSegment& last = segments.back();
    if (last.counted.use_count() > 1) {
      last.counted = std::make_shared<std::atomic<bool>>(last.counted->load());
    }
    last.end = length;
  }
}

void Branch::cut(std::size_t begin, std::size_t end) {
  ESP_CHECK(!state_->outstanding && begin <= end && end <= state_->ids.size());
  const std::size_t size = end - begin;
  if (size == 0) return;
  auto& ids = state_->ids;
  ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(begin),
            ids.begin() + static_cast<std::ptrdiff_t>(end));
  const auto moved = [&](std::size_t at) {
    return at <= begin ? at : std::max(begin, at - std::min(at, size));
  };
  state_->computed = moved(state_->computed);
  state_->forked_at = std::min(state_->forked_at, begin);
  std::vector<PromptSegment> kept;
  for (PromptSegment segment : state_->segments) {
    const std::size_t whole = segment.end - segment.begin;
    segment.begin = moved(segment.begin);
    segment.end = moved(segment.end);
    // Cut a copy: forks that share the segment keep its whole length.
    if (segment.end - segment.begin != whole)
      segment.counted = std::make_shared<std::atomic<bool>>(segment.counted->load());
    if (segment.begin < segment.end) kept.push_back(std::move(segment));
  }
  state_->segments = std::move(kept);
}

void Branch::mark_dead() { state_->dead = true; }

void Branch::set_terms(const Terms& terms) {
  ESP_CHECK(!state_->outstanding);
  state_->terms = terms;
  state_->terms.priority = std::clamp(terms.priority, -Terms::kMaxPriority, Terms::kMaxPriority);
}

void Branch::cancel() { state_->cancelled.store(true, std::memory_order_relaxed); }

Operation<Generated> Branch::generate(Executor& executor, GenerateRequest request) {
  state_->request = std::move(request);
  return {state_, executor};
}
Operation<Scored> Branch::score(Executor& executor, ScoreRequest request) {
  state_->request = std::move(request);
  return {state_, executor};
}
Operation<Probed> Branch::probe(Executor& executor, ProbeRequest request) {
  state_->request = std::move(request);
  return {state_, executor};
}
Result<Generated> Branch::generate_now(GenerateRequest request) {
  return wait_for<Generated>(state_, std::move(request));
}
Result<Scored> Branch::score_now(ScoreRequest request) {
  return wait_for<Scored>(state_, std::move(request));
}
Result<Probed> Branch::probe_now(ProbeRequest request) {
  return wait_for<Probed>(state_, std::move(request));
}

}  // namespace espalier::runtime
