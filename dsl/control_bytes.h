// Control tokens in the texts of calls.
//
// Some templates write calls with control tokens ([TOOL_CALLS], <｜tool▁sep｜>). They have no
// bytes, so that no text can ever forge them; masks and parsers of calls are over bytes. In those
// texts, and there alone, a control token stands as bytes that occur in no UTF-8 text, and the
// vocabulary that calls are masked with has them for it. That vocabulary lacks the tokens which
// could spell them otherwise: no type allows those.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "grammar/vocabulary.h"
#include "runtime/chat/chat_template.h"
#include "runtime/tokenizer/tokenizer.h"

namespace espalier::dsl {

/// Five bytes, the first of them 0xFF.
[[nodiscard]] std::string control_bytes(TokenId id);
/// Control tokens and the texts between them.
[[nodiscard]] runtime::Segments control_segments(std::string_view bytes);
/// The tokenizer's vocabulary in which these control tokens are spelled.
[[nodiscard]] Result<grammar::VocabularyRef> with_control_bytes(const runtime::Tokenizer& tokenizer,
                                                                std::span<const TokenId> controls);

}  // namespace espalier::dsl
