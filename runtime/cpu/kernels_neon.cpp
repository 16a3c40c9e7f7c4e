// NEON with the dot product instructions (ARMv8.2 and Apple's cores): four q registers hold the 16
// lanes.
//
// Panel products take a panel in quarters of 4 outputs, whose codes of 4 columns are a register.
// All codes are signed: those of up to 5 bits are themselves, those with a bias of 128 fill their
// byte and lose it by a flipped bit, and 8 is taken off those of Q4_0, so that no sum needs a bias.
#if defined(__aarch64__)
#include <arm_neon.h>

#include "runtime/cpu/kernels.h"

namespace espalier::runtime::cpu {
namespace {

struct Lanes {
  float32x4_t v[4];
};

template <class F>
inline Lanes each(F f) {
  return {{f(0), f(1), f(2), f(3)}};
}
inline Lanes splat(float x) {
  return each([&](int) { return vdupq_n_f32(x); });
}
inline Lanes load(const float* p) {
  return each([&](int i) { return vld1q_f32(p + 4 * i); });
}
inline Lanes load_first(const float* p, size_t n, float fill) {
  float lanes[kLanes];
  for (size_t i = 0; i < kLanes; ++i) lanes[i] = i < n ? p[i] : fill;
  return load(lanes);
}
inline void store(float* p, const Lanes& x) {
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, x.v[i]);
}
inline void store_first(float* p, size_t n, const Lanes& x) {
  if (n == kLanes) return store(p, x);
  float lanes[kLanes];
  store(lanes, x);
  for (size_t i = 0; i < n; ++i) p[i] = lanes[i];
}
inline float32x4_t widen_half(const uint16_t* p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
inline float32x4_t widen_bf16(const uint16_t* p) {
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
inline Lanes load_half(const uint16_t* p) {
  return each([&](int i) { return widen_half(p + 4 * i); });
}
inline Lanes load_bf16(const uint16_t* p) {
  return each([&](int i) { return widen_bf16(p + 4 * i); });
}
inline Lanes splat_half(uint16_t x) {
  const float32x4_t all = vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(x)));
  return each([&](int) { return all; });
}
inline float32x4_t load_steps(const unsigned char* p) {  // 4 int8 values
  int32_t four;
  __builtin_memcpy(&four, p, sizeof four);
  const int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}
inline Lanes load_codes(const unsigned char* p) {
  return each([&](int i) { return load_steps(p + 4 * i); });
}
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
inline void store_half(uint16_t* p, const Lanes& x) {
  for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(x.v[i])));
}
inline Lanes add(const Lanes& x, const Lanes& y) {
  return each([&](int i) { return vaddq_f32(x.v[i], y.v[i]); });
}
inline Lanes sub(const Lanes& x, const Lanes& y) {
  return each([&](int i) { return vsubq_f32(x.v[i], y.v[i]); });
}
inline Lanes mul(const Lanes& x, const Lanes& y) {
  return each([&](int i) { return vmulq_f32(x.v[i], y.v[i]); });
}
inline Lanes div(const Lanes& x, const Lanes& y) {
  return each([&](int i) { return vdivq_f32(x.v[i], y.v[i]); });
}
inline Lanes fma(const Lanes& x, const Lanes& y, const Lanes& z) {
  return each([&](int i) { return vfmaq_f32(z.v[i], x.v[i], y.v[i]); });
}
// vmaxq and vminq give NaN where either is; the contract gives the second.
inline float32x4_t larger(float32x4_t x, float32x4_t y) { return vbslq_f32(vcgtq_f32(x, y), x, y); }
inline Lanes maximum(const Lanes& x, const Lanes& y) {
  return each([&](int i) { return larger(x.v[i], y.v[i]); });
}
inline Lanes minimum(const Lanes& x, const Lanes& y) {
  return each([&](int i) { return vbslq_f32(vcltq_f32(x.v[i], y.v[i]), x.v[i], y.v[i]); });
}
inline float sum_tree(const Lanes& x) {
  const float32x4_t four = vaddq_f32(vaddq_f32(x.v[0], x.v[2]), vaddq_f32(x.v[1], x.v[3]));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
inline float max_tree(const Lanes& x) {
  const float32x4_t four = larger(larger(x.v[0], x.v[2]), larger(x.v[1], x.v[3]));
  const float32x2_t low = vget_low_f32(four);
  const float32x2_t high = vget_high_f32(four);
  const float32x2_t two = vbsl_f32(vcgt_f32(low, high), low, high);
  const float a = vget_lane_f32(two, 0);
  const float b = vget_lane_f32(two, 1);
  return a > b ? a : b;
}
inline Lanes power(const Lanes& shifted) {
  return each([&](int i) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vreinterpretq_s32_f32(shifted.v[i]), 23));
  });
}
inline Lanes keep_from(const Lanes& x, float bound, const Lanes& v) {
  return each([&](int i) {
    const uint32x4_t below = vcltq_f32(x.v[i], vdupq_n_f32(bound));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(v.v[i]), below));
  });
}
inline Lanes where(uint32_t bits, const Lanes& x, float otherwise) {
  const uint32_t lanes[4] = {1, 2, 4, 8};
  const uint32x4_t first = vld1q_u32(lanes);
  return each([&](int i) {
    const uint32x4_t on = vtstq_u32(vdupq_n_u32(bits >> 4 * i), first);
    return vbslq_f32(on, x.v[i], vdupq_n_f32(otherwise));
  });
}
inline uint32_t largest_magnitude_bits(const float* x) {
  uint32x4_t top = vdupq_n_u32(0);
  for (size_t i = 0; i < kBlock; i += 4) {
    const uint32x4_t bits = vreinterpretq_u32_f32(vld1q_f32(x + i));
    top = vmaxq_u32(top, vandq_u32(bits, vdupq_n_u32(0x7FFFFFFF)));
  }
  return vmaxvq_u32(top);
}
struct HalfSums {
  int32_t first, second;
};
inline HalfSums round_to_codes(const float* x, float inverse, int8_t* codes) {
  int32_t sums[2];
  for (size_t half = 0; half < 2; ++half, x += 16, codes += 16) {
    int32x4_t rounded[4];
    int32x4_t sum = vdupq_n_s32(0);
    for (size_t i = 0; i < 4; ++i) {
      rounded[i] = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4 * i), inverse));
      sum = vaddq_s32(sum, rounded[i]);
    }
    const int16x8_t low = vcombine_s16(vmovn_s32(rounded[0]), vmovn_s32(rounded[1]));
    const int16x8_t high = vcombine_s16(vmovn_s32(rounded[2]), vmovn_s32(rounded[3]));
    vst1q_s8(codes, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
    sums[half] = vaddvq_s32(sum);
  }
  return {sums[0], sums[1]};
}

