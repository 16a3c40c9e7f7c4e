// Whether it pays to bring pages from a tier instead of computing them: seconds a page of the one
// against seconds a page of the other, both measured as the engine runs.
//
// While one of them is not known yet, and every kTries-th time, it is tried, so that neither figure
// grows old.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/backend.h"

namespace espalier::runtime {

class TierCost {
 public:
  static constexpr std::uint64_t kTries = 32;

  void computing_took(std::uint32_t rows, double seconds) {
    mean(computed_page_, seconds / rows * kPageTokens);
  }
  void bringing_took(std::uint64_t pages, double seconds) {
    mean(brought_page_, seconds / static_cast<double>(pages));
  }
  /// Of pages that are there to be brought.
  [[nodiscard]] bool pays() {
    if (computed_page_ == 0 || brought_page_ == 0) return true;
    return brought_page_ < computed_page_ || ++asked_ % kTries == 0;
  }

 private:
  static void mean(double& so_far, double now) {
    so_far = so_far == 0 ? now : so_far + (now - so_far) / 8;
  }

  double computed_page_ = 0;  // running means of seconds; 0: not measured
  double brought_page_ = 0;
  std::uint64_t asked_ = 0;  // times that it would not have paid
};

}  // namespace espalier::runtime
