#include "runtime/cuda/host_layers.h"

#include <utility>

#include "runtime/cpu/default_rounding.h"

namespace espalier::runtime::cuda {

Result<std::unique_ptr<HostLayers>> HostLayers::create(std::shared_ptr<const Model> part,
                                                       KvType kv_type, const cpu::Kernels& kernels,
                                                       cpu::WorkerPool& workers,
                                                       std::uint32_t pages) {
  const ModelShape& shape = part->shape();
  const std::uint64_t bytes = pages * cpu::KvPool::page_bytes(shape, kv_type);
  ESP_ASSIGN(auto pool, cpu::KvPool::create(shape, kv_type, bytes));
  ESP_ASSIGN(auto forward, cpu::Forward::create(std::move(part), kernels, workers));
  return std::unique_ptr<HostLayers>(new HostLayers(std::move(forward), std::move(pool)));
}

Residual HostLayers::run(const Batch& batch) {
  const cpu::DefaultRounding rounding;
  for (const PageCopy& copy : batch.copies) pool_.copy(copy.from, copy.to, copy.slots);
  if (batch.rows.empty()) return {};
  forward_->run(batch, {}, pool_);
  return {forward_->residual(), forward_->residual_stride()};
}

}  // namespace espalier::runtime::cuda
