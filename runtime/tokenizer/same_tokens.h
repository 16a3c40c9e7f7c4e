// Whether the ids of one model mean the same to another.
#pragma once

#include <optional>
#include <string>

#include "runtime/tokenizer/tokenizer.h"

namespace espalier::runtime {

/// The first difference between the tokens of `model` and `other`, in words that name it ("token 5
/// is "a" in the model and "b" in it"), or nothing: as many tokens, with the same bytes, special
/// texts and ends. How a text is cut into them may differ: ids are what they share. O(vocabulary).
[[nodiscard]] std::optional<std::string> token_difference(const Tokenizer& model,
                                                          const Tokenizer& other);

}  // namespace espalier::runtime
