// A scalar's automaton, finished: all its states and steps made beforehand (a DFA), so that
// machines share it and a walk over the vocabulary costs a few nanoseconds a node.
//
// For a state it keeps which tokens of the vocabulary stay inside the scalar and which leave it, so
// a mask is made once however many schemas, and positions of one, come by the state. Where most
// characters lead from a state to the same one (".{1,40}", "[^,]+"), tokens made of those are taken
// from tables by the bytes they hold and the characters they begin; only the others are tried, but
// for those that hold a character which no state from there on reads. Where any text may still
// follow (a pattern that is searched for), all tokens of strings stay.
//
// Either `quoted`, a string in quotes, which its closing quote ends, or `bare`, a number or a word,
// which ends where a byte of JSON's structure follows. Immutable but for the kept tokens;
// thread-safe. Memory: 512 bytes a state, and vocabulary/8 bytes a state whose tokens were asked
// for and are many, besides eight such tables at most.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/mask.h"
#include "grammar/schema/byte_runs.h"
#include "grammar/schema/dfa_steps.h"
#include "grammar/schema/terminal.h"
#include "grammar/vocabulary.h"

namespace espalier::grammar {

class ScalarCombination;

class ScalarDfa {
 public:
  using State = std::uint16_t;
  static constexpr State kDead = 0;
  static constexpr std::size_t kMaxStates = 8192;
  static constexpr std::uint32_t kMany = UINT32_MAX;
  static constexpr std::size_t kMostKept = std::size_t{512} << 10;  // bytes of tokens

  /// The automaton of `program`'s words over the vocabulary's json_bytes(); nullptr where making it
  /// takes more than `most_steps`, where it has more than kMaxStates states, or where it is neither
  /// quoted nor bare. `characters`: all strings, for their lengths; may be nullptr.
  static std::shared_ptr<const ScalarDfa> create(const ProgramRef& program, std::size_t most_steps,
                                                 const Terminal* characters);
  /// Of steps; nullptr where it is neither quoted nor bare, or has no texts (then *empty).
  /// `preferred`: bytes that are tokens; `characters` as above.
  static std::shared_ptr<const ScalarDfa> create(const DfaSteps& made, const ByteSet& preferred,
                                                 const Terminal* characters, bool* empty);
  /// The scalars that finished automata say together; nullptr where that takes more than
  /// `most_states` states, or none satisfies it (then *empty). `preferred`: bytes that are tokens;
  /// `characters` as above.
  static std::shared_ptr<const ScalarDfa> combine(const ScalarCombination& what,
                                                  std::size_t most_states, const ByteSet& preferred,
                                                  const Terminal* characters, bool* empty);
  /// The same strings but for the empty one; nullptr where there is no other. `preferred`: bytes
  /// that are tokens; `characters` as above.
  [[nodiscard]] std::shared_ptr<const ScalarDfa> without_empty(const ByteSet& preferred,
                                                               const Terminal* characters) const;

  struct Tables;
  /// A quoted one's steps, as bytes (stored_form.h), of which restore() makes it again: all else
  /// follows from them. Else, and where the bytes say no automaton whose texts are all strings and
  /// can be written with the vocabulary's json_bytes(), nullptr.
  [[nodiscard]] std::string stored() const;
  static std::shared_ptr<const ScalarDfa> restore(std::string_view stored, const Tables& tables);

  [[nodiscard]] State start() const { return start_; }
  [[nodiscard]] State next(State q, unsigned char byte) const {
    return rows_[static_cast<std::size_t>(q) * 256 + byte];
  }
  [[nodiscard]] std::span<const ByteRun> runs(State q) const { return runs_.of(q); }
  [[nodiscard]] bool accepting(State q) const { return facts_[q].accepting; }
  [[nodiscard]] const ByteSet& bytes(State q) const { return facts_[q].bytes; }
  [[nodiscard]] bool quoted() const { return quoted_; }
  [[nodiscard]] std::size_t size() const { return facts_.size(); }
  /// How many texts complete the scalar from `q`; kMany for that many or more.
  [[nodiscard]] std::uint32_t completions(State q) const { return facts_[q].completions; }
  /// The shortest way to the end: its first byte, its length, all of it.
  [[nodiscard]] unsigned char closing_byte(State q) const { return facts_[q].closing_byte; }
  [[nodiscard]] std::uint32_t closing_size(State q) const { return facts_[q].closing_size; }
  [[nodiscard]] std::string closing_word(State q) const;
  /// All of its texts, where completions(start()) says that they are few.
  [[nodiscard]] std::vector<std::string> words() const;
  /// The longest closing of any state.
  [[nodiscard]] std::uint32_t longest_closing() const { return longest_closing_; }
  /// Bytes, without the tokens that it keeps.
  [[nodiscard]] std::size_t memory() const {
    return rows_.size() * sizeof(State) + facts_.size() * sizeof(Facts) + runs_.bytes();
  }
  /// With those, and itself.
  [[nodiscard]] std::size_t held_bytes() const;
  /// Of strings whose lengths can be counted while they are read: whether a state stands between
  /// two characters, and how many must still begin.
  [[nodiscard]] bool counts() const { return counts_; }
  [[nodiscard]] bool between(State q) const { return facts_[q].between; }
  [[nodiscard]] std::uint32_t characters_left(State q) const { return facts_[q].left; }
  /// The first byte of a way to the end with no more.
  [[nodiscard]] unsigned char fewest_byte(State q) const { return facts_[q].fewest_byte; }
  /// The most that must, from any state, and from this one or any behind it.
  [[nodiscard]] std::uint32_t most_left() const { return most_left_; }
  [[nodiscard]] std::uint32_t most_left(State q) const { return ahead(q).most_left; }
  /// Of every state but the ends, texts of any length complete it.
  [[nodiscard]] bool endless() const { return endless_; }
  /// Bytes that are tokens: of equals, ways to the end go along these.
  [[nodiscard]] const ByteSet& preferred() const { return preferred_; }
  /// From every state any number of characters more than must begin may begin before the end.
  [[nodiscard]] bool stretches() const { return stretches_; }
  /// Where stretches(): the first byte of a way to the end with one character more than must begin,
  /// and with any number more.
  [[nodiscard]] unsigned char stretching_byte(State q) const { return facts_[q].stretching_byte; }
  /// The most bytes that one character of such a way has.
  [[nodiscard]] std::uint32_t widest() const { return widest_; }

