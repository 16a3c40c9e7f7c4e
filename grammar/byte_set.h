// A set of byte values: 256 bits, a value type.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace espalier::grammar {

class ByteSet {
 public:
  constexpr ByteSet() = default;
  static constexpr ByteSet range(unsigned low, unsigned high) {  // both ends in
    ByteSet set;
    for (unsigned w = low / 64; w <= high / 64; ++w) {
      std::uint64_t bits = ~std::uint64_t{0};
      if (w == low / 64) bits &= ~std::uint64_t{0} << (low % 64);
      if (w == high / 64) bits &= ~std::uint64_t{0} >> (63 - high % 64);
      set.words_[w] = bits;
    }
    return set;
  }
  static constexpr ByteSet all() { return range(0, 255); }
  static constexpr ByteSet of(const char* bytes) {
    ByteSet set;
    for (; *bytes != 0; ++bytes) set.add(static_cast<unsigned char>(*bytes));
    return set;
  }
  constexpr void add(unsigned b) { words_[b / 64] |= std::uint64_t{1} << (b % 64); }
  constexpr void remove(unsigned b) { words_[b / 64] &= ~(std::uint64_t{1} << (b % 64)); }
  [[nodiscard]] constexpr bool has(unsigned b) const {
    return ((words_[b / 64] >> (b % 64)) & 1) != 0;
  }
  [[nodiscard]] constexpr bool none() const {
    return (words_[0] | words_[1] | words_[2] | words_[3]) == 0;
  }
  // Without the instruction, which the baseline machine does not promise: a call a word instead.
  [[nodiscard]] constexpr unsigned count() const {
    std::uint64_t sum = 0;  // in each byte, at most 32
    for (std::uint64_t w : words_) {
      w -= (w >> 1) & 0x5555555555555555ULL;
      w = (w & 0x3333333333333333ULL) + ((w >> 2) & 0x3333333333333333ULL);
      sum += (w + (w >> 4)) & 0x0F0F0F0F0F0F0F0FULL;
    }
    sum = (sum & 0x00FF00FF00FF00FFULL) + ((sum >> 8) & 0x00FF00FF00FF00FFULL);
    return static_cast<unsigned>((sum * 0x0001000100010001ULL) >> 48);
  }
  /// The smallest member; 256 when there is none.
  [[nodiscard]] constexpr unsigned lowest() const {
    for (unsigned i = 0; i < 4; ++i) {
      if (words_[i] != 0) return i * 64 + static_cast<unsigned>(std::countr_zero(words_[i]));
    }
    return 256;
  }
  constexpr ByteSet& operator|=(const ByteSet& other) {
    for (unsigned i = 0; i < 4; ++i) words_[i] |= other.words_[i];
    return *this;
  }
  constexpr ByteSet& operator&=(const ByteSet& other) {
    for (unsigned i = 0; i < 4; ++i) words_[i] &= other.words_[i];
    return *this;
  }
  friend constexpr ByteSet operator|(ByteSet a, const ByteSet& b) { return a |= b; }
  friend constexpr ByteSet operator&(ByteSet a, const ByteSet& b) { return a &= b; }
  friend constexpr ByteSet operator~(ByteSet a) {
    for (auto& w : a.words_) w = ~w;
    return a;
  }
  friend constexpr bool operator==(const ByteSet&, const ByteSet&) = default;
  [[nodiscard]] constexpr const std::array<std::uint64_t, 4>& words() const { return words_; }

 private:
  std::array<std::uint64_t, 4> words_{};
};

/// Cuts every class into the part inside and the part outside of `set`.
inline void refine(std::vector<ByteSet>& classes, const ByteSet& set) {
  const std::size_t n = classes.size();
  for (std::size_t i = 0; i < n; ++i) {
    const ByteSet in = classes[i] & set;
    const ByteSet out = classes[i] & ~set;
    if (in.none() || out.none()) continue;
    classes[i] = in;
    classes.push_back(out);
  }
}

}  // namespace espalier::grammar
