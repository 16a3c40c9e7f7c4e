// espalier score: how likely a model finds a text (mean negative log-likelihood
// a token).
#include <cmath>
#include <cstdio>
#include <span>

#include "cli/command.h"
#include "cli/input_text.h"
#include "cli/options.h"
#include "cli/session.h"
#include "cli/stats.h"

namespace espalier::cli {
namespace {

class Score final : public Command {
 public:
  void declare(CLI::App& app) override {
    add_text(app, "--file", file_, "F", "The text; - reads stdin")->required();
    model_.declare(app, true);
    app.add_flag("--special", special_, "The text of a special token stands for that token");
    app.add_flag("--json", json_, "Print {\"tokens\", \"mean_nll\"}");
    stats_.declare(app);
  }

  Result<int> run(Context& context) override {
    ESP_ASSIGN(const std::string text, read_text(*file_, context));
    ESP_TRY(stats_.open(context));
    ESP_ASSIGN(const auto session, Session::open(model_, context));
    ESP_ASSIGN(std::vector<TokenId> ids, session->encode(text, special_));
    if (ids.size() < 2) {
      return fail(ErrorCode::kInvalid,
                  "'" + *file_ + "' has " + std::to_string(ids.size()) +
                      " tokens; the first has nothing before it, so at least 2 "
                      "are needed");
    }
    runtime::Branch branch = session->engine().open();
    branch.append(std::span(ids).first(1));
    runtime::ProbeRequest request;
    request.ids.assign(ids.begin() + 1, ids.end());
    const Interrupt::Action stop(context.interrupt, [&] { branch.cancel(); });
    ESP_ASSIGN(const runtime::Probed probed, branch.probe_now(std::move(request)));
    double sum = 0;
    for (const float logprob : probed.logprobs) sum -= static_cast<double>(logprob);
    const double mean = sum / static_cast<double>(probed.logprobs.size());
    if (json_) {
      context.console.print_json(Json{{"tokens", ids.size()}, {"mean_nll", mean}});
    } else {
      char line[128];
      std::snprintf(line, sizeof line, "%zu tokens, mean NLL %.5f, perplexity %.3f", ids.size(),
                    mean, std::exp(mean));
      context.console.print_text(line);
    }
    ESP_TRY(stats_.write(*session, context));
    return kDone;
  }

 private:
  std::optional<std::string> file_;
  ModelOptions model_;
  bool special_ = false;
  bool json_ = false;
  StatsOption stats_;
};

}  // namespace

std::unique_ptr<Command> make_score() { return std::make_unique<Score>(); }

}  // namespace espalier::cli