  /// Whether every string of `characters` that goes on as they may from here is in, whatever comes;
  /// of a quoted one.
  [[nodiscard]] const std::vector<bool>& settled(const Terminal& characters) const {
    return along(characters).settled;
  }

  /// Whether, between two characters, the strings of `characters` that go on from here are those
  /// that are read, however far they go.
  [[nodiscard]] bool same(State q, const Terminal& characters) const {
    return between(q) && along(characters).dies[q] == kNever;
  }

  /// What the tokens do that are read from a state on.
  struct Tokens {
    std::vector<TokenId> stay;  // end inside: where they are few
    MaskTable many;             // the same, where they are many
    std::vector<std::uint32_t>
        exits;  // leave later than at once, by their numbers in Tables::exits
    /// Those of a row of bits, by how many they are.
    void set_staying(std::vector<std::uint64_t> bits);
  };
  /// What of a vocabulary this needs; outlives it.
  struct Tables {
    const Vocabulary* vocabulary = nullptr;
    /// All tokens that can leave a scalar behind some of their bytes, in the form of a piece.
    const Terminal::Piece* quoted = nullptr;
    const Terminal::Piece* bare = nullptr;
    /// Any string: tokens that stay inside, by the characters they begin, and those of them that
    /// hold a character that begins with a byte. nullptr: not known.
    const Terminal* string = nullptr;
    const Terminal::Piece* inside = nullptr;
    const std::vector<MaskTable>* holding = nullptr;
    /// Tokens of more than kHorizon bytes.
    const std::vector<TokenId>* longer = nullptr;
    /// The same of strings in canonical spelling alone.
    const Terminal* canonical = nullptr;
    const Terminal::Piece* canonical_inside = nullptr;
  };
  [[nodiscard]] std::shared_ptr<const Tokens> tokens(const Tables& tables, State q) const;
  /// Makes what tokens() needs of all states at once, where these are many.
  void prepare(const Tables& tables) const;
  /// States that do the same with every text of that many bytes share what their tokens do; longer
  /// ones are tried.
  static constexpr std::size_t kHorizon = 16;

