// Runs context-free grammars (Op::kContextFree) a byte at a time: Earley's algorithm with sets that
// are shared.
//
// An *item* is what remains of one rule (`LocalId`, a hash-consed stack of frames inside that rule
// alone) and the *return node* of the call. A return node stands for one call of a rule: where its
// callers go on. All callers of a rule at one place share one node, so alternatives do not multiply
// stacks (Tomita's graph-structured stack). A *set* is the items that read a byte after the same
// text, an immutable handle.
//
// What keeps the number of sets and nodes small:
//  - Nodes and sets are hash-consed by what they hold, not by where they were made. Nodes that
//  refer
//    to each other (left recursion) are made and compared as a group.
//  - A caller with nothing left to do after a call is replaced by its own callers (Leo: "A general
//    context-free parsing algorithm running in linear time on every LR(k) grammar", 1991), so right
//    recursion does not deepen anything.
//  - An item whose node is simulated by that of an equal item is dropped: `e: e "+" e | NUMBER` has
//    the same few sets however many operands it has read.
//  - Nullable calls also go on behind the call at once (Aycock and Horspool, "Practical Earley
//    parsing", 2002), so hidden left recursion and cycles need no second look at a set.
//
// A set is closed once a kernel, what the items that read a byte go on to: all bytes of a class,
// and all sets that go on alike, share one closing.
//
// Cost of a closing: linear in the items and callers it meets: constant for grammars that are
// deterministic with bounded look-behind, at most kMostVisits. Where a set would pass kMostLeaves
// or kMostVisits the byte is not allowed.
//
// Every item is productive, and a set's closing is its shortest continuation, ties going to the
// lowest bytes: a function of the language alone, so all machines of a program agree on it, and the
// closing after a closing's first byte is the rest of it.
//
// Belongs to one Automaton, which owns the lock and drops it whole; products inside (terminals with
// `&`, `~` or lazy ends) run in that automaton.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "grammar/context_free_facts.h"
#include "grammar/expression.h"
#include "grammar/intern_table.h"
#include "grammar/small_vector.h"

namespace espalier::grammar {

class Automaton;
class Program;

class ContextFreeMachine {
 public:
  using SetId = std::uint32_t;
  static constexpr SetId kDead = 0;
  static constexpr std::size_t kMostLeaves = 2'048;   // places that read, in one set
  static constexpr std::size_t kMostVisits = 16'384;  // items looked at to make one set

  ContextFreeMachine(Automaton& products, const Program& program);

  /// The set before the first byte of `root`, an expression inside a kContextFree.
  SetId start(Expr root);
  SetId step(SetId set, unsigned char byte);

  /// What was read is a word.
  [[nodiscard]] bool accepting(SetId set) const { return sets_[set].accepting; }
  /// Some byte may follow.
  [[nodiscard]] bool reads(SetId set) const { return !sets_[set].leaves.empty(); }
  /// The bytes that may follow.
  [[nodiscard]] ByteSet bytes(SetId set) const;
  void byte_classes(SetId set, std::vector<ByteSet>& classes) const;

  /// Bytes of the shortest continuation; 0 iff accepting.
  [[nodiscard]] std::uint32_t closing_size(SetId set) const { return sets_[set].size; }
  /// Its first byte, where it has one.
  [[nodiscard]] unsigned char closing_byte(SetId set) const { return sets_[set].closing_byte; }
  /// The closing is at most `longest` bytes and no set on its way is beyond the limits above.
  bool closes(SetId set, std::uint64_t longest);
  /// Some set was beyond kMostLeaves or kMostVisits.
  [[nodiscard]] bool overflowed() const { return overflowed_; }

  /// A class of characters that the set reads as a whole: all code points of it lead to the same
  /// set, and nothing else reads a byte that one of them starts with.
  struct CharacterClass {
    Expr characters;  // the kCodePoints expression
    ByteSet first;    // bytes its code points start with
  };
  std::optional<CharacterClass> character_class(SetId set);
  [[nodiscard]] std::size_t held_bytes() const;

 private:
  using LocalId = std::uint32_t;
  using NodeId = std::uint32_t;
  static constexpr LocalId kEnd = 0;            // nothing remains of the rule
  static constexpr NodeId kTop = 0;             // the grammar's own caller
  static constexpr NodeId kPending = 1u << 31;  // and above: nodes of the set that is being made

