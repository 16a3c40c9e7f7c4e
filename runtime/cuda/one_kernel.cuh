// The layers in one kernel (one_kernel.h): what a block does. A source includes it for each type of
// pages.
#pragma once

#include "runtime/cuda/attention_block.cuh"
#include "runtime/cuda/heads.cuh"
#include "runtime/cuda/one_kernel_product.cuh"
#include "runtime/cuda/one_kernel_room.cuh"
#include "runtime/cuda/ptx.cuh"
#include "runtime/cuda/rows.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda::one_kernel {

template <KvType kType>
class Layers {
  using Tile = KvTile<kType>;

 public:
  __device__ __forceinline__ Layers(const OneKernelCall& call, unsigned char* shared)
      : call_(call),
        facts_(reinterpret_cast<LayerFacts*>(shared)),
        factors_(reinterpret_cast<float*>(shared + 2 * sizeof(LayerFacts))),
        room_(shared + kRoomAt),
        warp_(threadIdx.x / kWarp),
        lane_(threadIdx.x % kWarp),
        x_(call.x),
        x_after_(call.x_after),
        rows_(call.rows) {}

  __device__ __forceinline__ void run() {
    fetch_facts(0);
    copy_async_wait<0>();
    __syncthreads();
    ask_for_stage(facts_[0], 0);
    wait_for_inputs();
    for (std::uint32_t l = 0; l < call_.count; ++l) {
      const LayerFacts& layer = facts_[l % 2];
      const bool last = l + 1 == call_.count;
      if (!last) fetch_facts(l + 1);
#pragma unroll 1
      for (std::uint32_t stage = 0; stage < kLayerStages; ++stage) {
        const LayerProduct& product = layer.products[stage];
        make_inputs(layer, product, static_cast<LayerStage>(stage));
        // The next weights come while this product and the barrier take their time.
        if (stage + 1 < kLayerStages) {
          ask_for_stage(layer, stage + 1);
        } else if (!last) {
          copy_async_wait<0>();
          __syncthreads();
          ask_for_stage(facts_[(l + 1) % 2], 0);
        }
        multiply(layer, product, static_cast<LayerStage>(stage));
        if (stage == static_cast<std::uint32_t>(LayerStage::kHeads)) {
          grid_barrier(call_.barrier);
          attend(layer, l, last && call_.prunes);
          if (last && call_.prunes) {
            if (call_.kept == 0) return;
            rows_ = call_.kept;
            from_ = call_.kept_rows;
          }
        }
        if (last && stage + 1 == kLayerStages) return;
        grid_barrier(call_.barrier);
      }
    }
  }

 private:
  // Starts to copy a layer's facts.
  __device__ __forceinline__ void fetch_facts(std::uint32_t layer) {
    auto* to = reinterpret_cast<unsigned char*>(facts_ + layer % 2);
    const auto* from = reinterpret_cast<const unsigned char*>(call_.layers + layer);
    for (unsigned at = threadIdx.x * 16; at < sizeof(LayerFacts); at += kOneKernelThreads * 16) {
      copy_async_16(to + at, from + at);
    }
    copy_async_commit();
  }

  // Blocks share the asking for what a stage reads.
  __device__ __forceinline__ void ask_for_stage(const LayerFacts& layer,
                                                std::uint32_t stage) const {
    const LayerProduct& product = layer.products[stage];
    const unsigned thread = threadIdx.x * gridDim.x + blockIdx.x;
    const unsigned threads = kOneKernelThreads * gridDim.x;
    for (std::uint32_t i = 0; i < product.count; ++i) {
      const LayerMatrix& part = product.parts[i];
      ask_for(part.data, units_of(part) * part.unit_bytes, thread, threads);
    }
    if (const float* norm = norm_of(layer, static_cast<LayerStage>(stage)); norm != nullptr) {
      ask_for(norm, call_.width * sizeof(float), thread, threads);
    }
  }
  __device__ __forceinline__ static std::uint64_t units_of(const LayerMatrix& part) {
    return is_dense(part.format) ? part.rows : panels_of(part);
  }
  __device__ __forceinline__ static std::uint32_t panels_of(const LayerMatrix& part) {
    return (part.rows + kPanelRows - 1) / kPanelRows;
  }
  // Of the rows that a stage reads; null: none.
  __device__ __forceinline__ static const float* norm_of(const LayerFacts& layer,
                                                         LayerStage stage) {
    if (stage == LayerStage::kHeads) return layer.attention_norm;
    return stage == LayerStage::kHidden ? layer.feed_forward_norm : nullptr;
  }

