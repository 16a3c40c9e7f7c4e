// AVX-VNNI: AVX2's 16 lanes, with products of 4 codes a lane summed in 32 bits by one instruction.
//
// Panel products take a panel in halves of 8 outputs. All codes are unsigned: those of a table are
// 128 more, and those with a bias fill their byte, so that but for Q4_0 every bias is 128 and
// starts the sum.
//
// The tests compile this file once more with AVX-512's encoding of the same instruction
// (ESPALIER_DOT_EVEX), for machines that have only that.
#if defined(__x86_64__)
#include <immintrin.h>

#include "runtime/cpu/kernels.h"

namespace espalier::runtime::cpu {
namespace {

#include "runtime/cpu/lanes_ymm_inl.h"

inline __m256i dot4(__m256i sum, Bytes codes, __m256i activations) {
#if defined(ESPALIER_DOT_EVEX)
  return _mm256_dpbusd_epi32(sum, codes, activations);
#else
  return _mm256_dpbusd_avx_epi32(sum, codes, activations);
#endif
}

// Two sums a row where a block has two groups: 16 registers hold those of 4 rows.
template <PanelType kType>
constexpr int kMostRows = panel_format(kType).groups == 1 ? 6 : 4;

template <PanelType kType, int kRows, class Bias, class Scales, class Add>
ESP_INLINE inline void block_sums(const unsigned char* codes, const int8_t* a, const Bias& bias,
                                  const Scales& scales, const Add& add) {
  constexpr PanelFormat kFormat = panel_format(kType);
  constexpr int kGroups = kFormat.groups;
  constexpr int kEach = 8 / kGroups;
  constexpr bool kTable = kFormat.table != CodeTable::kNone;
  constexpr bool kBiased = kFormat.bias != 0 || kTable;
  __m256i values = _mm256_setzero_si256();
  if constexpr (kTable) {
    values = _mm256_xor_si256(_mm256_broadcastsi128_si256(_mm_loadu_si128(
                                  reinterpret_cast<const __m128i*>(code_values(kFormat.table)))),
                              splat_byte(-128));
  }
  __m256i s[kGroups][kRows];
  ESP_UNROLL for (int m = 0; m < kRows; ++m) {
    ESP_UNROLL for (int g = 0; g < kGroups; ++g) {
      s[g][m] = kBiased ? _mm256_set1_epi32(bias(m, g)) : _mm256_setzero_si256();
    }
  }
  const auto column = [&]<int kJ>() ESP_INLINE {
    Bytes w = column_codes<kType, kFormat.shift, kJ>(codes);
    if constexpr (kTable) w = _mm256_shuffle_epi8(values, w);
    ESP_UNROLL for (int m = 0; m < kRows; ++m) {
      __m256i& sum = s[kJ / kEach][m];
      sum = dot4(sum, w, four_codes(a + static_cast<size_t>(m) * kBlock + 4 * kJ));
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
    ESP_UNROLL for (int m = 0; m < kRows; ++m) add(m, g, _mm256_cvtepi32_ps(s[g][m]), of_group);
  }
}

#include "runtime/cpu/panel_product_inl.h"

uint64_t dot_peak(size_t rounds) {
  constexpr int kChains = 8;
  const __m256i codes = splat_byte(3);
  __m256i activations = splat_byte(-2);
  __m256i sums[kChains];
  ESP_UNROLL for (auto& sum : sums) sum = _mm256_setzero_si256();
  for (size_t i = 0; i < rounds; ++i) {
    asm volatile("" : "+x"(activations));  // a product is not taken out of the loop
    ESP_UNROLL for (auto& sum : sums) {
      sum = dot4(sum, codes, activations);
      asm("" : "+x"(sum));
    }
  }
  ESP_UNROLL for (auto& sum : sums) asm volatile("" ::"x"(sum));
  return rounds * kChains * 32;
}

}  // namespace

#if defined(ESPALIER_DOT_EVEX)
extern const Kernels kAvxVnniByEvexKernels;
const Kernels kAvxVnniByEvexKernels = {
#else
const Kernels kAvxVnniKernels = {
#endif
    "avxvnni", quantise,      panel_product, dense_product, rms_norm,   swiglu,       geglu,
    rotate,    rotate_halves, to_half,       scores,        weights_of, values,       merge,
    scale,     soft_cap,      maximum_of,    keep_allowed,  sum_exp,    exponentials, dot_peak};

}  // namespace espalier::runtime::cpu
#endif
