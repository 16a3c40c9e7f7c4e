// The form in which the model at hand writes calls, as masks and prompts need it.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "grammar/call_form.h"
#include "grammar/vocabulary.h"

namespace espalier::dsl {

struct CallSyntax {
  /// Control tokens stand in it as control_bytes.h has them; its views are into `texts`, or are
  /// constants.
  grammar::CallForm form = grammar::kPlainCall;
  /// What calls are masked with where the form has control tokens; else null.
  grammar::VocabularyRef vocabulary = nullptr;
  std::shared_ptr<const std::array<std::string, 6>> texts = nullptr;
};

}  // namespace espalier::dsl
