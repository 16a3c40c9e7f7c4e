// A combination of scalars' automata that is too large to finish: its states are made as texts come
// by them, each a place of every part.
//
// Only states that some text completes are given out. Whether one does is found by a search for its
// shortest text, nearest first by what the parts alone still need, and kept for all states on the
// way; so closings agree: what remains after a part of one is the rest of it. A search opens
// kMostOpened states at most, later ones fewer once many were in vain, or many were opened by all
// that share a count: what they do not find counts as no text (the same on every machine), and
// undecided() says so. Where a reset word is known (reset_word.h) it leads on where a search does
// not find an end, and a mask tries only tokens on whose way something is that it does not reset.
//
// One a machine and combination, whatever texts are taken away beside it. Not thread-safe; grows
// with use, `bytes()` says how far: some 500 bytes a state, and what the shared parts have grown by
// since it was made.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/byte_set.h"
#include "grammar/held_bytes.h"
#include "grammar/intern_table.h"
#include "grammar/schema/part_automata.h"
#include "grammar/schema/reset_word.h"
#include "grammar/schema/scalar_combination.h"

namespace espalier::grammar {

class ScalarProduct {
 public:
  using State = std::uint32_t;
  static constexpr State kNone = 0;                   // no text goes that way
  static constexpr std::size_t kMostOfAll = 200'000;  // opened by all that share their parts

  /// `readable`: what texts may hold; `preferred`: bytes that are tokens, along which closings go;
  /// `shared`: the parts that are not finished, of all that are to be held to kMostOfAll together;
  /// `tables`: what of a vocabulary masks need, which outlive this. Without those no tokens() are
  /// asked for.
  ScalarProduct(std::shared_ptr<const ScalarCombination> what, const ByteSet& readable,
                const ByteSet& preferred, std::shared_ptr<PartAutomata> shared,
                const ScalarDfa::Tables* tables = nullptr);
  ~ScalarProduct();

  /// kNone where there is no scalar.
  State start() { return live(start_) ? start_ : kNone; }
  State next(State q, unsigned char byte) {
    const State to = successor(q, byte);
    return live(to) ? to : kNone;
  }
  [[nodiscard]] bool accepting(State q) const { return facts_[q].size == 0; }
  /// At least those that next() reads.
  const ByteSet& bytes(State q) { return expanded(q).bytes; }
  /// Runs of bytes that lead alike.
  void byte_classes(State q, std::vector<ByteSet>& classes);
  /// Of a state that was given out: the bytes of a shortest text that completes it, and the first.
  [[nodiscard]] std::uint32_t closing_size(State q) const { return facts_[q].size; }
  [[nodiscard]] unsigned char closing_byte(State q) const { return facts_[q].closing_byte; }
  /// Whether more texts than that complete it; strings in quotes alone.
  bool exceeds(State q, std::uint64_t count);

  /// What the tokens do that are read from a state on; some kMostKept bytes of it are kept.
  struct Tokens : ScalarDfa::Tokens {
    const Terminal::Piece* piece = nullptr;  // whose exits they are
    std::uint32_t longest = 0;               // closing of those that stay
  };
  /// Of the tokens below a node of the vocabulary's trie; nullptr where they must be walked, which
  /// is never so of all.
  std::shared_ptr<const Tokens> tokens(State q, std::uint32_t node);

  [[nodiscard]] bool undecided() const { return undecided_; }
  [[nodiscard]] std::size_t size() const { return facts_.size(); }
  [[nodiscard]] std::size_t bytes() const;
  [[nodiscard]] std::size_t held_bytes() const;

