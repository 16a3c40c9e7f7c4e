// Texts and holes.
#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "dsl/completed_nodes.h"
#include "dsl/control_bytes.h"
#include "dsl/convert.h"
#include "dsl/hole_room.h"
#include "dsl/holes.h"
#include "dsl/interpreter.h"
#include "dsl/select.h"
#include "dsl/static_types.h"

namespace espalier::dsl {
namespace {

constexpr std::uint32_t kShownChoices = 5;  // of a token, to an observer that wants them

// A setting of `config` or of the command line: the latter wins.
template <class T, class U>
void take(T& setting, const std::optional<U>& overriding, const std::optional<U>& configured) {
  if (overriding) {
    setting = static_cast<T>(*overriding);
  } else if (configured) {
    setting = static_cast<T>(*configured);
  }
}

}  // namespace

void Interpreter::write(Frame& frame, std::string_view bytes, bool constant) {
  frame.context->text(bytes, constant);
  if (!bytes.empty()) observer_.on_text(frame.branch, bytes);
}

Outcome<void> Interpreter::write_calls(Frame& frame, const Value& value, const Span& span) {
  const Origin* origin = value.origin();
  const auto text =
      frame.context->write_calls(calls_of(program_, value), value.kind() == ValueKind::kList,
                                 origin == nullptr ? Spelling() : origin->spelling);
  if (!text) return engine_failure(span, text.error());
  observer_.on_text(frame.branch,
                    runtime::text_of(*runner_.model().tokenizer, control_segments(*text)));
  return {};
}

// The calls of a hole, with the ids that the model wrote.
Interpreter::Calls Interpreter::calls_written(const Value& value, const Json& written) const {
  if (!is_calls(value)) return {};
  Calls out = calls_of(program_, value);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const Json& one = written.is_array() ? written.at(i) : written;
    if (const auto id = one.find("id"); id != one.end()) out[i].id = id->get<std::string>();
    // What the model left to its default stays out of what it said.
    const ToolInfo* tool = program_.tool_by_real_name(out[i].name);
    const auto given = one.find("arguments");
    if (tool == nullptr || given == one.end()) continue;
    for (const Parameter& parameter : tool->parameters)
      if (!given->contains(parameter.name)) out[i].arguments.erase(parameter.key);
  }
  return out;
}

Interpreter::FlowTask Interpreter::results(Frame& frame, const Insert& insert, const Span& span) {
  auto operand = value(frame, *std::get<RunExpr>(insert.value->node).operand);
  Outcome<Value> calls = co_await operand;
  if (!calls) co_return pass(std::move(calls).error());
  const bool several = calls->kind() == ValueKind::kList;
  auto task = run_calls(frame, std::move(*calls), insert.span, /*failures_as_text=*/true);
  Outcome<Value> given = co_await task;
  if (!given) co_return pass(std::move(given).error());
  Value::List list;
  if (several) {
    list = given->as_list();
  } else {
    list.push_back(std::move(*given));
  }
  for (const Value& one : list) {
    if (Status s = frame.context->open(runtime::Role::kTool); !s)
      co_return engine_failure(span, std::move(s).error());
    observer_.on_turn(frame.branch, name(runtime::Role::kTool));
    if (one.weight() > Value::kMaxWeight) co_return text_too_long(insert.span);
    write(frame, print(one));
    if (Status s = frame.context->close(); !s) co_return engine_failure(span, std::move(s).error());
    observer_.on_turn(frame.branch, "");
  }
  co_return Flow{};
}

