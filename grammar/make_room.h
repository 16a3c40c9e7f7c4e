// Room for one more value in a vector that begins small and is one of many: a schema has a dozen of
// them, each of some dozen values, and doubling from one on takes six allocations to get there.
#pragma once

#include <algorithm>
#include <cstddef>

namespace espalier::grammar {

/// Before a push_back: the vector grows fourfold while it is small.
template <class Vector>
void make_room(Vector& values) {
  constexpr std::size_t kFirst = 8, kSmall = 64;
  if (values.size() == values.capacity() && values.size() < kSmall) {
    values.reserve(std::max(kFirst, 4 * values.size()));
  }
}

}  // namespace espalier::grammar