  // Rows of the residual stream, or of what is added to it, to shared memory.
  __device__ __forceinline__ void load_rows(const float* from, const std::uint32_t* rows,
                                            float* to) const {
    for (std::uint32_t i = threadIdx.x * 4; i < rows_ * call_.width; i += kOneKernelThreads * 4) {
      const std::uint32_t m = i / call_.width;
      const std::size_t row = rows == nullptr ? m : rows[m];
      store_four<true>(to + i, load_four<true>(from + row * call_.width + i % call_.width));
    }
    __syncthreads();
  }
  // Factors of the norms of rows in shared memory, a half warp's each.
  __device__ __forceinline__ void find_factors(const float* rows) const {
    static_assert(kOneKernelThreads / kSumLanes == kOneKernelRows);
    const unsigned m = threadIdx.x / kSumLanes;
    const float factor =
        norm_factor(rows + (m < rows_ ? m : 0) * call_.width, call_.width, call_.epsilon);
    if (threadIdx.x % kSumLanes == 0) factors_[m] = factor;
    __syncthreads();
  }
  // The residual stream with the block's output, of which `rows` has the floats, normed: there, and
  // in memory, by one block a row.
  __device__ __forceinline__ void add_block(float* rows) {
    for (std::uint32_t i = threadIdx.x * 4; i < rows_ * call_.width; i += kOneKernelThreads * 4) {
      const std::uint32_t m = i / call_.width;
      const std::uint32_t k = i % call_.width;
      const std::size_t row = from_ == nullptr ? m : from_[m];
      const Normed<true> normed{rows + m * call_.width, post_, factors_[m]};
      const float4 sum = each(load_four<true>(x_ + row * call_.width + k), normed.four(k),
                              [](float residual, float add) { return residual + add; });
      store_four<true>(rows + i, sum);
      if (m % gridDim.x == blockIdx.x) store_four<true>(x_after_ + i, sum);
    }
    move();
    post_ = nullptr;
    __syncthreads();
  }
  // The residual stream is where it moved to.
  __device__ __forceinline__ void move() {
    float* const before = x_;
    x_ = x_after_;
    x_after_ = before;
    from_ = nullptr;
  }

  // The activations that a product reads.
  __device__ __forceinline__ void make_inputs(const LayerFacts& layer, const LayerProduct& product,
                                              LayerStage stage) {
    const Room room = room_of(product, rows_);
    inputs_ = {};
    work_ = reinterpret_cast<float*>(room_ + room.work);
    if (product.codes) {
      inputs_.coded.codes = reinterpret_cast<std::int8_t*>(room_);
      inputs_.coded.scales = reinterpret_cast<float*>(room_ + room.scales);
      inputs_.coded.scaled_sums = reinterpret_cast<float*>(room_ + room.sums);
      if (product.halves) {
        inputs_.coded.scaled_half_sums = reinterpret_cast<float*>(room_ + room.half_sums);
      }
      inputs_.coded.blocks = product.columns / kBlock;
    }
    if (product.floats) {
      inputs_.floats = reinterpret_cast<float*>(room_ + room.floats);
      inputs_.stride = product.columns;
    }
    const float* const norm = norm_of(layer, stage);
    if (norm != nullptr) {
      // A thread norms in place what it alone reads.
      float* const rows = product.floats ? inputs_.floats : work_;
      if (post_ != nullptr) {
        load_rows(call_.block, nullptr, rows);
        find_factors(rows);
        add_block(rows);
      } else {
        load_rows(x_, from_, rows);
      }
      find_factors(rows);
      put_rows(product.columns, [&](std::uint32_t m) {
        return Normed<true>{rows + m * call_.width, norm, factors_[m]};
      });
    } else {
      const float* const rows = stage == LayerStage::kOutput ? call_.attended : call_.gated;
      put_rows(product.columns, [&](std::uint32_t m) {
        return Plain<true>{rows + std::size_t{m} * product.columns};
      });
    }
    __syncthreads();
  }
  template <class Source>
  __device__ __forceinline__ void put_rows(std::uint32_t columns, Source source) const {
    // Whole warps share a row.
    const unsigned threads = kWarp * (rows_ == 1 ? kWarps : rows_ == 2 ? kWarps / 2 : 1);
    for (std::uint32_t m = threadIdx.x / threads; m < rows_; m += kOneKernelThreads / threads) {
      put_row(RowOut<true>{inputs_, m}, columns, threadIdx.x % threads, threads, source(m));
    }
  }

