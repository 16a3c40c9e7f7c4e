// Lists of small numbers as sets: rising, each number once.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace espalier::grammar {

/// Sorts `numbers` and takes out what is there twice. What rises already costs a look at each;
/// dense numbers (names of one schema) a bit each instead of a sort.
inline void make_rising(std::vector<std::uint32_t>& numbers) {
  constexpr std::size_t kFew = 64, kDense = 32;
  if (std::ranges::adjacent_find(numbers, std::greater_equal<>()) == numbers.end()) return;
  const auto [least, most] = std::ranges::minmax(numbers);
  if (numbers.size() < kFew || (most - least) / kDense > numbers.size()) {
    std::ranges::sort(numbers);
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    return;
  }
  std::vector<std::uint64_t> there((most - least) / 64 + 1);
  for (const std::uint32_t n : numbers)
    there[(n - least) / 64] |= std::uint64_t{1} << ((n - least) % 64);
  numbers.clear();
  for (std::size_t w = 0; w < there.size(); ++w) {
    for (std::uint64_t bits = there[w]; bits != 0; bits &= bits - 1) {
      numbers.push_back(least + static_cast<std::uint32_t>(64 * w) +
                        static_cast<std::uint32_t>(std::countr_zero(bits)));
    }
  }
}

}  // namespace espalier::grammar
