// A prompt as the model would see it, without a run: a plain walk over the tree with the
// interpreter's own evaluator.
//
// The ids are written beside the text as a run writes them, up to the first hole: how long the
// prompt is behind it, the model alone can say. What every run begins with is found by walking once
// more without any argument, up to the first thing that then is not known.
#include "dsl/render.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "base/system.h"
#include "dsl/convert.h"
#include "dsl/cost.h"
#include "dsl/hole_room.h"
#include "dsl/holes.h"
#include "dsl/interpreter.h"
#include "dsl/mock_model.h"
#include "dsl/rendered_turns.h"
#include "dsl/runner.h"
#include "dsl/static_types.h"
#include "grammar/longest_text.h"

namespace espalier::dsl {
namespace {

constexpr std::uint32_t kMaxRenderDepth = 100;  // of blocks, through what is spliced

class Renderer {
 public:
  /// `path`: an empty context, which turns may be dropped from where they may be in a run.
  Renderer(const ModelParts& model, const Program& program, Context path)
      : model_(model), program_(program), path_(std::move(path)), turns_(*model.tokenizer) {}

  Outcome<RenderedPrompt> run(const GenInfo& gen, std::vector<Value> arguments) {
    for (std::size_t i = 0; i < gen.parameters.size(); ++i) {
      scope_.bind(gen.parameters[i].name, std::move(arguments[i]));
    }
    auto next = block(gen.decl->body);
    if (!next) return pass(std::move(next).error());
    if (path_) stop_counting("");
    RenderedPrompt out;
    out.text = std::move(out_);
    out.turns = turns_.take();
    out.tokens = ids_.size();
    out.until = until_;
    return out;
  }
  /// The ids of what run() counted.
  [[nodiscard]] const std::vector<TokenId>& ids() const { return ids_; }

  /// The ids that every run begins with, whatever the arguments.
  std::vector<TokenId> head(const GenInfo& gen) {
    head_ = true;
    const auto next = block(gen.decl->body);
    if (path_) {
      // Of text that goes on otherwise, the last tokens may be others.
      const bool open = !next || *next == Next::kStop;
      if (open ? path_->heal().has_value() : path_->flush().has_value())
        ids_ = path_->branch().ids();
    }
    return std::move(ids_);
  }

 private:
  enum class Next : std::uint8_t { kOn, kBreak, kYield, kLeave, kStop };
  using Step = Outcome<Next>;

  // Tokens of its value at most, found once however often a loop comes by.
  const std::string& most(const Hole& hole) {
    std::string& known = most_[hole.id];
    if (known.empty()) known = value_tokens(program_, hole).text();
    return known;
  }

