#include "runtime/cuda/page_transfers.h"

#include <algorithm>
#include <string>
#include <utility>

namespace espalier::runtime::cuda {
namespace {

constexpr std::uint64_t kBlockBytes = std::uint64_t{16} << 20;
// A page is loaded in pieces of whole layers, as many as this at most.
constexpr std::uint64_t kMostPieces = 8;

}  // namespace

PageTransfers::PageTransfers(std::byte* pool, std::uint32_t pages, std::uint64_t page_bytes,
                             std::uint32_t layers, const Stream& steps)
    : pool_(pool), pages_(pages), page_bytes_(page_bytes), layers_(layers), steps_(&steps) {}

Status PageTransfers::open() {
  if (stream_.get() != nullptr) return {};
  ESP_ASSIGN(stepped_, Event::create(false));
  ESP_ASSIGN(copied_, Event::create(false));
  ESP_ASSIGN(load_begins_, Event::create(true));
  ESP_ASSIGN(load_ends_, Event::create(true));
  const std::uint64_t pieces = std::clamp<std::uint64_t>(
      page_bytes_ / piece_bytes_, 1, std::min<std::uint64_t>(layers_, kMostPieces));
  std::vector<Event> made(pieces);
  for (Event& event : made) {
    ESP_ASSIGN(event, Event::create(false));
  }
  pieces_ = std::move(made);
  touched_.assign(pages_, 0);
  block_slots_ = static_cast<std::uint32_t>(std::max<std::uint64_t>(1, kBlockBytes / page_bytes_));
  ESP_ASSIGN(stream_, Stream::create());
  return {};
}

Status PageTransfers::reserve(std::uint32_t slots) {
  ESP_TRY(open());
  while (std::uint64_t{block_slots_} * blocks_.size() < slots) {
    PinnedMemory block;
    ESP_TRY(block.fit(block_slots_ * page_bytes_, "pages beside the KV pool"));
    blocks_.push_back(std::move(block));
  }
  return {};
}

// Behind the steps so far, and what else their stream does to pages.
Status PageTransfers::begin() {
  ++calls_;
  ESP_TRY(stepped_.record(*steps_));
  return stepped_.hold(stream_);
}

Status PageTransfers::save(HostCopy copy) {
  ESP_TRY(begin());
  touched_[copy.page] = calls_;
  ESP_TRY(stream_.copy_out(slot(copy.slot), pool_ + copy.page * page_bytes_, page_bytes_));
  return copied_.record(stream_);
}

Status PageTransfers::load(std::span<const HostCopy> copies) {
  ESP_TRY(begin());
  // Before anything can fail: what was begun is waited for.
  for (const HostCopy& copy : copies) touched_[copy.page] = calls_;
  loaded_ = calls_;
  arrived_ = 0;
  const bool timed = timed_pages_ == 0;
  if (timed) ESP_TRY(load_begins_.record(stream_));
  Status status;
  const std::uint64_t layer_bytes = page_bytes_ / layers_;
  for (std::size_t piece = 0; piece < pieces_.size(); ++piece) {
    const std::uint64_t first = first_layer(piece) * layer_bytes;
    const std::uint64_t bytes = first_layer(piece + 1) * layer_bytes - first;
    for (const HostCopy& copy : copies) {
      if (!status) break;
      status =
          stream_.copy_in(pool_ + copy.page * page_bytes_ + first, slot(copy.slot) + first, bytes);
    }
    ESP_TRY(pieces_[piece].record(stream_));
  }
  ESP_TRY(copied_.record(stream_));
  if (timed && status) {
    ESP_TRY(load_ends_.record(stream_));
    timed_pages_ = copies.size();
  }
  return status;
}

void PageTransfers::finish() const {
  if (stream_.get() != nullptr) (void)cudaStreamSynchronize(stream_.get());
}

HostPages::Took PageTransfers::loads_took() {
  if (timed_pages_ == 0 || !load_ends_.reached()) return {};
  const std::uint64_t pages = std::exchange(timed_pages_, 0);
  const auto seconds = load_ends_.seconds_since(load_begins_);
  if (!seconds) return {};
  return {pages, *seconds};
}

Status PageTransfers::wait_for_all() {
  if (awaited_ == calls_) return {};
  ESP_TRY(copied_.hold(*steps_));
  awaited_ = calls_;
  return {};
}

Status PageTransfers::before_touching(PageId page) {
  return touched_.empty() || touched_[page] <= awaited_ ? Status() : wait_for_all();
}

Status PageTransfers::before_writing(const Batch& batch) {
  if (awaited_ == calls_) return {};
  for (const KvSlot& to : batch.writes) ESP_TRY(before_touching(to.page));
  for (const PageCopy& copy : batch.copies) ESP_TRY(before_touching(copy.to));
  return {};
}

Status PageTransfers::before_reading() {
  if (loaded_ <= awaited_ || arrived_ == pieces_.size()) return {};
  ESP_TRY(pieces_.back().hold(*steps_));
  arrived_ = pieces_.size();
  return {};
}

Status PageTransfers::before_layer(std::uint32_t layer) {
  if (loaded_ <= awaited_) return {};
  while (arrived_ < pieces_.size() && first_layer(arrived_) <= layer) {
    ESP_TRY(pieces_[arrived_].hold(*steps_));
    ++arrived_;
  }
  return {};
}

}  // namespace espalier::runtime::cuda