Interpreter::DoneTask Interpreter::text(Frame& frame, const Text& text) {
  for (std::size_t i = 0; i < text.chunks.size(); ++i) {
    const Chunk& chunk = text.chunks[i];
    if (const auto* literal = std::get_if<LiteralChunk>(&chunk)) {
      write(frame, literal->bytes, /*constant=*/true);
    } else if (const auto* insert = std::get_if<Insert>(&chunk)) {
      Ready ready;
      const auto* run = std::get_if<RunExpr>(&insert->value->node);
      if (run != nullptr) {
        // In a text a tool's failure is text too: the model reads it and goes on.
        auto operand = value(frame, *run->operand);
        Outcome<Value> calls = co_await operand;
        if (!calls) co_return pass(std::move(calls).error());
        auto task = run_calls(frame, std::move(*calls), insert->span, /*failures_as_text=*/true);
        Outcome<Value> result = co_await task;
        if (!result) co_return pass(std::move(result).error());
        ready.emplace(insert->value->id, std::move(*result));
      } else if (waits(program_, *insert->value)) {
        auto wait = prepare(frame, *insert->value, ready);
        Outcome<void> done = co_await wait;
        if (!done) co_return pass(std::move(done).error());
      }
      auto inserted = evaluate_insert(program_, frame.scope, *insert->value, ready);
      if (!inserted) co_return pass(std::move(inserted).error());
      if (frame.context->role() == runtime::Role::kAssistant && is_calls(inserted->value)) {
        if (auto done = write_calls(frame, inserted->value, insert->span); !done)
          co_return pass(std::move(done).error());
      } else if (inserted->origin == nullptr) {
        write(frame, inserted->text);
      } else {
        const Spelling& spelling = inserted->origin->spelling;
        if (Status s = frame.context->written(inserted->text, spelling); !s)
          co_return engine_failure(insert->span, std::move(s).error());
        if (!inserted->text.empty()) observer_.on_text(frame.branch, inserted->text);
      }
    } else {
      // A thought ends at its tag; the text behind it is text.
      const auto& written = std::get<Hole>(chunk);
      const std::string_view follow =
          program_.holes[written.id].think ? std::string_view() : follow_of(text, i);
      auto task = hole(frame, written, follow);
      Outcome<void> done = co_await task;
      if (!done) co_return pass(std::move(done).error());
      if (!follow.empty()) ++i;  // the hole has written it
    }
  }
  co_return Outcome<void>();
}

Outcome<Interpreter::HoleSettings> Interpreter::settings(const Hole& hole, const Scope& scope,
                                                         const Ready& ready) {
  const Config& over = options_.overrides;
  const Config& config = program_.config;
  HoleSettings out;
  runtime::Sampling& s = out.sampling;
  take(s.temperature, over.temperature, config.temperature);
  take(s.top_p, over.top_p, config.top_p);
  take(s.min_p, over.min_p, config.min_p);
  take(s.repetition, over.repetition, config.repetition);
  take(s.presence, over.presence, config.presence);
  take(s.frequency, over.frequency, config.frequency);
  std::int64_t top_k = s.top_k;
  take(top_k, over.top_k, config.top_k);
  take(s.seed, over.seed, config.seed);
  std::int64_t max = over.max ? *over.max : config.max.value_or(256);
  for (const HoleOption& option : hole.options) {
    auto value = evaluate(program_, scope, *option.value, ready);
    if (!value) return pass(std::move(value).error());
    const std::string& key = option.name.text;
    const bool whole = key == "max" || key == "top_k" || key == "seed";
    if (whole ? value->kind() != ValueKind::kInt : !value->is_number()) {
      return value_failure(option.value->span, "`" + key + "` needs " +
                                                   (whole ? "an int" : "a number") + ", got " +
                                                   std::string(name(value->kind())));
    }
    const double number = value->as_double();
    if (key == "max") {
      max = value->as_int();
    } else if (key == "top_k") {
      top_k = value->as_int();
    } else if (key == "seed") {
      s.seed = static_cast<std::uint64_t>(value->as_int());
    } else if (key == "temperature") {
      s.temperature = static_cast<float>(number);
    } else if (key == "top_p") {
      s.top_p = static_cast<float>(number);
    } else if (key == "min_p") {
      s.min_p = static_cast<float>(number);
    } else if (key == "repetition") {
      s.repetition = static_cast<float>(number);
    } else if (key == "presence") {
      s.presence = static_cast<float>(number);
    } else if (key == "frequency") {
      s.frequency = static_cast<float>(number);
    } else {
      return value_failure(option.name.span, "a hole has no option `" + key + "`");
    }
  }
  if (max < 1 || max > std::int64_t{1} << 24) {
    return value_failure(hole.span, "`max` must be from 1 to 16777216, got " + std::to_string(max));
  }
  out.max = static_cast<std::uint32_t>(max);
  s.top_k = static_cast<std::int32_t>(std::clamp<std::int64_t>(top_k, -1, INT32_MAX));
  if (Status status = s.check(); !status)
    return engine_failure(hole.span, std::move(status).error());
  return out;
}

Outcome<void> Interpreter::budget(const Hole& hole, const grammar::Grammar& grammar,
                                  std::uint32_t max) {
  if (grammar.least_tokens() <= max) return {};
  return engine_failure(hole.span,
                        {ErrorCode::kInvalid, "`" + hole.name.text + "` needs at least " +
                                                  std::to_string(grammar.least_tokens()) +
                                                  " tokens; max is " + std::to_string(max)});
}

