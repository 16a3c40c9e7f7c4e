// A model's first layers on the CPU, where the device has the last ones: their weights, their part
// of each KV page, and the residual stream that they leave.
//
// What runs is the CPU backend's forward pass, so a model in two places has the bits of one in
// either. Used by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "runtime/backend.h"
#include "runtime/cpu/forward.h"
#include "runtime/cpu/kernels.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/cuda/forward.h"
#include "runtime/model/model.h"

namespace espalier::runtime::cuda {

class HostLayers {
 public:
  /// `part` are the layers (layers_of); `kernels` and `workers` outlive it. kExhausted.
  [[nodiscard]] static Result<std::unique_ptr<HostLayers>> create(std::shared_ptr<const Model> part,
                                                                  KvType kv_type,
                                                                  const cpu::Kernels& kernels,
                                                                  cpu::WorkerPool& workers,
                                                                  std::uint32_t pages);

  /// Copies pages, runs the rows and writes K and V. What they leave lasts until the next run. May
  /// throw bad_alloc.
  [[nodiscard]] Residual run(const Batch& batch);

  void poison(PageId page) { pool_.poison(page); }
  /// The layers' part of a page: its first bytes.
  [[nodiscard]] std::span<std::byte> page(PageId page) const { return pool_.bytes(page); }

 private:
  HostLayers(std::unique_ptr<cpu::Forward> forward, cpu::KvPool pool)
      : forward_(std::move(forward)), pool_(std::move(pool)) {}

  std::unique_ptr<cpu::Forward> forward_;
  cpu::KvPool pool_;
};

}  // namespace espalier::runtime::cuda
