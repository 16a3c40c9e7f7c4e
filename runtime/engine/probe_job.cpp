#include "runtime/engine/probe_job.h"

#include <limits>
#include <utility>

namespace espalier::runtime {

ProbeJob::ProbeJob(std::shared_ptr<BranchState> branch, ProbeRequest request)
    : Job(std::move(branch)), request_(std::move(request)), base_(state().ids.size()) {
  const std::size_t n = request_.ids.size();
  // Nothing came before the very first id of a path, so the model thought nothing of it.
  out_.logprobs.assign(n, std::numeric_limits<float>::quiet_NaN());
  out_.best.resize(n);
  wanted_ = base_ == 0 && n > 0 ? n - 1 : n;
  state().ids.insert(state().ids.end(), request_.ids.begin(), request_.ids.end());
  state().segments.push_back({base_, base_ + n, std::make_shared<std::atomic<bool>>(false)});
}

void ProbeJob::start(radix_cache::RadixCache& cache) {
  Strand strand;
  strand.lease = open_path(cache);
  strand.end = strand.lease.length() == 0 ? 0 : strand.lease.length() - 1;
  strand.cursor = strand.end - static_cast<std::uint32_t>(wanted_ - answered_);
  strands_.push_back(std::move(strand));
}

Status ProbeJob::want(const Strand&, std::uint32_t position, RowPlan& plan) {
  plan.want = Want::kLogprobs;
  plan.count = request_.best;
  plan.ids = {state().ids[position + 1]};
  return {};
}

Status ProbeJob::take(Strand&, std::uint32_t position, RowResult& result, radix_cache::RadixCache&,
                      Stats&) {
  const std::size_t at = position + 1 - base_;
  out_.logprobs[at] = result.logprobs[0];
  out_.best[at] = std::move(result.best);
  ++answered_;
  return {};
}

void ProbeJob::answer(Status status) {
  if (!status) {
    state().ids.resize(base_);
    state().answer = Result<Probed>(fail(std::move(status).error()));
    return;
  }
  state().answer = Result<Probed>(std::move(out_));
}

}  // namespace espalier::runtime
