// Sampling a value token by token under a matcher, or free text up to an end token.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "runtime/engine/draft_model.h"
#include "runtime/engine/drafter.h"
#include "runtime/engine/job.h"

namespace espalier::runtime {

class GenerateJob final : public Job, private DraftPath {
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
  void propose(radix_cache::RadixCache& cache, double threshold) override;
  [[nodiscard]] DraftPath* draft_path(const radix_cache::RadixCache& cache) override;
  [[nodiscard]] Follows follows(const radix_cache::RadixCache& cache,
                                std::optional<double> guesses_above) override;
  void retract(radix_cache::RadixCache& cache) override;
  [[nodiscard]] Status want(const Strand& strand, std::uint32_t position, RowPlan& plan) override;
  [[nodiscard]] Status take(Strand& strand, std::uint32_t position, RowResult& result,
                            radix_cache::RadixCache& cache, Stats& stats) override;
  void answer(Status status) override;

 private:
  [[nodiscard]] std::uint32_t tokens_left() const;
  [[nodiscard]] std::uint32_t length() const;  // of ids and answer
  [[nodiscard]] bool ends(TokenId token) const;

  [[nodiscard]] std::size_t worth(double threshold, std::size_t most) override;
  [[nodiscard]] std::vector<TokenId> known() const override { return path(); }
  [[nodiscard]] std::uint64_t space() const override { return state().space; }
  [[nodiscard]] std::uint32_t to_come() const override { return tokens_left(); }
  [[nodiscard]] RowPlan next_guess() const override;
  [[nodiscard]] bool add_guess(TokenId token) override;
  void enter_guess(radix_cache::RadixCache& tree) override;

  [[nodiscard]] bool may_guess(const radix_cache::RadixCache& cache) const;
  [[nodiscard]] std::size_t most_guessed() const;
  [[nodiscard]] NGramIndex::Guess find_guess(const radix_cache::RadixCache& cache);
  void begin_guess(DraftSource source);
  void guess(radix_cache::RadixCache& cache, double threshold);
  void append(TokenId token, bool forced, Stats& stats,
              std::span<const std::pair<TokenId, float>> best = {});
  [[nodiscard]] Status take_sampled(RowResult& result, Stats& stats);
  [[nodiscard]] Status take_forced(Stats& stats);
  void force();

  GenerateRequest request_;
  Generated out_;
  TokenCounts counts_;  // kept up only where penalties act
  bool jump_;
  std::vector<TokenId> forced_;        // known to follow and not appended yet, the next one last
  std::deque<std::uint32_t> allowed_;  // by the masks of the rows that were asked for and not taken
  // A guess on its way: tokens that stand in the lease behind ids and answer, the mask after each
  // (null without a matcher), and the position from which on the tree had none of them.
  struct Draft {
    DraftSource source = DraftSource::kBigram;
    std::deque<TokenId> tokens;
    std::deque<grammar::MaskRef> masks;
    std::uint32_t fresh = 0;
    // While it grows: where it ends.
    grammar::Matcher matcher;
    grammar::MaskRef mask;
    std::uint32_t left = 0;  // of the budget
  };
  Draft draft_;
  std::size_t due_ = 0;        // tokens that follows() found worth guessing
  std::uint32_t drawn_ = 0;    // of the answer, since anything was forced
  std::vector<TokenId> path_;  // ids and answer, where guesses are looked for
  NGramIndex index_;
  DraftTrust trust_;
  bool finished_ = false;
};

}  // namespace espalier::runtime
