// AVX2 with FMA and F16C: two ymm hold the 16 lanes.
//
// Panel products take a panel in halves of 8 outputs. Codes of up to 6 bits: u8 x s8 pairs summed
// in 16 bits, as many as fit there, then widened. Codes of 8 bits and values of tables would
// saturate: their magnitudes meet activations that take their signs.
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
struct HalfSums {
  int32_t first, second;
};
inline HalfSums round_to_codes(const float* x, float inverse, int8_t* codes) {
  const __m256 factor = _mm256_set1_ps(inverse);
  int32_t sums[2];
  for (size_t half = 0; half < 2; ++half) {
    __m256i sum = _mm256_setzero_si256();
    for (size_t i = 16 * half; i < 16 * half + 16; i += 8) {
      const __m256i rounded = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), factor));
      sum = _mm256_add_epi32(sum, rounded);
      int32_t wide[8];
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(wide), rounded);
      for (size_t k = 0; k < 8; ++k) codes[i + k] = static_cast<int8_t>(wide[k]);
    }
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1));
    sums[half] = _mm_cvtsi128_si32(four);
  }
  return {sums[0], sums[1]};
}

constexpr int kScoreRegisters = 4;
constexpr int kValueRows = 3;
constexpr int kValueChunks = 2;
#include "runtime/cpu/kernels_inl.h"

