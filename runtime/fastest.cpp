#include "runtime/fastest.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <vector>

namespace espalier::runtime {
namespace {

constexpr double kGain = 0.95;

}  // namespace

std::size_t fastest(std::size_t variants, const std::function<double(std::size_t)>& run,
                    const std::function<bool()>& more) {
  std::vector<double> best(variants);
  const auto race = [&](int rounds, std::initializer_list<std::size_t> only) {
    std::fill(best.begin(), best.end(), std::numeric_limits<double>::infinity());
    for (int round = 0; round < rounds; ++round) {
      for (std::size_t i = 0; i < variants; ++i) {
        if (only.size() != 0 && std::find(only.begin(), only.end(), i) == only.end()) continue;
        if (!more()) return false;
        best[i] = std::min(best[i], run(i));
      }
    }
    return true;
  };
  if (!race(kFastestRounds, {})) return 0;
  const auto picked =
      static_cast<std::size_t>(std::min_element(best.begin(), best.end()) - best.begin());
  if (picked == 0 || !race(2 * kFastestRounds, {0, picked})) return 0;
  return best[picked] < kGain * best[0] ? picked : 0;
}

}  // namespace espalier::runtime
