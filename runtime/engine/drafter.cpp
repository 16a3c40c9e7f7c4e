#include "runtime/engine/drafter.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace espalier::runtime {
namespace {

std::uint64_t hash_of(std::span<const TokenId> tokens) {
  std::uint64_t hash = 0;
  for (const TokenId token : tokens)
    hash = (hash ^ static_cast<std::uint32_t>(token)) * 0x9E3779B97F4A7C15ULL;
  return hash ^ (hash >> 32);
}

// What a step and its row take, in parts of a step of one row, until it is known.
constexpr double kBase = 0.9, kRow = 0.1;

}  // namespace

void NGramIndex::enter(std::span<const TokenId> path) {
  if (ends_[0].size() < 2 * path.size()) {
    for (auto& table : ends_) table.assign(std::bit_ceil(4 * path.size()), 0);
    seen_ = 0;
  }
  // The n-gram at the path's very end is what will be looked for, so it is not entered yet.
  for (; seen_ < path.size(); ++seen_) {
    for (std::size_t n : {2, 3}) {
      if (seen_ < n) continue;
      auto& table = ends_[n - 2];
      table[hash_of(path.subspan(seen_ - n, n)) & (table.size() - 1)] =
          static_cast<std::uint32_t>(seen_);
    }
  }
}

NGramIndex::Guess NGramIndex::guess(std::span<const TokenId> path, std::size_t most) {
  enter(path);
  for (std::size_t n : {3, 2}) {
    if (path.size() <= n) continue;
    const auto last = path.last(n);
    const auto& table = ends_[n - 2];
    const std::uint32_t end = table[hash_of(last) & (table.size() - 1)];
    if (end < n || !std::equal(last.begin(), last.end(), path.begin() + (end - n))) continue;
    return {n == 3 ? DraftSource::kTrigram : DraftSource::kBigram,
            path.subspan(end, std::min(most, path.size() - end))};
  }
  return {};
}

std::size_t DraftTrust::worth(DraftSource source, double threshold, std::size_t most) {
  const double right = right_[static_cast<std::size_t>(source)];
  if (right <= threshold) {
    // The dearer a row, the seldomer: all requests of a step try.
    const double wait = 16 / std::max(1e-6, (1 - threshold) * (1 - threshold));
    if (++passed_over_ < wait) return 0;
    passed_over_ = 0;
    return std::min<std::size_t>(most, 1);
  }
  // right^n > threshold
  const double far = threshold <= 0 || right >= 1 ? static_cast<double>(most)
                                                  : std::log(threshold) / std::log(right);
  return std::min(most, static_cast<std::size_t>(std::max(1.0, far)));
}

void DraftTrust::record(DraftSource source, bool right) {
  double& mean = right_[static_cast<std::size_t>(source)];
  mean += ((right ? 0.99 : 0.0) - mean) / 8;
}

void StepCost::record(double rows, double seconds) {
  constexpr double kKeep = 0.98;
  n_ = n_ * kKeep + 1;
  x_ = x_ * kKeep + rows;
  y_ = y_ * kKeep + seconds;
  xx_ = xx_ * kKeep + rows * rows;
  xy_ = xy_ * kKeep + rows * seconds;
}

std::optional<StepCost::Line> StepCost::line() const {
  if (n_ == 0) return std::nullopt;
  const double spread = n_ * xx_ - x_ * x_;
  if (n_ > 8 && spread > 0.05 * n_ * n_) {
    const double slope = (n_ * xy_ - x_ * y_) / spread;
    const double rest = (y_ - slope * x_) / n_;
    if (slope > 0 && rest > 0) return Line{rest, slope};
  }
  const double unit = y_ / (kBase * n_ + kRow * x_);
  return Line{kBase * unit, kRow * unit};
}

double StepCost::threshold(double rows, double more) const {
  const auto known = line();
  if (!known && more > 0) return 1;
  const Line l = known && known->row > 0 ? *known : Line{kBase, kRow};
  return (rows * l.row + more) / (l.base + rows * l.row);
}

}  // namespace espalier::runtime
