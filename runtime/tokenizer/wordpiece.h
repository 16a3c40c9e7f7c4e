// WordPiece (Schuster and Nakajima, ICASSP 2012; tokenizer.ggml.model "bert"): words without regard
// to case and accents, each spelled by the longest tokens from its start.
//
// A text is normalized as BERT's tokenizer does (Devlin et al., NAACL 2019): control characters go,
// letters are lowered and lose their accents, punctuation and ideographs are words of their own.
// Model files mark what starts a word with U+2581; a "##" before what goes on inside one, as in the
// vocabulary's original form, is read as well. A word that cannot be spelled is the unknown token.
//
// Much of a text is lost: what decode() gives for the ids of a text are its normalized words, each
// after a space, and the ids of that are the same again.
#pragma once

#include "base/result.h"
#include "runtime/tokenizer/text_tokenizer.h"
#include "runtime/tokenizer/tokenizer_source.h"

namespace espalier::runtime {

/// Errors name the file and the key or token.
[[nodiscard]] Result<Family> make_wordpiece(const TokenizerSource& source);

}  // namespace espalier::runtime
