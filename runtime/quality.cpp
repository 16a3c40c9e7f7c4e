#include "runtime/quality.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace espalier::runtime {

QualityRun::QualityRun(Backend& reference, Backend& measured, std::uint32_t rows,
                       std::function<bool()> go_on)
    : reference_(reference),
      measured_(measured),
      rows_(rows),
      go_on_(std::move(go_on)),
      all_(reference.info().vocabulary) {
  ESP_CHECK(rows > 0 && reference.info().vocabulary == measured.info().vocabulary);
  std::iota(all_.begin(), all_.end(), TokenId{0});
}

Result<QualityRun::Rows> QualityRun::logprobs(Backend& backend, const Batch& batch,
                                              std::span<const RowPlan> plans) const {
  if (!go_on_()) return fail(ErrorCode::kCancelled, "stopped");
  std::vector<std::uint32_t> wanted;
  for (const RowPlan& plan : plans) wanted.push_back(plan.row);
  ESP_TRY(backend.begin(batch, wanted));
  ESP_ASSIGN(auto results, backend.finish(plans));
  Rows out;
  for (RowResult& result : results) out.push_back(std::move(result.logprobs));
  return out;
}

Status QualityRun::take(std::span<const TokenId> window, std::size_t scored) {
  ESP_CHECK(window.size() >= 2 && scored >= 1);
  std::vector<PageId> pages((window.size() + kPageTokens - 1) / kPageTokens);
  std::iota(pages.begin(), pages.end(), PageId{0});
  ESP_CHECK(pages.size() <= reference_.info().pages && pages.size() <= measured_.info().pages);
  // The last token has nothing behind it.
  for (std::size_t begin = 0; begin + 1 < window.size(); begin += rows_) {
    const std::size_t end = std::min(begin + rows_, window.size() - 1);
    Batch batch;
    batch.sequences.push_back(pages);
    std::vector<RowPlan> plans;
    for (std::size_t i = begin; i < end; ++i) {
      const auto position = static_cast<std::uint32_t>(i);
      const auto row = static_cast<std::uint32_t>(i - begin);
      batch.rows.push_back({window[i], position, 0, row, 1});
      batch.writes.push_back({position / kPageTokens, position % kPageTokens});
      if (i + 1 < scored) continue;
      RowPlan& plan = plans.emplace_back();
      plan.row = row;
      plan.want = Want::kLogprobs;
      plan.ids = all_;
    }
    ESP_ASSIGN(const Rows reference, logprobs(reference_, batch, plans));
    ESP_ASSIGN(const Rows measured, logprobs(measured_, batch, plans));
    for (std::size_t i = 0; i < plans.size(); ++i) {
      const std::size_t at = begin + plans[i].row;
      for (const auto* of : {&reference[i], &measured[i]}) {
        if (std::none_of(of->begin(), of->end(), [](float x) { return std::isnan(x); })) continue;
        return fail(ErrorCode::kInternal,
                    std::string(of == &reference[i] ? "the reference" : "what is measured") +
                        " has a log-probability that is no number after token " +
                        std::to_string(at) + " of a window");
      }
      add(reference[i], measured[i], window[at + 1]);
    }
  }
  return {};
}

void QualityRun::add(const std::vector<float>& reference, const std::vector<float>& measured,
                     TokenId next) {
  const auto at = static_cast<std::size_t>(next);
  const double before = -static_cast<double>(reference[at]);
  const double now = -static_cast<double>(measured[at]);
  reference_nll_ += before;
  nll_ += now;
  squares_ += (now - before) * (now - before);
  double divergence = 0;
  for (std::size_t id = 0; id < reference.size(); ++id) {
    // What both rule out is no difference.
    if (reference[id] == measured[id]) continue;
    const double difference = static_cast<double>(reference[id]) - measured[id];
    const double probability = std::exp(static_cast<double>(reference[id]));
    if (probability > 0) divergence += probability * difference;
    farthest_ = std::max(farthest_, std::abs(difference));
  }
  // Rounding may leave next to nothing below 0.
  divergence = std::max(divergence, 0.0);
  divergence_ += divergence;
  most_divergence_ = std::max(most_divergence_, divergence);
  const auto first = [](const std::vector<float>& of) {
    return std::max_element(of.begin(), of.end()) - of.begin();
  };
  same_ += first(reference) == first(measured) ? 1U : 0U;
  ++tokens_;
}

Quality QualityRun::quality() const {
  Quality out;
  out.tokens = tokens_;
  if (tokens_ == 0) return out;
  const auto count = static_cast<double>(tokens_);
  out.reference_nll = reference_nll_ / count;
  out.nll = nll_ / count;
  const double mean = out.nll - out.reference_nll;
  if (tokens_ > 1) {
    out.nll_error = std::sqrt(std::max(squares_ / count - mean * mean, 0.0) / (count - 1));
  }
  out.same_first = static_cast<double>(same_) / count;
  out.mean_divergence = divergence_ / count;
  out.most_divergence = most_divergence_;
  out.farthest = farthest_;
  return out;
}

}  // namespace espalier::runtime
