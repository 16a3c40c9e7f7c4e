#include "runtime/cpu/hadamard.h"

#include "runtime/cpu/kernels.h"

namespace espalier::runtime::cpu {

void hadamard(float* x, std::size_t blocks) {
  for (std::size_t b = 0; b < blocks; ++b, x += kBlock) {
    for (std::size_t h = 1; h < kBlock; h *= 2) {
      for (std::size_t start = 0; start < kBlock; start += 2 * h) {
        for (std::size_t i = start; i < start + h; ++i) {
          const float a = x[i];
          const float c = x[i + h];
          x[i] = a + c;
          x[i + h] = a - c;
        }
      }
    }
  }
}

}  // namespace espalier::runtime::cpu
