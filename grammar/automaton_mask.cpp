// Masks: one walk over the vocabulary's trie a state, cached in the state.
#include <algorithm>

#include "grammar/automaton.h"
#include "grammar/token_trie.h"

namespace espalier::grammar {

MaskRef Automaton::intern_mask(std::vector<std::uint64_t> words) {
  std::size_t hash = 0xCBF29CE484222325ULL;
  for (const std::uint64_t w : words) hash = (hash ^ w) * 0x9E3779B97F4A7C15ULL;
  const auto [from, to] = masks_.equal_range(hash);
  for (auto it = from; it != to; ++it) {
    if (std::equal(words.begin(), words.end(), it->second->words().begin(),
                   it->second->words().end())) {
      return it->second;
    }
  }
  bytes_ += words.size() * sizeof(std::uint64_t) + 128;
  auto mask = std::make_shared<const Mask>(std::move(words));
  masks_.emplace(hash, mask);
  return mask;
}

MaskRef Automaton::mask(StateId state, std::uint32_t tokens_left) {
  if (state != kDead && tokens_left == 0) {
    // The value may not grow any more: only its follow, where it has come furthest, or its end goes
    // on.
    std::vector<PositionId> ends;
    const std::uint32_t read = follow_read(state);
    for (const PositionId p : states_[state].items) {
      if (p == kValueEnd || (is_follow(p) && positions_[p].progress == read)) ends.push_back(p);
    }
    state = kDead;
    if (!ends.empty()) {
      // A kValueEnd item exists only without a follow, and a follow's own items need no scanner.
      state = intern(std::move(ends), kNoScan);
      tokens_left = 1;
    }
  }
  if (!live(state) || states_[state].done) {
    return intern_mask(std::vector<std::uint64_t>((program_->vocabulary()->size() + 63) / 64));
  }
  if (!states_[state].mask) {
    std::uint32_t largest = 0;
    MaskRef mask = walk(state, kNever - 1, &largest);
    states_[state].mask = std::move(mask);
    states_[state].largest_after = largest;
  }
  if (states_[state].largest_after <= tokens_left - 1) return states_[state].mask;
  std::uint32_t largest = 0;
  return walk(state, tokens_left - 1, &largest);
}

// The tokens after which at most `most_after` more are needed.
MaskRef Automaton::walk(StateId state, std::uint32_t most_after, std::uint32_t* largest_after) {
  const Vocabulary& vocabulary = *program_->vocabulary();
  const TokenTrie& trie = vocabulary.trie();
  std::vector<std::uint64_t> words((vocabulary.size() + 63) / 64);
  const auto allow = [&](TokenId id) {
    words[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1}
                                                << (static_cast<std::size_t>(id) % 64);
  };
  std::vector<StateId> path(trie.longest() + 1, kDead);
  path[0] = state;
  const auto nodes = trie.nodes();
  for (std::uint32_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    const StateId next = step(path[node.depth - 1], node.byte);
    if (next == kDead) {
      i = node.next;
      continue;
    }
    path[node.depth] = next;
    if (node.token_count > 0) {
      const std::uint32_t after = distance(next);
      if (after <= most_after) {
        *largest_after = std::max(*largest_after, after);
        for (const TokenId id : trie.tokens_at(i)) allow(id);
      }
    }
    ++i;
  }
  if (states_[state].may_end) {
    if (vocabulary.end_of_turn() != kNoToken) allow(vocabulary.end_of_turn());
    for (const TokenId id : vocabulary.also_end()) allow(id);
  }
  return intern_mask(std::move(words));
}

}  // namespace espalier::grammar
