// Sampling a value token by token under a matcher, or free text up to an end token.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "runtime/engine/job.h"

namespace espalier::runtime {

class GenerateJob final : public Job {
 public:
  GenerateJob(std::shared_ptr<BranchState> state, GenerateRequest request, bool jump);
  [[nodiscard]] Status check() const;

  void start(radix_cache::RadixCache& cache) override;
  [[nodiscard]] bool finished() const override { return finished_; }
  [[nodiscard]] std::uint32_t remaining() const override { return finished_ ? 0 : tokens_left(); }
  [[nodiscard]] bool runs_to_its_budget() const override {
    return !request_.matcher.valid() && request_.end_tokens.empty();
  }
  [[nodiscard]] std::vector<TokenId> path() const override;
  [[nodiscard]] Status want(const Strand& strand, std::uint32_t position, RowPlan& plan) override;
  [[nodiscard]] Status take(Strand& strand, std::uint32_t position, RowResult& result,
                            radix_cache::RadixCache& cache, Stats& stats) override;
  void answer(Status status) override;

 private:
  [[nodiscard]] std::uint32_t tokens_left() const;
  void append(TokenId token, bool forced, Stats& stats,
              std::span<const std::pair<TokenId, float>> best = {});
  [[nodiscard]] Status take_sampled(RowResult& result, Stats& stats);
  [[nodiscard]] Status take_forced(Stats& stats);

  GenerateRequest request_;
  Generated out_;
  TokenCounts counts_;  // kept up only where penalties act
  bool jump_;
  std::vector<TokenId> forced_;  // known to follow and not appended yet, the next one last
  std::uint32_t allowed_ = 0;    // by the mask of the row that is asked for
  bool finished_ = false;
};

}  // namespace espalier::runtime
