// A prompt as the model would see it, without a run: a plain walk over the tree with the
// interpreter's own evaluator.
#include <utility>

#include "dsl/convert.h"
#include "dsl/interpreter.h"
#include "dsl/runner.h"

namespace espalier::dsl {
namespace {

constexpr std::uint64_t kMaxRenderSteps = 1'000'000;

class Renderer {
 public:
  Renderer(const ModelParts& model, const Program& program) : model_(model), program_(program) {}

  Outcome<std::string> run(const GenInfo& gen, std::vector<Value> arguments) {
    for (std::size_t i = 0; i < gen.parameters.size(); ++i) {
      scope_.bind(gen.parameters[i].name, std::move(arguments[i]));
    }
    auto next = block(gen.decl->body);
    if (!next) return pass(std::move(next).error());
    return std::move(out_);
  }

 private:
  enum class Next : std::uint8_t { kOn, kBreak, kLeave, kStop };
  using Step = Outcome<Next>;

  // An outcome that a run alone can give ends the rendering with a note; other failures are
  // failures.
  Step unknown(Failure failure) {
    if (failure.kind != FailureKind::kUnknown) return pass(std::move(failure));
    const Source& source = program_.sources[failure.span.file];
    out_ += "\n[what follows depends on " + std::string(source.slice(failure.span)) + "]\n";
    return Next::kStop;
  }

  Step block(const Block& block) {
    for (const Stmt& stmt : block.statements) {
      if (++steps_ > kMaxRenderSteps || out_.size() > Value::kMaxWeight) {
        return engine_failure(stmt.span, {ErrorCode::kLimit, "the rendered prompt is too long"});
      }
      auto next = std::visit([&](const auto& node) { return at(node, stmt.span); }, stmt.node);
      if (!next || *next != Next::kOn) return next;
    }
    return Next::kOn;
  }

  Step at(const TextStmt& stmt, const Span&) {
    for (const Chunk& chunk : stmt.text.chunks) {
      if (const auto* literal = std::get_if<LiteralChunk>(&chunk)) {
        write(literal->bytes);
      } else if (const auto* hole = std::get_if<Hole>(&chunk)) {
        const std::string select = hole->select ? "select " : "";
        write("$[" + hole->name.text + ": " + select + describe(program_.holes[hole->id].type) +
              "]");
      } else {
        const Expr& expr = *std::get<Insert>(chunk).value;
        auto text = evaluate_text(program_, scope_, expr, {});
        if (text) {
          write(*text);
        } else if (text.error().kind == FailureKind::kUnknown) {
          write("${" + std::string(program_.sources[expr.span.file].slice(expr.span)) + "}");
        } else {
          return pass(std::move(text).error());
        }
      }
    }
    return Next::kOn;
  }

  Step at(const RoleStmt& stmt, const Span& span) {
    std::string word;
    if (stmt.role) {
      word = spelling(*stmt.role);
    } else {
      auto text = evaluate_text(program_, scope_, *stmt.dynamic_role, {});
      if (!text) return unknown(std::move(text).error());
      word = *text;
    }
    const auto role = role_named(word);
    if (!role) return value_failure(span, "there is no role \"" + word.substr(0, 40) + "\"");
    if (!model_.chat->supports(*role)) {
      return engine_failure(span, {ErrorCode::kUnsupported, model_.chat->refusal(*role)});
    }
    if (const std::string why = model_.chat->refusal(*role, previous_); !why.empty()) {
      return engine_failure(span, {ErrorCode::kUnsupported, why});
    }
    if (!started_) put(model_.chat->begin(*role));
    started_ = true;
    put(model_.chat->open(*role, previous_));
    form_ = model_.chat->text_form(*role);
    opened_ = out_.size();
    auto next = block(stmt.body);
    if (next && *next != Next::kStop) {
      if (form_ == runtime::TextForm::kTrimmed) {
        const auto text = std::string_view(out_).substr(opened_);
        out_.resize(opened_ + runtime::without_trailing_space(text).size());
      }
      put(model_.chat->close(*role));
    }
    form_ = runtime::TextForm::kPlain;
    previous_ = *role;
    return next;
  }

  Step at(const LetStmt& stmt, const Span&) {
    auto value = evaluate(program_, scope_, *stmt.value, {});
    if (value) {
      scope_.bind(stmt.name.text, std::move(*value));
    } else if (value.error().kind != FailureKind::kUnknown) {
      return pass(std::move(value).error());
    }
    return Next::kOn;
  }

  Step at(const IfStmt& stmt, const Span&) {
    for (const IfBranch& branch : stmt.branches) {
      auto holds = evaluate_condition(program_, scope_, *branch.condition, {});
      if (!holds) return unknown(std::move(holds).error());
      if (*holds) return block(branch.body);
    }
    return stmt.otherwise ? block(*stmt.otherwise) : Step(Next::kOn);
  }

