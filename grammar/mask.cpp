#include "grammar/mask.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "grammar/held_bytes.h"

namespace espalier::grammar {
namespace {

static_assert(std::endian::native == std::endian::little);  // bit i of a row is bit i%8 of a byte

void add(std::vector<std::uint64_t>& words, std::span<const TokenId> ids) {
  for (const TokenId id : ids) {
    words[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
  }
}

void add(std::vector<std::uint64_t>& words, const MaskTable& table) {
  for (std::size_t w = 0; w < words.size(); ++w) words[w] |= table.words[w];
}

// The first bytes of what is in one of two tables.
void either(std::byte* __restrict to, const std::uint64_t* __restrict a,
            const std::uint64_t* __restrict b, std::size_t bytes) {
  const std::size_t whole = bytes / sizeof *a;
  for (std::size_t w = 0; w < whole; ++w) {
    const std::uint64_t word = a[w] | b[w];
    std::memcpy(to + w * sizeof word, &word, sizeof word);
  }
  if (bytes % sizeof *a == 0) return;
  const std::uint64_t last = a[whole] | b[whole];
  std::memcpy(to + whole * sizeof last, &last, bytes % sizeof last);
}

// The bitset of what was found.
std::vector<std::uint64_t> written_out(std::span<const MaskTableRef> tables,
                                       std::span<const TokenListRef> lists,
                                       std::span<const TokenId> ids, std::size_t size) {
  std::vector<std::uint64_t> words;
  if (tables.empty()) {
    words.assign(size, 0);
  } else {
    words = tables[0]->words;
  }
  for (std::size_t t = 1; t < tables.size(); ++t) add(words, *tables[t]);
  for (const TokenListRef& list : lists) add(words, list.ids);
  add(words, ids);
  return words;
}

}  // namespace

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

Mask::Mask(std::vector<std::uint64_t> words)
    : size_(words.size()), dense_(true), written_(true), row_(shared_row(std::move(words))) {}

Mask::Mask(std::vector<TokenId> ids, std::size_t words) : size_(words), single_(std::move(ids)) {}

Mask::Mask(std::vector<MaskTableRef> tables, std::vector<TokenListRef> lists,
           std::vector<TokenId> ids, std::size_t words)
    : size_(words), tables_(std::move(tables)), lists_(std::move(lists)), single_(std::move(ids)) {}

void Mask::fill(std::byte* to, std::size_t bytes) const {
  // What a row costs beside a copy, and the bitset once, in bytes that a copy moves meanwhile.
  constexpr std::size_t kToken = 64, kTable = 2, kBitset = 5;
  bytes = std::min(bytes, size_bytes());
  bool copy = written_.load(std::memory_order_acquire);
  if (!copy) {
    std::size_t more = kToken * single_.size();
    for (const TokenListRef& list : lists_) more += kToken * list.ids.size();
    if (tables_.size() > 1) more += kTable * bytes * (tables_.size() - 1);
    copy = spent_.fetch_add(more, std::memory_order_relaxed) >= kBitset * size_bytes();
  }
  if (copy) {
    written();
    std::memcpy(to, row_->data(), bytes);
    return;
  }
  if (tables_.empty()) {
    std::memset(to, 0, bytes);
  } else if (tables_.size() == 1) {
    std::memcpy(to, tables_[0]->words.data(), bytes);
  } else {
    either(to, tables_[0]->words.data(), tables_[1]->words.data(), bytes);
  }
  for (std::size_t t = 2; t < tables_.size(); ++t) {
    const auto* from = reinterpret_cast<const std::byte*>(tables_[t]->words.data());
    std::size_t i = 0;
    for (; i + sizeof(std::uint64_t) <= bytes; i += sizeof(std::uint64_t)) {
      std::uint64_t word = 0, other = 0;
      std::memcpy(&word, to + i, sizeof word);
      std::memcpy(&other, from + i, sizeof other);
      word |= other;
      std::memcpy(to + i, &word, sizeof word);
    }
    for (; i < bytes; ++i) to[i] |= from[i];
  }
  const auto set = [&](std::span<const TokenId> ids) {
    for (const TokenId id : ids) {
      const auto byte = static_cast<std::size_t>(id) / 8;
      if (byte < bytes) to[byte] |= std::byte{1} << (id % 8);
    }
  };
  for (const TokenListRef& list : lists_) set(list.ids);
  set(single_);
}

void Mask::write() const {
  row_ = shared_row(written_out(tables_, lists_, single_, size_));
  written_.store(true, std::memory_order_release);
}

void Mask::tally() const {
  constexpr std::size_t kSorted = 48;  // from where on looking for them in the words is cheaper
  if (!dense_ && tables_.empty() && lists_.empty() && single_.size() <= kSorted) {
    ids_ = single_;
    std::sort(ids_.begin(), ids_.end());
    ids_.erase(std::unique(ids_.begin(), ids_.end()), ids_.end());
    count_ = static_cast<std::uint32_t>(ids_.size());
  } else {
    written();
    count_ = count_bits(*row_);
    if (count_ <= kListed) {
      ids_.reserve(count_);
      for_each_bit(*row_, [&](TokenId id) { ids_.push_back(id); });
    }
  }
  counted_.store(true, std::memory_order_release);
}

std::size_t Mask::held_bytes() const {
  std::size_t out = grammar::held_by_all(tables_, lists_, single_);
  if (counted_.load(std::memory_order_acquire)) out += grammar::held_bytes(ids_);
  if (written_.load(std::memory_order_acquire)) {
    out += block_bytes(size_bytes()) / static_cast<std::size_t>(std::max(1L, row_.use_count()));
  }
  return out;
}

std::size_t MaskBuilder::held_bytes() const {
  return grammar::held_by_all(tables_, lists_, ids_, words_);
}

void MaskBuilder::allow(MaskTableRef table) {
  if (!words_.empty()) {
    add(words_, *table);
  } else if (std::find(tables_.begin(), tables_.end(), table) == tables_.end()) {
    tables_.push_back(std::move(table));
  }
}

void MaskBuilder::allow(TokenListRef list) {
  constexpr std::size_t kShort = 8;  // which the key may as well hold
  if (!words_.empty()) {
    add(words_, list.ids);
  } else if (list.ids.size() <= kShort) {
    for (const TokenId id : list.ids) allow(id);
  } else {
    lists_.push_back(std::move(list));
  }
}

void MaskBuilder::allow(const MaskBuilder& other) {
  if (other.dense()) {
    auto& to = words();
    for (std::size_t w = 0; w < to.size(); ++w) to[w] |= other.words_[w];
    return;
  }
  for (const MaskTableRef& table : other.tables_) allow(table);
  if (words_.empty() && ids_.size() + other.ids_.size() < kKeyed) {
    lists_.insert(lists_.end(), other.lists_.begin(), other.lists_.end());
    ids_.insert(ids_.end(), other.ids_.begin(), other.ids_.end());
    return;
  }
  for (const TokenListRef& list : other.lists_) allow(list);
  for (const TokenId id : other.ids_) allow(id);
}

std::vector<std::uint64_t>& MaskBuilder::words() {
  if (words_.empty()) words_ = written_out(tables_, lists_, ids_, size_);
  return words_;
}

std::size_t MaskBuilder::hash() const {
  if (!words_.empty()) return hash_of_row(words_);
  std::uint64_t h[4] = {1, 2, 3, 4};  // chains at once, for speed
  const auto stir = [&](std::size_t i, std::uint64_t v) {
    h[i % 4] = (h[i % 4] ^ v) * 0x9E3779B97F4A7C15ULL;
    h[i % 4] ^= h[i % 4] >> 29;
  };
  for (const MaskTableRef& table : tables_) {
    stir(0, static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(table.get())));
  }
  for (const TokenListRef& list : lists_) {
    stir(1, static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(list.ids.data())));
    stir(1, list.ids.size());
  }
  for (std::size_t i = 0; i < ids_.size(); ++i) stir(i, static_cast<std::uint64_t>(ids_[i]));
  return h[0] ^ (h[1] << 1) ^ (h[2] << 2) ^ (h[3] << 3);
}

bool MaskBuilder::same_as(const Mask& mask) const {
  if (!words_.empty()) return mask.dense_ && *mask.row_ == words_;
  const auto same_list = [](const TokenListRef& a, const TokenListRef& b) {
    return a.ids.data() == b.ids.data() && a.ids.size() == b.ids.size();
  };
  return !mask.dense_ && mask.tables_ == tables_ && mask.single_ == ids_ &&
         std::ranges::equal(mask.lists_, lists_, same_list);
}

void MaskBuilder::clear() {
  tables_.clear();
  lists_.clear();
  ids_.clear();
  words_.clear();
}

MaskRef MaskBuilder::build() {
  if (!words_.empty()) return std::make_shared<const Mask>(std::move(words_));
  return std::make_shared<const Mask>(tables_, lists_, ids_, size_);
}

}  // namespace espalier::grammar
