#include "runtime/sampling/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "runtime/cpu/fixed_math.h"

namespace espalier::runtime {
namespace {

// How many of the best candidates a nucleus is looked for in at first; most are smaller.
constexpr std::size_t kFirstNucleus = 128;

// Where one token in so many is allowed, all are passed over.
constexpr std::size_t kMany = 6;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// What logits are multiplied with. Finite below the smallest normal temperature too: the best one's
// distance from itself stays 0.
float sharpness(const Sampling& sampling) {
  return std::min(1.0F / sampling.temperature, std::numeric_limits<float>::max());
}

tl::unexpected<Error> not_finite() {
  return fail(ErrorCode::kInternal, "sampling: the model's logits are not finite");
}

}  // namespace

void Sampler::all_tokens(std::size_t vocabulary) {
  if (tokens_.size() == vocabulary &&
      (vocabulary == 0 || static_cast<std::size_t>(tokens_.back()) == vocabulary - 1)) {
    return;  // rising, so these are all
  }
  tokens_.resize(vocabulary);
  std::iota(tokens_.begin(), tokens_.end(), 0);
}

// The allowed tokens and their logits, in rising order of ids; or, unless they are to be listed,
// all tokens with -infinity for those that are not allowed, which weigh nothing then: where many
// are allowed that is cheaper.
void Sampler::gather(std::span<const float> logits, const grammar::Mask* mask, bool listed) {
  if (mask == nullptr) {
    all_tokens(logits.size());
    logits_.assign(logits.begin(), logits.end());
    return;
  }
  if (!listed && mask->count() > logits.size() / kMany) {
    all_tokens(logits.size());
    logits_.resize(logits.size());
    const std::size_t covered = std::min(logits.size(), mask->words().size() * 64);
    kernels_->keep_allowed(logits.data(), mask->words().data(), covered, logits_.data());
    std::fill(logits_.begin() + static_cast<std::ptrdiff_t>(covered), logits_.end(), -kInfinity);
    return;
  }
  tokens_.resize(mask->count());
  if (const auto ids = mask->ids(); ids.size() == tokens_.size()) {
    std::copy(ids.begin(), ids.end(), tokens_.begin());
  } else {
    TokenId* to = tokens_.data();
    grammar::for_each_bit(mask->words(), [&to](TokenId token) { *to++ = token; });
  }
  while (!tokens_.empty() && static_cast<std::size_t>(tokens_.back()) >= logits.size()) {
    tokens_.pop_back();
  }
  logits_.resize(tokens_.size());
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    logits_[i] = logits[static_cast<std::size_t>(tokens_[i])];
  }
}

void Sampler::penalise(const Sampling& sampling, const TokenCounts& counts) {
  // Both lists rise, so each search starts where the last one ended.
  const auto each = [this](const auto& list, auto&& change) {
    auto from = tokens_.begin();
    for (const auto& [token, times] : list) {
      from = std::lower_bound(from, tokens_.end(), token);
      if (from == tokens_.end()) return;
      if (*from == token) change(logits_[static_cast<std::size_t>(from - tokens_.begin())], times);
    }
  };
  each(counts.context, [&](float& logit, std::uint32_t) {
    logit = logit > 0 ? logit / sampling.repetition : logit * sampling.repetition;
  });
  each(counts.generated, [&](float& logit, std::uint32_t times) {
    logit = logit - sampling.presence - sampling.frequency * static_cast<float>(times);
  });
}

Result<Sampled> Sampler::sample(std::span<const float> logits, const grammar::Mask* mask,
                                const Sampling& sampling, const TokenCounts* counts,
                                const RandomKey& key, std::uint64_t counter) {
  const bool filtered = sampling.temperature > 0 &&
                        (sampling.top_k > 0 || sampling.top_p < 1.0F || sampling.min_p > 0.0F);
  gather(logits, mask, filtered);
  if (tokens_.empty()) return fail(ErrorCode::kInternal, "sampling: no token is allowed");
  segments_.set(tokens_, logits_);
  const float top = segments_.top();
  const float total = segments_.total();
  if (!std::isfinite(top) || !std::isfinite(total)) return not_finite();
  if (counts != nullptr && sampling.has_penalties()) {
    penalise(sampling, *counts);
    segments_.set(tokens_, logits_);
  }

  std::size_t chosen;
  if (sampling.temperature <= 0) {
    chosen = segments_.best();
  } else if (filtered) {
    chosen = draw_filtered(sampling, segments_.top(), key.uniform(counter));
  } else {
    chosen = segments_.draw(sharpness(sampling), key.uniform(counter));
  }
  const TokenId token = tokens_[chosen];
  float weight;
  kernels_->exponentials(&logits[static_cast<std::size_t>(token)], 1, top, 1.0F, &weight);
  return Sampled{token, weight / total};
}

