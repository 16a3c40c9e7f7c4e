// Tokenizers from the `tokenizer.json` files of the Hugging Face `tokenizers` library.
//
// Read: byte-level byte-pair models (GPT-2, Llama 3, Qwen, Mistral's Tekken, GPT-4o, DeepSeek) and
// byte-pair models with byte fallback (Llama 2, Gemma, Phi-3), their added tokens, and the bos and
// eos that the post-processor adds. The steps before the model are recognised, not interpreted: a
// normalizer, pre-tokenizer or model that this reader does not know is refused by name. Unicode
// normalization (NFC) is not applied, so that what is encoded can be decoded.
//
// The file is hostile until proved otherwise: its size and nesting are bounded, ids are dense up to
// a limit, and what the tokens and merges say is checked as for any other file.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/tokenizer/tokenizer.h"

namespace espalier::runtime {

inline constexpr std::size_t kMaxTokenizerJsonBytes = 256U << 20;

/// `path` is only printed. The result keeps nothing of `json`. Takes O(bytes) memory meanwhile.
[[nodiscard]] Result<std::shared_ptr<const Tokenizer>> load_hf_tokenizer_json(
    std::string_view json, const std::string& path);

}  // namespace espalier::runtime
