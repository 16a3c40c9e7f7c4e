// Fuel: deterministic budgets for work that an input can make arbitrarily large.
//
// A compile, a walk or an expansion spends units (states, steps, bytes) from a Fuel; when it runs
// out the work stops with ErrorCode::kLimit and a message that names the limit. Wall time is never
// a budget: the same input fails at the same place on every machine.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace espalier {

class Fuel {
 public:
  /// `what` is the unit as an error prints it ("automaton states"); it must outlive the Fuel (a
  /// literal).
  Fuel(std::string_view what, std::uint64_t limit) : what_(what), limit_(limit), left_(limit) {}

  /// Spends `units`; false once the limit is passed, and from then on.
  [[nodiscard]] bool spend(std::uint64_t units = 1) {
    if (units > left_) {
      left_ = 0;
      exhausted_ = true;
    } else {
      left_ -= units;
    }
    return !exhausted_;
  }
  [[nodiscard]] bool exhausted() const { return exhausted_; }
  [[nodiscard]] std::uint64_t limit() const { return limit_; }
  [[nodiscard]] std::uint64_t used() const { return limit_ - left_; }

  /// The failure to return once spend() was false: "<place>: more than <limit> <what>".
  [[nodiscard]] Error error(std::string_view place) const {
    return {ErrorCode::kLimit, std::string(place) + ": more than " + std::to_string(limit_) + " " +
                                   std::string(what_)};
  }

 private:
  std::string_view what_;
  std::uint64_t limit_;
  std::uint64_t left_;
  bool exhausted_ = false;
};

}  // namespace espalier
