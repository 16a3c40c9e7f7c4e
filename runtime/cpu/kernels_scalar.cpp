// The portable kernels: plain loops in the contract's order. The oracle of the vector ones.
#include <cmath>
#include <cstring>

#include "runtime/cpu/kernels.h"
#include "runtime/model/half.h"

namespace espalier::runtime::cpu {
namespace {

struct Lanes {
  float v[kLanes];
};

template <class F>
inline Lanes each(F f) {
  Lanes out;
  for (size_t i = 0; i < kLanes; ++i) out.v[i] = f(i);
  return out;
}
inline Lanes splat(float x) {
  return each([&](size_t) { return x; });
}
inline Lanes load(const float* p) {
  Lanes out;
  std::memcpy(out.v, p, sizeof out.v);
  return out;
}
inline Lanes load_first(const float* p, size_t n, float fill) {
  return each([&](size_t i) { return i < n ? p[i] : fill; });
}
inline void store(float* p, const Lanes& a) { std::memcpy(p, a.v, sizeof a.v); }
inline void store_first(float* p, size_t n, const Lanes& a) {
  for (size_t i = 0; i < n; ++i) p[i] = a.v[i];
}
inline Lanes load_half(const uint16_t* p) {
  return each([&](size_t i) { return half_to_float(p[i]); });
}
inline Lanes load_half_first(const uint16_t* p, size_t n) {
  return each([&](size_t i) { return i < n ? half_to_float(p[i]) : 0.0F; });
}
inline Lanes load_bf16(const uint16_t* p) {
  return each([&](size_t i) { return bfloat16_to_float(p[i]); });
}
inline Lanes load_bf16_first(const uint16_t* p, size_t n) {
  return each([&](size_t i) { return i < n ? bfloat16_to_float(p[i]) : 0.0F; });
}
inline void store_half(uint16_t* p, const Lanes& a) {
  for (size_t i = 0; i < kLanes; ++i) p[i] = float_to_half(a.v[i]);
}
inline Lanes add(const Lanes& a, const Lanes& b) {
  return each([&](size_t i) { return a.v[i] + b.v[i]; });
}
inline Lanes sub(const Lanes& a, const Lanes& b) {
  return each([&](size_t i) { return a.v[i] - b.v[i]; });
}
inline Lanes mul(const Lanes& a, const Lanes& b) {
  return each([&](size_t i) { return a.v[i] * b.v[i]; });
}
inline Lanes div(const Lanes& a, const Lanes& b) {
  return each([&](size_t i) { return a.v[i] / b.v[i]; });
}
inline Lanes fma(const Lanes& a, const Lanes& b, const Lanes& c) {
  return each([&](size_t i) { return std::fma(a.v[i], b.v[i], c.v[i]); });
}
inline Lanes maximum(const Lanes& a, const Lanes& b) {
  return each([&](size_t i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline Lanes minimum(const Lanes& a, const Lanes& b) {
  return each([&](size_t i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline float sum_tree(Lanes a) {
  for (size_t half = kLanes / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) a.v[i] = a.v[i] + a.v[i + half];
  }
  return a.v[0];
}
inline float max_tree(Lanes a) {
  for (size_t half = kLanes / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) a.v[i] = a.v[i] > a.v[i + half] ? a.v[i] : a.v[i + half];
  }
  return a.v[0];
}
// 2^n, where the low bits of `shifted` (1.5 * 2^23 + n) hold n.
inline Lanes power(const Lanes& shifted) {
  return each([&](size_t i) {
    uint32_t bits;
    std::memcpy(&bits, &shifted.v[i], sizeof bits);
    bits = (bits << 23) + 0x3F800000U;
    float out;
    std::memcpy(&out, &bits, sizeof out);
    return out;
  });
}
inline Lanes keep_from(const Lanes& x, float bound, const Lanes& v) {
  return each([&](size_t i) { return x.v[i] < bound ? 0.0F : v.v[i]; });
}
inline uint32_t largest_magnitude_bits(const float* x) {
  uint32_t top = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    uint32_t bits;
    std::memcpy(&bits, &x[i], sizeof bits);
    bits &= 0x7FFFFFFFU;
    if (bits > top) top = bits;
  }
  return top;
}
// Codes of 32 values, to nearest even; their sum.
inline int32_t round_to_codes(const float* x, float inverse, int8_t* codes) {
  int32_t sum = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    const float rounded = (x[i] * inverse + 12582912.0F) - 12582912.0F;
    const auto code = static_cast<int32_t>(rounded);
    codes[i] = static_cast<int8_t>(code);
    sum += code;
  }
  return sum;
}

constexpr int kScoreRegisters = 1;
constexpr int kValueRows = 1;
constexpr int kValueChunks = 1;
#include "runtime/cpu/kernels_inl.h"

template <PanelType kType>
void panel_rows(const unsigned char* panel, const QuantisedRows& x, size_t first, size_t rows,
                float* out, size_t stride, bool add_to) {
  const size_t blocks = x.columns / kBlock;
  constexpr size_t kCodes = kType == PanelType::kQ8_0 ? 512 : 256;
  for (size_t m = 0; m < rows; ++m) {
    const size_t row = first + m;
    Lanes acc = splat(0.0F);
    for (size_t b = 0; b < blocks; ++b) {
      const unsigned char* block = panel + b * panel_block_bytes(kType);
      const int8_t* a = x.codes + row * x.columns + b * kBlock;
      const size_t at = row * blocks + b;
      int32_t sums[kPanelRows];
      for (auto& sum : sums) {
        sum = kType == PanelType::kQ8_0   ? x.minus_128_sums[at]
              : kType == PanelType::kQ4_0 ? x.minus_8_sums[at]
                                          : 0;
      }
      for (size_t j = 0; j < 8; ++j) {
        for (size_t n = 0; n < kPanelRows; ++n) {
          for (size_t i = 0; i < 4; ++i) {
            int32_t code;
            if constexpr (kType == PanelType::kQ8_0) {
              code = block[64 * j + 4 * n + i];
            } else {
              const int32_t pair = block[64 * (j % 4) + 4 * n + i];
              code = j < 4 ? pair & 15 : pair >> 4;
            }
            sums[n] += code * a[4 * j + i];
          }
        }
      }
      uint16_t halves[2 * kPanelRows];
      std::memcpy(halves, block + kCodes, kType == PanelType::kQ4_1 ? 64 : 32);
      for (size_t n = 0; n < kPanelRows; ++n) {
        const float factor = half_to_float(halves[n]) * x.scales[at];
        acc.v[n] = std::fma(static_cast<float>(sums[n]), factor, acc.v[n]);
        if constexpr (kType == PanelType::kQ4_1) {
          acc.v[n] = std::fma(half_to_float(halves[kPanelRows + n]), x.scaled_sums[at], acc.v[n]);
        }
      }
    }
    float* to = out + m * stride;
    for (size_t n = 0; n < kPanelRows; ++n) to[n] = add_to ? to[n] + acc.v[n] : acc.v[n];
  }
}

void panel_product(PanelType type, const void* panel, const QuantisedRows& x, size_t first,
                   size_t rows, float* out, size_t stride, bool add_to) {
  const auto* bytes = static_cast<const unsigned char*>(panel);
  switch (type) {
    case PanelType::kQ4_0:
      return panel_rows<PanelType::kQ4_0>(bytes, x, first, rows, out, stride, add_to);
    case PanelType::kQ4_1:
      return panel_rows<PanelType::kQ4_1>(bytes, x, first, rows, out, stride, add_to);
    case PanelType::kQ8_0:
      return panel_rows<PanelType::kQ8_0>(bytes, x, first, rows, out, stride, add_to);
  }
}

}  // namespace

const Kernels kScalarKernels = {"scalar", quantise,   panel_product, dense_product, rms_norm,
                                swiglu,   geglu,      rotate,        rotate_halves, to_half,
                                scores,   softmax,    values,        merge,         scale,
                                soft_cap, maximum_of, sum_exp,       exponentials};

}  // namespace espalier::runtime::cpu
