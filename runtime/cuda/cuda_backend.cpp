#include "runtime/cuda/cuda_backend.h"

#include <algorithm>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "runtime/cpu/cpu_backend.h"
#include "runtime/cpu/isa.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/forward.h"
#include "runtime/cuda/host_layers.h"
#include "runtime/cuda/mask_table.h"
#include "runtime/cuda/sample.h"
#include "runtime/cuda/weights.h"
#include "runtime/model/model_part.h"
#include "runtime/sampling/plan_answers.h"

namespace espalier::runtime {
namespace {

constexpr unsigned kMostThreads = 256;
constexpr KvType kKvType = KvType::kF16;  // what its attention reads
constexpr std::uint64_t kMostDefaultKv = std::uint64_t{16} << 30;
// What is left free of a device for scratch and for CUDA itself.
constexpr std::uint64_t kSpare = std::uint64_t{512} << 20;
// What layers_that_fit() leaves for scratch and, where nobody asked for a size, the pool.
constexpr std::uint64_t kRoom = std::uint64_t{1} << 30;
// Masks that stay on the device: 16 KB each for a vocabulary of 128k.
constexpr std::uint32_t kMasks = 1024;

class DeviceBackend final : public Backend {
 public:
  // `here` are the model's layers on the device, `host` those before them (null: none).
  DeviceBackend(const Model& model, const Model& here, int device, const cpu::Kernels& kernels,
                std::unique_ptr<cpu::WorkerPool> workers, std::unique_ptr<cuda::HostLayers> host,
                std::unique_ptr<cuda::Forward> forward, cuda::DeviceMemory pool,
                std::uint32_t pages, cuda::MaskTable masks)
      : device_(device),
        workers_(std::move(workers)),
        host_(std::move(host)),
        forward_(std::move(forward)),
        pool_(std::move(pool)),
        answers_(kernels, *workers_),
        masks_(std::move(masks)) {
    const ModelShape& shape = model.shape();
    info_.vocabulary = shape.vocabulary;
    info_.context = shape.context;
    info_.pages = pages;
    info_.page_bytes = cpu::KvPool::page_bytes(shape, kKvType);
    info_.kv_format = cpu::KvPool::format(kKvType);
    device_page_bytes_ = cpu::KvPool::page_bytes(here.shape(), kKvType);
    view_.pages = pool_.as<std::uint16_t>();
    view_.layers = here.shape().layers;
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
    cudaMemsetAsync(at(page), 0x7E, device_page_bytes_, forward_->stream().get());
    if (host_ != nullptr) host_->poison(page);
  }
  void export_page(PageId page, std::span<std::byte> out) const override {
    ESP_CHECK(page < info_.pages && out.size() == info_.page_bytes);
    const std::span<std::byte> early = earlier_part(page);
    std::copy(early.begin(), early.end(), out.begin());
    out = out.subspan(early.size());
    (void)cuda::use_device(device_);
    copied(forward_->stream().copy_out(out.data(), at(page), out.size()));
  }
  void import_page(PageId page, std::span<const std::byte> bytes) override {
    ESP_CHECK(page < info_.pages && bytes.size() == info_.page_bytes);
    const std::span<std::byte> early = earlier_part(page);
    std::copy_n(bytes.begin(), early.size(), early.begin());
    bytes = bytes.subspan(early.size());
    (void)cuda::use_device(device_);
    copied(forward_->stream().copy_in(at(page), bytes.data(), bytes.size()));
  }

 private:
  [[nodiscard]] std::byte* at(PageId page) const {
    return pool_.data() + page * device_page_bytes_;
  }
  // A page's bytes of layers on the host: its first ones, or none.
  [[nodiscard]] std::span<std::byte> earlier_part(PageId page) const {
    return host_ == nullptr ? std::span<std::byte>() : host_->page(page);
  }
  // A device that fails here fails in the next step too, which can say so.
  void copied(Status enqueued) const {
    if (enqueued) (void)cudaStreamSynchronize(forward_->stream().get());
  }

