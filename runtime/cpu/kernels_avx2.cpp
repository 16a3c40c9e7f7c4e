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

// Codes whose products meet activations with their signs taken off.
constexpr bool signed_codes(PanelFormat format) {
  return format.table != CodeTable::kNone || format.low_bits == 8;
}
// Products of a type's largest codes that a 16-bit sum holds, two of them a step.
constexpr int steps_in_16_bits(PanelFormat format) {
  if (signed_codes(format)) return 1;
  return 32767 / (((1 << (format.low_bits + format.high_bits)) - 1) * 254);
}

// More than the registers hold: what their sums cost in loads and stores, other ports have to give,
// and the codes of a block are unpacked, by the ports of the products, for all of them once.
template <PanelType kType>
constexpr int kMostRows = 8;

// Compilers would sum a block's products as a tree, which is the same, but they form them all
// first, and keep most of them in memory until then.
inline void in_this_order(__m256i& sum) { asm volatile("" : "+x"(sum)); }

template <PanelType kType, int kRows, class Bias, class Scales, class Add>
ESP_INLINE inline void block_sums(const unsigned char* codes, const int8_t* a, const Bias& bias,
                                  const Scales& scales, const Add& add) {
  constexpr PanelFormat kFormat = panel_format(kType);
  constexpr bool kTable = kFormat.table != CodeTable::kNone;
  constexpr bool kSigned = signed_codes(kFormat);
  constexpr int kEach = 8 / kFormat.groups;
  constexpr int kMost = steps_in_16_bits(kFormat);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i values = _mm256_setzero_si256();
  if constexpr (kTable) {
    values = _mm256_broadcastsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(code_values(kFormat.table))));
  }
  __m256i sums[kRows];   // of the group
  __m256i pairs[kRows];  // in 16 bits
  const auto column = [&]<int kJ>() ESP_INLINE {
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
        sums[m] = kStep < kMost ? sum : _mm256_add_epi32(sums[m], sum);
        in_this_order(sums[m]);
      } else {
        in_this_order(pairs[m]);
      }
    }
    if constexpr (kStep == kEach - 1) {
      constexpr int kGroup = kJ / kEach;
      const auto of_group = scales(kGroup);
      ESP_UNROLL for (int m = 0; m < kRows; ++m) {
        __m256i sum = _mm256_slli_epi32(sums[m], kFormat.shift);
        if constexpr (kFormat.bias != 0 && !kSigned) {
          sum = _mm256_add_epi32(sum, _mm256_set1_epi32(bias(m, kGroup)));
        }
        add(m, kGroup, _mm256_cvtepi32_ps(sum), of_group);
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
}

#include "runtime/cpu/panel_product_inl.h"

// As panels of small codes do: most sums are in 16 bits.
uint64_t dot_peak(size_t rounds) {
  constexpr int kChains = 6;
  const __m256i codes = splat_byte(3);
  __m256i activations[kChains];
  __m256i sums[kChains];
  ESP_UNROLL for (int i = 0; i < kChains; ++i) {
    activations[i] = splat_byte(i - 3);
    sums[i] = _mm256_setzero_si256();
  }
  for (size_t i = 0; i < rounds; ++i) {
    ESP_UNROLL for (int k = 0; k < kChains; ++k) {
      asm volatile("" : "+x"(activations[k]));  // a product is not taken out of the loop
      sums[k] = _mm256_add_epi16(sums[k], _mm256_maddubs_epi16(codes, activations[k]));
      in_this_order(sums[k]);
    }
  }
  return rounds * kChains * 32;
}

}  // namespace

const Kernels kAvx2Kernels = {
    "avx2", quantise,      panel_product, dense_product, rms_norm,   swiglu,       geglu,
    rotate, rotate_halves, to_half,       scores,        weights_of, values,       merge,
    scale,  soft_cap,      maximum_of,    keep_allowed,  sum_exp,    exponentials, dot_peak};

}  // namespace espalier::runtime::cpu
#endif
