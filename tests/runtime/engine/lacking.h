// Which steps of a toy backend find no memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace espalier::runtime {

/// Every so many-th of those with more rows than one (0: none), for one row that lacks memory is a
/// request's failure.
inline std::function<bool(std::size_t rows)> every_lacks(std::uint64_t every) {
  return [every, steps = std::uint64_t{0}](std::size_t rows) mutable {
    return every != 0 && rows > 1 && ++steps % every == 0;
  };
}

}  // namespace espalier::runtime
