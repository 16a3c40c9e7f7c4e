// Byte-level byte-pair tokenizers (GPT-2's family; tokenizer.ggml.model "gpt2").
//
// A run of text is cut into pieces (pre_tokenizer.h), each piece's bytes are merged (byte_pair.h).
// Ids equal llama.cpp's on well-formed text; malformed UTF-8 keeps its bytes, where llama.cpp
// replaces them.
#pragma once

#include "base/result.h"
#include "runtime/tokenizer/text_tokenizer.h"
#include "runtime/tokenizer/tokenizer_source.h"

namespace espalier::runtime {

/// Errors name the file and the key, token or merge.
[[nodiscard]] Result<Family> make_byte_level_bpe(const TokenizerSource& source);

}  // namespace espalier::runtime