  Result<std::vector<RowResult>> run(const Batch& batch, std::span<const RowPlan> plans) {
    const PlannedRows planned(plans);
    const std::string what = "step of " + std::to_string(batch.rows.size()) + " rows";
    const cuda::Residual earlier = host_ == nullptr ? cuda::Residual() : host_->run(batch);
    ESP_TRY(forward_->run(batch, planned.rows, earlier, view_));
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
  std::unique_ptr<cuda::HostLayers> host_;
  std::unique_ptr<cuda::Forward> forward_;
  cuda::DeviceMemory pool_;
  std::uint64_t device_page_bytes_ = 0;
  cuda::KvView view_;
  BackendInfo info_;
  PlanAnswers answers_;
  cuda::MaskTable masks_;
  cuda::PinnedMemory logits_, choices_, chosen_out_;
  cuda::DeviceMemory choices_in_, chosen_;
};

// Pages of a pool: `asked` bytes of all layers, else what the device has room for with `here`, its
// layers, and the host with `before` (null: it has none).
Result<std::uint32_t> pool_pages(const Model& whole, const Model& here, const Model* before,
                                 std::uint64_t asked, System& system) {
  if (asked != 0) return cpu::KvPool::pages_in(whole.shape(), kKvType, asked);
  ESP_ASSIGN(const std::uint64_t free, cuda::free_bytes());
  ESP_ASSIGN(
      std::uint32_t pages,
      cpu::KvPool::pages_in(here.shape(), kKvType,
                            std::min(kMostDefaultKv, free > kSpare ? (free - kSpare) / 2 : 0)));
  if (before != nullptr) {
    ESP_ASSIGN(
        const std::uint32_t of_host,
        cpu::KvPool::pages_in(before->shape(), kKvType, CpuBackend::default_kv_bytes(system)));
    pages = std::min(pages, of_host);
  }
  return pages;
}

std::shared_ptr<const Model> last_layers(const std::shared_ptr<const Model>& model,
                                         std::uint32_t layers) {
  return layers_of(model, {model->shape().layers - layers, layers});
}

}  // namespace

Result<std::uint32_t> CudaBackend::layers_that_fit(const std::shared_ptr<const Model>& model,
                                                   int device, std::uint64_t kv_bytes) {
  ESP_TRY(cuda::use_device(device));
  ESP_ASSIGN(const std::uint64_t free, cuda::free_bytes());
  const std::uint32_t all = model->shape().layers;
  // Each layer more takes more.
  std::uint32_t fits = 0;
  std::uint32_t beyond = all + 1;
  while (beyond - fits > 1) {
    const std::uint32_t layers = fits + (beyond - fits) / 2;
    const std::uint64_t weights = cuda::DeviceWeights::bytes(*last_layers(model, layers));
    const std::uint64_t keys_values = kv_bytes / all * layers;
    (weights + keys_values + kRoom <= free ? fits : beyond) = layers;
  }
  return fits;
}

Result<std::unique_ptr<Backend>> CudaBackend::create(std::shared_ptr<const Model> model,
                                                     const CudaOptions& options, System& system) {
  const unsigned threads =
      options.threads == 0 ? std::min(system.processors(), kMostThreads) : options.threads;
  if (threads > kMostThreads) {
    return fail(ErrorCode::kInvalid,
                std::to_string(threads) + " threads: the most is " + std::to_string(kMostThreads));
  }
  const ModelShape& shape = model->shape();
  if (options.layers > shape.layers) {
    return fail(ErrorCode::kInvalid, std::to_string(options.layers) +
                                         " layers on the device: the model has " +
                                         std::to_string(shape.layers));
  }
  ESP_TRY(cuda::check_shape(shape));
  ESP_ASSIGN(const auto devices, cuda::devices());
  const auto found = std::find_if(devices.begin(), devices.end(),
                                  [&](const auto& it) { return it.number == options.device; });
  if (found == devices.end()) {
    return fail(ErrorCode::kUnsupported, "CUDA: there is no usable device " +
                                             std::to_string(options.device) + "; there are " +
                                             std::to_string(devices.size()));
  }
  const std::uint32_t layers = options.layers == 0 ? shape.layers : options.layers;
  const std::uint32_t before = shape.layers - layers;
  try {
    ESP_TRY(cuda::use_device(options.device));
    ESP_ASSIGN(const cpu::Kernels* kernels,
               cpu::choose_kernels(system.environment("ESPALIER_ISA").value_or("")));
    ESP_ASSIGN(auto workers, cpu::WorkerPool::create(threads));
    const auto here = last_layers(model, layers);
    const auto earlier = before == 0 ? nullptr : layers_of(model, {0, before});
    ESP_ASSIGN(auto forward, cuda::Forward::create(here, *workers, found->multiprocessors));
    ESP_ASSIGN(const std::uint32_t pages,
               pool_pages(*model, *here, earlier.get(), options.kv_bytes, system));
    ESP_ASSIGN(auto pool, cuda::DeviceMemory::allocate(
                              pages * cpu::KvPool::page_bytes(here->shape(), kKvType), "KV pool"));
    ESP_ASSIGN(auto masks, cuda::MaskTable::create(shape.vocabulary, kMasks));
    std::unique_ptr<cuda::HostLayers> host;
    if (earlier != nullptr) {
      ESP_ASSIGN(host, cuda::HostLayers::create(earlier, *kernels, *workers, pages));
    }
    return std::make_unique<DeviceBackend>(*model, *here, options.device, *kernels,
                                           std::move(workers), std::move(host), std::move(forward),
                                           std::move(pool), pages, std::move(masks));
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kExhausted, "CUDA backend: out of memory");
  }
}

}  // namespace espalier::runtime