using Bytes = __m256i;
inline Bytes load_bytes(const unsigned char* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline Bytes splat_byte(int x) { return _mm256_set1_epi8(static_cast<char>(x)); }
template <int kBits>
inline Bytes shift_left(Bytes v) {
  return _mm256_slli_epi16(v, kBits);
}
template <int kBits>
inline Bytes shift_right(Bytes v) {
  return _mm256_srli_epi16(v, kBits);
}
inline Bytes keep(Bytes v, Bytes mask) { return _mm256_and_si256(v, mask); }
inline Bytes join(Bytes a, Bytes v, Bytes mask) {
  return _mm256_or_si256(a, _mm256_and_si256(v, mask));
}
#include "runtime/cpu/panel_inl.h"

// Four codes of a row of activations in each 32-bit lane.
inline __m256i four_codes(const int8_t* codes) {
  int32_t value;
  __builtin_memcpy(&value, codes, sizeof value);
  return _mm256_set1_epi32(value);
}

inline __m256 load_eight(const uint16_t* p, bool bf16) {
  const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return bf16 ? widen_bf16(p) : _mm256_cvtph_ps(words);
}
inline __m256 load_steps(const unsigned char* p) {  // 8 int8 values
  return _mm256_cvtepi32_ps(
      _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}

// One half panel (8 outputs from `half` * 8 on) against kRows rows.
template <PanelType kType, int kRows>
inline void half_tile(const unsigned char* unit, const QuantisedRows& x, size_t row, size_t half,
                      float* out, size_t stride, bool add_to) {
  constexpr PanelFormat kFormat = panel_format(kType);
  constexpr bool kSigned = kFormat.table != CodeTable::kNone || kFormat.low_bits == 8;
  constexpr int kGroups = kFormat.groups;
  constexpr int kEach = 8 / kGroups;
  // Products of largest codes that a 16-bit sum holds, two a step.
  constexpr int kMost =
      kSigned ? 1 : 32767 / (((1 << (kFormat.low_bits + kFormat.high_bits)) - 1) * 254);
  const size_t blocks = x.columns / kBlock;
  const int32_t* bias = kFormat.bias == 8 ? x.minus_8_sums
                        : kGroups == 1    ? x.minus_128_sums
                                          : x.minus_128_half_sums;
  const float* sums = kGroups == 1 ? x.scaled_sums : x.scaled_half_sums;
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i values = _mm256_setzero_si256();
  if constexpr (kFormat.table != CodeTable::kNone) {
    values = _mm256_broadcastsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(code_values(kFormat.table))));
  }
  __m256 acc[kRows];
  ESP_UNROLL for (int m = 0; m < kRows; ++m) acc[m] = _mm256_setzero_ps();
  for (size_t first_block = 0; first_block < blocks;
       first_block += kFormat.blocks, unit += panel_unit_bytes(kType)) {
    const unsigned char* at_scales = unit + panel_scales_at(kType);
    const auto* halves = reinterpret_cast<const uint16_t*>(at_scales) + 8 * half;
    __m256 unit_scale = load_eight(halves, kFormat.bf16_scales);
    if constexpr (kFormat.shift > 0) {
      unit_scale = _mm256_mul_ps(unit_scale, _mm256_set1_ps(1.0F / (1 << kFormat.shift)));
    }
    const __m256 unit_minimum =
        kFormat.minima ? load_eight(halves + kPanelRows, false) : _mm256_setzero_ps();
    const unsigned char* steps = at_scales + (kFormat.minima ? 4 : 2) * kPanelRows + 8 * half;
    const unsigned char* codes = unit + panel_codes_at(kType) + 32 * half;
    for (size_t b = first_block; b < first_block + kFormat.blocks;
         ++b, codes += panel_code_bytes(kType)) {
      const int8_t* a = x.codes + row * x.columns + b * kBlock;
      __m256i s[kGroups][kRows];
      __m256i pairs[kRows];  // sums in 16 bits
      const auto column = [&]<int kJ>() {
        constexpr int kGroup = kJ / kEach;
        constexpr int kStep = kJ % kEach;
        Bytes w = column_codes<kType, 0, kJ>(codes);
        if constexpr (kFormat.table != CodeTable::kNone) w = _mm256_shuffle_epi8(values, w);
        if constexpr (kFormat.low_bits == 8) w = _mm256_xor_si256(w, splat_byte(-128));
        const Bytes magnitude = kSigned ? _mm256_abs_epi8(w) : w;
        ESP_UNROLL for (int m = 0; m < kRows; ++m) {
          __m256i v = four_codes(a + static_cast<size_t>(m) * x.columns + 4 * kJ);
          if constexpr (kSigned) v = _mm256_sign_epi8(v, w);
          const __m256i products = _mm256_maddubs_epi16(magnitude, v);
          pairs[m] = kStep % kMost == 0 ? products : _mm256_add_epi16(pairs[m], products);
          if constexpr (kStep % kMost == kMost - 1 || kStep == kEach - 1) {
            const __m256i sum = _mm256_madd_epi16(pairs[m], ones);
            s[kGroup][m] = kStep < kMost ? sum : _mm256_add_epi32(s[kGroup][m], sum);
          }
        }
      };
      column.template operator()<0>();
      column.template operator()<1>();
      column.template operator()<2>();
      column.template operator()<3>();
      column.template operator()<4>();
      column.template operator()<5>();
      column.template operator()<6>();
      column.template operator()<7>();
      ESP_UNROLL for (int g = 0; g < kGroups; ++g) {
        __m256 d = unit_scale;
        __m256 minimum = unit_minimum;
        if constexpr (kFormat.blocks > 1) {
          const size_t set = (b - first_block) * kGroups + static_cast<size_t>(g);
          d = _mm256_mul_ps(d, load_steps(steps + kPanelRows * set));
          if constexpr (kFormat.minima) {
            minimum = _mm256_mul_ps(
                minimum, load_steps(steps + kPanelRows * (kFormat.blocks * kGroups + set)));
          }
        }
        ESP_UNROLL for (int m = 0; m < kRows; ++m) {
          const size_t at = (row + static_cast<size_t>(m)) * blocks + b;
          const size_t part = kGroups * at + static_cast<size_t>(g);
          __m256i sum = _mm256_slli_epi32(s[g][m], kFormat.shift);
          if constexpr (kFormat.bias != 0 && !kSigned) {
            sum = _mm256_add_epi32(sum, _mm256_set1_epi32(bias[part]));
          }
          const __m256 factor = _mm256_mul_ps(d, _mm256_set1_ps(x.scales[at]));
          acc[m] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), factor, acc[m]);
          if constexpr (kFormat.minima) {
            acc[m] = _mm256_fmadd_ps(minimum, _mm256_set1_ps(sums[part]), acc[m]);
          }
        }
      }
    }
  }
  ESP_UNROLL for (int m = 0; m < kRows; ++m) {
    float* to = out + static_cast<size_t>(m) * stride + 8 * half;
    _mm256_storeu_ps(to, add_to ? _mm256_add_ps(_mm256_loadu_ps(to), acc[m]) : acc[m]);
  }
}

