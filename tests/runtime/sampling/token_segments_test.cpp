// Sums and draws of TokenSegments against numerics contract 10 as it is written, token by token
// over the whole vocabulary.
#include "runtime/sampling/token_segments.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "runtime/cpu/isa.h"

namespace espalier::runtime {
namespace {

using Random = std::mt19937_64;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float exponential(float x) {
  float out = x;
  cpu::kScalarKernels.exponentials(&x, 1, 0.0F, 1.0F, &out);
  return out;
}

// What the contract says of a vocabulary where tokens that are not allowed weigh nothing.
class ByTheContract {
 public:
  ByTheContract(const std::vector<float>& logits, const std::vector<bool>& allowed, float factor)
      : logits_(logits), allowed_(allowed), factor_(factor) {
    for (std::size_t i = 0; i < logits.size(); ++i) {
      if (allowed[i] && logits[i] > top_) top_ = logits[i];
    }
    for (std::size_t begin = 0; begin < logits.size(); begin += 2048) {
      float best = -kInfinity;
      for (std::size_t i = begin; i < end_of(begin); ++i) {
        if (allowed[i] && logits[i] > best) best = logits[i];
      }
      shifts_.push_back(best == -kInfinity ? 0.0F : best);
      scales_.push_back(exponential((best - top_) * factor));
      std::array<float, 128> lanes{};
      for (std::size_t i = begin; i < end_of(begin); ++i) lanes[i % 128] += weight(i);
      for (const std::size_t half : {64, 32, 16, 8, 4, 2, 1}) {
        for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
      }
      sums_.push_back(lanes[0]);
    }
  }

  [[nodiscard]] float top() const { return top_; }
  [[nodiscard]] float total() const {
    float total = 0;
    for (std::size_t s = 0; s < sums_.size(); ++s) total += sums_[s] * scales_[s];
    return total;
  }
  // The id that is drawn.
  [[nodiscard]] std::size_t draw(double uniform) const {
    std::vector<double> segments;
    for (std::size_t s = 0; s < sums_.size(); ++s) {
      segments.push_back(static_cast<double>(sums_[s]) * static_cast<double>(scales_[s]));
    }
    double reached = 0;
    double target = uniform * sum(segments);
    const std::size_t segment = passed(segments, reached, target);
    const double share = (target - reached) / segments[segment];

    const std::size_t begin = segment * 2048;
    std::vector<std::vector<std::vector<double>>> tokens(8);  // of parts, of runs
    std::vector<std::vector<double>> runs(8);
    std::vector<double> parts;
    for (std::size_t part = 0; part < 8; ++part) {
      for (std::size_t run = 0; run < 16; ++run) {
        std::vector<double> weights;
        for (std::size_t i = 0; i < 16; ++i) {
          const std::size_t id = begin + part * 256 + run * 16 + i;
          weights.push_back(id < logits_.size() ? static_cast<double>(weight(id)) : 0.0);
        }
        runs[part].push_back(sum(weights));
        tokens[part].push_back(weights);
      }
      parts.push_back(sum(runs[part]));
    }
    reached = 0;
    target = share * sum(parts);
    const std::size_t part = passed(parts, reached, target);
    const std::size_t run = passed(runs[part], reached, target);
    return begin + part * 256 + run * 16 + passed(tokens[part][run], reached, target);
  }

 private:
  [[nodiscard]] std::size_t end_of(std::size_t begin) const {
    return std::min(begin + 2048, logits_.size());
  }
  [[nodiscard]] float weight(std::size_t id) const {
    return allowed_[id] ? exponential((logits_[id] - shifts_[id / 2048]) * factor_) : 0.0F;
  }
  static double sum(const std::vector<double>& weights) {
    double out = 0;
    for (const double weight : weights) out += weight;
    return out;
  }
  // The first weight with which the sum from `reached` on passes the target, else the last that is
  // not 0; leaves the sum before it.
  static std::size_t passed(const std::vector<double>& weights, double& reached, double target) {
    std::size_t end = weights.size();
    while (end > 1 && weights[end - 1] == 0) --end;
    std::size_t i = 0;
    while (i + 1 < end && reached + weights[i] <= target) reached += weights[i++];
    return i;
  }

