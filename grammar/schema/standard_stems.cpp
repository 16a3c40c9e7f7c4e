#include "grammar/schema/standard_stems.h"

#include <utility>

#include "grammar/per_vocabulary.h"

namespace espalier::grammar {

std::shared_ptr<StandardStems> StandardStems::of(const VocabularyRef& vocabulary) {
  return per_vocabulary<StandardStems>(vocabulary,
                                       [] { return std::make_shared<StandardStems>(); });
}

StandardStems::ListRef StandardStems::list(const SchemaMachine::ListKey& key) {
  const std::lock_guard lock(mutex_);
  const auto it = lists_.find(key);
  return it == lists_.end() ? nullptr : it->second;
}

void StandardStems::add(const SchemaMachine::ListKey& key, const ListRef& list) {
  const std::lock_guard lock(mutex_);
  if (bytes_ + list->bytes() > kBytes) return;
  if (const auto [it, fresh] = lists_.try_emplace(key, list); fresh) {
    bytes_ += it->second->bytes();
  }
}

StandardStems::StemMaskRef StandardStems::mask(const SchemaMachine::State& place) {
  const std::lock_guard lock(mutex_);
  const auto it = masks_.find(place);
  return it == masks_.end() ? nullptr : it->second;
}

void StandardStems::add(const SchemaMachine::State& place, const StemMaskRef& mask) {
  const std::lock_guard lock(mutex_);
  if (bytes_ + mask->bytes() > kBytes) return;
  if (const auto [it, fresh] = masks_.try_emplace(place, mask); fresh) {
    bytes_ += it->second->bytes();
  }
}

}  // namespace espalier::grammar
