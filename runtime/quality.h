// How far what one backend says of a text is from what another says: of a quantised model and its
// original, or of a model under numerics that round and under exact ones.
//
// Both read the same windows of tokens, each from an empty context; of every row all
// log-probabilities are compared. Drives the backends themselves, without an engine.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "runtime/backend.h"

namespace espalier::runtime {

/// Over the tokens of a text that have others before them in their window.
struct Quality {
  std::uint64_t tokens = 0;
  double reference_nll = 0;  // means, of a token
  double nll = 0;
  double nll_error = 0;        // the standard error of the difference of the two
  double same_first = 0;       // share of the rows whose likeliest token is the same
  double mean_divergence = 0;  // Kullback-Leibler, from the reference, in nats
  double most_divergence = 0;
  double farthest = 0;  // the largest difference of two log-probabilities of a token
};

class QualityRun {
 public:
  /// Both have room for a window and the same vocabulary. `rows` tokens of it are a step. `go_on`
  /// is asked before each: where it says no, what runs fails as kCancelled.
  QualityRun(Backend& reference, Backend& measured, std::uint32_t rows,
             std::function<bool()> go_on);

  /// A window of at least two tokens; those from `scored` on (1 at least) count. kInternal where a
  /// log-probability is no number.
  [[nodiscard]] Status take(std::span<const TokenId> window, std::size_t scored = 1);
  /// Of all so far.
  [[nodiscard]] Quality quality() const;

 private:
  using Rows = std::vector<std::vector<float>>;
  [[nodiscard]] Result<Rows> logprobs(Backend& backend, const Batch& batch,
                                      std::span<const RowPlan> plans) const;
  void add(const std::vector<float>& reference, const std::vector<float>& measured, TokenId next);

  Backend& reference_;
  Backend& measured_;
  const std::uint32_t rows_;
  std::function<bool()> go_on_;
  std::vector<TokenId> all_;  // of the vocabulary
  // Sums, but for the largest.
  std::uint64_t tokens_ = 0, same_ = 0;
  double reference_nll_ = 0, nll_ = 0, squares_ = 0, divergence_ = 0;
  double most_divergence_ = 0, farthest_ = 0;
};

}  // namespace espalier::runtime
