// Products in 16 bits on tensor cores: activations are rounded once, as numbers of the weights'
// type, and what comes out is within the type's tolerance of fp64. Over the shim a stand-in for
// cuBLASLt forms the sums, so what is tried there is what it is given.
#include "runtime/cuda/tensor_products.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "runtime/cuda/panels.h"
#include "runtime/model/half.h"
#include "tests/runtime/cuda/cublaslt.h"
#include "tests/runtime/cuda/rig.h"
#include "tests/support/random_tensor.h"

namespace espalier::runtime::cuda {
namespace {

using ::testing::HasSubstr;
using testing::RandomTensor;

struct Type {
  TensorType type;
  WeightFormat format;
  // Of a number, when it is rounded: half of a unit in its last place.
  double rounding;

  [[nodiscard]] std::uint16_t round(float x) const {
    return format == WeightFormat::kF16 ? float_to_half(x) : float_to_bfloat16(x);
  }
  [[nodiscard]] float number(std::uint16_t bits) const {
    return format == WeightFormat::kF16 ? half_to_float(bits) : bfloat16_to_float(bits);
  }
};
constexpr Type kTypes[] = {{TensorType::kF16, WeightFormat::kF16, 0x1p-11},
                           {TensorType::kBF16, WeightFormat::kBF16, 0x1p-8}};

std::vector<float> random_floats(std::mt19937_64& random, std::size_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> out(count);
  for (float& x : out) x = normal(random);
  return out;
}

// A row's strips as they should be: of a strip, lane i of 16 has columns i, 16 + i, ...
std::vector<std::uint16_t> strips_of(const Type& type, const std::vector<float>& row) {
  std::vector<std::uint16_t> out(strip_columns(static_cast<std::uint32_t>(row.size())));
  for (std::size_t k = 0; k < row.size(); ++k) {
    out[k / kStrip * kStrip + k % 16 * 8 + k % kStrip / 16] = type.round(row[k]);
  }
  return out;
}

struct DeviceStrips {
  DeviceStrips(const Type& type, std::uint32_t rows, std::uint32_t columns)
      : values(std::size_t{rows} * strip_columns(columns)) {
    view.strips = {values.get(), strip_columns(columns), type.format};
  }
  DeviceArray<std::uint16_t> values;
  Activations view;
};

class TensorProduct : public ::testing::TestWithParam<Type> {
 protected:
  void SetUp() override {
    auto made = Stream::create();
    ASSERT_TRUE(made.has_value());
    stream_ = std::move(*made);
    products_ = tensor_products_of_tests();
    ASSERT_NE(products_, nullptr);
  }