constexpr int kScoreRegisters = 4;
constexpr int kValueRegisters = 6;
constexpr int kWideRows = 6;
constexpr int kWideTiles = 1;
#include "runtime/cpu/kernels_inl.h"

using Bytes = uint8x16_t;
inline Bytes load_bytes(const unsigned char* p) { return vld1q_u8(p); }
inline Bytes splat_byte(int x) { return vdupq_n_u8(static_cast<uint8_t>(x)); }
template <int kBits>
inline Bytes shift_left(Bytes v) {
  return vshlq_n_u8(v, kBits);
}
template <int kBits>
inline Bytes shift_right(Bytes v) {
  return vshrq_n_u8(v, kBits);
}
inline Bytes keep(Bytes v, Bytes mask) { return vandq_u8(v, mask); }
inline Bytes join(Bytes a, Bytes v, Bytes mask) { return vorrq_u8(a, vandq_u8(v, mask)); }
#include "runtime/cpu/panel_inl.h"

// Columns 4 * kJ to 4 * kJ + 3 of 4 outputs, as signed weights (times 2^shift).
template <PanelType kType, int kJ>
inline int8x16_t column_weights(const unsigned char* codes, [[maybe_unused]] int8x16_t values) {
  constexpr PanelFormat kFormat = panel_format(kType);
  const Bytes w = column_codes<kType, kFormat.shift, kJ>(codes);
  if constexpr (kFormat.table != CodeTable::kNone) return vqtbl1q_s8(values, w);
  if constexpr (kFormat.bias == 128) return vreinterpretq_s8_u8(veorq_u8(w, splat_byte(0x80)));
  if constexpr (kFormat.bias == 8) return vsubq_s8(vreinterpretq_s8_u8(w), vdupq_n_s8(8));
  return vreinterpretq_s8_u8(w);
}

