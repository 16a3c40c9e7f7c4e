// The language's types as expressions (GEN_LANGUAGE.md 4; docs/language.md).
//
// A type stands *plain* (a hole in text) or in *json* (inside a record or list). Both forms are
// built here, with captures that make the typed value. Errors start with the language's diagnostic
// code where one fits.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "grammar/call_form.h"
#include "grammar/expression.h"
#include "grammar/json_expression.h"
#include "grammar/span_source.h"
#include "grammar/type.h"

namespace espalier::grammar {

class TypeExpressions {
 public:
  static constexpr int kDepth =
      200;  // nesting of types, not of values: a program's own text bounds it

  /// `source` is what spans copy from; null where no type holds one.
  explicit TypeExpressions(ExpressionPool& pool, SpanSourceRef source = nullptr,
                           const CallForm& calls = kPlainCall)
      : pool_(pool), json_(pool), source_(std::move(source)), form_(calls) {}

  /// The expression of a whole hole. The pool's status is the caller's to look at.
  Result<Expr> plain(const TypeRef& type);

  /// Two alternatives of a union that must have no common word: `both` is their intersection.
  struct Distinct {
    Expr both;
    std::string what;
  };
  [[nodiscard]] const std::vector<Distinct>& distinct() const { return distinct_; }

 private:
  Result<Expr> convert(const TypeRef& type, bool json, int depth);
  Result<Expr> reference(const Type& type, bool json, int depth);
  Result<Expr> literal(const Type& type, bool json);
  Result<Expr> enumeration(const Type& type, bool json);
  Result<Expr> alternatives(const Type& type, bool json, int depth);
  /// The texts in which a call, or a list of them, begins as form_ has it.
  Expr begun(bool several);
  Result<Expr> record(const Type& type, int depth);
  /// One call, written as `form` has it; begin and end are the list's.
  Result<Expr> call(const Type& type, const CallForm& form, int depth);
  Result<Expr> calls(const Type& list, int depth);
  Expr id(const CallForm& form);
  Result<Expr> list(const Type& type, bool json, int depth);
  Result<Expr> map(const Type& type, int depth);
  Result<Expr> text(const Type& type, bool json);
  Result<Expr> pattern(const Type& type, bool json);
  Result<Expr> span(bool json);

  ExpressionPool& pool_;
  JsonExpressions json_;
  SpanSourceRef source_;
  CallForm form_;
  std::map<std::pair<const Type*, bool>, Rule> rules_;
  std::vector<Distinct> distinct_;
};

}  // namespace espalier::grammar
