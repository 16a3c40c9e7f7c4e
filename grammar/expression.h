// Expressions: the one intermediate form of the grammar room. Types, regular expressions and JSON
// Schemas are compiled to expressions; automata (automaton.h) run them. An expression is a language
// over bytes plus captures.
//
// How to use it: make an ExpressionPool over a Fuel, build bottom-up with its methods, look at
// `status()` once at the end. Building never fails in between: when fuel runs out every method
// returns `nothing()` and status() keeps the error (kLimit), so builders need no checks (loops over
// input should stop when `!ok()`).
//
//   ExpressionPool pool(fuel);
//   Expr digits = pool.repeat(pool.byte_range('0', '9'), 1, 3);
//   Expr version = pool.concat({pool.bytes("v"), pool.capture(Capture::kInteger, digits)});
//
// An Expr is a 32-bit handle into its pool; equal expressions have equal handles (hash-consing); a
// node's children have smaller handles than the node, so walks over the pool can be loops in handle
// order instead of recursion.
//
// What the automata make of it, and hence what is cheap:
//  - Nondeterminism is free to write: `choice` may be decided late. A state is a set of positions;
//  keep the number of
//    alternatives that stay alive together small (for sets of strings use `words`, which builds a
//    trie).
//  - Counted repeats are counted, never expanded: repeat(e, 0, 100000) is one node. Each count is
//  one lazy state.
//  - `rule` is recursion (a pushdown stack). Only a rule used in non-tail position nests; nesting
//  is bounded at run
//    time by Limits::max_depth (an exact part of the language: what cannot close within it is not
//    allowed). Left recursion is bounded by that too, but is slow: write repeats, or context_free.
//  - `context_free(e)`: the rules in e may be any context-free grammar, ambiguous or
//  left-recursive,
//    nested as deep as the text closes within Program::kLongestClosing bytes; captures inside are
//    ignored.
//  - intersection(a, b), difference(a, b): both operands regular (no recursive rules), run as a
//  product, their captures
//    are ignored. Emptiness and closing are found by search under fuel: "length and pattern", "any
//    key but these".
// Captures say which value the text makes; see enum Capture. The first alternative wins where two
// parses fit.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/fuel.h"
#include "base/result.h"
#include "grammar/byte_set.h"
#include "grammar/decimal_multiple.h"
#include "grammar/held_bytes.h"
#include "grammar/intern_table.h"
#include "grammar/json.h"

namespace espalier::grammar {

class SchemaGraph;
class SourceWords;
class SpanSource;

/// A handle into an ExpressionPool. Default: the empty language.
struct Expr {
  std::uint32_t id = 0;
  friend bool operator==(Expr, Expr) = default;
};

/// A rule's handle: declared first, defined later, used any number of times, also inside itself.
struct Rule {
  std::uint32_t id = 0;
  friend bool operator==(Rule, Rule) = default;
};

enum class Op : std::uint8_t {
  kNothing,       // the empty language
  kEmpty,         // the empty word
  kBytes,         // one byte string
  kSet,           // one byte out of a set
  kConcat,        // children in order
  kChoice,        // one of the children
  kRepeat,        // child, low..high times
  kRule,          // whatever the rule is defined as
  kCapture,       // child, and it makes a value
  kIntersection,  // both children
  kDifference,    // the first child but not the second
  kCodePoints,    // one UTF-8 code point of a class; the child spells it in bytes
  kContextFree,   // child, with its rules read as a context-free grammar (context_free_machine.h)
  kSchema,        // one JSON value of a JSON Schema; run by schema/schema_machine.h
  kFactor,        // words that stand in a text, as they stand there (span_source.h)
  kMultiple,      // decimal digits that are a multiple (decimal_multiple.h)
};

/// What value the captured text makes. Values nest as captures do: a capture's value goes to the
/// nearest enclosing kObject, kArray or kField; an expression with no capture at all makes the
/// string of its bytes.
enum class Capture : std::uint8_t {
  kObject,      // an object; its members are the kField captures and kKey/value pairs inside
  kArray,       // an array of the values inside
  kField,       // a member named `name`; its value is the value inside (none inside: the bytes as a
                // string)
  kKey,         // a JSON string (quotes included) that names the next value in the enclosing object
  kText,        // the bytes themselves, as a string
  kJsonString,  // a JSON string, quotes included; escapes are decoded
  kInteger,     // decimal integer; int64, beyond that a double
  kNumber,      // JSON number: int64 where written as an integer and it fits, else double
  kFloat,       // JSON number, always a double
  kConstant,    // `constant`, whatever the text
  kTable,       // the text looked up in `constant`, an object {text: value}
  kJson,        // a JSON text, parsed
};

struct CaptureInfo {
  Capture kind = Capture::kText;
  std::string name;  // kField
  Json constant;     // kConstant, kTable
  [[nodiscard]] std::size_t held_bytes() const { return held_by_all(name, constant); }
};

/// A closed range of code points.
using CodePointRange = std::pair<char32_t, char32_t>;

class ExpressionPool {
 public:
  static constexpr std::uint32_t kUnbounded = std::numeric_limits<std::uint32_t>::max();

