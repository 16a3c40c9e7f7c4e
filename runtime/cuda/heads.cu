// Q, K and V between their products and attention, and copies of KV pages.
#include "runtime/cuda/heads.cuh"
#include "runtime/cuda/kernels.h"
#include "runtime/cuda/kv_tiles.cuh"
#include "runtime/cuda/ptx.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda {
namespace {

// A block has up to kRows neighbouring rows and one head of Q, of K or of V: a warp turns a head of
// a row. Keys go to their pages with rows side by side: a prompt's are neighbours there.
template <unsigned kRows, unsigned kWarps, KvType kType>
__global__ void __launch_bounds__(kWarps* kWarp)
    turn(const std::uint32_t rows, const Heads heads, const DeviceRow* row_facts,
         const DeviceSlot* slots, const std::uint32_t layer, const KvView pool) {
  using Tile = KvTile<kType>;
  let_next_start();
  wait_for_inputs();
  const unsigned width = pool.width;
  const unsigned warp = threadIdx.x / kWarp;
  const unsigned lane = threadIdx.x % kWarp;
  const unsigned begin = blockIdx.x * kRows;
  const unsigned count = min(rows - begin, kRows);
  auto* x = reinterpret_cast<float*>(dynamic_shared()) + warp * width;

  if (blockIdx.y < heads.heads) {
    const std::size_t first = std::size_t{blockIdx.y} * width;
    for (unsigned m = warp; m < count; m += kWarps) {
      const std::uint32_t position = row_facts[begin + m].position;
      float* query = heads.queries + (begin + m) * heads.query_stride + first;
      turn_query(heads, query, static_cast<unsigned>(first), width, position, x, query);
    }
    return;
  }

  auto* halves = reinterpret_cast<std::uint16_t*>(reinterpret_cast<float*>(dynamic_shared()) +
                                                  kWarps * width);  // [row][those of a token]
  const unsigned of_token = Tile::token_halves(width);
  const unsigned number = blockIdx.y - heads.heads;
  const bool is_key = number < pool.kv_heads;
  const std::size_t first = std::size_t{is_key ? number : number - pool.kv_heads} * width;
  for (unsigned m = warp; m < count; m += kWarps) {
    const DeviceRow row = row_facts[begin + m];
    if (row.writes == 0) continue;
    encode_head<Tile>(heads, is_key, begin + m, first, width, row.position, x,
                      halves + m * of_token);
  }
  __syncthreads();
  std::uint16_t* to = tile_of<Tile>(pool, layer, number);
  if (is_key) {
    for (unsigned i = threadIdx.x; i < kRows * of_token; i += kWarps * kWarp) {
      const unsigned m = i % kRows;
      const unsigned h = i / kRows;
      if (m >= count) continue;
      const DeviceRow row = row_facts[begin + m];
      for (std::uint32_t w = 0; w < row.writes; ++w) {
        const DeviceSlot slot = slots[row.first_write + w];
        to[slot.page * page_halves<Tile>(pool) + Tile::key_at(h, slot.slot)] =
            Tile::key_half(h, halves[m * of_token + h]);
      }
    }
    return;
  }
  for (unsigned m = warp; m < count; m += kWarps) {
    const DeviceRow row = row_facts[begin + m];
    for (std::uint32_t w = 0; w < row.writes; ++w) {
      const DeviceSlot slot = slots[row.first_write + w];
      std::uint16_t* value = to + slot.page * page_halves<Tile>(pool) + slot.slot * of_token;
      for (unsigned h = lane; h < of_token; h += kWarp) value[h] = halves[m * of_token + h];
    }
  }
}

template <unsigned kRows, unsigned kWarps>
void launch_turn(cudaStream_t stream, std::uint32_t rows, const Heads& heads, const DeviceRow* row,
                 const DeviceSlot* slots, std::uint32_t layer, const KvView& pool) {
  with_type(pool.type, [&]<KvType kType>() {
    const std::size_t shared =
        kWarps * sizeof(float) * pool.width +
        kRows * sizeof(std::uint16_t) * KvTile<kType>::token_halves(pool.width);
    launch(turn<kRows, kWarps, kType>,
           dim3((rows + kRows - 1) / kRows, heads.heads + 2 * pool.kv_heads), dim3(kWarps * kWarp),
           shared, stream, rows, heads, row, slots, layer, pool);
  });
}

// A block copies the first tokens of one tile.
template <KvType kType>
__global__ void copy_tiles(const DeviceCopy* copies, const KvView pool) {
  using Tile = KvTile<kType>;
  let_next_start();
  wait_for_inputs();
  const DeviceCopy copy = copies[blockIdx.x];
  const unsigned number = blockIdx.y % (2 * pool.kv_heads);
  std::uint16_t* base = tile_of<Tile>(pool, blockIdx.y / (2 * pool.kv_heads), number);
  const std::uint16_t* from = base + copy.from * page_halves<Tile>(pool);
  std::uint16_t* to = base + copy.to * page_halves<Tile>(pool);
  const bool is_key = number < pool.kv_heads;
  const unsigned halves = Tile::token_halves(pool.width) * (is_key ? kTileTokens : copy.slots);
  for (unsigned i = threadIdx.x; i < halves; i += blockDim.x) {
    if (!is_key || Tile::key_token(i) < copy.slots) to[i] = from[i];
  }
}

}  // namespace

void turn_heads(cudaStream_t stream, std::uint32_t rows, const Heads& heads, const DeviceRow* row,
                const DeviceSlot* slots, std::uint32_t layer, const KvView& pool,
                std::uint32_t together) {
  if (rows == 0) return;
  if (rows < together) {
    launch_turn<1, 1>(stream, rows, heads, row, slots, layer, pool);
  } else {
    launch_turn<kHeadsTogether, 8>(stream, rows, heads, row, slots, layer, pool);
  }
}

void copy_pages(cudaStream_t stream, std::uint32_t count, const DeviceCopy* copies,
                const KvView& pool) {
  constexpr unsigned kThreads = 128;
  if (count == 0) return;
  with_type(pool.type, [&]<KvType kType>() {
    launch(copy_tiles<kType>, dim3(count, pool.layers * 2 * pool.kv_heads), dim3(kThreads), 0,
           stream, copies, pool);
  });
}

}  // namespace espalier::runtime::cuda
