// The compiler from JSON Schema to expressions; json_schema.h is the door to it.
//
// A schema is compiled for a set of types that its surroundings still allow: a choice of one
// expression a type. A
// `$ref` becomes a rule per (target, types), compiled from a work list. One object or array is
// built from its last member backwards, two expressions a member, so that size is linear. Recursion
// is as deep as the schema's text nests (SchemaOptions::kMaxDepth).
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "grammar/expression.h"
#include "grammar/json_expression.h"
#include "grammar/json_schema.h"
#include "grammar/json_schema_document.h"
#include "grammar/json_schema_keywords.h"

namespace espalier::grammar {

class SchemaCompiler {
 public:
  SchemaCompiler(ExpressionPool& pool, JsonExpressions& json, const Json& schema,
                 const SchemaOptions& options)
      : pool_(pool), json_(json), options_(options), root_{&schema, &schema, "#"} {}

  Result<Expr> run();

 private:
  static constexpr std::size_t kNoRule = SIZE_MAX;
  struct Target {
    SchemaPlace place;
    JsonTypes types;
    Rule rule;
    std::vector<std::size_t> same_value;  // targets that this one refers to for the very same value
  };

  Result<Expr> compile(const SchemaPlace& at, JsonTypes types);
  /// As compile(), for a value inside the one at hand.
  Result<Expr> compile_inner(const SchemaPlace& at);
  Result<Expr> reference(const SchemaPlace& at, JsonTypes types);
  Result<Expr> branches(const SchemaPlace& at, const std::string& keyword, JsonTypes types);
  Result<Expr> values(const SchemaPlace& at, const std::vector<const Json*>& values,
                      JsonTypes types);
  Result<Expr> by_type(const SchemaPlace& at, JsonTypes types);
  Result<Expr> number(const SchemaPlace& at, JsonTypes types);
  Result<Expr> string(const SchemaPlace& at);
  /// The content that `pattern` and the lengths allow, where a pattern stands; else nothing.
  Result<std::optional<Expr>> pattern(const SchemaPlace& at);
  Result<Expr> array(const SchemaPlace& at);
  Result<Expr> object(const SchemaPlace& at);
  Result<Expr> additional_member(const SchemaPlace& at, const std::vector<std::string>& declared,
                                 const Json* schema);
  Expr any(JsonTypes types);
  Status check_reference_cycles() const;

  // json_schema_disjoint.cpp: whether no value satisfies both, as far as a short look can prove.
  Result<bool> disjoint(const SchemaPlace& a, const SchemaPlace& b, int depth);
  Result<SchemaPlace> behind_references(SchemaPlace at) const;
  Result<JsonTypes> possible_types(const SchemaPlace& at) const;

  /// nothing(), and remembers the first reason why.
  Expr unsatisfiable(const std::string& pointer, const std::string& why);

  ExpressionPool& pool_;
  JsonExpressions& json_;
  const SchemaOptions& options_;
  SchemaPlace root_;
  std::vector<Target> targets_;
  std::map<std::pair<const Json*, std::uint8_t>, std::size_t> target_of_;
  std::size_t current_ = kNoRule;  // the target whose value is being described; none inside it
  std::string why_;
};

}  // namespace espalier::grammar
