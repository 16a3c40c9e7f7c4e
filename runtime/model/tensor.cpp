#include "runtime/model/tensor.h"

#include <cstring>

#include "runtime/model/half.h"

namespace espalier::runtime {
namespace {

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

float load_half(const std::byte* from) { return half_to_float(load<std::uint16_t>(from)); }

void row_f32(const std::byte* row, std::span<float> out) {
  std::memcpy(out.data(), row, out.size_bytes());
}

void row_f16(const std::byte* row, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = load_half(row + 2 * i);
}

void row_bf16(const std::byte* row, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = bfloat16_to_float(load<std::uint16_t>(row + 2 * i));
}

// The 4-bit blocks keep weight i in the low nibble of byte i and weight i + 16 in its high nibble.
void row_q4_0(const std::byte* row, std::span<float> out) {
  for (std::size_t block = 0; block * 32 < out.size(); ++block, row += 18) {
    const float scale = load_half(row);
    for (std::size_t i = 0; i < 16; ++i) {
      const auto pair = static_cast<int>(row[2 + i]);
      out[block * 32 + i] = static_cast<float>((pair & 15) - 8) * scale;
      out[block * 32 + 16 + i] = static_cast<float>((pair >> 4) - 8) * scale;
    }
  }
}

void row_q4_1(const std::byte* row, std::span<float> out) {
  for (std::size_t block = 0; block * 32 < out.size(); ++block, row += 20) {
    const float scale = load_half(row);
    const float minimum = load_half(row + 2);
    for (std::size_t i = 0; i < 16; ++i) {
      const auto pair = static_cast<int>(row[4 + i]);
      out[block * 32 + i] = static_cast<float>(pair & 15) * scale + minimum;
      out[block * 32 + 16 + i] = static_cast<float>(pair >> 4) * scale + minimum;
    }
  }
}

void row_q8_0(const std::byte* row, std::span<float> out) {
  for (std::size_t block = 0; block * 32 < out.size(); ++block, row += 34) {
    const float scale = load_half(row);
    for (std::size_t i = 0; i < 32; ++i) {
      out[block * 32 + i] = static_cast<float>(load<std::int8_t>(row + 2 + i)) * scale;
    }
  }
}

struct Format {
  TensorType type;
  TensorTraits traits;
  void (*dequantise)(const std::byte* row, std::span<float> out);
};

// Another type is another row here.
constexpr Format kFormats[] = {
    {TensorType::kF32, {"F32", 1, 4}, row_f32},
    {TensorType::kF16, {"F16", 1, 2}, row_f16},
    {TensorType::kBF16, {"BF16", 1, 2}, row_bf16},
    {TensorType::kQ4_0, {"Q4_0", 32, 18}, row_q4_0},
    {TensorType::kQ4_1, {"Q4_1", 32, 20}, row_q4_1},
    {TensorType::kQ8_0, {"Q8_0", 32, 34}, row_q8_0},
};

const Format* find_format(TensorType type) {
  for (const Format& format : kFormats) {
    if (format.type == type) return &format;
  }
  return nullptr;
}

}  // namespace

const TensorTraits* tensor_traits(TensorType type) {
  const Format* format = find_format(type);
  return format == nullptr ? nullptr : &format->traits;
}

std::uint64_t Tensor::row_bytes() const {
  const TensorTraits* traits = tensor_traits(type);
  ESP_CHECK(traits != nullptr);
  return columns / traits->block_weights * traits->block_bytes;
}

void dequantise_row(const Tensor& tensor, std::uint64_t row, std::span<float> out) {
  const Format* format = find_format(tensor.type);
  ESP_CHECK(format != nullptr && row < tensor.rows && out.size() == tensor.columns);
  format->dequantise(tensor.data.data() + row * tensor.row_bytes(), out);
}

}  // namespace espalier::runtime