  // Units of 16 outputs, or of 16 of gate and of up, by teams of warps. Units go round the blocks
  // first, so that few of them are in many multiprocessors.
  __device__ __forceinline__ void multiply(const LayerFacts& layer, const LayerProduct& product,
                                           LayerStage stage) {
    const Team team = team_of(product);
    const unsigned teams = kWarps / team.warps;
    const unsigned number = warp_ / team.warps;
    float* const sums = work_ + number * team.folds * kFoldFloats;
    std::uint32_t units = panels_of(product.parts[0]);
    for (std::uint32_t i = 1; i < product.count && !product.pair; ++i) {
      units += panels_of(product.parts[i]);
    }
    for (std::uint32_t begin = 0; begin < units; begin += gridDim.x * teams) {
      std::uint32_t panel = begin + number * gridDim.x + blockIdx.x;
      const bool is = panel < units;
      std::uint32_t part = 0;
      while (is && !product.pair && panel >= panels_of(product.parts[part])) {
        panel -= panels_of(product.parts[part++]);
      }
      const LayerMatrix& first = product.parts[part];
      const std::uint32_t folds = folds_of(first.format, product.columns);
      const std::uint32_t folds_of_up =
          product.pair ? folds_of(product.parts[1].format, product.columns) : 0;
      if (is) {
        const std::uint32_t tasks = tasks_of(first.format, product.columns);
        const std::uint32_t all =
            tasks + (product.pair ? tasks_of(product.parts[1].format, product.columns) : 0);
#pragma unroll 1
        for (std::uint32_t task = warp_ % team.warps; task < all; task += team.warps) {
          const bool up = task >= tasks;
          run_task(up ? product.parts[1] : first, product.columns, panel, up ? task - tasks : task,
                   inputs_, rows_, sums + (up ? folds * kFoldFloats : 0));
        }
      }
      __syncthreads();
      if (is) {
        for (unsigned i = threadIdx.x % (team.warps * kWarp); i < rows_ * kPanelRows;
             i += team.warps * kWarp) {
          const unsigned m = i / kPanelRows;
          const std::uint32_t n = panel * kPanelRows + i % kPanelRows;
          if (n >= first.rows) continue;
          const float* const of = sums + m * kSplitStride + i % kPanelRows;
          put_output(layer, stage, m, first.first + n, fold(of, folds),
                     folds_of_up == 0 ? 0.0F : fold(of + folds * kFoldFloats, folds_of_up));
        }
      }
      __syncthreads();
    }
    if (stage == LayerStage::kOutput) end_block(layer.post_attention_norm);
    if (stage == LayerStage::kDown) end_block(layer.post_feed_forward_norm);
  }
  __device__ __forceinline__ static float fold(const float* sums, std::uint32_t folds) {
    float sum = sums[0];
    for (std::uint32_t s = 1; s < folds; ++s) sum = sum + sums[s * kFoldFloats];
    return sum;
  }
  // What the next stage must know of a block that has been added, or will be.
  __device__ __forceinline__ void end_block(const float* post) {
    post_ = post;
    if (post == nullptr && from_ != nullptr) move();
  }
  __device__ __forceinline__ void put_output(const LayerFacts& layer, LayerStage stage, unsigned m,
                                             std::uint32_t n, float sum, float up) const {
    if (stage == LayerStage::kHeads) {
      call_.queries[m * std::size_t{layer.heads_stride} + n] = sum;
    } else if (stage == LayerStage::kHidden) {
      call_.gated[m * std::size_t{call_.feed_forward} + n] =
          call_.gelu ? Gated<true, true>::value(sum, up) : Gated<true, false>::value(sum, up);
    } else {
      const float* const post =
          stage == LayerStage::kOutput ? layer.post_attention_norm : layer.post_feed_forward_norm;
      const std::size_t at = std::size_t{m} * call_.width + n;
      if (post != nullptr) {
        call_.block[at] = sum;
      } else if (from_ != nullptr) {
        x_after_[at] = x_[std::size_t{from_[m]} * call_.width + n] + sum;
      } else {
        x_[at] = x_[at] + sum;
      }
    }
  }

