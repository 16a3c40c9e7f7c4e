// Byte-level byte-pair tokenizers (GPT-2's family; tokenizer.ggml.model "gpt2").
//
// Text is cut at the user-defined tokens in it, each run between them into pieces
// (pre_tokenizer.h), each piece's bytes are merged (byte_pair.h). Ids equal llama.cpp's on
// well-formed text; malformed UTF-8 keeps its bytes, where llama.cpp replaces them.
#pragma once

#include <memory>

#include "base/result.h"
#include "runtime/model/gguf.h"
#include "runtime/tokenizer/tokenizer.h"

namespace espalier::runtime {

inline constexpr std::size_t kMaxTokenBytes = 4096;

[[nodiscard]] Result<std::shared_ptr<const Tokenizer>> load_byte_level_bpe(const Gguf& file);

}  // namespace espalier::runtime
