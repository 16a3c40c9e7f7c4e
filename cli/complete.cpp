// espalier complete: what a model says after a raw prompt, free or held to a
// type; or what it thinks of given ids.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <ostream>
#include <span>
#include <vector>

#include "cli/characters.h"
#include "cli/command.h"
#include "cli/input_text.h"
#include "cli/options.h"
#include "cli/session.h"
#include "cli/shape.h"
#include "cli/stats.h"
#include "grammar/json_text.h"
#include "grammar/matcher.h"

namespace espalier::cli {
namespace {

constexpr std::size_t kDefaultTokens = 256;

using Best = std::vector<std::vector<std::pair<TokenId, float>>>;

// Six decimals: a float holds no more of a log-probability.
double rounded(float logprob) { return std::round(static_cast<double>(logprob) * 1e6) / 1e6; }

Json best_json(const Best& best) {
  Json steps = Json::array();
  for (const auto& step : best) {
    Json row = Json::array();
    for (const auto& [id, logprob] : step) row.push_back({id, rounded(logprob)});
    steps.push_back(std::move(row));
  }
  return steps;
}

// "[1, 2, 3]" as ids below `vocabulary`.
Result<std::vector<TokenId>> parse_ids(const std::string& flag, const std::string& text,
                                       std::size_t vocabulary) {
  auto json = read_json(text);
  if (!json) return fail(std::move(json).error().within(flag));
  if (!json->is_array()) return fail(ErrorCode::kInvalid, flag + " takes a JSON list of token ids");
  std::vector<TokenId> ids;
  for (const Json& item : *json) {
    if (!item.is_number_integer() || item < 0 || item >= vocabulary) {
      return fail(ErrorCode::kInvalid, flag + ": " + write_json(item).substr(0, 40) + " at index " +
                                           std::to_string(ids.size()) +
                                           " is not a token id (0 to " +
                                           std::to_string(vocabulary - 1) + ")");
    }
    ids.push_back(item.get<TokenId>());
  }
  return ids;
}

class Complete final : public Command {
 public:
  void declare(CLI::App& app) override {
    add_text(app, "--prompt", prompt_, "TEXT", "The raw prompt: no chat template is put around it");
    add_text(app, "--prompt-file", prompt_file_, "F", "The raw prompt in a file; - reads stdin");
    add_text(app, "--prompt-ids", prompt_ids_, "IDS", "The prompt as token ids: '[1, 2, 3]'");
    app.add_flag("--special", special_,
                 "The text of a special token in the prompt stands for that "
                 "token, and shows in the answer");
    add_integer(app, "--max", max_, 1, 1 << 24, "At most so many tokens of answer [256]");
    shape_.declare(app, "The answer");
    add_text(app, "--force-ids", force_ids_, "IDS",
             "Generate nothing: feed these ids and report what the model "
             "thought of each");
    add_integer(app, "--logprobs", logprobs_, 0, 1000,
                "Report the N likeliest tokens at each step");
    model_.declare(app, true);
    sampling_.declare(app);
    app.add_flag("--json", json_, "Print {\"prompt_ids\", \"ids\", \"text\", \"top\"}");
    stats_.declare(app);
  }

