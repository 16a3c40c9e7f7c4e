// Work on rows against the scalar kernels of the CPU: the same bits, whatever the widths, strides
// and values. (A NaN is any NaN.)
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "runtime/cpu/kernels.h"
#include "runtime/cuda/kernels.h"
#include "tests/runtime/cuda/rig.h"

namespace espalier::runtime::cuda {
namespace {

using Random = std::mt19937_64;
const cpu::Kernels& scalar = cpu::kScalarKernels;

std::uint32_t below(Random& random, std::uint32_t end) {
  return static_cast<std::uint32_t>(random() % end);
}

::testing::AssertionResult same_number(float a, float b) {
  if (std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) ||
      (std::isnan(a) && std::isnan(b))) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << a << " != " << b;
}

// Rows with a stride of their own.
struct Rows {
  Rows(std::uint32_t count, std::uint32_t columns, std::uint32_t extra)
      : rows(count), width(columns), stride(columns + extra), values(std::size_t{rows} * stride) {}

  [[nodiscard]] float* row(std::uint32_t m) { return values.data() + m * stride; }
  [[nodiscard]] const float* row(std::uint32_t m) const { return values.data() + m * stride; }

  std::uint32_t rows, width;
  std::size_t stride;
  std::vector<float> values;
};

// Numbers of all sizes; in some rows what is special, and blocks of nothing or next to nothing.
Rows random_rows(Random& random, std::uint32_t count, std::uint32_t width, std::uint32_t extra) {
  Rows out(count, width, extra);
  std::normal_distribution<float> normal;
  for (float& x : out.values) x = normal(random);
  const float special[] = {std::numeric_limits<float>::infinity(),
                           -std::numeric_limits<float>::infinity(),
                           std::numeric_limits<float>::quiet_NaN(),
                           0.0F,
                           -0.0F,
                           1e-40F,
                           3e38F,
                           -3e38F,
                           0x1p-100F,
                           -0x1.fffffep-101F};
  for (std::uint32_t m = 0; m < count; ++m) {
    switch (random() % 4) {
      case 0:
        out.row(m)[below(random, width)] = special[random() % std::size(special)];
        break;
      case 1: {  // a stretch scaled far down, or away
        const float factor = random() % 2 == 0 ? 0x1p-101F : 0.0F;
        for (std::uint32_t k = below(random, width), end = std::min(width, k + 70); k < end; ++k) {
          out.row(m)[k] *= factor;
        }
        break;
      }
      case 2:
        for (std::uint32_t k = 0; k < width; ++k) out.row(m)[k] *= 50.0F;
        break;
      default:
        break;
    }
  }
  return out;
}

// Room on the device for activations in the wanted forms.
class ActivationsOut {
 public:
  ActivationsOut(std::uint32_t rows, std::uint32_t width, bool floats, bool codes, bool halves,
                 std::uint32_t extra)
      : rows_(rows), width_(width), blocks_(width / kBlock) {
    const std::size_t places = std::size_t{(rows + 7) / 8 * 8} * blocks_;
    if (floats) {
      view.stride = width + extra;
      view.floats = floats_.emplace(rows * view.stride).get();
    }
    if (codes) {
      view.coded.codes = codes_.emplace(places * 32).get();
      view.coded.scales = scales_.emplace(places).get();
      view.coded.scaled_sums = scaled_sums_.emplace(places).get();
      view.coded.blocks = blocks_;
    }
    if (halves) {
      view.coded.scaled_half_sums = scaled_half_sums_.emplace(2 * places).get();
    }
  }

