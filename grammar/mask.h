// A set of allowed tokens, immutable and shared. Interned per grammar, so equal sets are usually
// one object.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/token.h"

namespace espalier::grammar {

class Mask {
 public:
  /// `words` is a bitset over the vocabulary, bit i%64 of word i/64 for token i; bits past the
  /// vocabulary are 0.
  explicit Mask(std::vector<std::uint64_t> words);

  [[nodiscard]] bool allows(TokenId id) const {
    const auto i = static_cast<std::size_t>(id);
    return i / 64 < words_.size() && ((words_[i / 64] >> (i % 64)) & 1) != 0;
  }
  [[nodiscard]] std::span<const std::uint64_t> words() const { return words_; }
  /// How many tokens are allowed.
  [[nodiscard]] std::uint32_t count() const { return count_; }
  /// The allowed ids in rising order, kept only where they are few (count() <= kListed): the pruned
  /// head's rows.
  [[nodiscard]] std::span<const TokenId> ids() const { return ids_; }
  static constexpr std::uint32_t kListed = 1024;

 private:
  std::vector<std::uint64_t> words_;
  std::vector<TokenId> ids_;
  std::uint32_t count_ = 0;
};

using MaskRef = std::shared_ptr<const Mask>;

}  // namespace espalier::grammar
