// What one device has of a model: its layers' weights and passes, and its part of each KV page.
//
// A page of the whole model is [layer] { K: [kv head] tile, V: [kv head] tile } (../cpu/kv_pool.h);
// a rank has some of the layers and of each some of the heads, in pages of the same form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "runtime/backend.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/cuda/autotuner.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/forward.h"
#include "runtime/cuda/kernels.h"
#include "runtime/cuda/page_transfers.h"
#include "runtime/model/model_part.h"

namespace espalier::runtime::cuda {

/// Which part of a model: some layers, and of each what rank `rank` of `shares` has.
struct Part {
  LayerRange layers;
  Shares shares;
  std::uint32_t rank = 0;

  [[nodiscard]] std::shared_ptr<const Model> of(const std::shared_ptr<const Model>& model) const {
    return share_of(layers_of(model, layers), shares, rank);
  }
};

/// What is left free of a device for scratch and for CUDA itself.
inline constexpr std::uint64_t kSpare = std::uint64_t{512} << 20;

class Rank {
 public:
  /// Lays the part's weights out on the device; its pool comes with reserve(). `workers` outlives
  /// it and is used by whoever runs its passes. `low`: of the whole model. kExhausted.
  [[nodiscard]] static Result<std::unique_ptr<Rank>> create(
      const std::shared_ptr<const Model>& model, const Part& part, KvType kv_type,
      const DeviceFacts& device, cpu::WorkerPool& workers, const LowPrecision& low);
  ~Rank();
  Rank(const Rank&) = delete;
  Rank& operator=(const Rank&) = delete;

  [[nodiscard]] std::uint64_t page_bytes() const { return page_bytes_; }
  /// Room for so many pages, and then, where steps begin here, for embeddings if `spare` bytes are
  /// left beside them. kExhausted.
  [[nodiscard]] Status reserve(std::uint32_t pages, std::uint64_t spare);

  /// Finds the sizes of work that its device is fastest with (autotuner.h), after reserve() and
  /// before anything is in the pool.
  [[nodiscard]] Status tune(System::Clock::time_point until, const Stopwatch& stopwatch,
                            System& system);

  /// Makes its device current on this thread: before any call but create() and page_bytes().
  [[nodiscard]] Status enter() const { return use_device(device_.number); }
  [[nodiscard]] Forward& forward() { return *forward_; }
  [[nodiscard]] const Tuning& tuning() const { return forward_->tuning(); }
  [[nodiscard]] const Stream& stream() const { return forward_->stream(); }
  [[nodiscard]] const KvView& pool() const { return view_; }
  /// Of its part of pages, after reserve().
  [[nodiscard]] PageTransfers& transfers() { return transfers_; }

  void poison(PageId page);
  /// This part of a page of the whole model. A device that fails here fails in the next step too,
  /// which can say so.
  void export_page(PageId page, std::span<std::byte> out);
  void import_page(PageId page, std::span<const std::byte> bytes);

 private:
  Rank(const Model& whole, const Part& part, DeviceFacts device)
      : part_(part), device_(std::move(device)), kv_heads_(whole.shape().kv_heads) {}
  [[nodiscard]] std::byte* at(PageId page) const { return pool_.data() + page * page_bytes_; }
  // Where its layers begin in a page of the whole model.
  [[nodiscard]] std::uint64_t layers_at() const;
  // f(place among this part's bytes, place among its layers' bytes of the whole page, bytes).
  template <class F>
  void each_run(F&& f) const;
  void copied(const Status& enqueued) const;

  Part part_;
  DeviceFacts device_;
  std::uint32_t kv_heads_;  // of the whole model
  std::uint64_t tile_bytes_ = 0;
  std::uint64_t page_bytes_ = 0;
  std::uint32_t pages_ = 0;
  std::unique_ptr<Forward> forward_;
  DeviceMemory pool_;
  KvView view_;
  PageTransfers transfers_;
};

}  // namespace espalier::runtime::cuda
