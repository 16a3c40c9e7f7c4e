// espalier calibrate: which products of a model 8-bit floats are too coarse for.
#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/replace_file.h"
#include "cli/session.h"
#include "cli/text_windows.h"
#include "runtime/cpu/fp8_errors.h"
#include "runtime/fp8_calibration.h"

namespace espalier::cli {
namespace {

constexpr std::uint32_t kMostWindow = runtime::cpu::Fp8Errors::kMostWindow;
// Most products have 0.02 to 0.04: two factors of which each is off by some 2.6 %.
constexpr double kBound = 0.06;

class Calibrate final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("OUT", out_, "The file to write; a file that is there is replaced")
        ->required()
        ->type_name("");
    model_.declare(app, false);
    text_.declare(app, kMostWindow, kMostWindow);
    add_number(app, "--bound", bound_, 0, 1,
               "A product stays in 16 bits where its error, beside its outputs, is larger [0.06]");
    add_integer(app, "--threads", model_.threads, 1, 1024,
                "Threads, no more than there are processors [as many]");
    app.add_flag("--json", json_, "Print one JSON object");
  }

  Result<int> run(Context& context) override {
    ESP_TRY(text_.read(context));
    ESP_ASSIGN(const auto model, load_model(model_, context));
    ESP_ASSIGN(const TextWindows::Windows windows, text_.cut(*model));
    ESP_ASSIGN(const runtime::BackendOptions on, model_.backend(context.system));
    ESP_ASSIGN(const auto errors,
               runtime::cpu::Fp8Errors::create(model, runtime::threads_of(on, context.system),
                                               context.system));
    runtime::Fp8Calibration calibration;
    {
      ProgressLine line(context.console, context.system);
      for (std::size_t i = 0; i < windows.all.size(); ++i) {
        if (context.interrupt.requested()) return fail(ErrorCode::kCancelled, "stopped");
        line.show("measuring", i, windows.all.size(),
                  std::to_string(i) + " of " + std::to_string(windows.all.size()) + " windows");
        ESP_TRY(errors->take(windows.all[i]));
      }
    }
    calibration.model = runtime::model_key(*model);
    calibration.tokens = windows.tokens;
    calibration.bound = bound_.value_or(kBound);
    calibration.errors = errors->errors();
    ESP_TRY(replace_file(out_, calibration.text(), context.system));
    if (json_) {
      context.console.print_json(report(calibration));
    } else {
      print(calibration, context.console);
    }
    return kDone;
  }

 private:
  // f(layer, products, error), but for those whose weights are no floats.
  template <class F>
  static void each(const runtime::Fp8Calibration& of, F&& f) {
    for (std::size_t l = 0; l < of.errors.size(); ++l) {
      for (const runtime::LayerProducts products : runtime::kLayerProducts) {
        const double error = of.errors[l][static_cast<std::size_t>(products)];
        if (error != 0.0) f(l, products, error);
      }
    }
  }

  [[nodiscard]] Json report(const runtime::Fp8Calibration& of) const {
    Json products = Json::array();
    each(of, [&](std::size_t layer, runtime::LayerProducts which, double error) {
      products.push_back({{"layer", layer},
                          {"product", runtime::layer_products_name(which)},
                          {"error", error},
                          {"kept", of.keeps(layer, which)}});
    });
    return {{"file", out_},      {"name", of.name()},        {"tokens", of.tokens},
            {"bound", of.bound}, {"kept", of.counts().kept}, {"products", std::move(products)}};
  }

  void print(const runtime::Fp8Calibration& of, Console& console) const {
    char text[160];
    for (const runtime::LayerProducts which : runtime::kLayerProducts) {
      double sum = 0;
      double most = 0;
      std::size_t count = 0;
      each(of, [&](std::size_t, runtime::LayerProducts it, double error) {
        if (it != which) return;
        sum += error;
        most = std::max(most, error);
        ++count;
      });
      if (count == 0) continue;
      std::snprintf(text, sizeof text, "%-17s error %.4f, largest %.4f",
                    runtime::layer_products_name(which), sum / static_cast<double>(count), most);
      console.print_text(text);
    }
    each(of, [&](std::size_t layer, runtime::LayerProducts which, double error) {
      if (!of.keeps(layer, which)) return;
      std::snprintf(text, sizeof text, "stays in 16 bits: layer %zu %s (%.4f)", layer,
                    runtime::layer_products_name(which), error);
      console.print_text(text);
    });
    const auto counts = of.counts();
    std::snprintf(text, sizeof text, "%zu of %zu products stay in 16 bits, by %llu tokens",
                  counts.kept, counts.all, static_cast<unsigned long long>(of.tokens));
    console.print_text(text);
    console.print_text(out_ + ": " + of.name());
  }

  std::string out_;
  ModelOptions model_;
  TextWindows text_;
  std::optional<double> bound_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_calibrate() { return std::make_unique<Calibrate>(); }

}  // namespace espalier::cli
