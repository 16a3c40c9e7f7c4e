// Scalars that several finished automata say together: a boolean combination of their languages,
// and of how many characters a string has; what ScalarDfa::combine() runs side by side.
//
// A state of the combination is a state of each part. A part that is dead says no for good; a state
// from which no part's yes could make the whole true is dead itself. Parts and operators are added
// bottom-up; an operator's operands stand before it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "grammar/schema/scalar_dfa.h"
#include "grammar/schema/terminal.h"

namespace espalier::grammar {

class ScalarCombination {
 public:
  using Node = std::uint32_t;
  static constexpr std::uint32_t kUnbounded = UINT32_MAX;
  static constexpr std::size_t kMostParts = 48;
  static constexpr std::uint32_t kMostCounted = (1U << 20) - 2;

  /// The scalars of an automaton.
  Node words(std::shared_ptr<const ScalarDfa> dfa);
  /// The same of an automaton that is not finished: only a ScalarProduct runs it.
  Node words(ProgramRef program);
  /// A string's terminal, of low..high characters.
  Node characters(const Terminal* string, std::uint32_t low, std::uint32_t high);
  Node nothing();
  Node all(std::vector<Node> of);
  Node any(std::vector<Node> of);
  Node negation(Node of);
  /// The node that was made for `what`, whatever a caller calls so; a place for it where none was.
  std::optional<Node>& made_for(std::uint64_t what) { return made_[what]; }
  void set_root(Node root) {
    root_ = root;
    made_ = {};
  }

  [[nodiscard]] std::size_t parts() const { return parts_.size(); }
  /// Of a part that is not finished; nullptr of others. Whoever runs it says where it is: 0 where
  /// it is dead, else an odd number where its text may end.
  [[nodiscard]] const ProgramRef& program(std::size_t part) const { return parts_[part].program; }
  /// Of one that is finished, but for a string's terminal; else nullptr.
  [[nodiscard]] const ScalarDfa* dfa(std::size_t part) const { return parts_[part].dfa.get(); }
  /// Of a string's terminal; and how many characters one has at least, where there is no most.
  [[nodiscard]] const Terminal* string(std::size_t part) const { return parts_[part].string; }
  [[nodiscard]] std::optional<std::uint32_t> endless_from(std::size_t part) const {
    const bool endless = parts_[part].string != nullptr && parts_[part].high == kUnbounded;
    return endless ? std::optional(parts_[part].low) : std::nullopt;
  }
  /// Of a string's terminal that is held to a greatest length: how many characters more may begin;
  /// of others kUnbounded.
  [[nodiscard]] std::uint32_t characters_left(std::size_t part, std::uint32_t state) const {
    const bool bounded = parts_[part].string != nullptr && parts_[part].high != kUnbounded;
    return bounded ? parts_[part].high - (state >> kShift) : kUnbounded;
  }
  struct Role {
    bool required = false;    // all that satisfies the whole satisfies the part
    bool excluded = false;    // nothing does
    bool only_wanted = true;  // it stands under no negation: more texts of it are more of the whole
  };
  /// By part.
  [[nodiscard]] std::vector<Role> roles() const;
  /// It says what its one part says.
  [[nodiscard]] bool alone() const { return parts_.size() == 1 && nodes_[root_].op == Op::kPart; }
  /// Every part is finished.
  [[nodiscard]] bool finished() const;
  /// Before the first byte, one a part; of those that are not finished nothing.
  void start(std::span<std::uint32_t> state) const;
  /// The runs of bytes that a part treats alike where it stands, and its state behind one.
  [[nodiscard]] std::span<const ByteRun> runs(std::size_t part, std::uint32_t state) const;
  [[nodiscard]] std::uint32_t read(std::size_t part, std::uint32_t state, unsigned char byte) const;
  [[nodiscard]] bool accepting(std::span<const std::uint32_t> state) const;
  /// Of a finished part that is not dead: a shortest text that completes it.
  [[nodiscard]] std::string closing_word(std::size_t part, std::uint32_t state) const;
  /// Whether some texts may still complete it, as far as the parts alone say.
  [[nodiscard]] bool hopeful(std::span<const std::uint32_t> state) const;
  /// The same where no more is known than what the `known` parts say.
  [[nodiscard]] bool hopeful(std::span<const std::uint32_t> state,
                             const std::vector<bool>& known) const;
  /// The fewest bytes that any text which completes it has, as far as the parts alone say; where
  /// hopeful(). `closing(part)`: those of a part that is not finished.
  template <class Closing>
  [[nodiscard]] std::uint32_t least(std::span<const std::uint32_t> state, Closing&& closing) const {
    return least(root_, true, state, closing);
  }
  /// All texts are strings of these: what no such string makes false any more is known.
  void settle(const Terminal& characters);

 private:
  static constexpr std::uint32_t kShift = 10;  // of the characters begun; below, the state
  static_assert(Terminal::kMaxStates <= 1U << kShift);
  struct Part {
    std::shared_ptr<const ScalarDfa> dfa;
    ProgramRef program;
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
  [[nodiscard]] bool accepting(const Part& part, std::uint32_t state) const;
  [[nodiscard]] std::uint32_t closing(const Part& part, std::uint32_t state) const;
  template <class Closing>
  [[nodiscard]] std::uint32_t least(Node at, bool wanted, std::span<const std::uint32_t> state,
                                    Closing&& closing) const;

  std::vector<Part> parts_;
  std::vector<Operator> nodes_;
  Node root_ = 0;
  std::unordered_map<std::uint64_t, std::optional<Node>> made_;
};

// Whether a node may be `wanted`, where leaf(part, wanted) says it of a part.
template <class Leaf>
bool ScalarCombination::evaluate(Node at, bool wanted, Leaf&& leaf) const {
  const Operator& node = nodes_[at];
  const auto of = [&](Node n) { return evaluate(n, wanted, leaf); };
  switch (node.op) {
    case Op::kPart:
      return leaf(node.part, wanted);
    case Op::kNothing:
      return !wanted;
    case Op::kNegation:
      return evaluate(node.of[0], !wanted, leaf);
    case Op::kAll:
      return wanted ? std::ranges::all_of(node.of, of) : std::ranges::any_of(node.of, of);
    case Op::kAny:
      return wanted ? std::ranges::any_of(node.of, of) : std::ranges::all_of(node.of, of);
  }
  return false;
}

// Of what must hold at once the most, of what may the least; of what may not hold nothing is known
// but whether it does.
template <class Closing>
std::uint32_t ScalarCombination::least(Node at, bool wanted, std::span<const std::uint32_t> state,
                                       Closing&& closing) const {
  constexpr std::uint32_t kNever = UINT32_MAX;
  const Operator& node = nodes_[at];
  switch (node.op) {
    case Op::kPart: {
      const Part& part = parts_[node.part];
      const std::uint32_t here = state[node.part];
      const bool yes = accepting(part, here);
      if (!wanted) return yes ? 1 : 0;
      if (yes || here == 0) return yes ? 0 : kNever;
      return part.program != nullptr ? closing(node.part) : this->closing(part, here);
    }
    case Op::kNothing:
      return wanted ? kNever : 0;
    case Op::kNegation:
      return least(node.of[0], !wanted, state, closing);
    case Op::kAll:
    case Op::kAny: {
      const bool all = (node.op == Op::kAll) == wanted;
      std::uint32_t out = all ? 0 : kNever;
      for (const Node n : node.of) {
        const std::uint32_t one = least(n, wanted, state, closing);
        out = all ? std::max(out, one) : std::min(out, one);
      }
      return out;
    }
  }
  return 0;
}

}  // namespace espalier::grammar
