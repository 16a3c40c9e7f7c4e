// What expressions wait for: tools, generators' calls and forks.
//
// prepare() walks an expression in the order of its evaluation, runs what has to wait, and leaves
// the values in `ready` by expression id; evaluate() then needs no waiting. Only the branch that is
// taken of `if … else`, `and` and `or` runs.
#include <algorithm>
#include <chrono>
#include <utility>

#include "dsl/convert.h"
#include "dsl/holes.h"
#include "dsl/interpreter.h"
#include "dsl/join.h"

namespace espalier::dsl {
namespace {

// The parts of an expression in the order of their evaluation, for those without a rule of their
// own.
std::vector<const Expr*> parts(const Expr& expr) {
  std::vector<const Expr*> out;
  const auto add = [&](const ExprPtr& child) {
    if (child != nullptr) out.push_back(child.get());
  };
  if (const auto* text = std::get_if<TextExpr>(&expr.node)) {
    for (const Chunk& chunk : text->text.chunks) {
      if (const auto* insert = std::get_if<Insert>(&chunk)) add(insert->value);
    }
  } else if (const auto* list = std::get_if<ListExpr>(&expr.node)) {
    for (const ExprPtr& item : list->items) add(item);
  } else if (const auto* record = std::get_if<RecordExpr>(&expr.node)) {
    for (const RecordEntry& entry : record->entries) add(entry.value);
  } else if (const auto* call = std::get_if<CallExpr>(&expr.node)) {
    for (const Argument& argument : call->arguments) add(argument.value);
  } else if (const auto* member = std::get_if<MemberExpr>(&expr.node)) {
    add(member->object);
  } else if (const auto* index = std::get_if<IndexExpr>(&expr.node)) {
    add(index->object);
    add(index->index);
  } else if (const auto* unary = std::get_if<UnaryExpr>(&expr.node)) {
    add(unary->operand);
  } else if (const auto* binary = std::get_if<BinaryExpr>(&expr.node)) {
    add(binary->left);
    add(binary->right);
  } else if (const auto* run = std::get_if<RunExpr>(&expr.node)) {
    add(run->operand);
  } else if (const auto* fork = std::get_if<ForkExpr>(&expr.node)) {
    add(fork->over);
  }
  return out;
}

}  // namespace

Interpreter::ValueTask Interpreter::value(Frame& frame, const Expr& expr) {
  Ready ready;
  auto wait = prepare(frame, expr, ready);
  Outcome<void> done = co_await wait;
  if (!done) co_return pass(std::move(done).error());
  co_return evaluate(program_, frame.scope, expr, ready);
}

Interpreter::DoneTask Interpreter::prepare(Frame& frame, const Expr& expr, Ready& ready) {
  if (!waits(program_, expr)) co_return Outcome<void>();

  if (const auto* conditional = std::get_if<ConditionalExpr>(&expr.node)) {
    auto first = prepare(frame, *conditional->condition, ready);
    Outcome<void> done = co_await first;
    if (!done) co_return std::move(done);
    Outcome<bool> holds = evaluate_condition(program_, frame.scope, *conditional->condition, ready);
    if (!holds) co_return pass(std::move(holds).error());
    auto rest = prepare(frame, *holds ? *conditional->then : *conditional->otherwise, ready);
    done = co_await rest;
    co_return std::move(done);
  }
  if (const auto* binary = std::get_if<BinaryExpr>(&expr.node);
      binary != nullptr && (binary->op == BinaryOp::kAnd || binary->op == BinaryOp::kOr)) {
    auto first = prepare(frame, *binary->left, ready);
    Outcome<void> done = co_await first;
    if (!done) co_return std::move(done);
    Outcome<bool> left = evaluate_condition(program_, frame.scope, *binary->left, ready);
    if (!left) co_return pass(std::move(left).error());
    if (*left == (binary->op == BinaryOp::kOr)) co_return Outcome<void>();
    auto rest = prepare(frame, *binary->right, ready);
    done = co_await rest;
    co_return std::move(done);
  }

  for (const Expr* part : parts(expr)) {
    if (!waits(program_, *part)) continue;
    auto task = prepare(frame, *part, ready);
    Outcome<void> done = co_await task;
    if (!done) co_return std::move(done);
  }
  Outcome<Value> result;
  if (const auto* run = std::get_if<RunExpr>(&expr.node)) {
    Outcome<Value> calls = evaluate(program_, frame.scope, *run->operand, ready);
    if (!calls) co_return pass(std::move(calls).error());
    auto task = run_calls(frame, std::move(*calls), expr.span, /*failures_as_text=*/false);
    result = co_await task;
  } else if (const auto* fork_expr = std::get_if<ForkExpr>(&expr.node)) {
    auto task = fork(frame, *fork_expr, expr, ready);
    result = co_await task;
  } else if (std::holds_alternative<CallExpr>(expr.node) &&
             program_.calls[expr.id].kind == CalleeKind::kGen) {
    const GenInfo& gen = program_.gens[program_.calls[expr.id].index];
    Outcome<std::vector<Value>> values = arguments(frame, expr, gen, ready);
    if (!values) co_return pass(std::move(values).error());
    auto task = call(frame, expr, gen, std::move(*values));
    result = co_await task;
  } else {
    co_return Outcome<void>();
  }
  if (!result) co_return pass(std::move(result).error());
  ready.insert_or_assign(expr.id, std::move(*result));
  co_return Outcome<void>();
}

Interpreter::ValueTask Interpreter::run_calls(Frame& frame, Value calls, Span span,
                                              bool failures_as_text) {
  const bool several = calls.kind() == ValueKind::kList;
  std::vector<ValueTask> tasks;
  if (several) {
    for (const Value& one : calls.as_list()) tasks.push_back(run_call(frame, one, span));
  } else {
    tasks.push_back(run_call(frame, calls, span));
  }
  auto all = join_all(runner_.executor(), std::move(tasks));
  std::vector<Outcome<Value>> results = co_await all;
  Value::List values;
  for (Outcome<Value>& result : results) {
    if (!result && failures_as_text && result.error().kind == FailureKind::kTool) {
      result = Value::string("error: " + result.error().error.message);
    }
    if (!result) co_return std::move(result);
    values.push_back(std::move(*result));
  }
  if (!several) co_return std::move(values.front());
  auto list = Value::list(std::move(values));
  if (!list) co_return engine_failure(span, std::move(list).error());
  co_return std::move(*list);
}

Interpreter::ValueTask Interpreter::run_call(Frame& frame, Value call, Span span) {
  if (call.kind() != ValueKind::kCall) {
    co_return value_failure(span, "`run` needs a tool call, got " + std::string(name(call.kind())));
  }
  if (auto ok = tick(span); !ok) co_return pass(std::move(ok).error());
  const ToolInfo* tool = program_.tool(call.tool());
  if (tool == nullptr) co_return value_failure(span, "there is no tool `" + call.tool() + "`");
  const auto failed = [&](Error error) {
    const FailureKind kind =
        error.code == ErrorCode::kCancelled ? FailureKind::kEngine : FailureKind::kTool;
    return pass({kind, std::move(error), span});
  };
  ToolRequest request;
  request.tool = tool;
  request.arguments = written_json(call.arguments());
  request.timeout = options_.tool_timeout;
  if (program_.config.deadline) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(terms_.deadline - System::Clock::now());
    request.timeout =
        std::clamp(left, std::min(std::chrono::milliseconds(1), request.timeout), request.timeout);
  }
  request.cancelled = &cancellation_.flag();
  // A call that the program wrote itself has not been through a mask.
  if (auto valid = from_json(program_, request.arguments, tool->arguments, "its arguments");
      !valid) {
    Error error = std::move(valid).error();
    error.code = ErrorCode::kTool;
    co_return failed(std::move(error).within("tool `" + tool->name + "`"));
  }
  if (options_.mocks != nullptr) {
    if (const auto given = options_.mocks->take(tool->name)) {
      auto value = from_json(program_, *given, tool->result, "the mock of `" + tool->name + "`");
      if (!value) co_return failed(std::move(value).error());
      observer_.on_tool_start(frame.branch, tool->name, request.arguments);
      observer_.on_tool_end(frame.branch, tool->name, request.arguments, *value, {});
      co_return std::move(*value);
    }
  }
  ToolHost* host = options_.tools;
  if (host == nullptr)
    co_return failed({ErrorCode::kTool, "tool `" + tool->name + "`: this run has no tools"});

