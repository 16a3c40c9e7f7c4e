#include "runtime/model/tensor.h"

#include <algorithm>
#include <cstring>

#include "runtime/model/half.h"
#include "runtime/model/quantised_block.h"

namespace espalier::runtime {
namespace {

struct Type {
  TensorType type;
  TensorTraits traits;
};

constexpr Type kTraits[] = {
    {TensorType::kF32, {"F32", 1, 4}},         {TensorType::kF16, {"F16", 1, 2}},
    {TensorType::kQ4_0, {"Q4_0", 32, 18}},     {TensorType::kQ4_1, {"Q4_1", 32, 20}},
    {TensorType::kQ5_0, {"Q5_0", 32, 22}},     {TensorType::kQ5_1, {"Q5_1", 32, 24}},
    {TensorType::kQ8_0, {"Q8_0", 32, 34}},     {TensorType::kQ2_K, {"Q2_K", 256, 84}},
    {TensorType::kQ3_K, {"Q3_K", 256, 110}},   {TensorType::kQ4_K, {"Q4_K", 256, 144}},
    {TensorType::kQ5_K, {"Q5_K", 256, 176}},   {TensorType::kQ6_K, {"Q6_K", 256, 210}},
    {TensorType::kIQ4_NL, {"IQ4_NL", 32, 18}}, {TensorType::kIQ4_XS, {"IQ4_XS", 256, 136}},
    {TensorType::kBF16, {"BF16", 1, 2}},       {TensorType::kMXFP4, {"MXFP4", 32, 17}},
};

constexpr auto kTypes = [] {
  std::array<TensorType, std::size(kTraits)> out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = kTraits[i].type;
  return out;
}();

std::uint16_t word_at(const std::byte* from) {
  std::uint16_t value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

void dequantise_block(const QuantisedFormat& format, const QuantisedBlock& block,
                      std::span<float> out) {
  for (std::size_t begin = 0; begin < out.size(); begin += format.group_weights) {
    const std::size_t group = begin / format.group_weights;
    const float scale = block.scale * static_cast<float>(block.scales[group]);
    for (std::size_t i = begin; i < begin + format.group_weights; ++i) {
      const int value =
          format.values != nullptr ? format.values[block.codes[i]] : block.codes[i] - format.bias;
      out[i] = scale * static_cast<float>(value);
    }
    if (!format.has_minima) continue;
    const float minimum = block.minimum * static_cast<float>(block.minima[group]);
    for (std::size_t i = begin; i < begin + format.group_weights; ++i) out[i] += minimum;
  }
}

}  // namespace

const TensorTraits* tensor_traits(TensorType type) {
  const auto* it = std::find_if(std::begin(kTraits), std::end(kTraits),
                                [&](const Type& entry) { return entry.type == type; });
  return it == std::end(kTraits) ? nullptr : &it->traits;
}

std::span<const TensorType> tensor_types() { return kTypes; }

std::uint64_t Tensor::row_bytes() const {
  const TensorTraits* traits = tensor_traits(type);
  ESP_CHECK(traits != nullptr);
  return columns / traits->block_weights * traits->block_bytes;
}

void dequantise_row(const Tensor& tensor, std::uint64_t row, std::span<float> out) {
  ESP_CHECK(row < tensor.rows && out.size() == tensor.columns);
  const std::byte* from = tensor.data.data() + row * tensor.row_bytes();
  if (const QuantisedFormat* format = quantised_format(tensor.type)) {
    const TensorTraits& traits = *tensor_traits(tensor.type);
    QuantisedBlock block;
    for (; !out.empty(); from += traits.block_bytes) {
      format->take_apart(from, block);
      dequantise_block(*format, block, out.first(traits.block_weights));
      out = out.subspan(traits.block_weights);
    }
  } else if (tensor.type == TensorType::kF32) {
    std::memcpy(out.data(), from, out.size_bytes());
  } else {
    const bool half = tensor.type == TensorType::kF16;
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::uint16_t word = word_at(from + 2 * i);
      out[i] = half ? half_to_float(word) : bfloat16_to_float(word);
    }
  }
}

}  // namespace espalier::runtime
