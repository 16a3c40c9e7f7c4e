#include "runtime/model/random_weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <future>
#include <vector>

#include "runtime/model/gguf_writer.h"
#include "runtime/model/half.h"

namespace espalier::runtime {
namespace {

// A block of random bits but for its scale: a weight's spread is scale * `largest`. Types with
// minima are centred by a minimum of -(scale * `largest`), or where a group's scale and minimum are
// random integers, by as much that is subtracted.
struct RandomBlock {
  TensorType type;
  std::uint32_t scale_at;
  float largest;
  std::uint32_t minimum_at;  // 0: none
  float centre;              // minimum / scale
};
constexpr RandomBlock kBlocks[] = {
    {TensorType::kQ4_0, 0, 8, 0, 0},       {TensorType::kQ4_1, 0, 7.5F, 2, -7.5F},
    {TensorType::kQ5_0, 0, 16, 0, 0},      {TensorType::kQ5_1, 0, 15.5F, 2, -15.5F},
    {TensorType::kQ8_0, 0, 127, 0, 0},     {TensorType::kQ2_K, 80, 15, 82, 1.5F},
    {TensorType::kQ3_K, 108, 64, 0, 0},    {TensorType::kQ4_K, 0, 450, 2, 7.5F},
    {TensorType::kQ5_K, 0, 900, 2, 15.5F}, {TensorType::kQ6_K, 208, 2400, 0, 0},
    {TensorType::kIQ4_NL, 0, 100, 0, 0},   {TensorType::kIQ4_XS, 0, 1600, 0, 0},
    {TensorType::kMXFP4, 0, 8, 0, 0},
};

// Fewer bytes are not worth a thread of their own.
constexpr std::uint64_t kLeastOfThread = std::uint64_t{1} << 16;

void put_block(std::string& out, const RandomBlock& it, std::size_t bytes, float spread,
               const RandomKey& key, std::uint64_t& counter) {
  const std::size_t begin = out.size();
  out.resize(begin + bytes);
  char* block = out.data() + begin;
  for (std::size_t at = 0; at < bytes; at += 16) {
    const auto bits = key.bits(counter++);
    std::memcpy(block + at, bits.data(), std::min<std::size_t>(16, bytes - at));
  }
  const auto place = [&](std::size_t at, float value) {
    const std::uint16_t half = float_to_half(value);
    std::memcpy(block + at, &half, sizeof half);
  };
  const float scale = spread / it.largest;
  if (it.type == TensorType::kMXFP4) {
    block[0] = static_cast<char>(128 + std::ilogb(scale));  // an exponent
  } else {
    place(it.scale_at, scale);
  }
  if (it.minimum_at != 0) place(it.minimum_at, scale * it.centre);
  if (it.type == TensorType::kQ8_0) {  // quantisers give -127 to 127
    for (std::size_t at = 2; at < bytes; ++at) block[at] = block[at] == '\x80' ? '\0' : block[at];
  }
}

void put_row(std::string& out, TensorType type, std::uint64_t columns, float scale,
             const RandomKey& key) {
  const TensorTraits& traits = *tensor_traits(type);
  std::uint64_t counter = 0;
  const auto uniform = [&] { return static_cast<float>(key.uniform(counter++) * 2.0 - 1.0); };
  for (const RandomBlock& it : kBlocks) {
    if (it.type != type) continue;
    for (std::uint64_t i = 0; i < columns / traits.block_weights; ++i) {
      const float spread = scale * (0.75F + 0.25F * uniform());
      put_block(out, it, traits.block_bytes, spread, key, counter);
    }
    return;
  }
  // Two weights a draw would do for the types of 16 bits; these are not what takes the time.
  for (std::uint64_t i = 0; i < columns; ++i) {
    const float weight = uniform() * scale;
    if (type == TensorType::kF32) put_bytes(out, weight);
    if (type == TensorType::kF16) put_bytes(out, float_to_half(weight));
    if (type == TensorType::kBF16) put_bytes(out, float_to_bfloat16(weight));
  }
}

}  // namespace

std::string random_rows(TensorType type, std::uint64_t columns, std::uint64_t rows,
                        const RandomKey& key, std::uint64_t first_row, unsigned threads) {
  const TensorTraits& traits = *tensor_traits(type);
  const std::uint64_t bytes = columns / traits.block_weights * traits.block_bytes;
  const std::uint64_t parts = std::min<std::uint64_t>(threads, rows * bytes / kLeastOfThread);
  std::string out;
  if (parts > 1) {
    std::vector<std::future<std::string>> made;
    for (std::uint64_t i = 0; i < parts; ++i) {
      const std::uint64_t first = rows * i / parts;
      made.push_back(std::async(std::launch::async, [=, count = rows * (i + 1) / parts - first] {
        return random_rows(type, columns, count, key, first_row + first);
      }));
    }
    for (std::future<std::string>& it : made) out += it.get();
    return out;
  }
  out.reserve(rows * bytes);
  const float scale = std::sqrt(3.0F / static_cast<float>(columns));
  for (std::uint64_t row = 0; row < rows; ++row) {
    put_row(out, type, columns, scale, key.with(first_row + row));
  }
  return out;
}

std::string random_norm(std::uint64_t width, const RandomKey& key) {
  std::string out;
  for (std::uint64_t i = 0; i < width; ++i)
    put_bytes(out, static_cast<float>(0.75 + 0.5 * key.uniform(i)));
  return out;
}

}  // namespace espalier::runtime
