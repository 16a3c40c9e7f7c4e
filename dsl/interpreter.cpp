#include "dsl/interpreter.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "dsl/join.h"

namespace espalier::dsl {
namespace {

Observer& silent() {
  static Observer observer;
  return observer;
}

runtime::Role role_of(Role role) {
  switch (role) {
    case Role::kSystem:
      return runtime::Role::kSystem;
    case Role::kUser:
      return runtime::Role::kUser;
    case Role::kAssistant:
      return runtime::Role::kAssistant;
    case Role::kTool:
      return runtime::Role::kTool;
  }
  return runtime::Role::kUser;
}

// The insert of a body that is nothing but `"${run …}"`.
const Insert* only_run(const Block& body) {
  if (body.statements.size() != 1) return nullptr;
  const auto* stmt = std::get_if<TextStmt>(&body.statements[0].node);
  if (stmt == nullptr || stmt->text.chunks.size() != 1) return nullptr;
  const auto* insert = std::get_if<Insert>(&stmt->text.chunks[0]);
  return insert != nullptr && std::holds_alternative<RunExpr>(insert->value->node) ? insert
                                                                                   : nullptr;
}

}  // namespace

Interpreter::Interpreter(Runner& runner, const Program& program, const RunOptions& options,
                         Cancellation& cancellation)
    : runner_(runner),
      program_(program),
      options_(options),
      cancellation_(cancellation),
      observer_(options.observer == nullptr ? silent() : *options.observer) {
  terms_.priority = static_cast<std::int32_t>(program.config.priority.value_or(0));
  const auto setting = [&](std::optional<std::int64_t> Config::*key, std::int64_t otherwise) {
    const auto& said = options_.overrides.*key;
    return (said ? said : program.config.*key).value_or(otherwise);
  };
  radix_cache::Retention& keeps = terms_.retention;
  keeps.level = static_cast<std::uint32_t>(setting(&Config::retain, 0));
  keeps.tokens = static_cast<std::uint32_t>(setting(&Config::retain_tokens, keeps.tokens));
  keeps.steps = static_cast<std::uint64_t>(
      setting(&Config::retain_steps, static_cast<std::int64_t>(keeps.steps)));
  if (program.config.deadline) {
    terms_.deadline =
        System::Clock::now() + std::chrono::duration_cast<System::Clock::duration>(
                                   std::chrono::duration<double>(*program.config.deadline));
  }
}

runtime::Task<Outcome<Value>> Interpreter::run(const GenInfo& gen, std::vector<Value> arguments) {
  Context context = new_context(gen);
  Frame frame;
  frame.context = &context;
  frame.gen = &gen;
  const auto seed = options_.overrides.seed ? options_.overrides.seed : program_.config.seed;
  frame.place = RandomKey(static_cast<std::uint64_t>(seed.value_or(0))).with(gen.name);
  for (std::size_t i = 0; i < gen.parameters.size(); ++i) {
    frame.scope.bind(gen.parameters[i].name, std::move(arguments[i]));
  }
  auto body = block(frame, gen.decl->body);
  Outcome<Flow> flow = co_await body;
  if (!flow) co_return pass(std::move(flow).error());
  // Text after the last hole is computed by nobody, but it must be writable: what is wrong with it
  // is an error here.
  if (Status status = context.flush(); !status)
    co_return engine_failure(gen.decl->span, std::move(status).error());
  co_return conform(program_, std::move(flow->value), gen.result);
}

Context Interpreter::new_context(const GenInfo& gen) {
  return {model_for(gen), open(), program_.config.overflow == Overflow::kDropOldest};
}

runtime::Branch Interpreter::open() {
  runtime::Branch branch = runner_.engine().open();
  branch.set_terms(terms_);
  return branch;
}

tl::unexpected<Failure> Interpreter::too_late(const Span& span) const {
  return engine_failure(
      span, {ErrorCode::kTimeout,
             "the run has taken more than the " + Json(*program_.config.deadline).dump() +
                 " seconds that `deadline` in the program's `config` gives it"});
}

const ModelParts& Interpreter::model_for(const GenInfo& gen) {
  const std::lock_guard lock(models_mutex_);
  auto& kept = models_[&gen];
  if (kept == nullptr) kept = runner_.model_for(program_, gen);
  return *kept;
}

tl::unexpected<Failure> Interpreter::model_failure(const Span& span, Error error) const {
  if (error.code == ErrorCode::kTimeout) return too_late(span);
  return engine_failure(span, std::move(error));
}

Outcome<void> Interpreter::tick(const Span& span) {
  if (cancellation_.flag().load(std::memory_order_relaxed)) {
    return engine_failure(span, {ErrorCode::kCancelled, "the run was stopped"});
  }
  if (program_.config.deadline && System::Clock::now() >= terms_.deadline) return too_late(span);
  if (steps_.fetch_add(1, std::memory_order_relaxed) >= kMaxSteps) return too_many_steps(span);
  return {};
}

Outcome<BranchNumber> Interpreter::new_branch(const Frame& parent, std::string_view what,
                                              const Span& span) {
  const BranchNumber number = branches_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (number > kMaxBranches) {
    return engine_failure(
        span, {ErrorCode::kLimit, "the program opened more than " + std::to_string(kMaxBranches) +
                                      " branches and calls"});
  }
  observer_.on_branch(number, parent.branch, what);
  return number;
}

Interpreter::FlowTask Interpreter::block(Frame& frame, const Block& block) {
  for (const Stmt& stmt : block.statements) {
    auto task = statement(frame, stmt);
    Outcome<Flow> flow = co_await task;
    if (!flow || flow->kind != Flow::Kind::kNext) co_return std::move(flow);
  }
  co_return Flow{};
}

Interpreter::FlowTask Interpreter::statement(Frame& frame, const Stmt& stmt) {
  if (auto ok = tick(stmt.span); !ok) co_return pass(std::move(ok).error());
  if (++frame.awaits % kRestEvery == 0) {
    Reschedule turn{runner_.executor()};
    co_await turn;
  }

  if (const auto* text_stmt = std::get_if<TextStmt>(&stmt.node)) {
    auto task = text(frame, text_stmt->text);
    Outcome<void> done = co_await task;
    if (!done) co_return pass(std::move(done).error());
  } else if (const auto* role_stmt = std::get_if<RoleStmt>(&stmt.node)) {
    auto task = role(frame, *role_stmt, stmt.span);
    Outcome<Flow> flow = co_await task;
    co_return std::move(flow);
  } else if (const auto* let = std::get_if<LetStmt>(&stmt.node)) {
    auto task = value(frame, *let->value);
    Outcome<Value> result = co_await task;
    if (!result) co_return pass(std::move(result).error());
    bind(frame, let->name, bound_by(program_, let->type, std::move(*result)));
  } else if (const auto* if_stmt = std::get_if<IfStmt>(&stmt.node)) {
    auto task = branch(frame, *if_stmt);
    Outcome<Flow> flow = co_await task;
    co_return std::move(flow);
  } else if (const auto* for_stmt = std::get_if<ForStmt>(&stmt.node)) {
    auto task = loop(frame, *for_stmt);
    Outcome<Flow> flow = co_await task;
    co_return std::move(flow);
  } else if (const auto* match_stmt = std::get_if<MatchStmt>(&stmt.node)) {
    auto task = match(frame, *match_stmt, stmt.span);
    Outcome<Flow> flow = co_await task;
    co_return std::move(flow);
  } else if (const auto* retry_stmt = std::get_if<RetryStmt>(&stmt.node)) {
    auto task = retry(frame, *retry_stmt, stmt.span);
    Outcome<Flow> flow = co_await task;
    co_return std::move(flow);
  } else if (const auto* require_stmt = std::get_if<RequireStmt>(&stmt.node)) {
    auto task = require(frame, *require_stmt, stmt.span);
    Outcome<void> done = co_await task;
    if (!done) co_return pass(std::move(done).error());
  } else if (const auto* splice_stmt = std::get_if<SpliceStmt>(&stmt.node)) {
    auto task = splice(frame, *splice_stmt, stmt.span);
    Outcome<void> done = co_await task;
    if (!done) co_return pass(std::move(done).error());
  } else if (const auto* return_stmt = std::get_if<ReturnStmt>(&stmt.node)) {
    Flow flow{Flow::Kind::kReturn, {}};
    if (return_stmt->value != nullptr) {
      auto task = value(frame, *return_stmt->value);
      Outcome<Value> result = co_await task;
      if (!result) co_return pass(std::move(result).error());
      flow.value = std::move(*result);
    }
    co_return std::move(flow);
  } else if (const auto* yield_stmt = std::get_if<YieldStmt>(&stmt.node)) {
    auto task = value(frame, *yield_stmt->value);
    Outcome<Value> result = co_await task;
    if (!result) co_return pass(std::move(result).error());
    co_return Flow{Flow::Kind::kYield, std::move(*result)};
  } else if (std::holds_alternative<BreakStmt>(stmt.node)) {
    co_return Flow{Flow::Kind::kBreak, {}};
  }
  co_return Flow{};
}

Interpreter::FlowTask Interpreter::role(Frame& frame, const RoleStmt& stmt, const Span& span) {
  std::optional<runtime::Role> role;
  if (stmt.role) {
    role = role_of(*stmt.role);
  } else {
    auto task = value(frame, *stmt.dynamic_role);
    Outcome<Value> word = co_await task;
    if (!word) co_return pass(std::move(word).error());
    role = role_named(print(*word));
    if (!role) {
      co_return value_failure(stmt.dynamic_role->span,
                              "`turn` needs one of system, user, assistant, tool; got \"" +
                                  print(*word).substr(0, 40) + "\"");
    }
  }
  if (const Insert* insert = only_run(stmt.body);
      insert != nullptr && *role == runtime::Role::kTool) {
    auto task = results(frame, *insert, span);
    Outcome<Flow> flow = co_await task;
    co_return std::move(flow);
  }
  if (Status status = frame.context->open(*role); !status)
    co_return engine_failure(span, std::move(status).error());
  observer_.on_turn(frame.branch, name(*role));
  auto task = block(frame, stmt.body);
  Outcome<Flow> flow = co_await task;
  if (!flow) co_return std::move(flow);
  if (Status status = frame.context->close(); !status)
    co_return engine_failure(span, std::move(status).error());
  observer_.on_turn(frame.branch, "");
  co_return std::move(flow);
}

Interpreter::FlowTask Interpreter::branch(Frame& frame, const IfStmt& stmt) {
  for (const IfBranch& one : stmt.branches) {
    if (++frame.awaits % kRestEvery == 0) {
      Reschedule turn{runner_.executor()};
      co_await turn;
    }
    Ready ready;
    auto wait = prepare(frame, *one.condition, ready);
    Outcome<void> done = co_await wait;
    if (!done) co_return pass(std::move(done).error());
    Outcome<bool> holds = evaluate_condition(program_, frame.scope, *one.condition, ready);
    if (!holds) co_return pass(std::move(holds).error());
    if (!*holds) continue;
    auto task = block(frame, one.body);
    Outcome<Flow> flow = co_await task;
    co_return std::move(flow);
  }
  if (!stmt.otherwise) co_return Flow{};
  auto task = block(frame, *stmt.otherwise);
  Outcome<Flow> flow = co_await task;
  co_return std::move(flow);
}

Interpreter::FlowTask Interpreter::loop(Frame& frame, const ForStmt& stmt) {
  auto listed = value(frame, *stmt.list);
  Outcome<Value> list = co_await listed;
  if (!list) co_return pass(std::move(list).error());
  if (list->kind() != ValueKind::kList && list->kind() != ValueKind::kRange) {
    co_return value_failure(
        stmt.list->span, "`for` needs a list or a range, got " + std::string(name(list->kind())));
  }
  const std::size_t mark = frame.scope.mark();
  const RandomKey place = frame.place;
  const std::string path = frame.path;
  Outcome<Flow> flow{Flow{}};
  Value::List yielded;
  for (std::uint64_t i = 0; i < list->length(); ++i) {
    if (auto ok = tick(stmt.list->span); !ok) co_return pass(std::move(ok).error());
    if (++frame.awaits % kRestEvery == 0) {
      Reschedule turn{runner_.executor()};
      co_await turn;
    }
    frame.scope.back_to(mark);
    bind(frame, stmt.variable, list->item(i));
    frame.place = place.with(stmt.variable.text).with(i);
    frame.path = path + stmt.variable.text + "[" + std::to_string(i) + "].";
    auto task = block(frame, stmt.body);
    flow = co_await task;
    if (!flow) co_return std::move(flow);
    if (stmt.collected && flow->kind == Flow::Kind::kYield) {
      yielded.push_back(std::move(flow->value));
      flow = Flow{};
    }
    if (flow->kind != Flow::Kind::kNext) break;
  }
  frame.scope.back_to(mark);
  frame.place = place;
  frame.path = path;
  if (flow->kind == Flow::Kind::kBreak) flow = Flow{};
  if (stmt.collected && flow->kind == Flow::Kind::kNext) {
    Outcome<Value> values = made(Value::list(std::move(yielded)), stmt.collected->span);
    if (!values) co_return pass(std::move(values).error());
    bind(frame, *stmt.collected, bound_by(program_, stmt.collected_type, std::move(*values)));
  }
  co_return std::move(flow);
}

Interpreter::FlowTask Interpreter::match(Frame& frame, const MatchStmt& stmt, const Span& span) {
  auto matched = value(frame, *stmt.value);
  Outcome<Value> subject = co_await matched;
  if (!subject) co_return pass(std::move(subject).error());
  for (const MatchArm& arm : stmt.arms) {
    if (!bind_pattern(program_, frame.scope, arm.pattern, *subject)) continue;
    auto task = block(frame, arm.body);
    Outcome<Flow> flow = co_await task;
    co_return std::move(flow);
  }
  co_return value_failure(span, "no arm of this `match` fits " + print(*subject).substr(0, 80));
}

Interpreter::FlowTask Interpreter::retry(Frame& frame, const RetryStmt& stmt, const Span& span) {
  Context& context = *frame.context;
  if (context.role() && !stmt.why) {
    co_return value_failure(span,
                            "`retry` inside a turn cannot add a user turn; use `retry n as why`");
  }
  auto snapshot = context.snapshot();
  if (!snapshot) co_return engine_failure(span, std::move(snapshot).error());
  const std::size_t mark = frame.scope.mark();
  const RandomKey place = frame.place;
  const std::string path = frame.path;
  const std::int64_t tries = std::max<std::int64_t>(stmt.count.int_value, 1);
  std::optional<Failure> failure;
  for (std::int64_t attempt = 0; attempt < tries; ++attempt) {
    if (failure) {
      observer_.on_retry(frame.branch, failure->error.message);
      if (!stmt.why) {
        const runtime::ChatTemplate& chat = *runner_.model().chat;
        if (chat.supports(runtime::Role::kUser)) {
          const bool joined = chat.refuses_two_user_turns() && context.reopen(runtime::Role::kUser);
          if (!joined) {
            if (Status s = context.open(runtime::Role::kUser); !s)
              co_return engine_failure(span, std::move(s).error());
          }
          observer_.on_turn(frame.branch, "user");
          write(frame, (joined ? "\n\n" : "") + failure->error.message);
          if (Status s = context.close(); !s) co_return engine_failure(span, std::move(s).error());
          observer_.on_turn(frame.branch, "");
        } else {
          write(frame, failure->error.message + "\n");
        }
      }
    }
    if (stmt.why) bind(frame, *stmt.why, failure ? Value::string(failure->error.message) : Value());
    // The first try draws as if there were no `retry`.
    frame.place =
        attempt == 0 ? place : place.with("try").with(static_cast<std::uint64_t>(attempt));
    frame.path = attempt == 0 ? path : path + "try[" + std::to_string(attempt) + "].";
    auto task = block(frame, stmt.body);
    Outcome<Flow> flow = co_await task;
    frame.place = place;
    frame.path = path;
    if (flow || !flow.error().retryable()) co_return std::move(flow);
    failure = std::move(flow).error();
    context.restore(*snapshot);
    frame.scope.back_to(mark);
  }
  if (!stmt.otherwise) co_return pass(std::move(*failure));
  observer_.on_retry(frame.branch, failure->error.message);
  if (stmt.why) bind(frame, *stmt.why, Value::string(failure->error.message));
  auto task = block(frame, *stmt.otherwise);
  Outcome<Flow> flow = co_await task;
  co_return std::move(flow);
}

Interpreter::DoneTask Interpreter::require(Frame& frame, const RequireStmt& stmt,
                                           const Span& span) {
  Ready ready;
  auto wait = prepare(frame, *stmt.condition, ready);
  Outcome<void> done = co_await wait;
  if (!done) co_return pass(std::move(done).error());
  Outcome<bool> holds = evaluate_condition(program_, frame.scope, *stmt.condition, ready);
  if (!holds) co_return pass(std::move(holds).error());
  if (*holds) co_return Outcome<void>();
  std::string message;
  if (stmt.message) {
    for (const Chunk& chunk : stmt.message->chunks) {
      if (const auto* literal = std::get_if<LiteralChunk>(&chunk)) message += literal->bytes;
      const auto* insert = std::get_if<Insert>(&chunk);
      if (insert == nullptr) continue;
      auto prepared = prepare(frame, *insert->value, ready);
      Outcome<void> inner = co_await prepared;
      if (!inner) co_return pass(std::move(inner).error());
      auto piece = evaluate_text(program_, frame.scope, *insert->value, ready);
      if (!piece) co_return pass(std::move(piece).error());
      message += *piece;
    }
  } else {
    const Span& place = stmt.condition->span;
    message = "this must hold: " + std::string(program_.sources[place.file].slice(place));
  }
  co_return pass({FailureKind::kRequire, {ErrorCode::kInvalid, std::move(message)}, span});
}

Interpreter::DoneTask Interpreter::splice(Frame& frame, const SpliceStmt& stmt, const Span& span) {
  const CallInfo& call = program_.calls[stmt.call->id];
  if (call.kind != CalleeKind::kGen)
    co_return value_failure(span, "`splice` needs a generator's call");
  const GenInfo& gen = program_.gens[call.index];
  if (frame.depth + 1 > kMaxCalls) {
    co_return engine_failure(
        span, {ErrorCode::kLimit, "calls nest deeper than " + std::to_string(kMaxCalls)});
  }
  Ready ready;
  for (const Expr* argument : call.arguments) {
    if (argument == nullptr) continue;
    auto wait = prepare(frame, *argument, ready);
    Outcome<void> done = co_await wait;
    if (!done) co_return pass(std::move(done).error());
  }
  Outcome<std::vector<Value>> values = arguments(frame, *stmt.call, gen, ready);
  if (!values) co_return pass(std::move(values).error());
  Frame inner;
  inner.context = frame.context;
  inner.gen = &gen;
  inner.branch = frame.branch;
  inner.depth = frame.depth + 1;
  inner.place = frame.place.with(gen.name).with(stmt.call->id);
  inner.path = frame.path + gen.name + ".";
  for (std::size_t i = 0; i < gen.parameters.size(); ++i) {
    inner.scope.bind(gen.parameters[i].name, std::move((*values)[i]));
  }
  auto task = block(inner, gen.decl->body);
  Outcome<Flow> flow = co_await task;
  if (!flow) co_return pass(std::move(flow).error());
  co_return Outcome<void>();
}

}  // namespace espalier::dsl
