#include "runtime/cuda/product.cuh"

namespace espalier::runtime::cuda {

template void quantised_product<WeightFormat::kQ5_0>(cudaStream_t, const DeviceMatrix&,
                                                     const CodedRows&, std::uint32_t, float*,
                                                     std::size_t, bool, const std::uint32_t*,
                                                     const ProductSizes&);
template void quantised_product<WeightFormat::kQ5_1>(cudaStream_t, const DeviceMatrix&,
                                                     const CodedRows&, std::uint32_t, float*,
                                                     std::size_t, bool, const std::uint32_t*,
                                                     const ProductSizes&);
template void quantised_product<WeightFormat::kQ8_0>(cudaStream_t, const DeviceMatrix&,
                                                     const CodedRows&, std::uint32_t, float*,
                                                     std::size_t, bool, const std::uint32_t*,
                                                     const ProductSizes&);

}  // namespace espalier::runtime::cuda
