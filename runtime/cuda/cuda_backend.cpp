#include "runtime/cuda/cuda_backend.h"

#include <algorithm>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "runtime/cpu/isa.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/forward.h"
#include "runtime/cuda/mask_table.h"
#include "runtime/cuda/sample.h"
#include "runtime/sampling/plan_answers.h"

namespace espalier::runtime {
namespace {

constexpr unsigned kMostThreads = 256;
constexpr KvType kKvType = KvType::kF16;  // what its attention reads
constexpr std::uint64_t kMostDefaultKv = std::uint64_t{16} << 30;
// What is left free of a device for scratch and for CUDA itself.
constexpr std::uint64_t kSpare = std::uint64_t{512} << 20;
// Masks that stay on the device: 16 KB each for a vocabulary of 128k.
constexpr std::uint32_t kMasks = 1024;

class DeviceBackend final : public Backend {
 public:
  DeviceBackend(std::shared_ptr<const Model> model, int device, const cpu::Kernels& kernels,
                std::unique_ptr<cpu::WorkerPool> workers, std::unique_ptr<cuda::Forward> forward,
                cuda::DeviceMemory pool, std::uint32_t pages, cuda::MaskTable masks)
      : device_(device),
        workers_(std::move(workers)),
        forward_(std::move(forward)),
        pool_(std::move(pool)),
        answers_(kernels, *workers_),
        masks_(std::move(masks)) {
    const ModelShape& shape = model->shape();
    info_.vocabulary = shape.vocabulary;
    info_.context = shape.context;
    info_.pages = pages;
    info_.page_bytes = cpu::KvPool::page_bytes(shape, kKvType);
    info_.kv_format = cpu::KvPool::format(kKvType);
    view_.pages = pool_.as<std::uint16_t>();
    view_.layers = shape.layers;
    view_.kv_heads = shape.kv_heads;
    view_.width = shape.head_width;
  }
  ~DeviceBackend() override { (void)cuda::use_device(device_); }

  const BackendInfo& info() const override { return info_; }

  Result<std::vector<RowResult>> step(const Batch& batch, std::span<const RowPlan> plans) override {
    check_step(info_, batch, plans);
    try {
      ESP_TRY(cuda::use_device(device_));
      return run(batch, plans);
    } catch (const std::bad_alloc&) {
      return fail(ErrorCode::kExhausted,
                  "step of " + std::to_string(batch.rows.size()) + " rows: out of memory");
    }
  }

  void poison(PageId page) override {
    ESP_CHECK(page < info_.pages);
    // Every byte 0x7E: a NaN of binary16.
    (void)cuda::use_device(device_);
    cudaMemsetAsync(at(page), 0x7E, info_.page_bytes, forward_->stream().get());
  }
  void export_page(PageId page, std::span<std::byte> out) const override {
    ESP_CHECK(page < info_.pages && out.size() == info_.page_bytes);
    (void)cuda::use_device(device_);
    copied(forward_->stream().copy_out(out.data(), at(page), out.size()));
  }
  void import_page(PageId page, std::span<const std::byte> bytes) override {
    ESP_CHECK(page < info_.pages && bytes.size() == info_.page_bytes);
    (void)cuda::use_device(device_);
    copied(forward_->stream().copy_in(at(page), bytes.data(), bytes.size()));
  }

 private:
  [[nodiscard]] std::byte* at(PageId page) const { return pool_.data() + page * info_.page_bytes; }
  // A device that fails here fails in the next step too, which can say so.
  void copied(Status enqueued) const {
    if (enqueued) (void)cudaStreamSynchronize(forward_->stream().get());
  }

  Result<std::vector<RowResult>> run(const Batch& batch, std::span<const RowPlan> plans) {
    const PlannedRows planned(plans);
    const std::string what = "step of " + std::to_string(batch.rows.size()) + " rows";
    ESP_TRY(forward_->run(batch, planned.rows, view_));
    std::vector<RowResult> results(plans.size());
    for (std::size_t begin = 0; begin < planned.rows.size(); begin += cuda::kHeadRows) {
      const std::size_t end = std::min<std::size_t>(begin + cuda::kHeadRows, planned.rows.size());
      ESP_ASSIGN(const float* logits, forward_->logits(static_cast<std::uint32_t>(begin),
                                                       static_cast<std::uint32_t>(end)));
      ESP_TRY(answer(plans, planned, begin, end, logits, what, results));
    }
    // Also where nothing is wanted: what the step was given may go when it returns.
    ESP_TRY(forward_->stream().wait(what));
    return results;
  }

  // What the kernel can answer; the rest is the host's.
  static bool chosen_on_device(const RowPlan& plan) {
    return plan.want == Want::kToken && plan.count == 0 && plan.sampling->top_k == 0 &&
           plan.sampling->top_p >= 1.0F && plan.sampling->min_p <= 0.0F &&
           (plan.counts == nullptr || !plan.sampling->has_penalties());
  }

