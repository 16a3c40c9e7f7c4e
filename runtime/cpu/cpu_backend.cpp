#include "runtime/cpu/cpu_backend.h"

#include <algorithm>
#include <cfenv>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "runtime/cpu/forward.h"
#include "runtime/cpu/isa.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/cpu/matrix.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/sampling/sampler.h"

namespace espalier::runtime {
namespace {

using cpu::HeadRow;

constexpr unsigned kMostThreads = 256;
constexpr std::uint64_t kMostDefaultKv = std::uint64_t{4} << 30;
// Rows whose logits exist at one time: bounds their memory to a few MB whatever the batch.
constexpr std::size_t kHeadRows = 32;

// Rounding to nearest and no flushing of subnormals while a step runs: the contract's arithmetic,
// whatever the calling program has set.
class DefaultRounding {
 public:
  DefaultRounding() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultRounding() { std::fesetenv(&saved_); }
  DefaultRounding(const DefaultRounding&) = delete;
  DefaultRounding& operator=(const DefaultRounding&) = delete;

 private:
  std::fenv_t saved_;
};

class PanelBackend final : public Backend {
 public:
  PanelBackend(std::shared_ptr<const Model> model, const cpu::Kernels& kernels,
               std::unique_ptr<cpu::WorkerPool> workers, std::unique_ptr<cpu::Forward> forward,
               cpu::KvPool pool)
      : model_(std::move(model)),
        workers_(std::move(workers)),
        forward_(std::move(forward)),
        pool_(std::move(pool)),
        samplers_(workers_->threads(), Sampler(kernels)) {
    info_.vocabulary = model_->shape().vocabulary;
    info_.context = model_->shape().context;
    info_.pages = pool_.pages();
    info_.page_bytes = cpu::KvPool::page_bytes(model_->shape());
    info_.kv_format = "numerics 1, layout cpu 1, f16";
  }

  const BackendInfo& info() const override { return info_; }

  Result<std::vector<RowResult>> step(const Batch& batch, std::span<const RowPlan> plans) override {
    check(batch, plans);
    const DefaultRounding rounding;
    try {
      for (const PageCopy& copy : batch.copies) pool_.copy(copy.from, copy.to, copy.slots);
      if (batch.rows.empty()) return std::vector<RowResult>(plans.size());
      return run(batch, plans);
    } catch (const std::bad_alloc&) {
      return fail(ErrorCode::kExhausted,
                  "step of " + std::to_string(batch.rows.size()) + " rows: out of memory");
    }
  }

  void poison(PageId page) override {
    ESP_CHECK(page < info_.pages);
    pool_.poison(page);
  }
  void export_page(PageId page, std::span<std::byte> out) const override {
    const std::span<const std::byte> bytes = pool_.bytes(page);
    ESP_CHECK(page < info_.pages && out.size() == bytes.size());
    std::copy(bytes.begin(), bytes.end(), out.begin());
  }
  void import_page(PageId page, std::span<const std::byte> bytes) override {
    const std::span<std::byte> out = pool_.bytes(page);
    ESP_CHECK(page < info_.pages && bytes.size() == out.size());
    std::copy(bytes.begin(), bytes.end(), out.begin());
  }

 private:
  Result<std::vector<RowResult>> run(const Batch& batch, std::span<const RowPlan> plans) {
    std::vector<std::uint32_t> wanted;
    for (const RowPlan& plan : plans) wanted.push_back(plan.row);
    std::sort(wanted.begin(), wanted.end());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
    forward_->run(batch, wanted, pool_);

    // Plans by row, so that a group of rows has its plans together.
    std::vector<std::uint32_t> order(plans.size());
    for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return plans[a].row < plans[b].row; });
    std::vector<RowResult> results(plans.size());
    std::size_t next = 0;
    for (std::size_t first = 0; first < wanted.size(); first += kHeadRows) {
      const std::size_t count = std::min(kHeadRows, wanted.size() - first);
      const std::size_t begin = next;
      std::vector<HeadRow> rows(count);
      for (std::size_t i = 0; i < count; ++i) {
        HeadRow& row = rows[i];
        row.row = wanted[first + i];
        for (; next < order.size() && plans[order[next]].row == row.row; ++next) {
          const RowPlan& plan = plans[order[next]];
          if (plan.want == Want::kLogprobs || plan.count > 0 || plan.mask == nullptr) {
            row.all = true;
          } else {
            row.masks.push_back(plan.mask.get());
          }
        }
      }
      const std::size_t stride = forward_->logits_stride();
      if (logits_.size() < count * stride) logits_.resize(count * stride);
      forward_->logits(rows, logits_.data());
      ESP_TRY(answer(plans, std::span(order).subspan(begin, next - begin), rows, results));
    }
    return results;
  }

  Status answer(std::span<const RowPlan> plans, std::span<const std::uint32_t> order,
                std::span<const HeadRow> rows, std::vector<RowResult>& results) {
    std::vector<std::optional<Error>> errors(order.size());
    workers_->for_each(
        static_cast<std::uint32_t>(order.size()), [&](std::uint32_t item, unsigned thread) {
          const RowPlan& plan = plans[order[item]];
          const auto row =
              std::lower_bound(rows.begin(), rows.end(), plan.row,
                               [](const HeadRow& a, std::uint32_t b) { return a.row < b; });
          const auto index = static_cast<std::size_t>(row - rows.begin());
          const std::span<const float> logits(logits_.data() + index * forward_->logits_stride(),
                                              info_.vocabulary);
          errors[item] = answer_one(plan, logits, samplers_[thread], results[order[item]]);
        });
    for (auto& error : errors) {
      if (error) return fail(std::move(*error));
    }
    return {};
  }

