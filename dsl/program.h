// Program: a checked .gen file, ready to run on any engine.
//
// compile() parses and checks; without errors it gives a Program, which is immutable and shared, so
// it may be used from several threads. It owns the source, the tree and the tables the checker
// filled; pointers into the tree stay valid as long as the Program does. Types are
// grammar::TypeRef: the same object is a hole's mask, a parameter's type and a value's static type.
// Where a table gives a null TypeRef, the value has no type that a hole could have (nothing
// returned, a mix).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dsl/ast.h"
#include "dsl/builtins.h"
#include "dsl/diagnostic.h"
#include "grammar/json.h"
#include "grammar/matcher.h"
#include "grammar/type.h"

namespace espalier::dsl {

/// A parameter of a generator or a tool.
struct Parameter {
  const FieldDecl* decl = nullptr;
  std::string name;  // how programs call it
  std::string key;   // how it stands in JSON (`as`, else the name)
  grammar::TypeRef type;
  std::string doc;
  bool omittable = false;        // `name?: T`: null stands for an argument that was left out
  std::optional<Json> fallback;  // `= constant`
};

/// Branches and calls of a run, at most; and what is said of more.
constexpr std::uint64_t kMaxBranches = 4096;
[[nodiscard]] inline std::string too_many_branches(std::uint64_t count) {
  return "a fork of " + std::to_string(count) + " branches; at most " +
         std::to_string(kMaxBranches) + " run in one program";
}

/// Constant text that is not shared between calls because of an insert before it.
struct UnsharedText {
  Span insert;
  std::string behind;
};

struct TypeInfo {  // a declared record, enum, alias or grammar
  std::string name;
  Span span;
  grammar::TypeRef type;
  std::string doc;
  /// Of a record: the fields' defaults by field name. A field with a default may be left out of the
  /// JSON.
  std::map<std::string, Json> defaults;
  grammar::GrammarRef recogniser;  // of a grammar: over single bytes, for texts from outside
};

enum class Transport : std::uint8_t { kNone, kPython, kExec, kHttp, kMcp, kCaller };

struct ToolInfo {
  const ToolDecl* decl = nullptr;
  std::string name;       // how programs call it
  std::string real_name;  // how the model and the transport call it (`as`, else the name)
  std::string doc;
  std::vector<Parameter> parameters;
  grammar::TypeRef arguments;              // the record of the parameters
  grammar::TypeRef result;                 // null: nothing comes back
  Transport transport = Transport::kNone;  // kNone: only a shape, never run; kCaller: whoever
                                           // compiled the program runs it, and `target` is empty
  std::string target;
};

struct GenInfo {
  const GenDecl* decl = nullptr;
  std::string name;
  std::string doc;
  std::vector<Parameter> parameters;
  grammar::TypeRef result;  // null: nothing is returned
  bool returns = false;     // a result type was written
  bool turns =
      false;  // it opens turns itself (else its text and holes stand where it is spliced or called)
};

/// What a name in an expression stands for. A variable is found by name in the lexical scope: names
/// are never shadowed.
enum class NameKind : std::uint8_t { kNone, kVariable, kType, kTool };
struct NameInfo {
  NameKind kind = NameKind::kNone;
  std::uint32_t index = 0;  // kType: into Program::types; kTool: into Program::tools
};

enum class CalleeKind : std::uint8_t { kNone, kGen, kTool, kBuiltin };
/// A call, its arguments sorted into the callee's parameters; null where one was left out.
struct CallInfo {
  CalleeKind kind = CalleeKind::kNone;
  std::uint32_t index = 0;  // into Program::gens or Program::tools
  Builtin builtin{};        // kBuiltin
  std::vector<const Expr*> arguments;
};

enum class SelectBy : std::uint8_t { kTotal, kMean, kPrior };

struct HoleInfo {
  const Hole* hole = nullptr;
  grammar::TypeRef type;
  SelectBy by = SelectBy::kTotal;
  bool think = false;   // of the type `think`
  bool copies = false;  // its type holds a `span`, which copies from what `from` says
};

/// What a `match` arm asks of the value.
enum class PatternTest : std::uint8_t {
  kAny,   // a fresh name, the last arm: always; binds the name to the value
  kCase,  // an enum's case: `index` into the type's cases
  kTool,  // a call of a tool: `index` into Program::tools; bindings are parameters of it, by name
  kType,  // one of the kinds of value in `index` (value_kinds), a record only if it fits one of
          // `records` where there are any; binds the name to the value
  kLiteral,  // equal to the pattern's string or number
  kNull,
  kTrue,
  kFalse,
};
struct PatternInfo {
  PatternTest test = PatternTest::kAny;
  std::uint32_t index = 0;
  std::vector<grammar::TypeRef> records;
};

/// What happens where a prompt and its hole's budget do not fit the model's context: the run fails,
/// or turns are dropped (turn_log.h).
enum class Overflow : std::uint8_t { kRefuse, kDropOldest };

/// In which form calls are written: that of the model's template where it has one, or the plain one
/// (JSON, several in one list) whatever the model.
enum class CallsForm : std::uint8_t { kTemplate, kPlain };

/// The defaults of `config { … }`, already checked; the command line overrides those of sampling.
struct Config {
  std::optional<std::int64_t> priority;  // of all that a run asks of the engine (runtime::Terms)
  std::optional<double> deadline;        // seconds that a run may take, its tools included
  // What of its prompts stays longer in the cache (radix_cache::Retention): the level, the leading
  // tokens, and the steps after which the level falls by one.
  std::optional<std::int64_t> retain, retain_tokens, retain_steps;
  std::optional<double> temperature, top_p, min_p, repetition, presence, frequency;
  std::optional<std::int64_t> top_k, seed, max;
  Overflow overflow = Overflow::kRefuse;
  CallsForm calls = CallsForm::kTemplate;
};

struct Program {
  std::vector<Source> sources;                 // the program's own file first, then those it uses
  File file;                                   // all their declarations, in that order
  std::map<std::string, std::string> schemas;  // what it read besides, by path
  Config config;
  std::vector<GenInfo> gens;
  std::vector<ToolInfo> tools;
  std::vector<TypeInfo> types;
  std::vector<const TestDecl*> tests;                             // of the program's own file
  std::map<const Expectation*, grammar::TypeRef> expected_types;  // of `expect T accepts "…"`

