#include "runtime/cpu/rope.h"

#include <algorithm>
#include <cmath>

#include "runtime/cpu/fixed_math.h"

namespace espalier::runtime::cpu {
namespace {

// The pair (as a real number) that makes `turns` turns within the original context.
double pair_of(double turns, const Rope& rope, std::uint32_t width) {
  constexpr double kTurn = 6.283185307179586476925;
  return width * logarithm(rope.yarn->original_context / (turns * kTurn)) /
         (2.0 * logarithm(static_cast<double>(rope.base)));
}

double yarn_magnitude(const Rope& rope) {
  if (rope.yarn->attention > 0.0F) return static_cast<double>(rope.yarn->attention);
  const auto m = [&](double scale) {
    return 1.0 + 0.1 * scale * logarithm(static_cast<double>(rope.factor));
  };
  return m(1.0) / m(static_cast<double>(rope.yarn->log_multiplier));
}

}  // namespace

RopeTable::RopeTable(const Rope& rope, std::uint32_t width)
    : magnitude_(static_cast<double>(rope.magnitude)) {
  const double base = logarithm(static_cast<double>(rope.base));
  const auto factor = static_cast<double>(rope.factor);
  double low = 0;
  double high = 0;
  if (rope.yarn) {
    // A base of 1 turns all pairs alike: all of them or none are fast.
    low =
        std::max(0.0, std::floor(pair_of(static_cast<double>(rope.yarn->beta_fast), rope, width)));
    high = std::min(width - 1.0,
                    std::ceil(pair_of(static_cast<double>(rope.yarn->beta_slow), rope, width)));
    magnitude_ *= yarn_magnitude(rope);
  }
  for (std::uint32_t i = 0; i < width / 2; ++i) {
    double frequency = exponential(-2.0 * i / width * base);
    if (!rope.divisors.empty()) frequency = frequency / static_cast<double>(rope.divisors[i]);
    if (rope.yarn) {
      const double slow = std::clamp((i - low) / std::max(0.001, high - low), 0.0, 1.0);
      const double kept = (1.0 - slow) * static_cast<double>(rope.yarn->extrapolation);
      frequency = frequency / factor * (1.0 - kept) + frequency * kept;
    } else if (factor != 1.0) {
      frequency = frequency / factor;
    }
    frequencies_.push_back(frequency);
  }
}

void RopeTable::fill(std::uint32_t position, float* cosines, float* sines) const {
  for (std::size_t i = 0; i < frequencies_.size(); ++i) {
    const SineCosine turn = sine_cosine(position * frequencies_[i]);
    cosines[i] = static_cast<float>(turn.cosine * magnitude_);
    sines[i] = static_cast<float>(turn.sine * magnitude_);
  }
}

float query_temperature(const ModelShape& shape, std::uint32_t position) {
  const std::uint32_t steps = position / shape.temperature_length;
  return static_cast<float>(1.0 + static_cast<double>(shape.temperature) *
                                      logarithm(1.0 + static_cast<double>(steps)));
}

}  // namespace espalier::runtime::cpu
