// Masks for a batch: many matchers at once, on several threads, and ids that stand for masks.
//
// A server asks for the masks of all its rows at every step. `masks_of` finds them on threads;
// `fill_rows` copies them into the caller's bitmask besides. Where the sampler runs on a device the
// rows themselves need not travel: `MaskSlots` keeps the distinct masks of late in a table of fixed
// size, which the device holds a copy of, and a step sends a slot's number a row (4 bytes) and the
// few rows of the table that changed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "grammar/mask.h"
#include "grammar/matcher.h"

namespace espalier::grammar {

struct RowRequest {
  const Matcher* matcher = nullptr;  // valid()
  std::uint32_t tokens_left = 0;     // see Matcher::mask
};

/// The masks of `requests`, in their order: the same for any number of threads (at least one, this
/// one among them, and no more than there are requests). Matchers of one grammar wait for each
/// other while a mask is looked up or made; those of different grammars do not. Threads are started
/// for the call (some 20 us each), which pays where masks have to be made.
[[nodiscard]] std::vector<MaskRef> masks_of(std::span<const RowRequest> requests, unsigned threads);

/// Rows of bits in the caller's memory: bit i % 8 of byte i / 8 is token i.
struct BitRows {
  std::byte* data = nullptr;
  std::ptrdiff_t stride = 0;  // bytes from a row to the next
  std::size_t row_bytes = 0;  // that are written of a row: at most those of the mask's words
};

/// masks_of(), each copied into a row: requests[i] into rows[i] (as many as requests). Of requests
/// that name the same row, which one stays is not said.
void fill_rows(std::span<const RowRequest> requests, std::span<const std::size_t> rows,
               const BitRows& out, unsigned threads);

/// A table of at most `capacity` distinct masks over one vocabulary. A mask keeps its slot until
/// the slot is needed for another, the one used longest ago first; slots of the newest assign() and
/// of the one before it are never taken, so that a step may still be reading while the next is
/// prepared. Equal masks of different grammars share a slot.
///
/// Memory: capacity * vocabulary / 8 bytes, and the masks themselves while they have a slot. Not
/// thread-safe.
class MaskSlots {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{1} << 32;

  /// kInvalid where the capacity or the vocabulary is 0, kLimit where the table would pass
  /// kMostBytes.
  static Result<MaskSlots> create(std::size_t vocabulary, std::size_t capacity);

  struct Assigned {
    std::vector<std::uint32_t> slots;    // by mask
    std::vector<std::uint32_t> changed;  // rows of the table that were written, each once
  };
  /// Cost: a look-up a mask that was assigned before, else a hash and a copy of its words. Errors,
  /// and nothing changed: kInvalid where a mask is of another vocabulary; kLimit where the distinct
  /// masks of this batch and the one before are more than the capacity.
  [[nodiscard]] Result<Assigned> assign(std::span<const MaskRef> masks);

  [[nodiscard]] std::size_t capacity() const { return slots_.size(); }
  [[nodiscard]] std::size_t row_words() const { return row_words_; }
  /// The table: capacity() rows of row_words() words, row after row.
  [[nodiscard]] std::span<const std::uint64_t> words() const { return words_; }

 private:
  struct Slot {
    MaskRef mask;                            // none: free
    std::vector<MaskRef> alike;              // other objects with the same words that were seen
    std::uint64_t used = 0;                  // the last assign()
    std::list<std::uint32_t>::iterator age;  // in by_age_
  };
  static constexpr std::uint32_t kNone = UINT32_MAX;
  static constexpr std::size_t kMostAlike = 8;

  MaskSlots(std::size_t vocabulary, std::size_t capacity);
  std::uint32_t find(const MaskRef& mask);
  void free(std::uint32_t slot);

  std::size_t vocabulary_, row_words_;
  std::vector<Slot> slots_;
  std::vector<std::uint64_t> words_;
  std::list<std::uint32_t> by_age_;  // used longest ago first; free ones before all
  std::unordered_map<const Mask*, std::uint32_t> by_object_;
  std::unordered_multimap<std::size_t, std::uint32_t> by_words_;
  std::uint64_t batch_ = 1;
};

}  // namespace espalier::grammar