  // Q, K and V of a layer after their products.
  __device__ __forceinline__ Heads heads_of(const LayerFacts& layer, const LayerView& view) const {
    Heads heads;
    heads.queries = call_.queries;
    heads.keys = call_.queries + layer.key_first;
    heads.values = call_.queries + layer.value_first;
    heads.query_stride = heads.key_stride = layer.heads_stride;
    heads.query_bias = layer.query_bias;
    heads.key_bias = layer.key_bias;
    heads.value_bias = layer.value_bias;
    heads.query_norm = layer.query_norm;
    heads.key_norm = layer.key_norm;
    heads.epsilon = call_.epsilon;
    heads.heads = call_.heads;
    heads.pairs = view.pairs;
    heads.adjacent = call_.adjacent;
    heads.cosines = view.cosines;
    heads.sines = view.sines;
    heads.temperatures = call_.temperatures;
    return heads;
  }

  // Heads and attention, an item and a KV head a block at a time.
  __device__ __forceinline__ void attend(const LayerFacts& layer, std::uint32_t number, bool kept) {
    const LayerView& view = layer.local ? call_.local : call_.global;
    const Heads heads = heads_of(layer, view);
    const std::uint32_t kv_heads = call_.pool.kv_heads;
    AttentionCall attention;
    attention.plan = kept ? call_.kept_plan : view.plan;
    attention.pool = call_.pool;
    attention.layer = number;
    attention.heads = call_.heads;
    attention.scale = call_.query_scale;
    attention.queries = call_.turned;
    attention.query_stride = call_.query_width;
    attention.out = call_.attended;
    attention.out_stride = call_.query_width;
    attention.parts = call_.parts;
    const auto& header = *reinterpret_cast<const AttentionHeader*>(attention.plan);
    const auto* items = reinterpret_cast<const AttentionItem*>(attention.plan + header.items_at);
    // Whoever reads them, all of K and V go to their pages: first by the warps of the last blocks,
    // which have no item where there are few.
    const std::uint32_t all = call_.rows * 2 * kv_heads;
    for (std::uint32_t i = (gridDim.x - 1 - blockIdx.x) * kWarps + warp_; i < all;
         i += gridDim.x * kWarps) {
      write_head(heads, number, i / (2 * kv_heads), i % (2 * kv_heads));
    }
    const std::uint32_t small = header.item_count[0];
    const std::uint32_t count = (small + header.item_count[1]) * kv_heads;
    for (std::uint32_t i = blockIdx.x; i < count; i += gridDim.x) {
      const std::uint32_t of = i / kv_heads;
      const std::uint32_t kv_head = i % kv_heads;
      const bool is_small = of < small;
      const AttentionItem& item =
          items[is_small ? header.item_begin[0] + of : header.item_begin[1] + (of - small)];
      __syncthreads();  // the last item's shared memory, or that of heads
      turn_heads(heads, attention, header, item, number, kv_head);
      __syncthreads();
      const bool wide = call_.pool.width > 128;
      if (is_small && !wide) {
        attend_item<AttentionShape<kType, 4, false>>(attention, header, item, kv_head);
      } else if (is_small) {
        attend_item<AttentionShape<kType, 4, true>>(attention, header, item, kv_head);
      } else if (!wide) {
        attend_item<AttentionShape<kType, 8, false>>(attention, header, item, kv_head);
      } else {
        attend_item<AttentionShape<kType, 8, true>>(attention, header, item, kv_head);
      }
    }
  }
  template <class S>
  __device__ __forceinline__ void attend_item(const AttentionCall& attention,
                                              const AttentionHeader& header,
                                              const AttentionItem& item,
                                              std::uint32_t kv_head) const {
    attention::Attend<S>(attention, header, item, kv_head, call_.pool.kv_heads, opaque(threadIdx.x),
                         room_)
        .run();
  }

