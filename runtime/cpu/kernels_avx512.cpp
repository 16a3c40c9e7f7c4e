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
inline Lanes splat_half(uint16_t x) {
  return _mm512_cvtph_ps(_mm256_set1_epi16(static_cast<int16_t>(x)));
}
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
inline Lanes load_codes(const unsigned char* p) {  // 16 int8 values
  return _mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
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
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(shifted), 23));
}
inline Lanes keep_from(Lanes x, float bound, Lanes v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, splat(bound), _CMP_NLT_UQ), v);
}
inline Lanes where(uint32_t bits, Lanes x, float otherwise) {
  return _mm512_mask_mov_ps(splat(otherwise), static_cast<__mmask16>(bits), x);
}
inline uint32_t largest_magnitude_bits(const float* x) {
  const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
  const __m512i a = _mm512_and_si512(_mm512_loadu_si512(x), magnitude);
  const __m512i b = _mm512_and_si512(_mm512_loadu_si512(x + 16), magnitude);
  return static_cast<uint32_t>(_mm512_reduce_max_epu32(_mm512_max_epu32(a, b)));
}
struct HalfSums {
  int32_t first, second;
};
inline HalfSums round_to_codes(const float* x, float inverse, int8_t* codes) {
  const Lanes factor = splat(inverse);
  const __m128i a = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(mul(load(x), factor)));
  const __m128i b = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(mul(load(x + 16), factor)));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(codes), a);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + 16), b);
  const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
  __m256i sums = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), both);
  sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, 0x4E));
  sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, 0xB1));
  return {_mm256_cvtsi256_si32(sums), _mm_cvtsi128_si32(_mm256_extracti128_si256(sums, 1))};
}

constexpr int kScoreRegisters = 24;
constexpr int kValueRegisters = 24;
constexpr int kWideRows = 12;
constexpr int kWideTiles = 2;
#include "runtime/cpu/kernels_inl.h"

using Bytes = __m512i;
inline Bytes load_bytes(const unsigned char* p) { return _mm512_loadu_si512(p); }
inline Bytes splat_byte(int x) { return _mm512_set1_epi8(static_cast<char>(x)); }
template <int kBits>
inline Bytes shift_left(Bytes v) {
  return _mm512_slli_epi16(v, kBits);
}
template <int kBits>
inline Bytes shift_right(Bytes v) {
  return _mm512_srli_epi16(v, kBits);
}
inline Bytes keep(Bytes v, Bytes mask) { return _mm512_and_si512(v, mask); }
inline Bytes join(Bytes a, Bytes v, Bytes mask) {
  return _mm512_ternarylogic_epi64(a, v, mask, 0xF8);
}
#include "runtime/cpu/panel_inl.h"

// sum += codes . (4 activations broadcast), 16 outputs. gcc 12 never folds the broadcast into the
// instruction by itself, which costs a register and a load port slot a product.
inline void dot4(__m512i& sum, __m512i codes, const int8_t* activations) {
  asm("vpdpbusd %2%{1to16%}, %1, %0"
      : "+v"(sum)
      : "v"(codes), "m"(*reinterpret_cast<const int32_t*>(activations)));
}

using Outputs = Lanes;
constexpr size_t kOutputs = 16;
inline Outputs splat_outputs(float x) { return splat(x); }
inline Outputs load_outputs(const float* p) { return load(p); }
inline void store_outputs(float* p, Outputs x) { store(p, x); }
inline Outputs load_scales(const uint16_t* p, bool bf16) {
  return bf16 ? load_bf16(p) : load_half(p);
}
inline Outputs load_steps(const unsigned char* p) { return load_codes(p); }
template <PanelType>
constexpr int kMostRows = 16;
constexpr size_t kAhead = 6144;

