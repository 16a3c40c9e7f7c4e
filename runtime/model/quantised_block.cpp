#include "runtime/model/quantised_block.h"

#include <algorithm>
#include <cstring>

#include "runtime/model/code_values.h"
#include "runtime/model/half.h"

namespace espalier::runtime {

namespace {

std::uint8_t byte_at(const std::byte* from) { return std::to_integer<std::uint8_t>(*from); }

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

float load_half(const std::byte* from) { return half_to_float(load<std::uint16_t>(from)); }

// `count` codes: the low nibbles of as many bytes, then their high nibbles.
void nibbles(const std::byte* from, std::size_t count, std::uint8_t* codes) {
  for (std::size_t i = 0; i < count; ++i) {
    codes[i] = byte_at(from + i) & 15;
    codes[count + i] = byte_at(from + i) >> 4;
  }
}

// Bit i of a word is the fifth of code i.
void fifth_bits(std::uint32_t bits, std::uint8_t* codes) {
  for (std::size_t i = 0; i < 32; ++i) {
    codes[i] = static_cast<std::uint8_t>(codes[i] | (bits >> i & 1U) << 4);
  }
}

// Pairs of bits in 64 bytes: byte 32 * half + i holds codes i, 32 + i, 64 + i and 96 + i of a half
// of the super-block.
void bit_pairs(const std::byte* from, std::uint8_t* codes) {
  for (std::size_t part = 0; part < 8; ++part) {
    const std::byte* bytes = from + 32 * (part / 4);
    const unsigned shift = 2 * (part % 4);
    for (std::size_t i = 0; i < 32; ++i) codes[32 * part + i] = byte_at(bytes + i) >> shift & 3;
  }
}

// Eight scales and eight minima of 6 bits in 12 bytes: the first four of each in bytes 0 to 7; the
// others' lower nibbles in bytes 8 to 11, their upper bits above the first ones'.
void k_scales(const std::byte* packed, QuantisedBlock& out) {
  for (std::size_t g = 0; g < 4; ++g) {
    const unsigned scale = byte_at(packed + g);
    const unsigned minimum = byte_at(packed + 4 + g);
    const unsigned both = byte_at(packed + 8 + g);
    out.scales[g] = static_cast<std::int8_t>(scale & 63);
    out.minima[g] = static_cast<std::uint8_t>(minimum & 63);
    out.scales[4 + g] = static_cast<std::int8_t>((both & 15) | (scale >> 6) << 4);
    out.minima[4 + g] = static_cast<std::uint8_t>(both >> 4 | (minimum >> 6) << 4);
  }
}

void one_group(const std::byte* scale, QuantisedBlock& out) {
  out.scale = load_half(scale);
  out.scales[0] = 1;
}

void one_group_with_minimum(const std::byte* both, QuantisedBlock& out) {
  one_group(both, out);
  out.minimum = load_half(both + 2);
  out.minima[0] = 1;
}

void q4_0(const std::byte* block, QuantisedBlock& out) {
  one_group(block, out);
  nibbles(block + 2, 16, out.codes);
}

void q4_1(const std::byte* block, QuantisedBlock& out) {
  one_group_with_minimum(block, out);
  nibbles(block + 4, 16, out.codes);
}

void q5_0(const std::byte* block, QuantisedBlock& out) {
  one_group(block, out);
  nibbles(block + 6, 16, out.codes);
  fifth_bits(load<std::uint32_t>(block + 2), out.codes);
}

void q5_1(const std::byte* block, QuantisedBlock& out) {
  one_group_with_minimum(block, out);
  nibbles(block + 8, 16, out.codes);
  fifth_bits(load<std::uint32_t>(block + 4), out.codes);
}

// Signed bytes; the unsigned code is 128 more.
void q8_0(const std::byte* block, QuantisedBlock& out) {
  one_group(block, out);
  for (std::size_t i = 0; i < 32; ++i) out.codes[i] = byte_at(block + 2 + i) ^ 0x80U;
}

void q2_k(const std::byte* block, QuantisedBlock& out) {
  out.scale = load_half(block + 80);
  out.minimum = -load_half(block + 82);
  for (std::size_t g = 0; g < 16; ++g) {
    out.scales[g] = static_cast<std::int8_t>(byte_at(block + g) & 15);
    out.minima[g] = byte_at(block + g) >> 4;
  }
  bit_pairs(block + 16, out.codes);
}

// The third bits are in 32 bytes: byte i holds those of weights i, 32 + i, ..., bit 0 first.
// Sixteen signed scales of 6 bits in 12 bytes: lower nibbles in bytes 0 to 7 (low ones first),
// upper pairs of bits in bytes 8 to 11.
void q3_k(const std::byte* block, QuantisedBlock& out) {
  const std::byte* packed = block + 96;
  out.scale = load_half(block + 108);
  for (std::size_t g = 0; g < 16; ++g) {
    const unsigned low = byte_at(packed + g % 8) >> (g < 8 ? 0 : 4) & 15;
    const unsigned high = byte_at(packed + 8 + g % 4) >> (2 * (g / 4)) & 3;
    out.scales[g] = static_cast<std::int8_t>(static_cast<int>(low | high << 4) - 32);
  }
  bit_pairs(block + 32, out.codes);
  for (std::size_t part = 0; part < 8; ++part) {
    for (std::size_t i = 0; i < 32; ++i) {
      const unsigned third = byte_at(block + i) >> part & 1;
      out.codes[32 * part + i] = static_cast<std::uint8_t>(out.codes[32 * part + i] | third << 2);
    }
  }
}

void q4_k(const std::byte* block, QuantisedBlock& out) {
  out.scale = load_half(block);
  out.minimum = -load_half(block + 2);
  k_scales(block + 4, out);
  for (std::size_t pair = 0; pair < 4; ++pair) {
    nibbles(block + 16 + 32 * pair, 32, out.codes + 64 * pair);
  }
}

// The fifth bits are in 32 bytes: byte i holds those of weights i, 32 + i, ..., bit 0 first.
void q5_k(const std::byte* block, QuantisedBlock& out) {
  out.scale = load_half(block);
  out.minimum = -load_half(block + 2);
  k_scales(block + 4, out);
  for (std::size_t pair = 0; pair < 4; ++pair) {
    nibbles(block + 48 + 32 * pair, 32, out.codes + 64 * pair);
  }
  for (std::size_t part = 0; part < 8; ++part) {
    for (std::size_t i = 0; i < 32; ++i) {
      const unsigned fifth = byte_at(block + 16 + i) >> part & 1;
      out.codes[32 * part + i] = static_cast<std::uint8_t>(out.codes[32 * part + i] | fifth << 4);
    }
  }
}

// A half of 128 weights has its low nibbles in 64 bytes (low ones first) and its upper pairs of
// bits in 32 bytes (weights i, 32 + i, 64 + i, 96 + i).
void q6_k(const std::byte* block, QuantisedBlock& out) {
  out.scale = load_half(block + 208);
  std::memcpy(out.scales, block + 192, 16);
  for (std::size_t half = 0; half < 2; ++half) {
    nibbles(block + 64 * half, 64, out.codes + 128 * half);
  }
  for (std::size_t part = 0; part < 8; ++part) {
    const std::byte* bytes = block + 128 + 32 * (part / 4);
    const unsigned shift = 2 * (part % 4);
    for (std::size_t i = 0; i < 32; ++i) {
      const unsigned upper = byte_at(bytes + i) >> shift & 3;
      out.codes[32 * part + i] = static_cast<std::uint8_t>(out.codes[32 * part + i] | upper << 4);
    }
  }
}

void iq4_nl(const std::byte* block, QuantisedBlock& out) {
  one_group(block, out);
  nibbles(block + 2, 16, out.codes);
}

// Eight scales of 6 bits, 32 more than they stand for: lower nibbles in 4 bytes, upper pairs of
// bits in the 16 before them.
void iq4_xs(const std::byte* block, QuantisedBlock& out) {
  out.scale = load_half(block);
  const unsigned upper = load<std::uint16_t>(block + 2);
  for (std::size_t g = 0; g < 8; ++g) {
    const unsigned low = byte_at(block + 4 + g / 2) >> (4 * (g % 2)) & 15;
    const unsigned high = upper >> (2 * g) & 3;
    out.scales[g] = static_cast<std::int8_t>(static_cast<int>(low | high << 4) - 32);
    nibbles(block + 8 + 16 * g, 16, out.codes + 32 * g);
  }
}

void mxfp4(const std::byte* block, QuantisedBlock& out) {
  out.scale = e8m0_half_to_float(byte_at(block));
  out.scales[0] = 1;
  nibbles(block + 1, 16, out.codes);
}

struct Entry {
  TensorType type;
  QuantisedFormat format;
};

constexpr Entry kEntries[] = {
    {TensorType::kQ4_0, {32, 8, nullptr, false, q4_0}},
    {TensorType::kQ4_1, {32, 0, nullptr, true, q4_1}},
    {TensorType::kQ5_0, {32, 16, nullptr, false, q5_0}},
    {TensorType::kQ5_1, {32, 0, nullptr, true, q5_1}},
    {TensorType::kQ8_0, {32, 128, nullptr, false, q8_0}},
    {TensorType::kQ2_K, {16, 0, nullptr, true, q2_k}},
    {TensorType::kQ3_K, {16, 4, nullptr, false, q3_k}},
    {TensorType::kQ4_K, {32, 0, nullptr, true, q4_k}},
    {TensorType::kQ5_K, {32, 0, nullptr, true, q5_k}},
    {TensorType::kQ6_K, {16, 32, nullptr, false, q6_k}},
    {TensorType::kIQ4_NL, {32, 0, kIq4Values, false, iq4_nl}},
    {TensorType::kIQ4_XS, {32, 0, kIq4Values, false, iq4_xs}},
    {TensorType::kMXFP4, {32, 0, kMxfp4Values, false, mxfp4}},
};

}  // namespace

const QuantisedFormat* quantised_format(TensorType type) {
  const auto* it = std::find_if(std::begin(kEntries), std::end(kEntries),
                                [&](const Entry& entry) { return entry.type == type; });
  return it == std::end(kEntries) ? nullptr : &it->format;
}

}  // namespace espalier::runtime
