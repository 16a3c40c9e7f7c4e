// Products of E4M3 weights with many rows (numerics `fp8`).
#include "runtime/cuda/forward.h"

namespace espalier::runtime::cuda {

// By cuBLASLt, and then the scales; false where it takes no such product. What is added comes by
// way of the room for a block's output.
Result<bool> Forward::multiply_codes(const DeviceMatrix& matrix, const E4m3Rows& x,
                                     std::uint32_t rows, float* out, std::size_t stride, bool add) {
  float* const sums = add ? block_.as<float>() : out;
  const std::size_t sums_stride = add ? matrix.rows : stride;
  ESP_ASSIGN(const bool enqueued,
             tensor_->code_product(stream_, matrix, x, rows, sums, sums_stride));
  if (enqueued) {
    scale_sums(stream_.get(), matrix, x, rows, sums, sums_stride, out, stride, add);
  }
  return enqueued;
}

}  // namespace espalier::runtime::cuda
