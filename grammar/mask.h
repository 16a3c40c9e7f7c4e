// A set of allowed tokens, immutable and shared. Interned per grammar, so equal sets are usually
// one object.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/token.h"

namespace espalier::grammar {

class Mask {
 public:
  /// `words` is a bitset over the vocabulary, bit i%64 of word i/64 for token i; bits past the
  /// vocabulary are 0.
  explicit Mask(std::vector<std::uint64_t> words);
  /// With its count, where that is known.
  Mask(std::vector<std::uint64_t> words, std::uint32_t count);
  /// Of these tokens of a vocabulary of `words` times 64, in any order.
  Mask(std::vector<TokenId> ids, std::size_t words);

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
  void list();

  std::vector<std::uint64_t> words_;
  std::vector<TokenId> ids_;
  std::uint32_t count_ = 0;
};

using MaskRef = std::shared_ptr<const Mask>;

/// A table of tokens that outlives the masks made of it.
struct MaskTable {
  std::vector<std::uint64_t> words;
  std::uint32_t count = 0;
};

/// Collects a mask: a table or two, and single tokens beside them. What was collected the same way
/// has the same key(), so that it need not be written out to be found again; masks of many single
/// tokens have none and are compared by their words.
class MaskBuilder {
 public:
  explicit MaskBuilder(std::size_t vocabulary) : size_((vocabulary + 63) / 64) {}

  void allow(TokenId id) {
    if (words_.empty()) {
      ids_.push_back(id);
      if (ids_.size() == kKeyed) static_cast<void>(words());
      return;
    }
    words_[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1}
                                                 << (static_cast<std::size_t>(id) % 64);
  }
  void allow(const MaskTable& table);
  /// The mask so far, to be written to.
  std::vector<std::uint64_t>& words();
  /// Empty where there is none.
  [[nodiscard]] std::string key() const;
  [[nodiscard]] Mask build() &&;

 private:
  static constexpr std::size_t kKeyed = 4096;
  std::size_t size_;
  std::vector<const MaskTable*> tables_;
  std::vector<TokenId> ids_;
  std::vector<std::uint64_t> words_;  // once they are written out
};

/// Calls f(id) for every token of a mask's words.
template <class F>
void for_each_bit(std::span<const std::uint64_t> words, F&& f) {
  for (std::size_t w = 0; w < words.size(); ++w) {
    for (std::uint64_t rest = words[w]; rest != 0; rest &= rest - 1) {
      f(static_cast<TokenId>(w * 64 + static_cast<std::size_t>(std::countr_zero(rest))));
    }
  }
}

/// Bits that are set.
std::uint32_t count_bits(std::span<const std::uint64_t> words);

}  // namespace espalier::grammar
