// The lazily built automaton of one Program: positions, states, transitions, masks.
//
// A *position* is a hash-consed stack of frames: what remains of one expression, then of those
// around it (Antimirov's partial derivatives over a persistent stack). Closing over everything that
// reads no byte gives *items*, positions whose top frame reads one; a *state* is an interned set of
// items, with the follow scanner's state. Transitions are computed once and kept in a row of 256.
// So states are shared by all matchers of a grammar and a matcher's copy is an id.
//
// Not thread-safe: Grammar holds the lock. Nothing is freed but the whole: Grammar drops an
// automaton that grew past its byte budget and starts a fresh one; matchers replay their tokens
// there. `bytes()` is about what was kept so far, and `held_bytes()` counts it. Nothing here
// recurses on input: stacks are explicit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "grammar/context_free_machine.h"
#include "grammar/held_bytes.h"
#include "grammar/intern_table.h"
#include "grammar/mask.h"
#include "grammar/number_map.h"
#include "grammar/program.h"
#include "grammar/small_vector.h"
#include "grammar/span_source.h"
#include "grammar/stable_vector.h"
#include "grammar/token_trie.h"

namespace espalier::grammar {

using PositionId = std::uint32_t;
using StateId = std::uint32_t;

/// What happened at a place of the text, for values: a capture opened or closed.
struct CaptureEvent {
  std::uint32_t capture = 0;  // the kCapture expression
  bool begin = false;
};

class SchemaMachine;

class Automaton {
 public:
  static constexpr StateId kDead = 1;  // 0 in a row: not computed yet
  static constexpr std::uint32_t kNever = Program::kNever;
  // Positions below all stacks.
  static constexpr PositionId kValueEnd = 0;    // the value is complete
  static constexpr PositionId kDone = 1;        // the follow is complete too
  static constexpr PositionId kOperandEnd = 2;  // a product's operand is complete

  explicit Automaton(ProgramRef program);
  ~Automaton();
  Automaton(const Automaton&) = delete;
  Automaton& operator=(const Automaton&) = delete;

  /// The state before the first byte. kDead where nothing fits.
  StateId start(std::string_view prefix);
  StateId step(StateId state, unsigned char byte) {
    const std::uint32_t* row = states_[state].row.get();
    const StateId known = row != nullptr ? row[byte] : 0;
    return known != 0 ? known : compute_step(state, byte);
  }
  StateId step(StateId state, std::string_view bytes);
  /// The same along a token's bytes, remembered where that is worth it.
  StateId step_token(StateId state, TokenId token);

  /// The value is complete (its follow may have begun).
  [[nodiscard]] bool accepting(StateId state) const { return states_[state].accepting; }
  [[nodiscard]] bool done(StateId state) const { return states_[state].done; }
  /// Bytes of the follow read at most by an accepting state.
  [[nodiscard]] std::uint32_t follow_read(StateId state) const;
  /// Without a follow: the hole may end its turn here.
  [[nodiscard]] bool may_end(StateId state) const { return states_[state].may_end; }
  /// Bytes of the healed prefix still to come.
  [[nodiscard]] bool in_prefix(StateId state) const { return states_[state].in_prefix; }

  /// CONTRACTS 19; kNever where the vocabulary cannot complete the value.
  std::uint32_t distance(StateId state);
  [[nodiscard]] bool live(StateId state) {
    if (state == kDead || states_[state].accepting) return state != kDead;
    // What closes in bytes closes in tokens then, and the distance need not be known.
    if (spelled(state)) return closes(state);
    return distance(state) != kNever;
  }
  /// The same place where the value may not grow any more: only its follow, where it has come
  /// furthest, or its end goes on. kDead where the value is not complete.
  StateId closed(StateId state);
  /// Tokens allowed with that many left; see Matcher::mask.
  MaskRef mask(StateId state, std::uint32_t tokens_left);
  /// mask() far from the budget's end, by trying every token over states: what it is tested
  /// against.
  MaskRef plain_mask(StateId state);
  /// The bytes that some live continuation starts with; end of turn is not among them.
  [[nodiscard]] ByteSet next_bytes(StateId state) const;

  /// About what it has grown to: kept along the way, so asking costs nothing.
  [[nodiscard]] std::size_t bytes() const;
  /// What it holds now: counted, at a look at each thing that it keeps. Not the tables that a
  /// vocabulary's grammars share.
  [[nodiscard]] std::size_t held_bytes() const;
  [[nodiscard]] const Program& program() const { return *program_; }

