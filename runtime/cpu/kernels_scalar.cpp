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
inline Lanes splat_half(uint16_t x) { return splat(half_to_float(x)); }
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
inline Lanes load_codes(const unsigned char* p) {
  return each([&](size_t i) { return static_cast<float>(static_cast<int8_t>(p[i])); });
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
// 2^n, where the low bits of `shifted` (1.5 * 2^23 + 127 + n) hold 127 + n.
inline Lanes power(const Lanes& shifted) {
  return each([&](size_t i) {
    uint32_t bits;
    std::memcpy(&bits, &shifted.v[i], sizeof bits);
    bits <<= 23;
    float out;
    std::memcpy(&out, &bits, sizeof out);
    return out;
  });
}
inline Lanes keep_from(const Lanes& x, float bound, const Lanes& v) {
  return each([&](size_t i) { return x.v[i] < bound ? 0.0F : v.v[i]; });
}
inline Lanes where(uint32_t bits, const Lanes& x, float otherwise) {
  return each([&](size_t i) { return (bits >> i & 1U) != 0 ? x.v[i] : otherwise; });
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
// Codes of 32 values, to nearest even; the sums of their halves.
struct HalfSums {
  int32_t first, second;
};
inline HalfSums round_to_codes(const float* x, float inverse, int8_t* codes) {
  int32_t sums[2] = {0, 0};
  for (size_t i = 0; i < kBlock; ++i) {
    const float rounded = (x[i] * inverse + 12582912.0F) - 12582912.0F;
    const auto code = static_cast<int32_t>(rounded);
    codes[i] = static_cast<int8_t>(code);
    sums[i / 16] += code;
  }
  return {sums[0], sums[1]};
}

constexpr int kScoreRegisters = 1;
constexpr int kValueRegisters = 1;
constexpr int kWideRows = 1;
constexpr int kWideTiles = 1;
#include "runtime/cpu/kernels_inl.h"

// A panel's block, taken apart: 16 outputs' weights as integers and scales.
struct PanelBlock {
  int32_t weights[kPanelRows][kBlock];
  float scales[kPanelRows][2];  // of the block's halves
  float minima[kPanelRows][2];
};

int32_t bits_of(const unsigned char* plane, size_t bits, size_t row, size_t column) {
  const size_t j = column / 4;
  const unsigned byte = plane[64 * (j % bits) + 4 * row + column % 4];
  return static_cast<int32_t>(byte >> (bits * (j / bits)) & ((1U << bits) - 1U));
}

float sixteen_bits(const PanelFormat& f, const unsigned char* from) {
  uint16_t word;
  std::memcpy(&word, from, sizeof word);
  return f.bf16_scales ? bfloat16_to_float(word) : half_to_float(word);
}

void take_apart(PanelType type, const unsigned char* panel, size_t block, PanelBlock& out) {
  const PanelFormat f = panel_format(type);
  const unsigned char* unit = panel + block / f.blocks * panel_unit_bytes(type);
  const unsigned char* low =
      unit + panel_codes_at(type) + block % f.blocks * panel_code_bytes(type);
  const unsigned char* scales = unit + panel_scales_at(type);
  const unsigned char* minima = scales + 2 * kPanelRows;
  for (size_t row = 0; row < kPanelRows; ++row) {
    for (size_t k = 0; k < kBlock; ++k) {
      int32_t code = bits_of(low, f.low_bits, row, k);
      if (f.high_bits > 0) {
        code |= bits_of(low + size_t{64} * f.low_bits, f.high_bits, row, k) << f.low_bits;
      }
      out.weights[row][k] =
          f.table != CodeTable::kNone ? code_values(f.table)[code] : (code << f.shift) - f.bias;
    }
    for (size_t half = 0; half < 2; ++half) {
      float& scale = out.scales[row][half];
      scale = sixteen_bits(f, scales + 2 * row) / static_cast<float>(1U << f.shift);
      float& minimum = out.minima[row][half];
      minimum = f.minima ? sixteen_bits(f, minima + 2 * row) : 0.0F;
      if (f.blocks == 1) continue;
      const auto* steps = reinterpret_cast<const int8_t*>(minima) + (f.minima ? 2 * kPanelRows : 0);
      const size_t sets = size_t{f.blocks} * f.groups;
      const size_t set = block % f.blocks * f.groups + half * f.groups / 2;
      scale *= static_cast<float>(steps[set * kPanelRows + row]);
      if (f.minima) minimum *= static_cast<float>(steps[(sets + set) * kPanelRows + row]);
    }
  }
}

void panel_product(PanelType type, const void* panel, const QuantisedRows& x, size_t first,
                   size_t rows, float* out, size_t stride, bool add_to) {
  constexpr size_t kTogether = 8;  // rows for which a block is taken apart once
  const PanelFormat f = panel_format(type);
  const size_t blocks = x.columns / kBlock;
  for (size_t start = 0; start < rows; start += kTogether) {
    const size_t count = rows - start < kTogether ? rows - start : kTogether;
    Lanes acc[kTogether];
    Lanes total[kTogether];
    for (size_t m = 0; m < count; ++m) acc[m] = total[m] = splat(0.0F);
    for (size_t b = 0; b < blocks; ++b) {
      if (b % kProductSegmentBlocks == 0) {
        for (size_t m = 0; m < count; ++m) {
          total[m] = b == kProductSegmentBlocks ? acc[m] : add(total[m], acc[m]);
          acc[m] = splat(0.0F);
        }
      }
      PanelBlock block;
      take_apart(type, static_cast<const unsigned char*>(panel), b, block);
      for (size_t m = 0; m < count; ++m) {
        const size_t row = first + start + m;
        const size_t at = code_place(row, b, blocks);
        const int8_t* a = x.codes + at * kBlock;
        for (size_t n = 0; n < kPanelRows; ++n) {
          for (size_t g = 0; g < f.groups; ++g) {
            int32_t sum = 0;
            for (size_t k = g * kBlock / f.groups; k < (g + 1) * kBlock / f.groups; ++k) {
              sum += block.weights[n][k] * a[k];
            }
            float& to = acc[m].v[n];
            const float factor = block.scales[n][g] * x.blocks[at].scale;
            to = std::fma(static_cast<float>(sum), factor, to);
            if (!f.minima) continue;
            const float scaled =
                f.groups == 1 ? x.blocks[at].scaled_sum : x.halves[at].scaled_sums[g];
            to = std::fma(block.minima[n][g], scaled, to);
          }
        }
      }
    }
    for (size_t m = 0; m < count; ++m) {
      float* to = out + (start + m) * stride;
      const Lanes product = blocks > kProductSegmentBlocks ? add(total[m], acc[m]) : acc[m];
      for (size_t n = 0; n < kPanelRows; ++n) to[n] = add_to ? to[n] + product.v[n] : product.v[n];
    }
  }
}

uint64_t dot_peak(size_t rounds) {
  constexpr int kChains = 16;
  int32_t sums[kChains] = {};
  int32_t code = 3;
  for (size_t i = 0; i < rounds; ++i) {
    asm volatile("" : "+r"(code));  // a product is not taken out of the loop
    for (int32_t& sum : sums) sum += code * -2;
  }
  for (const int32_t sum : sums) asm volatile("" ::"r"(sum));
  return rounds * kChains;
}

}  // namespace

const Kernels kScalarKernels = {
    "scalar", quantise,      panel_product, dense_product, rms_norm,   swiglu,       geglu,
    rotate,   rotate_halves, to_half,       scores,        weights_of, values,       merge,
    scale,    soft_cap,      maximum_of,    keep_allowed,  sum_exp,    exponentials, dot_peak};

}  // namespace espalier::runtime::cpu
