// Pre-tokenizers: how a text falls into the pieces inside which a byte-pair tokenizer merges.
//
// A model file names its pre-tokenizer (tokenizer.ggml.pre); each one is a hand-written scanner
// that splits exactly as the regular expression it was trained with, in one pass, linear for any
// bytes. Another one is a new file and its line in pre_tokenizer.cpp.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace espalier::runtime {

struct PreTokenizer {
  std::string_view name;
  /// Appends the end of each piece, shifted by `base`. Pieces are not empty and together are all of
  /// `text`.
  void (*split)(std::string_view text, std::size_t base, std::vector<std::size_t>& ends);
};

/// nullptr where the name is not known.
[[nodiscard]] const PreTokenizer* find_pre_tokenizer(std::string_view name);
/// The names that are, for messages: "gpt-2, smollm".
[[nodiscard]] std::string pre_tokenizer_names();

namespace internal {
void split_gpt2(std::string_view text, std::size_t base, std::vector<std::size_t>& ends);
void split_smollm(std::string_view text, std::size_t base, std::vector<std::size_t>& ends);
}  // namespace internal

}  // namespace espalier::runtime
