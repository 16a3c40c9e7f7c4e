// Which slots of a bounded room hold which pages of which paths: a trie of whole pages, so that
// identity is exact tokens, with the least recently used leaf as the one that goes.
//
// A page is known by the page before it and its own tokens. Slots are handed out in rising order
// until all are in use, so that a room may grow with them. Recency is one list in which a page
// always stands before those that hang on it: a use moves a path to the front from its end upwards,
// and a new page stands right behind the one before it. So the last of the list is a leaf, and what
// goes is never in the middle of a path.
//
// O(1) a page, 150 bytes each.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "runtime/backend.h"

namespace espalier::runtime {

class PageIndex {
 public:
  using Slot = std::uint32_t;
  using Tokens = std::span<const TokenId, kPageTokens>;
  static constexpr Slot kNone = UINT32_MAX;

  explicit PageIndex(Slot slots) : capacity_(slots) {}

  /// How many of the path's leading whole pages are there. No use of them.
  [[nodiscard]] Slot count(std::uint64_t space, std::span<const TokenId> path) const;
  /// The slots of the path's leading whole pages that are there, and a use of each.
  void find(std::uint64_t space, std::span<const TokenId> path, std::vector<Slot>& out);
  /// A slot for the page of these tokens behind `before` (kNone: the first of a path of `space`),
  /// which must not be there yet and was found or added last. Where all are in use the least
  /// recently used leaf goes. kNone where that is `before` itself, or there are no slots.
  [[nodiscard]] Slot add(std::uint64_t space, Slot before, Tokens tokens);
  /// Takes a page out which nothing hangs on.
  void remove(Slot slot);
  /// There is no room for this slot after all, the one added last, nor for any that was never
  /// handed out: takes it out, and from now on there are so many fewer.
  void withdraw(Slot slot);

  [[nodiscard]] Slot size() const { return static_cast<Slot>(slots_of_.size()); }
  [[nodiscard]] Slot capacity() const { return capacity_; }
  /// Every invariant, by a walk over all. For tests.
  [[nodiscard]] Status check() const;

 private:
  struct Key {
    std::uint64_t space = 0;  // 0 but for the first page of a path
    Slot before = kNone;
    std::array<TokenId, kPageTokens> tokens{};
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const;
  };
  struct Entry {
    Key key;
    std::uint32_t children = 0;
    Slot newer = kNone;
    Slot older = kNone;
    bool used = false;
  };
  [[nodiscard]] static Key key_of(std::uint64_t space, Slot before, Tokens tokens);
  /// Calls f(slot) for each of the path's leading whole pages that are there.
  template <class F>
  void walk(std::uint64_t space, std::span<const TokenId> path, F f) const;
  void unlink(Slot slot);
  void link_behind(Slot slot, Slot newer);  // kNone: at the front

  Slot capacity_;
  Slot fresh_ = 0;  // slots from here on were never handed out
  std::vector<Slot> free_;
  std::vector<Entry> entries_;  // by slot
  std::unordered_map<Key, Slot, Hash> slots_of_;
  Slot newest_ = kNone;
  Slot oldest_ = kNone;
};

}  // namespace espalier::runtime