// All codes are unsigned here: those of a table are 128 more, and those with a bias fill their
// byte, so that but for Q4_0 every bias is 128 and starts the sum.
template <PanelType kType, int kRows, class Bias, class Scales, class Add>
ESP_INLINE inline void block_sums(const unsigned char* codes, const int8_t* a, const Bias& bias,
                                  const Scales& scales, const Add& add) {
  constexpr PanelFormat kFormat = panel_format(kType);
  constexpr int kGroups = kFormat.groups;
  constexpr bool kTable = kFormat.table != CodeTable::kNone;
  constexpr bool kBiased = kFormat.bias != 0 || kTable;
  // Few rows do not hide latency: their sums go in two chains. The second takes columns whose codes
  // of 4 bits are the upper halves of bytes, as 16 times themselves where nothing is joined to
  // them; the first, where codes count 2^shift times, takes the lower halves as themselves. A shift
  // of a sum then stands for four of codes.
  constexpr bool kTwoChains = kGroups == 1 && kRows < 4;
  constexpr bool kHalves = kTwoChains && kFormat.low_bits == 4 && !kTable;
  constexpr int kLower = kHalves && kFormat.high_bits > 0 ? 0 : kFormat.shift;
  constexpr int kUpper = kHalves && kFormat.high_bits == 0 ? 4 : kFormat.shift;
  Bytes w[8] = {column_codes<kType, kLower, 0>(codes), column_codes<kType, kLower, 1>(codes),
                column_codes<kType, kLower, 2>(codes), column_codes<kType, kLower, 3>(codes),
                column_codes<kType, kUpper, 4>(codes), column_codes<kType, kUpper, 5>(codes),
                column_codes<kType, kUpper, 6>(codes), column_codes<kType, kUpper, 7>(codes)};
  if constexpr (kTable) {
    const Bytes values = _mm512_xor_si512(
        _mm512_broadcast_i32x4(
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(code_values(kFormat.table)))),
        splat_byte(-128));
    ESP_UNROLL for (int j = 0; j < 8; ++j) w[j] = _mm512_shuffle_epi8(values, w[j]);
  }
  decltype(scales(0)) of_group[kGroups];
  ESP_UNROLL for (int g = 0; g < kGroups; ++g) of_group[g] = scales(g);
  ESP_UNROLL for (int m = 0; m < kRows; ++m, a += kBlock) {
    ESP_UNROLL for (int g = 0; g < kGroups; ++g) {
      const __m512i start = kBiased ? _mm512_set1_epi32(bias(m, g)) : _mm512_setzero_si512();
      __m512i s = start;
      if constexpr (kTwoChains) {
        // What is counted 2^shift times starts at the bias.
        __m512i second = _mm512_setzero_si512();
        if constexpr (kLower != kFormat.shift) {
          s = second;
          second = start;
        }
        ESP_UNROLL for (int j = 0; j < 4; ++j) dot4(s, w[j], a + 4 * j);
        ESP_UNROLL for (int j = 4; j < 8; ++j) dot4(second, w[j], a + 4 * j);
        s = _mm512_slli_epi32(s, kFormat.shift - kLower);
        s = _mm512_add_epi32(s, _mm512_srai_epi32(second, kUpper - kFormat.shift));
      } else {
        constexpr int kEach = 8 / kGroups;
        ESP_UNROLL for (int j = kEach * g; j < kEach * (g + 1); ++j) dot4(s, w[j], a + 4 * j);
      }
      add(m, g, _mm512_cvtepi32_ps(s), of_group[g]);
    }
  }
}

#include "runtime/cpu/panel_product_inl.h"

uint64_t dot_peak(size_t rounds) {
  constexpr int kChains = 16;  // five cycles' latency on two ports, and some
  const __m512i codes = splat_byte(3);
  const __m512i activations = splat_byte(-2);
  __m512i sums[kChains];
  ESP_UNROLL for (auto& sum : sums) sum = _mm512_setzero_si512();
  for (size_t i = 0; i < rounds; ++i) {
    ESP_UNROLL for (auto& sum : sums) asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(codes),
                                          "v"(activations));
  }
  ESP_UNROLL for (auto& sum : sums) asm volatile("" ::"v"(sum));
  return rounds * kChains * 64;
}

}  // namespace

const Kernels kAvx512VnniKernels = {
    "avx512vnni", quantise,      panel_product, dense_product, rms_norm,   swiglu,       geglu,
    rotate,       rotate_halves, to_half,       scores,        weights_of, values,       merge,
    scale,        soft_cap,      maximum_of,    keep_allowed,  sum_exp,    exponentials, dot_peak};

}  // namespace espalier::runtime::cpu
#endif
