// The kernels that are the same for every instruction set but for the type of 16 float lanes.
//
// Included by each kernel file inside its anonymous namespace, after it has defined `Lanes` and:
//   splat splat_half load load_first(p, n, fill) store store_first load_half load_half_first
//   load_bf16 load_bf16_first load_codes(of int8) store_half add sub mul div fma maximum(a > b ? a
//   : b) minimum(a < b ? a : b) sum_tree max_tree power(t: 2^(n - 127) of n in its low 8 bits)
//   keep_from(x, bound, v) where(bits, x, otherwise: of lanes without their bit)
// and the constants kScoreRegisters, kValueRegisters, kWideRows and kWideTiles. The order of
// operations here is the numerics contract. No include guard: a file includes it once.

#if defined(__clang__)
#define ESP_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ESP_UNROLL _Pragma("GCC unroll 32")
#endif
#define ESP_INLINE __attribute__((always_inline))

constexpr float kInfinity = __builtin_inff();

// exp(x) for x in [-87, 88]: x = n ln 2 + r with |r| <= ln 2 / 2, Taylor's polynomial of degree 7
// in r (error below half an ulp of the rounding that follows), times 2^n.
inline Lanes exponential_within(Lanes x) {
  // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits; with 127 more,
  // n stands there as an exponent does. (An odd number would turn ties around, but no x has one:
  // a product that ends in one half is 0x1.715476 times a power of two, beyond these.)
  constexpr float kShift = 12582912.0F + 127.0F;
  const Lanes shifted = fma(x, splat(0x1.715476p+0F), splat(kShift));
  const Lanes n = sub(shifted, splat(kShift));
  Lanes r = fma(n, splat(-0x1.62e430p-1F), x);
  r = fma(n, splat(0x1.05c610p-29F), r);
  Lanes p = splat(1.0F / 5040.0F);
  p = fma(p, r, splat(1.0F / 720.0F));
  p = fma(p, r, splat(1.0F / 120.0F));
  p = fma(p, r, splat(1.0F / 24.0F));
  p = fma(p, r, splat(1.0F / 6.0F));
  p = fma(p, r, splat(0.5F));
  p = fma(p, r, splat(1.0F));
  p = fma(p, r, splat(1.0F));
  return mul(p, power(shifted));
}
// 0 below -87; clamped above 88.
inline Lanes exponential(Lanes x) {
  const Lanes clamped = maximum(splat(-87.0F), minimum(splat(88.0F), x));
  return keep_from(x, -87.0F, exponential_within(clamped));
}
// The same, of what is not above 0.
inline Lanes exponential_to_one(Lanes x) { return keep_from(x, -87.0F, exponential_within(x)); }

void rms_norm(const float* x, const float* weight, size_t n, float epsilon, float* out) {
  Lanes squares = splat(0.0F);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Lanes v = load(x + i);
    squares = fma(v, v, squares);
  }
  if (i < n) {
    const Lanes v = load_first(x + i, n - i, 0.0F);
    squares = fma(v, v, squares);
  }
  const float mean = sum_tree(squares) / static_cast<float>(n);
  const float factor = 1.0F / __builtin_sqrtf(mean + epsilon);
  for (size_t k = 0; k < n; ++k) out[k] = (x[k] * factor) * weight[k];
}

void swiglu(const float* gate, const float* up, size_t n, float* out) {
  for (size_t i = 0; i < n; i += kLanes) {
    const size_t rest = n - i < kLanes ? n - i : kLanes;
    const Lanes g = load_first(gate + i, rest, 0.0F);
    const Lanes e = exponential(sub(splat(0.0F), g));
    const Lanes silu = div(g, add(splat(1.0F), e));
    store_first(out + i, rest, mul(silu, load_first(up + i, rest, 0.0F)));
  }
}

// gelu(g) = g (1 + tanh(y)) / 2 = g / (1 + exp(-2 y)), y = sqrt(2 / pi) (g + 0.044715 g^3).
void geglu(const float* gate, const float* up, size_t n, float* out) {
  for (size_t i = 0; i < n; i += kLanes) {
    const size_t rest = n - i < kLanes ? n - i : kLanes;
    const Lanes g = load_first(gate + i, rest, 0.0F);
    const Lanes inner = fma(mul(g, g), splat(0.044715F), splat(1.0F));
    const Lanes e = exponential(mul(mul(g, inner), splat(-1.5957691216F)));
    const Lanes gelu = div(g, add(splat(1.0F), e));
    store_first(out + i, rest, mul(gelu, load_first(up + i, rest, 0.0F)));
  }
}

void rotate(float* x, const float* cosines, const float* sines, size_t pairs) {
  for (size_t i = 0; i < pairs; ++i) {
    const float a = x[2 * i];
    const float b = x[2 * i + 1];
    x[2 * i] = a * cosines[i] - b * sines[i];
    x[2 * i + 1] = a * sines[i] + b * cosines[i];
  }
}