  /// One unit of `fuel` is spent a new node (and one per 64 bytes of its payload); `fuel` must
  /// outlive the building.
  explicit ExpressionPool(Fuel& fuel);
  ExpressionPool(const ExpressionPool&) = delete;
  ExpressionPool& operator=(const ExpressionPool&) = delete;

  // ---- languages ----
  [[nodiscard]] Expr nothing() const { return Expr{0}; }
  [[nodiscard]] Expr empty() const { return Expr{1}; }
  Expr bytes(std::string_view text);
  Expr byte_set(const ByteSet& set);
  Expr byte_range(unsigned char low, unsigned char high) {
    return byte_set(ByteSet::range(low, high));
  }
  Expr concat(std::span<const Expr> parts);
  Expr concat(std::initializer_list<Expr> parts) {
    return concat(std::span(parts.begin(), parts.size()));
  }
  Expr choice(std::span<const Expr> parts);
  Expr choice(std::initializer_list<Expr> parts) {
    return choice(std::span(parts.begin(), parts.size()));
  }
  /// low..high times; high == kUnbounded: no end. low > high is the empty language.
  Expr repeat(Expr child, std::uint32_t low, std::uint32_t high = kUnbounded);
  /// The same texts, but captures take the fewest turns that fit.
  Expr lazy_repeat(Expr child, std::uint32_t low, std::uint32_t high = kUnbounded);
  Expr optional(Expr child) { return choice({child, empty()}); }
  /// `child (separator child)*`, low..high children.
  Expr separated(Expr child, Expr separator, std::uint32_t low, std::uint32_t high = kUnbounded);
  Expr intersection(Expr a, Expr b);
  Expr difference(Expr a, Expr b);
  /// One of `texts` (duplicates allowed), as a trie: any number of them stays deterministic. ""
  /// gives an optional.
  Expr words(std::span<const std::string> texts);
  /// One code point of the union of `ranges` (any order, may overlap; surrogates are left out), as
  /// strict UTF-8. Repeats of it have fast masks: use it, not byte sets, for classes of characters.
  Expr code_points(std::span<const CodePointRange> ranges);
  Expr code_points(std::initializer_list<CodePointRange> ranges) {
    return code_points(std::span(ranges.begin(), ranges.size()));
  }

  /// Digits, perhaps with a point, that are a multiple; leading zeros are in.
  Expr multiple(const DecimalMultiple& multiple);

  /// One value that satisfies `schema`, without captures.
  Expr schema(std::shared_ptr<const SchemaGraph> schema);

  /// A span of `source`, without captures; `json`: spelled as the content of a JSON string. The
  /// empty language where the text has no words.
  Expr factor(const std::shared_ptr<const SpanSource>& source, bool json);

  // ---- recursion ----
  Rule declare_rule(std::string name);
  /// Once a rule. A rule left undefined is the empty language.
  void define_rule(Rule rule, Expr body);
  Expr rule(Rule rule);

  /// `child`, whose rules may be any context-free grammar. Not inside intersection or difference.
  Expr context_free(Expr child);

  // ---- captures ----
  Expr capture(Capture kind, Expr child);         // those without a payload
  Expr field(std::string_view name, Expr child);  // kField
  Expr constant(Json value, Expr child);          // kConstant
  Expr table(Json values_by_text, Expr child);    // kTable

