// What tests of kernels share: numbers to try, bits to compare, and a fixture for each instruction
// set that this machine runs.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "runtime/cpu/isa.h"
#include "runtime/cpu/kernels.h"

namespace espalier::runtime::cpu {
#if defined(__x86_64__)
extern const Kernels kAvxVnniByEvexKernels;
#endif

using Random = std::mt19937_64;

template <class T>
::testing::AssertionResult same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << "sizes differ";
  for (std::size_t i = 0; i < a.size(); ++i) {
    // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): bits are what is compared
    if (std::memcmp(&a[i], &b[i], sizeof(T)) != 0) {
      return ::testing::AssertionFailure() << "at " << i << ": " << +a[i] << " != " << +b[i];
    }
  }
  return ::testing::AssertionSuccess();
}

inline std::vector<float> normal(Random& random, std::size_t n, float spread = 1.0F) {
  std::normal_distribution<float> distribution(0.0F, spread);
  std::vector<float> out(n);
  for (float& x : out) x = distribution(random);
  return out;
}

inline std::size_t up_to(Random& random, std::size_t most) { return 1 + random() % most; }

class EachIsa : public ::testing::TestWithParam<const Kernels*> {
 protected:
  const Kernels& kernels = *GetParam();
  const Kernels& scalar = kScalarKernels;
  Random random{7};
};

// With AVX-VNNI by the other encoding of its one instruction where the machine has that alone.
inline std::vector<const Kernels*> tested_kernels() {
  std::vector<const Kernels*> out = supported_kernels();
#if defined(__x86_64__)
  const auto has = [&](const std::string& name) {
    return std::any_of(out.begin(), out.end(), [&](const Kernels* k) { return k->name == name; });
  };
  if (has("avx512vnni") && !has("avxvnni")) out.push_back(&kAvxVnniByEvexKernels);
#endif
  return out;
}

}  // namespace espalier::runtime::cpu
