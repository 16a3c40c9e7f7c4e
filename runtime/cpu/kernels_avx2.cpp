// AVX2 with FMA and F16C: two ymm hold the 16 lanes.
//
// Panel products take a panel in halves of 8 outputs. 4-bit codes: u8 x s8 pairs summed in 16 bits
// (8 x 2 x 15 x 127 < 2^15, so a whole block fits), widened once a block. 8-bit codes would
// saturate there and are multiplied as 16-bit values.
#if defined(__x86_64__)
#include <immintrin.h>

#include "runtime/cpu/kernels.h"

namespace espalier::runtime::cpu {
namespace {

struct Lanes {
  __m256 a, b;
};

inline Lanes splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline Lanes load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline Lanes load_first(const float* p, size_t n, float fill) {
  float lanes[kLanes];
  for (size_t i = 0; i < kLanes; ++i) lanes[i] = i < n ? p[i] : fill;
  return load(lanes);
}
inline void store(float* p, Lanes x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
inline void store_first(float* p, size_t n, Lanes x) {
  if (n == kLanes) return store(p, x);
  float lanes[kLanes];
  store(lanes, x);
  for (size_t i = 0; i < n; ++i) p[i] = lanes[i];
}
inline Lanes load_half(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
inline __m256 widen_bf16(const uint16_t* p) {
  const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}
inline Lanes load_bf16(const uint16_t* p) { return {widen_bf16(p), widen_bf16(p + 8)}; }
inline Lanes load_half_first(const uint16_t* p, size_t n) {
  uint16_t lanes[kLanes];
  for (size_t i = 0; i < kLanes; ++i) lanes[i] = i < n ? p[i] : 0;
  return load_half(lanes);
}
inline Lanes load_bf16_first(const uint16_t* p, size_t n) {
  uint16_t lanes[kLanes];
  for (size_t i = 0; i < kLanes; ++i) lanes[i] = i < n ? p[i] : 0;
  return load_bf16(lanes);
}
inline void store_half(uint16_t* p, Lanes x) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x.a, kNearest));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(x.b, kNearest));
}
inline Lanes add(Lanes x, Lanes y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline Lanes sub(Lanes x, Lanes y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
inline Lanes mul(Lanes x, Lanes y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline Lanes div(Lanes x, Lanes y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
inline Lanes fma(Lanes x, Lanes y, Lanes z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
inline Lanes maximum(Lanes x, Lanes y) {
  return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
inline Lanes minimum(Lanes x, Lanes y) {
  return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
}
inline float sum_tree(Lanes x) {
  const __m256 eight = _mm256_add_ps(x.a, x.b);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float max_tree(Lanes x) {
  const __m256 eight = _mm256_max_ps(x.a, x.b);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
inline __m256 power_half(__m256 shifted) {
  const __m256i bits = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_set1_epi32(0x3F800000)));
}
inline Lanes power(Lanes shifted) { return {power_half(shifted.a), power_half(shifted.b)}; }
inline Lanes keep_from(Lanes x, float bound, Lanes v) {
  const __m256 from = _mm256_set1_ps(bound);
  return {_mm256_and_ps(_mm256_cmp_ps(x.a, from, _CMP_NLT_UQ), v.a),
          _mm256_and_ps(_mm256_cmp_ps(x.b, from, _CMP_NLT_UQ), v.b)};
}
inline uint32_t largest_magnitude_bits(const float* x) {
  const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
  __m256i top = _mm256_setzero_si256();
  for (size_t i = 0; i < kBlock; i += 8) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
    top = _mm256_max_epu32(top, _mm256_and_si256(bits, magnitude));
  }
  __m128i four = _mm_max_epu32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
  four = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0x4E));
  four = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0xB1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(four));
}
inline int32_t round_to_codes(const float* x, float inverse, int8_t* codes) {
  const __m256 factor = _mm256_set1_ps(inverse);
  __m256i sum = _mm256_setzero_si256();
  for (size_t i = 0; i < kBlock; i += 8) {
    const __m256i rounded = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), factor));
    sum = _mm256_add_epi32(sum, rounded);
    int32_t wide[8];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(wide), rounded);
    for (size_t k = 0; k < 8; ++k) codes[i + k] = static_cast<int8_t>(wide[k]);
  }
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1));
  return _mm_cvtsi128_si32(four);
}

constexpr int kScoreRegisters = 4;
constexpr int kValueRows = 3;
constexpr int kValueChunks = 2;
#include "runtime/cpu/kernels_inl.h"

// Four codes of a row of activations in each 32-bit lane.
inline __m256i four_codes(const int8_t* codes) {
  int32_t value;
  __builtin_memcpy(&value, codes, sizeof value);
  return _mm256_set1_epi32(value);
}

