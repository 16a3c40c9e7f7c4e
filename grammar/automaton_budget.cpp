// Masks of schemas near the end of a budget, where each token's distance counts: tokens that lead
// to the same place of a key, or behind one, are decided together, since the tokens of a key are
// most of the vocabulary and each would be a place of its own; and places of keys whose closings
// end alike share what comes behind. So do strings that are items which must differ from others.
// Inside of such items closings may repeat a text, and each leaves another value for later items to
// differ from, as does each where the array asks for more than can be told apart: there a text
// counts by a bound for all of them, then the tokens of the lowest ids, which texts have most, are
// tried alone, and all others count as too long. So the tokens are those that walk_trie() finds,
// but for such texts: none that walk_trie() would not find, and the closing's own.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/schema/schema_machine.h"
#include "grammar/token_trie.h"

namespace espalier::grammar {

struct Automaton::NearEnd {
  StateId start;
  std::uint32_t most_after;
  const TokenTrie& trie;
  MaskBuilder& mask;
  std::vector<StateId> path;      // by depth
  std::string bytes;              // on the way, by depth - 1
  bool again = false;             // a search took a text that was not told apart
  bool refused = false;           // some text counted as too long
  std::vector<TokenId> unsure{};  // to be tried alone
  std::size_t tried = 0;          // places of items that must differ, each closed by itself

  // The mask is that of every budget of low to high - 1 tokens after one of its own.
  std::uint32_t low = 0, high = kNever;
  bool within(std::uint64_t tokens) {
    if (tokens <= most_after) {
      low = std::max(low, static_cast<std::uint32_t>(tokens));
      return true;
    }
    high = static_cast<std::uint32_t>(std::min<std::uint64_t>(high, tokens));
    return false;
  }

  static constexpr std::size_t kMostTried = 256;  // in a mask
  // Whether no more may be, so that what would have to counts as too long.
  bool spent() {
    if (tried < kMostTried) return false;
    refused = true;
    high = most_after + 1;
    return true;
  }

