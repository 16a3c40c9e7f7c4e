// A conversation rendered by a model's template, with the origin of every byte.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "grammar/json.h"
#include "runtime/jinja/template.h"

namespace espalier::runtime {

/// What a probe may cost. Known templates need a hundredth of it.
inline constexpr jinja::Limits kProbeLimits{
    .steps = 500'000, .output_bytes = 1u << 20, .memory_bytes = 16u << 20, .depth = 250};

/// A compiled template together with what it sees besides the conversation.
struct ConversationTemplate {
  std::shared_ptr<const jinja::Template> compiled;
  std::string bos;  // the tokens' texts; empty where the model has none
  std::string eos;
  std::chrono::sys_seconds now{};  // local civil time
  // The template knows the tools as `functions` (their JSON, indented by four) and the time as
  // `datetime`, as firefunction-v2 does.
  bool functions_and_datetime = false;
  // What `tools` is where none are given: null, as the transformers library has it, an empty list
  // for templates that cannot do with null, or the tools of ChatTemplate::with_tools.
  Json tools = Json();

  /// The texts of message i come from origin i + 1, those of the tools from kTools. A role that is
  /// one of the four known ones counts as the template's own, and so do bos and eos.
  static constexpr jinja::Origin kTools = 0xFFFFFFFF;
  [[nodiscard]] Result<jinja::Text> render(const Json& messages, const Json& given,
                                           bool generation_prompt,
                                           const jinja::Limits& limits = {}) const;
};

}  // namespace espalier::runtime
