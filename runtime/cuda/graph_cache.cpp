#include "runtime/cuda/graph_cache.h"

#include <algorithm>

namespace espalier::runtime::cuda {

void GraphCache::clear() {
  for (auto& [key, entry] : entries_) {
    if (entry.graph != nullptr) cudaGraphExecDestroy(entry.graph);
  }
  entries_.clear();
}

GraphCache::Entry& GraphCache::at(const Key& key) {
  const auto found = entries_.find(key);
  if (found == entries_.end() && entries_.size() >= kMost) {
    const auto oldest = std::min_element(
        entries_.begin(), entries_.end(),
        [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
    if (oldest->second.graph != nullptr) cudaGraphExecDestroy(oldest->second.graph);
    entries_.erase(oldest);
  }
  Entry& entry = entries_[key];
  entry.used = ++clock_;
  return entry;
}

}  // namespace espalier::runtime::cuda
