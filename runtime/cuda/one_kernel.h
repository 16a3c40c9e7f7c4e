// A model's layers in one kernel: what it reads. Its blocks are on the device all at once and wait
// for each other between the stages of a layer, so that a step of few rows of small layers does not
// wait for launches. The bits are those of the kernels of kernels.h, whose device functions it
// calls.
//
// A layer has five stages, with a barrier of the grid behind each:
//   1. Q, K and V: every block norms the rows and makes their codes for itself;
//   2. heads and attention: a block turns the heads of Q that it needs, and writes K and V of the
//      step that it will read (others may write the same);
//   3. attention's output, onto the residual stream;
//   4. gate and up, and their product, an output of both by one block;
//   5. down, onto the residual stream.
// Where a block's output has a norm of its own (post norms), the block goes to memory, and every
// block of the next stage adds it up for itself, one of them for all.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "runtime/cuda/attention_kernels.h"
#include "runtime/cuda/kernels.h"
#include "runtime/cuda/layer_vectors.h"
#include "runtime/cuda/layout.h"

namespace espalier::runtime::cuda {

/// Limits: one tile of rows, and attention in tiles of few queries, whose blocks have so many
/// threads.
inline constexpr std::uint32_t kOneKernelRows = 8;
inline constexpr std::uint32_t kOneKernelQueries = 8;
inline constexpr std::uint32_t kOneKernelThreads = 128;
/// The most blocks a multiprocessor.
inline constexpr std::uint32_t kOneKernelBlocks = 2;
/// As many as a rule has it (layers_together.h), where sizes of work say how many.
inline constexpr std::uint32_t kOneKernelByRule = kOneKernelBlocks + 1;
/// Shared memory that it may need, of each block: as much as two of them have on every device.
inline constexpr std::size_t kOneKernelShared = std::size_t{80} << 10;

/// A matrix as the kernel finds it in device memory.
struct LayerMatrix {
  const unsigned char* data = nullptr;
  std::uint64_t unit_bytes = 0;  // of a panel, or of a dense row
  std::uint32_t rows = 0;        // outputs
  std::uint32_t first = 0;       // where they begin among those of the product
  WeightFormat format = WeightFormat::kF32;
};

/// Matrices that read the same activations; gate and up are a pair.
struct LayerProduct {
  static constexpr std::uint32_t kMostParts = 3;
  LayerMatrix parts[kMostParts];
  std::uint32_t count = 0;
  std::uint32_t columns = 0;
  // What they read.
  bool codes = false;
  bool halves = false;
  bool floats = false;
  bool pair = false;
};

enum class LayerStage : std::uint8_t { kHeads, kOutput, kHidden, kDown };
inline constexpr std::uint32_t kLayerStages = 4;

struct alignas(16) LayerFacts : LayerVectors {
  LayerProduct products[kLayerStages];  // by LayerStage
  std::uint32_t heads_stride = 0;       // of rows of Q, K and V
  std::uint32_t key_first = 0;
  std::uint32_t value_first = 0;
  bool local = false;
};

/// What layers that see everything, or local ones, share.
struct LayerView {
  const float* cosines = nullptr;
  const float* sines = nullptr;
  std::uint32_t pairs = 0;
  unsigned char* plan = nullptr;  // of items of at most kOneKernelQueries queries
};

struct OneKernelCall {
  const LayerFacts* layers = nullptr;
  std::uint32_t count = 0;
  std::uint32_t rows = 0;
  std::uint32_t width = 0;
  std::uint32_t query_width = 0;
  std::uint32_t feed_forward = 0;
  std::uint32_t heads = 0;
  float epsilon = 0;
  float query_scale = 1;
  bool gelu = false;
  bool adjacent = false;  // pairs that turn
  LayerView global, local;
  const float* temperatures = nullptr;
  /// Of the last layer, where rows end there: the rows that go on, and the plan of their attention.
  bool prunes = false;
  std::uint32_t kept = 0;
  const std::uint32_t* kept_rows = nullptr;
  unsigned char* kept_plan = nullptr;
  const DeviceRow* row_facts = nullptr;
  const DeviceSlot* slots = nullptr;
  KvView pool;
  // Rows of floats, side by side but for those of Q, K and V.
  float* x = nullptr;        // the residual stream
  float* x_after = nullptr;  // as many rows, for where it moves to
  float* queries = nullptr;  // Q, K and V
  float* turned = nullptr;   // Q
  float* attended = nullptr;
  float* gated = nullptr;
  float* block = nullptr;  // a block's output; null where none has a norm
  float* parts = nullptr;  // of attention
  std::uint32_t* barrier = nullptr;
};

/// Shared memory that a block needs for the layer and so many rows.
[[nodiscard]] std::size_t one_kernel_shared(const LayerFacts& layer, const KvView& pool,
                                            std::uint32_t rows);

/// Blocks that a multiprocessor holds of the kernel for pages of this type; 0: none.
[[nodiscard]] std::uint32_t one_kernel_blocks(KvType type, std::size_t shared);

/// Enqueues the layers, up to the last one's output. Unlike other kernels it may be refused: then
/// nothing was enqueued.
[[nodiscard]] cudaError_t run_one_kernel(cudaStream_t stream, const OneKernelCall& call,
                                         std::uint32_t blocks, std::size_t shared);

}  // namespace espalier::runtime::cuda
