// Feeding known ids and reporting what the model thought of each.
#pragma once

#include <cstdint>
#include <memory>

#include "runtime/engine/job.h"

namespace espalier::runtime {

class ProbeJob final : public Job {
 public:
  /// The request's ids are appended to the branch here: they are prompt.
  ProbeJob(std::shared_ptr<BranchState> state, ProbeRequest request);

  void start(radix_cache::RadixCache& cache) override;
  [[nodiscard]] bool finished() const override { return answered_ == wanted_; }
  [[nodiscard]] Status want(const Strand& strand, std::uint32_t position, RowPlan& plan) override;
  [[nodiscard]] Status take(Strand& strand, std::uint32_t position, RowResult& result,
                            radix_cache::RadixCache& cache, Stats& stats) override;
  void answer(Status status) override;

 private:
  ProbeRequest request_;
  Probed out_;
  std::size_t base_ = 0;    // ids before the probed ones
  std::size_t wanted_ = 0;  // rows whose logits are wanted
  std::size_t answered_ = 0;
};

}  // namespace espalier::runtime
