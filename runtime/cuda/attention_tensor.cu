// Attention of prompts on tensor cores: the launches, by the pages' type and the heads' width.
#include "runtime/cuda/attention_tensor.cuh"

namespace espalier::runtime::cuda {
namespace {

using attention::TensorAttend;

template <KvType kType, unsigned kWidth>
__global__ void __launch_bounds__(TensorAttend<kType, kWidth>::kThreads, 2)
    attend_on_tensor_cores(const AttentionCall call) {
  let_next_start();
  wait_for_inputs();
  const auto& header = *reinterpret_cast<const AttentionHeader*>(call.plan);
  if (blockIdx.x >= header.item_count[kTensorItems]) return;
  const auto* items = reinterpret_cast<const AttentionItem*>(call.plan + header.items_at);
  TensorAttend<kType, kWidth>(call, header, items[header.item_begin[kTensorItems] + blockIdx.x])
      .run();
}

}  // namespace

void attend_tensor(cudaStream_t stream, const AttentionGrid& grid, const AttentionCall& call) {
  if (grid.items[kTensorItems] == 0 || !tensor_cores_attend(call.pool.type, call.pool.width))
    return;
  const std::uint32_t parts = group_parts(call.heads / call.pool.kv_heads);
  const auto run = [&]<KvType kType, unsigned kWidth>() {
    using Block = TensorAttend<kType, kWidth>;
    launch(attend_on_tensor_cores<kType, kWidth>,
           dim3(grid.items[kTensorItems], call.pool.kv_heads * parts), dim3(Block::kThreads),
           Block::kSharedBytes, stream, call);
  };
  const bool halves = call.pool.type == KvType::kF16;
  if (call.pool.width == 64) {
    halves ? run.template operator()<KvType::kF16, 64>()
           : run.template operator()<KvType::kBF16, 64>();
  } else {
    halves ? run.template operator()<KvType::kF16, 128>()
           : run.template operator()<KvType::kBF16, 128>();
  }
}

}  // namespace espalier::runtime::cuda