  // An outcome that a run alone can give ends the rendering with a note; other failures are
  // failures.
  Step unknown(Failure failure) {
    if (failure.kind != FailureKind::kUnknown) return pass(std::move(failure));
    if (!head_) {
      stop_counting(written(failure.span));
      out_ += "\n[what follows depends on " + written(failure.span) + "]\n";
    }
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
      if (++steps_ > kMaxSteps) return too_many_steps(stmt.span);
      if (out_.size() > Value::kMaxWeight) return text_too_long(stmt.span);
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
        if (head_) {
          stop_counting("");
          return Next::kStop;
        }
        const std::string type = (hole->select ? "select " : "") +
                                 type_name(program_.holes[hole->id].type) +
                                 (hole->by ? " by " + hole->by->text : "");
        start_text();
        out_ += "$[" + hole->name.text + ": " + type + "]";
        turns_.hole({hole->name.text, type, hole->select ? "" : most(*hole)});
      } else {
        const Expr& expr = *std::get<Insert>(chunk).value;
        auto text = evaluate_text(program_, scope_, expr, {});
        if (text) {
          write(*text);
        } else if (text.error().kind == FailureKind::kUnknown) {
          if (head_) return Next::kStop;
          stop_counting(written(expr.span));
          start_text();
          out_ += "${" + written(expr.span) + "}";
          turns_.unknown();
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
    turns_.open(name(*role));
    put(model_.chat->open(*role, previous_));
    form_ = model_.chat->text_form(*role);
    opened_ = out_.size();
    auto next = block(stmt.body);
    if (next && *next != Next::kStop) {
      if (form_ == runtime::TextForm::kTrimmed) {
        const auto text = std::string_view(out_).substr(opened_);
        const std::size_t kept = runtime::without_trailing_space(text).size();
        turns_.take_back(text.size() - kept);
        out_.resize(opened_ + kept);
      }
      put(model_.chat->close(*role));
      turns_.close();
      along([&](Context& path) { return path.close(); });
    }
    form_ = runtime::TextForm::kPlain;
    previous_ = *role;
    return next;
  }

  Step at(const LetStmt& stmt, const Span&) {
    if (auto forked = fork(*stmt.value); !forked) return forked;
    auto value = evaluate(program_, scope_, *stmt.value, {});
    if (value) {
      scope_.bind(stmt.name.text, bound_by(program_, stmt.type, std::move(*value)));
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
    std::optional<Value::List> yielded{std::in_place};  // nothing where one of them is not known
    for (std::uint64_t i = 0; i < list->length(); ++i) {
      if (++steps_ > kMaxSteps) return too_many_steps(stmt.list->span);
      scope_.back_to(mark);
      scope_.bind(stmt.variable.text, list->item(i));
      auto next = block(stmt.body);
      if (!next || *next == Next::kStop || *next == Next::kLeave) return next;
      if (*next == Next::kBreak) break;
      if (*next != Next::kYield) continue;
      if (!stmt.collected) return next;
      if (!yielded_) yielded.reset();
      if (yielded) yielded->push_back(std::move(*yielded_));
    }
    scope_.back_to(mark);
    if (stmt.collected && yielded) {
      auto values = made(Value::list(std::move(*yielded)), stmt.collected->span);
      if (!values) return pass(std::move(values).error());
      scope_.bind(stmt.collected->text,
                  bound_by(program_, stmt.collected_type, std::move(*values)));
    }
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
  Step at(const ReturnStmt& stmt, const Span&) {
    if (stmt.value != nullptr)
      if (auto forked = fork(*stmt.value); !forked) return forked;
    return Next::kLeave;
  }
  Step at(const YieldStmt& stmt, const Span&) {
    if (auto forked = fork(*stmt.value); !forked) return forked;
    auto value = evaluate(program_, scope_, *stmt.value, {});
    if (!value && value.error().kind != FailureKind::kUnknown)
      return pass(std::move(value).error());
    yielded_.reset();
    if (value) yielded_ = std::move(*value);
    return Next::kYield;
  }
  Step at(const BreakStmt&, const Span&) { return Next::kBreak; }

  // Where `expr` is a fork: its branch, once. What comes behind it stands where the fork began.
  Step fork(const Expr& expr) {
    const auto* node = std::get_if<ForkExpr>(&expr.node);
    if (node == nullptr || head_) return Next::kOn;
    const std::size_t mark = scope_.mark();
    std::string label = "fork";
    if (node->over != nullptr) {
      const auto over = evaluate(program_, scope_, *node->over, {});
      if (!over && over.error().kind != FailureKind::kUnknown) return pass(Failure(over.error()));
      const bool list =
          over && (over->kind() == ValueKind::kList || over->kind() == ValueKind::kRange);
      label += " " + (!over  ? written(node->over->span)
                      : list ? std::to_string(over->length())
                             : print(*over).substr(0, 40));
      if (node->variable && list) {
        if (over->length() == 0) return Next::kOn;
        scope_.bind(node->variable->text, over->item(0));
      }
    }
    out_ += "\n[" + label + ", each branch:\n";
    turns_.enter(label);
    auto trunk = std::make_tuple(std::move(path_), started_, previous_, form_, opened_);
    path_.reset();
    auto next = block(node->body);
    std::tie(path_, started_, previous_, form_, opened_) = std::move(trunk);
    turns_.leave();
    scope_.back_to(mark);
    out_ += "\n]\n";
    if (!next) return next;
    return Next::kOn;
  }

  [[nodiscard]] std::string written(const Span& span) const {
    return std::string(program_.sources[span.file].slice(span));
  }

  // The prompt is known up to here.
  void stop_counting(std::string until) {
    if (!path_) return;
    if (path_->flush()) ids_ = path_->branch().ids();
    until_ = std::move(until);
    path_.reset();
  }

  // What is done to the text is done to the path.
  template <class Step>
  void along(Step step) {
    if (path_ && !step(*path_)) path_.reset();
  }

  // Before the first hole: what a run would drop so that the value fits. Fails where a run does.
  Outcome<void> make_room(const Hole& hole, std::string_view follow) {
    if (!path_ || head_) return {};
    Context path = *std::exchange(path_, std::nullopt);
    until_ = hole.name.text;
    if (path.flush()) ids_ = path.branch().ids();
    if (program_.config.overflow != Overflow::kDropOldest) return {};
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
    ids_ = path.branch().ids();
    turns_.dropped(ids_.size());
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
    start_text();
    const std::string text = form_ == runtime::TextForm::kPlain
                                 ? std::string(bytes)
                                 : runtime::in_form(form_, bytes, out_.size() > opened_);
    out_ += text;
    turns_.add(text);
  }
  void start_text() {
    const runtime::Tokenizer& tokenizer = *model_.tokenizer;
    if (!started_ && tokenizer.add_bos() && tokenizer.bos() != kNoToken)
      put({{tokenizer.bos(), ""}});
    started_ = true;
  }
  void put(const runtime::Segments& segments) {
    out_ += runtime::text_of(*model_.tokenizer, segments);
    turns_.add(segments);
  }

  const ModelParts& model_;
  const Program& program_;
  std::optional<Context> path_;  // until the first hole, or what only a run knows
  std::vector<TokenId> ids_;     // of the path, where it ended
  std::string until_;
  RenderedTurns turns_;
  bool head_ = false;  // nothing is known of the arguments
  Scope scope_;
  std::string out_;
  std::map<HoleId, std::string> most_;
  std::uint64_t steps_ = 0;
  std::optional<Value> yielded_;  // by the turn of a loop that just ended; nothing if not known
  std::uint32_t depth_ = 0;
  bool started_ = false;
  std::optional<runtime::Role> previous_;               // of the turn before
  runtime::TextForm form_ = runtime::TextForm::kPlain;  // of the open turn
  std::size_t opened_ = 0;                              // where its text begins
};

}  // namespace

Result<RenderedPrompt> render_prompt(const ModelParts& model, const Program& program,
                                     std::string_view gen, const Json& arguments) {
  ESP_ASSIGN(const GenInfo* entry, find_gen(program, gen));
  auto values = arguments_from_json(program, entry->parameters, arguments);
  if (!values) return fail(std::move(values).error().within("`" + entry->name + "`"));
  const ModelParts parts = parts_for(model, program, tool_definitions(program, *entry));
  const bool drops = program.config.overflow == Overflow::kDropOldest;
  // A prompt that is too long is shown as well: a run says that it does not fit.
  ModelParts roomy = parts;
  if (!drops) roomy.context = std::numeric_limits<std::uint32_t>::max();
  ESP_ASSIGN(const auto ids, MockModel::create(parts, real_system()));  // outlives the paths
  const auto path = [&] { return Context(roomy, ids->runner().engine().open(), drops); };
  Renderer renderer(parts, program, path());
  auto out = renderer.run(*entry, std::move(*values));
  if (!out) return fail(located(program, std::move(out).error()).error);
  const std::vector<TokenId> head = Renderer(parts, program, path()).head(*entry);
  const std::vector<TokenId>& all = renderer.ids();
  out->shared = static_cast<std::size_t>(
      std::mismatch(all.begin(), all.end(), head.begin(), head.end()).first - all.begin());
  return std::move(*out);
}

}  // namespace espalier::dsl
