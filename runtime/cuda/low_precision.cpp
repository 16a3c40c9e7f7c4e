#include "runtime/cuda/low_precision.h"

#include <charconv>
#include <string>

namespace espalier::runtime::cuda {

Status check_fp8(std::span<const DeviceFacts> devices) {
  constexpr double kLeast = 8.9;
  for (const DeviceFacts& device : devices) {
    const std::string& text = device.architecture;
    double capability = 0;
    std::from_chars(text.data(), text.data() + text.size(), capability);
    if (capability >= kLeast) continue;
    return fail(ErrorCode::kUnsupported,
                "numerics fp8: cuda:" + std::to_string(device.number) + " (" + device.name +
                    ", compute capability " + text +
                    ") has no products of 8-bit floats, which there are from 8.9 on; it computes "
                    "exact and tensor");
  }
  return {};
}

}  // namespace espalier::runtime::cuda