// Index of a draw from the tempered distribution after top-k, top-p and min-p. Candidates are taken
// best first in growing portions, so a narrow distribution costs one pass and a short sort.
std::size_t Sampler::draw_filtered(const Sampling& sampling, float top, double uniform) {
  candidates_.resize(logits_.size());
  for (std::size_t i = 0; i < logits_.size(); ++i) {
    candidates_[i] = {logits_[i], static_cast<TokenId>(i)};
  }
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  const std::size_t most =
      sampling.top_k > 0 ? std::min(candidates_.size(), static_cast<std::size_t>(sampling.top_k))
                         : candidates_.size();
  std::size_t sorted = 0;
  weights_.clear();
  const auto sort_to = [&](std::size_t end) {
    if (end < candidates_.size()) {
      std::nth_element(candidates_.begin() + static_cast<std::ptrdiff_t>(sorted),
                       candidates_.begin() + static_cast<std::ptrdiff_t>(end), candidates_.end(),
                       better);
    }
    std::sort(candidates_.begin() + static_cast<std::ptrdiff_t>(sorted),
              candidates_.begin() + static_cast<std::ptrdiff_t>(end), better);
    std::vector<float>& w = weights_;
    const std::size_t before = w.size();
    for (std::size_t i = before; i < end; ++i) w.push_back(candidates_[i].logit);
    kernels_->exponentials(w.data() + before, end - before, top, sharpness(sampling),
                           w.data() + before);
    sorted = end;
  };

  // What top-p is a share of: everything that top-k left.
  double mass = 0;
  if (sampling.top_k > 0) {
    sort_to(most);
    mass = std::accumulate(weights_.begin(), weights_.end(), 0.0);
  } else if (sampling.top_p < 1.0F) {
    std::vector<float> all(logits_.size());
    kernels_->exponentials(logits_.data(), logits_.size(), top, sharpness(sampling), all.data());
    mass = std::accumulate(all.begin(), all.end(), 0.0);
  }
  std::size_t kept = 0;
  double sum = 0;
  const double nucleus = static_cast<double>(sampling.top_p) * mass;
  for (; kept < most; ++kept) {
    if (kept == sorted) sort_to(std::min(most, std::max(kFirstNucleus, sorted * 4)));
    // The best one always stays: sums start above no threshold.
    if (kept > 0) {
      if (sampling.top_p < 1.0F && sum >= nucleus) break;
      if (weights_[kept] < sampling.min_p * weights_[0]) break;
    }
    sum += weights_[kept];
  }
  const double target = uniform * sum;
  double reached = 0;
  std::size_t i = 0;
  for (; i + 1 < kept; ++i) {
    reached += weights_[i];
    if (reached > target) break;
  }
  return static_cast<std::size_t>(candidates_[i].token);
}

Result<double> Sampler::log_normaliser(std::span<const float> logits) {
  all_tokens(logits.size());
  segments_.set(tokens_, logits);
  const float top = segments_.top();
  const float total = segments_.total();
  if (!std::isfinite(top) || !std::isfinite(total)) return not_finite();
  return static_cast<double>(top) + cpu::logarithm(static_cast<double>(total));
}

std::vector<std::pair<TokenId, float>> Sampler::best(std::span<const float> logits,
                                                     std::uint32_t count, double log_normaliser) {
  const std::size_t most = std::min<std::size_t>(count, logits.size());
  std::vector<std::pair<TokenId, float>> out;
  if (most == 0) return out;
  out.reserve(most + 1);
  const auto better = [](const std::pair<TokenId, float>& a, const std::pair<TokenId, float>& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  };
  // A heap of the best so far with the worst in front; most logits fail the first comparison.
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (out.size() == most && !(logits[i] > out.front().second)) continue;
    out.emplace_back(static_cast<TokenId>(i), logits[i]);
    std::push_heap(out.begin(), out.end(), better);
    if (out.size() > most) {
      std::pop_heap(out.begin(), out.end(), better);
      out.pop_back();
    }
  }
  std::sort_heap(out.begin(), out.end(), better);
  for (auto& [token, value] : out) {
    value = static_cast<float>(static_cast<double>(value) - log_normaliser);
  }
  return out;
}

}  // namespace espalier::runtime
