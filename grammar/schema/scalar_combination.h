// Scalars that several finished automata say together: a boolean combination of their languages,
// and of how many characters a string has; what ScalarDfa::combine() runs side by side.
//
// A state of the combination is a state of each part. A part that is dead says no for good; a state
// from which no part's yes could make the whole true is dead itself. Parts and operators are added
// bottom-up; an operator's operands stand before it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "grammar/schema/scalar_dfa.h"
#include "grammar/schema/terminal.h"

namespace espalier::grammar {

class ScalarCombination {
 public:
  using Node = std::uint32_t;
  static constexpr std::uint32_t kUnbounded = UINT32_MAX;
  static constexpr std::size_t kMostParts = 16;
  static constexpr std::uint32_t kMostCounted = (1U << 20) - 2;

  /// The scalars of an automaton.
  Node words(std::shared_ptr<const ScalarDfa> dfa);
  /// A string's terminal, of low..high characters.
  Node characters(const Terminal* string, std::uint32_t low, std::uint32_t high);
  Node nothing();
  Node all(std::vector<Node> of);
  Node any(std::vector<Node> of);
  Node negation(Node of);
  void set_root(Node root) { root_ = root; }

  [[nodiscard]] std::size_t parts() const { return parts_.size(); }
  /// Before the first byte, one a part.
  void start(std::span<std::uint32_t> state) const;
  /// The runs of bytes that a part treats alike where it stands, and its state behind one.
  [[nodiscard]] std::span<const ByteRun> runs(std::size_t part, std::uint32_t state) const;
  [[nodiscard]] std::uint32_t read(std::size_t part, std::uint32_t state, unsigned char byte) const;
  [[nodiscard]] bool accepting(std::span<const std::uint32_t> state) const;
  /// Whether some texts may still complete it, as far as the parts alone say.
  [[nodiscard]] bool hopeful(std::span<const std::uint32_t> state) const;
  /// All texts are strings of these: what no such string makes false any more is known.
  void settle(const Terminal& characters);

 private:
  static constexpr std::uint32_t kShift = 10;  // of the characters begun; below, the state
  static_assert(Terminal::kMaxStates <= 1U << kShift);
  struct Part {
    std::shared_ptr<const ScalarDfa> dfa;
    const Terminal* string = nullptr;
    std::uint32_t low = 0, high = kUnbounded;
    const std::vector<bool>* settled = nullptr;
    friend bool operator==(const Part&, const Part&) = default;
  };
  enum class Op : std::uint8_t { kPart, kNothing, kAll, kAny, kNegation };
  struct Operator {
    Op op = Op::kNothing;
    std::uint32_t part = 0;
    std::vector<Node> of;
  };
  Node add(Operator node);
  Node part(Part part);
  template <class Leaf>
  [[nodiscard]] bool evaluate(Node at, bool wanted, Leaf&& leaf) const;

  std::vector<Part> parts_;
  std::vector<Operator> nodes_;
  Node root_ = 0;
};

}  // namespace espalier::grammar