  // ---- for captures: the same steps with their order and events ----
  struct Reached {
    PositionId item = 0;
    std::vector<CaptureEvent> events;
  };
  /// Items reached from a position without reading, first alternatives first.
  void expand(PositionId from, std::vector<Reached>& out);
  /// The position after an item reads `byte`; nullopt where it does not.
  std::optional<PositionId> read(PositionId item, unsigned char byte);
  PositionId start_position(std::string_view prefix);
  [[nodiscard]] bool is_follow(PositionId item) const {
    return positions_[item].expr == kFollowExpr;
  }
  [[nodiscard]] bool is_prefix(PositionId item) const {
    return positions_[item].expr == kPrefixExpr;
  }
  [[nodiscard]] std::uint32_t progress(PositionId item) const { return positions_[item].progress; }
  PositionId follow_position(std::uint32_t read);

  /// The state before `e` alone, as a product's operand; kDead where it has no word.
  StateId operand_start(Expr e);
  [[nodiscard]] bool operand_end(StateId state) const { return states_[state].operand_end; }
  /// What a state is made of, where no follow is looked for: its texts are those of all its items,
  /// and what it steps to is made of what they step to. Sorted.
  [[nodiscard]] std::span<const PositionId> items(StateId state) const {
    return {states_[state].items.begin(), states_[state].items.size()};
  }
  /// The state at some of them, or of several states.
  StateId at_items(std::span<const PositionId> items) {
    return intern(Items(items.data(), items.data() + items.size()), kNoScan);
  }
  /// Cuts `classes` until the state treats all bytes of a class alike.
  void byte_classes(StateId state, std::vector<ByteSet>& classes) const;

  /// The closing of a kContextFree; nullopt where it is longer than Program::kLongestClosing or
  /// beyond the machine's limits (then *overflowed).
  std::optional<std::string> find_context_free_closing(Expr e, bool* overflowed);
  /// Whether some bytes complete the state, by the closings that its items have anyway.
  bool closes(StateId state) {
    State& s = states_[state];
    if (s.closes == 0) {
      const bool yes = surely_closes(state) || closing_estimate(state) <= Program::kLongestClosing;
      states_[state].closes = yes ? 2 : 1;
      return yes;
    }
    return s.closes == 2;
  }
  /// step() to a state that closes; kDead without a step where the state does not read the byte.
  StateId live_step(StateId state, unsigned char byte) {
    const std::uint32_t* row = states_[state].row.get();
    StateId next = row != nullptr ? row[byte] : 0;
    if (next == 0) next = bytes_of(state).has(byte) ? compute_step(state, byte) : kDead;
    return next != kDead && closes(next) ? next : kDead;
  }
  /// next_bytes(), remembered.
  const ByteSet& bytes_of(StateId state) {
    if (!states_[state].bytes) {
      const ByteSet found = next_bytes(state);
      states_[state].bytes = std::make_unique<ByteSet>(found);
    }
    return *states_[state].bytes;
  }
  /// Its length.
  std::uint64_t closing_length(StateId state) { return closing_estimate(state); }
  /// The shortest of those closings; only where closes().
  std::string closing_word(StateId state);
  /// Closings of a schema's places are not the same in each automaton of a program, for of those of
  /// one length that is taken which was met first. So what a budget was held against is said here:
  /// the closing of such a place, where it is not sure that any has at most `left` tokens …
  std::optional<std::string> closing_to_keep(StateId state, std::uint32_t left);
  /// … and kept here: the place is no farther from its end than by that closing.
  void keep_closing(StateId state, const std::string& closing);
  /// Whether the last mask() was held against distances of a schema's places.
  [[nodiscard]] bool walked_near_end() const { return walked_near_end_; }

  struct SchemaClosing {
    std::optional<std::string> word;
    bool undecided = false;
  };
  /// A word of a kSchema.
  SchemaClosing schema_closing(Expr schema);
  /// The machine that runs a kSchema here, for another automaton to go on with.
  std::unique_ptr<SchemaMachine> take_machine(Expr schema);

  /// A word of a kIntersection or kDifference; nullopt where there is none (or fuel ran out).
  std::optional<std::string> find_product_closing(Expr product, Fuel& fuel);

 private:
  friend class ContextFreeMachine;                          // whose products run here
  static constexpr std::uint32_t kFollowExpr = UINT32_MAX;  // progress: bytes read
  static constexpr std::uint32_t kPrefixExpr =
      UINT32_MAX - 1;  // progress: bytes read; depth: which prefix
  static constexpr std::uint32_t kBottomExpr = UINT32_MAX - 2;
  static constexpr std::uint32_t kNoScan = UINT32_MAX;  // scanner state where no scanner runs

