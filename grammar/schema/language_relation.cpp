#include "grammar/schema/language_relation.h"

#include <algorithm>
#include <cstdint>
#include <unordered_set>
#include <vector>

namespace espalier::grammar {

LanguageRelation language_relation(const ScalarDfa& first, const ScalarDfa& second,
                                   std::size_t most) {
  constexpr auto kDead = ScalarDfa::kDead;
  struct Pair {
    ScalarDfa::State a, b;
  };
  LanguageRelation out{false, false, false};
  std::vector<Pair> pairs;
  std::unordered_set<std::uint32_t> known;
  // From every state but the dead one some text leads to the end.
  const auto reach = [&](ScalarDfa::State a, ScalarDfa::State b) {
    if (a == kDead || b == kDead) {
      out.first_alone = out.first_alone || a != kDead;
      out.second_alone = out.second_alone || b != kDead;
    } else if (known.insert(std::uint32_t{a} << 16 | b).second) {
      pairs.push_back({a, b});
    }
  };
  reach(first.start(), second.start());
  for (std::size_t at = 0; at < pairs.size() && !out.all(); ++at) {
    if (pairs.size() > most) return {};
    const auto [a, b] = pairs[at];
    const bool ends = first.accepting(a), other_ends = second.accepting(b);
    out.both = out.both || (ends && other_ends);
    out.first_alone = out.first_alone || (ends && !other_ends);
    out.second_alone = out.second_alone || (!ends && other_ends);
    const auto runs = first.runs(a), others = second.runs(b);
    for (std::size_t i = 0, j = 0; i < runs.size() && j < others.size();) {
      reach(runs[i].to, others[j].to);
      const unsigned end = ByteRuns::end(runs, i), other_end = ByteRuns::end(others, j);
      if (end <= other_end) ++i;
      if (other_end <= end) ++j;
    }
  }
  return out;
}

}  // namespace espalier::grammar
