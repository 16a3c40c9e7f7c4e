// What is kept once a vocabulary for as long as the vocabulary lives: made at the first call,
// shared by all. Thread-safe; a T must not own its vocabulary, which would keep both for ever.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>

#include "grammar/vocabulary.h"

namespace espalier::grammar {

/// The T of this vocabulary; `make()` gives a std::shared_ptr<T> where there is none yet. One place
/// calls it for a T: those of another `make` would be others.
template <class T, class Make>
std::shared_ptr<T> per_vocabulary(const VocabularyRef& vocabulary, Make&& make) {
  struct Kept {
    std::weak_ptr<const Vocabulary> vocabulary;
    std::shared_ptr<T> made;
  };
  static std::mutex mutex;
  static std::unordered_map<const Vocabulary*, Kept> all;
  const std::lock_guard lock(mutex);
  std::erase_if(all, [](const auto& entry) { return entry.second.vocabulary.expired(); });
  Kept& kept = all[vocabulary.get()];
  if (kept.made == nullptr) kept = {vocabulary, make()};
  return kept.made;
}

}  // namespace espalier::grammar
