#include "runtime/cpu/cpu_backend.h"

#include <algorithm>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/cpu/autotuner.h"
#include "runtime/cpu/default_rounding.h"
#include "runtime/cpu/forward.h"
#include "runtime/cpu/isa.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/cpu/matrix.h"
#include "runtime/cpu/tuning.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/model/weights.h"
#include "runtime/sampling/plan_answers.h"

namespace espalier::runtime {
namespace {

using cpu::HeadRow;

constexpr std::uint64_t kMostDefaultKv = std::uint64_t{4} << 30;
// Rows whose logits exist at one time: bounds their memory to a few MB whatever the batch.
constexpr std::size_t kHeadRows = 32;

// All that the best sizes of work depend on, beside the processor.
std::string tuned_for(const Model& model, const std::string& isa, unsigned threads,
                      KvType kv_type) {
  const ModelShape& shape = model.shape();
  std::string out = isa + ", " + std::to_string(threads) + " threads, " +
                    cpu::KvPool::format(kv_type, Numerics::kExact) + ", shape";
  for (const std::uint32_t size : {shape.width, shape.heads, shape.kv_heads, shape.head_width,
                                   shape.feed_forward, shape.window}) {
    out += " " + std::to_string(size);
  }
  const LayerWeights& layer = model.weights().layers.at(0);
  for (const Tensor* tensor : {&layer.query, &layer.gate, &layer.up, &layer.down})
    out += " " + std::string(tensor_traits(tensor->type)->name);
  return out;
}

// Where sizes cannot be kept they stay what they are: a start must not take longer each time.
Status tune(cpu::Forward& forward, KvType kv_type, const Model& model, const std::string& what,
            System& system) {
  if (!cpu::Autotuner::worth_it(model.shape())) return {};
  const auto file = cpu::tuning_file(what, system);
  if (!file) return {};
  if (const auto kept = file->read()) {
    forward.set_tuning(*kept);
    return {};
  }
  if (!file->begin()) return {};
  ESP_ASSIGN(const cpu::Tuning found, cpu::Autotuner::tune(forward, kv_type, system));
  (void)file->write(found);  // lost, it is measured again
  return {};
}

class PanelBackend final : public Backend {
 public:
  PanelBackend(std::shared_ptr<const Model> model, const cpu::Kernels& kernels,
               std::unique_ptr<cpu::WorkerPool> workers, std::unique_ptr<cpu::Forward> forward,
               cpu::KvPool pool)
      : model_(std::move(model)),
        workers_(std::move(workers)),
        forward_(std::move(forward)),
        pool_(std::move(pool)),
        answers_(kernels, *workers_) {
    info_.vocabulary = model_->shape().vocabulary;
    info_.context = model_->shape().context;
    info_.pages = pool_.pages();
    info_.page_bytes = cpu::KvPool::page_bytes(model_->shape(), pool_.type());
    info_.kv_format = cpu::KvPool::format(pool_.type(), Numerics::kExact);
    info_.tuning = forward_->tuning().text();
  }

  const BackendInfo& info() const override { return info_; }

  // All work is the second half's: the threads that run the layers are those that masks would be
  // made beside, and masks say for which rows the last layer ends early.
  Status begin(const Batch& batch, std::span<const std::uint32_t> wanted) override {
    check_batch(info_, batch, wanted);
    batch_ = &batch;
    wanted_.assign(wanted.begin(), wanted.end());
    return {};
  }
  Result<std::vector<RowResult>> finish(std::span<const RowPlan> plans) override {
    ESP_CHECK(batch_ != nullptr);
    const Batch& batch = *std::exchange(batch_, nullptr);
    check_plans(info_, wanted_, plans);
    const cpu::DefaultRounding rounding;
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
    std::vector<RowResult> results(plans.size());
    const PlannedRows planned(plans, info_.vocabulary, results);
    forward_->run(batch, planned.rows, pool_);
    for (std::size_t begin = 0; begin < planned.rows.size(); begin += kHeadRows) {
      const std::size_t end = std::min(begin + kHeadRows, planned.rows.size());
      std::vector<HeadRow> rows(end - begin);
      for (std::size_t i = begin; i < end; ++i) {
        HeadRow& row = rows[i - begin];
        row.row = planned.rows[i];
        for (std::uint32_t at = planned.first[i]; at < planned.first[i + 1]; ++at) {
          const RowPlan& plan = plans[planned.order[at]];
          if (plan.want == Want::kLogprobs || plan.count > 0 || plan.mask == nullptr) {
            row.all = true;
          } else {
            row.masks.push_back(plan.mask.get());
          }
        }
      }
      const std::size_t stride = forward_->logits_stride();
      if (logits_.size() < rows.size() * stride) logits_.resize(rows.size() * stride);
      forward_->logits(rows, logits_.data());
      Status answered = answers_.answer(plans, planned, begin, end, logits_.data(), stride,
                                        info_.vocabulary, results);
      if (!answered) return fail(explained(std::move(answered).error()));
    }
    return results;
  }

  // A damaged file shows in the logits first: the error says where it is damaged. The weights are
  // read for that once.
  Error explained(Error error) {
    if (error.code != ErrorCode::kInternal) return error;
    if (!damage_) damage_ = place_not_finite(model_->weights());
    if (!damage_->empty()) {
      error.code = ErrorCode::kCorrupt;
      error.message += "; nor is a weight of the model's file: " + *damage_;
    }
    return error;
  }

  std::shared_ptr<const Model> model_;
  std::optional<std::string> damage_;  // where weights are not finite; empty: nowhere
  std::unique_ptr<cpu::WorkerPool> workers_;
  std::unique_ptr<cpu::Forward> forward_;
  cpu::KvPool pool_;
  BackendInfo info_;
  PlanAnswers answers_;
  std::vector<float> logits_;
  const Batch* batch_ = nullptr;  // of the step that has begun
  std::vector<std::uint32_t> wanted_;
};

}  // namespace

std::uint64_t CpuBackend::default_kv_bytes(System& system) {
  return std::min(kMostDefaultKv, system.memory_bytes() / 4);
}

CpuMemory CpuBackend::memory(const Model& model, std::uint32_t context, KvType kv_type) {
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
  out.keys_values = pages * cpu::KvPool::page_bytes(model.shape(), kv_type);
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
  const std::uint64_t kv_bytes =
      options.kv_bytes != 0 ? options.kv_bytes : default_kv_bytes(system);
  try {
    ESP_ASSIGN(auto workers, cpu::WorkerPool::create(threads));
    ESP_ASSIGN(auto pool, cpu::KvPool::create(model->shape(), options.kv_type, kv_bytes));
    ESP_ASSIGN(auto forward, cpu::Forward::create(model, *kernels, *workers));
    if (options.tune) {
      const std::string what = tuned_for(*model, kernels->name, threads, options.kv_type);
      ESP_TRY(tune(*forward, options.kv_type, *model, what, system));
    }
    return std::make_unique<PanelBackend>(std::move(model), *kernels, std::move(workers),
                                          std::move(forward), std::move(pool));
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kExhausted, "CPU backend: out of memory");
  }
}

}  // namespace espalier::runtime
