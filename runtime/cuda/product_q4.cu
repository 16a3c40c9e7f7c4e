#include "runtime/cuda/product.cuh"

namespace espalier::runtime::cuda {

template void quantised_product<WeightFormat::kQ4_0>(cudaStream_t, const DeviceMatrix&,
                                                     const CodedRows&, std::uint32_t, float*,
                                                     std::size_t, bool, const std::uint32_t*,
                                                     const ProductSizes&);
template void quantised_product<WeightFormat::kQ4_1>(cudaStream_t, const DeviceMatrix&,
                                                     const CodedRows&, std::uint32_t, float*,
                                                     std::size_t, bool, const std::uint32_t*,
                                                     const ProductSizes&);
template void quantised_product<WeightFormat::kIQ4_NL>(cudaStream_t, const DeviceMatrix&,
                                                       const CodedRows&, std::uint32_t, float*,
                                                       std::size_t, bool, const std::uint32_t*,
                                                       const ProductSizes&);
template void quantised_product<WeightFormat::kMXFP4>(cudaStream_t, const DeviceMatrix&,
                                                      const CodedRows&, std::uint32_t, float*,
                                                      std::size_t, bool, const std::uint32_t*,
                                                      const ProductSizes&);

}  // namespace espalier::runtime::cuda