  observer_.on_tool_start(frame.branch, tool->name, request.arguments);
  std::function<Result<Value>()> work = [this, host, &request] {
    return run_tool(program_, *host, request);
  };
  OnThread<Result<Value>> thread(runner_.tool_threads(), runner_.executor(), std::move(work));
  Result<Value> result = co_await thread;
  observer_.on_tool_end(frame.branch, tool->name, request.arguments, result ? *result : Value(),
                        result ? std::string_view() : std::string_view(result.error().message));
  if (!result) co_return failed(std::move(result).error());
  co_return std::move(*result);
}

Outcome<std::vector<Value>> Interpreter::arguments(Frame& frame, const Expr& expr,
                                                   const GenInfo& gen, const Ready& ready) {
  const CallInfo& call = program_.calls[expr.id];
  std::vector<Value> out;
  for (std::size_t i = 0; i < gen.parameters.size(); ++i) {
    const Parameter& parameter = gen.parameters[i];
    if (i < call.arguments.size() && call.arguments[i] != nullptr) {
      auto value = evaluate(program_, frame.scope, *call.arguments[i], ready);
      if (!value) return pass(std::move(value).error());
      out.push_back(conform(program_, std::move(*value), parameter.type));
    } else if (parameter.fallback) {
      auto value =
          from_json(program_, *parameter.fallback, parameter.type, "`" + parameter.name + "`");
      if (!value) return engine_failure(expr.span, std::move(value).error());
      out.push_back(std::move(*value));
    } else {
      out.emplace_back();
    }
  }
  return out;
}

