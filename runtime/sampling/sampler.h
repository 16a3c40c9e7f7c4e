// Choosing tokens from rows of logits (the order of Sampling's steps: sampling.h), and
// log-probabilities.
//
// Every result is a pure function of the logits of the allowed tokens, the settings and the draw:
// sums have a fixed order and exponentials are the numerics contract's, so all instruction sets
// agree, and logits of tokens that are not allowed are never read. O(allowed) and no full sort.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/token.h"
#include "grammar/mask.h"
#include "runtime/cpu/kernels.h"
#include "runtime/sampling/sampling.h"
#include "runtime/sampling/token_segments.h"

namespace espalier::runtime {

/// Scratch memory for rows of one thread.
class Sampler {
 public:
  explicit Sampler(const cpu::Kernels& kernels) : kernels_(&kernels), segments_(kernels) {}

  /// Samples among the tokens of `mask` (null: all). `counts` may be null where there are no
  /// penalties. kInternal where nothing is allowed or a logit is not finite.
  [[nodiscard]] Result<Sampled> sample(std::span<const float> logits, const grammar::Mask* mask,
                                       const Sampling& sampling, const TokenCounts* counts,
                                       const RandomKey& key, std::uint64_t counter);

  /// log(sum(exp(logits))): what turns a logit into a log-probability. kInternal where a logit is
  /// not finite.
  [[nodiscard]] Result<double> log_normaliser(std::span<const float> logits);

  /// The `count` best tokens with log-probabilities, best first, ties to the lowest id.
  [[nodiscard]] static std::vector<std::pair<TokenId, float>> best(std::span<const float> logits,
                                                                   std::uint32_t count,
                                                                   double log_normaliser);

 private:
  struct Candidate {
    float logit = 0;
    TokenId token = kNoToken;
  };

  void all_tokens(std::size_t vocabulary);
  void gather(std::span<const float> logits, const grammar::Mask* mask, bool listed);
  void penalise(const Sampling& sampling, const TokenCounts& counts);
  [[nodiscard]] std::size_t draw_filtered(const Sampling& sampling, float top, double uniform);

  const cpu::Kernels* kernels_;
  TokenSegments segments_;
  std::vector<TokenId> tokens_;  // allowed, rising
  std::vector<float> logits_;    // theirs
  std::vector<float> weights_;
  std::vector<Candidate> candidates_;
};

}  // namespace espalier::runtime
