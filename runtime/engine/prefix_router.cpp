#include "runtime/engine/prefix_router.h"

#include <algorithm>

namespace espalier::runtime {

PrefixRouter::PrefixRouter(std::span<const std::uint64_t> pages) : chosen_(pages.size()) {
  held_.reserve(pages.size());
  for (const std::uint64_t count : pages) {
    held_.emplace_back(static_cast<PageIndex::Slot>(std::min<std::uint64_t>(count, kMostPages)));
  }
}

std::uint64_t PrefixRouter::matched(std::size_t engine, std::uint64_t space,
                                    std::span<const TokenId> path) const {
  return std::uint64_t{held_[engine].count(space, path)} * kPageTokens;
}

std::size_t PrefixRouter::choose(std::uint64_t space, std::span<const TokenId> path,
                                 std::span<const Standing> standings) {
  ESP_CHECK(standings.size() == held_.size());
  const bool all_failed =
      std::all_of(standings.begin(), standings.end(), [](const Standing& it) { return it.failed; });
  std::size_t best = held_.size();
  std::int64_t best_score = 0;
  for (std::size_t i = 0; i < held_.size(); ++i) {
    const Standing& it = standings[i];
    if (it.failed && !all_failed) continue;
    const std::int64_t score = static_cast<std::int64_t>(matched(i, space, path)) -
                               static_cast<std::int64_t>(kProgramTokens * it.programs);
    const auto better = [&] {
      if (best == held_.size() || score != best_score) {
        return best == held_.size() || score > best_score;
      }
      if (it.programs != standings[best].programs) {
        return it.programs < standings[best].programs;
      }
      return chosen_[i] < chosen_[best];
    };
    if (!better()) continue;
    best = i;
    best_score = score;
  }
  chosen_[best] = ++choices_;
  return best;
}

void PrefixRouter::saw(std::size_t engine, std::uint64_t space, std::span<const TokenId> path) {
  PageIndex& held = held_[engine];
  held.find(space, path, slots_);
  PageIndex::Slot before = slots_.empty() ? PageIndex::kNone : slots_.back();
  for (std::size_t at = slots_.size() * kPageTokens; at + kPageTokens <= path.size();
       at += kPageTokens) {
    before = held.add(space, before, PageIndex::Tokens(path.data() + at, kPageTokens));
    if (before == PageIndex::kNone) return;  // the path alone fills the room
  }
}

Status PrefixRouter::check() const {
  for (const PageIndex& it : held_) ESP_TRY(it.check());
  return {};
}

}  // namespace espalier::runtime
