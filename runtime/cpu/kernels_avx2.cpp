// AVX2 with FMA and F16C.
//
// Panel products take a panel in halves of 8 outputs. Codes of up to 6 bits: u8 x s8 pairs summed
// in 16 bits, as many as fit there, then widened. Codes of 8 bits and values of tables would
// saturate: their magnitudes meet activations that take their signs.
#if defined(__x86_64__)
#include <immintrin.h>

#include "runtime/cpu/kernels.h"

namespace espalier::runtime::cpu {
namespace {

#include "runtime/cpu/lanes_ymm_inl.h"

template <PanelType>
constexpr int kMostRows = 4;

template <PanelType kType, int kRows, class Bias, class Scales, class Add>
ESP_INLINE inline void block_sums(const unsigned char* codes, const int8_t* a, const Bias& bias,
                                  const Scales& scales, const Add& add) {
  constexpr PanelFormat kFormat = panel_format(kType);
  constexpr bool kTable = kFormat.table != CodeTable::kNone;
  constexpr bool kSigned = kTable || kFormat.low_bits == 8;
  constexpr int kGroups = kFormat.groups;
  constexpr int kEach = 8 / kGroups;
  // Products of largest codes that a 16-bit sum holds, two a step.
  constexpr int kMost =
      kSigned ? 1 : 32767 / (((1 << (kFormat.low_bits + kFormat.high_bits)) - 1) * 254);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i values = _mm256_setzero_si256();
  if constexpr (kTable) {
    values = _mm256_broadcastsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(code_values(kFormat.table))));
  }
  __m256i s[kGroups][kRows];
  __m256i pairs[kRows];  // sums in 16 bits
  const auto column = [&]<int kJ>() ESP_INLINE {
    constexpr int kGroup = kJ / kEach;
    constexpr int kStep = kJ % kEach;
    Bytes w = column_codes<kType, 0, kJ>(codes);
    if constexpr (kTable) w = _mm256_shuffle_epi8(values, w);
    if constexpr (kFormat.low_bits == 8) w = _mm256_xor_si256(w, splat_byte(-128));
    const Bytes magnitude = kSigned ? _mm256_abs_epi8(w) : w;
    ESP_UNROLL for (int m = 0; m < kRows; ++m) {
      __m256i v = four_codes(a + static_cast<size_t>(m) * kBlock + 4 * kJ);
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
    const auto of_group = scales(g);
    ESP_UNROLL for (int m = 0; m < kRows; ++m) {
      __m256i sum = _mm256_slli_epi32(s[g][m], kFormat.shift);
      if constexpr (kFormat.bias != 0 && !kSigned) {
        sum = _mm256_add_epi32(sum, _mm256_set1_epi32(bias(m, g)));
      }
      add(m, g, _mm256_cvtepi32_ps(sum), of_group);
    }
  }
}

#include "runtime/cpu/panel_product_inl.h"

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
                              scores,   weights_of, values,        merge,         scale,
                              soft_cap, maximum_of, sum_exp,       exponentials,  dot_peak};

}  // namespace espalier::runtime::cpu
#endif
