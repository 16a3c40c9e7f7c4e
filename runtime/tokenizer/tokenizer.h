// Text to token ids and back, exactly as the model was trained.
//
// A Tokenizer is immutable and safe from any thread. `encode` treats its text as plain bytes: a
// special token's name inside it is spelled with ordinary tokens. `encode_special` also recognises
// special tokens by their text (longest match first) and is for raw prompts and templates only
// (CONTRACTS 15).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "grammar/vocabulary.h"

namespace espalier::runtime {

/// Where a text begins. SentencePiece models see a space before a run's first word ("\u2581Hello"
/// for "Hello"), and must not see one where a run goes on after generated tokens.
enum class TextStart : std::uint8_t {
  kRun,           // at a prompt's start, or after a control token
  kContinuation,  // after text, as after a hole
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Ids of `text`, no special tokens. O(n log n) at worst, linear in practice. Any bytes are
  /// accepted; kInvalid with the offset where the vocabulary cannot spell a byte.
  [[nodiscard]] virtual Result<std::vector<TokenId>> encode(
      std::string_view text, TextStart start = TextStart::kRun) const = 0;
  /// As encode(), but the text of a special token stands for that token, with the white space after
  /// it where takes_space_after().
  [[nodiscard]] virtual Result<std::vector<TokenId>> encode_special(
      std::string_view text) const = 0;
  /// The bytes of `ids`; special tokens appear by their text if `special`, else not at all. Unknown
  /// ids are skipped. It is `text` again for what encode() gave for a continuation, and
  /// run_prefix() + text for what it gave for a run; a WordPiece vocabulary keeps the words only.
  [[nodiscard]] virtual std::string decode(std::span<const TokenId> ids,
                                           bool special = false) const = 0;

  /// What encode() puts before a run that is not empty: " " or nothing.
  [[nodiscard]] virtual std::string_view run_prefix() const = 0;
  [[nodiscard]] virtual const grammar::VocabularyRef& vocabulary() const = 0;
  [[nodiscard]] virtual std::size_t size() const = 0;
  /// The id of a special token by its text ("<|im_start|>"), or kNoToken.
  [[nodiscard]] virtual TokenId special(std::string_view text) const = 0;
  /// Whether white space right after this token belongs to it: the model was trained without it.
  [[nodiscard]] virtual bool takes_space_after(TokenId id) const = 0;
  [[nodiscard]] virtual TokenId bos() const = 0;  // kNoToken where there is none
  [[nodiscard]] virtual TokenId eos() const = 0;
  [[nodiscard]] virtual bool add_bos() const = 0;  // whether a prompt starts with bos()
  [[nodiscard]] virtual bool add_eos() const = 0;  // whether a whole text ends with eos()
};

}  // namespace espalier::runtime