std::vector<Failure> Interpreter::check(const GenInfo& gen) {
  std::vector<Failure> out;
  each_hole(program_, gen, [&](const Hole& hole, std::string_view follow) {
    if (auto checked = check(hole, follow); !checked) out.push_back(std::move(checked).error());
  });
  return out;
}

// What holds of the type with every byte at hand was checked without a model: what fails now, the
// vocabulary lacks.
Outcome<void> Interpreter::check(const Hole& hole, std::string_view follow) {
  const HoleInfo& info = program_.holes[hole.id];
  if (info.think) return {};  // its closing tag is the template's: known when the turn is
  const auto dead_end = [&](const std::string& what) {
    return tl::unexpected<Failure>(Failure{
        FailureKind::kDeadEnd,
        {ErrorCode::kUnsupported, "this model's vocabulary cannot spell " + what +
                                      "\nwrite it with other characters, or take a model that has "
                                      "a token for every byte"},
        hole.span});
  };
  const runtime::Tokenizer& tokenizer = *runner_.model().tokenizer;
  if (auto spelled = tokenizer.encode(follow, runtime::TextStart::kContinuation); !spelled)
    return dead_end("the text that ends `" + hole.name.text + "`: " + spelled.error().message);
  if (hole.select) {
    auto choices = choices_of(info.type);
    if (!choices) return engine_failure(hole.span, std::move(choices).error());
    for (const Choice& choice : *choices) {
      if (auto spelled = tokenizer.encode(choice.text, runtime::TextStart::kContinuation); !spelled)
        return dead_end(Json(choice.text).dump(-1, ' ', false, Json::error_handler_t::replace) +
                        ", which `" + hole.name.text + "` chooses from");
    }
    return {};
  }
  // What a source makes of spans is known when the hole is reached; all else is the same for any.
  auto source = info.copies ? runner_.source("x") : grammar::SpanSourceRef();
  if (!source) return engine_failure(hole.span, std::move(source).error());
  auto grammar = runner_.grammar(info.type, follow, *source, program_.config.calls);
  if (!grammar) {
    if (grammar.error().message.starts_with("E0301: "))
      return dead_end("any value of `" + hole.name.text + "`");
    return engine_failure(hole.span, std::move(grammar).error());
  }
  // A budget that an expression computes is checked when the hole is reached.
  auto known = settings(hole, Scope(), {});
  if (known) return budget(hole, **grammar, known->max);
  if (known.error().kind != FailureKind::kUnknown) return pass(std::move(known).error());
  return {};
}

Interpreter::DoneTask Interpreter::prepare_options(Frame& frame, const Hole& hole, Ready& ready) {
  std::vector<const Expr*> written;
  if (hole.from != nullptr) written.push_back(hole.from.get());
  for (const HoleOption& option : hole.options) written.push_back(option.value.get());
  for (const Expr* one : written) {
    auto wait = prepare(frame, *one, ready);
    Outcome<void> done = co_await wait;
    if (!done) co_return std::move(done);
  }
  co_return Outcome<void>();
}

Interpreter::DoneTask Interpreter::hole(Frame& frame, const Hole& hole, std::string_view follow) {
  Ready ready;
  auto wait = prepare_options(frame, hole, ready);
  Outcome<void> prepared = co_await wait;
  if (!prepared) co_return pass(std::move(prepared).error());
  Outcome<HoleSettings> setting = settings(hole, frame.scope, ready);
  if (!setting) co_return pass(std::move(setting).error());
  if (hole.from != nullptr) {
    Outcome<std::string> text = evaluate_text(program_, frame.scope, *hole.from, ready);
    if (!text) co_return pass(std::move(text).error());
    auto source = runner_.source(*text);
    if (!source) co_return engine_failure(hole.from->span, std::move(source).error());
    setting->source = std::move(*source);
  }

  if (frame.last.contains(hole.id)) frame.context->branch().mark_dead();
  const std::string path = frame.path + hole.name.text;
  observer_.on_hole_start({frame.branch, path, hole.name.text, hole.span});
  if (options_.mocks != nullptr) {
    const auto given = options_.mocks->take(hole.name.text);
    if (!given && !options_.mocks->model()) {
      co_return value_failure(hole.span, "the hole `" + hole.name.text +
                                             "` has no value in this test: `mock { " +
                                             hole.name.text + ": … }` gives it one");
    }
    if (given) {
      Outcome<Value> value = mocked(frame, hole, follow, *given, setting->source.get());
      if (!value) co_return pass(std::move(value).error());
      observer_.on_hole_end({frame.branch, path, hole.name.text, hole.span}, *value);
      bind(frame, hole.name, std::move(*value));
      co_return Outcome<void>();
    }
  }
  auto task = hole.select                     ? select(frame, hole, follow, *setting, path)
              : program_.holes[hole.id].think ? think(frame, hole, *setting, path)
                                              : generate(frame, hole, follow, *setting, path);
  Outcome<Value> result = co_await task;
  if (!result) co_return pass(std::move(result).error());
  observer_.on_hole_end({frame.branch, path, hole.name.text, hole.span}, *result);
  bind(frame, hole.name, std::move(*result));
  co_return Outcome<void>();
}

