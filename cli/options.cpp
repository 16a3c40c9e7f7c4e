#include "cli/options.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <memory>
#include <sstream>
#include <utility>

#include "runtime/engine/engine.h"
#include "runtime/model/hyper_parameters.h"

namespace espalier::cli {
namespace {

std::string shown(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

template <class T>
bool parse_all(const std::string& text, T& value) {
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && rest == end;
}

// A text that `parse` takes, else its message: said before anything is loaded.
template <class Parse>
void add_parsed(CLI::App& app, const std::string& name, std::optional<std::string>& target,
                const std::string& placeholder, Parse parse, const std::string& about) {
  app.add_option_function<std::string>(
         name,
         [&target, parse](const std::string& text) {
           if (const auto value = parse(text); !value) {
             throw CLI::ValidationError(value.error().message, CLI::ExitCodes::ValidationError);
           }
           target = text;
         },
         about)
      ->type_name(placeholder);
}

}  // namespace

CLI::Option* add_integer(CLI::App& app, const std::string& name,
                         std::optional<std::int64_t>& target, std::int64_t low, std::int64_t high,
                         const std::string& about) {
  std::string range = "a whole number";
  if (high == std::numeric_limits<std::int64_t>::max()) {
    range += low == 0 ? ", 0 or more" : " from " + std::to_string(low) + " up";
  } else {
    range += " from " + std::to_string(low) + " to " + std::to_string(high);
  }
  return app
      .add_option_function<std::string>(
          name,
          [&target, low, high, range, name](const std::string& text) {
            std::int64_t value = 0;
            if (!parse_all(text, value) || value < low || value > high) {
              throw CLI::ValidationError(name + " takes " + range + ", not '" + text + "'",
                                         CLI::ExitCodes::ValidationError);
            }
            target = value;
          },
          about)
      ->type_name("N");
}

CLI::Option* add_number(CLI::App& app, const std::string& name, std::optional<double>& target,
                        double low, double high, const std::string& about) {
  const std::string range = "a number from " + shown(low) + " to " + shown(high);
  return app
      .add_option_function<std::string>(
          name,
          [&target, low, high, range, name](const std::string& text) {
            double value = 0;
            if (!parse_all(text, value) || !std::isfinite(value) || value < low || value > high) {
              throw CLI::ValidationError(name + " takes " + range + ", not '" + text + "'",
                                         CLI::ExitCodes::ValidationError);
            }
            target = value;
          },
          about)
      ->type_name("X");
}

CLI::Option* add_text(CLI::App& app, const std::string& name, std::optional<std::string>& target,
                      const std::string& placeholder, const std::string& about) {
  return app
      .add_option_function<std::string>(
          name, [&target](const std::string& text) { target = text; }, about)
      ->type_name(placeholder);
}

void add_kv_type(CLI::App& app, std::optional<std::string>& target) {
  add_parsed(app, "--kv-type", target, "T", runtime::parse_kv_type,
             "How keys and values are kept: f16, bf16, or q8, which takes half of the memory and "
             "rounds more [f16]");
}

Result<runtime::KvType> kv_type_of(const std::optional<std::string>& text) {
  return runtime::parse_kv_type(text.value_or("f16"));
}

void ModelOptions::declare(CLI::App& app, bool engine) {
  app.add_option("--model", model,
                 "A model's name (see: espalier list) or the path of a .gguf file")
      ->type_name("M")
      ->capture_default_str();
  if (!engine) return;
  declare_backend(app);
  declare_engines(app);
  add_integer(
      app, "--context", context, 1, runtime::kMaxContext,
      "Positions to use at most; models with factors for short and for long texts take those "
      "that fit [all that the model has]");
  app.add_flag("--no-cache", no_cache,
               "Compute every prompt anew; the text is the same, only slower");
  add_text(app, "--kv-dir", kv_dir, "PATH",
           "Keep computed prompts in this folder and find them again in the next run");
  add_integer(app, "--host-kv", host_kv, 1, std::int64_t{1} << 50,
              "Bytes of host memory where computed prompts go that a GPU's pool has no room for, "
              "and come back from where that is measured to be cheaper than computing [none]");
  add_text(app, "--draft", draft, "M",
           "A smaller model of the same tokens that guesses ahead where that is measured to pay; "
           "the text is the same");
}

void ModelOptions::declare_backend(CLI::App& app) {
  add_integer(app, "--threads", threads, 1, 1024,
              "Threads of the model's arithmetic, no more than there are processors [as many]");
  add_parsed(
      app, "--device", device, "D", runtime::Device::parse,
      "Where the model runs: cpu, cuda, cuda:N, cuda:N,M,... (several GPUs for one model), or "
      "auto: a GPU where there is one that takes the model; the text is the same [auto]");
  add_integer(app, "--gpu-layers", gpu_layers, 0, runtime::kMaxLayers,
              "How many of the model's last layers the GPU has, with the head; the CPU has the "
              "others [as many as the GPU's memory takes]");
  add_integer(
      app, "--tensor-parallel", tensor_parallel, 0, 1024,
      "Of several GPUs, how many share each layer; the rest deals the layers out [as many as "
      "the model lets]");
  add_kv_type(app, kv_type);
  add_parsed(
      app, "--numerics", numerics, "V", runtime::parse_numerics,
      "The arithmetic: exact, the same bits everywhere; tensor, for which a GPU multiplies "
      "F16 and BF16 weights in 16 bits on its tensor cores; or fp8, for which it makes such "
      "weights 8-bit floats. Both round more, and what a text is may depend on what runs beside "
      "it [exact]");
  add_text(app, "--calibration", calibration, "F",
           "Of --numerics fp8: the file that says which products stay in 16 bits (see: espalier "
           "calibrate) [none do]");
}

void ModelOptions::declare_engines(CLI::App& app) {
  add_integer(
      app, "--data-parallel", data_parallel, 1, runtime::Engine::kMostEngines,
      "Engines side by side, each with the whole model and a pool of its own; a program runs "
      "on the one that holds most of its prompt. GPUs that are named are dealt out, the "
      "CPU's threads divided; the text is the same [1]");
}

Result<runtime::BackendOptions> ModelOptions::backend(System& system) const {
  runtime::BackendOptions out;
  ESP_ASSIGN(out.device, runtime::Device::parse(device.value_or("auto")));
  ESP_ASSIGN(out.kv_type, kv_type_of(kv_type));
  ESP_ASSIGN(out.numerics, runtime::parse_numerics(numerics.value_or("exact")));
  if (calibration) {
    ESP_ASSIGN(auto read, runtime::Fp8Calibration::read(*calibration, system));
    out.fp8_calibration = std::make_shared<const runtime::Fp8Calibration>(std::move(read));
  }
  out.threads = static_cast<unsigned>(threads.value_or(0));
  out.tensor_parallel = static_cast<std::uint32_t>(tensor_parallel.value_or(0));
  if (gpu_layers) out.gpu_layers = static_cast<std::uint32_t>(*gpu_layers);
  return out;
}

void SamplingOptions::declare(CLI::App& app) {
  add_number(app, "--temperature", temperature, 0, 100, "0 is greedy; higher is more varied");
  add_integer(app, "--seed", seed, 0, std::numeric_limits<std::int64_t>::max(),
              "Equal seeds give equal text [0]");
  add_integer(app, "--top-k", top_k, 0, std::numeric_limits<std::int32_t>::max(),
              "Sample among the K likeliest tokens; 0: all");
  add_number(app, "--top-p", top_p, 0, 1,
             "Sample among the likeliest tokens that hold this probability");
  add_number(app, "--min-p", min_p, 0, 1,
             "Drop tokens below this share of the likeliest one's probability");
  add_number(app, "--repetition", repetition, 0.01, 100,
             "Above 1: tokens seen before become less likely");
  add_number(app, "--presence", presence, -100, 100, "Taken once from tokens generated before");
  add_number(app, "--frequency", frequency, -100, 100, "Taken for each time a token was generated");
}

runtime::Sampling SamplingOptions::sampling() const {
  runtime::Sampling out;
  const auto take = [](const std::optional<double>& from, float& to) {
    if (from) to = static_cast<float>(*from);
  };
  take(temperature, out.temperature);
  take(top_p, out.top_p);
  take(min_p, out.min_p);
  take(repetition, out.repetition);
  take(presence, out.presence);
  take(frequency, out.frequency);
  if (top_k) out.top_k = static_cast<std::int32_t>(*top_k);
  if (seed) out.seed = static_cast<std::uint64_t>(*seed);
  return out;
}

}  // namespace espalier::cli
