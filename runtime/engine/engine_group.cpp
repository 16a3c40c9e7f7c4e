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

void EngineGroup::place(BranchState& state) {
  if (!router_) {
    state.core = cores_[0].get();
    return;
  }
  const std::lock_guard lock(mutex_);
  std::atomic<EngineCore*>& home = state.lineage->home;
  if (home.load(std::memory_order_relaxed) == nullptr) {
    for (std::size_t i = 0; i < cores_.size(); ++i) {
      standings_[i] = {cores_[i]->programs.load(std::memory_order_relaxed),
                       cores_[i]->failed.load(std::memory_order_relaxed)};
    }
    EngineCore& core = *cores_[router_->choose(state.space, state.ids, standings_)];
    core.programs.fetch_add(1, std::memory_order_relaxed);
    home.store(&core, std::memory_order_relaxed);
  }
  state.core = home.load(std::memory_order_relaxed);
  // Spaces of one branch alone are of no use to others.
  if (state.space < kOwnSpaces) router_->saw(index_of(state.core), state.space, state.ids);
}

void EngineGroup::left(const BranchState& state) {
  if (!router_ || state.core == nullptr || state.space >= kOwnSpaces) return;
  const std::lock_guard lock(mutex_);
  router_->saw(index_of(state.core), state.space, std::span(state.ids).first(state.computed));
}

}  // namespace espalier::runtime
