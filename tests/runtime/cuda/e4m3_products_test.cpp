// Products of 8-bit floats (numerics `fp8`): weights and activations are coded once, each row by
// its own largest number, and what comes out is within the sums' tolerance of fp64 over the same
// codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "runtime/cuda/e4m3_weights.h"
#include "runtime/cuda/kernels.h"
#include "runtime/cuda/tensor_products.h"
#include "runtime/model/e4m3.h"
#include "tests/runtime/cuda/cublaslt.h"
#include "tests/runtime/cuda/rig.h"
#include "tests/support/random_tensor.h"

namespace espalier::runtime::cuda {
namespace {

using testing::RandomTensor;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> random_floats(std::mt19937_64& random, std::size_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> out(count);
  for (float& x : out) x = normal(random);
  return out;
}

// A row's codes as they should be.
struct CodedRow {
  explicit CodedRow(const std::vector<float>& row)
      : codes(strip_columns(static_cast<std::uint32_t>(row.size()))) {
    std::uint32_t top = 0;
    for (const float x : row) top = std::max(top, std::bit_cast<std::uint32_t>(x) & 0x7FFFFFFFU);
    const E4m3Scale by = e4m3_scale(top);
    scale = by.scale;
    for (std::size_t k = 0; k < row.size(); ++k) codes[k] = e4m3_code(row[k], by);
  }
  std::vector<std::uint8_t> codes;
  float scale;
};

struct DeviceCodes {
  DeviceCodes(std::uint32_t rows, std::uint32_t columns)
      : codes(std::size_t{rows} * strip_columns(columns)), scales(rows) {
    view.e4m3 = {codes.get(), scales.get(), strip_columns(columns)};
  }
  DeviceArray<std::uint8_t> codes;
  DeviceArray<float> scales;
  Activations view;
};

struct Weights {
  Weights(std::mt19937_64& random, TensorType type, std::uint32_t outputs, std::uint32_t columns)
      : tensor(random, type, outputs, columns),
        codes(matrix_bytes(WeightFormat::kE4M3, outputs, columns)),
        scales((outputs + kPanelRows - 1) / kPanelRows * kPanelRows) {
    std::vector<std::byte> bytes(codes.size());
    std::vector<float> made(scales.size());
    std::vector<float> scratch(columns);
    make_e4m3(tensor.tensor, 0, static_cast<std::uint32_t>(made.size()), bytes, made, scratch);
    codes.write(bytes);
    scales.write(made);
    matrix.data = reinterpret_cast<const unsigned char*>(codes.get());
    matrix.scales = scales.get();
    matrix.rows = outputs;
    matrix.columns = columns;
    matrix.format = WeightFormat::kE4M3;
  }
  [[nodiscard]] std::vector<float> row(std::uint32_t n) const {
    std::vector<float> out(matrix.columns);
    dequantise_row(tensor.tensor, n, out);
    return out;
  }
  RandomTensor tensor;
  DeviceArray<std::byte> codes;
  DeviceArray<float> scales;
  DeviceMatrix matrix;
};

// Sums of fp32, or of tensor cores that add with fewer bits, within a segment of 512 columns.
constexpr double kOfSums = 0x1p-12;
// Of both sides, when they are coded: half of a unit in the last of four places.
constexpr double kOfCodes = 2 * 0x1p-4 + 0x1p-8;

class E4m3Product : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = Stream::create();
    ASSERT_TRUE(made.has_value());
    stream_ = std::move(*made);
    products_ = tensor_products_of_tests();
    ASSERT_NE(products_, nullptr);
  }

