// ChatML: `<|im_start|>ROLE\nTEXT<|im_end|>\n`, with a default system turn where the model's
// template has one.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "runtime/chat/chat_template.h"
#include "runtime/tokenizer/tokenizer.h"

namespace espalier::runtime {

/// nullptr where `source` (Jinja) is not a ChatML template that this reader is sure of.
[[nodiscard]] Result<std::shared_ptr<const ChatTemplate>> read_chatml(std::string_view source,
                                                                      const Tokenizer& tokenizer);

}  // namespace espalier::runtime