  Stream stream_;
  std::unique_ptr<TensorProducts> products_;
};

TEST_P(TensorProduct, IsWithinTheTypesToleranceOfFp64) {
  const Type& type = GetParam();
  std::mt19937_64 random(3);
  struct Case {
    std::uint32_t outputs, columns, rows;
    bool add;
  };
  // Columns that fill no strip, and rows that fill no tile of anything.
  for (const Case& it : {Case{16, 128, 4, false}, Case{48, 96, 9, true}, Case{80, 1000, 33, false},
                         Case{32, 2304, 130, true}}) {
    SCOPED_TRACE(std::to_string(it.outputs) + " outputs, " + std::to_string(it.columns) +
                 " columns, " + std::to_string(it.rows) + " rows");
    const RandomTensor weights(random, type.type, it.outputs, it.columns);
    std::vector<std::byte> laid(device_bytes(weights.tensor));
    lay_out(weights.tensor, 0, groups_of(weights.tensor), laid);
    const DeviceArray<std::byte> data(laid);
    DeviceMatrix matrix;
    matrix.data = reinterpret_cast<const unsigned char*>(data.get());
    matrix.rows = it.outputs;
    matrix.columns = it.columns;
    matrix.format = type.format;
    const std::vector<float> x = random_floats(random, std::size_t{it.rows} * it.columns);
    const DeviceArray<float> on_device(x);
    const std::size_t stride = it.outputs + 16;
    const std::vector<float> before(it.rows * stride, 0.5F);
    in_all_orders(
        [&] {
          const DeviceStrips strips(type, it.rows, it.columns);
          const DeviceArray<float> out(before);
          set_activations(stream_.get(), it.rows, on_device.get(), it.columns, nullptr, it.columns,
                          strips.view);
          const Status ran = products_->product(stream_, matrix, strips.view.strips, it.rows,
                                                out.get(), stride, it.add);
          ASSERT_TRUE(ran.has_value()) << ran.error().message;
          ASSERT_TRUE(stream_.wait("a test").has_value());
          const std::vector<float> actual = out.read();
          std::vector<float> row(it.columns);
          for (std::uint32_t n = 0; n < it.outputs; ++n) {
            dequantise_row(weights.tensor, n, row);
            for (std::uint32_t m = 0; m < it.rows; ++m) {
              const float start = it.add ? 0.5F : 0.0F;
              double exact = start;
              double rounded = start;
              double size = std::abs(start);
              for (std::uint32_t k = 0; k < it.columns; ++k) {
                const float value = x[m * it.columns + k];
                exact += static_cast<double>(row[k]) * value;
                rounded += static_cast<double>(row[k]) * type.number(type.round(value));
                size += std::abs(static_cast<double>(row[k]) * value);
              }
              // Sums in fp32, in any order.
              const double of_sums = it.columns * 0x1p-24 * size;
              const float it_is = actual[m * stride + n];
              ASSERT_NEAR(it_is, exact, type.rounding * size + of_sums) << m << ", " << n;
              ASSERT_NEAR(it_is, rounded, of_sums) << m << ", " << n;
            }
          }
          for (std::uint32_t m = 0; m < it.rows; ++m) {
            for (std::size_t n = it.outputs; n < stride; ++n) {
              ASSERT_EQ(actual[m * stride + n], 0.5F) << "behind row " << m;
            }
          }
        },
        2);
  }
}

TEST_P(TensorProduct, ReadsActivationsThatWereRoundedOnce) {
  const Type& type = GetParam();
  std::mt19937_64 random(4);
  for (const std::uint32_t width : {128U, 96U, 333U, 2048U}) {
    SCOPED_TRACE(width);
    constexpr std::uint32_t kRows = 5;
    const std::vector<float> x = random_floats(random, std::size_t{kRows} * 2 * width);
    const std::vector<float> weight = random_floats(random, width);
    const DeviceArray<float> in(x);
    const DeviceArray<float> weights(weight);
    // What each kernel leaves as floats and in 16 bits.
    const auto both = [&](auto&& run) {
      const DeviceStrips strips(type, kRows, width);
      const DeviceArray<float> floats(std::size_t{kRows} * width);
      Activations to = strips.view;
      to.floats = floats.get();
      to.stride = width;
      run(to);
      ASSERT_TRUE(stream_.wait("a test").has_value());
      const DeviceStrips alone(type, kRows, width);
      run(alone.view);
      ASSERT_TRUE(stream_.wait("a test").has_value());
      const std::vector<float> wanted = floats.read();
      std::vector<std::uint16_t> expected;
      for (std::uint32_t m = 0; m < kRows; ++m) {
        const auto row = wanted.begin() + m * width;
        const auto its = strips_of(type, std::vector<float>(row, row + width));
        expected.insert(expected.end(), its.begin(), its.end());
      }
      EXPECT_TRUE(same_bits(expected, strips.values.read()));
      EXPECT_TRUE(same_bits(expected, alone.values.read()));
    };
    in_all_orders([&] {
      both([&](const Activations& to) {
        rms_norm(stream_.get(), kRows, in.get(), 2 * width, nullptr, weights.get(), width, 1e-5F,
                 to);
      });
      both([&](const Activations& to) {
        gate(stream_.get(), kRows, in.get(), in.get() + width, 2 * width, width, false, to);
      });
      both([&](const Activations& to) {
        set_activations(stream_.get(), kRows, in.get(), 2 * width, nullptr, width, to);
      });
    });
  }
}

TEST_P(TensorProduct, ReadsFiniteNumbersAsFiniteOnes) {
  const Type& type = GetParam();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {1e30F,     -7e4F, 65504.0F,   65519.0F,   6.0F,
                                kInfinity, NAN,   -kInfinity, 0x1.002p3F, 1e-9F};
  const auto width = static_cast<std::uint32_t>(x.size());
  const DeviceArray<float> in(x);
  const DeviceStrips strips(type, 1, width);
  set_activations(stream_.get(), 1, in.get(), width, nullptr, width, strips.view);
  ASSERT_TRUE(stream_.wait("a test").has_value());
  const std::vector<std::uint16_t> out = strips.values.read();
  for (std::uint32_t k = 0; k < width; ++k) {
    const float value = type.number(out[k * 8]);
    EXPECT_EQ(std::isnan(value), std::isnan(x[k]));
    EXPECT_EQ(std::isinf(value), std::isinf(x[k]));
    EXPECT_EQ(std::signbit(value), std::signbit(x[k]));
  }
}

#ifdef ESPALIER_HOST_CUDA
TEST_P(TensorProduct, AsksForAKernelOncePerShapeAndGivesAllBack) {
  const Type& type = GetParam();
  const int alive = lt_use().alive;
  const int asked = lt_use().asked;
  DeviceMatrix matrix;
  const DeviceArray<std::uint16_t> data(16 * 128);
  matrix.data = reinterpret_cast<const unsigned char*>(data.get());
  matrix.rows = 16;
  matrix.columns = 128;
  matrix.format = type.format;
  const DeviceStrips strips(type, 8, 128);
  const DeviceArray<float> out(8 * 16);
  const auto run = [&](std::uint32_t rows) {
    return products_->product(stream_, matrix, strips.view.strips, rows, out.get(), 16, false);
  };
  for (int i = 0; i < 3; ++i) {
    for (const std::uint32_t rows : {4U, 8U}) ASSERT_TRUE(run(rows).has_value());
  }
  EXPECT_EQ(lt_use().asked - asked, 2);
  lt_without_kernels(true);
  const Status none = run(5);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(none.error().message,
              HasSubstr("no kernel for 5 rows of 128 columns and 16 outputs"));
  lt_without_kernels(false);
  EXPECT_TRUE(run(5).has_value());
  ASSERT_TRUE(stream_.wait("a test").has_value());
  products_.reset();
  EXPECT_EQ(lt_use().alive, alive - 1);  // this one's context
}
#endif

INSTANTIATE_TEST_SUITE_P(Types, TensorProduct, ::testing::ValuesIn(kTypes), [](const auto& named) {
  return std::string(tensor_traits(named.param.type)->name);
});

TEST(CublasLt, ThatIsMissingIsNamed) {
  const auto none = load_cublaslt("libno-such-cublaslt.so");
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(none.error().message, HasSubstr("numerics tensor and fp8 multiply with cuBLASLt, and "
                                              "libno-such-cublaslt.so cannot be loaded"));
  EXPECT_THAT(none.error().message, HasSubstr("$ESPALIER_CUBLASLT may name it"));
  const auto other = load_cublaslt("libm.so.6");
  ASSERT_FALSE(other.has_value());
  EXPECT_THAT(other.error().message, HasSubstr("libm.so.6 has no cublasLtGetVersion, "));
}

}  // namespace
}  // namespace espalier::runtime::cuda
