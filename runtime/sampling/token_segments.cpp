#include "runtime/sampling/token_segments.h"

#include <algorithm>
#include <limits>

namespace espalier::runtime {
namespace {

std::size_t id(TokenId token) { return static_cast<std::size_t>(token); }

// Where a target falls among weights that are added up in turn, from `before` on: the first at
// which their sum passes it, else the last that weighs anything.
struct Fallen {
  std::size_t at;
  double before;  // the sum up to there
};
template <class WeightOf>
Fallen fall(std::size_t begin, std::size_t end, double before, double target, WeightOf weight_of) {
  Fallen out{begin, before};
  double sum = before;
  for (std::size_t i = begin; i < end; ++i) {
    const double weight = weight_of(i);
    if (weight == 0) continue;
    out = {i, sum};
    sum += weight;
    if (sum > target) break;
  }
  return out;
}

}  // namespace

void TokenSegments::set(std::span<const TokenId> tokens, std::span<const float> logits) {
  tokens_ = tokens;
  logits_ = logits;
  factor_ = 0;
  segments_.clear();
  tops_.clear();
  for (std::size_t begin = 0; begin < tokens.size();) {
    const std::size_t end_id = (id(tokens[begin]) / kChoiceSegment + 1) * kChoiceSegment;
    std::size_t end = std::min(tokens.size(), begin + kChoiceSegment);
    if (id(tokens[end - 1]) >= end_id) {
      const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(begin);
      const auto last = tokens.begin() + static_cast<std::ptrdiff_t>(end);
      end = static_cast<std::size_t>(std::lower_bound(first, last, static_cast<TokenId>(end_id)) -
                                     tokens.begin());
    }
    const float top = kernels_->maximum(&logits[begin], end - begin);
    const bool none = top == -std::numeric_limits<float>::infinity();
    segments_.push_back({begin, end, none ? 0.0F : top, 0.0F});
    tops_.push_back(top);
    begin = end;
  }
  top_ = kernels_->maximum(tops_.data(), tops_.size());
}

std::size_t TokenSegments::best() const {
  const auto segment = std::find(tops_.begin(), tops_.end(), top_) - tops_.begin();
  const std::size_t begin = segments_[static_cast<std::size_t>(segment)].begin;
  const auto from = logits_.begin() + static_cast<std::ptrdiff_t>(begin);
  return static_cast<std::size_t>(std::find(from, logits_.end(), top_) - logits_.begin());
}

float TokenSegments::total() {
  add_up(1.0F);
  float total = 0;
  for (std::size_t i = 0; i < segments_.size(); ++i) total += segments_[i].sum * scales_[i];
  return total;
}

std::size_t TokenSegments::draw(float factor, double uniform) {
  add_up(factor);
  const auto weight_of = [this](std::size_t i) {
    return static_cast<double>(segments_[i].sum) * static_cast<double>(scales_[i]);
  };
  double total = 0;
  for (std::size_t i = 0; i < segments_.size(); ++i) total += weight_of(i);
  const double target = uniform * total;
  const Fallen fallen = fall(0, segments_.size(), 0, target, weight_of);
  return draw_within(segments_[fallen.at], factor, (target - fallen.before) / weight_of(fallen.at));
}

// Leaves sums and scales of `factor`.
void TokenSegments::add_up(float factor) {
  if (factor_ == factor) return;
  factor_ = factor;
  if (!tokens_.empty() && id(tokens_.back()) + 1 == tokens_.size()) {  // all there are
    for (Segment& segment : segments_) {
      segment.sum = kernels_->sum_exp(&logits_[segment.begin], segment.end - segment.begin,
                                      segment.shift, factor);
    }
  } else {
    weights_.resize(tokens_.size());
    for (const Segment& segment : segments_) {
      for (std::size_t i = segment.begin; i < segment.end; ++i) {
        weights_[i] = (logits_[i] - segment.shift) * factor;
      }
    }
    kernels_->exponentials(weights_.data(), weights_.size(), 0.0F, 1.0F, weights_.data());
    for (Segment& segment : segments_) segment.sum = sum_of_weights(segment);
  }
  scales_.resize(tops_.size());
  kernels_->exponentials(tops_.data(), tops_.size(), top_, factor, scales_.data());
}

// In the lanes of sum_exp, where tokens that are not there would add 0.
float TokenSegments::sum_of_weights(const Segment& segment) const {
  const std::size_t count = segment.end - segment.begin;
  if (count == 1) return weights_[segment.begin];
  if (count == 2) return weights_[segment.begin] + weights_[segment.begin + 1];
  float lanes[kChoiceLanes] = {};
  for (std::size_t i = segment.begin; i < segment.end; ++i) {
    lanes[id(tokens_[i]) % kChoiceLanes] += weights_[i];
  }
  for (std::size_t half = kChoiceLanes / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

// `share` is how much of the segment's weight stands before the draw. Sums of runs, of parts of as
// many runs, then of the parts: short chains, which 128 threads can share.
std::size_t TokenSegments::draw_within(const Segment& segment, float factor, double share) const {
  constexpr std::size_t kRuns = kChoiceSegment / kChoiceRun;
  constexpr std::size_t kParts = kChoiceSegment / kChoicePart;
  constexpr std::size_t kPartRuns = kChoicePart / kChoiceRun;
  const std::size_t count = segment.end - segment.begin;
  const TokenId* tokens = &tokens_[segment.begin];
  float weights[kChoiceSegment];
  kernels_->exponentials(&logits_[segment.begin], count, segment.shift, factor, weights);
  double runs[kRuns] = {};
  const auto run_of = [&](std::size_t i) { return id(tokens[i]) % kChoiceSegment / kChoiceRun; };
  for (std::size_t i = 0; i < count; ++i) runs[run_of(i)] += static_cast<double>(weights[i]);
  double parts[kParts] = {};
  for (std::size_t i = 0; i < kRuns; ++i) parts[i / kPartRuns] += runs[i];
  double total = 0;
  for (const double part : parts) total += part;

  const double target = share * total;
  const Fallen part = fall(0, kParts, 0, target, [&](std::size_t i) { return parts[i]; });
  const Fallen run = fall(part.at * kPartRuns, (part.at + 1) * kPartRuns, part.before, target,
                          [&](std::size_t i) { return runs[i]; });
  std::size_t begin = 0;
  while (run_of(begin) < run.at) ++begin;
  std::size_t end = begin;
  while (end < count && run_of(end) == run.at) ++end;
  const Fallen token = fall(begin, end, run.before, target,
                            [&](std::size_t i) { return static_cast<double>(weights[i]); });
  return segment.begin + token.at;
}

}  // namespace espalier::runtime