void rotate_halves(float* x, const float* cosines, const float* sines, size_t pairs) {
  for (size_t i = 0; i < pairs; ++i) {
    const float a = x[i];
    const float b = x[i + pairs];
    x[i] = a * cosines[i] - b * sines[i];
    x[i + pairs] = a * sines[i] + b * cosines[i];
  }
}

void to_half(const float* x, size_t n, uint16_t* out) {
  for (size_t i = 0; i < n; i += kLanes) {
    const size_t rest = n - i < kLanes ? n - i : kLanes;
    uint16_t halves[kLanes];
    store_half(halves, load_first(x + i, rest, 0.0F));
    for (size_t k = 0; k < rest; ++k) out[i + k] = halves[k];
  }
}

void scale(const float* x, float factor, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = x[i] * factor;
}

// tanh(y) = 1 - 2 / (1 + exp(2 y)).
void soft_cap(float* x, float cap, size_t n) {
  for (size_t i = 0; i < n; i += kLanes) {
    const size_t rest = n - i < kLanes ? n - i : kLanes;
    const Lanes y = div(load_first(x + i, rest, 0.0F), splat(cap));
    const Lanes e = exponential(add(y, y));
    const Lanes tanh = sub(splat(1.0F), div(splat(2.0F), add(splat(1.0F), e)));
    store_first(x + i, rest, mul(tanh, splat(cap)));
  }
}

#include "runtime/cpu/attention_kernels_inl.h"

float maximum_of(const float* x, size_t n) {
  Lanes m = splat(-kInfinity);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) m = maximum(load(x + i), m);
  if (i < n) m = maximum(load_first(x + i, n - i, -kInfinity), m);
  return max_tree(m);
}

void keep_allowed(const float* x, const uint64_t* allowed, size_t n, float* out) {
  for (size_t i = 0; i < n; i += kLanes) {
    const size_t rest = n - i < kLanes ? n - i : kLanes;
    const uint32_t bits = static_cast<uint32_t>(allowed[i / 64] >> i % 64 & 0xFFFFU);
    store_first(out + i, rest, where(bits, load_first(x + i, rest, -kInfinity), -kInfinity));
  }
}

float sum_exp(const float* x, size_t n, float shift, float factor) {
  constexpr size_t kVectors = kChoiceLanes / kLanes;
  Lanes sums[kVectors];
  for (Lanes& sum : sums) sum = splat(0.0F);
  for (size_t i = 0; i < n; i += kLanes) {
    const size_t rest = n - i < kLanes ? n - i : kLanes;
    const Lanes v = load_first(x + i, rest, -kInfinity);
    Lanes& sum = sums[i / kLanes % kVectors];
    sum = add(sum, exponential_to_one(mul(sub(v, splat(shift)), splat(factor))));
  }
  for (size_t half = kVectors / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) sums[i] = add(sums[i], sums[i + half]);
  }
  return sum_tree(sums[0]);
}

void exponentials(const float* x, size_t n, float shift, float factor, float* out) {
  for (size_t i = 0; i < n; i += kLanes) {
    const size_t rest = n - i < kLanes ? n - i : kLanes;
    const Lanes v = load_first(x + i, rest, shift);
    store_first(out + i, rest, exponential(mul(sub(v, splat(shift)), splat(factor))));
  }
}

// fp32 activations against F32, F16 and BF16 weights: lane k mod 16, a segment's columns in order,
// then the segments lane by lane, then the tree.
template <DenseType kType>
inline Lanes load_weights(const unsigned char* row, size_t column) {
  if constexpr (kType == DenseType::kF32) return load(reinterpret_cast<const float*>(row) + column);
  const uint16_t* halves = reinterpret_cast<const uint16_t*>(row) + column;
  if constexpr (kType == DenseType::kF16) return load_half(halves);
  return load_bf16(halves);
}
template <DenseType kType>
inline Lanes load_weights_first(const unsigned char* row, size_t column, size_t n) {
  if constexpr (kType == DenseType::kF32) {
    return load_first(reinterpret_cast<const float*>(row) + column, n, 0.0F);
  }
  const uint16_t* halves = reinterpret_cast<const uint16_t*>(row) + column;
  if constexpr (kType == DenseType::kF16) return load_half_first(halves, n);
  return load_bf16_first(halves, n);
}

