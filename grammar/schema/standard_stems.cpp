#include "grammar/schema/standard_stems.h"

#include <utility>

namespace espalier::grammar {

std::shared_ptr<StandardStems> StandardStems::of(const VocabularyRef& vocabulary) {
  struct Kept {
    std::weak_ptr<const Vocabulary> vocabulary;
    std::shared_ptr<StandardStems> stems;
  };
  static std::mutex mutex;
  static std::unordered_map<const Vocabulary*, Kept> all;
  const std::lock_guard lock(mutex);
  std::erase_if(all, [](const auto& entry) { return entry.second.vocabulary.expired(); });
  Kept& kept = all[vocabulary.get()];
  if (kept.stems == nullptr) kept = {vocabulary, std::make_shared<StandardStems>()};
  return kept.stems;
}

StandardStems::ListRef StandardStems::list(const SchemaMachine::ListKey& key) {
  const std::lock_guard lock(mutex_);
  const auto it = lists_.find(key);
  return it == lists_.end() ? nullptr : it->second;
}

void StandardStems::add(const SchemaMachine::ListKey& key, ListRef list) {
  const std::lock_guard lock(mutex_);
  if (lists_.size() < kEntries) lists_.try_emplace(key, std::move(list));
}

StandardStems::StemMaskRef StandardStems::mask(const SchemaMachine::State& place) {
  const std::lock_guard lock(mutex_);
  const auto it = masks_.find(place);
  return it == masks_.end() ? nullptr : it->second;
}

void StandardStems::add(const SchemaMachine::State& place, StemMaskRef mask) {
  const std::lock_guard lock(mutex_);
  if (masks_.size() < kEntries) masks_.try_emplace(place, std::move(mask));
}

}  // namespace espalier::grammar
