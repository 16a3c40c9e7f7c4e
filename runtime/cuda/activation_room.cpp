#include "runtime/cuda/activation_room.h"

namespace espalier::runtime::cuda {

Status ActivationRoom::fit(std::uint32_t rows, std::uint32_t columns, const MatrixGroup& reader) {
  const std::uint64_t whole = (rows + kTileRows - 1) / kTileRows * kTileRows;
  const std::uint64_t blocks = columns / kBlock;
  std::uint64_t at = 0;
  const auto place = [&](bool wanted, std::uint64_t bytes) {
    const std::uint64_t here = at;
    if (wanted) at += (bytes + 255) / 256 * 256;
    return here;
  };
  const bool codes = reader.codes;
  const bool halves = reader.halves;
  const std::uint64_t floats = place(reader.floats, std::uint64_t{rows} * columns * sizeof(float));
  const std::uint64_t code_bytes = place(codes, whole * blocks * kBlock);
  const std::uint64_t scales = place(codes, whole * blocks * sizeof(float));
  const std::uint64_t scaled_sums = place(codes, whole * blocks * sizeof(float));
  const std::uint64_t scaled_halves = place(halves, whole * blocks * 2 * sizeof(float));
  const std::uint64_t stride = strip_columns(columns);
  const std::uint64_t e4m3 = place(reader.e4m3, rows * stride);
  const std::uint64_t row_scales = place(reader.e4m3, rows * sizeof(float));
  ESP_TRY(memory_.fit(at, "activations"));
  view_ = {};
  if (reader.floats) {
    view_.floats = memory_.as<float>(floats);
    view_.stride = columns;
  }
  if (codes) {
    view_.coded.codes = memory_.as<std::int8_t>(code_bytes);
    view_.coded.scales = memory_.as<float>(scales);
    view_.coded.scaled_sums = memory_.as<float>(scaled_sums);
    view_.coded.blocks = static_cast<std::uint32_t>(blocks);
  }
  if (halves) view_.coded.scaled_half_sums = memory_.as<float>(scaled_halves);
  if (reader.e4m3) {
    view_.e4m3 = {memory_.as<std::uint8_t>(e4m3), memory_.as<float>(row_scales), stride};
  }
  return {};
}

Status ActivationRoom::fit_strips(std::uint32_t rows, std::uint32_t columns, WeightFormat format) {
  const std::size_t stride = strip_columns(columns);
  ESP_TRY(memory_.fit(std::uint64_t{rows} * stride * sizeof(std::uint16_t), "activations"));
  view_ = {};
  view_.strips = {memory_.as<std::uint16_t>(), stride, format};
  return {};
}

}  // namespace espalier::runtime::cuda
