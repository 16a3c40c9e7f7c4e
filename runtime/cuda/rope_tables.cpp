#include "runtime/cuda/rope_tables.h"

#include <algorithm>
#include <utility>

namespace espalier::runtime::cuda {
namespace {

// Positions for which a table is made at first.
constexpr std::uint32_t kFirstPositions = 1024;

std::uint32_t grown(std::uint32_t now, std::uint32_t count) {
  return std::max({count, 2 * now, kFirstPositions});
}

}  // namespace

Status RopeTables::reach(std::uint32_t count, const Stream& stream) {
  if (count <= positions_) return {};
  const std::uint32_t positions = grown(positions_, count);
  const std::size_t pairs = table_.pairs();
  std::vector<float> values(2 * std::size_t{positions} * pairs);
  float* sines = values.data() + std::size_t{positions} * pairs;
  for (std::uint32_t p = 0; p < positions; ++p) {
    table_.fill(p, values.data() + p * pairs, sines + p * pairs);
  }
  ESP_ASSIGN(DeviceMemory memory,
             DeviceMemory::allocate(values.size() * sizeof(float), "table of rotations"));
  ESP_TRY(stream.copy_in(memory.data(), values.data(), values.size() * sizeof(float)));
  ESP_TRY(stream.wait("table of rotations"));
  memory_ = std::move(memory);
  positions_ = positions;
  return {};
}

Status TemperatureTable::reach(const ModelShape& shape, std::uint32_t count, const Stream& stream) {
  if (shape.temperature == 0.0F || count <= positions_) return {};
  const std::uint32_t positions = grown(positions_, count);
  std::vector<float> values(positions);
  for (std::uint32_t p = 0; p < positions; ++p) values[p] = cpu::query_temperature(shape, p);
  ESP_ASSIGN(DeviceMemory memory,
             DeviceMemory::allocate(positions * sizeof(float), "table of temperatures"));
  ESP_TRY(stream.copy_in(memory.data(), values.data(), positions * sizeof(float)));
  ESP_TRY(stream.wait("table of temperatures"));
  memory_ = std::move(memory);
  positions_ = positions;
  return {};
}

}  // namespace espalier::runtime::cuda
