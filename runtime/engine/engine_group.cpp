#include "runtime/engine/engine_group.h"

#include <algorithm>
#include <utility>

namespace espalier::runtime {

Lineage::~Lineage() {
  if (EngineCore* const core = home.load(std::memory_order_relaxed); core != nullptr) {
    core->programs.fetch_sub(1, std::memory_order_relaxed);
  }
}

EngineGroup::EngineGroup(std::vector<std::unique_ptr<EngineCore>> cores,
                         std::span<const std::uint64_t> pages, bool cache)
    : cores_(std::move(cores)), cache_(cache), standings_(cores_.size()) {
  ESP_CHECK(!cores_.empty() && pages.size() == cores_.size());
  if (cores_.size() > 1) router_.emplace(pages);
}

std::size_t EngineGroup::index_of(const EngineCore* core) const {
  const auto at =
      std::find_if(cores_.begin(), cores_.end(), [&](const auto& it) { return it.get() == core; });
  ESP_CHECK(at != cores_.end());
  return static_cast<std::size_t>(at - cores_.begin());
}

bool EngineGroup::replaced(const EngineCore& core) const {
  return core.lost.load(std::memory_order_acquire) &&
         std::any_of(cores_.begin(), cores_.end(),
                     [](const auto& it) { return !it->lost.load(std::memory_order_acquire); });
}

bool EngineGroup::send_elsewhere(const std::shared_ptr<BranchState>& state) {
  place(*state);
  return state->core->inbox.push(state);
}

void EngineGroup::place(BranchState& state) {
  if (!router_) {
    state.core = cores_[0].get();
    return;
  }
  const std::lock_guard lock(mutex_);
  std::atomic<EngineCore*>& home = state.lineage->home;
  EngineCore* const before = home.load(std::memory_order_relaxed);
  if (before == nullptr || replaced(*before)) {
    EngineCore& core = choose_for(state);
    core.programs.fetch_add(1, std::memory_order_relaxed);
    if (before != nullptr) before->programs.fetch_sub(1, std::memory_order_relaxed);
    state.lineage->left = 0;  // its place was one of the other's queue
    home.store(&core, std::memory_order_relaxed);
  }
  EngineCore* const now = home.load(std::memory_order_relaxed);
  if (std::exchange(state.core, now) != now) state.parked = 0;  // by another one's steps
  // Spaces of one branch alone are of no use to others.
  if (state.space < kOwnSpaces) router_->saw(index_of(state.core), state.space, state.ids);
}

EngineCore& EngineGroup::choose_for(const BranchState& state) {
  bool works = false;
  for (std::size_t i = 0; i < cores_.size(); ++i) {
    const EngineCore& core = *cores_[i];
    standings_[i] = {
        core.programs.load(std::memory_order_relaxed),
        core.failed.load(std::memory_order_relaxed) || core.lost.load(std::memory_order_acquire)};
    works = works || !standings_[i].failed;
  }
  for (std::size_t i = 0; i < cores_.size() && !works; ++i) {
    standings_[i].failed = cores_[i]->lost.load(std::memory_order_acquire);
  }
  return *cores_[router_->choose(state.space, state.ids, standings_)];
}

void EngineGroup::left(const BranchState& state) {
  if (!router_ || state.core == nullptr || state.space >= kOwnSpaces) return;
  const std::lock_guard lock(mutex_);
  router_->saw(index_of(state.core), state.space, std::span(state.ids).first(state.computed));
}

}  // namespace espalier::runtime