  // What an item reads of this step, by all warps: its queries, and K and V of its pages. Blocks
  // whose items share some of it write the same bits.
  __device__ __forceinline__ void turn_heads(const Heads& heads, const AttentionCall& attention,
                                             const AttentionHeader& header,
                                             const AttentionItem& item, std::uint32_t number,
                                             std::uint32_t kv_head) const {
    const unsigned width = call_.pool.width;
    const std::uint32_t group = call_.heads / call_.pool.kv_heads;
    const auto* rows =
        reinterpret_cast<const AttentionRow*>(attention.plan + header.rows_at) + item.row_begin;
    const auto* pages = reinterpret_cast<const std::uint32_t*>(attention.plan + header.pages_at);
    const std::uint32_t queries = item.rows * group;
    for (std::uint32_t i = warp_; i < queries + 2 * call_.rows; i += kWarps) {
      if (i < queries) {
        const std::uint32_t m = rows[i / group].query;
        const std::size_t first = std::size_t{kv_head * group + i % group} * width;
        turn_query(heads, heads.queries + m * heads.query_stride + first,
                   static_cast<unsigned>(first), width, call_.row_facts[m].position,
                   reinterpret_cast<float*>(turning()),
                   call_.turned + std::size_t{m} * call_.query_width + first);
        continue;
      }
      const std::uint32_t m = (i - queries) / 2;
      if (!reads(item, pages, call_.row_facts[m])) continue;
      write_head(heads, number, m, (i - queries) % 2 * call_.pool.kv_heads + kv_head);
    }
  }
  // Whether an item reads a page to which a row of the step writes.
  __device__ __forceinline__ bool reads(const AttentionItem& item, const std::uint32_t* pages,
                                        const DeviceRow& row) const {
    const std::uint32_t begin = max(item.first, item.segment * kSegmentPositions);
    const std::uint32_t end = min(item.end, (item.segment + item.segments) * kSegmentPositions);
    if (row.position < begin || row.position >= end) return false;
    const std::uint32_t page = pages[item.pages + row.position / kPagePositions];
    bool out = false;
    for (std::uint32_t w = 0; w < row.writes; ++w) {
      out = out || call_.slots[row.first_write + w].page == page;
    }
    return out;
  }
  // A head of K or V of a row, by a warp, to its pages. `tile`: K of all heads, then V.
  __device__ __forceinline__ void write_head(const Heads& heads, std::uint32_t layer,
                                             std::uint32_t m, std::uint32_t tile) const {
    const DeviceRow row = call_.row_facts[m];
    if (row.writes == 0) return;
    const unsigned width = call_.pool.width;
    const std::uint32_t kv_heads = call_.pool.kv_heads;
    const bool is_key = tile < kv_heads;
    auto* const x = reinterpret_cast<float*>(turning());
    auto* const halves = reinterpret_cast<std::uint16_t*>(x + width);
    encode_head<Tile>(heads, is_key, m, std::size_t{is_key ? tile : tile - kv_heads} * width, width,
                      row.position, x, halves);
    std::uint16_t* const to = tile_of<Tile>(call_.pool, layer, tile);
    const unsigned of_token = Tile::token_halves(width);
    for (std::uint32_t w = 0; w < row.writes; ++w) {
      const DeviceSlot slot = call_.slots[row.first_write + w];
      std::uint16_t* const page = to + slot.page * page_halves<Tile>(call_.pool);
      for (unsigned h = lane_; h < of_token; h += kWarp) {
        if (is_key) {
          page[Tile::key_at(h, slot.slot)] = Tile::key_half(h, halves[h]);
        } else {
          page[slot.slot * of_token + h] = halves[h];
        }
      }
    }
    __syncwarp();
  }
  // The warp's place for a head that it turns.
  __device__ __forceinline__ unsigned char* turning() const {
    const unsigned width = call_.pool.width;
    return room_ + warp_ * turning_bytes(width, Tile::token_halves(width));
  }

  const OneKernelCall& call_;
  LayerFacts* const facts_;
  float* const factors_;
  unsigned char* const room_;
  const unsigned warp_, lane_;
  // The residual stream, and where it goes when it moves. Rows of it: from_[m], or m.
  float* x_;
  float* x_after_;
  const std::uint32_t* from_ = nullptr;
  std::uint32_t rows_;
  const float* post_ = nullptr;  // the norm of the block that is not yet added
  Activations inputs_;           // of the product
  float* work_ = nullptr;
};

template <KvType kType>
__global__ void __launch_bounds__(kOneKernelThreads, kOneKernelBlocks)
    layers_together(const __grid_constant__ OneKernelCall call) {
  Layers<kType>(call, dynamic_shared()).run();
}

template <KvType kType>
std::uint32_t blocks_of(std::size_t shared) {
  return blocks_together(layers_together<kType>, kOneKernelThreads, shared);
}

template <KvType kType>
cudaError_t launch_layers(cudaStream_t stream, const OneKernelCall& call, std::uint32_t blocks,
                          std::size_t shared) {
  return launch_together(layers_together<kType>, dim3(blocks), dim3(kOneKernelThreads), shared,
                         stream, call);
}

}  // namespace espalier::runtime::cuda::one_kernel
