// A backend whose steps may be begun before the tokens of the one before are known, over one whose
// steps may not: what a device does, for tests of who comes and goes meanwhile.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "tests/support/wrapped_backend.h"

namespace espalier::runtime {

class AheadBackend final : public WrappedBackend {
 public:
  using WrappedBackend::WrappedBackend;
  bool chooses_ahead(const RowPlan& plan) const override {
    return plan.want == Want::kToken && plan.count == 0 && plan.counts == nullptr;
  }
  Result<std::vector<RowResult>> finish_and_begin(std::span<const RowPlan> plans,
                                                  NextStep& next) override {
    auto out = finish(plans);
    next.begun = false;
    if (!out) return out;
    next_ = *next.batch;
    for (Row& row : next_.rows) {
      if (row.chosen != Row::kKnown)
        row.token = (*out)[std::exchange(row.chosen, Row::kKnown)].sampled.token;
    }
    next.begun = begin(next_, next.wanted).has_value();
    return out;
  }

 private:
  Batch next_;
};

}  // namespace espalier::runtime