Interpreter::ValueTask Interpreter::call(Frame& frame, const Expr& expr, const GenInfo& gen,
                                         std::vector<Value> arguments) {
  if (frame.depth + 1 > kMaxCalls) {
    co_return engine_failure(
        expr.span, {ErrorCode::kLimit, "calls nest deeper than " + std::to_string(kMaxCalls)});
  }
  Outcome<BranchNumber> number = new_branch(frame, gen.name, expr.span);
  if (!number) co_return pass(std::move(number).error());
  Context context = new_context(gen);
  Frame inner;
  inner.context = &context;
  inner.gen = &gen;
  inner.branch = *number;
  inner.depth = frame.depth + 1;
  inner.place = frame.place.with(gen.name).with(expr.id);
  inner.path = frame.path + gen.name + ".";
  for (std::size_t i = 0; i < gen.parameters.size(); ++i) {
    inner.scope.bind(gen.parameters[i].name, std::move(arguments[i]));
  }
  auto task = block(inner, gen.decl->body);
  Outcome<Flow> flow = co_await task;
  if (!flow) co_return pass(std::move(flow).error());
  co_return conform(program_, std::move(flow->value), gen.result);
}

Interpreter::ValueTask Interpreter::fork(Frame& frame, const ForkExpr& fork, const Expr& expr,
                                         const Ready& ready) {
  Value over;
  std::uint64_t count = 1;
  if (fork.over != nullptr) {
    auto value = evaluate(program_, frame.scope, *fork.over, ready);
    if (!value) co_return std::move(value);
    over = std::move(*value);
    if (fork.variable) {
      if (over.kind() != ValueKind::kList && over.kind() != ValueKind::kRange) {
        co_return value_failure(fork.over->span, "`fork … in` needs a list or a range, got " +
                                                     std::string(name(over.kind())));
      }
      count = over.length();
    } else {
      if (over.kind() != ValueKind::kInt || over.as_int() < 0) {
        co_return value_failure(
            fork.over->span, "`fork` needs a number of branches, got " + print(over).substr(0, 40));
      }
      count = static_cast<std::uint64_t>(over.as_int());
    }
  }
  if (count > kMaxBranches) {
    co_return engine_failure(expr.span, {ErrorCode::kLimit, too_many_branches(count)});
  }
  const std::set<HoleId> last = last_holes(program_, fork.body);
  std::vector<std::unique_ptr<Frame>> frames;
  std::vector<ValueTask> tasks;
  for (std::uint64_t i = 0; i < count; ++i) {
    Outcome<BranchNumber> number = new_branch(frame, "fork", expr.span);
    if (!number) co_return pass(std::move(number).error());
    auto context = frame.context->fork();
    if (!context) co_return engine_failure(expr.span, std::move(context).error());
    auto child = std::make_unique<Frame>();
    child->scope = frame.scope;
    child->gen = frame.gen;
    child->branch = *number;
    child->depth = frame.depth;
    child->last = last;
    child->place = frame.place.with("fork").with(expr.id).with(i);
    child->path = frame.path + "fork[" + std::to_string(i) + "].";
    if (fork.variable) bind(*child, *fork.variable, over.item(i));
    tasks.push_back(fork_branch(*child, fork.body, std::move(*context)));
    frames.push_back(std::move(child));
  }
  auto all = join_all(runner_.executor(), std::move(tasks));
  std::vector<Outcome<Value>> results = co_await all;
  Value::List values;
  for (Outcome<Value>& result : results) {
    if (!result) co_return std::move(result);
    values.push_back(std::move(*result));
  }
  if (fork.over == nullptr) co_return std::move(values.front());
  auto list = Value::list(std::move(values));
  if (!list) co_return engine_failure(expr.span, std::move(list).error());
  co_return std::move(*list);
}

Interpreter::ValueTask Interpreter::fork_branch(Frame& frame, const Block& body, Context context) {
  frame.context = &context;
  auto task = block(frame, body);
  Outcome<Flow> flow = co_await task;
  // Nobody can come back to what a fork's branch wrote; it gives its pages back now, while others
  // still run (this coroutine's frame, and the context in it, lives until they have ended).
  context.branch().mark_dead();
  context.branch() = runtime::Branch();
  if (!flow) co_return pass(std::move(flow).error());
  if (flow->kind == Flow::Kind::kReturn || flow->kind == Flow::Kind::kBreak) {
    co_return value_failure(
        body.span, "a fork's branch ends with `yield`; `return` and `break` cannot leave it");
  }
  co_return std::move(flow->value);
}

}  // namespace espalier::dsl
