// Finds how a model's turns are written from the chat template in its file
// (tokenizer.chat_template).
//
// The template's source is never run: its family is recognised by the control tokens and the
// expression that writes a turn, and what varies inside the family is taken out of its string
// literals. A model without a template is of family "none"; one whose template is of no known
// family still loads and serves raw prompts, but supports no role. Another family is a new file
// with a reader, and its line in load_chat_template.cpp's list.
#pragma once

#include <memory>

#include "base/result.h"
#include "runtime/chat/chat_template.h"
#include "runtime/model/gguf.h"
#include "runtime/tokenizer/tokenizer.h"

namespace espalier::runtime {

[[nodiscard]] Result<std::shared_ptr<const ChatTemplate>> load_chat_template(
    const Gguf& file, const Tokenizer& tokenizer);

}  // namespace espalier::runtime
