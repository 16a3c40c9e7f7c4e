// The plain model of PageIndex (runtime/engine/page_index.h).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

#include "runtime/backend.h"
#include "tests/runtime/engine/support.h"

namespace espalier::runtime {

/// The plain definition: paths of whole pages by their tokens, with the time of their last use.
/// What goes is the least recently used of those that nothing goes on from; of equal times the
/// longest.
class PlainIndex {
 public:
  explicit PlainIndex(std::size_t room) : room_(room) {}

  /// The path's leading pages that are there.
  [[nodiscard]] std::size_t count(const Ids& path) const {
    std::size_t found = 0;
    while ((found + 1) * kPageTokens <= path.size() && pages_.contains(head(path, found + 1)))
      ++found;
    return found;
  }
  std::size_t use(const Ids& path) {
    ++now_;
    const std::size_t found = count(path);
    for (std::size_t i = 1; i <= found; ++i) pages_.at(head(path, i)) = {now_, ++ties_};
    return found;
  }
  /// The page after the first `found` of the path; false where none can go.
  bool add(const Ids& path, std::size_t found) {
    if (pages_.size() == room_) {
      const auto oldest = std::min_element(
          pages_.begin(), pages_.end(), [&](const auto& a, const auto& b) { return less(a, b); });
      if (oldest == pages_.end() || oldest->first == head(path, found)) return false;
      pages_.erase(oldest);
    }
    pages_[head(path, found + 1)] = {now_, ++ties_};
    return true;
  }
  void withdraw(const Ids& path, std::size_t pages) {
    pages_.erase(head(path, pages));
    room_ = pages_.size();
  }
  [[nodiscard]] std::size_t size() const { return pages_.size(); }
  [[nodiscard]] std::size_t room() const { return room_; }

 private:
  struct Use {
    std::uint64_t time = 0;
    std::uint64_t tie = 0;
  };
  static Ids head(const Ids& path, std::size_t pages) {
    return {path.begin(), path.begin() + static_cast<std::ptrdiff_t>(pages * kPageTokens)};
  }
  bool less(const std::pair<const Ids, Use>& a, const std::pair<const Ids, Use>& b) const {
    if (a.second.time != b.second.time) return a.second.time < b.second.time;
    return a.first.size() > b.first.size();
  }

  std::size_t room_;
  std::map<Ids, Use> pages_;
  std::uint64_t now_ = 0;
  std::uint64_t ties_ = 0;
};

}  // namespace espalier::runtime
