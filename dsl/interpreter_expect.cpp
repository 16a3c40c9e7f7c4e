// `test` blocks: mocks, values, expectations.
#include <utility>

#include "dsl/grammar_blocks.h"
#include "dsl/interpreter.h"
#include "dsl/join.h"
#include "dsl/mock_model.h"
#include "grammar/matcher.h"

namespace espalier::dsl {
namespace {

tl::unexpected<Failure> unmet(const Span& span, std::string message) {
  return pass({FailureKind::kExpect, {ErrorCode::kInvalid, std::move(message)}, span});
}

std::string shown_value(const Value& value) {
  std::string text = value.kind() == ValueKind::kString || value.kind() == ValueKind::kVariant
                         ? to_json(value).dump(-1, ' ', false, Json::error_handler_t::replace)
                         : print(value);
  if (text.size() > 200) text = text.substr(0, 200) + "…";
  return text;
}

// Whether the type's language holds exactly `text`, read byte by byte.
Result<bool> type_holds(const grammar::TypeRef& type, const std::string& text) {
  ESP_ASSIGN(auto vocabulary, byte_vocabulary());
  ESP_ASSIGN(const auto compiled, grammar::compile(std::move(vocabulary), type, {}));
  return holds(*compiled, text);
}

}  // namespace

runtime::Task<Outcome<void>> Interpreter::test(const TestDecl& test, Mocks& mocks) {
  Context context(runner_.model(), open());
  Frame frame;
  frame.context = &context;
  frame.place =
      RandomKey(static_cast<std::uint64_t>(program_.config.seed.value_or(0))).with(test.name.value);
  for (const TestItem& item : test.items) {
    if (++frame.awaits % kRestEvery == 0) {
      Reschedule turn{runner_.executor()};
      co_await turn;
    }
    if (const auto* mock = std::get_if<MockEntry>(&item)) {
      for (const RecordEntry& entry : std::get<RecordExpr>(mock->value->node).entries) {
        auto task = value(frame, *entry.value);
        Outcome<Value> given = co_await task;
        if (!given) co_return pass(std::move(given).error());
        mocks.add(entry.key.text, written_json(*given));
      }
    } else if (const auto* let = std::get_if<LetStmt>(&item)) {
      auto task = value(frame, *let->value);
      Outcome<Value> given = co_await task;
      if (!given) co_return pass(std::move(given).error());
      bind(frame, let->name, bound_by(program_, let->type, std::move(*given)));
    } else {
      const auto& expectation = std::get<Expectation>(item);
      auto task = expect(frame, expectation);
      Outcome<void> met = co_await task;
      if (!met) co_return pass(std::move(met).error());
    }
  }
  co_return Outcome<void>();
}

Interpreter::DoneTask Interpreter::expect(Frame& frame, const Expectation& expectation) {
  if (expectation.type != nullptr) {
    const auto type = program_.expected_types.find(&expectation);
    if (type == program_.expected_types.end())
      co_return value_failure(expectation.span, "this type was not checked");
    auto held = type_holds(type->second, expectation.string.value);
    if (!held) co_return engine_failure(expectation.type->span, std::move(held).error());
    if (*held == expectation.accepts) co_return Outcome<void>();
    co_return unmet(expectation.span,
                    std::string("the type ") + (*held ? "accepts" : "rejects") + " this text");
  }
  const Expr& condition = *expectation.condition;
  Ready ready;
  auto wait = prepare(frame, condition, ready);
  Outcome<void> done = co_await wait;
  if (!done) co_return pass(std::move(done).error());
  Outcome<bool> met = evaluate_condition(program_, frame.scope, condition, ready);
  if (!met) co_return pass(std::move(met).error());
  if (*met) co_return Outcome<void>();
  std::string message = "this does not hold";
  // Both sides of a comparison say more than that it failed.
  if (const auto* binary = std::get_if<BinaryExpr>(&condition.node);
      binary != nullptr && binary->op != BinaryOp::kAnd && binary->op != BinaryOp::kOr) {
    const auto left = evaluate(program_, frame.scope, *binary->left, ready);
    const auto right = evaluate(program_, frame.scope, *binary->right, ready);
    if (left && right)
      message += ": " + shown_value(*left) + " " + std::string(spelling(binary->op)) + " " +
                 shown_value(*right);
  }
  co_return unmet(condition.span, std::move(message));
}

}  // namespace espalier::dsl
