// What a model file says of its tokenizer, read and checked as far as it can be without knowing the
// family: the tokens, their types and scores, the merges, the special ids.
//
// Views into the file, which must outlive it; the families copy what they keep. Tokens are looked
// up in an order by text, not in a hash table: no choice of texts makes loading slow.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "runtime/model/gguf.h"

namespace espalier::runtime {

inline constexpr std::size_t kMaxTokenBytes = 4096;

/// tokenizer.ggml.token_type's numbers.
enum class TokenType : std::uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // found in prompts by encode_special() only, and never part of text
  kUserDefined = 4,  // found in any text, before all else
  kUnused = 5,
  kByte = 6,  // "<0x0A>": one byte of a character that no other token spells
};

struct TokenizerSource {
  std::string path;   // of the file, for messages
  std::string model;  // the family
  std::string pre;    // the pre-tokenizer's name; empty where the file names none
  std::vector<std::string_view> tokens;  // by id, at most kMaxTokenBytes each; empty ones fill gaps
  std::vector<TokenId> by_text;          // ids of the tokens that are not empty, sorted by text
  std::vector<TokenType> types;          // by id
  bool typed = false;                    // whether the file gives the types
  std::vector<float> scores;             // by id, finite; of the families that go by them
  std::vector<std::pair<std::string_view, std::string_view>> merges;  // in order of rank
  TokenId bos = kNoToken, eos = kNoToken, unknown = kNoToken;
  TokenId separator = kNoToken, end_of_turn = kNoToken, end_of_message = kNoToken;
  std::optional<bool> add_bos, add_eos, add_separator;
  std::optional<bool> add_space_prefix, remove_extra_whitespaces;

  std::vector<TokenId> space_takers;  // tokens that white space right after them belongs to
  std::optional<bool> whole_pieces;   // instead of what the pre-tokenizer's name says

  /// Errors name the file and the key, token or merge.
  [[nodiscard]] static Result<TokenizerSource> read(const Gguf& file);

  /// Checks the tokens' sizes and that no two have the same text, and fills by_text.
  [[nodiscard]] Status index();
  /// Appends a merge: of both sides, or of their text with a space between.
  [[nodiscard]] Status add_merge(std::string_view left, std::string_view right);
  [[nodiscard]] Status add_merge(std::string_view line);

  [[nodiscard]] std::string_view text(TokenId id) const {
    return tokens[static_cast<std::size_t>(id)];
  }
  [[nodiscard]] TokenType type(TokenId id) const { return types[static_cast<std::size_t>(id)]; }
  /// The token with this text, of whatever type, or kNoToken. O(log n).
  [[nodiscard]] TokenId find(std::string_view wanted) const;
  /// The same, where it is of the type.
  [[nodiscard]] TokenId find(std::string_view wanted, TokenType wanted_type) const;
  /// 'token 7 "abc"', for messages.
  [[nodiscard]] std::string named(TokenId id) const;
  /// The failure with the file's name before `message`.
  [[nodiscard]] tl::unexpected<Error> refuse(ErrorCode code, const std::string& message) const;
};

}  // namespace espalier::runtime
