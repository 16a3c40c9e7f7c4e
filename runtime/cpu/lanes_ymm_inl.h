// 16 lanes as two ymm registers, and half a panel's codes as one: what the kernel files of AVX2 and
// of AVX-VNNI have in common. Included by each inside its anonymous namespace, after <immintrin.h>
// and kernels.h. No include guard: a file includes it once.

struct Lanes {
  __m256 a, b;
};

inline Lanes splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline Lanes splat_half(uint16_t x) {
  const __m256 all = _mm256_cvtph_ps(_mm_set1_epi16(static_cast<int16_t>(x)));
  return {all, all};
}
inline Lanes load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline Lanes load_first(const float* p, size_t n, float fill) {
  if (n == kLanes) return load(p);
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
inline __m256 load_steps(const unsigned char* p) {  // 8 int8 values
  return _mm256_cvtepi32_ps(
      _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
inline Lanes load_codes(const unsigned char* p) { return {load_steps(p), load_steps(p + 8)}; }
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
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(shifted), 23));
}
inline Lanes power(Lanes shifted) { return {power_half(shifted.a), power_half(shifted.b)}; }
inline Lanes keep_from(Lanes x, float bound, Lanes v) {
  const __m256 from = _mm256_set1_ps(bound);
  return {_mm256_and_ps(_mm256_cmp_ps(x.a, from, _CMP_NLT_UQ), v.a),
          _mm256_and_ps(_mm256_cmp_ps(x.b, from, _CMP_NLT_UQ), v.b)};
}
inline Lanes where(uint32_t bits, Lanes x, float otherwise) {
  const __m256i all = _mm256_set1_epi32(static_cast<int32_t>(bits));
  const __m256i low = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i high = _mm256_slli_epi32(low, 8);
  const __m256i a = _mm256_cmpeq_epi32(_mm256_and_si256(all, low), low);
  const __m256i b = _mm256_cmpeq_epi32(_mm256_and_si256(all, high), high);
  const __m256 other = _mm256_set1_ps(otherwise);
  return {_mm256_blendv_ps(other, x.a, _mm256_castsi256_ps(a)),
          _mm256_blendv_ps(other, x.b, _mm256_castsi256_ps(b))};
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
inline __m256i round_to_ints(const float* x, __m256 factor) {
  return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), factor));
}
inline int32_t sum_of(__m256i x) {
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1));
  return _mm_cvtsi128_si32(four);
}
inline HalfSums round_to_codes(const float* x, float inverse, int8_t* codes) {
  const __m256 factor = _mm256_set1_ps(inverse);
  const __m256i a = round_to_ints(x, factor);
  const __m256i b = round_to_ints(x + 8, factor);
  const __m256i c = round_to_ints(x + 16, factor);
  const __m256i d = round_to_ints(x + 24, factor);
  // Packing goes by halves of registers: fours of codes come out as a b c d, a b c d.
  const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes),
                      _mm256_permutevar8x32_epi32(packed, order));
  return {sum_of(_mm256_add_epi32(a, b)), sum_of(_mm256_add_epi32(c, d))};
}

constexpr int kScoreRegisters = 4;
constexpr int kValueRegisters = 6;
constexpr int kWideRows = 6;
constexpr int kWideTiles = 1;
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

using Outputs = __m256;
constexpr size_t kOutputs = 8;
constexpr size_t kAhead = 6144;
inline Outputs mul(Outputs a, Outputs b) { return _mm256_mul_ps(a, b); }
inline Outputs fma(Outputs a, Outputs b, Outputs c) { return _mm256_fmadd_ps(a, b, c); }
inline Outputs splat_outputs(float x) { return _mm256_set1_ps(x); }
inline Outputs load_outputs(const float* p) { return _mm256_loadu_ps(p); }
inline void store_outputs(float* p, Outputs x) { _mm256_storeu_ps(p, x); }
inline Outputs load_scales(const uint16_t* p, bool bf16) {
  const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return bf16 ? widen_bf16(p) : _mm256_cvtph_ps(words);
}