 private:
  struct Facts {
    ByteSet bytes;
    bool accepting = false;
    unsigned char closing_byte = 0;
    std::uint32_t closing_size = UINT32_MAX;
    std::uint32_t completions = 0;
    std::uint32_t left = UINT32_MAX;
    unsigned char fewest_byte = 0;
    unsigned char stretching_byte = 0;
    bool between = false;
  };
  // Characters that lead from a state to one other, from there to one other and so on, at least
  // `steps` times.
  struct Chain {
    ByteSet bytes;  // those that begin with one of these
    std::uint32_t steps = 0;
  };
  // All steps from a state to one other.
  struct Edge {
    State from = kDead, to = kDead;
    unsigned char byte = 0;  // one of them, a token where one is
    bool spelled = false;    // it is
    std::uint16_t count = 0;
  };
  // By the states they lead from, and by those they lead to.
  struct Edges {
    std::vector<Edge> all;
    std::vector<std::uint32_t> first, into, first_into;
    [[nodiscard]] std::span<const Edge> from(State q) const {
      return std::span(all).subspan(first[q], first[q + 1U] - first[q]);
    }
    [[nodiscard]] std::span<const std::uint32_t> to(State q) const {
      return std::span(into).subspan(first_into[q], first_into[q + 1U] - first_into[q]);
    }
  };
  [[nodiscard]] Edges edges(const ByteSet& preferred) const;
  bool find_kind();
  void merge_alike();  // scalar_dfa_merge.cpp
  void find_facts(const ByteSet& preferred, const Terminal* characters);
  void find_closings(const Edges& edges);
  bool drop_endless();
  void count_completions(const Edges& edges);
  void count_characters(const Edges& edges, const Terminal& characters);
  void find_stretches(const Edges& edges);
  template <class Visit>
  bool for_each_pair(State q, const Terminal& characters, Terminal::State there,
                     Visit&& visit) const;
  [[nodiscard]] bool within(const Terminal& characters) const;
  [[nodiscard]] Chain chain(State q, std::size_t longest) const;
  [[nodiscard]] Chain closed(State q, std::size_t longest) const;
  template <class Wanted>
  [[nodiscard]] ByteSet leading(State from, const ByteSet& first, Wanted&& wanted) const;
  // What holds of states that strings of `characters` lead to; of others nothing does.
  static constexpr std::uint8_t kNever = 255;
  struct Along {
    const Terminal* characters = nullptr;
    std::vector<bool> settled;  // every string that goes on is in
    // The fewest bytes, up to kNever, of a string that goes on but is not read any more; 0 where
    // something may be read that is no such string.
    std::vector<std::uint8_t> dies;
  };
  [[nodiscard]] const Along& along(const Terminal& characters) const;
  [[nodiscard]] Along find_along(const Terminal& characters) const;
  void take_prepared(const ScalarDfa& from, State open, State own);
  bool add_all(const Tables& tables, State q, std::vector<std::uint64_t>& words) const;
  void take_dying(const Tables& tables, State q, const Along& along,
                  std::vector<std::uint64_t>& words) const;
  // Of a state and of those behind it.
  struct Ahead {
    ByteSet alphabet;  // bytes that are read
    std::uint32_t most_left = 0;
  };
  [[nodiscard]] const Ahead& ahead(State q) const;
  [[nodiscard]] std::shared_ptr<const std::vector<std::uint64_t>> foreign(
      const Tables& tables, const ByteSet& alphabet) const;
  bool add_by_table(const Tables& tables, State q, std::vector<std::uint64_t>& words) const;
  bool add_along(const Tables& tables, State q, const Chain& chain,
                 std::vector<std::uint64_t>& words) const;
  void add_by_walk(const Tables& tables, State q, std::vector<std::uint64_t>& words) const;
  bool add_by_near(const Tables& tables, State q, std::vector<std::uint64_t>& words) const;
  bool add_by_like(const Tables& tables, State q, std::vector<std::uint64_t>& words) const;
  [[nodiscard]] std::vector<std::uint8_t> ends() const;
  [[nodiscard]] bool stays(State q, std::string_view text) const;
  struct Digest;
  [[nodiscard]] std::vector<Digest> find_alike() const;

  std::vector<State> rows_;
  ByteRuns runs_;
  std::vector<Facts> facts_;
  State start_ = kDead;
  bool quoted_ = false, counts_ = false, endless_ = false, stretches_ = false;
  ByteSet preferred_;
  std::uint32_t longest_closing_ = 0, most_left_ = 0, widest_ = 0;
  mutable std::mutex along_mutex_;
  mutable std::vector<std::unique_ptr<const Along>> along_;  // that were asked for
  mutable std::mutex mutex_;
  mutable std::unordered_map<State, std::shared_ptr<const Tokens>> tokens_;
  // Of those, some that were found by walks.
  static constexpr std::size_t kMostNear = 8;
  mutable std::vector<std::pair<State, std::shared_ptr<const Tokens>>> walked_;
  mutable std::size_t kept_ = 0;
  mutable std::once_flag ahead_once_;
  mutable std::vector<Ahead> ahead_;  // by state
  // By state, where there are many, once kFirsts were walked: a digest of what it does with every
  // text of kHorizon bytes; and by digest, the tokens that stay inside of the first such state.
  // Those that were not sorted in yet.
  static constexpr std::size_t kFirsts = 3;
  using Words = std::shared_ptr<const std::vector<std::uint64_t>>;
  struct Digest {
    std::uint64_t a = 0, b = 0;
    friend auto operator<=>(const Digest&, const Digest&) = default;
  };
  static constexpr std::size_t kFewStates = 512;
  mutable std::vector<Digest> alike_;
  mutable std::map<Digest, std::shared_ptr<const Tokens>> alike_tokens_;
  mutable std::vector<std::pair<State, std::shared_ptr<const Tokens>>> firsts_;
  // By alphabet: tokens of strings that hold a character without any byte of it.
  mutable std::vector<std::pair<ByteSet, Words>> foreign_;
};

// visit(to, there) for all pairs of states that one byte leads to from a state and from one of the
// characters', until it says false.
template <class Visit>
bool ScalarDfa::for_each_pair(State q, const Terminal& characters, Terminal::State there,
                              Visit&& visit) const {
  const std::span<const ByteRun> a = runs_.of(q), b = characters.runs(there);
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (!visit(a[i].to, b[j].to)) return false;
    const unsigned ends_a = ByteRuns::end(a, i), ends_b = ByteRuns::end(b, j);
    if (ends_a <= ends_b) ++i;
    if (ends_b <= ends_a) ++j;
  }
  return true;
}

}  // namespace espalier::grammar
