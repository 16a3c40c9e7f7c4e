#include "runtime/cuda/layers_together.h"

#include <algorithm>
#include <vector>

namespace espalier::runtime::cuda {
namespace {

// Weights of a layer up to which it is its kernels' launches, and not they, that take the time:
// reckoned by 4 TB a second and some ten kernels of 1.3 us.
constexpr std::uint64_t kSmallLayer = std::uint64_t{16} << 20;

LayerMatrix matrix_of(const MatrixGroup::Part& part) {
  const DeviceMatrix& it = part.matrix;
  LayerMatrix out;
  out.data = it.data;
  out.unit_bytes = is_dense(it.format) ? dense_row_bytes(it.format, it.columns)
                                       : panel_bytes(it.format, it.columns);
  out.rows = it.rows;
  out.first = part.first;
  out.format = it.format;
  return out;
}

LayerProduct product_of(const MatrixGroup& group) {
  LayerProduct out;
  for (const MatrixGroup::Part& part : group.parts) out.parts[out.count++] = matrix_of(part);
  out.columns = group.parts[0].matrix.columns;
  out.codes = group.codes;
  out.halves = group.halves;
  out.floats = group.floats;
  return out;
}

// Gate and up: where they lie as one matrix, its halves.
LayerProduct pair_of(const MatrixGroup& group, std::uint32_t up_first) {
  LayerProduct out = product_of(group);
  out.pair = true;
  if (out.count == 2) return out;
  LayerMatrix& gate = out.parts[0];
  LayerMatrix& up = out.parts[1];
  up = gate;
  gate.rows = up_first;
  up.rows -= up_first;
  up.first = up_first;
  up.data += (is_dense(gate.format) ? up_first : up_first / kPanelRows) * gate.unit_bytes;
  out.count = 2;
  return out;
}

LayerFacts facts_of(const DeviceLayer& it) {
  LayerFacts out;
  out.products[static_cast<int>(LayerStage::kHeads)] = product_of(it.heads);
  out.products[static_cast<int>(LayerStage::kOutput)] = product_of(it.output);
  out.products[static_cast<int>(LayerStage::kHidden)] = pair_of(it.hidden, it.up_first);
  out.products[static_cast<int>(LayerStage::kDown)] = product_of(it.down);
  static_cast<LayerVectors&>(out) = static_cast<const LayerVectors&>(it);
  out.heads_stride = it.heads.outputs;
  out.key_first = it.key_first;
  out.value_first = it.value_first;
  return out;
}

// Whether the current device runs kernels whose blocks wait for each other.
bool runs_together() {
  int device = 0;
  int can = 0;
  const bool said =
      cudaGetDevice(&device) == cudaSuccess &&
      cudaDeviceGetAttribute(&can, cudaDevAttrCooperativeLaunch, device) == cudaSuccess;
  if (!said) (void)cudaGetLastError();
  return said && can != 0;
}

// Rows are read four floats at a time, and an item's queries are few.
bool takes(const ModelShape& shape) {
  const std::uint32_t query_width = shape.heads * shape.head_width;
  return shape.layers > 0 && shape.width % 4 == 0 && shape.feed_forward % 4 == 0 &&
         query_width % 4 == 0 && shape.heads / shape.kv_heads <= kOneKernelQueries;
}

std::uint64_t bytes_of(const LayerFacts& layer) {
  std::uint64_t out = 0;
  for (const LayerProduct& product : layer.products) {
    for (std::uint32_t i = 0; i < product.count; ++i) {
      const LayerMatrix& part = product.parts[i];
      const std::uint32_t units =
          is_dense(part.format) ? part.rows : (part.rows + kPanelRows - 1) / kPanelRows;
      out += units * part.unit_bytes;
    }
  }
  return out;
}

}  // namespace

Result<LayersTogether> LayersTogether::create(const DeviceWeights& weights, const ModelShape& shape,
                                              KvType kv_type, std::uint32_t multiprocessors,
                                              const Stream& stream) {
  LayersTogether out;
  if (!takes(shape) || !runs_together()) return out;
  KvView pages;
  pages.kv_heads = shape.kv_heads;
  pages.width = shape.head_width;
  pages.type = kv_type;
  std::vector<LayerFacts> facts;
  std::uint64_t most_bytes = 0;
  std::uint32_t most_panels = 0;
  for (const DeviceLayer& it : weights.layers) {
    facts.push_back(facts_of(it));
    facts.back().local = shape.is_local(static_cast<std::uint32_t>(facts.size()) - 1);
    most_bytes = std::max(most_bytes, bytes_of(facts.back()));
    most_panels = std::max(most_panels, shape.feed_forward / kPanelRows);
    out.moves_ += it.post_attention_norm != nullptr ? 1U : 0U;
    out.moves_ += it.post_feed_forward_norm != nullptr ? 1U : 0U;
  }
  out.last_has_post_ = facts.back().post_attention_norm != nullptr;
  // The last block is added behind the kernel.
  out.moves_ -= facts.back().post_feed_forward_norm != nullptr ? 1U : 0U;
  // Where rows are floats, fewer of them may have room.
  const auto shared_with = [&](std::uint32_t rows) {
    std::size_t most = 0;
    for (const LayerFacts& layer : facts) {
      most = std::max(most, one_kernel_shared(layer, pages, rows));
    }
    return most;
  };
  out.most_rows_ = kOneKernelRows;
  while (out.most_rows_ > 0 && shared_with(out.most_rows_) > kOneKernelShared) out.most_rows_ /= 2;
  if (out.most_rows_ == 0) return LayersTogether();
  out.shared_ = shared_with(out.most_rows_);
  out.layers_ = static_cast<std::uint32_t>(facts.size());
  out.multiprocessors_ = multiprocessors;
  out.blocks_ = std::min(one_kernel_blocks(kv_type, out.shared_), kOneKernelBlocks);
  if (out.blocks_ == 0) return LayersTogether();
  // More blocks where there is work for them.
  if (most_bytes <= kSmallLayer) out.by_rule_ = most_panels > multiprocessors ? 2 : 1;
  const std::uint64_t turned = std::uint64_t{kOneKernelRows} * shape.heads * shape.head_width;
  ESP_ASSIGN(out.facts_, DeviceMemory::allocate(facts.size() * sizeof(LayerFacts), "layers"));
  ESP_ASSIGN(out.turned_, DeviceMemory::allocate(turned * sizeof(float), "queries"));
  ESP_ASSIGN(out.barrier_, DeviceMemory::allocate(sizeof(std::uint32_t), "a barrier"));
  const std::uint32_t zero = 0;
  ESP_TRY(stream.copy_in(out.facts_.data(), facts.data(), facts.size() * sizeof(LayerFacts)));
  ESP_TRY(stream.copy_in(out.barrier_.data(), &zero, sizeof zero));
  ESP_TRY(stream.wait("copying layers"));
  return out;
}

std::uint32_t LayersTogether::blocks(std::uint32_t rows, std::uint32_t wanted) const {
  if (rows > most_rows_) return 0;
  const std::uint32_t each = wanted == kOneKernelByRule ? by_rule_ : wanted;
  return multiprocessors_ * std::min(each, blocks_);
}

cudaError_t LayersTogether::run(const Stream& stream, std::uint32_t blocks,
                                OneKernelCall call) const {
  call.layers = facts_.as<LayerFacts>();
  call.count = layers_;
  call.turned = turned_.as<float>();
  call.barrier = barrier_.as<std::uint32_t>();
  return run_one_kernel(stream.get(), call, blocks, shared_);
}

float* LayersTogether::residual(const OneKernelCall& call) const {
  // Where rows end, those that go on move, too, if the block before has not moved them.
  const bool moves_kept = call.prunes && call.kept > 0 && !last_has_post_;
  return (moves_ + (moves_kept ? 1U : 0U)) % 2 == 0 ? call.x : call.x_after;
}

}  // namespace espalier::runtime::cuda