  // What a product of these rows gives; by cuBLASLt and scale_sums, or by product().
  std::vector<float> run(const Weights& weights, const std::vector<float>& x, std::uint32_t rows,
                         std::size_t stride, bool add, bool lt, const ProductSizes& sizes = {}) {
    const std::uint32_t columns = weights.matrix.columns;
    const DeviceArray<float> in(x);
    const DeviceCodes codes(rows, columns);
    const DeviceArray<float> out(std::vector<float>(rows * stride, 0.5F));
    set_activations(stream_.get(), rows, in.get(), columns, nullptr, columns, codes.view);
    if (lt) {
      const DeviceArray<float> sums(std::size_t{rows} * weights.matrix.rows);
      const auto done = products_->code_product(stream_, weights.matrix, codes.view.e4m3, rows,
                                                sums.get(), weights.matrix.rows);
      EXPECT_TRUE(done.has_value() && *done);
      scale_sums(stream_.get(), weights.matrix, codes.view.e4m3, rows, sums.get(),
                 weights.matrix.rows, out.get(), stride, add);
      EXPECT_TRUE(stream_.wait("a test").has_value());
    } else {
      product(stream_.get(), weights.matrix, codes.view, rows, out.get(), stride, add, nullptr,
              sizes);
    }
    EXPECT_TRUE(stream_.wait("a test").has_value());
    return out.read();
  }

  Stream stream_;
  std::unique_ptr<TensorProducts> products_;
};

TEST_F(E4m3Product, IsWithinTheToleranceOfFp64OverTheSameCodes) {
  std::mt19937_64 random(3);
  struct Case {
    TensorType type;
    std::uint32_t outputs, columns, rows;
    bool add;
  };
  constexpr TensorType kF32 = TensorType::kF32;
  constexpr TensorType kF16 = TensorType::kF16;
  constexpr TensorType kBF16 = TensorType::kBF16;
  // Columns that fill no strip, piece or segment; outputs that fill no panel; 1 to 70 rows.
  for (const Case& it : {Case{kBF16, 16, 128, 1, false}, Case{kF16, 48, 96, 9, true},
                         Case{kF32, 20, 333, 3, false}, Case{kBF16, 33, 1000, 17, true},
                         Case{kF16, 16, 2304, 32, false}, Case{kBF16, 48, 5000, 5, false},
                         Case{kBF16, 7, 40, 33, false}, Case{kF32, 32, 512, 64, true},
                         Case{kBF16, 16, 4608, 70, false}, Case{kBF16, 1, 1, 2, false}}) {
    SCOPED_TRACE(std::to_string(it.outputs) + " outputs, " + std::to_string(it.columns) +
                 " columns, " + std::to_string(it.rows) + " rows");
    const Weights weights(random, it.type, it.outputs, it.columns);
    const std::vector<float> x = random_floats(random, std::size_t{it.rows} * it.columns);
    const std::size_t stride = it.outputs + 16;
    std::vector<CodedRow> rows;
    for (std::uint32_t m = 0; m < it.rows; ++m) {
      const auto at = x.begin() + std::size_t{m} * it.columns;
      rows.emplace_back(std::vector<float>(at, at + it.columns));
    }
    const bool lt = it.outputs % 16 == 0 && it.rows >= kLeastE4m3Rows;
    const auto check = [&](const std::vector<float>& actual) {
      for (std::uint32_t n = 0; n < it.outputs; ++n) {
        const std::vector<float> exact_row = weights.row(n);
        const CodedRow coded(exact_row);
        for (std::uint32_t m = 0; m < it.rows; ++m) {
          const double start = it.add ? 0.5 : 0.0;
          double exact = start;
          double of_codes = 0;
          double size = 0;
          double exact_size = 0;
          for (std::uint32_t k = 0; k < it.columns; ++k) {
            const double product = static_cast<double>(e4m3_to_float(coded.codes[k])) *
                                   e4m3_to_float(rows[m].codes[k]);
            of_codes += product;
            size += std::abs(product);
            const double whole = static_cast<double>(exact_row[k]) * x[m * it.columns + k];
            exact += whole;
            exact_size += std::abs(whole);
          }
          const double scale = static_cast<double>(coded.scale) * rows[m].scale;
          const float it_is = actual[m * stride + n];
          const double of_sums = kOfSums * (size * scale + std::abs(start));
          ASSERT_NEAR(it_is, start + of_codes * scale, of_sums) << m << ", " << n;
          // Small numbers beside a row's largest have fewer places.
          const double of_rest = it.columns * scale * 448 * 0x1p-9;
          ASSERT_NEAR(it_is, exact, kOfCodes * exact_size + of_rest + of_sums) << m << ", " << n;
        }
      }
      for (std::uint32_t m = 0; m < it.rows; ++m) {
        for (std::size_t n = it.outputs; n < stride; ++n) {
          ASSERT_EQ(actual[m * stride + n], 0.5F) << "behind row " << m;
        }
      }
    };
    in_all_orders([&] { check(run(weights, x, it.rows, stride, it.add, false)); }, 2);
    if (lt) check(run(weights, x, it.rows, stride, it.add, true));
  }
}

