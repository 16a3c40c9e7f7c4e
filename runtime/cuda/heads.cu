// Q, K and V between their products and attention, and copies of KV pages.
#include "runtime/cuda/kernels.h"
#include "runtime/cuda/kv_tiles.cuh"
#include "runtime/cuda/ptx.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda {
namespace {

constexpr unsigned kLanes = 16;  // of a sum, as numerics contract 1 has it

/// Where a tile of a layer begins in page 0: K of all heads, then V of all heads.
template <class Tile>
__device__ inline std::uint16_t* tile_of(const KvView& pool, unsigned layer, unsigned number) {
  return pool.pages +
         (std::size_t{layer} * 2 * pool.kv_heads + number) * Tile::key_halves(pool.width);
}
template <class Tile>
__device__ inline std::size_t page_halves(const KvView& pool) {
  return std::size_t{pool.layers} * 2 * pool.kv_heads * Tile::key_halves(pool.width);
}

/// One head of a row, by a warp: in shared memory `x`, so that pairs may lie anywhere.
__device__ inline void load_head(const float* from, const float* bias, unsigned width, float* x) {
  for (unsigned d = threadIdx.x % kWarp; d < width; d += kWarp) {
    x[d] = bias == nullptr ? from[d] : from[d] + bias[d];
  }
  __syncwarp();
}

__device__ inline void normalise(float* x, const float* weight, unsigned width, float epsilon) {
  const unsigned lane = threadIdx.x % kWarp;
  float squares = 0.0F;  // both halves of the warp have the 16 lanes of the sum
  for (unsigned d = lane % kLanes; d < width; d += kLanes) squares = fmaf(x[d], x[d], squares);
#pragma unroll
  for (unsigned mask = kLanes / 2; mask > 0; mask /= 2) {
    squares = squares + __shfl_xor_sync(kFullWarp, squares, mask);
  }
  const float mean = squares / static_cast<float>(width);
  const float factor = 1.0F / sqrtf(mean + epsilon);
  for (unsigned d = lane; d < width; d += kWarp) x[d] = (x[d] * factor) * weight[d];
  __syncwarp();
}

__device__ inline void rotate(float* x, const Heads& heads, unsigned position) {
  const float* cosines = heads.cosines + std::size_t{position} * heads.pairs;
  const float* sines = heads.sines + std::size_t{position} * heads.pairs;
  for (unsigned i = threadIdx.x % kWarp; i < heads.pairs; i += kWarp) {
    const unsigned first = heads.adjacent ? 2 * i : i;
    const unsigned second = heads.adjacent ? 2 * i + 1 : i + heads.pairs;
    const float a = x[first];
    const float b = x[second];
    x[first] = a * cosines[i] - b * sines[i];
    x[second] = a * sines[i] + b * cosines[i];
  }
  __syncwarp();
}

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
      load_head(query, heads.query_bias == nullptr ? nullptr : heads.query_bias + first, width, x);
      if (heads.query_norm != nullptr) normalise(x, heads.query_norm, width, heads.epsilon);
      rotate(x, heads, position);
      const bool tempered = heads.temperatures != nullptr;
      const float temperature = tempered ? heads.temperatures[position] : 1.0F;
      for (unsigned d = lane; d < width; d += kWarp) query[d] = x[d] * temperature;
      __syncwarp();
    }
    return;
  }

  auto* halves = reinterpret_cast<std::uint16_t*>(reinterpret_cast<float*>(dynamic_shared()) +
                                                  kWarps * width);  // [row][those of a token]
  const unsigned of_token = Tile::token_halves(width);
  const unsigned number = blockIdx.y - heads.heads;
  const bool is_key = number < pool.kv_heads;
  const std::size_t first = std::size_t{is_key ? number : number - pool.kv_heads} * width;
  const float* from = is_key ? heads.keys : heads.values;
  const float* bias = is_key ? heads.key_bias : heads.value_bias;
  for (unsigned m = warp; m < count; m += kWarps) {
    const DeviceRow row = row_facts[begin + m];
    if (row.writes == 0) continue;
    load_head(from + (begin + m) * heads.key_stride + first,
              bias == nullptr ? nullptr : bias + first, width, x);
    if (is_key) {
      if (heads.key_norm != nullptr) normalise(x, heads.key_norm, width, heads.epsilon);
      rotate(x, heads, row.position);
    }
    Tile::encode(x, is_key, width, halves + m * of_token);
    __syncwarp();
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
