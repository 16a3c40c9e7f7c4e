// A model that is none: what the tests of a program run on where no model is wanted.
//
// Every byte is a token, every role is supported, and a prompt is kept as for any model; asking for
// a token is an error, since a test's holes have their values from mocks. Or a real model's
// tokenizer and chat template without its weights: for what can be asked of a model without a run.
#pragma once

#include <memory>

#include "base/result.h"
#include "base/system.h"
#include "dsl/runner.h"
#include "runtime/engine/engine.h"

namespace espalier::dsl {

class MockModel {
 public:
  [[nodiscard]] static Result<std::unique_ptr<MockModel>> create(System& system);
  [[nodiscard]] static Result<std::unique_ptr<MockModel>> create(const ModelParts& parts,
                                                                 System& system);
  [[nodiscard]] Runner& runner() { return *runner_; }

 private:
  MockModel() = default;
  std::unique_ptr<runtime::Engine> engine_;
  std::unique_ptr<Runner> runner_;  // goes before the engine
};

/// The vocabulary of single bytes, in which `expect T accepts "…"` reads its text.
[[nodiscard]] Result<grammar::VocabularyRef> byte_vocabulary();

}  // namespace espalier::dsl
