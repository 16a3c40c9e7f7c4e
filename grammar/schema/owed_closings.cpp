#include "grammar/schema/owed_closings.h"

#include <algorithm>

namespace espalier::grammar {

const OwedClosings::Layer& OwedClosings::layer(std::uint32_t owed) {
  while (layers_.size() <= owed) {
    const bool none = layers_.empty();
    Layer& made = layers_.emplace_back(dfa_->size(), kNone);
    const auto n = static_cast<std::uint32_t>(layers_.size() - 1);
    const auto shortest = [&](ScalarDfa::State q) {
      std::uint32_t least = kNone;
      for (const ByteRun& run : dfa_->runs(q)) {
        if (run.to == ScalarDfa::kDead || dfa_->accepting(run.to)) continue;
        least = std::min(least, behind(q, n)[run.to]);
      }
      return least == kNone ? kNone : least + 1;
    };
    std::vector<ScalarDfa::State> inside;
    for (std::size_t i = 1; i < dfa_->size(); ++i) {
      const auto q = static_cast<ScalarDfa::State>(i);
      if (none) {
        made[q] = dfa_->closing_size(q);
      } else if (dfa_->between(q)) {
        made[q] = shortest(q);
      } else if (!dfa_->accepting(q)) {
        inside.push_back(q);
      }
    }
    // Inside a character: from its end backwards, as deep as it has bytes.
    for (bool changed = true; changed;) {
      changed = false;
      for (const ScalarDfa::State q : inside) {
        const std::uint32_t least = shortest(q);
        changed = changed || least != made[q];
        made[q] = least;
      }
    }
  }
  return layers_[owed];
}

unsigned char OwedClosings::byte(ScalarDfa::State q, std::uint32_t owed) {
  if (owed == 0) return dfa_->closing_byte(q);
  const std::uint32_t wanted = layer(owed)[q] - 1;
  int byte = -1;
  const std::span<const ByteRun> runs = dfa_->runs(q);
  for (std::size_t r = 0; r < runs.size(); ++r) {
    const ScalarDfa::State to = runs[r].to;
    if (to == ScalarDfa::kDead || dfa_->accepting(to) || behind(q, owed)[to] != wanted) continue;
    const ByteSet own = ByteSet::range(runs[r].first, ByteRuns::end(runs, r) - 1);
    const ByteSet tokens = own & dfa_->preferred();
    if (!tokens.none()) return static_cast<unsigned char>(tokens.lowest());
    if (byte < 0) byte = static_cast<int>(own.lowest());
  }
  ESP_CHECK(byte >= 0);
  return static_cast<unsigned char>(byte);
}

std::uint32_t OwedClosings::longest(std::uint32_t owed) {
  std::uint32_t out = 0;
  for (const std::uint32_t size : layer(owed)) {
    if (size != kNone) out = std::max(out, size);
  }
  return out;
}

}  // namespace espalier::grammar
