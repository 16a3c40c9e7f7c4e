#include "runtime/cuda/cuda_backend.h"

#include <algorithm>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "runtime/cpu/cpu_backend.h"
#include "runtime/cpu/isa.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/cuda/autotuner.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/device_choices.h"
#include "runtime/cuda/embed.h"
#include "runtime/cuda/forward.h"
#include "runtime/cuda/host_layers.h"
#include "runtime/cuda/nccl_communicator.h"
#include "runtime/cuda/network.h"
#include "runtime/cuda/rank.h"
#include "runtime/cuda/rank_threads.h"
#include "runtime/cuda/thread_communicator.h"
#include "runtime/cuda/weights.h"
#include "runtime/model/model_part.h"
#include "runtime/sampling/plan_answers.h"

namespace espalier::runtime {
namespace {

using cuda::DeviceWatch;
using cuda::MakeGroup;
using cuda::Network;
using cuda::Part;
using cuda::Rank;

constexpr unsigned kMostThreads = 256;
constexpr std::uint64_t kMostDefaultKv = std::uint64_t{16} << 30;
// What layers_that_fit() leaves for scratch and, where nobody asked for a size, the pool.
// Embeddings take none of it: a layer on the CPU costs more than looking them up there, so it is
// not they that are counted.
constexpr std::uint64_t kRoom = std::uint64_t{1} << 30;

class DeviceBackend final : public Backend, public HostPages {
 public:
  // Where everything is: the ranks stage by stage, `host` the layers before them (null: none).
  struct Places {
    std::vector<std::unique_ptr<cpu::WorkerPool>> workers;  // the host's, then the ranks'
    std::unique_ptr<cuda::HostLayers> host;
    std::vector<std::unique_ptr<Rank>> ranks;
    std::unique_ptr<cuda::RankThreads> threads;
    std::unique_ptr<Network> network;
    std::uint32_t tensor = 1;
    std::uint32_t pages = 0;
  };

  DeviceBackend(const Model& model, const CudaOptions& options, Places places,
                cuda::DeviceChoices choices)
      : places_(std::move(places)),
        choices_(std::move(choices)),
        watch_(options.watch),
        head_(places_.ranks.size() - places_.tensor) {
    const ModelShape& shape = model.shape();
    info_.vocabulary = shape.vocabulary;
    info_.context = shape.context;
    info_.pages = places_.pages;
    info_.page_bytes = cpu::KvPool::page_bytes(shape, options.kv_type);
    info_.kv_format =
        cpu::KvPool::format(options.kv_type, options.numerics, name_of(options.fp8_calibration));
    std::set<std::string> tunings;
    for (const auto& rank : places_.ranks) tunings.insert(rank->tuning().text());
    for (const std::string& text : tunings)
      info_.tuning += (info_.tuning.empty() ? "" : "; ") + text;
  }
  ~DeviceBackend() override {
    if (under_way_) (void)drain();
    (void)places_.ranks[head_]->enter();  // where choices_ are
  }

  const BackendInfo& info() const override { return info_; }

  Status begin(const Batch& batch, std::span<const std::uint32_t> wanted) override {
    check_batch(info_, batch, wanted);
    if (std::exchange(under_way_, false)) (void)drain();
    Status begun = without_lack(batch.rows.size(), [&] {
      return start(batch, wanted, {choices_.choices(), {}});
    });
    if (!begun) return settled(std::move(begun).error());
    under_way_ = true;
    return {};
  }
  Result<std::vector<RowResult>> finish(std::span<const RowPlan> plans) override {
    return second_half(plans, nullptr);
  }
  // Ids are read where they were chosen, by the device that begins steps.
  bool chooses_ahead(const RowPlan& plan) const override {
    return places_.ranks.size() == 1 && places_.host == nullptr &&
           places_.ranks[0]->forward().looks_up() && cuda::chosen_on_device(plan);
  }
  Result<std::vector<RowResult>> finish_and_begin(std::span<const RowPlan> plans,
                                                  NextStep& next) override {
    next.begun = false;
    // What grows may be what this one's answers still need.
    const bool room =
        places_.ranks[head_]->forward().has_room(next.batch->rows.size(), next.wanted.size());
    return second_half(plans, room ? &next : nullptr);
  }
  bool lost() const override { return lost_; }

