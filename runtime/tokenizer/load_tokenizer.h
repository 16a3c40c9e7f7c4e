// Makes the tokenizer that a model file describes. Files with a vocabulary and no weights serve as
// well.
//
// Another family is a new file that makes it of a TokenizerSource, and its line in
// load_tokenizer.cpp's list.
#pragma once

#include <memory>

#include "base/result.h"
#include "runtime/model/gguf.h"
#include "runtime/tokenizer/tokenizer.h"

namespace espalier::runtime {

/// Errors name the file and the key, token or merge; families and pre-tokenizers that are not
/// supported are refused by name. The result owns copies of all it needs: the file may go.
[[nodiscard]] Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const Gguf& file);

}  // namespace espalier::runtime
