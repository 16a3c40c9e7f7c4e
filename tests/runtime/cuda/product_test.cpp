// Products on the device's kernels against the scalar kernels of the CPU, bit for bit.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "runtime/cpu/kernels.h"
#include "runtime/cpu/matrix.h"
#include "runtime/cuda/kernels.h"
#include "runtime/cuda/panels.h"
#include "tests/runtime/cuda/rig.h"
#include "tests/support/random_tensor.h"

namespace espalier::runtime::cuda {
namespace {

using testing::RandomTensor;

// Rows in both forms: as the CPU's kernels read them, and as the device's do.
struct Rows {
  Rows(std::mt19937_64& random, std::size_t rows, std::size_t columns, const cpu::Matrix& reader) {
    std::normal_distribution<float> normal;
    on_cpu.reshape(rows, columns, {&reader});
    floats.resize(rows * columns);
    for (float& x : floats) x = normal(random);
    for (std::size_t m = 0; m < rows; ++m) {
      on_cpu.set(cpu::kScalarKernels, m, floats.data() + m * columns);
    }
    if (!reader.quantised()) return;
    const cpu::QuantisedRows& from = on_cpu.quantised();
    const std::size_t blocks = columns / kBlock;
    const std::size_t tiles = (rows + kTileRows - 1) / kTileRows;
    // What lies past the last row is anything.
    codes.resize(tiles * blocks * 256, 77);
    scales.resize(tiles * blocks * 8, 3.0F);
    scaled_sums = scales;
    scaled_half_sums.resize(2 * scales.size(), 5.0F);
    for (std::size_t m = 0; m < rows; ++m) {
      for (std::size_t b = 0; b < blocks; ++b) {
        const std::size_t block = m / 8 * blocks + b;
        const std::size_t at = cpu::code_place(m, b, blocks);
        const std::int8_t* code = from.codes + at * kBlock;
        for (std::size_t t = 0; t < 4; ++t) {
          std::int8_t* to = codes.data() + (block * 32 + m % 8 * 4 + t) * 8;
          std::memcpy(to, code + 4 * t, 4);
          std::memcpy(to + 4, code + 16 + 4 * t, 4);
        }
        scales[block * 8 + m % 8] = from.blocks[at].scale;
        scaled_sums[block * 8 + m % 8] = from.blocks[at].scaled_sum;
        if (from.halves == nullptr) continue;
        for (std::size_t h = 0; h < 2; ++h) {
          scaled_half_sums[(block * 8 + m % 8) * 2 + h] = from.halves[at].scaled_sums[h];
        }
      }
    }
  }
  cpu::Activations on_cpu;
  std::vector<float> floats, scales, scaled_sums, scaled_half_sums;
  std::vector<std::int8_t> codes;
};

// The same on the device.
struct DeviceRows {
  DeviceRows(const Rows& rows, std::size_t columns)
      : floats(rows.floats),
        scales(rows.scales),
        scaled_sums(rows.scaled_sums),
        scaled_half_sums(rows.scaled_half_sums),
        codes(rows.codes) {
    view.floats = floats.get();
    view.stride = columns;
    view.coded.codes = codes.get();
    view.coded.scales = scales.get();
    view.coded.scaled_sums = scaled_sums.get();
    view.coded.scaled_half_sums = scaled_half_sums.get();
    view.coded.blocks = static_cast<std::uint32_t>(columns / kBlock);
  }
  DeviceArray<float> floats, scales, scaled_sums, scaled_half_sums;
  DeviceArray<std::int8_t> codes;
  Activations view;
};

// A tensor's weights as the device has them.
struct DeviceWeights {
  explicit DeviceWeights(const Tensor& tensor) : data(laid_out(tensor)) {
    matrix.data = reinterpret_cast<const unsigned char*>(data.get());
    matrix.rows = static_cast<std::uint32_t>(tensor.rows);
    matrix.columns = static_cast<std::uint32_t>(tensor.columns);
    matrix.format = weight_format(tensor.type);
  }
  static std::vector<std::byte> laid_out(const Tensor& tensor) {
    std::vector<std::byte> out(device_bytes(tensor));
    lay_out(tensor, 0, groups_of(tensor), out);
    return out;
  }
  DeviceArray<std::byte> data;
  DeviceMatrix matrix;
};

class Product : public ::testing::TestWithParam<TensorType> {};

TEST_P(Product, HasTheBitsOfTheCpuWhateverTheNumberOfRows) {
  const TensorType type = GetParam();
  std::mt19937_64 random(7);
  const std::size_t unit = tensor_traits(type)->block_weights;
  struct Case {
    std::uint64_t outputs, columns, rows;
    bool add;
  };
  // Odd numbers of blocks, outputs that fill no panel, several rounds of columns, and rows on both
  // sides of every border between kernels.
  for (const Case& it :
       {Case{5, std::max<std::size_t>(unit, 32), 1, false}, Case{16, 3 * 256, 1, true},
        Case{40, 8 * 256 + (unit == 256 ? 256U : 96U), 1, false}, Case{33, 5 * 256, 3, false},
        Case{16, 9 * 256, 8, true}, Case{70, 2 * 256 + (unit == 256 ? 0U : 32U), 9, false},
        Case{20, 11 * 256, 31, true}, Case{17, 256, 43, false}}) {
    SCOPED_TRACE(std::to_string(it.outputs) + " outputs, " + std::to_string(it.columns) +
                 " columns, " + std::to_string(it.rows) + " rows");
    RandomTensor made(random, type, it.outputs, it.columns);
    std::vector<std::byte> panels(cpu::Matrix::panel_bytes(made.tensor));
    cpu::Matrix expected_matrix(made.tensor, panels.data());
    expected_matrix.make_panels(0, expected_matrix.panels());
    Rows x(random, it.rows, it.columns, expected_matrix);

    const std::size_t stride = expected_matrix.panels() * 16;
    std::vector<float> expected(it.rows * stride);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = static_cast<float>(i % 13) - 6;
    const std::vector<float> before = expected;
    expected_matrix.product(cpu::kScalarKernels, x.on_cpu, 0, it.rows, 0, expected_matrix.panels(),
                            expected.data(), stride, it.add);

    const DeviceWeights weights(made.tensor);
    const DeviceMatrix& matrix = weights.matrix;
    const DeviceRows on_device(x, it.columns);
    in_all_orders(
        [&] {
          const DeviceArray<float> result(before);
          product(nullptr, matrix, on_device.view, static_cast<std::uint32_t>(it.rows),
                  result.get(), stride, it.add);
          const std::vector<float> out = result.read();
          for (std::size_t m = 0; m < it.rows; ++m) {
            const auto row = [&](const std::vector<float>& of) {
              const float* first = of.data() + m * stride;
              return std::vector<float>(first, first + it.outputs);
            };
            ASSERT_TRUE(same_bits(row(expected), row(out))) << "row " << m;
          }
        },
        2);
  }
}

// Of a bitset of panels those that are wanted have the same bits, and where a thread block has none
// of them nothing is written, which it would be after a read of its weights.
TEST_P(Product, OfWantedPanelsHasTheSameBitsAndLeavesOthersAlone) {
  const TensorType type = GetParam();
  std::mt19937_64 random(8);
  constexpr std::uint32_t kOutputs = 390;  // 25 panels, the last one not whole
  constexpr std::uint64_t kColumns = 256;
  RandomTensor made(random, type, kOutputs, kColumns);
  std::vector<std::byte> panels(cpu::Matrix::panel_bytes(made.tensor));
  const cpu::Matrix reader(made.tensor, panels.data());
  const DeviceWeights weights(made.tensor);
  const DeviceMatrix& matrix = weights.matrix;
  constexpr std::size_t kStride = 25 * 16;
  for (const std::uint32_t rows : {1U, 3U, 9U, 40U}) {
    SCOPED_TRACE(std::to_string(rows) + " rows");
    const DeviceRows x(Rows(random, rows, kColumns, reader), kColumns);
    const std::vector<float> before(rows * kStride, -77.0F);
    const auto run = [&](const std::uint32_t* wanted) {
      const DeviceArray<float> result(before);
      product(nullptr, matrix, x.view, rows, result.get(), kStride, false, wanted);
      return result.read();
    };
    const std::vector<float> whole = run(nullptr);
    // The first and the last panel, then none: no thread block has as many as lie between.
    for (const std::uint32_t bits : {1U | 1U << 24, 1U << 5 | 1U << 6, 0U}) {
      const DeviceArray<std::uint32_t> wanted(std::vector<std::uint32_t>{bits});
      const std::vector<float> out = run(wanted.get());
      for (std::size_t i = 0; i < out.size(); ++i) {
        const std::size_t n = i % kStride;
        if (n >= kOutputs) continue;
        const bool is_wanted = (bits >> n / 16 & 1U) != 0;
        // A thread block has at most eight panels.
        const bool alone = (bits >> n / 128 * 8 & 0xFFU) == 0;
        if (is_wanted) {
          ASSERT_EQ(out[i], whole[i]) << i;
        }
        if (alone) {
          ASSERT_EQ(out[i], -77.0F) << i;
        }
      }
    }
  }
}

TEST_P(Product, HasTheSameBitsWhateverItsSizes) {
  const TensorType type = GetParam();
  std::mt19937_64 random(9);
  constexpr std::uint32_t kOutputs = 150;
  constexpr std::uint64_t kColumns = 5 * 256;
  RandomTensor made(random, type, kOutputs, kColumns);
  std::vector<std::byte> panels(cpu::Matrix::panel_bytes(made.tensor));
  const cpu::Matrix reader(made.tensor, panels.data());
  const DeviceWeights weights(made.tensor);
  const DeviceMatrix& matrix = weights.matrix;
  constexpr std::size_t kStride = 10 * 16;
  for (const std::uint32_t rows : {1U, 2U, 7U, 41U}) {
    const DeviceRows x(Rows(random, rows, kColumns, reader), kColumns);
    const std::vector<float> before(rows * kStride, -77.0F);
    const auto run = [&](const ProductSizes& sizes) {
      const DeviceArray<float> result(before);
      product(nullptr, matrix, x.view, rows, result.get(), kStride, true, nullptr, sizes);
      return result.read();
    };
    set_order(0);
    const std::vector<float> expected = run({});
    // Each number of rows, then what else there is by chance; also sizes that no kernel has.
    for (const std::uint32_t together : {0U, 1U, 2U, 3U, 4U, 8U, 16U, 32U, 33U, 64U}) {
      const ProductSizes sizes{together, static_cast<std::uint32_t>(random() % 17),
                               static_cast<std::uint32_t>(random() % 5)};
      SCOPED_TRACE(std::to_string(rows) + " rows, sizes " + std::to_string(sizes.rows) + " " +
                   std::to_string(sizes.warps) + " " + std::to_string(sizes.ahead));
      set_order(together + 1);
      ASSERT_TRUE(same_bits(expected, run(sizes)));
    }
  }
  set_order(0);
}

INSTANTIATE_TEST_SUITE_P(Types, Product,
                         ::testing::ValuesIn(tensor_types().begin(), tensor_types().end()),
                         [](const auto& named) {
                           return std::string(tensor_traits(named.param)->name);
                         });

}  // namespace
}  // namespace espalier::runtime::cuda
