// Masks of schemas near the end of a budget, where each token's distance counts: tokens that lead
// to the same place of a key, or behind one, are decided together, since the tokens of a key are
// most of the vocabulary and each would be a place of its own; and places of keys whose closings
// end alike share what comes behind. So do strings that are items which must differ from others.
// Where any character may come, the tokens that are nothing but characters without an escape are
// those of a slice, decided by how many characters they have, and only the others are walked.
// Inside of such items closings may repeat a text, and each leaves another value for later items to
// differ from, as does each where the array asks for more than can be told apart: there a text
// counts by a bound for all of them, then the tokens of the lowest ids, which texts have most, are
// tried alone, and all others count as too long. So the tokens are those that walk_trie() finds,
// but for such texts: none that walk_trie() would not find, and the closing's own.
#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/json_expression.h"
#include "grammar/schema/schema_machine.h"
#include "grammar/token_slice.h"
#include "grammar/token_trie.h"

namespace espalier::grammar {

struct Automaton::NearEnd {
  StateId start;
  std::uint32_t most_after;
  const TokenTrie& trie;
  const TokenWalk* walked;  // the trie, or what is left of it without a slice
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
               &trie,
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

// Whether the text of the place that schema_text() gave makes a difference behind it.
bool Automaton::keeps_text(PositionId at) const {
  const SchemaMachine& schema = machine(Expr{positions_[at].expr});
  const SchemaMachine::State place = schema.state(positions_[at].progress - 1);
  return place.phase == SchemaMachine::Phase::kKey || schema.recorded(place);
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
  const auto nodes = walk.walked->nodes();
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
    const auto tokens = walk.walked->tokens_at(i);
    if (!tokens.empty() && fits(walk, next)) walk.allow(tokens);
    const std::optional<PositionId> text = at.next == i + 1 ? std::nullopt : schema_text(next);
    if (!text || (stands_in && !keeps_text(*text))) {
      ++i;
      continue;
    }
    if (!stands_in) {
      walk_text(walk, next, i);
    } else {
      for (const TokenId id : walk.walked->tokens_below(i).subspan(tokens.size())) {
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

// A text that is being read, from the node of a walk on: its groups, and what is known of them.
struct Automaton::TextWalk {
  NearEnd& walk;
  StateId from;
  std::size_t depth;  // of its node
  SchemaMachine& schema;
  SchemaMachine::State at;
  std::vector<std::string> rests;  // that are told apart, sorted
  bool known;                      // which texts those are
  bool each;                       // those that are not told apart close in ways of their own
  std::uint64_t around;            // bytes that close what is around the schema's value
  bool in_tokens;                  // closings are spelled
  std::unordered_map<std::uint32_t, std::uint64_t> bounds{};     // by group: of all of its texts
  std::unordered_map<std::uint32_t, std::uint32_t> distances{};  // by group
  std::unordered_map<std::uint64_t, StateId> behind{};           // by text_end(): where texts end
  std::unordered_map<std::uint64_t, PositionId> ends{};          // the same of closings
  StateId reach(Automaton& automaton, std::size_t to) const {
    return automaton.step(from, std::string_view(walk.bytes).substr(depth, to - depth));
  }
  bool bounded(std::uint32_t group) {
    const auto [found, fresh] = bounds.try_emplace(group, UINT64_MAX);
    if (fresh && in_tokens) {
      const std::optional<std::uint64_t> bound = schema.text_bound(at, group);
      if (bound) found->second = *bound + around;
    }
    return found->second <= walk.most_after && walk.within(found->second);
  }
};

// Of the tokens that are nothing but characters without an escape: allows those that fit. What is
// left to be walked; nullptr, and nothing allowed, where all must be.
const TokenWalk* Automaton::allow_characters(TextWalk& text, std::uint32_t group) {
  const TokenSlice* slice =
      program_->vocabulary()->slice(JsonExpressions::kUnescaped, std::nullopt);
  if (slice == nullptr || slice->others() == nullptr) return nullptr;
  NearEnd& walk = text.walk;
  // A character that no text begins with that is told apart.
  std::string some;
  for (char c = 'a'; c <= 'z' && some.empty(); ++c) {
    const auto at = std::ranges::lower_bound(text.rests, std::string(1, c));
    if (at == text.rests.end() || at->front() != c) some = std::string(slice->longest(), c);
  }
  if (some.empty()) return nullptr;
  std::vector<bool> allowed(slice->longest() + 1, false);
  const std::uint32_t begun = group;
  for (std::size_t n = 1; n < allowed.size(); ++n) {
    group = text.schema.text_group_step(group, static_cast<unsigned char>(some[n - 1]));
    if (group == 0) break;
    allowed[n] = text.bounded(group);
    if (allowed[n]) continue;
    if (text.each) return nullptr;
    const auto [known, fresh] = text.distances.try_emplace(group, kNever);
    if (fresh) {
      const StateId to = step(text.from, std::string_view(some).substr(0, n));
      if (to != kDead) known->second = text_distance(to, group, text.ends);
    }
    allowed[n] = walk.within(known->second);
  }
  std::vector<std::uint64_t> words(walk.mask.words().size());
  slice->allow(allowed, words);
  struct Alone {
    std::string_view read;
    std::uint32_t group = 0;
  };
  std::map<std::uint32_t, Alone> alone;  // by node of the trie
  for (const std::string& rest : text.rests) {
    std::uint32_t node = TokenTrie::kRoot;
    group = begun;
    for (std::size_t i = 0; i < rest.size() && group != 0; ++i) {
      node = walk.trie.child(node, static_cast<std::uint8_t>(rest[i]));
      if (node == TokenTrie::kNone) break;
      group = text.schema.text_group_step(group, static_cast<unsigned char>(rest[i]));
      if (group != 0)
        alone.try_emplace(node, Alone{std::string_view(rest).substr(0, i + 1), group});
    }
  }
  for (const auto& [node, one] : alone) {
    const auto tokens = walk.trie.tokens_at(node);
    if (tokens.empty() || text.bounded(one.group)) continue;
    for (const TokenId id : tokens) {
      words[static_cast<std::size_t>(id) / 64] &= ~(std::uint64_t{1} << (id % 64));
    }
    const StateId to = step(text.from, one.read);
    if (to != kDead && fits(walk, to)) walk.allow(tokens);
  }
  auto& out = walk.mask.words();
  for (std::size_t w = 0; w < out.size(); ++w) out[w] |= words[w];
  return slice->others();
}

// The tokens below a node where a text is being read.
void Automaton::walk_text(NearEnd& walk, StateId from, std::uint32_t node) {
  const bool root = node == TokenTrie::kRoot;
  const Position position = positions_[*schema_text(from)];
  SchemaMachine& schema = machine(Expr{position.expr});
  const SchemaMachine::State key = schema.state(position.progress - 1);
  const bool is_key = key.phase == SchemaMachine::Phase::kKey;
  const bool kept = is_key || schema.recorded(key);
  const std::size_t told = schema.told_apart_count(key);
  std::optional<ToldApart> apart = schema.told_apart(key);
  TextWalk text{walk,
                from,
                root ? 0U : walk.walked->nodes()[node].depth,
                schema,
                key,
                apart ? std::move(apart->rests) : std::vector<std::string>(),
                apart.has_value(),
                !apart || apart->repeated,
                closing_size(position.next),
                spelled(from)};
  std::ranges::sort(text.rests);
  text.rests.erase(std::unique(text.rests.begin(), text.rests.end()), text.rests.end());
  struct Place {
    std::uint32_t group = 0;
    std::size_t first = 0, last = 0;  // of the texts that are told apart: those that begin so
    bool alone = false;               // its text may close in another way
    bool escape = false;              // the same, and an escape begins
    bool odd = false;                 // the same, however it is spelled from here on
  };
  std::vector<Place> places(walk.trie.longest() + 1);
  Place& start = places[text.depth];
  start.group = schema.text_group(key);
  start.last = text.rests.size();
  start.alone = !text.known || start.last > 0;
  start.escape = apart && apart->escape;
  start.odd = !text.known;
  const TokenWalk* whole = walk.walked;
  if (root && apart && apart->any_character) {
    if (const TokenWalk* left = allow_characters(text, start.group)) walk.walked = left;
  }
  const auto nodes = walk.walked->nodes();
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
    const auto tokens = walk.walked->tokens_at(i);
    if (schema.text_group_ends(here.group)) {
      const bool alone = before.alone;
      if (!text.known || (text.each && !alone)) {
        auto below = walk.walked->tokens_below(i);
        if (text.known && text.bounded(before.group)) {
          walk.allow(tokens);
          below = below.subspan(tokens.size());
        }
        walk.unsure.insert(walk.unsure.end(), below.begin(), below.end());
        i = at.next;
        continue;
      }
      const std::uint64_t ended = schema.text_end(key, here.group);
      const auto known = alone ? text.behind.end() : text.behind.find(ended);
      const StateId after =
          known != text.behind.end() ? known->second : text.reach(*this, at.depth);
      if (!alone) text.behind.emplace(ended, after);
      if (after != kDead) {
        if (!tokens.empty() && fits(walk, after)) walk.allow(tokens);
        walk_below(walk, after, i, kept && !alone);
      }
      i = at.next;
      continue;
    }
    // Of the texts that are told apart, those that go on so.
    const auto byte_of = [length = at.depth - text.depth](const std::string& rest) {
      return rest.size() < length ? -1 : static_cast<unsigned char>(rest[length - 1]);
    };
    const auto begin = text.rests.begin();
    const auto first =
        std::lower_bound(begin + static_cast<std::ptrdiff_t>(before.first),
                         begin + static_cast<std::ptrdiff_t>(before.last), int{at.byte},
                         [&](const std::string& rest, int byte) { return byte_of(rest) < byte; });
    const auto last =
        std::upper_bound(first, begin + static_cast<std::ptrdiff_t>(before.last), int{at.byte},
                         [&](int byte, const std::string& rest) { return byte < byte_of(rest); });
    here.first = static_cast<std::size_t>(first - begin);
    here.last = static_cast<std::size_t>(last - begin);
    // Another spelling of one that is told apart begins by \u or \/.
    here.escape = !is_key && before.alone && !before.escape && at.byte == '\\';
    here.odd = before.odd || (before.escape && (at.byte == 'u' || at.byte == '/'));
    here.alone = here.escape || here.odd || here.first < here.last;
    places[at.depth] = here;
    if (tokens.empty()) {
      ++i;
      continue;
    }
    if (text.known && text.bounded(here.group)) {
      walk.allow(tokens);
    } else if (!text.known || (text.each && !here.alone)) {
      walk.unsure.insert(walk.unsure.end(), tokens.begin(), tokens.end());
    } else if (here.alone) {
      const StateId to = text.reach(*this, at.depth);
      if (to != kDead && fits(walk, to)) walk.allow(tokens);
    } else {
      const auto [known, fresh] = text.distances.try_emplace(here.group, kNever);
      if (fresh) {
        const StateId to = text.reach(*this, at.depth);
        if (to != kDead) known->second = text_distance(to, here.group, text.ends);
      }
      if (walk.within(known->second)) walk.allow(tokens);
    }
    ++i;
  }
  walk.walked = whole;
  walk.again = walk.again || schema.told_apart_count(key) != told;
}

}  // namespace espalier::grammar
