#include "grammar/schema/key_words.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace espalier::grammar {
namespace {

constexpr std::size_t kLooked = 8;  // tries with a name, from the newest on
constexpr std::size_t kFew = 16;    // names that may go in any case

}  // namespace

const KeyWords::Place* KeyWords::find(const Names& names) const {
  const auto known = places_.find(names);
  return known != places_.end() ? &known->second : nullptr;
}

std::optional<KeyWords::Larger> KeyWords::larger(const Names& names) const {
  const auto with = by_name_.find(names.front());
  if (with == by_name_.end()) return std::nullopt;
  const auto from = [&](const Names& all, Place place) {
    Larger out{place, {}};
    std::ranges::set_difference(all, names, std::back_inserter(out.without));
    return out;
  };
  const auto& tries = with->second;
  for (std::size_t i = 0; i < std::min(tries.size(), kLooked); ++i) {
    const Trie& trie = tries_[tries[tries.size() - 1 - i]];
    if (trie.first.size() > 2 * names.size() + kFew) continue;
    if (std::ranges::includes(trie.newest, names)) return from(trie.newest, trie.last);
    if (std::ranges::includes(trie.first, names)) return from(trie.first, trie.from);
  }
  return std::nullopt;
}

void KeyWords::add(Names names, Place place) {
  const auto [known, fresh] =
      scalars_.try_emplace(place.scalar, static_cast<std::uint32_t>(tries_.size()));
  if (fresh) {
    for (const std::uint32_t name : names) by_name_[name].push_back(known->second);
    tries_.push_back({names, names, place, place});
  } else {
    tries_[known->second].newest = names;
    tries_[known->second].last = place;
  }
  places_.emplace(std::move(names), place);
}

}  // namespace espalier::grammar
