// A terminal: one of JSON's standard scalars (any string, any string in canonical spelling, any
// integer, any number, true or false, null) as a finished automaton, with the vocabulary's tokens
// sorted by what they do to it.
//
// A *piece* says, for a state and a node of the vocabulary's trie, which tokens below the node end
// inside the scalar and which leave it, and what bytes those have left. So a mask inside a string
// is a table's copy and a walk over the few hundred endings that follow a closing quote. Pieces
// depend on the vocabulary alone; they are made at first use and kept.
//
// Strings count: `begun` is the number of characters that a token begins, so one table serves every
// minLength and maxLength. Immutable but for the kept pieces; thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/mask.h"
#include "grammar/schema/byte_runs.h"
#include "grammar/token_trie.h"
#include "grammar/vocabulary.h"

namespace espalier::grammar {

/// Of a state's tokens: more than that become mask words.
inline constexpr std::size_t kListedTokens = 2048;

class Terminal {
 public:
  using State = std::uint16_t;
  static constexpr State kDead = 0;
  static constexpr std::size_t kMaxStates = 512;
  static constexpr std::size_t kMaxPieces = 4096;
  static constexpr std::uint32_t kLongestCharacter = 12;  // bytes: two escapes

  /// The automaton of `program`; nullptr where it has more than kMaxStates states, or a number's
  /// end would not be told by the byte after it. `string`: a quoted string, whose characters are
  /// counted. `program` may refer to the vocabulary without owning it.
  static std::unique_ptr<const Terminal> create(const ProgramRef& program, bool string);

  [[nodiscard]] State start() const { return start_; }
  [[nodiscard]] State next(State q, unsigned char byte) const {
    return rows_[static_cast<std::size_t>(q) * 256 + byte];
  }
  [[nodiscard]] std::span<const ByteRun> runs(State q) const { return runs_.of(q); }
  [[nodiscard]] bool accepting(State q) const { return facts_[q].accepting; }
  /// Bytes it reads in `q`.
  [[nodiscard]] const ByteSet& bytes(State q) const { return facts_[q].bytes; }
  /// The next byte of the shortest way to the end, and that way's length; strings: to boundary(),
  /// or from there to the end.
  [[nodiscard]] unsigned char closing_byte(State q) const { return facts_[q].closing_byte; }
  [[nodiscard]] std::uint32_t closing_size(State q) const { return facts_[q].closing_size; }
  /// Strings: the state between two characters; kDead for others.
  [[nodiscard]] State boundary() const { return boundary_; }
  /// Strings: how many characters the bytes read since boundary() can become.
  [[nodiscard]] std::uint32_t ways(State q) const { return facts_[q].ways; }
  /// A character of one byte that strings close with where they are too short.
  [[nodiscard]] unsigned char filler() const { return filler_; }

  struct Piece {
    struct Stay {
      TokenId id = 0;
      std::uint32_t begun = 0;
    };
    struct Exit {
      TokenId id = 0;
      std::uint32_t begun = 0;
      std::uint16_t from = 0, size = 0;  // its bytes inside the scalar, without the closing quote
    };
    /// Tokens that end inside: few as a list by rising `begun`, many as cumulative mask words.
    std::vector<Stay> stay;
    std::vector<TokenId> stay_ids;       // of `stay`
    std::vector<std::uint32_t> lengths;  // of `dense`, rising
    std::vector<MaskTable> dense;        // tokens that begin at most lengths[i]
    /// Tokens that leave the scalar later than at once, by the bytes they have inside.
    std::vector<Exit> exits;
    std::vector<std::uint32_t> ends;         // of `exits`: those with nothing after it
    std::vector<std::uint32_t> respelled;    // of `exits`: inside may be another spelling of a text
    std::unique_ptr<const TokenTrie> after;  // what the others have left; its ids index `exits`
    std::vector<std::uint64_t> shapes;  // bits, by shape(): of the texts that exits have inside
    /// Adds those that end inside to a mask's words.
    void add_to(std::vector<std::uint64_t>& words) const {
      if (!dense.empty()) {
        const auto& most = dense.back().words;
        for (std::size_t w = 0; w < most.size(); ++w) words[w] |= most[w];
      }
      for (const Stay& one : stay) {
        words[static_cast<std::size_t>(one.id) / 64] |= std::uint64_t{1} << (one.id % 64);
      }
    }
    /// False: no exit has `text` inside, which is not empty.
    [[nodiscard]] bool may_hold(std::string_view text) const {
      const std::size_t bit = shape(text) & (shapes.size() * 64 - 1);
      return ((shapes[bit / 64] >> (bit % 64)) & 1) != 0;
    }
    /// Whether a part of a string has an escape that the canonical spelling of no text has.
    static bool respells(std::string_view inside) {
      return inside.find("\\u") != inside.npos || inside.find("\\/") != inside.npos;
    }
    /// Of a text that is not empty: its length, its first and its last byte.
    static std::size_t shape(std::string_view text) {
      const auto first = static_cast<unsigned char>(text.front());
      const auto last = static_cast<unsigned char>(text.back());
      const std::uint64_t all = text.size() * 65536 + first * 256U + last;
      return static_cast<std::size_t>((all * 0x9E3779B97F4A7C15ULL) >> 40);
    }
  };
  /// An exit and the node of the vocabulary's trie that the bytes it has inside lead to.
  struct FoundExit {
    std::uint32_t inside = 0;
    Piece::Exit exit;
  };
  /// Puts a piece's exits in order and fills what depends on them; `closing` bytes end the scalar.
  static void set_exits(const Vocabulary& vocabulary, std::size_t closing,
                        std::vector<FoundExit> exits, Piece& piece);
  /// Of the tokens strictly below `node` of the vocabulary's trie (or TokenTrie::kRoot), read from
  /// `q` on. Tokens that leave the scalar at once (by its closing quote, or because a number has
  /// ended) are not in it. nullptr once kMaxPieces others are kept.
  [[nodiscard]] const Piece* piece(const Vocabulary& vocabulary, State q, std::uint32_t node) const;
  /// Makes the pieces of all states at the root.
  void make_root_pieces(const Vocabulary& vocabulary) const;
  [[nodiscard]] std::size_t size() const { return facts_.size(); }

 private:
  struct Facts {
    ByteSet bytes;
    bool accepting = false;
    unsigned char closing_byte = 0;
    std::uint32_t closing_size = 0;
    std::uint32_t ways = 0;
  };
  [[nodiscard]] std::unique_ptr<const Piece> make_piece(const Vocabulary& vocabulary, State q,
                                                        std::uint32_t node) const;
  static void make_dense(std::size_t vocabulary, Piece& piece);
  void find_closings(const ByteSet& preferred);

  std::vector<State> rows_;
  ByteRuns runs_;
  std::vector<Facts> facts_;
  State start_ = kDead, boundary_ = kDead;
  unsigned char filler_ = 0;
  mutable std::mutex mutex_;
  mutable std::unordered_map<std::uint64_t, std::unique_ptr<const Piece>> pieces_;
  mutable std::vector<std::atomic<const Piece*>> root_pieces_;  // by state, of those
};

}  // namespace espalier::grammar
