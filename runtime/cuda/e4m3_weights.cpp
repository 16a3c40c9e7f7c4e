#include "runtime/cuda/e4m3_weights.h"

#include <algorithm>
#include <bit>

#include "runtime/cuda/layout.h"
#include "runtime/model/e4m3.h"

namespace espalier::runtime::cuda {

void make_e4m3(const Tensor& tensor, std::uint32_t begin, std::uint32_t end,
               std::span<std::byte> codes, std::span<float> scales, std::span<float> scratch) {
  const std::size_t bytes = strip_columns(static_cast<std::uint32_t>(tensor.columns));
  const std::span<float> row = scratch.first(tensor.columns);
  for (std::uint32_t n = begin; n < end; ++n) {
    std::byte* const to = codes.data() + (n - begin) * bytes;
    std::fill_n(to, bytes, std::byte{0});
    scales[n - begin] = 0.0F;
    if (n >= tensor.rows) continue;
    dequantise_row(tensor, n, row);
    std::uint32_t top = 0;
    for (const float weight : row) {
      top = std::max(top, std::bit_cast<std::uint32_t>(weight) & 0x7FFFFFFFU);
    }
    const E4m3Scale by = e4m3_scale(top);
    scales[n - begin] = by.scale;
    for (std::size_t k = 0; k < row.size(); ++k) to[k] = std::byte{e4m3_code(row[k], by)};
  }
}

}  // namespace espalier::runtime::cuda