// The bits of a row are its own: whatever is beside it, and whatever reads the weights together.
TEST_F(E4m3Product, GivesARowTheSameBitsWhateverIsBesideIt) {
  std::mt19937_64 random(5);
  const Weights weights(random, TensorType::kBF16, 40, 1200);
  constexpr std::uint32_t kRows = 37;
  const std::vector<float> x = random_floats(random, std::size_t{kRows} * 1200);
  const std::vector<float> all = run(weights, x, kRows, 40, false, false);
  for (const std::uint32_t rows : {1U, 8U, 9U, 31U}) {
    const std::vector<float> few(x.begin(), x.begin() + std::size_t{rows} * 1200);
    std::vector<float> expected(all.begin(), all.begin() + std::size_t{rows} * 40);
    EXPECT_TRUE(same_bits(expected, run(weights, few, rows, 40, false, false))) << rows;
  }
  for (const std::uint32_t together : {1U, 8U, 16U, 32U, 64U}) {
    EXPECT_TRUE(same_bits(all, run(weights, x, kRows, 40, false, false, {together, 1, 2})));
  }
}

TEST_F(E4m3Product, ReadsActivationsThatWereCodedOnceByEveryKernel) {
  std::mt19937_64 random(4);
  for (const std::uint32_t width : {4U, 96U, 333U, 2048U, 5000U}) {
    SCOPED_TRACE(width);
    constexpr std::uint32_t kRows = 5;
    const std::vector<float> x = random_floats(random, std::size_t{kRows} * 2 * width);
    const DeviceArray<float> in(x);
    const DeviceArray<float> weights(random_floats(random, width));
    const auto both = [&](auto&& make) {
      const DeviceCodes codes(kRows, width);
      const DeviceArray<float> floats(std::size_t{kRows} * width);
      Activations to = codes.view;
      to.floats = floats.get();
      to.stride = width;
      make(to);
      ASSERT_TRUE(stream_.wait("a test").has_value());
      const DeviceCodes alone(kRows, width);
      make(alone.view);
      ASSERT_TRUE(stream_.wait("a test").has_value());
      const std::vector<float> wanted = floats.read();
      std::vector<std::uint8_t> expected;
      std::vector<float> scales;
      for (std::uint32_t m = 0; m < kRows; ++m) {
        const auto row = wanted.begin() + m * width;
        const CodedRow its(std::vector<float>(row, row + width));
        expected.insert(expected.end(), its.codes.begin(), its.codes.end());
        scales.push_back(its.scale);
      }
      for (const DeviceCodes* made : {&codes, &alone}) {
        EXPECT_TRUE(same_bits(expected, made->codes.read()));
        EXPECT_TRUE(same_bits(scales, made->scales.read()));
      }
    };
    in_all_orders([&] {
      both([&](const Activations& to) {
        rms_norm(stream_.get(), kRows, in.get(), 2 * width, nullptr, weights.get(), width, 1e-5F,
                 to);
      });
      for (const bool gelu : {false, true}) {
        both([&](const Activations& to) {
          gate(stream_.get(), kRows, in.get(), in.get() + width, 2 * width, width, gelu, to);
        });
      }
      both([&](const Activations& to) {
        set_activations(stream_.get(), kRows, in.get(), 2 * width, nullptr, width, to);
      });
    });
  }
}

