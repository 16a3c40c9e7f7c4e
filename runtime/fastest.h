// Which of some variants of a piece of work is fastest, told from noise.
#pragma once

#include <cstddef>
#include <functional>

namespace espalier::runtime {

inline constexpr int kFastestRounds = 5;

/// Which of `variants` to use, of which 0 is in use. In kFastestRounds rounds each runs once, so
/// that all of them meet the same noise; then the one with the fastest run and 0 take turns for
/// twice as many, and it is taken where its fastest run of those is 5 % faster than 0's. 0 where
/// `more` says no before the end. `run` gives seconds.
[[nodiscard]] std::size_t fastest(std::size_t variants,
                                  const std::function<double(std::size_t)>& run,
                                  const std::function<bool()>& more);

}  // namespace espalier::runtime
