// A model in its places, as a Backend: the ranks, each with its thread and device, and the layers
// on the CPU before them; how they take a step and what becomes of one that fails.
//
// Ranks that share the last stage's layers each have all logits, and each makes the choices of the
// step for itself, with the same bits: so where the next step begins before the host knows the ids,
// they are where its layers begin. Where that is another stage they are sent there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/backend.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/cuda/cuda_backend.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/device_choices.h"
#include "runtime/cuda/device_watch.h"
#include "runtime/cuda/forward.h"
#include "runtime/cuda/host_layers.h"
#include "runtime/cuda/network.h"
#include "runtime/cuda/rank.h"
#include "runtime/cuda/rank_threads.h"
#include "runtime/sampling/plan_answers.h"

namespace espalier::runtime::cuda {

class DeviceBackend final : public Backend, public HostPages {
 public:
  // Where everything is: the ranks stage by stage, `host` the layers before them (null: none).
  struct Places {
    std::vector<std::unique_ptr<cpu::WorkerPool>> workers;  // the host's, then the ranks'
    std::unique_ptr<HostLayers> host;
    std::vector<std::unique_ptr<Rank>> ranks;
    std::unique_ptr<RankThreads> threads;
    std::unique_ptr<Network> network;
    std::uint32_t tensor = 1;
    std::uint32_t pages = 0;
    // Of the last stage's ranks, each on its device.
    std::vector<DeviceChoices> choices;
  };

  /// kExhausted.
  [[nodiscard]] static Result<std::unique_ptr<Backend>> create(const Model& model,
                                                               const CudaOptions& options,
                                                               Places places);
  ~DeviceBackend() override;

  const BackendInfo& info() const override { return info_; }
  Status begin(const Batch& batch, std::span<const std::uint32_t> wanted) override;
  Result<std::vector<RowResult>> finish(std::span<const RowPlan> plans) override {
    return second_half(plans, nullptr);
  }
  bool chooses_ahead(const RowPlan& plan) const override;
  Result<std::vector<RowResult>> finish_and_begin(std::span<const RowPlan> plans,
                                                  NextStep& next) override;
  bool lost() const override { return lost_; }
  void poison(PageId page) override;
  void export_page(PageId page, std::span<std::byte> out) const override;
  void import_page(PageId page, std::span<const std::byte> bytes) override;

  HostPages* host_pages() override { return this; }
  Status reserve(std::uint32_t slots) override;
  Status save(HostCopy copy) override;
  Status load(std::span<const HostCopy> copies) override;
  Took loads_took() override;

 private:
  DeviceBackend(const Model& model, const CudaOptions& options, Places places);

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

  // f(rank, its number) on each rank's thread and device. Where one fails, the others do not wait
  // for it; or `failed` says what becomes of them.
  template <class F, class Failed>
  Status each(F&& f, Failed&& failed) {
    return places_.threads->each(
        [&](std::uint32_t r) -> Status {
          ESP_TRY(places_.ranks[r]->enter());
          return f(*places_.ranks[r], r);
        },
        failed);
  }
  template <class F>
  Status each(F&& f) {
    return each(f, [this] { places_.network->give_up(); });
  }
  [[nodiscard]] bool alone() const { return places_.ranks.size() == 1; }
  // The last stage's: those that have the head.
  [[nodiscard]] bool has_head(std::uint32_t rank) const { return rank >= head_; }
  [[nodiscard]] bool begins(std::uint32_t rank) const { return rank < places_.tensor; }
  // The first head's device alone is watched.
  [[nodiscard]] DeviceWatch* watch_of(std::uint32_t rank) const {
    return rank == head_ ? watch_.get() : nullptr;
  }
  /// Where a rank finds tokens that were chosen and nobody knows yet; null where it looks none up.
  [[nodiscard]] const SampleResult* chosen_on(std::uint32_t rank) const;

  [[nodiscard]] Status wait(const std::string& what);
  bool drain() { return wait("a step's end").has_value(); }
  tl::unexpected<Error> settled(Error error);
  template <class Failed>
  [[nodiscard]] Status prepare(const Batch& batch, std::span<const std::uint32_t> wanted,
                               std::span<const std::uint32_t> ids, Failed&& failed);
  [[nodiscard]] Status launch(std::uint64_t ids_sent);
  [[nodiscard]] Result<std::vector<RowResult>> second_half(std::span<const RowPlan> plans,
                                                           NextStep* next);
  [[nodiscard]] Status begin_beside(const DeviceChoices::Question& question,
                                    std::span<const RowResult> results, NextStep& next);
  [[nodiscard]] Status answer(std::span<const RowPlan> plans, NextStep* next,
                              std::vector<RowResult>& results);

  Places places_;
  std::size_t head_;                    // the first rank of the last stage: it answers
  std::shared_ptr<DeviceWatch> watch_;  // null: nobody watches
  BackendInfo info_;
  std::vector<std::vector<std::byte>> earlier_;  // by slot: what host pages have of layers there
  bool lost_ = false;
  // Of the step that has begun:
  bool under_way_ = false;
  std::size_t rows_ = 0;
  std::vector<std::uint32_t> wanted_;
  std::vector<std::uint32_t> ids_;  // of one that was begun beside another's end
  // By rank, of several: behind all of a step, and before the next one.
  std::vector<Event> ended_;
  // Of the ranks of the first of several stages: tokens that the last one has chosen.
  std::vector<DeviceMemory> arrived_;
};

}  // namespace espalier::runtime::cuda
