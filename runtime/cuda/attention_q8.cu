// Attention over pages of q8.
#include "runtime/cuda/attention_launch.cuh"

namespace espalier::runtime::cuda {

void attend_q8(cudaStream_t stream, const AttentionGrid& grid, const AttentionCall& call) {
  attention::attend_tiles<KvType::kQ8>(stream, grid, call);
}

}  // namespace espalier::runtime::cuda
