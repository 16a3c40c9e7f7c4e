// espalier bench sharing: what sharing prefixes saves on workloads, beside what it could save at
// best.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "cli/number_list.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/sharing_run.h"
#include "runtime/backend.h"

namespace espalier::cli {
namespace {

// The value below which a share of them stands; `values` is not empty.
double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const auto at =
      static_cast<std::size_t>(std::lround(share * static_cast<double>(values.size() - 1)));
  return values[at];
}

// What one run shows.
struct Figures {
  std::string name;
  std::uint64_t pool_tokens = 0;  // 0: the backend's own
  double seconds = 0;
  double programs_per_second = 0;
  double first_token_p50 = 0;
  double first_token_p99 = 0;
  std::uint64_t computed = 0;  // prompt tokens, and tokens computed again
  double hit_rate = 0;
  double of_best = 0;  // share of the hit rate that is possible
  runtime::Stats stats;
};

Figures figures_of(std::string name, const SharingRun& run, const SharingLimit& limit) {
  Figures out;
  out.name = std::move(name);
  out.seconds = run.seconds;
  out.programs_per_second = static_cast<double>(run.answers.size()) / run.seconds;
  std::vector<double> first;
  for (const auto& program : run.answers) {
    for (const SharingRun::Answer& answer : program) first.push_back(answer.first_token_seconds);
  }
  out.first_token_p50 = quantile(first, 0.5);
  out.first_token_p99 = quantile(first, 0.99);
  out.computed = run.stats.computed_tokens + run.stats.recomputed_tokens;
  const auto all = static_cast<double>(limit.prompt_tokens);
  out.hit_rate = 1 - static_cast<double>(out.computed) / all;
  const double best = 1 - static_cast<double>(limit.must_compute) / all;
  out.of_best = best > 0 ? out.hit_rate / best : 1;
  out.stats = run.stats;
  return out;
}

Json json_of(const Figures& it) {
  return {{"run", it.name},
          {"pool_tokens", it.pool_tokens == 0 ? Json() : Json(it.pool_tokens)},
          {"seconds", it.seconds},
          {"programs_per_second", it.programs_per_second},
          {"first_token_p50_seconds", it.first_token_p50},
          {"first_token_p99_seconds", it.first_token_p99},
          {"computed_tokens", it.stats.computed_tokens},
          {"recomputed_tokens", it.stats.recomputed_tokens},
          {"generated_tokens", it.stats.generated_tokens},
          {"preemptions", it.stats.preemptions},
          {"tree_seconds", it.stats.tree_seconds},
          {"hit_rate", it.hit_rate},
          {"share_of_best", it.of_best},
          {"prefill_seconds", it.stats.prefill_seconds},
          {"decode_seconds", it.stats.decode_seconds},
          {"drafted_tokens", it.stats.drafted_tokens},
          {"accepted_tokens", it.stats.accepted_tokens}};
}

// The line through the seconds that steps took by their rows; through nothing where all steps are
// alike.
struct StepLine {
  double step = 0;  // seconds
  double row = 0;
};
StepLine step_cost(const runtime::Stats& stats) {
  const auto n = static_cast<double>(stats.backend_steps);
  const auto rows = static_cast<double>(stats.prefill_rows + stats.decode_rows + stats.logits_rows);
  if (rows == 0) return {};
  const double seconds = stats.prefill_seconds + stats.decode_seconds;
  const double spread = n * stats.rows_squared - rows * rows;
  const double slope = spread > 0 ? (n * stats.rows_seconds - rows * seconds) / spread : 0;
  if (slope <= 0 || slope * rows > seconds) return {0, seconds / rows};
  return {(seconds - slope * rows) / n, slope};
}

bool same_texts(const SharingRun& a, const SharingRun& b) {
  for (std::size_t i = 0; i < a.answers.size(); ++i) {
    for (std::size_t k = 0; k < a.answers[i].size(); ++k) {
      if (a.answers[i][k].ids != b.answers[i][k].ids) return false;
    }
  }
  return true;
}

class BenchSharing final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("WORKLOAD", files_,
                   "Files of programs: a program a line, each a tree of requests (docs/cli.md)")
        ->required()
        ->type_name("WORKLOAD.jsonl...");
    app.add_option("--model", model_.model,
                   "A model's name (see: espalier list) or the path of a .gguf file")
        ->type_name("M")
        ->capture_default_str();
    model_.declare_backend(app);
    model_.declare_engines(app);
    add_integer(app, "--at-once", at_once_, 1, 1'000'000,
                "Programs that run together [all of them]");
    add_integer(
        app, "--repeat", repeat_, 1, 1000,
        "Runs with the cache on, off and without drafts so often, in turn: each counts by its "
        "fastest [1]");
    add_text(app, "--pool", pools_, "P,...",
             "Also with pools of so many percent of the workload's distinct tokens, but room for "
             "its longest program's "
             "path at least: 10,25,50");
    app.add_flag("--json", json_, "Print one JSON object");
  }

  Result<int> run(Context& context) override {
    std::vector<std::uint32_t> pools;
    if (pools_) {
      auto list = parse_numbers(*pools_, 1, 1000);
      if (!list)
        return usage_error(context, "bench sharing",
                           "--pool takes percentages from 1 to 1000: 10,25,50");
      pools = std::move(*list);
    }
    // What is wrong with a file is known before a model is loaded.
    std::vector<Workload> workloads;
    for (const std::string& file : files_) {
      ESP_ASSIGN(Workload workload, read_workload(file, context.system));
      workloads.push_back(std::move(workload));
    }
    ESP_ASSIGN(const auto model, load_model(model_, context));
    Json report{{"model", model->path()}, {"workloads", Json::array()}};
    bool same = true;
    for (std::size_t i = 0; i < files_.size(); ++i) {
      auto encoded = encode_workload(workloads[i], *model);
      if (!encoded) return fail(std::move(encoded).error().within("'" + files_[i] + "'"));
      ESP_ASSIGN(Json one, measure(files_[i], *encoded, model, pools, context));
      same = same && one["texts_identical"].get<bool>();
      report["workloads"].push_back(std::move(one));
    }
    if (json_) context.console.print_json(report);
    if (!same)
      return fail(ErrorCode::kInternal, "texts differ between runs: sharing must not change any");
    return kDone;
  }

 private:
  Result<Json> measure(const std::string& file, const EncodedWorkload& workload,
                       const std::shared_ptr<const runtime::Model>& model,
                       const std::vector<std::uint32_t>& pools, Context& context) const {
    SharingOptions options;
    ESP_ASSIGN(options.on, model_.backend(context.system));
    options.at_once = static_cast<std::size_t>(at_once_.value_or(0));
    ProgressLine line(context.console, context.system);
    const auto times = static_cast<std::size_t>(repeat_.value_or(1));
    const std::size_t engines = model_.engines();
    // In turn, since the speed of a machine that does other things as well drifts.
    struct Kind {
      const char* name;
      bool cache, draft;
      std::size_t engines;
      std::optional<SharingRun> fastest;
    };
    std::vector<Kind> kinds;
    kinds.push_back({"cache on", true, true, engines, {}});
    kinds.push_back({"cache off", false, true, engines, {}});
    kinds.push_back({"no drafts", true, false, engines, {}});
    if (engines > 1) kinds.push_back({"one engine", true, true, 1, {}});
    const std::size_t runs = kinds.size() * times + pools.size();
    const auto next = [&](std::size_t run, const char* what) { line.show(file, run, runs, what); };
    bool same = true;
    for (std::size_t i = 0; i < kinds.size() * times; ++i) {
      Kind& kind = kinds[i % kinds.size()];
      next(i, kind.name);
      options.cache = kind.cache;
      options.draft = kind.draft;
      options.engines = kind.engines;
      ESP_ASSIGN(SharingRun run, run_workload(workload, model, options, context));
      if (i > 0) same = same && same_texts(*kinds[0].fastest, run);
      if (!kind.fastest || run.seconds < kind.fastest->seconds) kind.fastest = std::move(run);
    }
    options.cache = options.draft = true;
    options.engines = engines;
    const SharingRun& on = *kinds[0].fastest;
    const SharingLimit limit = sharing_limit(on);
    std::vector<Figures> table;
    for (const Kind& kind : kinds) table.push_back(figures_of(kind.name, *kind.fastest, limit));
    for (std::size_t i = 0; i < pools.size(); ++i) {
      next(kinds.size() * times + i, "small pool");
      // A request needs its own path and, at worst, a page that it does not fill.
      options.pool_tokens = std::max<std::uint64_t>(
          limit.distinct * pools[i] / 100, engines * (workload.longest + runtime::kPageTokens));
      ESP_ASSIGN(const SharingRun small, run_workload(workload, model, options, context));
      same = same && same_texts(on, small);
      table.push_back(figures_of("pool " + std::to_string(pools[i]) + " %", small, limit));
      table.back().pool_tokens = options.pool_tokens;
    }
    line.clear();

    // The time that is left where each distinct token is computed once, at the rates of the run
    // without sharing. A step that decodes stays, since answers are said a token a step, and loses
    // rows; of the others as many go as rows do.
    const Figures& apart = table[1];
    const StepLine cost = step_cost(apart.stats);
    const auto saved =
        static_cast<double>(apart.computed - std::min(apart.computed, limit.must_compute));
    const double saved_steps = apart.computed == 0
                                   ? 0
                                   : static_cast<double>(apart.stats.prefill_steps) * saved /
                                         static_cast<double>(apart.computed);
    // Engines side by side save at once, at best each the same.
    const double saved_seconds =
        (cost.row * saved + cost.step * saved_steps) / static_cast<double>(engines);
    const double bound = apart.seconds / (apart.seconds - saved_seconds);
    const double speedup = apart.seconds / table[0].seconds;
    Json out{{"file", file},
             {"programs", on.answers.size()},
             {"engines", engines},
             {"prompt_tokens", limit.prompt_tokens},
             {"must_compute_tokens", limit.must_compute},
             {"distinct_tokens", limit.distinct},
             {"best_hit_rate", 1 - static_cast<double>(limit.must_compute) /
                                       static_cast<double>(limit.prompt_tokens)},
             {"speedup", speedup},
             {"speedup_bound", bound},
             {"seconds_per_step", cost.step},
             {"seconds_per_row", cost.row},
             {"texts_identical", same},
             {"runs", Json::array()}};
    for (const Figures& it : table) out["runs"].push_back(json_of(it));
    if (!json_) print(out, table, context.console);
    return out;
  }

  static void print(const Json& report, const std::vector<Figures>& table, Console& console) {
    char text[240];
    std::snprintf(text, sizeof text,
                  "%s: %zu programs, %llu prompt tokens, of which sharing saves %.1f %% at best",
                  report["file"].get_ref<const std::string&>().c_str(),
                  report["programs"].get<std::size_t>(),
                  report["prompt_tokens"].get<unsigned long long>(),
                  100 * report["best_hit_rate"].get<double>());
    console.print_text(text);
    std::snprintf(text, sizeof text, "  %-12s %10s %12s %12s %10s %8s %8s %10s %7s", "",
                  "programs/s", "first p50", "first p99", "computed", "saved", "of best",
                  "decoding", "tree");
    console.print_text(text);
    for (const Figures& it : table) {
      std::snprintf(text, sizeof text,
                    "  %-12s %10.2f %10.0f ms %9.0f ms %10llu %6.1f %% %6.1f %% %8.2f s %5.2f %%",
                    it.name.c_str(), it.programs_per_second, 1000 * it.first_token_p50,
                    1000 * it.first_token_p99, static_cast<unsigned long long>(it.computed),
                    100 * it.hit_rate, 100 * it.of_best, it.stats.decode_seconds,
                    100 * it.stats.tree_seconds / it.seconds);
      console.print_text(text);
    }
    if (const auto engines = report["engines"].get<std::size_t>(); engines > 1) {
      std::snprintf(text, sizeof text, "  %zu engines against one %.2f x", engines,
                    table[3].seconds / table[0].seconds);
      console.print_text(text);
    }
    const double speedup = report["speedup"].get<double>();
    const double bound = report["speedup_bound"].get<double>();
    std::snprintf(text, sizeof text,
                  "  on against off %.2f x; the rates allow %.2f x (%.0f %%); texts identical: %s",
                  speedup, bound, 100 * speedup / bound,
                  report["texts_identical"].get<bool>() ? "yes" : "NO");
    console.print_text(text);
  }

  ModelOptions model_;
  std::vector<std::string> files_;
  std::optional<std::int64_t> at_once_;
  std::optional<std::int64_t> repeat_;
  std::optional<std::string> pools_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_bench_sharing() { return std::make_unique<BenchSharing>(); }

}  // namespace espalier::cli
