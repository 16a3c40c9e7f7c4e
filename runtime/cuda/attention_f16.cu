// Attention over pages of f16.
#include "runtime/cuda/attention_launch.cuh"

namespace espalier::runtime::cuda {

void attend_f16(cudaStream_t stream, const AttentionGrid& grid, const AttentionCall& call) {
  attention::attend_tiles<KvType::kF16>(stream, grid, call);
}

}  // namespace espalier::runtime::cuda
