// What the searches for a closing share: of states under the follow scanner, and of products.
#pragma once

#include <cstdint>
#include <tuple>

namespace espalier::grammar {

inline constexpr std::uint64_t kClosingSearch =
    20'000;  // states that one search for a closing may open

// Best-first search, cheapest estimate first, then the newest: straight lines are followed to their
// end.
struct ClosingCandidate {
  std::uint64_t estimate;
  std::uint64_t order;
  std::uint32_t node;
  std::uint64_t length;
  bool operator<(const ClosingCandidate& other) const {
    return std::tuple(estimate, other.order) > std::tuple(other.estimate, order);
  }
};
struct ClosingStep {
  std::uint32_t from;
  unsigned char byte;
};

}  // namespace espalier::grammar
