// espalier quality: how near a model comes to its original, or numerics that round to exact ones.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/text_windows.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/device.h"
#include "runtime/quality.h"
#include "runtime/tokenizer/same_tokens.h"

namespace espalier::cli {
namespace {

constexpr std::uint32_t kMostWindow = 1U << 16;
constexpr std::uint32_t kWindow = 512;
constexpr std::int64_t kRows = 64;

class QualityReport final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("MODEL", model_.model,
                   "A model's name (see: espalier list) or the path of a .gguf file")
        ->type_name("")
        ->capture_default_str();
    text_.declare(app, kMostWindow, kWindow);
    add_text(app, "--against", against_, "M",
             "The reference: a model of the same tokens [the same, exact and with K and V in f16]");
    add_integer(app, "--rows", rows_, 1, 4096,
                "Tokens of a step: few are read as an answer is, many as a prompt [64]");
    model_.declare_backend(app);
    app.add_flag("--json", json_, "Print one JSON object");
  }

  Result<int> run(Context& context) override {
    const bool exact = model_.numerics.value_or("exact") == "exact";
    if (!against_ && exact && model_.kv_type.value_or("f16") == "f16") {
      return usage_error(context, "quality",
                         "there is nothing to compare: --against M, --numerics or --kv-type");
    }
    ESP_ASSIGN(runtime::BackendOptions on, model_.backend(context.system));
    ESP_TRY(text_.read(context));
    ESP_ASSIGN(const auto model, load_model(model_, context));
    ModelOptions other = model_;
    other.model = against_.value_or(model_.model);
    ESP_ASSIGN(const auto reference, against_ ? load_model(other, context) : model);
    if (against_) {
      if (const auto difference =
              runtime::token_difference(*reference->tokenizer(), *model->tokenizer())) {
        return fail(ErrorCode::kInvalid, "'" + model->path() + "' cannot be compared with '" +
                                             reference->path() + "': " + *difference);
      }
    }
    ESP_ASSIGN(const TextWindows::Windows windows, text_.cut(*reference));
    std::size_t longest = 0;
    for (const auto& window : windows.all) longest = std::max(longest, window.size());
    for (const auto* of : {&model, &reference}) {
      if (longest <= (*of)->shape().context) continue;
      return fail(ErrorCode::kInvalid, "a window of " + std::to_string(longest) + " tokens: '" +
                                           (*of)->path() + "' has positions for " +
                                           std::to_string((*of)->shape().context));
    }
    runtime::BackendOptions plain = on;
    plain.numerics = runtime::Numerics::kExact;
    plain.fp8_calibration = nullptr;
    plain.kv_type = runtime::KvType::kF16;
    // First what may be refused.
    ESP_ASSIGN(const auto made, make(model, on, longest, context));
    ESP_ASSIGN(const auto exact_made, make(reference, plain, longest, context));
    runtime::QualityRun compared(*exact_made.backend, *made.backend,
                                 static_cast<std::uint32_t>(rows_.value_or(kRows)),
                                 [&context] { return !context.interrupt.requested(); });
    {
      ProgressLine line(context.console, context.system);
      for (std::size_t i = 0; i < windows.all.size(); ++i) {
        line.show("comparing", i, windows.all.size(),
                  std::to_string(i) + " of " + std::to_string(windows.all.size()) + " windows");
        ESP_TRY(compared.take(windows.all[i], windows.scored));
      }
    }
    const runtime::Quality quality = compared.quality();
    if (json_) {
      context.console.print_json(report(*model, *reference, made, on, windows, quality));
    } else {
      print(*model, *reference, made, on, windows, quality, context.console);
    }
    return kDone;
  }

