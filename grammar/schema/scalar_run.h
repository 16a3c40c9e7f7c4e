// One kind of scalar being read: a standard terminal with the lengths that strings are held to, a
// finite set of words, a finished automaton, several of these side by side, integers that are
// multiples, or an automaton of the expression engine for everything else. Of strings, some texts
// may be taken away: what is read is then a place of both, live while more texts complete it than
// are taken away.
//
// States are small numbers whose meaning is this object's; 0 is no state (a text that does not
// fit). Every other state can be completed. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/intern_table.h"
#include "grammar/schema/integer_multiples.h"
#include "grammar/schema/owed_closings.h"
#include "grammar/schema/scalar_dfa.h"
#include "grammar/schema/scalar_product.h"
#include "grammar/schema/terminal.h"
#include "grammar/schema/word_trie.h"

namespace espalier::grammar {

class ScalarRun {
 public:
  static constexpr std::uint32_t kNone = 0;
  static constexpr std::uint32_t kUnbounded = UINT32_MAX;
  static constexpr std::uint32_t kMostCounted = (1U << 22) - 2;

  /// No scalar at all.
  ScalarRun() = default;
  explicit ScalarRun(const ProgramRef& program);
  explicit ScalarRun(std::shared_ptr<const ScalarDfa> dfa);
  /// The same, of low..high characters (kUnbounded: no end), which some text has; it counts(), and
  /// where `low` is more than must begin anyway it stretches() or may_owe() that many without end.
  ScalarRun(std::shared_ptr<const ScalarDfa> dfa, std::uint32_t low, std::uint32_t high);
  explicit ScalarRun(WordTrie words);
  /// Which has some text.
  explicit ScalarRun(std::shared_ptr<ScalarProduct> product);
  explicit ScalarRun(IntegerMultiples multiples);
  /// Strings of low..high characters (kUnbounded: no end), for terminals that are no strings 0 and
  /// kUnbounded. Bounds are at most kMostCounted, and such that the shortest fits into a closing.
  explicit ScalarRun(const Terminal* terminal, std::uint32_t low = 0,
                     std::uint32_t high = kUnbounded);
  /// Whether lengths of at least `low`, without end, can be held to, whatever a way to the end is
  /// like: the automaton goes on without end and both are small.
  static bool may_owe(const ScalarDfa& dfa, std::uint64_t low) {
    return dfa.counts() && dfa.endless() && (dfa.size() + 8) * low <= kMostCounts;
  }
  /// The same scalar from its start, where may_take_away() and nothing was: shares what was counted
  /// of lengths, and a ScalarProduct.
  [[nodiscard]] ScalarRun anew() const;
  /// Where no text that was taken away goes on from `state`: the state of `all`, which this was
  /// made anew() of.
  [[nodiscard]] std::uint32_t untaken(std::uint32_t state, ScalarRun& all) const {
    const Pair here = at(state);
    return all.pairs_.empty() ? here.inner : all.pair({here.inner, 0, here.begun, UINT32_MAX});
  }
  /// Takes texts away, strings with their quotes: of a string's terminal, a ScalarDfa or a
  /// ScalarProduct of strings. Empty where nothing is left.
  void take_away(std::vector<std::string> texts);
  /// Whether take_away() may be asked: what is held to lengths must be small.
  [[nodiscard]] bool may_take_away() const;