  /// That row m holds want(m), in every form there is.
  void expect(const std::function<std::vector<float>(std::uint32_t)>& want) const {
    const auto read = [](const auto& array) {
      return array.has_value() ? array->read() : decltype(array->read()){};
    };
    const auto floats = read(floats_);
    const auto codes = read(codes_);
    const auto scales = read(scales_);
    const auto scaled_sums = read(scaled_sums_);
    const auto scaled_half_sums = read(scaled_half_sums_);
    for (std::uint32_t m = 0; m < rows_; ++m) {
      const std::vector<float> row = want(m);
      for (std::uint32_t k = 0; floats_.has_value() && k < width_; ++k) {
        ASSERT_TRUE(same_number(floats[m * view.stride + k], row[k])) << m << " " << k;
      }
      if (!codes_.has_value()) continue;
      Quantised q(blocks_);
      scalar.quantise(row.data(), blocks_, q.view, 0, 0);
      for (std::size_t b = 0; b < blocks_; ++b) {
        const std::size_t at = (m / 8 * blocks_ + b) * 8 + m % 8;
        const std::size_t place = cpu::code_place(0, b, blocks_);
        for (std::size_t k = 0; k < kBlock; ++k) {
          const std::size_t t = k % 16 / 4;
          ASSERT_EQ(codes[(at * 4 + t) * 8 + k / 16 * 4 + k % 4], q.codes[place * kBlock + k])
              << m << " " << b << " " << k;
        }
        ASSERT_TRUE(same_number(scales[at], q.view.blocks[place].scale)) << m << " " << b;
        ASSERT_TRUE(same_number(scaled_sums[at], q.view.blocks[place].scaled_sum)) << m << " " << b;
        for (std::size_t h = 0; scaled_half_sums_.has_value() && h < 2; ++h) {
          ASSERT_TRUE(
              same_number(scaled_half_sums[2 * at + h], q.view.halves[place].scaled_sums[h]));
        }
      }
    }
  }

  Activations view;

 private:
  // A row as the CPU quantises it.
  struct Quantised {
    explicit Quantised(std::size_t blocks)
        : codes(blocks * cpu::kRowGroup * kBlock),
          code_blocks(blocks * cpu::kRowGroup),
          code_halves(blocks * cpu::kRowGroup),
          view{codes.data(), code_blocks.data(), code_halves.data(), blocks * kBlock} {}
    std::vector<std::int8_t> codes;
    std::vector<cpu::CodeBlock> code_blocks;
    std::vector<cpu::CodeHalves> code_halves;
    cpu::QuantisedRows view;
  };

  std::uint32_t rows_, width_, blocks_;
  std::optional<DeviceArray<float>> floats_;
  std::optional<DeviceArray<std::int8_t>> codes_;
  std::optional<DeviceArray<float>> scales_, scaled_sums_;
  std::optional<DeviceArray<float>> scaled_half_sums_;
};

// A width, a number of rows, strides, and the forms of the result, by a seed.
struct Shape {
  explicit Shape(Random& random) {
    const bool coded = random() % 3 != 0;
    const std::uint32_t most = random() % 8 == 0 ? 5000 : 700;
    width = coded ? kBlock * (1 + below(random, most / kBlock)) : 1 + below(random, most);
    rows = 1 + below(random, 20);
    extra = random() % 2 == 0 ? 4 * below(random, 4) : below(random, 9);
    codes = coded;
    halves = coded && random() % 2 == 0;
    floats = !coded || random() % 3 == 0;
  }
  [[nodiscard]] ActivationsOut out() const {
    return ActivationsOut(rows, width, floats, codes, halves, extra);
  }
  std::uint32_t width, rows, extra;
  bool floats, codes, halves;
};

// Runs a check on random shapes; the seed finds them again.
void on_random_shapes(const std::function<void(Random&, const Shape&)>& check) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Random random(seed);
    const Shape shape(random);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + std::to_string(shape.rows) + " rows of " +
                 std::to_string(shape.width) + " + " + std::to_string(shape.extra));
    set_order(seed % 3);
    check(random, shape);
    ASSERT_EQ(cudaGetLastError(), cudaSuccess);
    if (::testing::Test::HasFailure()) break;
  }
  set_order(0);
}

std::vector<std::uint32_t> random_indices(Random& random, std::uint32_t count, std::uint32_t end) {
  std::vector<std::uint32_t> out(count);
  for (std::uint32_t& index : out) index = below(random, end);
  return out;
}

TEST(CudaRows, NormsAreTheCpus) {
  on_random_shapes([](Random& random, const Shape& shape) {
    const std::uint32_t sources = shape.rows + 3;
    const Rows x = random_rows(random, sources, shape.width, shape.extra);
    const Rows weight = random_rows(random, 1, shape.width, 0);
    const auto from = random_indices(random, shape.rows, sources);
    const bool indexed = random() % 2 == 0;
    const DeviceArray<float> on_device(x.values);
    const DeviceArray<float> weights(weight.values);
    const DeviceArray<std::uint32_t> indices(from);
    const ActivationsOut out = shape.out();
    rms_norm(nullptr, shape.rows, on_device.get(), x.stride, indexed ? indices.get() : nullptr,
             weights.get(), shape.width, 1e-5F, out.view);
    out.expect([&](std::uint32_t m) {
      std::vector<float> row(shape.width);
      scalar.rms_norm(x.row(indexed ? from[m] : m), weight.row(0), shape.width, 1e-5F, row.data());
      return row;
    });
  });
}

