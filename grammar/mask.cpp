#include "grammar/mask.h"

#include <algorithm>
#include <utility>

namespace espalier::grammar {

// Without the instruction, which the baseline machine does not promise; compilers make vectors of
// it.
std::uint32_t count_bits(std::span<const std::uint64_t> words) {
  std::uint64_t sum = 0;
  for (std::uint64_t w : words) {
    w -= (w >> 1) & 0x5555555555555555ULL;
    w = (w & 0x3333333333333333ULL) + ((w >> 2) & 0x3333333333333333ULL);
    w = (w + (w >> 4)) & 0x0F0F0F0F0F0F0F0FULL;
    w += w >> 8;
    w += w >> 16;
    sum += (w + (w >> 32)) & 0x7F;
  }
  return static_cast<std::uint32_t>(sum);
}

Mask::Mask(std::vector<std::uint64_t> words) : Mask(std::move(words), UINT32_MAX) {}

Mask::Mask(std::vector<std::uint64_t> words, std::uint32_t count) : words_(std::move(words)) {
  count_ = count != UINT32_MAX ? count : count_bits(words_);
  if (count_ <= kListed) list();
}

Mask::Mask(std::vector<TokenId> ids, std::size_t words) : words_(words) {
  constexpr std::size_t kSorted = 48;  // from where on looking for them in the words is cheaper
  for (const TokenId id : ids) {
    std::uint64_t& word = words_[static_cast<std::size_t>(id) / 64];
    const std::uint64_t bit = std::uint64_t{1} << (id % 64);
    count_ += (word & bit) == 0 ? 1 : 0;
    word |= bit;
  }
  if (count_ > kListed) return;
  if (ids.size() <= kSorted) {
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    ids_ = std::move(ids);
  } else {
    list();
  }
}

void Mask::list() {
  ids_.reserve(count_);
  for_each_bit(words_, [&](TokenId id) { ids_.push_back(id); });
}

void MaskBuilder::allow(const MaskTable& table) {
  if (!words_.empty()) {
    for (std::size_t w = 0; w < size_; ++w) words_[w] |= table.words[w];
  } else if (std::find(tables_.begin(), tables_.end(), &table) == tables_.end()) {
    tables_.push_back(&table);
  }
}

std::vector<std::uint64_t>& MaskBuilder::words() {
  if (!words_.empty()) return words_;
  if (tables_.empty()) {
    words_.assign(size_, 0);
  } else {
    words_ = tables_[0]->words;
  }
  for (std::size_t t = 1; t < tables_.size(); ++t) allow(*tables_[t]);
  for (const TokenId id : ids_) allow(id);
  return words_;
}

std::string MaskBuilder::key() const {
  if (!words_.empty()) return {};
  std::string out(1, static_cast<char>(tables_.size()));
  out.append(reinterpret_cast<const char*>(tables_.data()), std::span(tables_).size_bytes());
  out.append(reinterpret_cast<const char*>(ids_.data()), std::span(ids_).size_bytes());
  return out;
}

Mask MaskBuilder::build() && {
  if (!words_.empty() || tables_.size() > 1) {
    words();
    return Mask(std::move(words_));
  }
  if (tables_.empty()) return Mask(std::move(ids_), size_);
  words_ = tables_[0]->words;
  std::uint32_t count = tables_[0]->count;
  for (const TokenId id : ids_) {
    std::uint64_t& word = words_[static_cast<std::size_t>(id) / 64];
    const unsigned bit = static_cast<std::size_t>(id) % 64;
    count += static_cast<std::uint32_t>(~(word >> bit) & 1);
    word |= std::uint64_t{1} << bit;
  }
  return Mask(std::move(words_), count);
}

}  // namespace espalier::grammar