  void poison(PageId page) override {
    ESP_CHECK(page < info_.pages);
    if (places_.host != nullptr) places_.host->poison(page);
    for (const auto& rank : places_.ranks) {
      (void)rank->enter();
      rank->poison(page);
    }
  }
  void export_page(PageId page, std::span<std::byte> out) const override {
    ESP_CHECK(page < info_.pages && out.size() == info_.page_bytes);
    const std::span<std::byte> early = earlier_part(page);
    std::copy(early.begin(), early.end(), out.begin());
    for (const auto& rank : places_.ranks) {
      (void)rank->enter();
      rank->export_page(page, out);
    }
  }
  void import_page(PageId page, std::span<const std::byte> bytes) override {
    ESP_CHECK(page < info_.pages && bytes.size() == info_.page_bytes);
    const std::span<std::byte> early = earlier_part(page);
    std::copy_n(bytes.begin(), early.size(), early.begin());
    for (const auto& rank : places_.ranks) {
      (void)rank->enter();
      rank->import_page(page, bytes);
    }
  }

  HostPages* host_pages() override { return this; }
  Status reserve(std::uint32_t slots) override {
    return on_each_rank([&](Rank& rank) -> Status {
      ESP_TRY(rank.transfers().reserve(slots));
      if (places_.host == nullptr) return {};
      try {
        earlier_.resize(std::max<std::size_t>(earlier_.size(), slots));
      } catch (const std::bad_alloc&) {
        return fail(ErrorCode::kExhausted, "pages beside the KV pool: out of memory");
      }
      return {};
    });
  }
  Status save(HostCopy copy) override {
    ESP_TRY(on_each_rank([&](Rank& rank) { return rank.transfers().save(copy); }));
    const std::span<const std::byte> early = earlier_part(copy.page);
    if (early.empty()) return {};
    try {
      earlier_[copy.slot].assign(early.begin(), early.end());
    } catch (const std::bad_alloc&) {
      return fail(ErrorCode::kExhausted, "pages beside the KV pool: out of memory");
    }
    return {};
  }
  Status load(std::span<const HostCopy> copies) override {
    ESP_TRY(on_each_rank([&](Rank& rank) { return rank.transfers().load(copies); }));
    if (places_.host == nullptr) return {};
    for (const HostCopy& copy : copies) {
      std::copy(earlier_[copy.slot].begin(), earlier_[copy.slot].end(),
                earlier_part(copy.page).begin());
    }
    return {};
  }
  Took loads_took() override {
    Took out;
    (void)on_each_rank([&](Rank& rank) -> Status {
      const Took took = rank.transfers().loads_took();
      out.pages = std::max(out.pages, took.pages);
      out.seconds = std::max(out.seconds, took.seconds);
      return {};
    });
    return out;
  }

 private:
  // f(rank) one after the other on this thread, each with its device. What fails is told here, and
  // not once more by the next step; a device that is lost says so again.
  template <class F>
  Status on_each_rank(F&& f) {
    for (const auto& rank : places_.ranks) {
      Status status = rank->enter();
      if (status) status = f(*rank);
      if (status) continue;
      (void)cudaGetLastError();
      return status;
    }
    return {};
  }
  // A page's bytes of layers on the host: its first ones, or none.
  [[nodiscard]] std::span<std::byte> earlier_part(PageId page) const {
    return places_.host == nullptr ? std::span<std::byte>() : places_.host->page(page);
  }

  // f(rank) on each rank's thread and device. Where one fails, the others do not wait for it.
  template <class F>
  Status each(F&& f) {
    return places_.threads->each(
        [&](std::uint32_t r) -> Status {
          ESP_TRY(places_.ranks[r]->enter());
          return f(*places_.ranks[r], r);
        },
        [this] { places_.network->give_up(); });
  }
  // What was enqueued may still read what the next step overwrites.
  bool drain() {
    return each([](Rank& rank, std::uint32_t) { return rank.stream().wait("a step's end"); })
        .has_value();
  }
  // After a failure. What a launch left is told once; that a device is lost, by every call.
  tl::unexpected<Error> settled(Error error) {
    (void)drain();
    lost_ = !drain();
    if (places_.ranks.size() > 1) places_.network->give_up();
    return fail(std::move(error));
  }
  static std::string step_of(std::size_t rows) {
    return "step of " + std::to_string(rows) + " rows";
  }
  // f(), where memory of the host may lack.
  template <class F>
  static Status without_lack(std::size_t rows, F&& f) {
    try {
      return f();
    } catch (const std::bad_alloc&) {
      return fail(ErrorCode::kExhausted, step_of(rows) + ": out of memory");
    }
  }