template <PanelType kType>
void panel_rows(const unsigned char* panel, const QuantisedRows& x, size_t first_row, size_t rows,
                float* out, size_t stride, bool add_to) {
  size_t m = 0;
  const auto next = [&]<int kRows>() {
    while (rows - m >= kRows) {
      half_tile<kType, kRows>(panel, x, first_row + m, 0, out + m * stride, stride, add_to);
      half_tile<kType, kRows>(panel, x, first_row + m, 1, out + m * stride, stride, add_to);
      m += kRows;
    }
  };
  next.template operator()<4>();
  next.template operator()<2>();
  next.template operator()<1>();
}

void panel_product(PanelType type, const void* panel, const QuantisedRows& x, size_t first_row,
                   size_t rows, float* out, size_t stride, bool add_to) {
  const auto* bytes = static_cast<const unsigned char*>(panel);
  const auto of = [&]<PanelType kType>() {
    panel_rows<kType>(bytes, x, first_row, rows, out, stride, add_to);
  };
  switch (type) {
    case PanelType::kQ4_0:
      return of.template operator()<PanelType::kQ4_0>();
    case PanelType::kQ4_1:
      return of.template operator()<PanelType::kQ4_1>();
    case PanelType::kQ5_0:
      return of.template operator()<PanelType::kQ5_0>();
    case PanelType::kQ5_1:
      return of.template operator()<PanelType::kQ5_1>();
    case PanelType::kQ8_0:
      return of.template operator()<PanelType::kQ8_0>();
    case PanelType::kQ2_K:
      return of.template operator()<PanelType::kQ2_K>();
    case PanelType::kQ3_K:
      return of.template operator()<PanelType::kQ3_K>();
    case PanelType::kQ4_K:
      return of.template operator()<PanelType::kQ4_K>();
    case PanelType::kQ5_K:
      return of.template operator()<PanelType::kQ5_K>();
    case PanelType::kQ6_K:
      return of.template operator()<PanelType::kQ6_K>();
    case PanelType::kIQ4_NL:
      return of.template operator()<PanelType::kIQ4_NL>();
    case PanelType::kIQ4_XS:
      return of.template operator()<PanelType::kIQ4_XS>();
    case PanelType::kMXFP4:
      return of.template operator()<PanelType::kMXFP4>();
  }
}

uint64_t dot_peak(size_t rounds) {
  constexpr int kChains = 8;
  const __m256i codes = splat_byte(3);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i activations = splat_byte(-2);
  __m256i sums[kChains];
  ESP_UNROLL for (auto& sum : sums) sum = _mm256_setzero_si256();
  for (size_t i = 0; i < rounds; ++i) {
    asm volatile("" : "+x"(activations));  // a product is not taken out of the loop
    ESP_UNROLL for (auto& sum : sums) {
      const __m256i pairs = _mm256_maddubs_epi16(codes, activations);
      asm("vpaddd %1, %0, %0" : "+x"(sum) : "x"(_mm256_madd_epi16(pairs, ones)));
    }
  }
  ESP_UNROLL for (auto& sum : sums) asm volatile("" ::"x"(sum));
  return rounds * kChains * 32;
}

}  // namespace

const Kernels kAvx2Kernels = {"avx2",   quantise,   panel_product, dense_product, rms_norm,
                              swiglu,   geglu,      rotate,        rotate_halves, to_half,
                              scores,   softmax,    values,        merge,         scale,
                              soft_cap, maximum_of, sum_exp,       exponentials,  dot_peak};

}  // namespace espalier::runtime::cpu
#endif
