#include "runtime/cuda/mask_table.h"

#include <algorithm>
#include <cstring>

namespace espalier::runtime::cuda {

Result<MaskTable> MaskTable::create(std::uint32_t vocabulary, std::uint32_t rows) {
  MaskTable out;
  // Whole 64-bit words, as masks have them.
  out.words_ = (vocabulary + 63) / 64 * 2;
  out.rows_ = rows;
  const std::uint64_t bytes = std::uint64_t{out.words_} * sizeof(std::uint32_t) * rows;
  ESP_ASSIGN(out.device_, DeviceMemory::allocate(bytes, "masks"));
  ESP_TRY(out.host_.fit(bytes, "masks"));
  return out;
}

Result<const std::uint32_t*> MaskTable::place(const grammar::MaskRef& mask,
                                              const SideCopies& copies) {
  const std::uint64_t bytes = std::uint64_t{words_} * sizeof(std::uint32_t);
  const auto found = rows_of_.find(mask.get());
  if (found != rows_of_.end()) {
    const auto row = found->second;
    row->step = step_;
    used_.splice(used_.end(), used_, row);
    return device_.as<std::uint32_t>(row->number * bytes);
  }
  std::uint32_t number = static_cast<std::uint32_t>(used_.size());
  if (used_.size() == rows_) {
    if (used_.front().step == step_) return nullptr;
    number = used_.front().number;
    rows_of_.erase(used_.front().mask.get());
    used_.pop_front();
  }
  // The row's last upload was done before the step that used it ended.
  const std::span<std::byte> to = host_.bytes().subspan(number * bytes, bytes);
  const std::size_t given = std::min<std::size_t>(mask->size_bytes(), bytes);
  mask->fill(to.data(), given);
  std::memset(to.data() + given, 0, bytes - given);
  ESP_TRY(copies.copy_in(device_.data() + number * bytes, to.data(), bytes));
  used_.push_back({mask, number, step_});
  rows_of_[mask.get()] = std::prev(used_.end());
  return device_.as<std::uint32_t>(number * bytes);
}

}  // namespace espalier::runtime::cuda
