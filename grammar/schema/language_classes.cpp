#include "grammar/schema/language_classes.h"

#include <algorithm>
#include <set>
#include <string>
#include <unordered_set>

namespace espalier::grammar {

std::optional<LanguageClasses> language_classes(std::span<const ScalarDfa* const> languages,
                                                std::size_t most) {
  using State = ScalarDfa::State;
  constexpr State kDead = ScalarDfa::kDead;
  // The states that texts lead to, of each automaton one; those that are met first stand first.
  std::vector<std::u16string> places;
  std::unordered_set<std::u16string> known;
  std::set<std::vector<std::uint32_t>> found{{}};
  const auto reach = [&](const std::u16string& place) {
    const bool dead = std::ranges::all_of(place, [](char16_t s) { return State{s} == kDead; });
    if (!dead && known.insert(place).second) places.push_back(place);
  };
  std::u16string place;
  for (const ScalarDfa* one : languages) place += static_cast<char16_t>(one->start());
  reach(place);
  for (std::size_t at = 0; at < places.size(); ++at) {
    if (places.size() > most) return std::nullopt;
    const std::u16string from = places[at];
    std::vector<std::uint32_t> ends;
    for (std::uint32_t i = 0; i < from.size(); ++i) {
      if (from[i] != kDead && languages[i]->accepting(from[i])) ends.push_back(i);
    }
    found.insert(std::move(ends));
    // By the bytes that one of the automata tells apart from those before them.
    std::vector<std::span<const ByteRun>> runs;
    for (std::uint32_t i = 0; i < from.size(); ++i) {
      runs.push_back(from[i] == kDead ? std::span<const ByteRun>() : languages[i]->runs(from[i]));
    }
    std::vector<std::size_t> next(from.size(), 0);
    for (unsigned byte = 0; byte < 256;) {
      unsigned end = 256;
      for (std::uint32_t i = 0; i < from.size(); ++i) {
        if (runs[i].empty()) {
          place[i] = kDead;
          continue;
        }
        while (ByteRuns::end(runs[i], next[i]) <= byte) ++next[i];
        place[i] = static_cast<char16_t>(runs[i][next[i]].to);
        end = std::min(end, ByteRuns::end(runs[i], next[i]));
      }
      reach(place);
      byte = end;
    }
  }
  return LanguageClasses{{found.begin(), found.end()}, places.size()};
}

}  // namespace espalier::grammar