  Status answer(std::span<const RowPlan> plans, const PlannedRows& planned, std::size_t begin,
                std::size_t end, const float* logits, const std::string& what,
                std::span<RowResult> results) {
    const std::size_t stride = forward_->logits_stride();
    const cuda::Stream& stream = forward_->stream();
    const auto of_rows =
        std::span(planned.order)
            .subspan(planned.first[begin], planned.first[end] - planned.first[begin]);
    bool host = !std::all_of(of_rows.begin(), of_rows.end(),
                             [&](std::uint32_t i) { return chosen_on_device(plans[i]); });
    if (!host) {
      masks_.begin();
      const auto count = static_cast<std::uint32_t>(of_rows.size());
      ESP_TRY(choices_.fit(count * sizeof(cuda::SampleRow), "choices"));
      ESP_TRY(choices_in_.fit(count * sizeof(cuda::SampleRow), "choices"));
      ESP_TRY(chosen_.fit(count * sizeof(cuda::SampleResult), "choices"));
      ESP_TRY(chosen_out_.fit(count * sizeof(cuda::SampleResult), "choices"));
      std::size_t row = begin;
      for (std::uint32_t i = 0; i < count && !host; ++i) {
        const RowPlan& plan = plans[of_rows[i]];
        while (planned.rows[row] != plan.row) ++row;
        cuda::SampleRow& choice = choices_.as<cuda::SampleRow>()[i];
        choice = {};
        choice.logits_row = static_cast<std::uint32_t>(row - begin);
        choice.temperature = plan.sampling->temperature;
        if (choice.temperature > 0) choice.uniform = plan.key.uniform(plan.counter);
        if (plan.mask == nullptr) continue;
        ESP_ASSIGN(choice.mask, masks_.place(plan.mask, stream));
        choice.mask_words = masks_.words();
        host = choice.mask == nullptr;
      }
      if (!host) {
        ESP_TRY(stream.copy_in(choices_in_.data(), choices_.bytes().data(),
                               count * sizeof(cuda::SampleRow)));
        cuda::sample(stream.get(), count, choices_in_.as<cuda::SampleRow>(), logits, stride,
                     info_.vocabulary, chosen_.as<cuda::SampleResult>());
        ESP_TRY(stream.copy_out(chosen_out_.bytes().data(), chosen_.data(),
                                count * sizeof(cuda::SampleResult)));
        ESP_TRY(stream.wait(what));
        for (std::uint32_t i = 0; i < count; ++i) {
          const cuda::SampleResult& chosen = chosen_out_.as<cuda::SampleResult>()[i];
          switch (chosen.state) {
            case cuda::SampleState::kChosen:
              results[of_rows[i]].sampled = {chosen.token, chosen.probability};
              break;
            case cuda::SampleState::kNothingAllowed:
            case cuda::SampleState::kNotFinite:
            case cuda::SampleState::kTooClose:
              host = true;  // which also words the errors
              break;
          }
        }
      }
    }
    if (!host) return {};
    const std::uint64_t bytes = (end - begin) * stride * sizeof(float);
    ESP_TRY(logits_.fit(bytes, "logits"));
    ESP_TRY(stream.copy_out(logits_.bytes().data(), logits, bytes));
    ESP_TRY(stream.wait(what));
    return answers_.answer(plans, planned, begin, end, logits_.as<float>(), stride,
                           info_.vocabulary, results);
  }

  int device_;
  std::unique_ptr<cpu::WorkerPool> workers_;
  std::unique_ptr<cuda::Forward> forward_;
  cuda::DeviceMemory pool_;
  cuda::KvView view_;
  BackendInfo info_;
  PlanAnswers answers_;
  cuda::MaskTable masks_;
  cuda::PinnedMemory logits_, choices_, chosen_out_;
  cuda::DeviceMemory choices_in_, chosen_;
};

Result<std::uint32_t> pool_pages(const ModelShape& shape, std::uint64_t asked) {
  if (asked != 0) return cpu::KvPool::pages_in(shape, kKvType, asked);
  ESP_ASSIGN(const std::uint64_t free, cuda::free_bytes());
  return cpu::KvPool::pages_in(shape, kKvType,
                               std::min(kMostDefaultKv, free > kSpare ? (free - kSpare) / 2 : 0));
}
}  // namespace

Result<std::unique_ptr<Backend>> CudaBackend::create(std::shared_ptr<const Model> model,
                                                     const CudaOptions& options, System& system) {
  const unsigned threads =
      options.threads == 0 ? std::min(system.processors(), kMostThreads) : options.threads;
  if (threads > kMostThreads) {
    return fail(ErrorCode::kInvalid,
                std::to_string(threads) + " threads: the most is " + std::to_string(kMostThreads));
  }
  const ModelShape& shape = model->shape();
  ESP_TRY(cuda::check_shape(shape));
  ESP_ASSIGN(const auto devices, cuda::devices());
  const auto found = std::find_if(devices.begin(), devices.end(),
                                  [&](const auto& it) { return it.number == options.device; });
  if (found == devices.end()) {
    return fail(ErrorCode::kUnsupported, "CUDA: there is no usable device " +
                                             std::to_string(options.device) + "; there are " +
                                             std::to_string(devices.size()));
  }
  try {
    ESP_TRY(cuda::use_device(options.device));
    ESP_ASSIGN(const cpu::Kernels* kernels,
               cpu::choose_kernels(system.environment("ESPALIER_ISA").value_or("")));
    ESP_ASSIGN(auto workers, cpu::WorkerPool::create(threads));
    ESP_ASSIGN(auto forward, cuda::Forward::create(model, *workers, found->multiprocessors));
    ESP_ASSIGN(const std::uint32_t pages, pool_pages(shape, options.kv_bytes));
    ESP_ASSIGN(auto pool, cuda::DeviceMemory::allocate(
                              pages * cpu::KvPool::page_bytes(shape, kKvType), "KV pool"));
    ESP_ASSIGN(auto masks, cuda::MaskTable::create(shape.vocabulary, kMasks));
    return std::make_unique<DeviceBackend>(std::move(model), options.device, *kernels,
                                           std::move(workers), std::move(forward), std::move(pool),
                                           pages, std::move(masks));
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kExhausted, "CUDA backend: out of memory");
  }
}

}  // namespace espalier::runtime