 private:
  static Result<runtime::MadeBackend> make(const std::shared_ptr<const runtime::Model>& model,
                                           runtime::BackendOptions on, std::size_t tokens,
                                           Context& context) {
    const std::size_t pages = (tokens + runtime::kPageTokens - 1) / runtime::kPageTokens;
    on.kv_bytes = pages * runtime::cpu::KvPool::page_bytes(model->shape(), on.kv_type);
    ESP_ASSIGN(auto made, runtime::create_backend(model, on, context.system));
    if (!made.note.empty()) context.console.err() << "espalier: " + made.note + "\n";
    return made;
  }

  static Json report(const runtime::Model& model, const runtime::Model& reference,
                     const runtime::MadeBackend& made, const runtime::BackendOptions& on,
                     const TextWindows::Windows& windows, const runtime::Quality& quality) {
    Json calibration;
    if (on.fp8_calibration != nullptr) {
      const auto counts = on.fp8_calibration->counts();
      calibration = {{"name", on.fp8_calibration->name()},
                     {"bound", on.fp8_calibration->bound},
                     {"kept", counts.kept},
                     {"products", counts.all}};
    }
    return {{"model", model.path()},
            {"reference", reference.path()},
            {"device", made.device},
            {"numerics", runtime::numerics_name(on.numerics)},
            {"calibration", std::move(calibration)},
            {"kv_type", runtime::kv_type_name(on.kv_type)},
            {"windows", windows.all.size()},
            {"tokens", quality.tokens},
            {"reference_nll", quality.reference_nll},
            {"nll", quality.nll},
            {"nll_difference_error", quality.nll_error},
            {"reference_perplexity", std::exp(quality.reference_nll)},
            {"perplexity", std::exp(quality.nll)},
            {"same_first", quality.same_first},
            {"mean_divergence", quality.mean_divergence},
            {"most_divergence", quality.most_divergence},
            {"farthest_logprob", quality.farthest}};
  }

  static void print(const runtime::Model& model, const runtime::Model& reference,
                    const runtime::MadeBackend& made, const runtime::BackendOptions& on,
                    const TextWindows::Windows& windows, const runtime::Quality& quality,
                    Console& console) {
    const auto line = [&console](const char* what, const std::string& text) {
      char label[40];
      std::snprintf(label, sizeof label, "%-28s ", what);
      console.print_text(label + text);
    };
    const auto number = [](const char* form, auto... values) {
      char text[96];
      std::snprintf(text, sizeof text, form, values...);
      return std::string(text);
    };
    line("model", model.path());
    line("reference", reference.path() + ", exact");
    std::string how = std::string(runtime::numerics_name(on.numerics)) + ", K and V in " +
                      runtime::kv_type_name(on.kv_type) + ", on " + made.device;
    line("numerics", how);
    if (on.fp8_calibration != nullptr) {
      const auto counts = on.fp8_calibration->counts();
      line("calibration", on.fp8_calibration->name() + ": " + std::to_string(counts.kept) + " of " +
                              std::to_string(counts.all) + " products stay in 16 bits");
    }
    line("tokens", std::to_string(quality.tokens) + " in " + std::to_string(windows.all.size()) +
                       (windows.all.size() == 1 ? " window" : " windows"));
    line("NLL, reference", number("%.5f", quality.reference_nll));
    line("NLL", number("%.5f (%+.5f, standard error %.5f)", quality.nll,
                       quality.nll - quality.reference_nll, quality.nll_error));
    line("perplexity, reference", number("%.4f", std::exp(quality.reference_nll)));
    line("perplexity", number("%.4f", std::exp(quality.nll)));
    line("same likeliest token", number("%.2f %%", 100 * quality.same_first));
    line("KL divergence, mean", number("%.3g", quality.mean_divergence));
    line("KL divergence, largest", number("%.3g", quality.most_divergence));
    line("farthest log-probability", number("%.3g", quality.farthest));
  }

  ModelOptions model_;
  TextWindows text_;
  std::optional<std::string> against_;
  std::optional<std::int64_t> rows_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_quality() { return std::make_unique<QualityReport>(); }

}  // namespace espalier::cli
