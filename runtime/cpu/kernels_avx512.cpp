// AVX-512 with VNNI (F, BW, DQ, VL, VNNI, F16C): one zmm holds the 16 lanes.
//
// Panel products: the eight unpacked code vectors of a block and up to 16 fp32 accumulators stay in
// registers; the activations' four codes are broadcast from memory inside vpdpbusd.
#if defined(__x86_64__)
#include <immintrin.h>

#include "runtime/cpu/kernels.h"

namespace espalier::runtime::cpu {
namespace {

using Lanes = __m512;

inline Lanes splat(float x) { return _mm512_set1_ps(x); }
inline __mmask16 first(size_t n) { return static_cast<__mmask16>((1U << n) - 1U); }
inline Lanes load(const float* p) { return _mm512_loadu_ps(p); }
inline Lanes load_first(const float* p, size_t n, float fill) {
  return _mm512_mask_loadu_ps(splat(fill), first(n), p);
}
inline void store(float* p, Lanes a) { _mm512_storeu_ps(p, a); }
inline void store_first(float* p, size_t n, Lanes a) { _mm512_mask_storeu_ps(p, first(n), a); }
inline Lanes load_half(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Lanes load_half_first(const uint16_t* p, size_t n) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), p));
}
inline Lanes widen_bf16(__m256i x) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
inline Lanes load_bf16(const uint16_t* p) {
  return widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Lanes load_bf16_first(const uint16_t* p, size_t n) {
  return widen_bf16(_mm256_maskz_loadu_epi16(first(n), p));
}
inline void store_half(uint16_t* p, Lanes a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
inline Lanes add(Lanes a, Lanes b) { return _mm512_add_ps(a, b); }
inline Lanes sub(Lanes a, Lanes b) { return _mm512_sub_ps(a, b); }
inline Lanes mul(Lanes a, Lanes b) { return _mm512_mul_ps(a, b); }
inline Lanes div(Lanes a, Lanes b) { return _mm512_div_ps(a, b); }
inline Lanes fma(Lanes a, Lanes b, Lanes c) { return _mm512_fmadd_ps(a, b, c); }
inline Lanes maximum(Lanes a, Lanes b) { return _mm512_max_ps(a, b); }
inline Lanes minimum(Lanes a, Lanes b) { return _mm512_min_ps(a, b); }
inline float sum_tree(Lanes a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float max_tree(Lanes a) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
inline Lanes power(Lanes shifted) {
  const __m512i bits = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
  return _mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_set1_epi32(0x3F800000)));
}
inline Lanes keep_from(Lanes x, float bound, Lanes v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, splat(bound), _CMP_NLT_UQ), v);
}
inline uint32_t largest_magnitude_bits(const float* x) {
  const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
  const __m512i a = _mm512_and_si512(_mm512_loadu_si512(x), magnitude);
  const __m512i b = _mm512_and_si512(_mm512_loadu_si512(x + 16), magnitude);
  return static_cast<uint32_t>(_mm512_reduce_max_epu32(_mm512_max_epu32(a, b)));
}
inline int32_t round_to_codes(const float* x, float inverse, int8_t* codes) {
  const Lanes factor = splat(inverse);
  const __m512i a = _mm512_cvtps_epi32(mul(load(x), factor));
  const __m512i b = _mm512_cvtps_epi32(mul(load(x + 16), factor));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(codes), _mm512_cvtepi32_epi8(a));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + 16), _mm512_cvtepi32_epi8(b));
  return _mm512_reduce_add_epi32(_mm512_add_epi32(a, b));
}

constexpr int kScoreRegisters = 12;
constexpr int kValueRows = 6;
constexpr int kValueChunks = 4;
#include "runtime/cpu/kernels_inl.h"

// sum += codes . (4 activations broadcast), 16 outputs. gcc 12 never folds the broadcast into the
// instruction by itself, which costs a register and a load port slot a product.
inline void dot4(__m512i& sum, __m512i codes, const int8_t* activations) {
  asm("vpdpbusd %2%{1to16%}, %1, %0"
      : "+v"(sum)
      : "v"(codes), "m"(*reinterpret_cast<const int32_t*>(activations)));
}

