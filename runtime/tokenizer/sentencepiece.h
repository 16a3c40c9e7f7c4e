// What SentencePiece's two kinds of model share (Kudo and Richardson, EMNLP 2018): U+2581 stands
// for a space in a piece's text, and byte tokens "<0x00>" to "<0xFF>" spell what no piece does.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/tokenizer/tokenizer_source.h"

namespace espalier::runtime {

/// `text` with each U+2581 as a space.
[[nodiscard]] std::string unescape_spaces(std::string_view text);

/// The bytes that each token stands for in a text: kCorrupt for a token that is typed a byte and is
/// not spelled as one.
[[nodiscard]] Result<std::vector<std::string>> sentencepiece_bytes(const TokenizerSource& source);

/// The token of each byte, or kNoToken.
[[nodiscard]] std::array<TokenId, 256> byte_tokens(const TokenizerSource& source);

}  // namespace espalier::runtime