TEST(CudaRows, NormsAreAddedAsTheCpuAddsThem) {
  on_random_shapes([](Random& random, const Shape& shape) {
    const Rows block = random_rows(random, shape.rows, shape.width, shape.extra);
    const Rows weight = random_rows(random, 1, shape.width, 0);
    Rows x = random_rows(random, shape.rows, shape.width, below(random, 5));
    const DeviceArray<float> blocks(block.values);
    const DeviceArray<float> weights(weight.values);
    const DeviceArray<float> on_device(x.values);
    add_normed(nullptr, shape.rows, blocks.get(), block.stride, weights.get(), shape.width, 1e-6F,
               on_device.get(), x.stride);
    for (std::uint32_t m = 0; m < shape.rows; ++m) {
      std::vector<float> row(shape.width);
      scalar.rms_norm(block.row(m), weight.row(0), shape.width, 1e-6F, row.data());
      for (std::uint32_t k = 0; k < shape.width; ++k) x.row(m)[k] += row[k];
    }
    const std::vector<float> got = on_device.read();
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_TRUE(same_number(got[i], x.values[i])) << i;
    }
  });
}

TEST(CudaRows, ActivationsAreQuantisedAsTheCpuDoes) {
  on_random_shapes([](Random& random, const Shape& shape) {
    const std::uint32_t sources = shape.rows + 3;
    const Rows x = random_rows(random, sources, shape.width, shape.extra);
    const auto from = random_indices(random, shape.rows, sources);
    const bool indexed = random() % 2 == 0;
    const DeviceArray<float> on_device(x.values);
    const DeviceArray<std::uint32_t> indices(from);
    const ActivationsOut out = shape.out();
    set_activations(nullptr, shape.rows, on_device.get(), x.stride,
                    indexed ? indices.get() : nullptr, shape.width, out.view);
    out.expect([&](std::uint32_t m) {
      const float* row = x.row(indexed ? from[m] : m);
      return std::vector<float>(row, row + shape.width);
    });
  });
}

// Blocks on both sides of every border: too small to count, ties, what is not finite.
TEST(CudaRows, EdgesOfQuantisationAreTheCpus) {
  Random random(3);
  const float tops[] = {0x1p-100F,
                        0x1.fffffep-101F,
                        0x1.000002p-100F,
                        1e-45F,
                        0.0F,
                        127.0F,
                        std::numeric_limits<float>::max(),
                        std::numeric_limits<float>::infinity(),
                        std::numeric_limits<float>::quiet_NaN()};
  Rows x(1, 2 * kBlock * static_cast<std::uint32_t>(std::size(tops)), 0);
  for (std::size_t b = 0; b < x.width / kBlock; ++b) {
    const float top = tops[b / 2];
    for (std::size_t k = 0; k < kBlock; ++k) {
      // Halves of steps between codes: ties, where the top is 127.
      x.values[b * kBlock + k] = top * ((static_cast<float>(k) - 16.5F) / 127.0F);
    }
    x.values[b * kBlock + below(random, kBlock)] = b % 2 == 0 ? top : -top;
  }
  const DeviceArray<float> on_device(x.values);
  in_all_orders([&] {
    const ActivationsOut out(1, x.width, false, true, true, 0);
    set_activations(nullptr, 1, on_device.get(), x.stride, nullptr, x.width, out.view);
    out.expect([&](std::uint32_t) { return x.values; });
  });
}

TEST(CudaRows, GatesAreTheCpus) {
  on_random_shapes([](Random& random, const Shape& shape) {
    Rows gates = random_rows(random, shape.rows, shape.width, shape.extra);
    const Rows up = random_rows(random, shape.rows, shape.width, shape.extra);
    for (std::uint32_t k = 0; k < shape.width; ++k) gates.row(0)[k] *= 60.0F;  // past exp's ends
    const bool gelu = random() % 2 == 0;
    const DeviceArray<float> gates_on_device(gates.values);
    const DeviceArray<float> up_on_device(up.values);
    const ActivationsOut out = shape.out();
    gate(nullptr, shape.rows, gates_on_device.get(), up_on_device.get(), gates.stride, shape.width,
         gelu, out.view);
    out.expect([&](std::uint32_t m) {
      std::vector<float> row(shape.width);
      (gelu ? scalar.geglu : scalar.swiglu)(gates.row(m), up.row(m), shape.width, row.data());
      return row;
    });
  });
}

