#include "grammar/automaton_cache.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "grammar/compiled_grammar.h"
#include "grammar/disposal.h"

namespace espalier::grammar {

// Never destroyed: grammars may outlive what is destroyed at the program's end.
AutomatonCache& AutomatonCache::of_process() {
  static AutomatonCache* const cache = new AutomatonCache;
  return *cache;
}

void AutomatonCache::add(const CompiledGrammar* grammar) {
  const std::lock_guard lock(mutex_);
  grammars_.insert(grammar);
}

void AutomatonCache::remove(const CompiledGrammar* grammar) {
  const std::lock_guard lock(mutex_);
  grammars_.erase(grammar);
}

// An eighth of the grammars and a few: so ranking costs each drop as much as a look at eight, and
// those that threads are in do not hide the others.
void AutomatonCache::rank() {
  constexpr std::size_t kPart = 8, kFew = 64;
  oldest_.clear();
  for (const CompiledGrammar* grammar : grammars_) {
    if (grammar->cached() > 0) oldest_.push_back({grammar, grammar->used()});
  }
  const std::size_t count = std::min(oldest_.size(), oldest_.size() / kPart + kFew);
  const auto end = oldest_.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(oldest_.begin(), end, oldest_.end(),
                    [](const Old& a, const Old& b) { return a.used < b.used; });
  oldest_.resize(count);
  std::reverse(oldest_.begin(), oldest_.end());
}

void AutomatonCache::drop(const CompiledGrammar* user) {
  std::vector<std::unique_ptr<Automaton>> dropped;
  const std::size_t before = bytes();
  drop_into(dropped, user);
  const std::size_t after = bytes();
  dispose(std::move(dropped), before - std::min(before, after));
}

void AutomatonCache::drop_into(std::vector<std::unique_ptr<Automaton>>& dropped,
                               const CompiledGrammar* user) {
  const std::lock_guard lock(mutex_);
  bool ranked = false, some = true;
  while (bytes() > limit()) {
    if (oldest_.empty()) {
      if (ranked && !some) return;  // all others are in use
      rank();
      ranked = true;
      some = false;
      if (oldest_.empty()) return;
    }
    const Old old = oldest_.back();
    if (in_use(old)) {
      next_.store(old.used + kOfLate, std::memory_order_relaxed);
      return;
    }
    oldest_.pop_back();
    // It may have ended, or have been used, since.
    if (old.grammar == user || !grammars_.contains(old.grammar)) continue;
    if (old.grammar->used() != old.used) continue;
    for (auto& automaton : old.grammar->give_up_automata()) {
      dropped.push_back(std::move(automaton));
      some = true;
    }
  }
}

void set_cache_limit(std::size_t bytes) {
  AutomatonCache& cache = AutomatonCache::of_process();
  cache.set_limit(bytes);
  cache.keep_limit(nullptr);
}

std::size_t cache_limit() { return AutomatonCache::of_process().limit(); }

std::size_t cache_bytes() { return AutomatonCache::of_process().bytes(); }

}  // namespace espalier::grammar
