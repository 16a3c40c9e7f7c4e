// Expressions that need no waiting.
//
// evaluate() is a plain function over the tree: depth is bounded by the parser, work by the values'
// weights. What has to wait (`run`, a generator's call, `fork`) is computed before by the
// interpreter and handed in as `ready`, keyed by the expression's id; meeting such an expression
// that is not ready is FailureKind::kUnknown.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "dsl/failure.h"
#include "dsl/program.h"
#include "dsl/scope.h"
#include "dsl/value.h"

namespace espalier::dsl {

using Ready = std::map<ExprId, Value>;

/// True if the expression, or one inside it, has to wait.
[[nodiscard]] bool waits(const Program& program, const Expr& expr);

/// The value of `expr` in `scope`.
[[nodiscard]] Outcome<Value> evaluate(const Program& program, const Scope& scope, const Expr& expr,
                                      const Ready& ready);

/// As `${expr}` prints it: a type's name prints its schema, a tool's name its description.
[[nodiscard]] Outcome<std::string> evaluate_text(const Program& program, const Scope& scope,
                                                 const Expr& expr, const Ready& ready);

/// The same with where the value came from: null for what no hole gave.
struct Insertion {
  std::string text;
  std::shared_ptr<const Origin> origin;
  Value value;  // what was printed; null of a type's and a tool's description
};
[[nodiscard]] Outcome<Insertion> evaluate_insert(const Program& program, const Scope& scope,
                                                 const Expr& expr, const Ready& ready);

/// A bool, or a failure at `expr`.
[[nodiscard]] Outcome<bool> evaluate_condition(const Program& program, const Scope& scope,
                                               const Expr& expr, const Ready& ready);

/// Whether `value` fits the pattern of a `match` arm; then the pattern's names are bound in
/// `scope`.
[[nodiscard]] bool bind_pattern(const Program& program, Scope& scope, const Pattern& pattern,
                                const Value& value);

/// Whether a value is a record with the keys of the record type and no others, those that may be
/// left out aside, each with one of the kinds of value that its type has and, where that type lists
/// its values (listed_values), one of those.
[[nodiscard]] bool fits(const Program& program, const Value& value, const grammar::TypeRef& type);

/// The same value as one of `type`: ints where floats are declared, records with their keys and the
/// defaults of what they leave out, cases for their surface. Checks nothing.
[[nodiscard]] Value conform(const Program& program, Value value, const grammar::TypeRef& type);
/// What `let` binds: the value as one of the type that it says.
[[nodiscard]] Value bound_by(const Program& program, const TypePtr& written, Value value);

/// Calls one of the predefined functions; absent arguments are null pointers. `selector` is the key
/// of `by: .key`.
[[nodiscard]] Outcome<Value> call_builtin(Builtin id, const std::vector<const Value*>& arguments,
                                          std::string_view selector, const Span& span);

/// `x[a..b]`: the items of a list, or the characters of a text, from place a to place b, both of
/// them counted from 0 and in it; what lies outside is left out.
[[nodiscard]] Outcome<Value> part_of(const Value& x, const Value& places, const Span& span);

/// The field `key` of a value: of a record, of each record of a list, `.p .dist .truncated .name
/// .surface .doc`.
[[nodiscard]] Outcome<Value> member(const Value& value, std::string_view key, const Span& span);

}  // namespace espalier::dsl
