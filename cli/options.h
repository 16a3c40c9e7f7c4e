// Options that several verbs share, declared once: the model, the sampling, the
// reports.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/system.h"
#include "runtime/device.h"
#include "runtime/sampling/sampling.h"

namespace espalier::cli {

/// `name` takes a whole number in [low, high]; what it refuses names the range.
CLI::Option* add_integer(CLI::App& app, const std::string& name,
                         std::optional<std::int64_t>& target, std::int64_t low, std::int64_t high,
                         const std::string& about);
/// `name` takes a finite number in [low, high].
CLI::Option* add_number(CLI::App& app, const std::string& name, std::optional<double>& target,
                        double low, double high, const std::string& about);
/// `name` takes one text.
CLI::Option* add_text(CLI::App& app, const std::string& name, std::optional<std::string>& target,
                      const std::string& placeholder, const std::string& about);

/// --kv-type, and what it says: kInvalid for what there is not.
void add_kv_type(CLI::App& app, std::optional<std::string>& target);
[[nodiscard]] Result<runtime::KvType> kv_type_of(const std::optional<std::string>& text);

struct ModelOptions {
  std::string model = "smollm2";
  std::optional<std::int64_t> threads, context, gpu_layers, tensor_parallel;
  std::optional<std::string> device, kv_type, numerics, calibration;
  bool no_cache = false;
  std::optional<std::string> kv_dir;
  std::optional<std::int64_t> host_kv, data_parallel;
  std::optional<std::string> draft;

  /// `engine`: also what only matters where the model runs.
  void declare(CLI::App& app, bool engine);
  /// --threads, --kv-type, --numerics, --calibration and where the model runs alone.
  void declare_backend(CLI::App& app);
  /// --data-parallel alone.
  void declare_engines(CLI::App& app);
  /// kInvalid where no device, type or numerics has such a name, or the calibration is none; kIo
  /// and kNotFound where it cannot be read.
  [[nodiscard]] Result<runtime::BackendOptions> backend(System& system) const;
  [[nodiscard]] std::size_t engines() const {
    return static_cast<std::size_t>(data_parallel.value_or(1));
  }
};

/// What the command line says of sampling; what it does not say is left to the
/// program's config, else greedy.
struct SamplingOptions {
  std::optional<double> temperature, top_p, min_p, repetition, presence, frequency;
  std::optional<std::int64_t> top_k, seed;

  void declare(CLI::App& app);
  [[nodiscard]] runtime::Sampling sampling() const;
};

/// The longest text that the command line reads whole.
inline constexpr std::uint64_t kMaxTextBytes = 64u << 20;

}  // namespace espalier::cli
