// Copies of a rank's pages between its pool and pinned host memory, on a stream of their own beside
// the steps'.
//
// A slot has what the pool has of a page, as it lies there. Host memory is taken in blocks, when
// slots in it are asked for. Copies begin behind what the steps' stream has been given so far, and
// run in order, so a slot or a page that is both copied from and to needs no more care. The steps'
// stream waits for copies where it must, the host never does:
//   - for all of them before it touches a page that was copied since it last waited (but for
//     reading what was saved, which a step may do meanwhile),
//   - for pages that are loaded, a piece of layers at a time: pieces are copied one behind the
//     other for all pages of a call, so that a step's first layers run while the last ones come. A
//     recorded step waits for all of them before it begins.
//
// Nothing is made, and nothing costs anything, before the first slot is reserved. Used by the
// engine's thread, or the rank's while the engine's waits for it, with its device current.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "runtime/backend.h"
#include "runtime/cuda/device.h"

namespace espalier::runtime::cuda {

class PageTransfers {
 public:
  PageTransfers() = default;
  /// Of `pages` pages of `layers` layers each, from `pool` on, which `steps` reads and writes. Both
  /// outlive it.
  PageTransfers(std::byte* pool, std::uint32_t pages, std::uint64_t page_bytes,
                std::uint32_t layers, const Stream& steps);

  /// What is copied from host memory at once, at least; before anything is. No bit depends on it.
  void set_piece_bytes(std::uint64_t bytes) { piece_bytes_ = bytes; }

  /// HostPages' calls.
  [[nodiscard]] Status reserve(std::uint32_t slots);
  [[nodiscard]] Status save(HostCopy copy);
  [[nodiscard]] Status load(std::span<const HostCopy> copies);
  [[nodiscard]] HostPages::Took loads_took();

  /// The host waits for all copies: before the pool goes.
  void finish() const;

  // What the steps' stream waits for, before it is given what needs it.
  /// To write what the batch writes.
  [[nodiscard]] Status before_writing(const Batch& batch);
  /// To read or write a page outside of steps.
  [[nodiscard]] Status before_touching(PageId page);
  /// To read any page that was loaded, in any layer.
  [[nodiscard]] Status before_reading();
  /// To read them in this layer. Layers come in order.
  [[nodiscard]] Status before_layer(std::uint32_t layer);

 private:
  [[nodiscard]] Status open();
  [[nodiscard]] Status begin();
  [[nodiscard]] Status wait_for_all();
  [[nodiscard]] std::byte* slot(std::uint32_t number) const {
    return blocks_[number / block_slots_].as<std::byte>(number % block_slots_ * page_bytes_);
  }
  [[nodiscard]] std::uint32_t first_layer(std::size_t piece) const {
    return static_cast<std::uint32_t>(layers_ * piece / pieces_.size());
  }

  std::byte* pool_ = nullptr;
  std::uint32_t pages_ = 0;
  std::uint64_t page_bytes_ = 0;
  std::uint32_t layers_ = 0;
  const Stream* steps_ = nullptr;
  std::uint64_t piece_bytes_ = std::uint64_t{256} << 10;

  Stream stream_;  // null: not open
  std::uint32_t block_slots_ = 0;
  std::vector<PinnedMemory> blocks_;
  Event stepped_;              // of the steps' stream, when copies were begun last
  Event copied_;               // behind all copies
  std::vector<Event> pieces_;  // behind each piece of layers of all loads
  std::uint64_t calls_ = 0;    // of save() and load()
  std::uint64_t awaited_ = 0;  // of them, those that the steps' stream has waited for whole
  std::uint64_t loaded_ = 0;   // the last that was a load
  std::size_t arrived_ = 0;    // pieces of it that the steps' stream has waited for
  std::vector<std::uint64_t> touched_;  // by page: the last call that copied it
  // The loads whose time is taken.
  Event load_begins_;
  Event load_ends_;
  std::uint64_t timed_pages_ = 0;  // 0: none
};

}  // namespace espalier::runtime::cuda
