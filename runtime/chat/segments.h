// From rendered text to segments: where its control tokens are.
#pragma once

#include "runtime/chat/chat_template.h"
#include "runtime/jinja/text.h"

namespace espalier::runtime {

/// Special tokens are recognised in runs of the template's own bytes alone, the longest match
/// first; everything else is text. Neighbouring texts are one segment.
[[nodiscard]] Result<Segments> segments_of(const jinja::Text& text, const Tokenizer& tokenizer);

/// The longest common beginning; a text is cut between characters.
[[nodiscard]] Segments common_prefix(const Segments& a, const Segments& b);
/// Whether `whole` begins with `part`, and then what is left of it.
[[nodiscard]] std::optional<Segments> without_prefix(const Segments& whole, const Segments& part);
/// Whether `whole` ends with `part`, and then what stands before it.
[[nodiscard]] std::optional<Segments> without_suffix(const Segments& whole, const Segments& part);
/// `more` behind `to`; texts that meet become one.
void append(Segments& to, const Segments& more);

}  // namespace espalier::runtime