TEST(CudaRows, LogitsAreCappedAsTheCpuDoes) {
  on_random_shapes([](Random& random, const Shape& shape) {
    Rows x = random_rows(random, shape.rows, shape.width, shape.extra);
    const DeviceArray<float> on_device(x.values);
    soft_cap(nullptr, shape.rows, on_device.get(), x.stride, shape.width, 30.0F);
    for (std::uint32_t m = 0; m < shape.rows; ++m) scalar.soft_cap(x.row(m), 30.0F, shape.width);
    const std::vector<float> got = on_device.read();
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_TRUE(same_number(got[i], x.values[i])) << i;
    }
  });
}

TEST(CudaRows, RowsAreGathered) {
  on_random_shapes([](Random& random, const Shape& shape) {
    const std::uint32_t sources = shape.rows + 3;
    const Rows x = random_rows(random, sources, shape.width, shape.extra);
    const auto from = random_indices(random, shape.rows, sources);
    Rows want(shape.rows, shape.width, below(random, 5));
    const DeviceArray<float> on_device(x.values);
    const DeviceArray<std::uint32_t> indices(from);
    const DeviceArray<float> to(want.values);
    gather_rows(nullptr, shape.rows, on_device.get(), x.stride, indices.get(), shape.width,
                to.get(), want.stride);
    for (std::uint32_t m = 0; m < shape.rows; ++m) {
      std::copy_n(x.row(from[m]), shape.width, want.row(m));
    }
    const std::vector<float> got = to.read();
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_TRUE(same_number(got[i], want.values[i])) << i;
    }
  });
}

TEST(CudaRows, ColumnsOfSeveralRanksAreJoined) {
  on_random_shapes([](Random& random, const Shape& shape) {
    Pieces pieces;
    pieces.ranks = 1 + below(random, std::min(shape.width, kMostRanks));
    std::vector<std::uint32_t> cuts;
    while (cuts.size() + 1 < pieces.ranks) {
      const std::uint32_t cut = 1 + below(random, shape.width - 1);
      if (std::find(cuts.begin(), cuts.end(), cut) == cuts.end()) cuts.push_back(cut);
    }
    std::sort(cuts.begin(), cuts.end());
    std::copy(cuts.begin(), cuts.end(), pieces.cuts + 1);
    pieces.cuts[pieces.ranks] = shape.width;
    const Rows whole = random_rows(random, shape.rows, shape.width, 0);
    Rows want = random_rows(random, shape.rows, shape.width, shape.extra);
    const DeviceArray<float> to(want.values);
    std::vector<float> gathered;
    for (std::uint32_t r = 0; r < pieces.ranks; ++r) {
      for (std::uint32_t m = 0; m < shape.rows; ++m) {
        gathered.insert(gathered.end(), whole.row(m) + pieces.cuts[r],
                        whole.row(m) + pieces.cuts[r + 1]);
      }
    }
    const DeviceArray<float> from(gathered);
    const bool add = random() % 2 == 0;
    join_columns(nullptr, shape.rows, pieces, from.get(), to.get(), want.stride, add);
    for (std::uint32_t m = 0; m < shape.rows; ++m) {
      for (std::uint32_t k = 0; k < shape.width; ++k) {
        want.row(m)[k] = add ? want.row(m)[k] + whole.row(m)[k] : whole.row(m)[k];
      }
    }
    const std::vector<float> got = to.read();
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_TRUE(same_number(got[i], want.values[i])) << i;
    }
  });
}

// Norms of rows that need more shared memory than a kernel has without asking.
TEST(CudaRows, RowsMayBeLong) {
  Random random(9);
  const std::uint32_t width = 16384;
  const Rows x = random_rows(random, 2, width, 0);
  const Rows weight = random_rows(random, 1, width, 0);
  const DeviceArray<float> on_device(x.values);
  const DeviceArray<float> weights(weight.values);
  const ActivationsOut out(2, width, true, true, true, 0);
  rms_norm(nullptr, 2, on_device.get(), x.stride, nullptr, weights.get(), width, 1e-5F, out.view);
  out.expect([&](std::uint32_t m) {
    std::vector<float> row(width);
    scalar.rms_norm(x.row(m), weight.row(0), width, 1e-5F, row.data());
    return row;
  });
}

}  // namespace
}  // namespace espalier::runtime::cuda