  [[nodiscard]] bool empty() const { return start_ == kNone; }
  [[nodiscard]] std::uint32_t start() const { return start_; }
  std::uint32_t step(std::uint32_t state, unsigned char byte);
  /// Whether stepping along the text ends at a state; makes none.
  bool reads(std::uint32_t state, std::string_view text);
  [[nodiscard]] bool accepting(std::uint32_t state) const;
  [[nodiscard]] ByteSet next_bytes(std::uint32_t state) const;
  /// These and perhaps others, at little cost: step() tells. None where there are none.
  [[nodiscard]] ByteSet tried_bytes(std::uint32_t state) const {
    if (multiples_ == nullptr) return next_bytes(state);
    return multiples_->goes_on(state) ? IntegerMultiples::alphabet() : ByteSet();
  }
  [[nodiscard]] bool goes_on(std::uint32_t state) const {
    return multiples_ != nullptr ? multiples_->goes_on(state) : !next_bytes(state).none();
  }
  /// A text that completes it.
  std::string closing_word(std::uint32_t state);
  /// The length of that text.
  std::uint64_t closing_size(std::uint32_t state);
  void byte_classes(std::uint32_t state, std::vector<ByteSet>& classes) const;
  /// A ScalarProduct counts to all that run it: `shared_bytes()` of them not here first.
  [[nodiscard]] std::size_t bytes() const;
  [[nodiscard]] std::size_t shared_bytes() const {
    return shares_ && product_ != nullptr ? product_->bytes() : 0;
  }
  /// The same, counted, with a finished automaton that nobody else has.
  [[nodiscard]] std::size_t held_bytes() const;

  // ---- for masks ----
  [[nodiscard]] const Terminal* terminal() const { return terminal_; }
  [[nodiscard]] const ScalarDfa* dfa() const { return dfa_.get(); }
  [[nodiscard]] const std::shared_ptr<const ScalarDfa>& dfa_ref() const { return dfa_; }
  /// Where the terminal is, and how many characters may and must still begin.
  struct Place {
    Terminal::State q = Terminal::kDead;
    std::uint32_t owed = 0;
    std::uint32_t left = kUnbounded;
  };
  [[nodiscard]] Place place(std::uint32_t state) const;
  [[nodiscard]] ScalarProduct* product() const { return product_.get(); }
  [[nodiscard]] ScalarProduct::State product_state(std::uint32_t state) const {
    return inner(state);
  }
  /// Where the ScalarDfa is.
  [[nodiscard]] ScalarDfa::State dfa_state(std::uint32_t state) const {
    return static_cast<ScalarDfa::State>(inner(state));
  }
  /// Of a ScalarDfa that is held to lengths: how many characters may still begin (else kUnbounded),
  /// and how many must.
  [[nodiscard]] std::uint32_t characters_left(std::uint32_t state) const {
    return dfa_ == nullptr || high_ == kUnbounded ? kUnbounded : high_ - pairs_[state].begun;
  }
  [[nodiscard]] std::uint32_t characters_owed(std::uint32_t state) const {
    return dfa_ == nullptr || low_ == 0 || pairs_[state].begun >= low_ ? 0
                                                                       : low_ - pairs_[state].begun;
  }
  /// The most bytes of a closing on which so many characters must still begin, from any state.
  std::uint64_t longest_owing(std::uint32_t owed) {
    if (owed == 0) return 0;
    return counts_->owing != nullptr ? counts_->owing->longest(owed)
                                     : std::uint64_t{owed} * dfa_->widest();
  }
  /// Of one that is a few words: the state without one of those from there on; kNone without more.
  [[nodiscard]] std::uint32_t without_word(std::uint32_t state, std::string_view word) {
    return words_->without(state, word);
  }
  /// The texts of one that is a few words, from WordTrie::kStart on; else nullptr.
  [[nodiscard]] const WordTrie* words() const { return words_.get(); }
  /// Every beginning of a text that was taken away can go on as another.
  [[nodiscard]] bool sparse() const { return sparse_; }
  /// Whether it may be a string; of few words, not known.
  [[nodiscard]] bool string() const {
    if (dfa_ != nullptr) return dfa_->quoted();
    if (multiples_ != nullptr) return false;
    return terminal_ == nullptr || terminal_->boundary() != Terminal::kDead;
  }
  /// A string that more texts complete than can be taken away.
  [[nodiscard]] bool roomy(std::uint32_t state) const {
    const bool known = dfa_ != nullptr || terminal_ != nullptr;
    if (!known || !string() || (dfa_ != nullptr && high_ != kUnbounded)) return false;
    return inner_completions(inner(state)) == UINT32_MAX;
  }
  /// The longest text that was taken away.
  [[nodiscard]] std::uint64_t longest_taken() const { return longest_taken_; }
  /// The texts that were taken away, and where of them a state is; 0: at none.
  [[nodiscard]] const WordTrie* taken() const { return taken_.get(); }
  [[nodiscard]] std::uint32_t taken_node(std::uint32_t state) const {
    return taken_ != nullptr ? pairs_[state].node : 0;
  }