template <PanelType kType, int kRows>
inline void panel_tile(const unsigned char* panel, const QuantisedRows& x, size_t row, float* out,
                       size_t stride, bool add_to) {
  constexpr size_t kBytes = panel_block_bytes(kType);
  constexpr size_t kCodes = kType == PanelType::kQ8_0 ? 512 : 256;
  const size_t blocks = x.columns / kBlock;
  const int8_t* a = x.codes + row * x.columns;
  const float* scales = x.scales + row * blocks;
  const float* sums = x.scaled_sums + row * blocks;
  const int32_t* bias =
      (kType == PanelType::kQ8_0 ? x.minus_128_sums : x.minus_8_sums) + row * blocks;
  const __m512i low = _mm512_set1_epi8(15);
  Lanes acc[kRows];
  ESP_UNROLL for (int m = 0; m < kRows; ++m) acc[m] = _mm512_setzero_ps();
  for (size_t b = 0; b < blocks; ++b, panel += kBytes) {
    if constexpr (kRows <= 4) {  // bound by memory: ask for what comes six blocks on
      const char* ahead = reinterpret_cast<const char*>(panel) + 6 * kBytes;
      ESP_UNROLL for (size_t i = 0; i < kBytes; i += 64) _mm_prefetch(ahead + i, _MM_HINT_T0);
    }
    __m512i w[8];
    if constexpr (kType == PanelType::kQ8_0) {
      ESP_UNROLL for (int j = 0; j < 8; ++j) w[j] = _mm512_loadu_si512(panel + 64 * j);
    } else {
      ESP_UNROLL for (int j = 0; j < 4; ++j) {
        const __m512i pairs = _mm512_loadu_si512(panel + 64 * j);
        w[j] = _mm512_and_si512(pairs, low);
        w[j + 4] = _mm512_and_si512(_mm512_srli_epi16(pairs, 4), low);
      }
    }
    const Lanes d = load_half(reinterpret_cast<const uint16_t*>(panel + kCodes));
    Lanes minimum_of_row;
    if constexpr (kType == PanelType::kQ4_1) {
      minimum_of_row = load_half(reinterpret_cast<const uint16_t*>(panel + kCodes + 32));
    }
    ESP_UNROLL for (int m = 0; m < kRows; ++m) {
      const int8_t* codes = a + static_cast<size_t>(m) * x.columns + b * kBlock;
      const size_t at = static_cast<size_t>(m) * blocks + b;
      __m512i s = kType == PanelType::kQ4_1 ? _mm512_setzero_si512() : _mm512_set1_epi32(bias[at]);
      if constexpr (kRows < 4) {  // two chains: few rows do not hide the products' latency
        __m512i second = _mm512_setzero_si512();
        ESP_UNROLL for (int j = 0; j < 4; ++j) dot4(s, w[j], codes + 4 * j);
        ESP_UNROLL for (int j = 4; j < 8; ++j) dot4(second, w[j], codes + 4 * j);
        s = _mm512_add_epi32(s, second);
      } else {
        ESP_UNROLL for (int j = 0; j < 8; ++j) dot4(s, w[j], codes + 4 * j);
      }
      acc[m] = fma(_mm512_cvtepi32_ps(s), mul(d, splat(scales[at])), acc[m]);
      if constexpr (kType == PanelType::kQ4_1) {
        acc[m] = fma(minimum_of_row, splat(sums[at]), acc[m]);
      }
    }
  }
  ESP_UNROLL for (int m = 0; m < kRows; ++m) {
    float* to = out + static_cast<size_t>(m) * stride;
    store(to, add_to ? add(load(to), acc[m]) : acc[m]);
  }
}

template <PanelType kType>
void panel_rows(const unsigned char* panel, const QuantisedRows& x, size_t first_row, size_t rows,
                float* out, size_t stride, bool add_to) {
  size_t m = 0;
  const auto next = [&]<int kRows>() {
    while (rows - m >= kRows) {
      panel_tile<kType, kRows>(panel, x, first_row + m, out + m * stride, stride, add_to);
      m += kRows;
    }
  };
  next.template operator()<16>();
  next.template operator()<8>();
  next.template operator()<4>();
  next.template operator()<2>();
  next.template operator()<1>();
}

void panel_product(PanelType type, const void* panel, const QuantisedRows& x, size_t first_row,
                   size_t rows, float* out, size_t stride, bool add_to) {
  const auto* bytes = static_cast<const unsigned char*>(panel);
  switch (type) {
    case PanelType::kQ4_0:
      return panel_rows<PanelType::kQ4_0>(bytes, x, first_row, rows, out, stride, add_to);
    case PanelType::kQ4_1:
      return panel_rows<PanelType::kQ4_1>(bytes, x, first_row, rows, out, stride, add_to);
    case PanelType::kQ8_0:
      return panel_rows<PanelType::kQ8_0>(bytes, x, first_row, rows, out, stride, add_to);
  }
}

}  // namespace

const Kernels kAvx512VnniKernels = {
    "avx512vnni", quantise,      panel_product, dense_product, rms_norm,    swiglu, geglu,
    rotate,       rotate_halves, to_half,       scores,        softmax,     values, merge,
    scale,        soft_cap,      maximum_of,    sum_exp,       exponentials};

}  // namespace espalier::runtime::cpu
#endif