using Outputs = float32x4_t;
constexpr size_t kOutputs = 4;
constexpr size_t kAhead = 0;
inline Outputs mul(Outputs a, Outputs b) { return vmulq_f32(a, b); }
inline Outputs fma(Outputs a, Outputs b, Outputs c) { return vfmaq_f32(c, a, b); }
inline Outputs splat_outputs(float x) { return vdupq_n_f32(x); }
inline Outputs load_outputs(const float* p) { return vld1q_f32(p); }
inline void store_outputs(float* p, Outputs x) { vst1q_f32(p, x); }
inline Outputs load_scales(const uint16_t* p, bool bf16) {
  return bf16 ? widen_bf16(p) : widen_half(p);
}
template <PanelType>
constexpr int kMostRows = 8;

template <PanelType kType, int kRows, class Bias, class Scales, class Add>
ESP_INLINE inline void block_sums(const unsigned char* codes, const int8_t* a, const Bias&,
                                  const Scales& scales, const Add& add) {
  constexpr PanelFormat kFormat = panel_format(kType);
  static_assert(kFormat.bias == 0 || kFormat.bias == 8 || kFormat.bias == 128);
  static_assert(kFormat.bias == 128 || kFormat.low_bits + kFormat.high_bits < 8);
  constexpr int kGroups = kFormat.groups;
  constexpr int kEach = 8 / kGroups;
  int8x16_t values = vdupq_n_s8(0);
  if constexpr (kFormat.table != CodeTable::kNone) values = vld1q_s8(code_values(kFormat.table));
  const int8x16_t w[8] = {
      column_weights<kType, 0>(codes, values), column_weights<kType, 1>(codes, values),
      column_weights<kType, 2>(codes, values), column_weights<kType, 3>(codes, values),
      column_weights<kType, 4>(codes, values), column_weights<kType, 5>(codes, values),
      column_weights<kType, 6>(codes, values), column_weights<kType, 7>(codes, values)};
  decltype(scales(0)) of_group[kGroups];
  ESP_UNROLL for (int g = 0; g < kGroups; ++g) of_group[g] = scales(g);
  ESP_UNROLL for (int m = 0; m < kRows; ++m, a += kBlock) {
    const int8x16_t activations[2] = {vld1q_s8(a), vld1q_s8(a + 16)};
    ESP_UNROLL for (int g = 0; g < kGroups; ++g) {
      int32x4_t s = vdupq_n_s32(0);
      const auto four = [&]<int kHalf>() ESP_INLINE {
        s = vdotq_laneq_s32(s, w[4 * kHalf], activations[kHalf], 0);
        s = vdotq_laneq_s32(s, w[4 * kHalf + 1], activations[kHalf], 1);
        s = vdotq_laneq_s32(s, w[4 * kHalf + 2], activations[kHalf], 2);
        s = vdotq_laneq_s32(s, w[4 * kHalf + 3], activations[kHalf], 3);
      };
      if (kEach == 8 || g == 0) four.template operator()<0>();
      if (kEach == 8 || g == 1) four.template operator()<1>();
      add(m, g, vcvtq_f32_s32(s), of_group[g]);
    }
  }
}

#include "runtime/cpu/panel_product_inl.h"

uint64_t dot_peak(size_t rounds) {
  constexpr int kChains = 16;
  const int8x16_t codes = vdupq_n_s8(3);
  int8x16_t activations = vdupq_n_s8(-2);
  int32x4_t sums[kChains];
  ESP_UNROLL for (auto& sum : sums) sum = vdupq_n_s32(0);
  for (size_t i = 0; i < rounds; ++i) {
    asm volatile("" : "+w"(activations));  // a product is not taken out of the loop
    ESP_UNROLL for (auto& sum : sums) {
      sum = vdotq_s32(sum, codes, activations);
      asm("" : "+w"(sum));
    }
  }
  ESP_UNROLL for (auto& sum : sums) asm volatile("" ::"w"(sum));
  return rounds * kChains * 16;
}

}  // namespace

const Kernels kNeonKernels = {
    "neon", quantise,      panel_product, dense_product, rms_norm,   swiglu,       geglu,
    rotate, rotate_halves, to_half,       scores,        weights_of, values,       merge,
    scale,  soft_cap,      maximum_of,    keep_allowed,  sum_exp,    exponentials, dot_peak};

}  // namespace espalier::runtime::cpu
#endif
