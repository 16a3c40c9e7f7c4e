#include "grammar/mask_rows.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "base/threads.h"

namespace espalier::grammar {
namespace {

// Calls f(i) for all requests, each once, on threads. Neighbours are of different grammars, as far
// as that can be, so that threads do not wait for each other.
template <class F>
void for_each_request(std::span<const RowRequest> requests, unsigned threads, F&& f) {
  const std::size_t workers =
      std::clamp<std::size_t>(threads, 1, std::max<std::size_t>(1, requests.size()));
  if (workers == 1) {
    for (std::size_t i = 0; i < requests.size(); ++i) f(i);
    return;
  }
  std::unordered_map<const Grammar*, std::size_t> seen;
  std::vector<std::pair<std::size_t, std::size_t>> order;  // how many of its grammar came before
  for (std::size_t i = 0; i < requests.size(); ++i) {
    order.emplace_back(seen[requests[i].matcher->grammar()]++, i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < order.size(); i = next++) f(order[i].second);
  };
  std::vector<std::jthread> others;
  start_threads(others, workers - 1, work);
  work();
}

std::size_t hash_of(std::span<const std::uint64_t> words) {
  return std::hash<std::string_view>()(
      {reinterpret_cast<const char*>(words.data()), words.size_bytes()});
}

}  // namespace

std::vector<MaskRef> masks_of(std::span<const RowRequest> requests, unsigned threads) {
  std::vector<MaskRef> out(requests.size());
  for_each_request(requests, threads, [&](std::size_t i) {
    out[i] = requests[i].matcher->mask(requests[i].tokens_left);
  });
  return out;
}

void fill_rows(std::span<const RowRequest> requests, std::span<const std::size_t> rows,
               const BitRows& out, unsigned threads) {
  for_each_request(requests, threads, [&](std::size_t i) {
    const MaskRef mask = requests[i].matcher->mask(requests[i].tokens_left);
    std::byte* to = out.data + static_cast<std::ptrdiff_t>(rows[i]) * out.stride;
    mask->fill(to, out.row_bytes);
  });
}

Result<MaskSlots> MaskSlots::create(std::size_t vocabulary, std::size_t capacity) {
  if (vocabulary == 0 || capacity == 0) {
    return fail(ErrorCode::kInvalid, "a table of masks needs a vocabulary and at least one slot");
  }
  const std::size_t row = (vocabulary + 63) / 64 * sizeof(std::uint64_t);
  if (capacity > kMostBytes / row || capacity >= kNone) {
    return fail(ErrorCode::kLimit, "a table of " + std::to_string(capacity) + " masks of " +
                                       std::to_string(row) + " bytes is larger than " +
                                       std::to_string(kMostBytes) + " bytes");
  }
  return MaskSlots(vocabulary, capacity);
}

MaskSlots::MaskSlots(std::size_t vocabulary, std::size_t capacity)
    : vocabulary_(vocabulary),
      row_words_((vocabulary + 63) / 64),
      slots_(capacity),
      words_(capacity * row_words_) {
  for (std::uint32_t i = 0; i < capacity; ++i) slots_[i].age = by_age_.insert(by_age_.end(), i);
}

// The slot that holds a mask's words, remembered for this object; kNone where none does.
std::uint32_t MaskSlots::find(const MaskRef& mask) {
  if (const auto known = by_object_.find(mask.get()); known != by_object_.end()) {
    return known->second;
  }
  const auto [from, to] = by_words_.equal_range(hash_of(mask->words()));
  for (auto it = from; it != to; ++it) {
    Slot& slot = slots_[it->second];
    if (!std::ranges::equal(slot.mask->words(), mask->words())) continue;
    if (slot.alike.size() < kMostAlike) {
      slot.alike.push_back(mask);
      by_object_.emplace(mask.get(), it->second);
    }
    return it->second;
  }
  return kNone;
}

void MaskSlots::free(std::uint32_t number) {
  Slot& slot = slots_[number];
  if (slot.mask == nullptr) return;
  const auto [from, to] = by_words_.equal_range(hash_of(slot.mask->words()));
  by_words_.erase(std::find_if(from, to, [&](const auto& e) { return e.second == number; }));
  by_object_.erase(slot.mask.get());
  for (const MaskRef& mask : slot.alike) by_object_.erase(mask.get());
  slot.mask = nullptr;
  slot.alike.clear();
}

Result<MaskSlots::Assigned> MaskSlots::assign(std::span<const MaskRef> masks) {
  Assigned out;
  out.slots.assign(masks.size(), kNone);
  // First what is known, and how many slots the rest needs.
  std::vector<const MaskRef*> fresh;  // distinct
  std::vector<std::uint32_t> fresh_of(masks.size(), kNone);
  std::unordered_multimap<std::size_t, std::uint32_t> fresh_by_words;
  for (std::size_t i = 0; i < masks.size(); ++i) {
    if (masks[i]->words().size() != row_words_) {
      return fail(ErrorCode::kInvalid, "row " + std::to_string(i) +
                                           " is a mask over another vocabulary than the " +
                                           std::to_string(vocabulary_) + " tokens of this table");
    }
    out.slots[i] = find(masks[i]);
    if (out.slots[i] != kNone) continue;
    const std::size_t hash = hash_of(masks[i]->words());
    const auto [from, to] = fresh_by_words.equal_range(hash);
    const auto same = std::find_if(from, to, [&](const auto& e) {
      return std::ranges::equal((*fresh[e.second])->words(), masks[i]->words());
    });
    fresh_of[i] = same != to ? same->second : static_cast<std::uint32_t>(fresh.size());
    if (same != to) continue;
    fresh_by_words.emplace(hash, fresh_of[i]);
    fresh.push_back(&masks[i]);
  }
  std::size_t held = fresh.size();  // slots that must stay, and those to come
  for (const Slot& slot : slots_) held += slot.mask != nullptr && slot.used + 1 > batch_ ? 1 : 0;
  std::vector<std::uint32_t> again = out.slots;
  std::sort(again.begin(), again.end());
  again.erase(std::unique(again.begin(), again.end()), again.end());
  for (const std::uint32_t slot : again)
    held += slot != kNone && slots_[slot].used + 1 <= batch_ ? 1 : 0;
  if (held > capacity()) {
    return fail(ErrorCode::kLimit, "this batch and the one before have " + std::to_string(held) +
                                       " distinct masks, the table " + std::to_string(capacity()) +
                                       " slots");
  }
  ++batch_;
  const auto use = [&](std::uint32_t number) {
    Slot& slot = slots_[number];
    slot.used = batch_;
    by_age_.splice(by_age_.end(), by_age_, slot.age);
  };
  for (const std::uint32_t slot : again) {
    if (slot != kNone) use(slot);
  }
  for (const MaskRef* mask : fresh) {
    const std::uint32_t number = by_age_.front();
    free(number);
    Slot& slot = slots_[number];
    slot.mask = *mask;
    by_object_.emplace(mask->get(), number);
    by_words_.emplace(hash_of((*mask)->words()), number);
    std::ranges::copy((*mask)->words(),
                      words_.begin() + static_cast<std::ptrdiff_t>(number * row_words_));
    use(number);
    out.changed.push_back(number);
  }
  for (std::size_t i = 0; i < masks.size(); ++i) {
    if (out.slots[i] == kNone) out.slots[i] = out.changed[fresh_of[i]];
  }
  return out;
}

}  // namespace espalier::grammar
