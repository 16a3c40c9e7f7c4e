// The concrete syntax of a file: what the grammar's rules matched, as one flat array in source
// order.
//
// A node's children follow it directly; `next` is the index after its last descendant, so siblings
// are reached by jumping and nothing here recurses, also when it is destroyed. Only rules that mean
// something have nodes (grammar.h lists them by Kind); the AST is built from this and it is then
// dropped.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "dsl/source.h"

namespace espalier::dsl {

enum class Kind : std::uint8_t {
  // tokens
  kName,
  kKey,
  kNumber,
  kString,
  kRegex,
  kWord,
  kOperator,
  kPrefix,
  kQuestion,
  kDotDot,
  // text
  kText,
  kBlockText,
  kRun,
  kEscape,
  kDollarBrace,
  kDollarBracket,
  kHole,
  kSelect,
  kFrom,
  kBy,
  kOption,
  kInsert,
  kInsertRun,
  // types
  kType,
  kRecordType,
  kNamedType,
  kMember,
  kTypeArguments,
  kParenType,
  kLength,
  kRange,
  // expressions
  kExpr,
  kConditional,
  kRunExpr,
  kTrue,
  kFalse,
  kNull,
  kFork,
  kForkEach,
  kList,
  kRecordLiteral,
  kEntry,
  kSelector,
  kParen,
  kCall,
  kArgument,
  kArgumentName,
  kIndex,
  // statements
  kBlock,
  kRole,
  kTurn,
  kLet,
  kIf,
  kElse,
  kFor,
  kMatch,
  kArm,
  kPattern,
  kBindings,
  kRetry,
  kRequire,
  kSplice,
  kReturn,
  kYield,
  kBreak,
  // declarations
  kFile,
  kUse,
  kUseAs,
  kUseNames,
  kConfig,
  kConfigEntry,
  kRecord,
  kEnum,
  kEnumCase,
  kAlias,
  kGrammar,
  kRule,
  kAlternatives,
  kSequence,
  kItem,
  kRepeat,
  kCount,
  kTool,
  kTransport,
  kGen,
  kResult,
  kParameters,
  kField,
  kAs,
  kDefault,
  kTest,
  kMock,
  kExpect,
  kExpectType,
  // seen, but not kept as nodes
  kComment,
  kDoc,
};

struct SyntaxNode {
  Kind kind{};
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  std::uint32_t next = 0;
};

struct SyntaxTree {
  std::vector<SyntaxNode> nodes;                // nodes[0] is the kFile
  std::map<std::uint32_t, std::uint32_t> docs;  // `///` comments: begin -> end
  std::vector<Span> skipped;  // what recovery passed over; names in it may be anything
};

class Diagnostics;

/// Matches the grammar against `source` and reports every syntax error found. Needs well-formed
/// UTF-8. The tree holds what matched; where something did not, the smallest enclosing item
/// (declaration, statement, field, hole, …) is missing and recorded in `skipped`. `complete` false:
/// a limit stopped it early (reported too).
struct SyntaxResult {
  SyntaxTree tree;
  bool complete = true;
};
[[nodiscard]] SyntaxResult match_syntax(const Source& source, std::uint32_t file,
                                        Diagnostics& diagnostics);

/// What one syntax match may cost; an error names the limit.
inline constexpr std::uint32_t kMaxSyntaxNodes = 2'000'000;

}  // namespace espalier::dsl
