// Attention over pages of bf16.
#include "runtime/cuda/attention_launch.cuh"

namespace espalier::runtime::cuda {

void attend_bf16(cudaStream_t stream, const AttentionGrid& grid, const AttentionCall& call) {
  attention::attend_tiles<KvType::kBF16>(stream, grid, call);
}

}  // namespace espalier::runtime::cuda