// One half panel (8 outputs from `half` * 8 on) against kRows rows.
template <PanelType kType, int kRows>
inline void half_tile(const unsigned char* panel, const QuantisedRows& x, size_t row, size_t half,
                      float* out, size_t stride, bool add_to) {
  constexpr size_t kCodes = kType == PanelType::kQ8_0 ? 512 : 256;
  const size_t blocks = x.columns / kBlock;
  const __m256i low = _mm256_set1_epi8(15);
  const __m256i even_bytes = _mm256_set1_epi16(255);
  __m256 acc[kRows];
  ESP_UNROLL for (int m = 0; m < kRows; ++m) acc[m] = _mm256_setzero_ps();
  for (size_t b = 0; b < blocks; ++b, panel += panel_block_bytes(kType)) {
    const unsigned char* codes = panel + 32 * half;
    const int8_t* a = x.codes + row * x.columns + b * kBlock;
    __m256i s[kRows];
    ESP_UNROLL for (int m = 0; m < kRows; ++m) s[m] = _mm256_setzero_si256();
    if constexpr (kType == PanelType::kQ8_0) {
      for (int j = 0; j < 8; ++j) {
        const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + 64 * j));
        const __m256i even = _mm256_and_si256(w, even_bytes);
        const __m256i odd = _mm256_srli_epi16(w, 8);
        ESP_UNROLL for (int m = 0; m < kRows; ++m) {
          const __m256i v = four_codes(a + static_cast<size_t>(m) * x.columns + 4 * j);
          const __m256i v_even = _mm256_srai_epi16(_mm256_slli_epi16(v, 8), 8);
          s[m] = _mm256_add_epi32(s[m], _mm256_madd_epi16(even, v_even));
          s[m] = _mm256_add_epi32(s[m], _mm256_madd_epi16(odd, _mm256_srai_epi16(v, 8)));
        }
      }
    } else {
      for (int j = 0; j < 4; ++j) {
        const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + 64 * j));
        const __m256i w0 = _mm256_and_si256(pairs, low);
        const __m256i w1 = _mm256_and_si256(_mm256_srli_epi16(pairs, 4), low);
        ESP_UNROLL for (int m = 0; m < kRows; ++m) {
          const int8_t* v = a + static_cast<size_t>(m) * x.columns + 4 * j;
          s[m] = _mm256_add_epi16(s[m], _mm256_maddubs_epi16(w0, four_codes(v)));
          s[m] = _mm256_add_epi16(s[m], _mm256_maddubs_epi16(w1, four_codes(v + 16)));
        }
      }
      ESP_UNROLL for (int m = 0; m < kRows; ++m) {
        s[m] = _mm256_madd_epi16(s[m], _mm256_set1_epi16(1));
      }
    }
    const auto* halves = reinterpret_cast<const __m128i*>(panel + kCodes + 16 * half);
    const __m256 d = _mm256_cvtph_ps(_mm_loadu_si128(halves));
    ESP_UNROLL for (int m = 0; m < kRows; ++m) {
      const size_t at = (row + static_cast<size_t>(m)) * blocks + b;
      if constexpr (kType != PanelType::kQ4_1) {
        const int32_t* bias = kType == PanelType::kQ8_0 ? x.minus_128_sums : x.minus_8_sums;
        s[m] = _mm256_add_epi32(s[m], _mm256_set1_epi32(bias[at]));
      }
      const __m256 factor = _mm256_mul_ps(d, _mm256_set1_ps(x.scales[at]));
      acc[m] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(s[m]), factor, acc[m]);
      if constexpr (kType == PanelType::kQ4_1) {
        const __m256 minimum_of_row = _mm256_cvtph_ps(_mm_loadu_si128(halves + 2));
        acc[m] = _mm256_fmadd_ps(minimum_of_row, _mm256_set1_ps(x.scaled_sums[at]), acc[m]);
      }
    }
  }
  ESP_UNROLL for (int m = 0; m < kRows; ++m) {
    float* to = out + static_cast<size_t>(m) * stride + 8 * half;
    _mm256_storeu_ps(to, add_to ? _mm256_add_ps(_mm256_loadu_ps(to), acc[m]) : acc[m]);
  }
}

template <PanelType kType>
void panel_rows(const unsigned char* panel, const QuantisedRows& x, size_t first, size_t rows,
                float* out, size_t stride, bool add_to) {
  size_t m = 0;
  const auto next = [&]<int kRows>() {
    while (rows - m >= kRows) {
      half_tile<kType, kRows>(panel, x, first + m, 0, out + m * stride, stride, add_to);
      half_tile<kType, kRows>(panel, x, first + m, 1, out + m * stride, stride, add_to);
      m += kRows;
    }
  };
  next.template operator()<4>();
  next.template operator()<2>();
  next.template operator()<1>();
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

const Kernels kAvx2Kernels = {"avx2",   quantise,   panel_product, dense_product, rms_norm,
                              swiglu,   geglu,      rotate,        rotate_halves, to_half,
                              scores,   softmax,    values,        merge,         scale,
                              soft_cap, maximum_of, sum_exp,       exponentials};

}  // namespace espalier::runtime::cpu
#endif
