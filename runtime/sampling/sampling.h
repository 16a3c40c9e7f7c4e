// How one token is chosen from a row of logits. The order is fixed (CONTRACTS 20): mask, bias,
// penalties (repetition, presence, frequency), temperature, top-k, top-p, min-p; ties go to the
// lowest id.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/token.h"
#include "grammar/mask.h"

namespace espalier::runtime {

struct Sampling {
  float temperature = 0.0F;  // 0 is greedy
  std::int32_t top_k = 0;    // 0: off
  float top_p = 1.0F;
  float min_p = 0.0F;
  float repetition =
      1.0F;  // > 1 divides positive and multiplies negative logits of tokens seen in the context
  float presence = 0.0F;   // subtracted once from tokens generated before
  float frequency = 0.0F;  // subtracted for each time
  std::uint64_t seed = 0;

  /// kInvalid, naming the field and its range.
  [[nodiscard]] Status check() const;
  [[nodiscard]] bool has_penalties() const {
    return repetition != 1.0F || presence != 0.0F || frequency != 0.0F;
  }
};

/// What the penalties act on: (token, times seen), sorted by token, no duplicates.
struct TokenCounts {
  std::vector<std::pair<TokenId, std::uint32_t>> context;    // for repetition
  std::vector<std::pair<TokenId, std::uint32_t>> generated;  // for presence and frequency
};

struct Sampled {
  TokenId token = kNoToken;
  float probability =
      0.0F;  // over the allowed set, at temperature 1, before top-k, top-p, min-p and penalties
};

}  // namespace espalier::runtime