  // Runs on any thread, so memory that lacks is caught here.
  static std::optional<Error> answer_one(const RowPlan& plan, std::span<const float> logits,
                                         Sampler& sampler, RowResult& result) {
    try {
      if (plan.want == Want::kToken) {
        auto sampled = sampler.sample(logits, plan.mask.get(), *plan.sampling, plan.counts,
                                      plan.key, plan.counter);
        if (!sampled) return std::move(sampled).error();
        result.sampled = *sampled;
      }
      if (plan.count == 0 && plan.want == Want::kToken) return std::nullopt;
      const auto normaliser = sampler.log_normaliser(logits);
      if (!normaliser) return normaliser.error();
      result.best = Sampler::best(logits, plan.count, *normaliser);
      if (plan.want == Want::kLogprobs) {
        for (const TokenId id : plan.ids) {
          const double logit = logits[static_cast<std::size_t>(id)];
          result.logprobs.push_back(static_cast<float>(logit - *normaliser));
        }
      }
      return std::nullopt;
    } catch (const std::bad_alloc&) {
      return Error{ErrorCode::kExhausted, "sampling: out of memory"};
    }
  }

  // What would read or write outside memory is checked always: it is short beside a step.
  void check(const Batch& batch, std::span<const RowPlan> plans) const {
    for (const auto& table : batch.sequences) {
      for (const PageId page : table) ESP_CHECK(page < info_.pages);
    }
    for (std::size_t i = 0; i < batch.rows.size(); ++i) {
      const Row& row = batch.rows[i];
      ESP_CHECK(row.token >= 0 && static_cast<std::uint32_t>(row.token) < info_.vocabulary);
      ESP_CHECK(row.sequence < batch.sequences.size());
      ESP_CHECK(row.position / kPageTokens < batch.sequences[row.sequence].size());
      ESP_CHECK(row.first_write <= batch.writes.size() &&
                row.writes <= batch.writes.size() - row.first_write);
      ESP_DCHECK(row.position < info_.context);
      ESP_DCHECK(i == 0 || batch.rows[i - 1].sequence != row.sequence ||
                 batch.rows[i - 1].position < row.position);
    }
    for (const KvSlot& slot : batch.writes) {
      ESP_CHECK(slot.page < info_.pages && slot.slot < kPageTokens);
    }
    for (const PageCopy& copy : batch.copies) {
      ESP_CHECK(copy.from < info_.pages && copy.to < info_.pages && copy.slots <= kPageTokens);
    }
    for (const RowPlan& plan : plans) {
      ESP_CHECK(plan.row < batch.rows.size());
      ESP_CHECK(plan.want != Want::kToken || plan.sampling != nullptr);
      for (const TokenId id : plan.ids) {
        ESP_CHECK(id >= 0 && static_cast<std::uint32_t>(id) < info_.vocabulary);
      }
    }
  }

  std::shared_ptr<const Model> model_;
  std::unique_ptr<cpu::WorkerPool> workers_;
  std::unique_ptr<cpu::Forward> forward_;
  cpu::KvPool pool_;
  BackendInfo info_;
  std::vector<Sampler> samplers_;
  std::vector<float> logits_;
};

}  // namespace

CpuMemory CpuBackend::memory(const Model& model, std::uint32_t context) {
  CpuMemory out;
  const auto add = [&](const Tensor& tensor) {
    const std::uint64_t panels = cpu::Matrix::panel_bytes(tensor);
    out.weights += panels != 0 ? panels : tensor.data.size();
  };
  for (const LayerWeights& it : model.weights().layers) {
    for (const Tensor* tensor :
         {&it.query, &it.key, &it.value, &it.attention_output, &it.gate, &it.up, &it.down}) {
      add(*tensor);
    }
  }
  add(model.weights().output);
  const std::uint64_t pages = (std::uint64_t{context} + kPageTokens - 1) / kPageTokens;
  out.keys_values = pages * cpu::KvPool::page_bytes(model.shape());
  return out;
}

Result<std::unique_ptr<Backend>> CpuBackend::create(std::shared_ptr<const Model> model,
                                                    const CpuOptions& options, System& system) {
  const std::string isa =
      options.isa.empty() ? system.environment("ESPALIER_ISA").value_or("") : options.isa;
  ESP_ASSIGN(const cpu::Kernels* kernels, cpu::choose_kernels(isa));
  const unsigned threads =
      options.threads == 0 ? std::min(system.processors(), kMostThreads) : options.threads;
  if (threads > kMostThreads) {
    return fail(ErrorCode::kInvalid,
                std::to_string(threads) + " threads: the most is " + std::to_string(kMostThreads));
  }
  const std::uint64_t kv_bytes = options.kv_bytes != 0
                                     ? options.kv_bytes
                                     : std::min(kMostDefaultKv, system.memory_bytes() / 4);
  try {
    ESP_ASSIGN(auto workers, cpu::WorkerPool::create(threads));
    ESP_ASSIGN(auto pool, cpu::KvPool::create(model->shape(), kv_bytes));
    ESP_ASSIGN(auto forward, cpu::Forward::create(model, *kernels, *workers));
    return std::make_unique<PanelBackend>(std::move(model), *kernels, std::move(workers),
                                          std::move(forward), std::move(pool));
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kExhausted, "CPU backend: out of memory");
  }
}

}  // namespace espalier::runtime