 private:
  static constexpr std::size_t kMostCounts = 200'000;  // by state and number of characters
  static constexpr std::uint32_t kShift =
      10;  // of the characters read; below, the terminal's state
  static_assert(Terminal::kMaxStates <= 1U << kShift);
  // A state where texts were taken away or characters are counted.
  struct Pair {
    std::uint32_t inner = kNone;
    std::uint32_t node = 0;
    std::uint32_t begun = 0;                  // of a ScalarDfa's that is held to lengths
    std::uint32_t closing_size = UINT32_MAX;  // not known
  };
  // How many texts complete each state with so many more characters; UINT32_MAX for that many.
  using Level = std::vector<std::uint32_t>;

  [[nodiscard]] std::uint32_t inner(std::uint32_t state) const {
    return pairs_.empty() ? state : pairs_[state].inner;
  }
  std::uint32_t inner_step(std::uint32_t state, unsigned char byte);
  [[nodiscard]] bool inner_accepting(std::uint32_t state) const;
  [[nodiscard]] ByteSet inner_bytes(std::uint32_t state) const;
  std::string inner_closing(std::uint32_t state);
  std::uint64_t inner_closing_size(std::uint32_t state);
  [[nodiscard]] Place inner_place(std::uint32_t state) const;
  [[nodiscard]] std::uint32_t inner_completions(std::uint32_t inner) const;
  [[nodiscard]] bool counted() const {
    return dfa_ != nullptr && (low_ > 0 || high_ != kUnbounded);
  }
  // Without its node.
  [[nodiscard]] Pair at(std::uint32_t state) const {
    return pairs_.empty() ? Pair{state, 0, 0, UINT32_MAX} : pairs_[state];
  }
  bool read(Pair& at, unsigned char byte);
  bool read_apart(Pair& at, unsigned char byte);
  bool exceeds(const Pair& at, std::uint64_t count);
  const Level& level(std::uint32_t characters);
  [[nodiscard]] std::optional<std::uint32_t> owed(const Pair& at) const;
  unsigned char read_owed(ScalarDfa::State& q, std::uint32_t& owed);
  std::string closing(const Pair& at);
  std::uint64_t closing_size(const Pair& at);
  std::uint32_t pair(const Pair& made);

  const Terminal* terminal_ = nullptr;
  std::uint32_t low_ = 0, high_ = kUnbounded;
  std::unique_ptr<WordTrie> words_;
  std::shared_ptr<const ScalarDfa> dfa_;
  std::unique_ptr<Automaton> automaton_;
  std::shared_ptr<ScalarProduct> product_;
  std::unique_ptr<IntegerMultiples> multiples_;
  std::uint32_t start_ = kNone;
  std::unique_ptr<const WordTrie> taken_;
  std::vector<Pair> pairs_;
  InternTable pair_ids_;
  // What is counted of a ScalarDfa that is held to lengths.
  struct Counts {
    std::vector<Level> levels;
    std::unique_ptr<OwedClosings> owing;  // where characters are owed and it doesn't stretch
    // Sizes of closings before which characters are owed, by state and how many.
    std::unordered_map<std::uint64_t, std::uint32_t> owed_sizes;
    [[nodiscard]] std::size_t bytes() const;
  };
  static constexpr std::size_t kMostOwedSizes = 1U << 15;  // that are kept
  std::shared_ptr<Counts> counts_;
  bool shares_ = false;  // another's counts or product
  bool sparse_ = true;
  std::uint64_t longest_taken_ = 0;
};

}  // namespace espalier::grammar
