#include "dsl/runner.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "dsl/check.h"
#include "dsl/convert.h"
#include "dsl/diagnostic.h"
#include "dsl/interpreter.h"
#include "dsl/static_types.h"

namespace espalier::dsl {
namespace {

std::string_view code_of(FailureKind kind) {
  switch (kind) {
    case FailureKind::kRequire:
      return "E0701";
    case FailureKind::kTool:
      return "E0702";
    case FailureKind::kValue:
      return "E0703";
    case FailureKind::kExpect:
      return "E0705";
    case FailureKind::kDeadEnd:
      return "E0305";
    case FailureKind::kEngine:
    case FailureKind::kUnknown:
      break;
  }
  return "E0704";
}

Diagnostic diagnostic_of(const Failure& failure) {
  Diagnostic out;
  out.code = code_of(failure.kind);
  out.message = failure.error.message;
  out.label.span = failure.span;
  // A heading is one line: a message of several goes on in the help.
  if (const std::size_t line = out.message.find('\n'); line != std::string::npos) {
    out.help = out.message.substr(line + 1);
    out.message.resize(line);
  }
  return out;
}

RunError plain(Error error) {
  RunError out;
  out.rendered = "error: " + error.message + "\n";
  out.error = std::move(error);
  return out;
}

}  // namespace

RunError located(const Program& program, Failure failure) {
  RunError out;
  const Diagnostic diagnostic = diagnostic_of(failure);
  out.rendered = render(diagnostic, program.sources);
  const Source& source = program.sources[failure.span.file];
  const Position position = source.position(failure.span.begin);
  out.error = std::move(failure.error);
  std::string place =
      source.name() + ":" + std::to_string(position.line) + ":" + std::to_string(position.column);
  out.error = std::move(out.error).within(place);
  std::replace(out.error.message.begin(), out.error.message.end(), '\n', ' ');
  return out;
}

void Cancellation::cancel() {
  const std::lock_guard lock(mutex_);
  flag_ = true;
  for (runtime::Branch* branch : waiting_) branch->cancel();
}

Cancellation::Guard::Guard(Cancellation& owner, runtime::Branch& branch)
    : owner_(owner), branch_(branch) {
  const std::lock_guard lock(owner_.mutex_);
  owner_.waiting_.insert(&branch_);
}
Cancellation::Guard::~Guard() {
  const std::lock_guard lock(owner_.mutex_);
  owner_.waiting_.erase(&branch_);
}

Result<const GenInfo*> find_gen(const Program& program, std::string_view gen) {
  if (const GenInfo* named = program.gen(gen.empty() ? "main" : gen)) return named;
  const auto own = program.own_gens();
  if (gen.empty() && own.size() == 1) return own[0];
  std::string names;
  for (const GenInfo* one : own) names += (names.empty() ? "`" : ", `") + one->name + "`";
  if (names.empty())
    return fail(ErrorCode::kNotFound, "the program has no generator (`gen name(…) { … }`)");
  if (gen.empty())
    return fail(ErrorCode::kNotFound, "the program has several generators, name one: " + names);
  return fail(ErrorCode::kNotFound,
              "there is no generator `" + std::string(gen) + "`; there is " + names);
}

Runner::Runner(runtime::Engine& engine, std::shared_ptr<const runtime::Tokenizer> tokenizer,
               std::shared_ptr<const runtime::ChatTemplate> chat, RunnerOptions options)
    : engine_(engine),
      model_(model_parts(std::move(tokenizer), std::move(chat), engine.info().context)),
      options_(options),
      tool_threads_(options.tool_threads),
      executor_(std::max(1U, options.threads)) {}

void Runner::count(std::span<const DroppedTurn> turns) {
  const std::lock_guard lock(mutex_);
  ++dropped_.holes;
  dropped_.turns += turns.size();
  for (const DroppedTurn& one : turns) dropped_.tokens += one.tokens;
}

Runner::Dropped Runner::dropped() {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

Result<grammar::SpanSourceRef> Runner::source(const std::string& text) {
  const auto known = [&] {
    return std::find_if(sources_.begin(), sources_.end(),
                        [&](const auto& one) { return one.first == text; });
  };
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = known(); found != sources_.end()) return found->second;
  }
  ESP_ASSIGN(auto made, grammar::SpanSource::create(text));
  const std::lock_guard lock(mutex_);
  if (const auto found = known(); found != sources_.end()) return found->second;
  sources_.emplace_back(text, made);
  if (sources_.size() > kMaxSources) sources_.pop_front();
  return made;
}

