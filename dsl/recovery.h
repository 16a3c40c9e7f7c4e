// Going on after a syntax error, so that one bad line does not hide the rest.
//
// A commit point that is not met throws a Failure (inside this parser only; match_syntax lets none
// out). The nearest `recovered<>` rule around it reports it once and skips: to the end of the item,
// statement, hole, … that cannot be read. What is skipped is kept, because names in it may be
// bindings that later lines use.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "dsl/diagnostic.h"
#include "dsl/syntax_tree.h"

namespace espalier::dsl::syntax {

/// Where parsing goes on.
enum class Skip : std::uint8_t {
  kDeclaration,  // at the next declaration's word
  kStatement,    // at the next line that begins a statement, or the end of the block
  kArm,          // at the next line, or the end of the match
  kItem,    // at the next field, case, rule, … : after a line, before `,` or a closing bracket
  kHead,    // at the `{` of the statement whose head is wrong
  kHole,    // after the hole's `]`
  kInsert,  // after the insert's `}`
};

/// How a message is completed from the place where it arose.
enum class Hint : std::uint8_t {
  kFound,         // the label says what stands there
  kUnterminated,  // points at what was opened and never closed
  kCloses,        // kFound, and a second label at what was opened
  kHoleColon,     // proposes the hole with its colon
  // kFound, and a help for what other languages have there (habits.h)
  kDeclaration,
  kStatement,
  kHead,
  kOperand,
};

struct ErrorText {
  const char* code = "E0100";
  const char* message = "";
  Hint hint = Hint::kFound;
  const char* help = "";
};

/// An unmet commit point.
struct Failure {
  std::uint32_t offset = 0;
  const ErrorText* text = nullptr;
  std::uint32_t opening = 0;  // where the innermost kept rule began
  bool reported = false;
};

/// A limit: nothing more is parsed. Already reported.
struct Stopped {};

/// What one match carries along.
struct MatchState {
  const Source& source;
  std::uint32_t file = 0;
  Diagnostics& diagnostics;
  SyntaxTree tree;
  std::vector<std::uint32_t> open;  // nodes begun and not ended
  std::uint32_t depth = 0;          // nesting, and operators of the open expressions
  std::uint32_t space_started = 0;  // the space being matched
  std::uint32_t space_begin = 0;    // the last space matched
  std::uint32_t space_end = 0;
  bool tentative = false;  // in a reading that may be given up for another
};

[[nodiscard]] inline std::size_t node_count(const MatchState& state) {
  return state.tree.nodes.size();
}

[[nodiscard]] inline bool& tentatively(MatchState& state) { return state.tentative; }

/// Reports `failure` (unless it was), drops the nodes past `kept_nodes`, and says where to go on
/// after the item that began at `begin`; nothing where no place is found inside the enclosing item:
/// then that one has to recover.
std::optional<std::uint32_t> recover(Skip where, Failure& failure, std::uint32_t begin,
                                     std::size_t kept_nodes, MatchState& state);

}  // namespace espalier::dsl::syntax
