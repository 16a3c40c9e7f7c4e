// A model that is ready to work: found, loaded, with a backend and an engine.
//
// load_model() stops after the file (tokenize needs no engine). A Session owns
// all of it; destroying it cancels what runs. Times count from open().
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "base/token.h"
#include "cli/command.h"
#include "cli/options.h"
#include "runtime/engine/engine.h"
#include "runtime/model/model.h"

namespace espalier::cli {

/// Finds and loads the model that the options name. An unknown name is
/// kNotFound with the nearest known one; a known one that is not in the store
/// yet says how to get it.
[[nodiscard]] Result<std::shared_ptr<const runtime::Model>> load_model(const ModelOptions& options,
                                                                       Context& context);

class Session {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Session>> open(const ModelOptions& options,
                                                             Context& context);

  [[nodiscard]] const runtime::Model& model() const { return *model_; }
  [[nodiscard]] const std::shared_ptr<const runtime::Model>& model_ref() const { return model_; }
  [[nodiscard]] runtime::Engine& engine() const { return *engine_; }
  /// The name of what numerics are calibrated by; empty: nothing.
  [[nodiscard]] const std::string& calibration() const { return calibration_; }
  [[nodiscard]] double load_seconds() const { return load_seconds_; }
  [[nodiscard]] double wall_seconds() const;

  /// Ids of a raw prompt: bos first where the model's file asks for it.
  [[nodiscard]] Result<std::vector<TokenId>> encode(std::string_view text, bool special) const;
  /// The tokens that a model ends a text with.
  [[nodiscard]] std::vector<TokenId> end_tokens() const;

 private:
  explicit Session(System& system) : system_(system), opened_(system.now()) {}

  System& system_;
  System::Clock::time_point opened_;
  double load_seconds_ = 0;
  std::string calibration_;
  std::shared_ptr<const runtime::Model> model_;
  std::unique_ptr<runtime::Engine> engine_;
};

}  // namespace espalier::cli
