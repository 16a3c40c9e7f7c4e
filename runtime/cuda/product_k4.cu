#include "runtime/cuda/product.cuh"

namespace espalier::runtime::cuda {

template void quantised_product<WeightFormat::kQ4_K>(cudaStream_t, const DeviceMatrix&,
                                                     const CodedRows&, std::uint32_t, float*,
                                                     std::size_t, bool, const std::uint32_t*,
                                                     const ProductSizes&);
template void quantised_product<WeightFormat::kQ5_K>(cudaStream_t, const DeviceMatrix&,
                                                     const CodedRows&, std::uint32_t, float*,
                                                     std::size_t, bool, const std::uint32_t*,
                                                     const ProductSizes&);
template void quantised_product<WeightFormat::kIQ4_XS>(cudaStream_t, const DeviceMatrix&,
                                                       const CodedRows&, std::uint32_t, float*,
                                                       std::size_t, bool, const std::uint32_t*,
                                                       const ProductSizes&);

}  // namespace espalier::runtime::cuda
