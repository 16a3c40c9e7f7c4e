// compile(): type -> expression -> program, and the checks that need a program.
#include <string>
#include <utility>
#include <vector>

#include "grammar/compiled_grammar.h"
#include "grammar/schema/schema_machine.h"
#include "grammar/type_expression.h"

namespace espalier::grammar {
namespace {

bool is_schema(const ExpressionPool& pool, Expr root) {
  while (pool.node(root).op == Op::kCapture) root = pool.children(root)[0];
  return pool.node(root).op == Op::kSchema;
}

// What could not be decided within which limits.
std::string undecided(const ExpressionPool& pool, Expr root) {
  if (!is_schema(pool, root)) {
    return "grammar: whether two conditions on one value can hold together took more than " +
           std::to_string(Program::kProductSearch) + " states to decide";
  }
  return "schema: whether some value satisfies it could not be decided (at most " +
         std::to_string(SchemaMachine::kSteps) + " steps of a search, " +
         std::to_string(SchemaMachine::kMaxNesting) + " values inside each other, " +
         std::to_string(SchemaMachine::kMaxAlternatives) + " alternatives of one value, " +
         std::to_string(SchemaMachine::kLongestPlan) + " members or items that must still come, " +
         std::to_string(Program::kLongestClosing) + " bytes of its shortest text)";
}

}  // namespace

Result<std::shared_ptr<const CompiledGrammar>> compile_expression(
    VocabularyRef vocabulary, std::shared_ptr<const ExpressionPool> pool, Expr root,
    std::string_view follow, const Limits& limits, Fuel& fuel) {
  ESP_ASSIGN(ProgramRef program, Program::create(std::move(pool), root, std::move(vocabulary),
                                                 std::string(follow), limits, fuel));
  if (program->rests_on_undecided()) {
    return fail(ErrorCode::kLimit, undecided(program->pool(), root));
  }
  if (!program->empty() && program->closing_size(root) > Program::kLongestClosing) {
    return fail(ErrorCode::kLimit, "the shortest text of this type is longer than " +
                                       std::to_string(Program::kLongestClosing) + " bytes");
  }
  auto grammar = std::make_shared<const CompiledGrammar>(std::move(program), limits);
  const Program& made = grammar->program();
  if (made.empty() || !grammar->start({}).valid()) {
    if (!made.empty() && !made.spells_all_bytes()) {
      return fail(ErrorCode::kInvalid,
                  "E0301: the vocabulary's tokens spell none of its texts: some bytes are in no "
                  "token of their own");
    }
    if (follow.empty() && is_schema(made.pool(), root)) {
      return fail(ErrorCode::kInvalid, "E0301: schema: no value satisfies it, or none of at most " +
                                           std::to_string(Program::kLongestClosing) + " bytes");
    }
    return fail(ErrorCode::kInvalid,
                "E0301: no text fits this type" +
                    std::string(follow.empty() ? "" : " before what follows it"));
  }
  return grammar;
}

Result<GrammarRef> compile(VocabularyRef vocabulary, const TypeRef& type, std::string_view follow,
                           const Limits& limits, const SpanSourceRef& source,
                           const CallForm& calls) {
  Fuel fuel("compile steps (limits.compile_fuel)", limits.compile_fuel);
  auto pool = std::make_shared<ExpressionPool>(fuel);
  TypeExpressions types(*pool, source, calls);
  ESP_ASSIGN(const Expr root, types.plain(type));
  ESP_TRY(pool->status());
  ESP_ASSIGN(const auto grammar,
             compile_expression(std::move(vocabulary), pool, root, follow, limits, fuel));
  const Program& program = grammar->program();
  for (const TypeExpressions::Distinct& d : types.distinct()) {
    std::string example;
    switch (program.product(d.both)) {
      case Program::Product::kEmpty:
        continue;
      case Program::Product::kCloses:
        example = "both can be `" + program.product_closing(d.both) + "`";
        break;
      default:
        example = "they may have a word in common";
    }
    return fail(ErrorCode::kInvalid,
                "E0303: this union cannot be told apart: " + d.what + ": " + example);
  }
  const Matcher start = grammar->start({});
  const bool no_call = type->kind == TypeKind::kList && type->items.size() == 1 &&
                       type->items[0] != nullptr && type->items[0]->kind == TypeKind::kCall;
  const bool may_be_empty =
      type->kind == TypeKind::kString || type->kind == TypeKind::kLine || no_call;
  if (!may_be_empty && start.accepting()) {
    return fail(ErrorCode::kInvalid,
                "E0307: this type may be empty here; a hole needs at least one character");
  }
  return GrammarRef(grammar);
}

}  // namespace espalier::grammar