  Step at(const ForStmt& stmt, const Span&) {
    auto list = evaluate(program_, scope_, *stmt.list, {});
    if (!list) return unknown(std::move(list).error());
    if (list->kind() != ValueKind::kList && list->kind() != ValueKind::kRange) {
      return value_failure(stmt.list->span,
                           "`for` needs a list or a range, got " + std::string(name(list->kind())));
    }
    const std::size_t mark = scope_.mark();
    for (std::uint64_t i = 0; i < list->length(); ++i) {
      if (++steps_ > kMaxRenderSteps) {
        return engine_failure(stmt.list->span,
                              {ErrorCode::kLimit, "the rendered prompt is too long"});
      }
      scope_.back_to(mark);
      scope_.bind(stmt.variable.text, list->item(i));
      auto next = block(stmt.body);
      if (!next || *next == Next::kStop || *next == Next::kLeave) return next;
      if (*next == Next::kBreak) break;
    }
    scope_.back_to(mark);
    return Next::kOn;
  }

  Step at(const MatchStmt& stmt, const Span& span) {
    auto subject = evaluate(program_, scope_, *stmt.value, {});
    if (!subject) return unknown(std::move(subject).error());
    for (const MatchArm& arm : stmt.arms) {
      if (bind_pattern(program_, scope_, arm.pattern, *subject)) return block(arm.body);
    }
    return value_failure(span, "no arm of this `match` fits");
  }

  Step at(const RetryStmt& stmt, const Span&) {
    if (stmt.why) scope_.bind(stmt.why->text, Value());
    return block(stmt.body);
  }

  Step at(const SpliceStmt& stmt, const Span&) {
    const CallInfo& call = program_.calls[stmt.call->id];
    const GenInfo& gen = program_.gens[call.index];
    Scope inner;
    for (std::size_t i = 0; i < gen.parameters.size(); ++i) {
      const Parameter& parameter = gen.parameters[i];
      if (i < call.arguments.size() && call.arguments[i] != nullptr) {
        auto value = evaluate(program_, scope_, *call.arguments[i], {});
        if (value) {
          inner.bind(parameter.name, conform(std::move(*value), parameter.type));
        } else if (value.error().kind != FailureKind::kUnknown) {
          return pass(std::move(value).error());
        }
      } else if (parameter.fallback) {
        auto value =
            from_json(program_, *parameter.fallback, parameter.type, "`" + parameter.name + "`");
        if (!value) return engine_failure(stmt.call->span, std::move(value).error());
        inner.bind(parameter.name, std::move(*value));
      } else {
        inner.bind(parameter.name, Value());
      }
    }
    std::swap(scope_, inner);
    auto next = block(gen.decl->body);
    std::swap(scope_, inner);
    if (next && *next != Next::kStop) return Next::kOn;
    return next;
  }

  Step at(const RequireStmt&, const Span&) { return Next::kOn; }
  Step at(const ReturnStmt&, const Span&) { return Next::kLeave; }
  Step at(const YieldStmt&, const Span&) { return Next::kLeave; }
  Step at(const BreakStmt&, const Span&) { return Next::kBreak; }

  void write(std::string_view bytes) {
    if (bytes.empty()) return;
    const runtime::Tokenizer& tokenizer = *model_.tokenizer;
    if (!started_ && tokenizer.add_bos() && tokenizer.bos() != kNoToken)
      put({{tokenizer.bos(), ""}});
    started_ = true;
    out_ += form_ == runtime::TextForm::kPlain
                ? std::string(bytes)
                : runtime::in_form(form_, bytes, out_.size() > opened_);
  }
  void put(const runtime::Segments& segments) {
    out_ += runtime::text_of(*model_.tokenizer, segments);
  }

  const ModelParts& model_;
  const Program& program_;
  Scope scope_;
  std::string out_;
  std::uint64_t steps_ = 0;
  bool started_ = false;
  std::optional<runtime::Role> previous_;               // of the turn before
  runtime::TextForm form_ = runtime::TextForm::kPlain;  // of the open turn
  std::size_t opened_ = 0;                              // where its text begins
};

}  // namespace

Result<std::string> render_prompt(const ModelParts& model, const Program& program,
                                  std::string_view gen, const Json& arguments) {
  ESP_ASSIGN(const GenInfo* entry, find_gen(program, gen));
  auto values = arguments_from_json(program, entry->parameters, arguments);
  if (!values) return fail(std::move(values).error().within("`" + entry->name + "`"));
  ModelParts parts = model;
  if (const Json definitions = tool_definitions(program, *entry); !definitions.empty())
    parts.chat = declaring(model.chat, definitions);
  auto out = Renderer(parts, program).run(*entry, std::move(*values));
  if (out) return std::move(*out);
  return fail(located(program, std::move(out).error()).error);
}

}  // namespace espalier::dsl