  void allow(std::span<const TokenId> ids) {
    for (const TokenId id : ids) mask.allow(id);
  }
};

MaskRef Automaton::near_mask(StateId state, std::uint32_t most_after) {
  const auto known = near_masks_.find(state);
  if (known == near_masks_.end()) return nullptr;
  const NearMask& last = known->second;
  return last.low <= most_after && most_after < last.high ? last.mask : nullptr;
}

MaskRef Automaton::walk_near_end(StateId state, std::uint32_t most_after, MaskBuilder& mask) {
  const TokenTrie& trie = program_->vocabulary()->trie();
  NearEnd walk{state,
               most_after,
               trie,
               mask,
               std::vector<StateId>(trie.longest() + 1, kDead),
               std::string(trie.longest(), 0)};
  // Which texts have to be told apart is known when all closings are.
  constexpr unsigned kMostTurns = 32;
  unsigned turns = 0;
  do {
    walk.again = false;
    walk.tried = 0;
    walk.low = 0;
    walk.high = kNever;
    walk.unsure.clear();
    mask.clear();
    if (schema_text(state)) {
      walk_text(walk, state, TokenTrie::kRoot);
    } else {
      walk_below(walk, state, TokenTrie::kRoot, false);
    }
  } while (walk.again && ++turns < kMostTurns);
  std::sort(walk.unsure.begin(), walk.unsure.end());
  for (const TokenId id : walk.unsure) {
    if (walk.spent()) break;
    const StateId reached = step(state, program_->vocabulary()->bytes(id));
    if (reached != kDead && fits(walk, reached)) mask.allow(id);
  }
  // Where texts counted as too long the closing's own tokens may be among them, and no walk comes
  // by a closing that is kept.
  const auto kept = kept_closings_.find(state);
  if (walk.refused || kept != kept_closings_.end()) {
    allow_closing(walk, kept != kept_closings_.end() ? kept->second : closing_word(state));
  }
  MaskRef out = intern_mask(mask);
  // A string that is read on is mostly the same place. In items that must differ no place is.
  if (!in_differing_item(state)) {
    const auto [known, fresh] = near_masks_.try_emplace(state);
    if (fresh) bytes_ += 64;
    known->second = {out, walk.low, walk.high};
  }
  return out;
}

// The tokens that the closing of the walk's start begins with.
void Automaton::allow_closing(NearEnd& walk, std::string_view closing) {
  std::uint32_t node = TokenTrie::kRoot;
  for (std::size_t i = 0; i < closing.size(); ++i) {
    node = walk.trie.child(node, static_cast<std::uint8_t>(closing[i]));
    if (node == TokenTrie::kNone) return;
    const auto tokens = walk.trie.tokens_at(node);
    if (tokens.empty()) continue;
    const StateId reached = step(walk.start, closing.substr(0, i + 1));
    if (reached != kDead && walk.within(distance(reached))) walk.allow(tokens);
  }
}

std::optional<std::string> Automaton::closing_to_keep(StateId state, std::uint32_t left) {
  constexpr std::uint64_t kLongest = 4096;  // each position of a hole may keep one
  if (!in_schema(state)) return std::nullopt;
  if (const auto kept = kept_closings_.find(state); kept != kept_closings_.end()) {
    return kept->second;
  }
  const std::optional<std::uint64_t> bound = sure_bound(state);
  if ((bound && *bound <= left) || closing_estimate(state) > kLongest) return std::nullopt;
  return closing_word(state);
}

void Automaton::keep_closing(StateId state, const std::string& closing) {
  if (!live(state)) return;
  std::vector<std::uint32_t> costs;
  const std::uint32_t end = 0;
  program_->spelling_costs(closing, {}, std::span(&end, 1), costs);
  const TokenTrie& trie = program_->vocabulary()->trie();
  for (std::size_t at = 0; at < closing.size() && costs[at] < distance(state);) {
    std::string rest = closing.substr(at);
    states_[state].distance = costs[at];
    // By the longest token of those that are as good as any.
    std::size_t next = at;
    std::uint32_t node = TokenTrie::kRoot;
    for (std::size_t i = at; i < closing.size(); ++i) {
      node = trie.child(node, static_cast<std::uint8_t>(closing[i]));
      if (node == TokenTrie::kNone) break;
      if (!trie.tokens_at(node).empty() && costs[i + 1] + 1 == costs[at]) next = i + 1;
    }
    ESP_CHECK(next > at);
    bytes_ += 64 + rest.size();
    kept_closings_.insert_or_assign(state, std::move(rest));
    near_masks_.clear();  // they were held against longer ones
    state = step(state, std::string_view(closing).substr(at, next - at));
    if (!live(state)) return;
    at = next;
  }
}

// The state's position, where it is one place of a schema's value that has a text_group().
std::optional<PositionId> Automaton::schema_text(StateId state) const {
  const State& s = states_[state];
  if (s.scan != kNoScan || s.items.size() != 1) return std::nullopt;
  const Position& at = positions_[s.items[0]];
  if (at.expr >= kBottomExpr || at.progress == 0 || pool_.node(Expr{at.expr}).op != Op::kSchema) {
    return std::nullopt;
  }
  const SchemaMachine& schema = machine(Expr{at.expr});
  if (schema.text_group(schema.state(at.progress - 1)) == 0) return std::nullopt;
  return s.items[0];
}

// Whether what is left is enough behind a token that leads there: by the place's bound where that
// says so, since a closing has no more tokens than bytes. Each place of an item that must differ
// from others is one of its own and so is what comes behind it: of those the first kMostTried are
// closed, and others count as too long.
bool Automaton::fits(NearEnd& walk, StateId state) {
  const std::optional<std::uint64_t> bound = sure_bound(state);
  if (bound && *bound <= walk.most_after && spelled(state)) return walk.within(*bound);
  if (in_differing_item(state)) {
    if (walk.spent()) return false;
    ++walk.tried;
  }
  return walk.within(distance(state));
}

bool Automaton::in_differing_item(StateId state) const {
  const State& s = states_[state];
  return std::ranges::any_of(s.items, [&](PositionId p) {
    const Position& at = positions_[p];
    if (at.expr >= kBottomExpr || at.progress == 0) return false;
    if (pool_.node(Expr{at.expr}).op != Op::kSchema) return false;
    const SchemaMachine& schema = machine(Expr{at.expr});
    return schema.recorded(schema.state(at.progress - 1));
  });
}

// The tokens below a node, over states. `stands_in`: a text went by that stands for others, so that
// what a later one may be is not known.
void Automaton::walk_below(NearEnd& walk, StateId from, std::uint32_t node, bool stands_in) {
  const auto nodes = walk.trie.nodes();
  const bool root = node == TokenTrie::kRoot;
  walk.path[root ? 0 : nodes[node].depth] = from;
  const std::uint32_t end = root ? static_cast<std::uint32_t>(nodes.size()) : nodes[node].next;
  for (std::uint32_t i = root ? 0 : node + 1; i < end;) {
    const TokenTrie::Node& at = nodes[i];
    const StateId next = step(walk.path[at.depth - 1], at.byte);
    if (next == kDead) {
      i = at.next;
      continue;
    }
    walk.path[at.depth] = next;
    walk.bytes[at.depth - 1U] = static_cast<char>(at.byte);
    const auto tokens = walk.trie.tokens_at(i);
    if (!tokens.empty() && fits(walk, next)) walk.allow(tokens);
    if (at.next == i + 1 || !schema_text(next)) {
      ++i;
      continue;
    }
    if (!stands_in) {
      walk_text(walk, next, i);
    } else {
      for (const TokenId id : walk.trie.tokens_below(i).subspan(tokens.size())) {
        const StateId reached = step(walk.start, program_->vocabulary()->bytes(id));
        if (reached != kDead && fits(walk, reached)) walk.mask.allow(id);
      }
    }
    i = at.next;
  }
}

// distance() of a place inside a text that is not told apart: behind the text its closing is that
// of all texts that have the same text_end(), one of which is in `ends`.
std::uint32_t Automaton::text_distance(StateId state, std::uint32_t group,
                                       std::unordered_map<std::uint64_t, PositionId>& ends) {
  const std::optional<PositionId> at = schema_text(state);
  if (!at) return distance(state);
  SchemaMachine& schema = machine(Expr{positions_[*at].expr});
  std::string word;
  const PositionId own = front(*at, word);
  for (const char c : word) {
    if (group != 0) group = schema.text_group_step(group, static_cast<unsigned char>(c));
  }
  if (group == 0 || !schema.text_group_ends(group)) return distance(state);
  const SchemaMachine::State key = schema.state(positions_[*at].progress - 1);
  const PositionId end = ends.try_emplace(schema.text_end(key, group), own).first->second;
  if (end == own || word.size() + closing_size(end) > Program::kLongestClosing) {
    return distance(state);
  }
  return prepend(word, tail(end)).costs[0];
}

// The tokens below a node where a key, or a string whose text is kept, is being read.
void Automaton::walk_text(NearEnd& walk, StateId from, std::uint32_t node) {
  const auto nodes = walk.trie.nodes();
  const bool root = node == TokenTrie::kRoot;
  const std::size_t depth = root ? 0 : nodes[node].depth;
  const Position position = positions_[*schema_text(from)];
  SchemaMachine& schema = machine(Expr{position.expr});
  const SchemaMachine::State key = schema.state(position.progress - 1);
  const bool is_key = key.phase == SchemaMachine::Phase::kKey;
  // Nodes whose text may close in another way, sorted.
  std::vector<std::uint32_t> apart;
  const std::size_t told = schema.told_apart_count(key);
  const auto rests = schema.told_apart(key);
  for (const std::string& rest : rests.value_or(ToldApart()).rests) {
    std::uint32_t at = node;
    for (const char c : rest) {
      at = walk.trie.child(at, static_cast<std::uint8_t>(c));
      if (at == TokenTrie::kNone) break;
      apart.push_back(at);
    }
  }
  const bool each = !rests || rests->repeated;  // closes in a way of its own
  std::sort(apart.begin(), apart.end());
  apart.erase(std::unique(apart.begin(), apart.end()), apart.end());
  const auto reach = [&](std::size_t to) {  // the state there
    return step(from, std::string_view(walk.bytes).substr(depth, to - depth));
  };
  struct Place {
    std::uint32_t group = 0;
    bool alone = false;   // its text may close in another way
    bool escape = false;  // the same, and an escape begins
    bool odd = false;     // the same, however it is spelled from here on
  };
  std::vector<Place> places(walk.trie.longest() + 1);
  places[depth].group = schema.text_group(key);
  places[depth].alone = !rests || !rests->rests.empty();
  places[depth].odd = !rests;
  std::unordered_map<std::uint32_t, std::uint64_t> bounds;  // by group: of all of its texts
  const std::uint64_t around = closing_size(position.next);
  const bool in_tokens = spelled(from);
  const auto bounded = [&](std::uint32_t group) {
    const auto [known, fresh] = bounds.try_emplace(group, UINT64_MAX);
    if (fresh && in_tokens) {
      const std::optional<std::uint64_t> bound = schema.text_bound(key, group);
      if (bound) known->second = *bound + around;
    }
    return known->second <= walk.most_after && walk.within(known->second);
  };
  std::unordered_map<std::uint32_t, std::uint32_t> distances;  // by group
  std::unordered_map<std::uint64_t, StateId> behind;           // by text_end(): where texts end
  std::unordered_map<std::uint64_t, PositionId> ends;          // the same of closings
  const std::uint32_t end = root ? static_cast<std::uint32_t>(nodes.size()) : nodes[node].next;
  for (std::uint32_t i = root ? 0 : node + 1; i < end;) {
    const TokenTrie::Node& at = nodes[i];
    const Place& before = places[at.depth - 1U];
    walk.bytes[at.depth - 1U] = static_cast<char>(at.byte);
    Place here;
    here.group = schema.text_group_step(before.group, at.byte);
    if (here.group == 0) {
      i = at.next;
      continue;
    }
    const auto tokens = walk.trie.tokens_at(i);
    if (schema.text_group_ends(here.group)) {
      const bool alone = before.alone;
      if (!rests || (each && !alone)) {
        auto below = walk.trie.tokens_below(i);
        if (rests && bounded(before.group)) {
          walk.allow(tokens);
          below = below.subspan(tokens.size());
        }
        walk.unsure.insert(walk.unsure.end(), below.begin(), below.end());
        i = at.next;
        continue;
      }
      const std::uint64_t ended = schema.text_end(key, here.group);
      const auto known = alone ? behind.end() : behind.find(ended);
      const StateId after = known != behind.end() ? known->second : reach(at.depth);
      if (!alone) behind.emplace(ended, after);
      if (after != kDead) {
        if (!tokens.empty() && fits(walk, after)) walk.allow(tokens);
        walk_below(walk, after, i, !alone);
      }
      i = at.next;
      continue;
    }
    // Another spelling of one that is told apart begins by \u or \/.
    here.escape = !is_key && before.alone && !before.escape && at.byte == '\\';
    here.odd = before.odd || (before.escape && (at.byte == 'u' || at.byte == '/'));
    here.alone = here.escape || here.odd || std::binary_search(apart.begin(), apart.end(), i);
    places[at.depth] = here;
    if (tokens.empty()) {
      ++i;
      continue;
    }
    if (rests && bounded(here.group)) {
      walk.allow(tokens);
    } else if (!rests || (each && !here.alone)) {
      walk.unsure.insert(walk.unsure.end(), tokens.begin(), tokens.end());
    } else if (here.alone) {
      const StateId to = reach(at.depth);
      if (to != kDead && fits(walk, to)) walk.allow(tokens);
    } else {
      const auto [known, fresh] = distances.try_emplace(here.group, kNever);
      if (fresh) {
        const StateId to = reach(at.depth);
        if (to != kDead) known->second = text_distance(to, here.group, ends);
      }
      if (walk.within(known->second)) walk.allow(tokens);
    }
    ++i;
  }
  walk.again = walk.again || schema.told_apart_count(key) != told;
}

}  // namespace espalier::grammar