  Result<int> run(Context& context) override {
    const auto usage = [&](std::string_view message) {
      return usage_error(context, "complete", message);
    };
    const int prompts = (prompt_ ? 1 : 0) + (prompt_file_ ? 1 : 0) + (prompt_ids_ ? 1 : 0);
    if (prompts == 0)
      return usage(
          "there is no prompt: give --prompt TEXT, --prompt-file F or "
          "--prompt-ids IDS");
    if (prompts > 1) return usage("give one of --prompt, --prompt-file and --prompt-ids");
    if (shape_.count() > 1)
      return usage("give one of --schema, --regex, --gbnf, --lark and --type");
    if (force_ids_ && (shape_.count() > 0 || max_)) {
      return usage(
          "--force-ids generates nothing: --max, --schema, --regex, --gbnf, --lark and --type do "
          "not go with it");
    }
    if (const auto status = sampling_.sampling().check(); !status)
      return usage(status.error().message);

    std::optional<Shape> shape;
    if (shape_.count() > 0) {
      auto made = shape_.read(context);
      if (!made) {
        if (made.error().code == ErrorCode::kInvalid && shape_.written())
          return usage(made.error().message);
        return fail(std::move(made).error());
      }
      shape = std::move(*made);
    }
    std::optional<std::string> text = prompt_;
    if (prompt_file_) {
      ESP_ASSIGN(text, read_text(*prompt_file_, context));
    }
    ESP_TRY(stats_.open(context));
    ESP_ASSIGN(const auto session, Session::open(model_, context));
    const runtime::Tokenizer& tokenizer = *session->model().tokenizer();
    std::vector<TokenId> prompt;
    if (text) {
      ESP_ASSIGN(prompt, session->encode(*text, special_));
    } else {
      auto ids = parse_ids("--prompt-ids", *prompt_ids_, tokenizer.size());
      if (!ids) return usage(ids.error().message);
      prompt = std::move(*ids);
    }
    grammar::GrammarRef held;
    if (shape) {
      auto compiled = shape->compile(tokenizer.vocabulary());
      if (!compiled) {
        if (shape_.written() && compiled.error().code == ErrorCode::kInvalid)
          return usage(compiled.error().message);
        return fail(std::move(compiled).error());
      }
      held = std::move(compiled->grammar);
    }
    if (prompt.empty())
      return fail(ErrorCode::kInvalid,
                  "the prompt is empty: the model needs a token to go on from");

    runtime::Branch branch = session->engine().open();
    branch.append(prompt);
    const Interrupt::Action stop(context.interrupt, [&] { branch.cancel(); });
    Result<Answer> answer = Answer{};
    if (force_ids_) {
      auto ids = parse_ids("--force-ids", *force_ids_, tokenizer.size());
      if (!ids) return usage(ids.error().message);
      answer = probe(branch, std::move(*ids));
    } else {
      answer = generate(branch, *session, held, context);
    }
    if (answer) show(*answer, prompt, tokenizer, context);
    const Status stats = stats_.write(*session, context);
    if (!answer) {
      if (!stats) context.console.error(stats.error().message);
      return fail(std::move(answer).error());
    }
    ESP_TRY(stats);
    return kDone;
  }

 private:
  struct Answer {
    std::vector<TokenId> ids;
    Best top;                     // a list an id; empty where the id was forced
    std::vector<float> logprobs;  // of forced ids
    std::optional<Json> value;    // of a typed answer
    bool streamed = false;        // the text stands on stdout already
    bool truncated = false;
  };

  Result<Answer> probe(runtime::Branch& branch, std::vector<TokenId> ids) const {
    if (ids.empty()) return fail(ErrorCode::kInvalid, "--force-ids is empty");
    Answer answer;
    answer.ids = ids;
    runtime::ProbeRequest request;
    request.ids = std::move(ids);
    request.best = static_cast<std::uint32_t>(logprobs_.value_or(0));
    ESP_ASSIGN(runtime::Probed probed, branch.probe_now(std::move(request)));
    answer.top = std::move(probed.best);
    answer.logprobs = std::move(probed.logprobs);
    return answer;
  }