Result<grammar::GrammarRef> Runner::grammar(const grammar::TypeRef& type, std::string_view follow,
                                            const grammar::SpanSourceRef& source, CallsForm calls) {
  const bool plain = calls == CallsForm::kPlain && writes_calls(type);
  const GrammarKey key{type, std::string(follow), source, plain};
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = grammars_.find(key); found != grammars_.end()) return found->second;
  }
  // Outside the lock: compiling takes time. Two that need the same one at once both compile it; the
  // first is kept.
  const bool with_controls = model_.calls.vocabulary != nullptr && !plain && writes_calls(type);
  ESP_ASSIGN(auto compiled,
             grammar::compile(
                 with_controls ? model_.calls.vocabulary : model_.tokenizer->vocabulary(), type,
                 follow, options_.limits, source, plain ? grammar::kPlainCall : model_.calls.form));
  const std::lock_guard lock(mutex_);
  const auto [place, fresh] = grammars_.emplace(key, std::move(compiled));
  const grammar::GrammarRef result = place->second;
  if (fresh) {
    std::deque<GrammarKey>& order = source == nullptr ? order_ : sourced_;
    order.push_back(key);
    if (order.size() > (source == nullptr ? kMaxGrammars : kMaxSources)) {
      grammars_.erase(order.front());
      order.pop_front();
    }
  }
  return result;
}

std::shared_ptr<const ModelParts> Runner::model_for(const Program& program, const GenInfo& gen) {
  const Json definitions = tool_definitions(program, gen);
  std::string key;
  if (!definitions.empty()) key = definitions.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (program.config.calls == CallsForm::kPlain) key += " plain";
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = declared_.find(key); found != declared_.end()) return found->second;
  }
  ModelParts parts = parts_for(model_, program, definitions);
  const std::lock_guard lock(mutex_);
  if (declared_.size() >= kMaxDeclared) declared_.clear();  // runs hold what they use
  return declared_.emplace(std::move(key), std::make_shared<const ModelParts>(std::move(parts)))
      .first->second;
}

runtime::Task<RunOutcome> Runner::run(ProgramRef program, std::string gen, Json arguments,
                                      RunOptions options) {
  auto found = find_gen(*program, gen);
  if (!found) co_return tl::unexpected<RunError>(plain(std::move(found).error()));
  const GenInfo& entry = **found;
  auto values = arguments_from_json(*program, entry.parameters, arguments);
  if (!values) {
    co_return tl::unexpected<RunError>(
        plain(std::move(values).error().within("`" + entry.name + "`")));
  }
  if (options.cancellation == nullptr) options.cancellation = std::make_shared<Cancellation>();
  Interpreter interpreter(*this, *program, options, *options.cancellation);
  if (auto failures = interpreter.check(entry); !failures.empty())
    co_return tl::unexpected<RunError>(located(*program, std::move(failures.front())));
  auto task = interpreter.run(entry, std::move(*values));
  Outcome<Value> outcome = co_await task;
  if (!outcome) co_return tl::unexpected<RunError>(located(*program, std::move(outcome).error()));
  if (entry.returns && entry.result != nullptr) {
    // The checker proved the type; its bounds (a string's length, a number's range) are known only
    // now.
    if (auto valid = from_json(*program, to_json(*outcome), entry.result, "the result"); !valid) {
      co_return tl::unexpected<RunError>(located(
          *program, {FailureKind::kValue, std::move(valid).error(), entry.decl->name.span}));
    }
  }
  co_return std::move(*outcome);
}

Diagnostics Runner::check(const Program& program) {
  Diagnostics out;
  const RunOptions options;
  Cancellation cancellation;
  Interpreter interpreter(*this, program, options, cancellation);
  for (const GenInfo* gen : program.own_gens())
    for (const Failure& failure : interpreter.check(*gen)) out.add(diagnostic_of(failure));
  for (const UnsharedText& one : program.unshared) {
    const auto ids = model_.tokenizer->encode(one.behind, runtime::TextStart::kContinuation);
    if (ids) out.add(unshared(one.insert, std::to_string(ids->size()) + " constant tokens"));
  }
  return out;
}

RunOutcome Runner::run_now(ProgramRef program, std::string gen, Json arguments,
                           RunOptions options) {
  if (options.cancellation == nullptr) options.cancellation = std::make_shared<Cancellation>();
  std::atomic<bool> over = false;
  std::thread watcher;
  if (options.interrupted != nullptr) {
    // A signal's handler may only set a flag: someone has to look at it.
    watcher = std::thread(
        [&over, interrupted = options.interrupted, cancellation = options.cancellation] {
          while (!over.load(std::memory_order_relaxed)) {
            if (interrupted->load(std::memory_order_relaxed)) {
              cancellation->cancel();
              return;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
          }
        });
  }
  auto task = run(std::move(program), std::move(gen), std::move(arguments), std::move(options));
  RunOutcome outcome = executor_.run(std::move(task));
  over = true;
  if (watcher.joinable()) watcher.join();
  return outcome;
}

tl::expected<void, RunError> Runner::run_test(const ProgramRef& program, const TestDecl& test,
                                              bool model, RunOptions options) {
  if (options.cancellation == nullptr) options.cancellation = std::make_shared<Cancellation>();
  Mocks mocks(model);
  options.mocks = &mocks;
  Interpreter interpreter(*this, *program, options, *options.cancellation);
  auto task = interpreter.test(test, mocks);
  Outcome<void> outcome = executor_.run(std::move(task));
  if (!outcome) return tl::unexpected<RunError>(located(*program, std::move(outcome).error()));
  return {};
}

}  // namespace espalier::dsl
