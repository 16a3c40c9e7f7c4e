#include "runtime/cuda/one_kernel.cuh"

namespace espalier::runtime::cuda::one_kernel {

template std::uint32_t blocks_of<KvType::kQ8>(std::size_t);
template cudaError_t launch_layers<KvType::kQ8>(cudaStream_t, const OneKernelCall&, std::uint32_t,
                                                std::size_t);

}  // namespace espalier::runtime::cuda::one_kernel