  Result<Answer> generate(runtime::Branch& branch, const Session& session,
                          const grammar::GrammarRef& held, Context& context) const {
    const runtime::Tokenizer& tokenizer = *session.model().tokenizer();
    runtime::GenerateRequest request;
    request.sampling = sampling_.sampling();
    request.key = RandomKey(request.sampling.seed).with("complete");
    // Without --max: as much as fits; with it, what does not fit is refused.
    const std::size_t context_size = session.engine().info().context;
    const std::size_t used = std::min(branch.ids().size(), context_size);
    request.max_tokens = static_cast<std::uint32_t>(max_.value_or(static_cast<std::int64_t>(
        std::clamp<std::size_t>(context_size - used, 1, kDefaultTokens))));
    request.logprobs = static_cast<std::uint32_t>(logprobs_.value_or(0));
    if (held != nullptr) {
      request.matcher = held->start();
    } else {
      request.end_tokens = session.end_tokens();
    }
    Answer answer;
    answer.streamed = !json_ && context.console.terminals().out;
    std::vector<bool> forced;
    std::string pending;  // bytes of a character that is not whole yet
    request.on_token = [&](const runtime::Progress& progress) {
      forced.push_back(progress.forced);
      if (!answer.streamed) return;
      pending += tokenizer.decode({&progress.token, 1}, special_);
      const std::size_t whole = whole_characters(pending);
      context.console.out() << printable(std::string_view(pending).substr(0, whole)) << std::flush;
      pending.erase(0, whole);
    };
    auto outcome = branch.generate_now(std::move(request));
    if (answer.streamed) context.console.out() << printable(pending) << '\n';
    if (!outcome) return fail(std::move(outcome).error());
    runtime::Generated generated = std::move(*outcome);
    answer.ids = std::move(generated.ids);
    answer.truncated = generated.truncated;
    if (held != nullptr) answer.value = generated.matcher.value();
    if (logprobs_.value_or(0) > 0) {
      // The model was not asked about forced tokens: their step has no list.
      std::size_t sampled = 0;
      for (std::size_t i = 0; i < answer.ids.size(); ++i) {
        const bool has = !(i < forced.size() && forced[i]) && sampled < generated.best.size();
        answer.top.push_back(has ? std::move(generated.best[sampled++]) : Best::value_type{});
      }
    }
    return answer;
  }

  void show(const Answer& answer, const std::vector<TokenId>& prompt,
            const runtime::Tokenizer& tokenizer, Context& context) const {
    const std::string text = tokenizer.decode(answer.ids, special_);
    if (json_) {
      Json out{{"prompt_ids", prompt},
               {"ids", answer.ids},
               {"text", text},
               {"top", best_json(answer.top)}};
      if (answer.value) out["value"] = *answer.value;
      if (force_ids_) {
        Json logprobs = Json::array();
        for (const float logprob : answer.logprobs) logprobs.push_back(rounded(logprob));
        out["logprobs"] = std::move(logprobs);
      }
      if (answer.truncated) out["truncated"] = true;
      context.console.print_json(out);
      return;
    }
    if (!answer.streamed && !force_ids_) context.console.print_text(text);
    if (force_ids_ || logprobs_.value_or(0) > 0) show_table(answer, tokenizer, context);
    if (answer.truncated && context.console.terminals().err)
      context.console.note("(ended at --max " + std::to_string(answer.ids.size()) + " tokens)");
  }

  // A line a token: the token, its log-probability, and what the model liked
  // best there.
  static void show_table(const Answer& answer, const runtime::Tokenizer& tokenizer,
                         Context& context) {
    const auto spelled = [&](TokenId id) { return write_json(tokenizer.decode({&id, 1}, true)); };
    for (std::size_t i = 0; i < answer.ids.size(); ++i) {
      std::string line = std::to_string(answer.ids[i]) + "\t" + spelled(answer.ids[i]);
      const auto number = [](float value) {
        char figure[32];
        std::snprintf(figure, sizeof figure, "%.4f", static_cast<double>(value));
        return std::string(figure);
      };
      if (i < answer.logprobs.size()) line += "\t" + number(answer.logprobs[i]);
      if (i < answer.top.size()) {
        for (const auto& [id, logprob] : answer.top[i])
          line += "\t" + spelled(id) + " " + number(logprob);
      }
      context.console.print_text(line);
    }
  }

  std::optional<std::string> prompt_, prompt_file_, prompt_ids_, force_ids_;
  ShapeOptions shape_;
  std::optional<std::int64_t> max_, logprobs_;
  bool special_ = false;
  bool json_ = false;
  ModelOptions model_;
  SamplingOptions sampling_;
  StatsOption stats_;
};

}  // namespace

std::unique_ptr<Command> make_complete() { return std::make_unique<Complete>(); }

}  // namespace espalier::cli
