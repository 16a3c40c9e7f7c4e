#include "runtime/engine/page_index.h"

#include <algorithm>
#include <string>

namespace espalier::runtime {

std::size_t PageIndex::Hash::operator()(const Key& key) const {
  std::uint64_t hash = (key.space ^ std::uint64_t{key.before} << 32) * 0x9E3779B97F4A7C15ULL;
  for (const TokenId token : key.tokens) {
    hash = (hash ^ static_cast<std::uint32_t>(token)) * 0xD6E8FEB86659FD93ULL;
    hash ^= hash >> 32;
  }
  return static_cast<std::size_t>(hash);
}

PageIndex::Key PageIndex::key_of(std::uint64_t space, Slot before, Tokens tokens) {
  Key key;
  key.space = before == kNone ? space : 0;
  key.before = before;
  std::copy(tokens.begin(), tokens.end(), key.tokens.begin());
  return key;
}

void PageIndex::unlink(Slot slot) {
  const Entry& it = entries_[slot];
  (it.newer == kNone ? newest_ : entries_[it.newer].older) = it.older;
  (it.older == kNone ? oldest_ : entries_[it.older].newer) = it.newer;
}

void PageIndex::link_behind(Slot slot, Slot newer) {
  Entry& it = entries_[slot];
  Slot& place = newer == kNone ? newest_ : entries_[newer].older;
  it.newer = newer;
  it.older = place;
  (it.older == kNone ? oldest_ : entries_[it.older].newer) = slot;
  place = slot;
}

template <class F>
void PageIndex::walk(std::uint64_t space, std::span<const TokenId> path, F f) const {
  Slot before = kNone;
  for (std::size_t at = 0; at + kPageTokens <= path.size(); at += kPageTokens) {
    const auto found = slots_of_.find(key_of(space, before, Tokens(path.data() + at, kPageTokens)));
    if (found == slots_of_.end()) break;
    before = found->second;
    f(before);
  }
}

PageIndex::Slot PageIndex::count(std::uint64_t space, std::span<const TokenId> path) const {
  Slot out = 0;
  walk(space, path, [&](Slot) { ++out; });
  return out;
}

void PageIndex::find(std::uint64_t space, std::span<const TokenId> path, std::vector<Slot>& out) {
  out.clear();
  walk(space, path, [&](Slot slot) { out.push_back(slot); });
  for (auto slot = out.rbegin(); slot != out.rend(); ++slot) {
    unlink(*slot);
    link_behind(*slot, kNone);
  }
}

PageIndex::Slot PageIndex::add(std::uint64_t space, Slot before, Tokens tokens) {
  Slot slot = kNone;
  if (!free_.empty()) {
    slot = free_.back();
    free_.pop_back();
  } else if (fresh_ < capacity_) {
    slot = fresh_++;
    entries_.emplace_back();
  } else if (oldest_ != kNone && oldest_ != before) {
    slot = oldest_;
    remove(slot);
    free_.pop_back();
  } else {
    return kNone;
  }
  Entry& it = entries_[slot];
  it.key = key_of(space, before, tokens);
  it.used = true;
  const bool fresh = slots_of_.emplace(it.key, slot).second;
  ESP_CHECK(fresh);
  if (before != kNone) ++entries_[before].children;
  link_behind(slot, before);
  return slot;
}

void PageIndex::remove(Slot slot) {
  Entry& it = entries_[slot];
  ESP_CHECK(it.used && it.children == 0);
  unlink(slot);
  if (it.key.before != kNone) --entries_[it.key.before].children;
  slots_of_.erase(it.key);
  it = {};
  free_.push_back(slot);
}

void PageIndex::withdraw(Slot slot) {
  ESP_CHECK(slot + 1 == fresh_);
  remove(slot);
  free_.pop_back();
  entries_.pop_back();
  capacity_ = fresh_ = slot;
}

Status PageIndex::check() const {
  const auto broken = [](const std::string& what) { return fail(ErrorCode::kInternal, what); };
  std::vector<std::uint32_t> children(entries_.size());
  std::vector<bool> passed(entries_.size());
  Slot count = 0;
  Slot newer = kNone;
  for (Slot slot = newest_; slot != kNone; slot = entries_[slot].older) {
    const Entry& it = entries_[slot];
    if (!it.used || passed[slot]) return broken("the list of uses holds what is not there");
    if (it.newer != newer) return broken("the list of uses is torn");
    const auto found = slots_of_.find(it.key);
    if (found == slots_of_.end() || found->second != slot) return broken("a page is not found");
    const Slot before = it.key.before;
    if (before != kNone) {
      if (!passed[before]) return broken("a page was used later than the one before it");
      ++children[before];
    }
    passed[slot] = true;
    newer = slot;
    ++count;
  }
  if (newer != oldest_) return broken("the list of uses has another end");
  for (Slot slot = 0; slot < entries_.size(); ++slot) {
    if (entries_[slot].children != children[slot]) return broken("children are miscounted");
  }
  if (count != slots_of_.size() || count + free_.size() != fresh_ || fresh_ > capacity_ ||
      entries_.size() != fresh_) {
    return broken("slots are miscounted");
  }
  return {};
}

}  // namespace espalier::runtime