  Status start(const Batch& batch, std::span<const std::uint32_t> wanted,
               const cuda::ChosenTokens& chosen) {
    wanted_.assign(wanted.begin(), wanted.end());
    rows_ = batch.rows.size();
    ESP_TRY(places_.network->join());
    const cuda::Residual earlier =
        places_.host == nullptr ? cuda::Residual() : places_.host->run(batch);
    if (Status ready = each([&](Rank& rank, std::uint32_t r) -> Status {
          ESP_TRY(rank.transfers().before_writing(batch));
          return rank.forward().prepare(batch, wanted_, earlier, places_.network->of(r), chosen);
        });
        !ready) {
      return ready;
    }
    if (watch_ != nullptr) watch_->begin_step(static_cast<std::uint32_t>(rows_));
    return each([&](Rank& rank, std::uint32_t r) {
      return DeviceWatch::launch(watch_of(r), rank.stream(),
                                 [&] { return rank.forward().run(rank.pool(), rank.transfers()); });
    });
  }
  // The head's device alone is watched.
  [[nodiscard]] DeviceWatch* watch_of(std::uint32_t rank) const {
    return rank == head_ ? watch_.get() : nullptr;
  }

  // `next`, where there is one, is begun as soon as nothing of this one is left to enqueue.
  Result<std::vector<RowResult>> second_half(std::span<const RowPlan> plans, NextStep* next) {
    ESP_CHECK(under_way_);
    under_way_ = false;
    check_plans(info_, wanted_, plans);
    std::vector<RowResult> results;
    Status answered = without_lack(rows_, [&] { return answer(plans, next, results); });
    if (answered) return results;
    under_way_ = false;
    if (next != nullptr) next->begun = false;
    return settled(std::move(answered).error());
  }

  // Where it cannot be begun, what is left of it is waited for.
  Status begin_beside(const cuda::DeviceChoices::Question& question,
                      std::span<const RowResult> results, NextStep& next) {
    const Batch& batch = *next.batch;
    check_batch(info_, batch, next.wanted, question.plans);
    Status begun = without_lack(batch.rows.size(), [&]() -> Status {
      ids_.clear();
      for (const Row& row : batch.rows) {
        // Of a mask that allows one token, and of rows before those in question, the answer is
        // there.
        const TokenId known =
            row.chosen == Row::kKnown ? row.token : results[row.chosen].sampled.token;
        ids_.push_back(known != kNoToken
                           ? static_cast<std::uint32_t>(known)
                           : cuda::kChosenId | choices_.number_of(question, row.chosen));
      }
      return start(batch, next.wanted, {choices_.choices(), ids_});
    });
    if (!begun) return places_.ranks[head_]->stream().wait(question.what);
    under_way_ = next.begun = true;
    return {};
  }