  struct Local {
    std::uint32_t expr = 0;
    std::uint32_t progress = 0;  // by Op: byte offset, child index, repeats done, 1 + pair
    LocalId next = kEnd;
    friend bool operator==(const Local&, const Local&) = default;
  };
  struct Call {
    std::uint32_t rule;
    LocalId after;
  };
  // What a local reaches without reading.
  struct Expansion {
    bool known = false;
    bool ends = false;
    bool beyond = false;  // more than kMostVisits frames: no set holds it
    std::vector<LocalId> leaves;
    std::vector<Call> calls;
    [[nodiscard]] std::size_t held_bytes() const { return held_by_all(leaves, calls); }
  };
  struct Item {
    LocalId local = kEnd;
    NodeId node = kTop;
    friend auto operator<=>(const Item&, const Item&) = default;
  };
  struct Node {
    bool accepts = false;  // the grammar's word may be complete here
    std::uint32_t size = 0;
    std::vector<Item> callers;  // sorted; none has a local of kEnd
    [[nodiscard]] std::size_t held_bytes() const { return grammar::held_bytes(callers); }
  };
  struct Pending {
    std::uint32_t rule = 0;
    bool accepts = false;
    std::vector<Item> callers;
    std::vector<NodeId> tails;  // nodes of callers that had nothing left to do
    NodeId made = kPending;
    [[nodiscard]] std::size_t held_bytes() const { return held_by_all(callers, tails); }
  };
  struct Set {
    bool accepting = false;
    unsigned char closing_byte = 0;
    std::uint8_t closes = 0;  // 0 unknown, 1 yes, 2 no
    std::uint32_t size = 0;
    std::vector<Item> leaves;
    [[nodiscard]] std::size_t held_bytes() const { return grammar::held_bytes(leaves); }
  };

  LocalId local(std::uint32_t expr, std::uint32_t progress, LocalId next);
  LocalId push(Expr e, LocalId next) { return local(e.id, 0, next); }
  std::uint32_t remaining(const Local& l);
  const Expansion& expansion(LocalId from);
  [[nodiscard]] bool complete_product(LocalId leaf) const;
  LocalId read(LocalId leaf, unsigned char byte);
  [[nodiscard]] ByteSet leaf_bytes(LocalId leaf) const;
  [[nodiscard]] unsigned char leaf_closing_byte(LocalId leaf) const;

  SetId close(std::span<const Item> kernel);
  SetId close_by_return(std::span<const Item> kernel);
  SetId finish(bool accepting, std::vector<Item> leaves);
  bool visit(std::span<const Item> kernel, std::vector<Item>& leaves, bool* accepting);
  std::uint32_t pending_of(std::uint32_t rule, std::vector<Item>& work);
  bool flatten_tails();
  void make_nodes(const std::vector<Item>& leaves);
  void make_group(std::vector<std::uint32_t> members);
  static std::size_t hash_of(bool accepting, std::span<const Item> items);
  [[nodiscard]] NodeId find_node(std::size_t hash, bool accepts,
                                 const std::vector<Item>& callers) const;
  NodeId intern_node(bool accepts, std::vector<Item> callers);
  [[nodiscard]] NodeId resolved(NodeId node) const {
    return node < kPending ? node : pending_[node - kPending].made;
  }
  [[nodiscard]] bool accepts(NodeId node) const {
    return node < kPending ? nodes_[node].accepts : pending_[node - kPending].accepts;
  }
  [[nodiscard]] const std::vector<Item>& callers(NodeId node) const {
    return node < kPending ? nodes_[node].callers : pending_[node - kPending].callers;
  }
  [[nodiscard]] bool simulated(NodeId less, NodeId more) const;
  void reduce(std::vector<Item>& items) const;
  SetId intern_set(bool accepting, std::vector<Item> leaves);

  Automaton& products_;
  const Program& program_;
  const ExpressionPool& pool_;
  const ContextFreeFacts& facts_;

  std::vector<Local> locals_;
  std::vector<std::uint32_t> local_sizes_;
  std::vector<Expansion> expansions_;
  // By a local that reads: the kCodePoints it came from and where that goes on.
  std::unordered_map<LocalId, std::pair<Expr, LocalId>> origins_;
  std::vector<std::uint32_t> seen_;  // by local: the stamp of the expansion that saw it
  std::vector<std::uint32_t> left_;  // by local: a repeat that its nullable child may not re-enter
  std::uint32_t stamp_ = 0;
  InternTable local_ids_;
  std::unordered_map<std::uint32_t, std::vector<std::uint32_t>>
      concat_sizes_;  // from each child on

  std::vector<Node> nodes_;
  std::vector<SetId> returns_;  // by node: the set where its call has just ended; kDead: not made
  InternTable node_ids_;        // by content
  std::unordered_map<std::string, NodeId> group_ids_;  // by the content of the whole group
  std::vector<Set> sets_;
  InternTable set_ids_;
  // The kernels that were closed, and the sets that came of them: all bytes of a class lead to one.
  std::vector<std::pair<SmallVector<Item, 4>, SetId>> kernels_;
  InternTable kernel_ids_;

  // While a set is being made.
  std::vector<Pending> pending_;
  std::vector<std::uint32_t> pending_by_rule_;  // a rule's place in pending_, if it has its number
  bool overflowed_ = false;
};

}  // namespace espalier::grammar