  const std::vector<float>& logits_;
  const std::vector<bool>& allowed_;
  float factor_;
  float top_ = -kInfinity;
  std::vector<float> shifts_, sums_, scales_;
};

std::vector<bool> random_set(Random& random, std::size_t vocabulary) {
  std::vector<bool> out(vocabulary);
  switch (random() % 6) {
    case 0:  // all
      out.flip();
      break;
    case 1:  // one
      break;
    case 2:  // few
      for (int i = 0; i < 10; ++i) out[random() % vocabulary] = true;
      break;
    case 3:  // nearly all
      for (std::size_t i = 0; i < vocabulary; ++i) out[i] = random() % 50 != 0;
      break;
    case 4:  // whole segments and parts of them
      for (int i = 0; i < 3; ++i) {
        std::size_t at = random() % vocabulary;
        if (random() % 2 == 0) at = at / 2048 * 2048;
        for (std::size_t left = 1 + random() % 5000; left > 0 && at < vocabulary; --left) {
          out[at++] = true;
        }
      }
      break;
    default:
      for (std::size_t i = 0; i < vocabulary; ++i) out[i] = random() % 2 == 0;
      break;
  }
  out[random() % vocabulary] = true;
  return out;
}

TEST(TokenSegments, AddUpAndDrawAsTheContractSaysOnEveryInstructionSet) {
  Random random(21);
  std::normal_distribution<float> normal;
  for (int trial = 0; trial < 150; ++trial) {
    SCOPED_TRACE(trial);
    const std::size_t sizes[] = {1, 15, 127, 128, 700, 2047, 2048, 2049, 4096, 6145, 20'000};
    const std::size_t vocabulary = sizes[random() % std::size(sizes)];
    const float spread = std::vector<float>{0.0F, 2.0F, 60.0F, 1e37F}[random() % 4];
    std::vector<float> logits(vocabulary);
    for (float& x : logits) x = spread * normal(random);
    if (trial % 5 == 0) {  // as a padded vocabulary leaves it
      std::fill(logits.begin() + static_cast<std::ptrdiff_t>(1 + random() % vocabulary),
                logits.end(), -kInfinity);
    }
    auto allowed = random_set(random, vocabulary);
    if (trial % 5 == 0) allowed[0] = true;
    std::vector<TokenId> tokens;
    std::vector<float> of_tokens;
    for (std::size_t i = 0; i < vocabulary; ++i) {
      if (!allowed[i]) continue;
      tokens.push_back(static_cast<TokenId>(i));
      of_tokens.push_back(logits[i]);
    }
    const float factor =
        std::vector<float>{1.0F, 0.6F, 3.0F, std::numeric_limits<float>::max()}[random() % 4];
    const ByTheContract plain(logits, allowed, 1.0F);
    const ByTheContract tempered(logits, allowed, factor);
    std::vector<double> numbers = {0.0, 1 - 0x1p-53};
    for (int i = 0; i < 6; ++i) numbers.push_back(static_cast<double>(random() >> 11) * 0x1p-53);
    for (const cpu::Kernels* kernels : cpu::supported_kernels()) {
      TokenSegments segments(*kernels);
      segments.set(tokens, of_tokens);
      EXPECT_EQ(segments.top(), plain.top());
      EXPECT_EQ(std::bit_cast<std::uint32_t>(segments.total()),
                std::bit_cast<std::uint32_t>(plain.total()));
      EXPECT_EQ(of_tokens[segments.best()], plain.top());
      for (const double uniform : numbers) {
        const std::size_t at = segments.draw(factor, uniform);
        EXPECT_EQ(static_cast<std::size_t>(tokens[at]), tempered.draw(uniform)) << uniform;
      }
    }
    if (HasFailure()) break;
  }
}

// The places where sums are cut must not show in what is drawn.
TEST(TokenSegments, DrawsFollowTheDistributionAcrossSegments) {
  std::vector<float> logits(5000, -kInfinity);
  std::vector<TokenId> tokens(logits.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<TokenId>(i);
  const std::size_t places[] = {0, 15, 16, 255, 256, 2047, 2048, 4095, 4096, 4999};
  double total = 0;
  for (std::size_t i = 0; i < std::size(places); ++i) {
    logits[places[i]] = static_cast<float>(i % 4);
    total += std::exp(static_cast<double>(i % 4) * 0.5);
  }
  TokenSegments segments(*cpu::supported_kernels().back());
  segments.set(tokens, logits);
  constexpr int kDraws = 100'000;  // at even distances, so each count is right within one
  std::vector<int> seen(logits.size());
  for (int i = 0; i < kDraws; ++i) ++seen[segments.draw(0.5F, (i + 0.5) / kDraws)];
  for (std::size_t i = 0; i < std::size(places); ++i) {
    const double share = std::exp(static_cast<double>(i % 4) * 0.5) / total;
    EXPECT_NEAR(seen[places[i]], share * kDraws, 1.1) << places[i];
  }
}

TEST(TokenSegments, ALogitThatIsNotFiniteShowsInTheSumUnlessItIsMinusInfinity) {
  std::vector<TokenId> tokens;
  for (TokenId id = 0; id < 5000; ++id) tokens.push_back(id);
  TokenSegments segments(*cpu::supported_kernels().back());
  for (const std::size_t place : {0U, 2047U, 2048U, 4999U}) {
    std::vector<float> logits(tokens.size(), 1.0F);
    const auto finite = [&](float odd) {
      logits[place] = odd;
      segments.set(tokens, logits);
      return std::isfinite(segments.top()) && std::isfinite(segments.total());
    };
    EXPECT_FALSE(finite(std::nanf("")));
    EXPECT_FALSE(finite(kInfinity));
    EXPECT_TRUE(finite(-kInfinity));
    // A segment of nothing else, too.
    const std::size_t begin = place / 2048 * 2048;
    const std::size_t end = std::min(begin + 2048, logits.size());
    for (std::size_t i = begin; i < end; ++i) logits[i] = -kInfinity;
    EXPECT_TRUE(finite(-kInfinity));
    EXPECT_FALSE(finite(std::nanf("")));
  }
}

}  // namespace
}  // namespace espalier::runtime