// The text that a model would have written for the value stands in the prompt.
Outcome<Value> Interpreter::mocked(Frame& frame, const Hole& hole, std::string_view follow,
                                   const Json& given, const grammar::SpanSource* source) {
  const HoleInfo& info = program_.holes[hole.id];
  auto value =
      from_json(program_, given, info.type, "the mock of `" + hole.name.text + "`", source);
  if (!value) return value_failure(hole.span, value.error().message);
  if (!info.think) {  // nobody reads on in a thought
    const bool none = value->kind() == ValueKind::kList && value->length() == 0 &&
                      is_calls(info.type) && model_for(*frame.gen).calls.form.several;
    if (is_calls(*value)) {
      if (auto done = write_calls(frame, *value, hole.span); !done)
        return pass(std::move(done).error());
    } else if (!none) {
      write(frame, print(*value));
    }
    write(frame, follow);
  }
  Origin origin;
  if (value->origin() != nullptr) origin.spans = value->origin()->spans;
  if (hole.select) {
    auto choices = choices_of(info.type);
    if (!choices) return engine_failure(hole.span, std::move(choices).error());
    origin.p = 1.0;
    for (const Choice& choice : *choices)
      origin.dist.emplace_back(choice.label, choice.text == print(*value) ? 1.0 : 0.0);
  }
  return value->with(std::make_shared<const Origin>(std::move(origin)));
}

Outcome<Context::Healed> Interpreter::heal(
    Frame& frame, const Hole& hole, const std::string& path,
    const std::function<std::size_t(const Context::Healed&)>& needed) {
  auto healed = frame.context->heal();
  if (!healed) return engine_failure(hole.span, std::move(healed).error());
  auto dropped = frame.context->make_room(needed(*healed));
  if (!dropped) return engine_failure(hole.span, std::move(dropped).error());
  if (dropped->empty()) return std::move(*healed);
  const ModelParts& model = runner_.model();
  runner_.count(*dropped);
  observer_.on_drop({frame.branch, path, hole.name.text, hole.span},
                    {*dropped, frame.context->branch().ids().size(), model.context});
  healed = frame.context->heal();
  if (!healed) return engine_failure(hole.span, std::move(healed).error());
  return std::move(*healed);
}

