#include "runtime/engine/score_job.h"

#include <algorithm>
#include <utility>

namespace espalier::runtime {

ScoreJob::ScoreJob(std::shared_ptr<BranchState> branch, ScoreRequest request)
    : Job(std::move(branch)), request_(std::move(request)) {
  nodes_.emplace_back();
  routes_.push_back({{}, {0}});
  for (const auto& continuation : request_.continuations) {
    Route route;
    std::uint32_t at = 0;
    for (std::size_t i = 0; i < continuation.size(); ++i) {
      const TokenId token = continuation[i];
      const auto& children = nodes_[at].children;
      const auto child = static_cast<std::size_t>(
          std::find(children.begin(), children.end(), token) - children.begin());
      if (child == children.size()) {
        nodes_[at].children.push_back(token);
        nodes_[at].next.push_back(0);
      }
      if (i + 1 == continuation.size()) break;  // a leaf: only its log-probability is wanted
      if (nodes_[at].next[child] == 0) {
        const auto fresh = static_cast<std::uint32_t>(nodes_.size());
        nodes_.emplace_back();
        nodes_[at].next[child] = fresh;
        route.nodes.push_back(fresh);
      }
      at = nodes_[at].next[child];
      route.tokens.push_back(token);
    }
    if (!route.nodes.empty()) routes_.push_back(std::move(route));
  }
}

void ScoreJob::start(radix_cache::RadixCache& cache) {
  answered_ = 0;  // after a preemption the trie is scored anew: it is small
  const radix_cache::Lease base = open_path(cache);
  for (const Route& route : routes_) {
    Strand strand;
    strand.lease = cache.fork(base);
    cache.extend(strand.lease, route.tokens);
    strand.end = strand.lease.length();
    strand.cursor = strand.end - static_cast<std::uint32_t>(route.nodes.size());
    strands_.push_back(std::move(strand));
  }
}

void ScoreJob::count(Stats& stats) {
  Job::count(stats);
  if (!counted_) stats.select_tokens += nodes_.size() - 1;
  counted_ = true;
}

std::uint32_t ScoreJob::node_at(const Strand& strand, std::uint32_t position) const {
  const Route& route = routes_[static_cast<std::size_t>(&strand - strands_.data())];
  return route.nodes[route.nodes.size() - (strand.end - position)];
}

Status ScoreJob::want(const Strand& strand, std::uint32_t position, RowPlan& plan) {
  plan.want = Want::kLogprobs;
  plan.ids = nodes_[node_at(strand, position)].children;
  return {};
}

Status ScoreJob::take(Strand& strand, std::uint32_t position, RowResult& result,
                      radix_cache::RadixCache&, Stats&) {
  nodes_[node_at(strand, position)].logprobs = std::move(result.logprobs);
  ++answered_;
  return {};
}

void ScoreJob::answer(Status status) {
  if (!status) {
    state().answer = Result<Scored>(fail(std::move(status).error()));
    return;
  }
  Scored out;
  for (const auto& continuation : request_.continuations) {
    auto& row = out.logprobs.emplace_back();
    std::uint32_t at = 0;
    for (const TokenId token : continuation) {
      const Node& node = nodes_[at];
      const auto child = static_cast<std::size_t>(
          std::find(node.children.begin(), node.children.end(), token) - node.children.begin());
      row.push_back(node.logprobs[child]);
      at = node.next[child];
    }
  }
  state().answer = Result<Scored>(std::move(out));
}

}  // namespace espalier::runtime
