// Parser of regular expressions: pattern text to a tree (RE2's syntax, or ECMA-262's for JSON
// Schema).
//
// Everything regular that RE2 accepts is accepted and means the same, plus `(?<name>…)` and repeats
// above 1,000. In ECMA-262's syntax look-around is read where it stands in the outermost sequence
// of an alternative, so that what it looks at is the rest of the text (`^(?=.*\d)(?!admin).{8,}$`),
// and where it can be put there (regex_lift.h). There `\b` and `\B` stand wherever no endless
// repeat is around them and nothing looks behind. Elsewhere both are refused, and so is what is not
// regular (back references), needs the text around the match ((?m) anchors) or is not text (\C), by
// name with its byte offset. Greedy and lazy repeats have the same language; only captures tell
// them apart.
//
// The parser keeps its own stack, so nesting costs no machine stack; patterns above kMaxBytes,
// nesting above kMaxDepth and repeats above kMaxRepeat are kLimit errors. A node's children stand
// before it in `nodes`, so that walks over the tree are loops. Cost: O(pattern), times the size of
// a Unicode class for each class.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/expression.h"

namespace espalier::grammar {

enum class RegexDialect : std::uint8_t {
  kRe2,
  kEcma,  // with the `u` flag: JSON Schema's `pattern`
};

/// Those that hold where the pattern begins; `(?i)` and the like change them from there on.
struct RegexFlags {
  bool fold_case = false;   // i
  bool multi_line = false;  // m
  bool dot_all = false;     // s
  bool lazy = false;        // U: unmarked repeats are lazy, marked ones greedy
};

enum class RegexOp : std::uint8_t {
  kEmpty,      // the empty word
  kClass,      // one code point of `classes[a]`
  kBegin,      // ^ \A
  kEnd,        // $ \z
  kConcat,     // children in order
  kAlternate,  // one of the children
  kRepeat,     // child, a..b times (b == ExpressionPool::kUnbounded: no end)
  kGroup,      // child, captured as `groups[a]`
  kBoundary,   // \b: a word character on one side alone; ECMA-262's syntax
  kNoBoundary,
  // Look-around, at the outermost level alone: the child matches, or does not, from or up to here.
  kAhead,
  kNotAhead,
  kBehind,
  kNotBehind,
};

[[nodiscard]] constexpr bool looks_around(RegexOp op) { return op >= RegexOp::kAhead; }
[[nodiscard]] constexpr bool is_boundary(RegexOp op) {
  return op == RegexOp::kBoundary || op == RegexOp::kNoBoundary;
}

struct RegexNode {
  RegexOp op = RegexOp::kEmpty;
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  std::uint32_t first = 0;  // children[first, first + count)
  std::uint32_t count = 0;
  std::uint32_t offset = 0;  // byte in the pattern
  bool lazy = false;         // kRepeat: the fewest turns come first
};

struct RegexGroup {
  std::string name;          // empty: not named
  std::uint32_t offset = 0;  // of its parenthesis
};

struct Regex {
  static constexpr std::size_t kMaxBytes = 64 * 1024;
  static constexpr std::size_t kMaxDepth = 1000;
  static constexpr std::uint32_t kMaxRepeat = 1'000'000;
  /// Of \b and \B, those in repeats as often as these turn; and parts inside each other with one.
  static constexpr std::uint64_t kMostBoundaries = 64;
  static constexpr std::uint32_t kDeepestBoundary = 100;

  std::vector<RegexNode> nodes;
  std::vector<std::uint32_t> children;
  std::vector<std::vector<CodePointRange>> classes;  // sorted, disjoint
  std::vector<RegexGroup> groups;                    // in the order of their parentheses
  std::uint32_t root = 0;
  bool looks = false;  // has look-around, or \b or \B
};

/// By node: whether \b or \B stands in it.
[[nodiscard]] std::vector<bool> nodes_with_boundaries(const Regex& regex);

/// Errors: kInvalid (syntax), kUnsupported (refused by name), kLimit; all end in "at offset N".
[[nodiscard]] Result<Regex> parse_regex(std::string_view pattern,
                                        RegexDialect dialect = RegexDialect::kRe2,
                                        const RegexFlags& flags = {});

}  // namespace espalier::grammar
