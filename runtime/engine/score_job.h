// Scoring continuations in one batched pass over their trie: common beginnings are rows that run
// once.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/engine/job.h"

namespace espalier::runtime {

class ScoreJob final : public Job {
 public:
  ScoreJob(std::shared_ptr<BranchState> state, ScoreRequest request);

  void start(radix_cache::RadixCache& cache) override;
  void count(Stats& stats) override;
  [[nodiscard]] bool finished() const override { return answered_ == nodes_.size(); }
  [[nodiscard]] Status want(const Strand& strand, std::uint32_t position, RowPlan& plan) override;
  [[nodiscard]] Status take(Strand& strand, std::uint32_t position, RowResult& result,
                            radix_cache::RadixCache& cache, Stats& stats) override;
  void answer(Status status) override;

 private:
  /// An inner node of the trie: a row whose logits give the log-probabilities of its children. Node
  /// 0 is the path's own last token.
  struct Node {
    std::vector<TokenId> children;    // in order of first appearance
    std::vector<std::uint32_t> next;  // the inner node below each child, 0 where there is none
    std::vector<float> logprobs;      // of the children, once answered
  };
  /// A strand's part of the trie: the nodes at its wanted positions, in order.
  struct Route {
    std::vector<TokenId> tokens;       // below the path, to the last inner node
    std::vector<std::uint32_t> nodes;  // inner nodes that this route is the first to pass
  };
  [[nodiscard]] std::uint32_t node_at(const Strand& strand, std::uint32_t position) const;

  ScoreRequest request_;
  std::vector<Node> nodes_;
  std::vector<Route> routes_;
  std::size_t answered_ = 0;
  bool counted_ = false;
};

}  // namespace espalier::runtime
