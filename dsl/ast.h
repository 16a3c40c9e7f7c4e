// The abstract syntax of a .gen file: what was written, before any name or type is looked up.
//
// Value types owned from the File downwards (vectors, and unique_ptr where a node holds its own
// kind); moved, never copied; immutable once parsed. Depth is bounded by the parser (kMaxNesting),
// so plain recursion over a tree, and its destructor, use bounded stack. Every node has its Span.
// What the checker finds out stands in tables of the Program (program.h), indexed by the dense ids
// that expressions, holes and patterns carry; it never changes the tree.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "dsl/source.h"

namespace espalier::dsl {

struct Expr;
struct TypeExpr;
struct Stmt;
using ExprPtr = std::unique_ptr<Expr>;
using TypePtr = std::unique_ptr<TypeExpr>;

/// Dense within one File, from 0, in the order of the source: index of a side table.
using ExprId = std::uint32_t;
using HoleId = std::uint32_t;
using PatternId = std::uint32_t;

// ---- leaves
// -------------------------------------------------------------------------------------------------------

struct Identifier {
  std::string text;
  Span span;
};

struct Number {
  Span span;
  bool integer = true;         // written without a fraction; then it fits int64
  std::int64_t int_value = 0;  // only where `integer`
  double value = 0;            // always
};

/// A plain string (`as "…"`, a tool's target, a literal type): no holes and no inserts, escapes
/// resolved.
struct StringLiteral {
  std::string value;
  Span span;
};

/// `a..b` with either end open, or one number (`exact`: low == high, written without `..`).
struct RangeLiteral {
  Span span;
  std::optional<Number> low, high;
  bool exact = false;
};

// ---- text
// ---------------------------------------------------------------------------------------------------------

/// Bytes that stand in the text as they are: escapes resolved, `"""` indentation and outer newlines
/// stripped. Two literals are never neighbours, and a literal is never empty.
struct LiteralChunk {
  std::string bytes;
  Span span;
};

/// `name = value` after a hole's type.
struct HoleOption {
  Identifier name;
  ExprPtr value;
};

/// `$[name: select? Type from e by m, key = e]`
struct Hole {
  HoleId id = 0;
  Span span;
  Identifier name;
  bool select = false;
  TypePtr type;
  ExprPtr from;                  // null unless written
  std::optional<Identifier> by;  // total, mean or prior
  std::vector<HoleOption> options;
};

/// `${e}`; `${run e}` has a RunExpr as its value.
struct Insert {
  Span span;
  ExprPtr value;
};

using Chunk = std::variant<LiteralChunk, Hole, Insert>;

struct Text {
  Span span;           // with its quotes
  bool block = false;  // written with """
  std::vector<Chunk> chunks;
};

// ---- types
// --------------------------------------------------------------------------------------------------------

/// A field of a record, or a parameter of a generator or tool.
struct FieldDecl {
  Span span;
  Identifier name;
  std::optional<StringLiteral> as;  // the key in JSON where it differs from the name
  bool omittable = false;           // `name?: T`: may be left out, which is not null
  TypePtr type;
  ExprPtr value;    // the default, or null
  std::string doc;  // its `///` comment, lines joined by "\n"
};

struct RecordType {
  std::vector<FieldDecl> fields;
};
struct RegexType {
  std::string pattern;  // between the slashes, `\/` resolved to `/`
};
struct LiteralType {
  std::variant<std::string, Number> value;
};
/// An argument in a type's parentheses: `string(1..80)`, `cite(date)`, `schema("f.json")`.
using TypeArgument = std::variant<RangeLiteral, TypePtr>;
/// `string(1..80)`, `Currency`, `Topic.lost_card`, `null`
struct NamedType {
  Identifier name;
  std::optional<Identifier> member;
  bool called = false;  // parentheses were written
  std::vector<TypeArgument> arguments;
};
struct UnionType {
  std::vector<TypePtr> alternatives;  // two or more
};
struct OptionalType {
  TypePtr item;
};
struct ListType {
  TypePtr item;
  std::optional<RangeLiteral> length;
};

struct TypeExpr {
  Span span;
  std::variant<RecordType, RegexType, LiteralType, NamedType, UnionType, OptionalType, ListType>
      node;
};

// ---- statements (blocks first: a fork, which is an expression, holds one)
// ------------------------------------------

struct Block {
  Span span;  // with its braces; of the one statement or text where none were written
  std::vector<Stmt> statements;
};

// ---- expressions
// --------------------------------------------------------------------------------------------------

enum class UnaryOp : std::uint8_t { kNot, kNegate };
enum class BinaryOp : std::uint8_t {
  kOr,
  kAnd,
  kEqual,
  kNotEqual,
  kLessEqual,
  kGreaterEqual,
  kLess,
  kGreater,
  kIn,
  kRange,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kRemainder
};
/// The operator as it is written ("<=", "and", "..").
std::string_view spelling(UnaryOp op);
std::string_view spelling(BinaryOp op);

struct NullExpr {};
struct BoolExpr {
  bool value = false;
};
struct NumberExpr {
  Number number;
};
/// A text as a value: literals and inserts, never holes.
struct TextExpr {
  Text text;
};
struct NameExpr {
  Identifier name;
};
/// `.key`: the function that takes a record's field, as in max(ideas, by: .score).
struct SelectorExpr {
  Identifier key;
};
struct ListExpr {
  std::vector<ExprPtr> items;
};
struct RecordEntry {
  Identifier key;
  ExprPtr value;  // never null: `{move}` has a NameExpr of the key's name and span
};
struct RecordExpr {
  std::vector<RecordEntry> entries;
};
struct Argument {
  std::optional<Identifier> name;
  ExprPtr value;
};
struct CallExpr {
  ExprPtr callee;
  std::vector<Argument> arguments;
};
struct MemberExpr {
  ExprPtr object;
  Identifier key;
};
struct IndexExpr {
  ExprPtr object;
  ExprPtr index;
};
struct UnaryExpr {
  UnaryOp op{};
  ExprPtr operand;
};
struct BinaryExpr {
  BinaryOp op{};
  Span op_span;
  ExprPtr left, right;
};
struct ConditionalExpr {
  ExprPtr condition, then, otherwise;
};
/// `run e`: executes a call that a tool hole gave, or a tool called by name.
struct RunExpr {
  ExprPtr operand;
};
/// `fork { }` (count and list null), `fork n { }` (over = n, no variable), `fork x in xs { }`.
struct ForkExpr {
  std::optional<Identifier> variable;
  ExprPtr over;
  Block body;
};

struct Expr {
  ExprId id = 0;
  Span span;
  std::variant<NullExpr, BoolExpr, NumberExpr, TextExpr, NameExpr, SelectorExpr, ListExpr,
               RecordExpr, CallExpr, MemberExpr, IndexExpr, UnaryExpr, BinaryExpr, ConditionalExpr,
               RunExpr, ForkExpr>
      node;
};

// ---- statements
// ---------------------------------------------------------------------------------------------------

enum class Role : std::uint8_t { kSystem, kUser, kAssistant, kTool };
std::string_view spelling(Role role);

struct TextStmt {
  Text text;
};
/// `user "…"`, `system { … }`, `turn e "…"`; a text is a block with one TextStmt.
struct RoleStmt {
  std::optional<Role> role;  // absent for `turn`
  ExprPtr dynamic_role;      // the expression of `turn`, else null
  Span word;                 // the role's word
  Block body;
};
struct LetStmt {
  Identifier name;
  TypePtr type;  // null unless written
  ExprPtr value;
};
struct IfBranch {
  ExprPtr condition;
  Block body;
};
struct IfStmt {
  std::vector<IfBranch> branches;  // if, else if, else if, …: one or more
  std::optional<Block> otherwise;
};
/// `for x in xs { … }`, or `let name: type = for x in xs { … }`, which binds the list of what its
/// turns yield.
struct ForStmt {
  std::optional<Identifier> collected;
  TypePtr collected_type;  // null unless written
  Identifier variable;
  ExprPtr list;
  Block body;
};

enum class PatternKind : std::uint8_t { kName, kString, kNumber, kNull, kTrue, kFalse };
struct Pattern {
  PatternId id = 0;
  PatternKind kind = PatternKind::kName;
  Span span;
  Identifier name;                   // kName
  bool called = false;               // kName with parentheses
  std::vector<Identifier> bindings;  // what stands in them: parameters of the tool by name
  TypePtr type;                      // kName: `name: Type`, or null
  std::string string;                // kString
  Number number;                     // kNumber
};
struct MatchArm {
  Pattern pattern;
  Block body;
};
struct MatchStmt {
  ExprPtr value;
  std::vector<MatchArm> arms;
};
struct RetryStmt {
  Number count;
  std::optional<Identifier> why;
  Block body;
  std::optional<Block> otherwise;
};
struct RequireStmt {
  ExprPtr condition;
  std::optional<Text> message;
};
struct SpliceStmt {
  ExprPtr call;
};
struct ReturnStmt {
  ExprPtr value;  // null: `return` alone
};
struct YieldStmt {
  ExprPtr value;
};
struct BreakStmt {};

struct Stmt {
  Span span;
  std::variant<TextStmt, RoleStmt, LetStmt, IfStmt, ForStmt, MatchStmt, RetryStmt, RequireStmt,
               SpliceStmt, ReturnStmt, YieldStmt, BreakStmt>
      node;
};

// ---- declarations
// -------------------------------------------------------------------------------------------------

struct UseDecl {
  Span span;
  StringLiteral path;
  std::optional<Identifier> as;
  std::vector<Identifier> names;
};
struct ConfigEntry {
  Identifier key;
  ExprPtr value;
};
struct ConfigDecl {
  Span span;
  std::vector<ConfigEntry> entries;
};
struct RecordDecl {
  Span span;
  Identifier name;
  std::vector<FieldDecl> fields;
  std::string doc;
};
struct EnumCaseDecl {
  Span span;
  Identifier name;
  std::optional<StringLiteral> as;
  std::string doc;
};
struct EnumDecl {
  Span span;
  Identifier name;
  std::vector<EnumCaseDecl> cases;
  std::string doc;
};
struct AliasDecl {
  Span span;
  Identifier name;
  TypePtr type;
  std::string doc;
};

/// One alternative, sequence element or group of a `grammar` block.
struct GrammarItem {
  enum class Kind : std::uint8_t { kRegex, kString, kName, kGroup };
  Kind kind = Kind::kString;
  Span span;
  std::string text;                             // the regex, string or name
  std::vector<std::vector<GrammarItem>> group;  // kGroup: alternatives of sequences
  char repeat = 0;                              // '*', '+', '?', or 0
  std::optional<RangeLiteral> count;            // {a..b}
};
struct GrammarRule {
  Span span;
  Identifier name;
  std::vector<std::vector<GrammarItem>> alternatives;
};
struct GrammarDecl {
  Span span;
  Identifier name;
  std::vector<GrammarRule> rules;
  std::string doc;
};

/// `tool name as "real.name"(params) -> T = python "module:function"`
struct ToolDecl {
  Span span;
  Identifier name;
  std::optional<StringLiteral> as;
  std::vector<FieldDecl> parameters;
  TypePtr result;                       // null: none was written
  std::optional<Identifier> transport;  // python, exec, http, mcp; absent: only a shape
  StringLiteral target;
  std::string doc;
};
struct GenDecl {
  Span span;
  Identifier name;
  std::vector<FieldDecl> parameters;
  TypePtr result;  // null: nothing is returned
  Block body;
  std::string doc;
};

struct MockEntry {
  Span span;
  ExprPtr value;  // a RecordExpr
};
struct Expectation {
  Span span;
  TypePtr type;  // `expect T accepts "…"`, else null
  bool accepts = false;
  StringLiteral string;
  ExprPtr condition;  // `expect e`, else null
};
using TestItem = std::variant<MockEntry, LetStmt, Expectation>;
struct TestDecl {
  Span span;
  StringLiteral name;
  std::vector<TestItem> items;
};

using Decl = std::variant<UseDecl, ConfigDecl, RecordDecl, EnumDecl, AliasDecl, GrammarDecl,
                          ToolDecl, GenDecl, TestDecl>;

/// One parsed file. The counts are one past the largest id of each kind.
struct File {
  std::uint32_t source = 0;
  std::vector<Decl> declarations;
  ExprId expressions = 0;
  HoleId holes = 0;
  PatternId patterns = 0;
};

}  // namespace espalier::dsl
