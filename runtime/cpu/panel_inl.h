// The codes of a weight panel as vectors of bytes, 4 columns of each output (kernels.h:
// PanelFormat); the segments of its products.
//
// Included by a vector kernel file inside its anonymous namespace, after it has defined `Bytes`
// and:
//   load_bytes(p) splat_byte(x) shift_left<n>(v) shift_right<n>(v) (of 16-bit pairs; what crosses a
//   byte is masked off here) keep(v, mask) join(a, v, mask): a | (v & mask)
// No include guard: a file includes it once.

// Moves the bits that stand at kFrom of each byte to kTo; the bits beside them are rubbish.
template <int kFrom, int kTo>
inline Bytes move_bits(Bytes v) {
  if constexpr (kTo > kFrom) return shift_left<kTo - kFrom>(v);
  if constexpr (kTo < kFrom) return shift_right<kFrom - kTo>(v);
  return v;
}

// Columns 4 * kJ to 4 * kJ + 3 of a block whose planes start at `planes`: codes times 2^kShift.
template <PanelType kType, int kShift, int kJ>
inline Bytes column_codes(const unsigned char* planes) {
  constexpr PanelFormat kFormat = panel_format(kType);
  constexpr int kLow = kFormat.low_bits;
  constexpr int kHigh = kFormat.high_bits;
  Bytes codes = load_bytes(planes + 64 * (kJ % kLow));
  if constexpr (kLow < 8) {
    constexpr int kMask = ((1 << kLow) - 1) << kShift;
    codes = keep(move_bits<kLow*(kJ / kLow), kShift>(codes), splat_byte(kMask));
  }
  if constexpr (kHigh > 0) {
    constexpr int kMask = ((1 << kHigh) - 1) << (kShift + kLow);
    const Bytes upper = load_bytes(planes + 64 * (kLow + kJ % kHigh));
    codes = join(codes, move_bits<kHigh*(kJ / kHigh), kShift + kLow>(upper), splat_byte(kMask));
  }
  return codes;
}

// The numerics contract's segments, of kRows rows with a vector of outputs each: at a segment's end
// its sums go to those before, and the next begins at 0. Within the loop over blocks, not around
// it: compilers then keep `acc` in registers and `total`, which is seldom wanted, in memory.
template <class Vector, int kRows>
inline void end_segment(Vector (&acc)[kRows], Vector (&total)[kRows], bool first) {
  if (!first) {
    ESP_UNROLL for (int m = 0; m < kRows; ++m) acc[m] = total[m] + acc[m];
  }
  ESP_UNROLL for (int m = 0; m < kRows; ++m) {
    total[m] = acc[m];
    acc[m] = Vector{};
  }
}