  Status answer(std::span<const RowPlan> plans, NextStep* next, std::vector<RowResult>& results) {
    const std::string what = step_of(rows_);
    const bool alone = places_.ranks.size() == 1;
    results.resize(plans.size());
    PlannedRows planned(plans, info_.vocabulary, results);
    planned.spread_over(wanted_);
    struct Chunk {
      std::uint32_t begin, end;
    };
    std::vector<Chunk> chunks;
    std::vector<std::vector<std::uint64_t>> tokens;
    const auto all = static_cast<std::uint32_t>(wanted_.size());
    for (std::uint32_t begin = 0; begin < all; begin += cuda::kHeadRows) {
      chunks.push_back({begin, std::min(begin + cuda::kHeadRows, all)});
      tokens.push_back(wanted_tokens(plans, planned, begin, chunks.back().end));
    }
    Rank& head = *places_.ranks[head_];
    bool narrowed = false;
    for (const auto& [begin, end] : chunks) {
      if (!planned.any(begin, end)) continue;
      const float* logits = nullptr;
      if (Status formed =
              each([&, first = begin, last = end](Rank& rank, std::uint32_t r) -> Status {
                if (r >= head_) {
                  if (!narrowed) ESP_TRY(rank.forward().narrow_head(tokens));
                  const float* its = nullptr;
                  ESP_TRY(DeviceWatch::launch(watch_of(r), rank.stream(), [&]() -> Status {
                    ESP_ASSIGN(its, rank.forward().logits(first, last));
                    return {};
                  }));
                  if (r == head_) logits = its;
                }
                // Each rank on its own thread: one whose device failed must be heard while others
                // wait.
                return alone ? Status() : rank.stream().wait(what);
              });
          !formed) {
        return formed;
      }
      narrowed = true;
      ESP_TRY(head.enter());
      const cuda::DeviceChoices::Question question{
          plans, planned, begin, end, logits, head.forward().logits_stride(), what, watch_.get()};
      ESP_TRY(choices_.ask(question, head.stream()));
      // Of rows before these the answers are there.
      const bool last = !planned.any(end, all);
      if (next != nullptr && last && choices_.chooses())
        ESP_TRY(begin_beside(question, results, *next));
      ESP_TRY(choices_.collect(question, head.stream(), results));
    }
    if (narrowed) return {};
    // Also where nothing is wanted: what the step was given may go when it returns.
    return each([&](Rank& rank, std::uint32_t) { return rank.stream().wait(what); });
  }