// Beside a row of zeros, one with NaN, one with infinity and one of next to nothing, others are
// what they are alone.
TEST_F(E4m3Product, KeepsWhatIsNotFiniteToItsRow) {
  std::mt19937_64 random(6);
  constexpr std::uint32_t kColumns = 200;
  const Weights weights(random, TensorType::kBF16, 32, kColumns);
  for (const std::uint32_t rows : {6U, 40U}) {
    std::vector<float> x = random_floats(random, std::size_t{rows} * kColumns);
    const std::vector<float> plain = run(weights, x, rows, 32, false, rows > 32);
    std::fill_n(x.begin(), kColumns, 0.0F);
    x[1 * kColumns + 7] = NAN;
    x[2 * kColumns + 9] = -kInfinity;
    std::fill_n(x.begin() + 3 * kColumns, kColumns, 0x1p-140F);
    const std::vector<float> actual = run(weights, x, rows, 32, false, rows > 32);
    for (std::uint32_t n = 0; n < 32; ++n) {
      EXPECT_EQ(actual[n], 0.0F);
      EXPECT_TRUE(std::isnan(actual[32 + n]));
      EXPECT_TRUE(std::isnan(actual[2 * 32 + n]));
      EXPECT_EQ(actual[3 * 32 + n], 0.0F);
      for (std::uint32_t m = 4; m < rows; ++m) EXPECT_EQ(actual[m * 32 + n], plain[m * 32 + n]);
    }
  }
}

TEST(E4m3Weights, OfARowThatIsNotFiniteShowInItsOutputAlone) {
  std::vector<float> numbers(3 * 40, 0.25F);
  numbers[40] = kInfinity;
  Tensor tensor;
  tensor.type = TensorType::kF32;
  tensor.rows = 3;
  tensor.columns = 40;
  tensor.data = std::as_bytes(std::span(numbers));
  std::vector<std::byte> codes(16 * 128, std::byte{0xFF});
  std::vector<float> scales(16, -1.0F);
  std::vector<float> scratch(40);
  make_e4m3(tensor, 0, 16, codes, scales, scratch);
  EXPECT_EQ(scales[0], 0.25F / 448.0F);
  EXPECT_TRUE(std::isnan(scales[1]));
  EXPECT_EQ(scales[2], scales[0]);
  for (int n = 0; n < 16; ++n) {
    if (n > 2) {
      EXPECT_EQ(scales[n], 0.0F);
    }
    for (int k = 0; k < 128; ++k) {
      const auto expected =
          std::byte{static_cast<unsigned char>(k < 40 && n % 2 == 0 && n < 3 ? 0x7E : 0)};
      ASSERT_EQ(codes[n * 128 + k], expected) << n << ", " << k;
    }
  }
}

#ifdef ESPALIER_HOST_CUDA
// Shapes of another kind than cuBLASLt takes are none of its, and nothing is asked; where it has no
// kernel, it is asked once.
TEST_F(E4m3Product, IsLeftToTheOtherKernelWhereCublasLtHasNone) {
  std::mt19937_64 random(7);
  const Weights odd(random, TensorType::kBF16, 24, 64);
  const Weights even(random, TensorType::kBF16, 32, 64);
  const DeviceCodes codes(40, 64);
  const DeviceArray<float> out(40 * 40);
  const auto taken = [&](const Weights& of, std::size_t stride) {
    const auto done =
        products_->code_product(stream_, of.matrix, codes.view.e4m3, 40, out.get(), stride);
    EXPECT_TRUE(done.has_value());
    return done.value_or(true);
  };
  const int asked = lt_use().asked;
  EXPECT_FALSE(taken(odd, 24));
  EXPECT_FALSE(taken(even, 33));
  EXPECT_EQ(lt_use().asked, asked);
  lt_without_kernels(true);
  EXPECT_FALSE(taken(even, 32));
  EXPECT_FALSE(taken(even, 32));
  EXPECT_EQ(lt_use().asked, asked + 1);
  lt_without_kernels(false);
}
#endif

}  // namespace
}  // namespace espalier::runtime::cuda