Interpreter::ValueTask Interpreter::generate(Frame& frame, const Hole& hole,
                                             std::string_view follow, const HoleSettings& settings,
                                             const std::string& path) {
  const HoleInfo& info = program_.holes[hole.id];
  auto grammar = runner_.grammar(info.type, follow, settings.source, program_.config.calls);
  if (!grammar) {
    if (settings.source != nullptr && settings.source->empty()) {
      co_return engine_failure(hole.from->span,
                               {ErrorCode::kInvalid,
                                "there is no word to copy: this text is empty, so no `span` fits "
                                "(`span?` may be null)"});
    }
    co_return engine_failure(hole.span, std::move(grammar).error());
  }
  if (auto enough = budget(hole, **grammar, settings.max); !enough) {
    co_return pass(std::move(enough).error());
  }
  const auto room = [&](const Context::Healed& healed) {
    return hole_room(
        {settings.max, (*grammar)->longest_text(), follow, healed.dropped, healed.prefix.size()},
        runner_.model().tokenizer.get());
  };
  if (is_calls(info.type)) {
    if (Status s = frame.context->expect_calls(); !s)
      co_return engine_failure(hole.span, std::move(s).error());
  }
  auto healed = heal(frame, hole, path, [&](const auto& taken) { return room(taken).all(); });
  if (!healed) co_return pass(std::move(healed).error());

  runtime::GenerateRequest request;
  request.matcher = (*grammar)->start(healed->prefix);
  request.sampling = settings.sampling;
  request.key = frame.place.with(hole.name.text).with(hole.id).with(settings.sampling.seed);
  // What healing took back is spelled again before the value begins.
  request.max_tokens =
      std::max(static_cast<std::uint32_t>(room(*healed).value), request.matcher.distance());
  if (observer_.wants_choices()) request.logprobs = kShownChoices;
  CompletedNodes nodes;
  const auto on_node = [&](const std::string& place, const Json& node) {
    observer_.on_node({frame.branch, path, hole.name.text, hole.span}, path + place, node);
  };
  if (options_.observer != nullptr) {
    const grammar::Vocabulary* vocabulary = runner_.model().tokenizer->vocabulary().get();
    // The bytes that healing took back were shown as text already.
    request.on_token = [this, vocabulary, &frame, &path, &hole, &nodes, &on_node,
                        shown = healed->prefix.size()](const runtime::Progress& progress) mutable {
      const HoleEvent event{frame.branch, path, hole.name.text, hole.span};
      std::string_view bytes = vocabulary->bytes(progress.token);
      const std::size_t known = std::min(shown, bytes.size());
      shown -= known;
      bytes.remove_prefix(known);
      if (progress.allowed > 0 && observer_.wants_choices())
        observer_.on_choice(event, {progress.allowed, progress.best});
      observer_.on_token(event, progress.token, bytes, progress.forced);
      if (progress.matcher != nullptr && observer_.wants_partials()) {
        const Json partial = progress.matcher->partial();
        observer_.on_partial(event, partial);
        nodes.advance(partial, on_node);
      }
    };
  }
  runtime::Branch& branch = frame.context->branch();
  Result<runtime::Generated> generated = fail(ErrorCode::kCancelled, "the run was stopped");
  {
    const Cancellation::Guard guard(cancellation_, branch);
    if (!cancellation_.flag().load()) {
      auto operation = branch.generate(runner_.executor(), std::move(request));
      generated = co_await operation;
    }
  }
  if (!generated) co_return model_failure(hole.span, std::move(generated).error());
  const Json written = generated->matcher.value();
  observer_.on_cost({frame.branch, path, hole.name.text, hole.span},
                    {generated->prompt, generated->found});
  auto result =
      from_json(program_, written, info.type, "`" + hole.name.text + "`", settings.source.get());
  frame.context->after_hole(result ? calls_written(*result, written) : Calls(), follow);
  if (!result) {
    // The mask is the parser: a value that does not read back is our mistake.
    co_return engine_failure(hole.span, {ErrorCode::kInternal, result.error().message});
  }
  if (observer_.wants_partials()) nodes.finish(written, on_node);
  Origin origin;
  if (result->origin() != nullptr) origin.spans = result->origin()->spans;
  // The budget closed it if the value's own tokens reach it: what healing took back, the follow and
  // the end token are not the value's.
  const std::size_t end = healed->prefix.size() + generated->matcher.text().size();
  std::size_t own = 0;
  for (std::size_t bytes = 0; own < generated->ids.size() && bytes < end; ++own)
    bytes += runner_.model().vocabulary().bytes(generated->ids[own]).size();
  origin.truncated = own >= settings.max + healed->dropped;
  origin.spelling = {std::move(healed->prefix), std::move(generated->ids)};
  co_return result->with(std::make_shared<const Origin>(std::move(origin)));
}

// The model's reasoning, between its tags; the turn's end takes both back (CONTRACTS 27).
Interpreter::ValueTask Interpreter::think(Frame& frame, const Hole& hole,
                                          const HoleSettings& settings, const std::string& path) {
  auto opened = frame.context->open_thought();
  if (!opened) co_return engine_failure(hole.span, std::move(opened).error());
  observer_.on_text(frame.branch, *opened);
  auto task = generate(frame, hole, Context::kThoughtEnd, settings, path);
  Outcome<Value> value = co_await task;
  if (value) frame.context->close_thought();
  co_return std::move(value);
}

runtime::Task<Outcome<std::vector<double>>> Interpreter::score(
    Frame&, runtime::Branch& branch, std::vector<std::vector<TokenId>> continuations,
    const Span& span, bool mean) {
  runtime::ScoreRequest request;
  request.continuations = std::move(continuations);
  Result<runtime::Scored> scored = fail(ErrorCode::kCancelled, "the run was stopped");
  {
    const Cancellation::Guard guard(cancellation_, branch);
    if (!cancellation_.flag().load()) {
      auto operation = branch.score(runner_.executor(), std::move(request));
      scored = co_await operation;
    }
  }
  if (!scored) co_return model_failure(span, std::move(scored).error());
  std::vector<double> out;
  for (const auto& logprobs : scored->logprobs) {
    double total = 0;
    for (const float one : logprobs) total += static_cast<double>(one);
    out.push_back(mean ? total / static_cast<double>(logprobs.size()) : total);
  }
  co_return out;
}

