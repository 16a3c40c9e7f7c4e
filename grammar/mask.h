// A set of allowed tokens, immutable and shared. Interned per grammar, so equal sets are usually
// one object.
//
// Kept as it was found: tables of the vocabulary and single tokens beside them, or a bitset. Rows
// are filled straight from that (a copy and a bit a token): most masks are used once or twice. The
// bitset, the count and the list are made when they are asked for; the bitset also once rows have
// cost as much more than a copy each as making it does, and it is shared with all masks of the
// process that allow the same (mask_row.h). Thread-safe; owns, or shares, all that it refers to.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/token.h"
#include "grammar/make_room.h"
#include "grammar/mask_row.h"

namespace espalier::grammar {

/// A table of tokens that masks are made of: a bitset over the vocabulary.
struct MaskTable {
  std::vector<std::uint64_t> words;
};
using MaskTableRef = std::shared_ptr<const MaskTable>;

/// The same where they are few: ids in any order, alive as long as the owner.
struct TokenListRef {
  std::shared_ptr<const void> owner;
  std::span<const TokenId> ids;
  [[nodiscard]] static std::size_t held_bytes() { return 0; }  // the owner's
};

class Mask {
 public:
  /// `words` is a bitset over the vocabulary, bit i%64 of word i/64 for token i; bits past the
  /// vocabulary are 0.
  explicit Mask(std::vector<std::uint64_t> words);
  /// Of these tokens of a vocabulary of `words` times 64, in any order.
  Mask(std::vector<TokenId> ids, std::size_t words);
  /// Of the tokens of the tables, which are that long, of the lists, and these beside them.
  Mask(std::vector<MaskTableRef> tables, std::vector<TokenListRef> lists, std::vector<TokenId> ids,
       std::size_t words);

  [[nodiscard]] bool allows(TokenId id) const {
    const auto i = static_cast<std::size_t>(id);
    return i / 64 < size_ && ((words()[i / 64] >> (i % 64)) & 1) != 0;
  }
  /// Writes the first `bytes` bytes of the bitset (at most size_bytes()) to `to`, which needs no
  /// alignment.
  void fill(std::byte* to, std::size_t bytes) const;
  /// Bytes of a whole row.
  [[nodiscard]] std::size_t size_bytes() const { return size_ * sizeof(std::uint64_t); }
  [[nodiscard]] std::span<const std::uint64_t> words() const {
    written();
    return *row_;
  }
  /// How many tokens are allowed.
  [[nodiscard]] std::uint32_t count() const {
    counted();
    return count_;
  }
  /// The allowed ids in rising order, kept only where they are few (count() <= kListed): the pruned
  /// head's rows.
  [[nodiscard]] std::span<const TokenId> ids() const {
    counted();
    return ids_;
  }
  static constexpr std::uint32_t kListed = 1024;
  /// Bytes that it holds for itself, and its part of a row that it shares; not the tables and the
  /// lists of others.
  [[nodiscard]] std::size_t held_bytes() const;

 private:
  friend class MaskBuilder;
  void written() const {
    if (!written_.load(std::memory_order_acquire)) std::call_once(write_once_, [this] { write(); });
  }
  void counted() const {
    if (!counted_.load(std::memory_order_acquire)) std::call_once(count_once_, [this] { tally(); });
  }
  void write() const;  // row_
  void tally() const;  // ids_, count_

  std::size_t size_;                              // words
  std::vector<MaskTableRef> tables_;              // as it was found: all of these
  std::vector<TokenListRef> lists_;               // and these
  std::vector<TokenId> single_;                   // and these, in any order, perhaps twice
  bool dense_ = false;                            // as row_, and nothing else
  mutable std::atomic<std::uint64_t> spent_ = 0;  // on rows, see fill()
  mutable std::atomic<bool> written_ = false, counted_ = false;
  mutable std::once_flag write_once_, count_once_;
  mutable MaskRow row_;
  mutable std::vector<TokenId> ids_;
  mutable std::uint32_t count_ = 0;
};

using MaskRef = std::shared_ptr<const Mask>;

/// Collects a mask: a table or two, lists, and single tokens beside them. What was collected the
/// same way is found again by that, without being written out; masks of many single tokens are
/// compared by their words.
class MaskBuilder {
 public:
  explicit MaskBuilder(std::size_t vocabulary) : size_((vocabulary + 63) / 64) {}

  void allow(TokenId id) {
    if (words_.empty()) {
      make_room(ids_);
      ids_.push_back(id);
      if (ids_.size() == kKeyed) static_cast<void>(words());
      return;
    }
    words_[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1}
                                                 << (static_cast<std::size_t>(id) % 64);
  }
  void allow(TokenListRef list);
  void allow(MaskTableRef table);
  /// All that another one collected.
  void allow(const MaskBuilder& other);
  /// Whether words() was asked for.
  [[nodiscard]] bool dense() const { return !words_.empty(); }
  /// The mask so far, to be written to.
  std::vector<std::uint64_t>& words();
  /// Of what was collected; as same_as().
  [[nodiscard]] std::size_t hash() const;
  /// Whether `mask` was built of the same, collected the same way.
  [[nodiscard]] bool same_as(const Mask& mask) const;
  /// Begins another mask.
  void clear();
  /// Bytes that are held now.
  [[nodiscard]] std::size_t held() const {
    return tables_.size() * sizeof(MaskTableRef) + lists_.size() * sizeof(TokenListRef) +
           ids_.size() * sizeof(TokenId) + words_.size() * sizeof(std::uint64_t);
  }
  /// The same with the room around it.
  [[nodiscard]] std::size_t held_bytes() const;
  /// What was collected; clear() before another one.
  [[nodiscard]] MaskRef build();

 private:
  static constexpr std::size_t kKeyed = 4096;
  std::size_t size_;
  std::vector<MaskTableRef> tables_;
  std::vector<TokenListRef> lists_;
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
