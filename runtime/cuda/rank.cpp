#include "runtime/cuda/rank.h"

#include <algorithm>
#include <utility>

#include "runtime/cpu/kv_pool.h"

namespace espalier::runtime::cuda {

Result<std::unique_ptr<Rank>> Rank::create(const std::shared_ptr<const Model>& model,
                                           const Part& part, KvType kv_type,
                                           const DeviceFacts& device, cpu::WorkerPool& workers,
                                           const LowPrecision& low) {
  std::unique_ptr<Rank> out(new Rank(*model, part, device));
  ESP_TRY(out->enter());
  const auto here = part.of(model);
  const ModelShape& shape = here->shape();
  out->page_bytes_ = cpu::KvPool::page_bytes(shape, kv_type);
  out->tile_bytes_ = out->page_bytes_ / (std::uint64_t{2} * shape.layers * shape.kv_heads);
  out->view_.layers = shape.layers;
  out->view_.kv_heads = shape.kv_heads;
  out->view_.width = shape.head_width;
  out->view_.type = kv_type;
  const Fp8Products fp8 = low.fp8 == nullptr ? Fp8Products() : low.fp8->from(part.layers.first);
  const LowPrecision own{low.tensor, low.fp8 == nullptr ? nullptr : &fp8};
  ESP_ASSIGN(out->forward_,
             Forward::create(here, part.shares, workers, device.multiprocessors, kv_type, own));
  return out;
}

Rank::~Rank() {
  (void)enter();
  transfers_.finish();
}

Status Rank::reserve(std::uint32_t pages, std::uint64_t spare) {
  ESP_ASSIGN(pool_, DeviceMemory::allocate(pages * page_bytes_, "KV pool"));
  pages_ = pages;
  view_.pages = pool_.as<std::uint16_t>();
  transfers_ = PageTransfers(pool_.data(), pages, page_bytes_, view_.layers, stream());
  if (part_.layers.first > 0) return {};
  ESP_ASSIGN(const std::uint64_t free, free_bytes());
  return forward_->hold_embedding(free > spare ? free - spare : 0);
}

Status Rank::tune(System::Clock::time_point until, const Stopwatch& stopwatch, System& system) {
  ESP_TRY(Autotuner::tune({*forward_, view_, pages_, device_}, until, stopwatch, system));
  transfers_.set_piece_bytes(std::uint64_t{tuning().piece_kib} << 10);
  return {};
}

std::uint64_t Rank::layers_at() const {
  return std::uint64_t{2} * part_.layers.first * kv_heads_ * tile_bytes_;
}

// K and V of each layer are a run of tiles, some of the whole page's.
template <class F>
void Rank::each_run(F&& f) const {
  const std::uint64_t run = view_.kv_heads * tile_bytes_;
  const std::uint64_t first = part_.shares.kv_heads[part_.rank] * tile_bytes_;
  for (std::uint64_t i = 0; i < std::uint64_t{2} * view_.layers; ++i) {
    f(i * run, i * kv_heads_ * tile_bytes_ + first, run);
  }
}

void Rank::poison(PageId page) {
  (void)transfers_.before_touching(page);
  // Sixteen set bits are NaN in binary16 and bfloat16.
  cudaMemsetAsync(at(page), 0xFF, page_bytes_, stream().get());
}

void Rank::copied(const Status& enqueued) const {
  if (enqueued) (void)cudaStreamSynchronize(stream().get());
}

void Rank::export_page(PageId page, std::span<std::byte> out) {
  (void)transfers_.before_touching(page);
  std::byte* const layers = out.data() + layers_at();
  if (part_.shares.ranks() == 1) {
    copied(stream().copy_out(layers, at(page), page_bytes_));
    return;
  }
  std::vector<std::byte> bytes(page_bytes_);
  copied(stream().copy_out(bytes.data(), at(page), page_bytes_));
  each_run([&](std::uint64_t here, std::uint64_t there, std::uint64_t count) {
    std::copy_n(bytes.data() + here, count, layers + there);
  });
}

void Rank::import_page(PageId page, std::span<const std::byte> from) {
  (void)transfers_.before_touching(page);
  const std::byte* const layers = from.data() + layers_at();
  if (part_.shares.ranks() == 1) {
    copied(stream().copy_in(at(page), layers, page_bytes_));
    return;
  }
  std::vector<std::byte> bytes(page_bytes_);
  each_run([&](std::uint64_t here, std::uint64_t there, std::uint64_t count) {
    std::copy_n(layers + there, count, bytes.data() + here);
  });
  copied(stream().copy_in(at(page), bytes.data(), page_bytes_));
}

}  // namespace espalier::runtime::cuda