  std::map<const TypeExpr*, grammar::TypeRef> let_types;  // of `let x: T = …`

  std::set<std::string> of_caller;  // tools, by name, that the host runs itself

  // Side tables: by the ids of the tree's nodes.
  std::vector<NameInfo> names;           // by ExprId, of NameExpr
  std::vector<CallInfo> calls;           // by ExprId, of CallExpr
  std::vector<grammar::TypeRef> values;  // by ExprId: the static type, or null
  std::vector<HoleInfo> holes;           // by HoleId
  std::vector<PatternInfo> patterns;     // by PatternId

  std::vector<UnsharedText> unshared;  // what W0603 is said of

  // Types that recursive references point at are kept alive here.
  std::vector<grammar::TypeRef> keep;

  /// The generators of the program's own file: those that a caller may run.
  [[nodiscard]] std::vector<const GenInfo*> own_gens() const;
  /// One of them, by name.
  [[nodiscard]] const GenInfo* gen(std::string_view name) const;
  [[nodiscard]] const ToolInfo* tool(std::string_view name) const;
  [[nodiscard]] const ToolInfo* tool_by_real_name(std::string_view name) const;
  [[nodiscard]] const TypeInfo* type(std::string_view name) const;
};
using ProgramRef = std::shared_ptr<const Program>;

struct Compiled {
  ProgramRef program;  // null where there are errors
  Diagnostics diagnostics;
  std::vector<Source> sources;  // for rendering
};

/// How a file that a program names (`use`, `schema("…")`) is read: its path is that name beside the
/// file that holds it. The only way out of the front end.
using ReadFile = std::function<Result<std::string>(const std::string& path)>;

/// Parses and checks a program: the file `name` with `text`, and those that it uses. `name` is how
/// messages call it, and where the paths it names start. Without `read`, a program that names a
/// file is refused. `of_caller` names tools that the caller's host runs itself, shapes among them:
/// what the file says of how to run them is not looked at. Limits: kMaxSource bytes, kMaxNesting
/// levels.
[[nodiscard]] Compiled compile(std::string name, std::string text, const ReadFile& read = nullptr,
                               std::set<std::string> of_caller = {});

inline constexpr std::uint32_t kMaxSource = 10u << 20;
inline constexpr std::uint32_t kMaxNesting = 200;

}  // namespace espalier::dsl