Interpreter::ValueTask Interpreter::select(Frame& frame, const Hole& hole, std::string_view follow,
                                           const HoleSettings& settings, const std::string& path) {
  const HoleInfo& info = program_.holes[hole.id];
  auto choices = choices_of(info.type);
  if (!choices) co_return engine_failure(hole.span, std::move(choices).error());
  const runtime::Tokenizer& tokenizer = *runner_.model().tokenizer;
  const TokenId end = tokenizer.vocabulary()->end_of_turn();
  const auto spelled = [&](std::string_view prefix) -> Result<std::vector<std::vector<TokenId>>> {
    std::vector<std::vector<TokenId>> out;
    for (const Choice& choice : *choices) {
      ESP_ASSIGN(auto ids, tokenizer.encode(std::string(prefix) + choice.text + std::string(follow),
                                            runtime::TextStart::kContinuation));
      if (follow.empty())
        ids.push_back(end);  // where the text ends is part of the choice: "yes" or "yes, but"
      out.push_back(std::move(ids));
    }
    return out;
  };
  auto unhealed = spelled("");
  if (!unhealed) co_return engine_failure(hole.span, std::move(unhealed).error());
  std::size_t longest = 0;
  for (const auto& one : *unhealed) longest = std::max(longest, one.size());
  auto healed =
      heal(frame, hole, path, [longest](const auto& taken) { return longest + taken.dropped; });
  if (!healed) co_return pass(std::move(healed).error());
  auto continuations = spelled(healed->prefix);
  if (!continuations) co_return engine_failure(hole.span, std::move(continuations).error());
  const std::vector<std::vector<TokenId>> ids = *continuations;
  auto task = score(frame, frame.context->branch(), std::move(*continuations), hole.span,
                    info.by == SelectBy::kMean);
  Outcome<std::vector<double>> scores = co_await task;
  if (!scores) co_return pass(std::move(scores).error());

  if (info.by == SelectBy::kPrior) {
    // What the model would say with no context at all, under the same role's header.
    Context bare(runner_.model(), open());
    if (frame.context->role()) {
      if (Status s = bare.open(*frame.context->role()); !s)
        co_return engine_failure(hole.span, std::move(s).error());
    }
    auto ready = bare.heal();
    if (!ready) co_return engine_failure(hole.span, std::move(ready).error());
    auto unconditional = spelled("");
    if (!unconditional) co_return engine_failure(hole.span, std::move(unconditional).error());
    auto prior_task = score(frame, bare.branch(), std::move(*unconditional), hole.span, false);
    Outcome<std::vector<double>> prior = co_await prior_task;
    if (!prior) co_return pass(std::move(prior).error());
    for (std::size_t i = 0; i < scores->size(); ++i) (*scores)[i] -= (*prior)[i];
  }

  const std::vector<double> dist = distribution(*scores);
  const RandomKey key = frame.place.with(hole.name.text).with(hole.id).with(settings.sampling.seed);
  const std::size_t chosen = choose(dist, settings.sampling.temperature, key);
  frame.context->branch().append_selected(ids[chosen]);
  frame.context->after_hole();
  const HoleEvent event{frame.branch, path, hole.name.text, hole.span};
  std::size_t shown = healed->prefix.size();
  for (const TokenId id : ids[chosen]) {
    const std::string_view bytes = tokenizer.vocabulary()->bytes(id);
    const std::size_t known = std::min(shown, bytes.size());
    shown -= known;
    observer_.on_token(event, id, bytes.substr(known), true);
  }

  auto result =
      from_json(program_, (*choices)[chosen].value, info.type, "`" + hole.name.text + "`");
  if (!result) co_return engine_failure(hole.span, {ErrorCode::kInternal, result.error().message});
  Origin origin;
  origin.p = dist[chosen];
  for (std::size_t i = 0; i < dist.size(); ++i)
    origin.dist.emplace_back((*choices)[i].label, dist[i]);
  origin.spelling = {std::move(healed->prefix), ids[chosen]};
  co_return result->with(std::make_shared<const Origin>(std::move(origin)));
}

}  // namespace espalier::dsl
