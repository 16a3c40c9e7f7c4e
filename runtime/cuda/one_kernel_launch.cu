// Which kernel of one_kernel.cuh pages take, and the shared memory that it needs.
#include <algorithm>

#include "runtime/cuda/kv_tiles.cuh"
#include "runtime/cuda/one_kernel.h"
#include "runtime/cuda/one_kernel_room.cuh"

namespace espalier::runtime::cuda {
namespace one_kernel {

template <KvType kType>
std::uint32_t blocks_of(std::size_t shared);
template <KvType kType>
cudaError_t launch_layers(cudaStream_t stream, const OneKernelCall& call, std::uint32_t blocks,
                          std::size_t shared);

namespace {

std::size_t shared_of(const LayerFacts& layer, const KvView& pool, std::uint32_t rows) {
  std::size_t room = 0;
  with_type(pool.type, [&]<KvType kType>() {
    room = std::max<std::size_t>(
        pool.width > 128 ? attention::shared_bytes<AttentionShape<kType, 8, true>>()
                         : attention::shared_bytes<AttentionShape<kType, 8, false>>(),
        kWarps * turning_bytes(pool.width, KvTile<kType>::token_halves(pool.width)));
  });
  for (std::uint32_t stage = 0; stage < kLayerStages; ++stage) {
    const LayerProduct& product = layer.products[stage];
    const auto which = static_cast<LayerStage>(stage);
    const Team team = team_of(product);
    std::size_t work = std::size_t{kWarps / team.warps} * team.folds * kFoldFloats;
    // Rows before they are normed, where they have no place among the activations.
    const bool norms = which == LayerStage::kHeads || which == LayerStage::kHidden;
    if (norms && !product.floats) {
      work = std::max(work, std::size_t{rows} * product.columns);
    }
    room = std::max(room, room_of(product, rows).work + work * sizeof(float));
  }
  return kRoomAt + room;
}

}  // namespace
}  // namespace one_kernel

std::size_t one_kernel_shared(const LayerFacts& layer, const KvView& pool, std::uint32_t rows) {
  return one_kernel::shared_of(layer, pool, rows);
}

std::uint32_t one_kernel_blocks(KvType type, std::size_t shared) {
  std::uint32_t blocks = 0;
  with_type(type, [&]<KvType kType>() { blocks = one_kernel::blocks_of<kType>(shared); });
  return blocks;
}

cudaError_t run_one_kernel(cudaStream_t stream, const OneKernelCall& call, std::uint32_t blocks,
                           std::size_t shared) {
  switch (call.pool.type) {
    case KvType::kF16:
      return one_kernel::launch_layers<KvType::kF16>(stream, call, blocks, shared);
    case KvType::kBF16:
      return one_kernel::launch_layers<KvType::kBF16>(stream, call, blocks, shared);
    case KvType::kQ8:
      break;
  }
  return one_kernel::launch_layers<KvType::kQ8>(stream, call, blocks, shared);
}

}  // namespace espalier::runtime::cuda