  // ---- state ----
  [[nodiscard]] bool ok() const { return status_.has_value(); }
  [[nodiscard]] const Status& status() const { return status_; }
  [[nodiscard]] Fuel& fuel() { return *fuel_; }
  /// For builders that find their input refused in the middle: the first error is kept, all further
  /// building is nothing().
  void refuse(Error error) {
    if (ok()) status_ = fail(std::move(error));
  }

  // ---- reading (automata, analyses, tests) ----
  struct Node {
    Op op = Op::kNothing;
    bool lazy = false;        // kRepeat: the fewest turns come first
    std::uint32_t a = 0;      // kBytes: string; kSet: set; kRepeat: low; kRule: rule; kCapture,
                              // kCodePoints, kSchema, kFactor, kMultiple: info
    std::uint32_t b = 0;      // kRepeat: high
    std::uint32_t first = 0;  // children_[first, first + count)
    std::uint32_t count = 0;
  };
  [[nodiscard]] std::size_t size() const { return nodes_.size(); }
  [[nodiscard]] const Node& node(Expr e) const { return nodes_[e.id]; }
  [[nodiscard]] std::span<const Expr> children(Expr e) const {
    return std::span(children_).subspan(nodes_[e.id].first, nodes_[e.id].count);
  }
  [[nodiscard]] const std::string& bytes_of(Expr e) const { return strings_[nodes_[e.id].a]; }
  [[nodiscard]] const ByteSet& set_of(Expr e) const { return sets_[nodes_[e.id].a]; }
  [[nodiscard]] const CaptureInfo& capture_of(Expr e) const { return captures_[nodes_[e.id].a]; }
  /// The sorted, disjoint ranges of a kCodePoints node.
  [[nodiscard]] const std::vector<CodePointRange>& ranges_of(Expr e) const {
    return classes_[nodes_[e.id].a];
  }
  [[nodiscard]] const std::shared_ptr<const SchemaGraph>& schema_of(Expr e) const {
    return schemas_[nodes_[e.id].a];
  }
  [[nodiscard]] const SourceWords& source_of(Expr e) const { return *factors_[nodes_[e.id].a]; }
  [[nodiscard]] const DecimalMultiple& multiple_of(Expr e) const {
    return multiples_[nodes_[e.id].a];
  }
  /// With itself, and with the schemas in it.
  [[nodiscard]] std::size_t held_bytes() const;
  [[nodiscard]] std::size_t rule_count() const { return rules_.size(); }
  [[nodiscard]] Expr rule_body(std::uint32_t rule) const { return rules_[rule].body; }
  [[nodiscard]] const std::string& rule_name(std::uint32_t rule) const { return rules_[rule].name; }

 private:
  struct RuleInfo {
    std::string name;
    Expr body;
    bool defined = false;
    [[nodiscard]] std::size_t held_bytes() const { return grammar::held_bytes(name); }
  };
  Expr add(Node node, std::span<const Expr> children, std::size_t payload = 0);
  Expr add_capture(CaptureInfo info, Expr child);
  std::uint32_t string_index(std::string_view text);
  [[nodiscard]] bool single_byte(Expr e, ByteSet* set) const;
  Expr utf8_ranges(const std::vector<CodePointRange>& ranges);

  Fuel* fuel_;
  Status status_;
  std::vector<Node> nodes_;
  std::vector<Expr> children_;
  std::vector<std::string> strings_;
  std::vector<ByteSet> sets_;
  std::vector<CaptureInfo> captures_;
  std::vector<std::vector<CodePointRange>> classes_;
  std::vector<RuleInfo> rules_;
  std::vector<std::shared_ptr<const SchemaGraph>> schemas_;
  std::vector<std::shared_ptr<const SourceWords>> factors_;
  std::vector<DecimalMultiple> multiples_;
  InternTable node_ids_, string_ids_, set_ids_, class_ids_;
  std::unordered_map<std::string, std::uint32_t> capture_ids_;
  std::vector<std::uint32_t> last_choice_;  // by node: the last call of choice() that met it
  std::uint32_t choices_ = 0;
};

}  // namespace espalier::grammar
