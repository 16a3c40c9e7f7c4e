// The syntax tree of a template: plain nodes in an arena, names resolved to slots.
//
// Every node knows its line. A tree is at most kMaxNesting deep (the parser refuses more), so that
// walking it needs a bounded stack.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "runtime/jinja/value.h"

namespace espalier::runtime::jinja {

inline constexpr std::uint32_t kMaxNesting = 200;

enum class ExprKind : std::uint8_t {
  kConst,
  kName,
  kList,
  kTuple,
  kDict,
  kNot,
  kNegate,
  kPlus,
  kBinary,
  kAnd,
  kOr,
  kConcat,
  kCompare,
  kCondition,
  kFilter,
  kTest,
  kCall,
  kAttribute,
  kItem,
  kSlice,
};

struct Expr {
  ExprKind kind = ExprKind::kConst;
  std::uint32_t line = 0;
  std::uint32_t depth = 1;
};

struct ConstExpr : Expr {
  Value value;
};
/// A variable. The resolver fills `hops` (scopes outwards) and `slot`.
struct NameExpr : Expr {
  const Str* name = nullptr;
  std::uint32_t hops = 0;
  std::uint32_t slot = 0;
};
struct ListExpr : Expr {  // kList, kTuple
  std::span<Expr*> items;
};
struct DictExpr : Expr {
  std::span<Expr*> keys;
  std::span<Expr*> values;
};
struct UnaryExpr : Expr {  // kNot, kNegate, kPlus
  Expr* operand = nullptr;
};
enum class BinaryOp : std::uint8_t { kAdd, kSub, kMul, kDiv, kFloorDiv, kMod, kPow };
struct BinaryExpr : Expr {  // kBinary, kAnd, kOr
  BinaryOp op = BinaryOp::kAdd;
  Expr* left = nullptr;
  Expr* right = nullptr;
};
struct ConcatExpr : Expr {
  std::span<Expr*> parts;
};
enum class CompareOp : std::uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };
struct Comparison {
  CompareOp op = CompareOp::kEq;
  Expr* right = nullptr;
};
struct CompareExpr : Expr {
  Expr* left = nullptr;
  std::span<Comparison> rest;
};
struct ConditionExpr : Expr {  // then if test else otherwise
  Expr* test = nullptr;
  Expr* then = nullptr;
  Expr* otherwise = nullptr;  // null: undefined
};
struct KeywordArgument {
  const Str* name = nullptr;
  Expr* value = nullptr;
};
struct Arguments {
  std::span<Expr*> positional;
  std::span<KeywordArgument> keywords;
  Expr* more_positional = nullptr;  // *x
  Expr* more_keywords = nullptr;    // **x
};
struct FilterExpr : Expr {  // kFilter, kTest
  Expr* subject = nullptr;  // null in a filter block: what the block wrote
  const Str* name = nullptr;
  std::uint16_t id = 0;  // FilterId or TestId
  Arguments arguments;
};
struct CallExpr : Expr {
  Expr* callee = nullptr;
  Arguments arguments;
};
struct AttributeExpr : Expr {
  Expr* object = nullptr;
  const Str* name = nullptr;
};
struct ItemExpr : Expr {
  Expr* object = nullptr;
  Expr* key = nullptr;
};
struct SliceExpr : Expr {
  Expr* object = nullptr;
  Expr* start = nullptr;
  Expr* stop = nullptr;
  Expr* step = nullptr;
};

/// Where an assignment goes: a name, a namespace's attribute, or several of those.
struct Target {
  enum class Kind : std::uint8_t { kName, kAttribute, kTuple } kind = Kind::kName;
  std::uint32_t line = 0;
  NameExpr* name = nullptr;        // kName, kAttribute
  const Str* attribute = nullptr;  // kAttribute
  std::span<Target*> parts;        // kTuple
};

/// How a scope's slot starts when the scope is entered.
enum class Load : std::uint8_t { kParameter, kContext, kOuter, kMissing };
struct Slot {
  const Str* name = nullptr;
  Load load = Load::kMissing;
  std::uint32_t hops = 0;  // kOuter: which slot's value is copied
  std::uint32_t slot = 0;
};
struct ScopeLayout {
  std::span<Slot> slots;
};

enum class StmtKind : std::uint8_t {
  kOutput,
  kIf,
  kFor,
  kSet,
  kSetBlock,
  kMacro,
  kCallBlock,
  kFilterBlock,
  kWith,
  kGeneration,
  kBreak,
  kContinue,
};

struct Stmt {
  StmtKind kind = StmtKind::kOutput;
  std::uint32_t line = 0;
};
using Body = std::span<Stmt*>;

struct OutputStmt : Stmt {
  std::span<Expr*> parts;
};
struct IfBranch {
  Expr* test = nullptr;  // null: else
  Body body;
};
struct IfStmt : Stmt {
  std::span<IfBranch> branches;
};
struct ForStmt : Stmt {
  Target* target = nullptr;
  Target* test_target = nullptr;  // the same names, in the test's scope
  Expr* list = nullptr;
  Expr* test = nullptr;
  Body body;
  Body otherwise;
  bool recursive = false;
  std::uint32_t loop_slot = 0;  // of `loop` in the body's scope
  ScopeLayout scope;
  ScopeLayout test_scope;
  ScopeLayout otherwise_scope;
};
struct SetStmt : Stmt {
  Target* target = nullptr;
  Expr* value = nullptr;
};
struct SetBlockStmt : Stmt {
  Target* target = nullptr;
  Expr* filter = nullptr;
  Body body;
  ScopeLayout scope;
};
/// A macro's parameters and body; also those of a call block's `caller`.
struct MacroBody {
  const Str* name = nullptr;  // null: a caller
  std::span<NameExpr*> parameters;
  std::span<Expr*> defaults;  // of the last parameters
  Body body;
  ScopeLayout scope;
  // Slots of the special names, where the body uses them.
  static constexpr std::uint32_t kUnused = 0xFFFFFFFF;
  std::uint32_t caller_slot = kUnused;
  std::uint32_t kwargs_slot = kUnused;
  std::uint32_t varargs_slot = kUnused;
};
struct MacroStmt : Stmt {
  NameExpr* target = nullptr;
  MacroBody macro;
};
struct CallBlockStmt : Stmt {
  CallExpr* call = nullptr;
  MacroBody macro;
};
struct FilterBlockStmt : Stmt {
  Expr* filter = nullptr;
  Body body;
  ScopeLayout scope;
};
struct WithStmt : Stmt {
  std::span<Target*> targets;
  std::span<Expr*> values;
  Body body;
  ScopeLayout scope;
};
struct GenerationStmt : Stmt {
  MacroBody macro;
};

}  // namespace espalier::runtime::jinja