  Places places_;
  cuda::DeviceChoices choices_;
  std::shared_ptr<cuda::DeviceWatch> watch_;  // null: nobody watches
  BackendInfo info_;
  std::vector<std::vector<std::byte>> earlier_;  // by slot: what host pages have of layers there
  std::size_t head_;  // the rank on whose device choices are made: the first of the last stage
  bool lost_ = false;
  // Of the step that has begun:
  bool under_way_ = false;
  std::size_t rows_ = 0;
  std::vector<std::uint32_t> wanted_;
  std::vector<std::uint32_t> ids_;  // of one that was begun beside another's end
};

std::uint32_t stages_of(const CudaOptions& options) {
  return static_cast<std::uint32_t>(options.devices.size()) / options.tensor_parallel;
}

// What each rank has of the model's last `layers`, stage by stage.
Result<std::vector<Part>> deal(const ModelShape& shape, const CudaOptions& options,
                               std::uint32_t layers) {
  const std::uint32_t stages = stages_of(options);
  if (layers < stages) {
    return fail(ErrorCode::kInvalid, std::to_string(layers) + " layers on the devices, which are " +
                                         std::to_string(stages) +
                                         " stages: each needs one at least");
  }
  ESP_ASSIGN(const Shares shares, share_layers(shape, options.tensor_parallel));
  const std::uint32_t before = shape.layers - layers;
  std::vector<Part> out;
  for (std::uint32_t s = 0; s < stages; ++s) {
    const std::uint32_t first = layers * s / stages;
    const std::uint32_t count = layers * (s + 1) / stages - first;
    for (std::uint32_t r = 0; r < options.tensor_parallel; ++r) {
      out.push_back({{before + first, count}, shares, r});
    }
  }
  return out;
}

// Pages of a pool: of the bytes asked for of all layers, else as many as every device has room for,
// and the host with `before` (null: it has no layers).
Result<std::uint32_t> pool_pages(const Model& whole,
                                 const std::vector<std::unique_ptr<Rank>>& ranks,
                                 const Model* before, const CudaOptions& options, System& system) {
  const KvType type = options.kv_type;
  if (options.kv_bytes != 0) {
    return cpu::KvPool::pages_in(whole.shape(), type, options.kv_bytes);
  }
  std::uint64_t pages = UINT32_MAX - 1;
  for (const auto& rank : ranks) {
    ESP_TRY(rank->enter());
    ESP_ASSIGN(const std::uint64_t free, cuda::free_bytes());
    const std::uint64_t room =
        std::min(kMostDefaultKv, free > cuda::kSpare ? (free - cuda::kSpare) / 2 : 0);
    pages = std::min(pages, room / rank->page_bytes());
  }
  if (before != nullptr) {
    ESP_ASSIGN(const std::uint32_t of_host,
               cpu::KvPool::pages_in(before->shape(), type, CpuBackend::default_kv_bytes(system)));
    pages = std::min<std::uint64_t>(pages, of_host);
  }
  // The error, where not one fits.
  return cpu::KvPool::pages_in(whole.shape(), type,
                               pages * cpu::KvPool::page_bytes(whole.shape(), type));
}

std::string nccl_library(System& system) {
  return system.environment("ESPALIER_NCCL").value_or("libnccl.so.2");
}

Result<MakeGroup> group_maker(const CudaOptions& options, System& system) {
  if (options.links != CudaOptions::Links::kNccl) {
    return [](const std::vector<int>& devices) -> Result<cuda::Group> {
      return cuda::thread_group(static_cast<std::uint32_t>(devices.size()));
    };
  }
  ESP_ASSIGN(const cuda::NcclFunctions nccl, cuda::load_nccl(nccl_library(system)));
  return [nccl](const std::vector<int>& devices) { return cuda::nccl_group(nccl, devices); };
}

}  // namespace

std::string CudaBackend::cublaslt_library(System& system) {
  return system.environment("ESPALIER_CUBLASLT").value_or(cuda::cublaslt_library());
}

Result<CudaOptions> CudaBackend::settle(const Model& model, CudaOptions options, System& system) {
  const std::size_t count = options.devices.size();
  ESP_CHECK(count > 0);
  const auto fits = [&](std::uint32_t tensor) {
    const std::uint64_t layers = options.layers == 0 ? model.shape().layers : options.layers;
    return tensor <= cuda::kMostRanks && count % tensor == 0 && count / tensor <= layers &&
           share_layers(model.shape(), tensor).has_value();
  };
  if (options.tensor_parallel == 0) {
    options.tensor_parallel = static_cast<std::uint32_t>(std::min<std::size_t>(count, 1024));
    while (options.tensor_parallel > 1 && !fits(options.tensor_parallel)) --options.tensor_parallel;
  }
  if (options.tensor_parallel > cuda::kMostRanks || count % options.tensor_parallel != 0) {
    return fail(ErrorCode::kInvalid, std::to_string(options.tensor_parallel) +
                                         " devices a layer: there are " + std::to_string(count) +
                                         " devices, of which a part with no rest must share "
                                         "it, at most " +
                                         std::to_string(cuda::kMostRanks));
  }
  if (options.links == CudaOptions::Links::kAuto) {
    options.links = CudaOptions::Links::kThreads;
    const std::set<int> once(options.devices.begin(), options.devices.end());
    const auto named = system.environment("ESPALIER_NCCL");
    if (count > 1 && once.size() == count && named != "none") {
      // A library that was named must be there; else copies do.
      const auto nccl = cuda::load_nccl(nccl_library(system));
      if (!nccl && named) return fail(nccl.error());
      if (nccl) options.links = CudaOptions::Links::kNccl;
    }
  }
  return options;
}

Result<std::uint32_t> CudaBackend::layers_that_fit(const std::shared_ptr<const Model>& model,
                                                   const CudaOptions& options) {
  const std::uint32_t all = model->shape().layers;
  std::vector<std::uint64_t> free;
  for (const int device : options.devices) {
    ESP_TRY(cuda::use_device(device));
    ESP_ASSIGN(free.emplace_back(), cuda::free_bytes());
  }
  // Each layer more takes more; fewer than there are stages cannot be dealt out.
  const std::uint32_t stages = stages_of(options);
  std::uint32_t fits = stages - 1;
  std::uint32_t beyond = all + 1;
  while (fits + 1 < beyond) {
    const std::uint32_t layers = fits + (beyond - fits) / 2;
    ESP_ASSIGN(const auto parts, deal(model->shape(), options, layers));
    bool fit = true;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const Fp8Products fp8 = products_of(options.fp8_calibration).from(parts[i].layers.first);
      const std::uint64_t weights = cuda::DeviceWeights::bytes(
          *parts[i].of(model), options.numerics == Numerics::kFp8 ? &fp8 : nullptr);
      const std::uint64_t keys_values =
          options.kv_bytes / all * parts[i].layers.count / options.tensor_parallel;
      fit = fit && weights + keys_values + kRoom <= free[i];
    }
    (fit ? fits : beyond) = layers;
  }
  return fits < stages ? 0 : fits;
}

