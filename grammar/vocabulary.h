// A model's vocabulary as the grammar engine sees it: which bytes each token stands for.
//
// Immutable and shared (shared_ptr<const Vocabulary>); safe from any thread. Built once a model.
// The byte trie over all ordinary tokens is built with it, since every mask walks it. Special
// (control) tokens have no bytes here: they are never produced by a grammar except the end-of-turn
// token, which ends a hole that nothing else ends.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "grammar/byte_set.h"

namespace espalier::grammar {

struct TokenCharacters;
class TokenSlice;
class TokenTrie;

class Vocabulary {
 public:
  /// bytes -> the ids the model's tokenizer gives for them (no special tokens), or an error naming
  /// the offset of the first byte that the vocabulary cannot spell.
  using Canonical = std::function<Result<std::vector<TokenId>>(std::string_view)>;

  struct Spec {
    std::vector<std::string> bytes;  // by id; empty for special and unused tokens
    TokenId end_of_turn = kNoToken;  // closes a hole that ends its turn
    std::vector<TokenId>
        also_end;         // further tokens that a model ends with (eos, eom): the same effect
    Canonical canonical;  // empty: forced bytes, but no forced tokens
  };
  /// Fails (kInvalid) when an end token is out of range or no token has bytes.
  static Result<std::shared_ptr<const Vocabulary>> create(Spec spec);
  ~Vocabulary();

  [[nodiscard]] std::size_t size() const { return spec_.bytes.size(); }
  [[nodiscard]] std::string_view bytes(TokenId id) const {
    return spec_.bytes[static_cast<std::size_t>(id)];
  }
  [[nodiscard]] TokenId end_of_turn() const { return spec_.end_of_turn; }
  [[nodiscard]] bool is_end(TokenId id) const;
  /// The end tokens beside end_of_turn().
  [[nodiscard]] std::span<const TokenId> also_end() const { return spec_.also_end; }
  [[nodiscard]] const Canonical& canonical() const { return spec_.canonical; }
  [[nodiscard]] const TokenTrie& trie() const { return *trie_; }
  [[nodiscard]] std::size_t longest_token() const { return longest_; }
  /// The bytes that are tokens by themselves.
  [[nodiscard]] const ByteSet& single_bytes() const { return single_; }
  /// What JSON text read through this vocabulary can hold: single_bytes(), where no token holds
  /// another byte and nothing is missing but bytes that begin characters beyond ASCII, controls,
  /// and what never stands in UTF-8 (byte-level vocabularies are often made without bytes that
  /// their corpus did not have). Else all bytes: then what closes need not be spelled.
  [[nodiscard]] const ByteSet& json_bytes() const { return json_; }
  /// The tokens made of whole code points of the class (see token_slice.h), built at its first use
  /// and kept; nullptr where they are few, and once kSlices classes are known. Thread-safe.
  const TokenSlice* slice(std::span<const std::pair<char32_t, char32_t>> ranges,
                          std::optional<unsigned char> excluded) const;
  static constexpr std::size_t kSlices = 64;

 private:
  explicit Vocabulary(Spec spec);
  Spec spec_;
  std::unique_ptr<const TokenTrie> trie_;
  std::size_t longest_ = 0;
  ByteSet single_, json_ = ByteSet::all();
  mutable std::mutex slices_mutex_;
  mutable std::unique_ptr<const TokenCharacters> characters_;
  mutable std::map<std::string, std::unique_ptr<const TokenSlice>> slices_;
};

using VocabularyRef = std::shared_ptr<const Vocabulary>;

}  // namespace espalier::grammar
