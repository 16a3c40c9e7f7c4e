// SentencePiece's byte-pair models (tokenizer.ggml.model "llama": Llama 2, Mistral, Gemma, Phi-3).
//
// A run is not cut into words: spaces are characters, and the adjacent pair whose joined text has
// the best score merges first, the leftmost of equals, whatever pieces it came from. That is
// byte_pair.h's merging with a rule for each way to part a token into two that can be there, ranked
// by the token's score; characters that are no token themselves can be sides, too. What is left and
// no token is spelled by byte tokens.
//
// Ids equal llama.cpp's on well-formed text, but for two cases: a control, unknown or unused token
// never comes out of plain text, and U+2581 in a text is spelled by its bytes, because its token
// would be read back as a space.
#pragma once

#include "base/result.h"
#include "runtime/tokenizer/text_tokenizer.h"
#include "runtime/tokenizer/tokenizer_source.h"

namespace espalier::runtime {

/// O(bytes of all tokens * log) time. Errors name the file and the key or token.
[[nodiscard]] Result<Family> make_sentencepiece_bpe(const TokenizerSource& source);

}  // namespace espalier::runtime
