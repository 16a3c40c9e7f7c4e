// Masks that live on the device: each is uploaded once and then named by its address there.
//
// A table of rows of one bitset each. A mask keeps its row while others are needed less; rows that
// the step at hand uses are never given away. Owns the rows and references to their masks, so that
// a mask's address names it. Used by one thread.
#pragma once

#include <cstdint>
#include <list>
#include <span>
#include <unordered_map>

#include "base/result.h"
#include "grammar/mask.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/side_copies.h"

namespace espalier::runtime::cuda {

class MaskTable {
 public:
  /// Bitsets over so many tokens, `rows` of them.
  [[nodiscard]] static Result<MaskTable> create(std::uint32_t vocabulary, std::uint32_t rows);

  /// Begins a step: every row may be given away that it does not ask for.
  void begin() { ++step_; }
  /// Enqueues the upload of a mask that is not there yet, and says where it lies; words() words of
  /// 32 bits. Null where all rows are taken by this step. kInternal.
  [[nodiscard]] Result<const std::uint32_t*> place(const grammar::MaskRef& mask,
                                                   const SideCopies& copies);
  [[nodiscard]] std::uint32_t words() const { return words_; }

 private:
  struct Row {
    grammar::MaskRef mask;
    std::uint32_t number = 0;
    std::uint64_t step = 0;  // that used it last
  };

  std::uint32_t words_ = 0;
  std::uint32_t rows_ = 0;
  std::uint64_t step_ = 0;
  std::list<Row> used_;  // least recently first
  std::unordered_map<const grammar::Mask*, std::list<Row>::iterator> rows_of_;
  DeviceMemory device_;
  PinnedMemory host_;  // as the device has it
};

}  // namespace espalier::runtime::cuda
