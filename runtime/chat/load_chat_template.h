// A model's chat template, from its file (tokenizer.chat_template).
//
// A model without a template is of family "none". One whose template this interpreter cannot run
// still loads and serves raw prompts, but supports no role, and says what the template has that is
// not supported.
#pragma once

#include <memory>

#include "base/result.h"
#include "runtime/chat/chat_template.h"
#include "runtime/model/gguf.h"

namespace espalier::runtime {

[[nodiscard]] Result<std::shared_ptr<const ChatTemplate>> load_chat_template(
    const Gguf& file, std::shared_ptr<const Tokenizer> tokenizer);

/// The same from a template's source. strftime_now shows this machine's local time of the call.
[[nodiscard]] Result<std::shared_ptr<const ChatTemplate>> make_chat_template(
    std::string_view source, std::shared_ptr<const Tokenizer> tokenizer);

}  // namespace espalier::runtime
