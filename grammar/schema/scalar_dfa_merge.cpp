// States of a finished automaton that say the same become one (Moore's refinement).
#include <algorithm>
#include <utility>

#include "grammar/hash.h"
#include "grammar/intern_table.h"
#include "grammar/schema/scalar_dfa.h"

namespace espalier::grammar {

// Each round tells apart the states of a class that lead to different classes, until none is told
// apart any more. All states but kDead have a way to the end, so none becomes one with it. A round
// costs a run of bytes some nanoseconds, and there are no more rounds than states.
void ScalarDfa::merge_alike() {
  const ByteRuns runs(rows_);
  const std::size_t count = facts_.size();
  std::vector<State> of(count), further(count);  // a state's class
  for (std::size_t q = 1; q < count; ++q) of[q] = facts_[q].accepting ? 2 : 1;
  std::vector<std::uint32_t> ways, begins;  // of the classes: what the first state of each does
  std::vector<State> first;
  for (std::size_t classes = 0;; classes = first.size()) {
    InternTable known;
    ways.clear();
    begins.assign(2, 0);
    first.assign(1, kDead);
    for (std::size_t q = 1; q < count; ++q) {
      std::size_t hash = of[q];
      ways.push_back(of[q]);
      State last = kDead;
      for (const ByteRun& run : runs.of(q)) {
        const State to = of[run.to];
        if (to == last) continue;
        last = to;
        ways.push_back((std::uint32_t{to} << 8) | run.first);
        hash = mix(hash, ways.back());
      }
      const auto own = ways.begin() + begins.back();
      const std::uint32_t same = known.find(hash, [&](std::uint32_t other) {
        return std::equal(own, ways.end(), ways.begin() + begins[other],
                          ways.begin() + begins[other + 1]);
      });
      if (same != InternTable::kNone) {
        ways.erase(own, ways.end());
        further[q] = static_cast<State>(same);
        continue;
      }
      further[q] = static_cast<State>(first.size());
      known.insert(hash, further[q]);
      first.push_back(static_cast<State>(q));
      begins.push_back(static_cast<std::uint32_t>(ways.size()));
    }
    of.swap(further);
    if (first.size() == classes) break;
  }
  if (first.size() == count) return;
  std::vector<State> rows(first.size() * 256, kDead);
  std::vector<Facts> facts(first.size());
  for (std::size_t c = 1; c < first.size(); ++c) {
    facts[c] = facts_[first[c]];
    for (std::size_t b = 0; b < 256; ++b) {
      rows[c * 256 + b] = of[rows_[std::size_t{first[c]} * 256 + b]];
    }
  }
  rows_ = std::move(rows);
  facts_ = std::move(facts);
  start_ = of[start_];
}

}  // namespace espalier::grammar