 private:
  static constexpr std::size_t kMostOpened = 20'000;  // by one search
  static constexpr std::size_t kMostInVain = 60'000;  // by all that found nothing for that
  static constexpr std::size_t kFewOpened = 200;      // by one after those
  static constexpr std::size_t kMostKept = std::size_t{1} << 20;
  static constexpr std::uint32_t kNever = UINT32_MAX;
  static constexpr std::uint32_t kUnknown = UINT32_MAX - 1;
  struct Run {
    std::uint8_t first = 0;  // up to the next run's
    State to = kNone;        // some text may complete it
  };
  struct Expanded {
    std::vector<Run> runs;
    ByteSet bytes;
    [[nodiscard]] std::size_t held_bytes() const { return grammar::held_bytes(runs); }
  };
  struct Facts {
    std::unique_ptr<const Expanded> expanded;
    std::uint32_t size = kUnknown;  // of its closing
    std::uint32_t least = 0;        // that that has at least
    std::uint64_t texts = 0;        // that complete it, at least
    bool counted = false;           // no others
    unsigned char closing_byte = 0;
    // Of the last search that came by it.
    unsigned char byte = 0;
    std::uint32_t search = 0, length = 0;
    State before = kNone;
    [[nodiscard]] std::size_t held_bytes() const { return grammar::held_bytes(expanded); }
  };

  [[nodiscard]] bool live(State q) {
    if (facts_[q].size == kUnknown) find_closing(q);
    return facts_[q].size != kNever;
  }
  State successor(State q, unsigned char byte);
  const Expanded& expanded(State q) {
    if (facts_[q].expanded == nullptr) expand(q);
    return *facts_[q].expanded;
  }
  void expand(State q);
  void find_closing(State from);
  bool close_by_part(State from);
  State number();
  bool too_long();
  // Whether a part that must not match does for good.
  [[nodiscard]] bool excluded(std::span<const std::uint32_t> state) const {
    for (std::size_t i = 0; i < excluded_.size(); ++i) {
      if (excluded_[i] != 0 && state[i] == excluded_[i]) return true;
    }
    return false;
  }
  std::uint32_t read_part(std::size_t part, std::uint32_t state, unsigned char byte);
  [[nodiscard]] std::uint32_t part_state(std::size_t part, StateId state) const;
  // scalar_product_tokens.cpp
  class Carrier;
  Carrier* carrier();
  [[nodiscard]] std::size_t carrier_bytes() const;
  [[nodiscard]] bool between(State q);
  bool close_by_reset(State from);
  [[nodiscard]] const Terminal::Piece* inside_below(const Terminal* characters,
                                                    std::uint32_t node) const;
  bool add_by_reset(State q, std::uint32_t node, std::vector<std::uint64_t>& words,
                    std::uint32_t& longest);
  void add_by_walk(State q, std::vector<std::uint64_t>& words, std::uint32_t& longest);
  void add_exits(State q, const Terminal::Piece& piece, std::vector<std::uint32_t>& exits);
  State after_token(State q, std::string_view text);

  std::shared_ptr<const ScalarCombination> what_;
  std::shared_ptr<PartAutomata> shared_;
  std::size_t shared_before_;  // bytes of those, without this one
  ByteSet readable_, preferred_;
  const ScalarDfa::Tables* tables_ = nullptr;
  std::vector<PartAutomata::Part*> automata_;  // by part; of those that are not finished
  State start_ = kNone;
  std::vector<std::uint32_t> places_;  // by state, one a part
  InternTable numbers_;
  std::vector<Facts> facts_;
  std::vector<std::uint32_t> next_;    // one a part, of the state that is looked for
  std::vector<std::uint32_t> opened_;  // the same behind the opening quote
  // A part that is required and holds strings to a greatest length, and others that are required.
  std::optional<std::size_t> bounded_;
  std::vector<std::size_t> required_;
  std::vector<std::uint32_t> excluded_;  // by part that is not finished: where it matches for good
  struct Open {
    std::uint32_t estimate = 0, length = 0;
    std::uint32_t order = 0;
    State state = kNone;
    // The nearest last: of those that are alike, the one that came furthest, then the first found.
    bool operator<(const Open& other) const;
  };
  std::vector<Open> open_;
  std::uint32_t searches_ = 0;
  std::size_t in_vain_ = 0;
  std::size_t runs_ = 0;
  std::unordered_map<std::uint64_t, std::shared_ptr<const Tokens>> tokens_;  // by node and state
  std::size_t kept_ = 0;
  std::shared_ptr<Carrier> carrier_;
  bool carrier_known_ = false;
  bool undecided_ = false;
};

}  // namespace espalier::grammar
