// A Program: a finished expression with everything about it that running needs and that does not
// change.
//
// It holds the pool, the hole's root and follow, and per expression the *closing*: one fixed word
// that completes it. Closings give distances (CONTRACTS 19): the closing of what remains after the
// first bytes of a closing is the rest of it, so following one lowers the distance at every token.
// Choices close by the alternative that nests least, then costs the fewest tokens, then the fewest
// bytes; repeats by their least count; products by a word found by search. Immutable once created;
// shared by all automata of a grammar.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "grammar/context_free_facts.h"
#include "grammar/expression.h"
#include "grammar/matcher.h"
#include "grammar/vocabulary.h"

namespace espalier::grammar {

class SchemaMachine;

class Program {
 public:
  static constexpr std::uint32_t kNever = UINT32_MAX;  // no word
  static constexpr std::uint64_t kLongestClosing =
      1u << 16;  // bytes; what closes only beyond is not allowed
  static constexpr std::uint64_t kProductSearch =
      50'000;  // states that deciding one product may open
  static constexpr std::size_t kLongestPiece =
      64;  // tokens above this length play no part in distances

  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Fails with kLimit where fuel ran out, kInvalid where the vocabulary cannot spell `follow`. An
  /// empty language is no failure here (see empty()), nor is a product whose words could not be
  /// decided (see product()).
  static Result<std::shared_ptr<const Program>> create(std::shared_ptr<const ExpressionPool> pool,
                                                       Expr root, VocabularyRef vocabulary,
                                                       std::string follow, const Limits& limits,
                                                       Fuel& fuel);

  [[nodiscard]] const ExpressionPool& pool() const { return *pool_; }
  [[nodiscard]] Expr root() const { return root_; }
  [[nodiscard]] const VocabularyRef& vocabulary() const { return vocabulary_; }
  [[nodiscard]] const std::string& follow() const { return follow_; }
  /// CONTRACTS 18's second case: the value ends at the first occurrence of the follow.
  [[nodiscard]] bool follow_first_wins() const { return follow_first_wins_; }
  /// No word of the root is a proper prefix of another.
  [[nodiscard]] bool prefix_free() const { return prefix_free_; }
  [[nodiscard]] std::uint32_t max_depth() const { return max_depth_; }
  [[nodiscard]] bool empty() const { return need(root_) == kNever; }

  /// Rule nesting that completing `e` needs at least; kNever where it has no word.
  [[nodiscard]] std::uint32_t need(Expr e) const { return need_[e.id]; }
  /// Bytes of its closing, saturated at kLongestClosing + 1.
  [[nodiscard]] std::uint64_t closing_size(Expr e) const { return size_[e.id]; }
  /// The closing itself; only for closing_size(e) <= kLongestClosing.
  void append_closing(Expr e, std::string& out) const;
  /// The byte a set closes with: one that the vocabulary has as a token where there is one.
  [[nodiscard]] unsigned char closing_byte(const ByteSet& set) const;
  /// Each of the bytes is a token.
  [[nodiscard]] bool spells(const ByteSet& bytes) const { return (bytes & ~single_).none(); }
  /// Every byte is a token, so that whatever closes in bytes closes in tokens.
  [[nodiscard]] bool spells_all_bytes() const { return spells_all_bytes_; }

  /// Least tokens that spell text[i..] for every i <= text.size(), given the costs of `tail`'s
  /// positions (text continues with `tail`, whose positions cost tail_costs; tail_costs.size() ==
  /// tail.size() + 1).
  void spelling_costs(std::string_view text, std::string_view tail,
                      std::span<const std::uint32_t> tail_costs,
                      std::vector<std::uint32_t>& costs) const;

  /// Knuth-Morris-Pratt over the follow: the state after `byte`; state follow().size() is a full
  /// occurrence.
  [[nodiscard]] std::uint32_t follow_step(std::uint32_t q, unsigned char byte) const {
    return kmp_[static_cast<std::size_t>(q) * 256 + byte];
  }
  /// Whether, after a value that left the scanner in `q`, the follow's first occurrence is the
  /// follow itself.
  [[nodiscard]] bool follow_may_start(std::uint32_t q) const { return may_start_[q] != 0; }

  /// Whether the vocabulary can spell the follow from this byte of it on.
  [[nodiscard]] bool follow_spells(std::uint32_t read) const {
    return follow_costs_[read] != kNever;
  }

  enum class Product : std::uint8_t { kUnknown, kCloses, kEmpty, kUndecided };
  /// What is known of a kIntersection's, kDifference's or kSchema's words; kUnknown only while the
  /// program is being made, kUndecided (and treated as empty) where the search for one gave up.
  [[nodiscard]] Product product(Expr e) const { return product_state_[e.id]; }
  /// What context-free grammars run by.
  [[nodiscard]] const ContextFreeFacts& context_free_facts() const { return context_free_facts_; }

  /// The machine of a kSchema that was made with the program, for the first automaton that asks;
  /// then nullptr.
  [[nodiscard]] std::unique_ptr<SchemaMachine> take_machine(Expr schema) const;
  /// With itself, its expressions, and the machines that no automaton has taken yet.
  [[nodiscard]] std::size_t held_bytes() const;
  /// Whether the root rests on a product or a schema that could not be decided.
  [[nodiscard]] bool rests_on_undecided() const;
  /// A product's closing (kCloses): automata start from it, so that it is the same in all of them.
  [[nodiscard]] const std::string& product_closing(Expr e) const { return product_closing_[e.id]; }

 private:
  Program() = default;
  Status find_facts(Fuel& fuel);
  Status settle(Fuel& fuel);
  void compute_node(std::uint32_t id, Fuel& fuel);
  [[nodiscard]] std::uint32_t standalone_cost(Expr e, Fuel& fuel) const;
  void build_follow_scanner();
  void find_settled();
  Status close_grammars(Fuel& fuel);

  std::shared_ptr<const ExpressionPool> pool_;
  Expr root_;
  VocabularyRef vocabulary_;
  std::string follow_;
  bool follow_first_wins_ = false;
  bool prefix_free_ = false;
  std::uint32_t max_depth_ = 0;
  ByteSet single_;
  bool spells_all_bytes_ = false;
  std::vector<std::uint32_t> need_;
  std::vector<std::uint64_t> size_;
  std::vector<std::uint32_t> chosen_;  // kChoice: the child it closes with
  std::vector<Product> product_state_;
  std::vector<std::string> product_closing_;  // and those of kContextFree
  std::vector<std::uint32_t> settled_;        // expressions that closings are found for, rising
  ContextFreeFacts context_free_facts_;
  std::vector<std::uint32_t> follow_costs_;
  std::vector<std::uint32_t> kmp_;
  std::vector<std::uint8_t> may_start_;
  mutable std::mutex machines_mutex_;
  mutable std::unordered_map<std::uint32_t, std::unique_ptr<SchemaMachine>>
      machines_;  // by kSchema
};

using ProgramRef = std::shared_ptr<const Program>;

/// The size of every closing that is longer than the longest.
inline constexpr std::uint64_t kTooLong = Program::kLongestClosing + 1;
/// The size of two closings, one behind the other.
[[nodiscard]] inline std::uint64_t closing_sum(std::uint64_t a, std::uint64_t b) {
  return a + b < kTooLong ? a + b : kTooLong;
}

}  // namespace espalier::grammar
