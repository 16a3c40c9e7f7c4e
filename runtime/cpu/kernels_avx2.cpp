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
  __m256 acc[kRows] = {};
  __m256 total[kRows] = {};
  for (size_t first_block = 0; first_block < blocks;
       first_block += kFormat.blocks, unit += panel_unit_bytes(kType)) {
    if (first_block % kProductSegmentBlocks == 0 && first_block > 0) [[unlikely]] {
      end_segment(acc, total, first_block == kProductSegmentBlocks);
    }
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
  if (blocks > kProductSegmentBlocks) {
    ESP_UNROLL for (int m = 0; m < kRows; ++m) acc[m] = total[m] + acc[m];
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
                              scores,   softmax,    values,        merge,         scale,
                              soft_cap, maximum_of, sum_exp,       exponentials,  dot_peak};

}  // namespace espalier::runtime::cpu
#endif