  struct Position {
    std::uint32_t expr = 0;
    std::uint32_t progress = 0;  // by Op: byte offset, child index, repeats done, 1 + pair, cursor
                                 // or place, set, capture open
    PositionId next = 0;
    std::uint32_t depth = 0;  // rules entered and not left
    friend bool operator==(const Position&, const Position&) = default;
  };
  // What a position's closing starts with, and the least tokens that spell it from each of those
  // places on.
  struct Tail {
    std::string bytes;
    std::vector<std::uint32_t> costs;
    [[nodiscard]] std::size_t held_bytes() const { return held_by_all(bytes, costs); }
  };
  struct PositionFacts {
    std::unique_ptr<Tail> tail;
    std::uint64_t closing_size = UINT64_MAX;
    std::uint32_t visited = 0;  // the stamp of the expansion that saw it
    std::uint32_t entered = 0;  // the same of a repeat that was entered
    [[nodiscard]] std::size_t held_bytes() const { return grammar::held_bytes(tail); }
  };
  using Items = SmallVector<PositionId, 2>;
  struct State {
    Items items;
    std::uint32_t scan = kNoScan;
    bool accepting = false, done = false, may_end = false, in_prefix = false, operand_end = false;
    bool steps_kept = false;        // some in token_steps_
    std::uint8_t schema_place = 0;  // see in_schema(): 0 not known, 1 no, 2 yes
    std::uint32_t distance = kUnknown;
    std::uint32_t largest_after = 0;  // over `mask`'s tokens: the largest distance they lead to
    std::unique_ptr<std::uint32_t[]> row;
    MaskRef mask;
    // In states whose value ends at the follow's first occurrence: the next byte of the closing
    // found by search.
    StateId closing_next = 0;
    unsigned char closing_byte = 0;
    std::unique_ptr<Tail> closing;
    std::uint8_t closes = 0;  // 0 not known, 1 no, 2 yes
    std::unique_ptr<ByteSet> bytes;
    [[nodiscard]] std::size_t held_bytes() const {
      return held_by_all(items, closing, bytes) +
             (row != nullptr ? block_bytes(256 * sizeof row[0]) : 0);
    }
  };
  static constexpr std::uint32_t kUnknown = UINT32_MAX - 1;
  struct Pair {
    std::uint32_t expr = 0;
    StateId a = 0, b = 0;
    std::uint32_t closing_next = 0;  // 1 + pair
    unsigned char closing_byte = 0;
    std::uint8_t known = 0;  // 0 unknown, 1 closes, 2 never
    bool accepting = false;
  };

  [[nodiscard]] ByteSet item_bytes(PositionId item) const;
  PositionId position(const Position& p);
  PositionId push(Expr e, PositionId next, std::uint32_t depth) {
    return position({e.id, 0, next, depth});
  }
  const Items& closure(PositionId from);
  StateId intern(Items items, std::uint32_t scan);
  StateId compute_step(StateId state, unsigned char byte);
  StateId schema_step(StateId state, std::string_view bytes, std::size_t& i);
  StateId state_at(PositionId p);
  const Tail& tail(PositionId p);
  std::uint64_t closing_size(PositionId p);
  std::uint64_t closing_estimate(StateId state);
  bool surely_closes(StateId state);
  std::optional<std::uint64_t> sure_bound(StateId state);
  PositionId front(PositionId p, std::string& word);
  Tail prepend(std::string_view word, const Tail& rest) const;
  std::uint32_t closing_distance(StateId state);
  std::uint32_t scanned_distance(StateId state);
  std::uint32_t searched_distance(StateId state);
  bool find_scanned_closing(StateId state);

  std::uint32_t product_start(Expr product);
  std::uint32_t product_step(std::uint32_t pair, unsigned char byte);
  std::uint32_t pair(std::uint32_t expr, StateId a, StateId b);
  std::uint32_t pair_step(std::uint32_t pair, unsigned char byte);
  bool pair_closes(std::uint32_t pair, Fuel& fuel);
  bool pair_closes_as(std::uint32_t pair, std::string_view word);
  void append_product_closing(std::uint32_t pair, std::string& out) const;
  // Of a running product, by its position's progress.
  [[nodiscard]] std::uint32_t pair_closing_size(std::uint32_t progress) const;
  [[nodiscard]] ByteSet pair_bytes(Expr product, std::uint32_t progress) const;
  void pair_classes(std::uint32_t progress, std::vector<ByteSet>& classes) const;

