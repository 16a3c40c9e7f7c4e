// A prompt as the model would see it, without a run: a plain walk over the tree with the
// interpreter's own evaluator.
//
// Where turns may be dropped (`overflow`), the ids are written beside the text as a run writes
// them, up to the first hole: how long the prompt is behind it, the model alone can say.
#include <optional>
#include <utility>

#include "base/system.h"
#include "dsl/convert.h"
#include "dsl/hole_room.h"
#include "dsl/holes.h"
#include "dsl/interpreter.h"
#include "dsl/mock_model.h"
#include "dsl/runner.h"
#include "dsl/static_types.h"
#include "grammar/longest_text.h"

namespace espalier::dsl {
namespace {

constexpr std::uint64_t kMaxRenderSteps = 1'000'000;
constexpr std::uint32_t kMaxRenderDepth = 100;  // of blocks, through what is spliced

class Renderer {
 public:
  /// `path`: an empty context that turns may be dropped from, where they may.
  Renderer(const ModelParts& model, const Program& program, std::optional<Context> path)
      : model_(model), program_(program), path_(std::move(path)) {}

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
    ++depth_;
    auto next = statements(block);
    --depth_;
    return next;
  }
  Step statements(const Block& block) {
    for (const Stmt& stmt : block.statements) {
      if (depth_ > kMaxRenderDepth) {
        return engine_failure(
            stmt.span,
            {ErrorCode::kLimit, "blocks and spliced generators stand more than " +
                                    std::to_string(kMaxRenderDepth) + " levels in each other"});
      }
      if (++steps_ > kMaxRenderSteps || out_.size() > Value::kMaxWeight) {
        return engine_failure(stmt.span, {ErrorCode::kLimit, "the rendered prompt is too long"});
      }
      auto next = std::visit([&](const auto& node) { return at(node, stmt.span); }, stmt.node);
      if (!next || *next != Next::kOn) return next;
    }
    return Next::kOn;
  }

  Step at(const TextStmt& stmt, const Span&) {
    for (std::size_t i = 0; i < stmt.text.chunks.size(); ++i) {
      const Chunk& chunk = stmt.text.chunks[i];
      if (const auto* literal = std::get_if<LiteralChunk>(&chunk)) {
        write(literal->bytes, true);
      } else if (const auto* hole = std::get_if<Hole>(&chunk)) {
        if (auto room = make_room(*hole, follow_of(stmt.text, i)); !room)
          return pass(std::move(room).error());
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
    along([&](Context& path) { return path.open(*role); });
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
      along([&](Context& path) { return path.close(); });
    }
    form_ = runtime::TextForm::kPlain;
    previous_ = *role;
    return next;
  }

  Step at(const LetStmt& stmt, const Span&) {
    auto value = evaluate(program_, scope_, *stmt.value, {});
    if (value) {
      scope_.bind(stmt.name.text, bound_by(program_, stmt, std::move(*value)));
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
          inner.bind(parameter.name, conform(program_, std::move(*value), parameter.type));
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

  // What is done to the text is done to the path.
  template <class Step>
  void along(Step step) {
    if (path_ && !step(*path_)) path_.reset();
  }

  // Before the first hole: what a run would drop so that the value fits. Fails where a run does.
  Outcome<void> make_room(const Hole& hole, std::string_view follow) {
    if (!path_) return {};
    Context path = std::move(*path_);
    path_.reset();
    if (hole.select) return {};  // takes no more room than its longest choice
    auto max = program_.config.max.value_or(256);
    for (const HoleOption& option : hole.options) {
      if (option.name.text != "max") continue;
      const auto value = evaluate(program_, scope_, *option.value, {});
      if (!value || value->kind() != ValueKind::kInt || value->as_int() < 1) return {};
      max = value->as_int();
    }
    grammar::SpanSourceRef source;
    if (hole.from != nullptr) {
      const auto text = evaluate_text(program_, scope_, *hole.from, {});
      if (!text) return {};
      auto made = grammar::SpanSource::create(*text);
      if (!made) return engine_failure(hole.from->span, std::move(made).error());
      source = std::move(*made);
    }
    if (is_calls(program_.holes[hole.id].type)) {
      if (Status s = path.expect_calls(); !s)
        return engine_failure(hole.span, std::move(s).error());
    }
    const auto healed = path.heal();
    if (!healed) return engine_failure(hole.span, healed.error());
    const HoleRoom room =
        hole_room({static_cast<std::uint64_t>(max),
                   grammar::longest_text(program_.holes[hole.id].type, source, &model_.calls.form),
                   follow, healed->dropped, healed->prefix.size()},
                  model_.tokenizer.get());
    const auto dropped = path.make_room(room.all());
    if (!dropped) return engine_failure(hole.span, dropped.error());
    if (dropped->empty()) return {};
    std::size_t tokens = 0;
    for (const DroppedTurn& turn : *dropped) tokens += turn.tokens;
    const std::size_t open = out_.size() - opened_;
    out_ = "[" + std::to_string(dropped->size()) + (dropped->size() == 1 ? " turn" : " turns") +
           " of " + std::to_string(tokens) + " tokens dropped to make room for `" + hole.name.text +
           "`]\n" + model_.tokenizer->decode(path.branch().ids(), true);
    opened_ = out_.size() - std::min(open, out_.size());
    return {};
  }

  void write(std::string_view bytes, bool constant = false) {
    if (bytes.empty()) return;
    along([&](Context& path) {
      path.text(bytes, constant);
      return Status();
    });
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
  std::optional<Context> path_;  // until the first hole
  Scope scope_;
  std::string out_;
  std::uint64_t steps_ = 0;
  std::uint32_t depth_ = 0;
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
    parts.chat = declaring(model, definitions);
  std::unique_ptr<MockModel> ids;  // outlives the path
  std::optional<Context> path;
  if (program.config.overflow == Overflow::kDropOldest) {
    ESP_ASSIGN(ids, MockModel::create(parts, real_system()));
    path.emplace(parts, ids->runner().engine().open(), true);
  }
  auto out = Renderer(parts, program, std::move(path)).run(*entry, std::move(*values));
  if (out) return std::move(*out);
  return fail(located(program, std::move(out).error()).error);
}

}  // namespace espalier::dsl
