#include "runtime/cuda/one_kernel.cuh"

namespace espalier::runtime::cuda::one_kernel {

template std::uint32_t blocks_of<KvType::kBF16>(std::size_t);
template cudaError_t launch_layers<KvType::kBF16>(cudaStream_t, const OneKernelCall&, std::uint32_t,
                                                  std::size_t);

}  // namespace espalier::runtime::cuda::one_kernel