  ContextFreeMachine& context_free();

  struct CharacterLoop {
    Expr characters;  // the kCodePoints node
    ByteSet first;    // bytes its code points start with
  };
  std::optional<CharacterLoop> character_loop(StateId state);
  const TokenSlice* allow_slice(StateId state, std::uint32_t most_after,
                                std::vector<std::uint64_t>& words, std::uint32_t* largest_after);
  MaskRef walk(StateId state, std::uint32_t most_after, std::uint32_t* largest_after);
  // What a walk tries: nodes, the same with their edges where there are any, and which of them,
  // where not all: a bit for each.
  struct Tried {
    const TokenWalk& trie;
    const TokenTrie* edges = nullptr;
    std::span<const std::uint64_t> only = {};
  };
  std::uint32_t walk_trie(StateId state, const Tried& tried, std::uint32_t most_after,
                          std::vector<std::uint64_t>& words);
  bool spelled(StateId state);
  bool in_schema(StateId state);
  // automaton_budget.cpp
  struct NearEnd;
  struct TextWalk;
  MaskRef near_mask(StateId state, std::uint32_t most_after);
  MaskRef walk_near_end(StateId state, std::uint32_t most_after, MaskBuilder& mask);
  void allow_closing(NearEnd& walk, std::string_view closing);
  bool fits(NearEnd& walk, StateId state);
  [[nodiscard]] bool in_differing_item(StateId state) const;
  void walk_below(NearEnd& walk, StateId from, std::uint32_t node, bool stands_in);
  void walk_text(NearEnd& walk, StateId from, std::uint32_t node);
  const TokenWalk* allow_characters(TextWalk& text, std::uint32_t group);
  [[nodiscard]] bool keeps_text(PositionId at) const;
  std::uint32_t text_distance(StateId state, std::uint32_t group,
                              std::unordered_map<std::uint64_t, PositionId>& ends);
  [[nodiscard]] std::optional<PositionId> schema_text(StateId state) const;
  void walk_schema(StateId state, MaskBuilder& mask, std::uint32_t* largest_after);
  MaskRef intern_mask(MaskBuilder& builder);

  SchemaMachine& machine(Expr schema) const;

  /// A kFactor's place, as its positions carry it: 0 is the beginning.
  std::uint32_t factor_progress(const SourceWords::Place& place);
  [[nodiscard]] SourceWords::Place factor_place(const Position& at) const {
    return at.progress == 0 ? pool_.source_of(Expr{at.expr}).start()
                            : factor_places_[at.progress - 1];
  }
  bool in_factor(StateId state);
  void walk_factor(StateId state, MaskBuilder& mask, std::uint32_t* largest_after);

  ProgramRef program_;
  const ExpressionPool& pool_;
  std::vector<Position> positions_;
  InternTable position_ids_;
  StableVector<Items, 32>
      closures_;  // by position; empty where it is not known, or reaches nothing
  std::vector<PositionFacts> facts_;  // by position
  std::vector<State> states_;
  std::vector<StateId> position_states_;  // see state_at(); 0: not known
  InternTable state_ids_;
  NumberMap<StateId> token_steps_;  // in schemas, by state and token
  std::unique_ptr<ContextFreeMachine> context_free_;
  std::vector<SourceWords::Place> factor_places_;
  std::unordered_map<std::string, std::uint32_t> factor_ids_;
  std::vector<Pair> pairs_;
  std::unordered_map<std::string, std::uint32_t> pair_ids_;
  std::vector<std::string> prefixes_;
  mutable std::unordered_map<std::uint32_t, std::unique_ptr<SchemaMachine>>
      machines_;              // by kSchema
  MaskBuilder mask_builder_;  // of the mask that is being made
  std::unordered_map<StateId, std::string> kept_closings_;
  // The last mask near the end of a budget that a state had, and the tokens left after one of its
  // own for which it is the same: low to high - 1.
  struct NearMask {
    MaskRef mask;
    std::uint32_t low = 0, high = 0;
    [[nodiscard]] static std::size_t held_bytes() { return 0; }  // the mask is in masks_
  };
  std::unordered_map<StateId, NearMask> near_masks_;
  bool walked_near_end_ = false;
  std::vector<MaskRef> masks_;
  InternTable mask_ids_;
  std::uint32_t stamp_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace espalier::grammar