template <DenseType kType, int kRows>
inline void dense_rows(const unsigned char* weights, size_t columns, const float* x,
                       size_t x_stride, float* out, size_t stride, bool add_to) {
  Lanes total[kRows];
  ESP_UNROLL for (int m = 0; m < kRows; ++m) total[m] = splat(0.0F);
  for (size_t begin = 0; begin < columns; begin += kProductSegment) {
    const size_t end = columns - begin < kProductSegment ? columns : begin + kProductSegment;
    Lanes acc[kRows];
    ESP_UNROLL for (int m = 0; m < kRows; ++m) acc[m] = splat(0.0F);
    size_t k = begin;
    for (; k + kLanes <= end; k += kLanes) {
      const Lanes w = load_weights<kType>(weights, k);
      ESP_UNROLL for (int m = 0; m < kRows; ++m) {
        acc[m] = fma(w, load(x + static_cast<size_t>(m) * x_stride + k), acc[m]);
      }
    }
    if (k < end) {
      const Lanes w = load_weights_first<kType>(weights, k, end - k);
      ESP_UNROLL for (int m = 0; m < kRows; ++m) {
        const float* row = x + static_cast<size_t>(m) * x_stride + k;
        acc[m] = fma(w, load_first(row, end - k, 0.0F), acc[m]);
      }
    }
    ESP_UNROLL for (int m = 0; m < kRows; ++m) {
      total[m] = begin == 0 ? acc[m] : add(total[m], acc[m]);
    }
  }
  for (int m = 0; m < kRows; ++m) {
    float& to = out[static_cast<size_t>(m) * stride];
    const float dot = sum_tree(total[m]);
    to = add_to ? to + dot : dot;
  }
}

template <DenseType kType>
void dense_of(const unsigned char* weights, size_t weight_rows, size_t columns, const float* x,
              size_t x_stride, size_t rows, float* out, size_t stride, bool add_to) {
  const size_t row_bytes = columns * (kType == DenseType::kF32 ? 4 : 2);
  for (size_t n = 0; n < weight_rows; ++n, weights += row_bytes) {
    size_t m = 0;
    for (; m + 4 <= rows; m += 4) {
      dense_rows<kType, 4>(weights, columns, x + m * x_stride, x_stride, out + m * stride + n,
                           stride, add_to);
    }
    for (; m < rows; ++m) {
      dense_rows<kType, 1>(weights, columns, x + m * x_stride, x_stride, out + m * stride + n,
                           stride, add_to);
    }
  }
}

void dense_product(DenseType type, const void* weights, size_t weight_rows, size_t columns,
                   const float* x, size_t x_stride, size_t rows, float* out, size_t stride,
                   bool add_to) {
  const auto* bytes = static_cast<const unsigned char*>(weights);
  switch (type) {
    case DenseType::kF32:
      return dense_of<DenseType::kF32>(bytes, weight_rows, columns, x, x_stride, rows, out, stride,
                                       add_to);
    case DenseType::kF16:
      return dense_of<DenseType::kF16>(bytes, weight_rows, columns, x, x_stride, rows, out, stride,
                                       add_to);
    case DenseType::kBF16:
      return dense_of<DenseType::kBF16>(bytes, weight_rows, columns, x, x_stride, rows, out, stride,
                                        add_to);
  }
}

// The scale of a block of activations, from the largest magnitude's bits. Bits compare as the
// magnitudes do, with NaN above infinity: a block that holds either gets the scale NaN, so that it
// shows in every output. Blocks below 2^-100 count as zero: 127 / maximum must not overflow.
struct BlockScale {
  float scale;
  float inverse;
};
inline BlockScale block_scale(uint32_t top_bits) {
  if (top_bits >= 0x7F800000U) return {__builtin_nanf(""), 0.0F};
  float top;
  __builtin_memcpy(&top, &top_bits, sizeof top);
  if (top < 0x1p-100F) return {0.0F, 0.0F};
  return {top / 127.0F, 127.0F / top};
}

void quantise(const float* x, size_t blocks, const QuantisedRows& out, size_t row, size_t first) {
  size_t at = code_place(row, first, out.columns / kBlock);
  for (size_t b = 0; b < blocks; ++b, x += kBlock, at += kRowGroup) {
    int8_t* codes = out.codes + at * kBlock;
    const BlockScale s = block_scale(largest_magnitude_bits(x));
    HalfSums sums{0, 0};
    // A scale of NaN or 0 has the inverse 0, which must not meet an infinity.
    if (s.inverse != 0.0F) {
      sums = round_to_codes(x, s.inverse, codes);
    } else {
      __builtin_memset(codes, 0, kBlock);
    }
    const int32_t sum = sums.first + sums.second;
    out.blocks[at] = {s.scale, s.scale * static_cast<float>(sum), -8 * sum, -128 * sum};
    if (out.halves == nullptr) continue;
    out.halves[at] = {
        {s.scale * static_cast<float>(sums.first), s.scale * static_cast<float>(sums.second)},
        {-128 * sums.first, -128 * sums.second}};
  }
}
