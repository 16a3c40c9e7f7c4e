// The tokens that a row may choose from, cut into segments by id: sums of their exponentials and
// draws among them, in the order of numerics contract 10 (../cpu/README.md).
//
// A segment without such tokens costs nothing. What CUDA's kernel (../cuda/sample.h) has the bits
// of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/token.h"
#include "runtime/cpu/choice_order.h"
#include "runtime/cpu/kernels.h"

namespace espalier::runtime {

class TokenSegments {
 public:
  explicit TokenSegments(const cpu::Kernels& kernels) : kernels_(&kernels) {}

  /// `tokens` rise, with as many logits; both outlive the calls below, unchanged. May throw
  /// bad_alloc.
  void set(std::span<const TokenId> tokens, std::span<const float> logits);

  /// The best logit; -infinity where there is none. A NaN is never better.
  [[nodiscard]] float top() const { return top_; }
  /// Where the first token with the best logit stands, which is finite.
  [[nodiscard]] std::size_t best() const;
  /// The sum of exp(logit - top()). Not finite where a logit is NaN or +infinity.
  [[nodiscard]] float total();
  /// Where a token stands that is drawn with weights exp((logit - top()) * factor) by a number of
  /// [0, 1). total() is finite.
  [[nodiscard]] std::size_t draw(float factor, double uniform);

 private:
  struct Segment {
    std::size_t begin = 0;  // its tokens' places
    std::size_t end = 0;
    float shift = 0;  // the best logit, or 0 where that is -infinity
    float sum = 0;    // of exp((logit - shift) * factor_)
  };

  void add_up(float factor);
  [[nodiscard]] float sum_of_weights(const Segment& segment) const;
  [[nodiscard]] std::size_t draw_within(const Segment& segment, float factor, double share) const;

  const cpu::Kernels* kernels_;
  std::span<const TokenId> tokens_;
  std::span<const float> logits_;
  float top_ = 0;
  float factor_ = 0;  // that sums are of; 0: of none yet
  std::vector<Segment> segments_;
  std::vector<float> tops_;     // of segments
  std::vector<float> scales_;   // exp((top of the segment - top()) * factor_)
  std::vector<float> weights_;  // of tokens, where they are not all
};

}  // namespace espalier::runtime