Result<std::unique_ptr<Backend>> CudaBackend::create(std::shared_ptr<const Model> model,
                                                     const CudaOptions& asked, System& system) {
  const ModelShape& shape = model->shape();
  if (asked.threads > kMostThreads) {
    return fail(ErrorCode::kInvalid, std::to_string(asked.threads) + " threads: the most is " +
                                         std::to_string(kMostThreads));
  }
  if (asked.layers > shape.layers) {
    return fail(ErrorCode::kInvalid, std::to_string(asked.layers) +
                                         " layers on the device: the model has " +
                                         std::to_string(shape.layers));
  }
  ESP_TRY(cuda::check_shape(shape));
  ESP_ASSIGN(const auto devices, cuda::named_devices(asked.devices));
  ESP_ASSIGN(const CudaOptions options, settle(*model, asked, system));
  const unsigned threads =
      options.threads == 0 ? std::min(system.processors(), kMostThreads) : options.threads;
  const std::uint32_t layers = options.layers == 0 ? shape.layers : options.layers;
  ESP_ASSIGN(const auto parts, deal(shape, options, layers));
  ESP_ASSIGN(auto make_group, group_maker(options, system));
  std::optional<cuda::CublasLtFunctions> tensor;
  if (options.numerics != Numerics::kExact) {
    ESP_ASSIGN(tensor, options.find_cublaslt(cublaslt_library(system)));
  }
  const Fp8Products fp8 = products_of(options.fp8_calibration);
  cuda::LowPrecision low;
  if (tensor) low.tensor = &*tensor;
  if (options.numerics == Numerics::kFp8) {
    ESP_TRY(cuda::check_fp8(devices));
    low.fp8 = &fp8;
  }
  const auto count = static_cast<std::uint32_t>(parts.size());
  try {
    ESP_ASSIGN(const cpu::Kernels* kernels,
               cpu::choose_kernels(system.environment("ESPALIER_ISA").value_or("")));
    DeviceBackend::Places places;
    const auto add_workers = [&](unsigned of) -> Status {
      ESP_ASSIGN(places.workers.emplace_back(), cpu::WorkerPool::create(of));
      return {};
    };
    ESP_TRY(add_workers(threads));
    for (std::uint32_t r = 0; r < count && count > 1; ++r) {
      ESP_TRY(add_workers(std::max(1U, threads / count)));
    }
    ESP_ASSIGN(places.threads, cuda::RankThreads::create(count));
    places.ranks.resize(count);
    // Devices are loaded side by side.
    ESP_TRY(places.threads->each(
        [&](std::uint32_t r) -> Status {
          ESP_ASSIGN(places.ranks[r], Rank::create(model, parts[r], options.kv_type, devices[r],
                                                   *places.workers[count > 1 ? r + 1 : 0], low));
          return {};
        },
        [] {}));
    const std::uint32_t before = shape.layers - layers;
    const auto earlier = before == 0 ? nullptr : layers_of(model, {0, before});
    ESP_ASSIGN(places.pages, pool_pages(*model, places.ranks, earlier.get(), options, system));
    for (const auto& rank : places.ranks) {
      ESP_TRY(rank->enter());
      ESP_TRY(rank->reserve(places.pages, options.kv_bytes == 0 ? cuda::kSpare : kRoom));
    }
    if (options.tune && cuda::Autotuner::worth_it(shape)) {
      // One after the other: the file that one writes the next of its kind reads.
      const auto until = system.now() + cuda::Autotuner::kBudget;
      for (const auto& rank : places.ranks) {
        ESP_TRY(rank->enter());
        ESP_TRY(rank->tune(until, options.stopwatch, system));
      }
    }
    places.tensor = options.tensor_parallel;
    places.network =
        std::make_unique<Network>(std::move(make_group), options.devices, options.tensor_parallel);
    ESP_TRY(places.network->join());
    if (earlier != nullptr) {
      ESP_ASSIGN(places.host, cuda::HostLayers::create(earlier, options.kv_type, *kernels,
                                                       *places.workers[0], places.pages));
    }
    ESP_TRY(places.ranks[count - options.tensor_parallel]->enter());
    ESP_ASSIGN(auto choices,
               cuda::DeviceChoices::create(shape.vocabulary, *kernels, *places.workers[0]));
    return std::make_unique<DeviceBackend>(*model, options, std::move(places), std::move(choices));
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kExhausted, "CUDA backend: out of memory");
  }
}

}  // namespace espalier::runtime
