// Every instruction set against the scalar kernels, bit for bit; the scalar kernels against exact
// arithmetic.
#include "runtime/cpu/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "runtime/cpu/fixed_math.h"
#include "runtime/cpu/isa.h"
#include "runtime/cpu/matrix.h"
#include "runtime/model/half.h"
#include "runtime/model/quantised_block.h"
#include "tests/runtime/cpu/each_isa.h"
#include "tests/support/random_tensor.h"

namespace espalier::runtime::cpu {
namespace {

using testing::RandomTensor;

struct Panels {
  explicit Panels(const Tensor& tensor) : memory(Matrix::panel_bytes(tensor)) {
    matrix = Matrix(tensor, memory.data());
    matrix.make_panels(0, matrix.panels());
  }
  std::vector<std::byte> memory;
  Matrix matrix;
};

Activations activations(const Kernels& kernels, const Matrix& matrix, const std::vector<float>& x,
                        std::size_t rows) {
  Activations out;
  out.reshape(rows, matrix.columns(), {&matrix});
  for (std::size_t m = 0; m < rows; ++m) out.set(kernels, m, x.data() + m * matrix.columns());
  return out;
}

// The numerics contract's item 4 word by word, for one output and one row of activations: chains of
// at most `segment` columns, added in order.
float product_by_the_contract(const Tensor& tensor, std::size_t output, const QuantisedRows& x,
                              std::size_t row, std::size_t segment) {
  const TensorTraits& traits = *tensor_traits(tensor.type);
  const QuantisedFormat& format = *quantised_format(tensor.type);
  const std::size_t group = format.group_weights;
  std::optional<float> product;
  float chain = 0.0F;
  QuantisedBlock block;
  for (std::size_t k = 0; k < tensor.columns; k += group) {
    const std::size_t in_block = k % traits.block_weights;
    const std::size_t place = code_place(row, k / kBlock, tensor.columns / kBlock);
    if (in_block == 0) {
      format.take_apart(tensor.data.data() + output * tensor.row_bytes() +
                            k / traits.block_weights * traits.block_bytes,
                        block);
    }
    std::int32_t products = 0;
    std::int32_t codes = 0;
    for (std::size_t i = 0; i < group; ++i) {
      const std::uint8_t stored = block.codes[in_block + i];
      const int weight = format.values != nullptr ? format.values[stored] : stored - format.bias;
      const std::int8_t code = x.codes[place * kBlock + k % kBlock + i];
      products += weight * code;
      codes += code;
    }
    const float scale = x.blocks[place].scale;
    const std::size_t part = in_block / group;
    const float d = block.scale * static_cast<float>(block.scales[part]);
    chain = std::fma(static_cast<float>(products), d * scale, chain);
    if (format.has_minima) {
      const float m = block.minimum * static_cast<float>(block.minima[part]);
      chain = std::fma(m, scale * static_cast<float>(codes), chain);
    }
    if ((k + group) % segment != 0 && k + group != tensor.columns) continue;
    product = product ? *product + chain : chain;
    chain = 0.0F;
  }
  return *product;
}

TEST_P(EachIsa, ProductsHaveTheScalarBitsWhateverTheShape) {
  const auto types = tensor_types();
  for (std::size_t trial = 0; trial < 10 * types.size(); ++trial) {
    const TensorType type = types[trial % types.size()];
    const std::size_t block = tensor_traits(type)->block_weights;
    const std::size_t rows = up_to(random, 70);
    const std::size_t most = block == 1 ? 200 : block == 32 ? 40 : 5;  // columns over two segments
    const std::size_t columns = block * up_to(random, most);
    const std::size_t m = up_to(random, 40);
    SCOPED_TRACE(std::string(tensor_traits(type)->name) + " rows " + std::to_string(rows) +
                 " columns " + std::to_string(columns) + " m " + std::to_string(m));
    const RandomTensor source(random, type, rows, columns);
    const Panels panels(source.tensor);
    const auto x = normal(random, m * columns);
    const std::size_t stride = panels.matrix.panels() * kPanelRows;
    const auto start = normal(random, m * stride);
    for (const bool add : {false, true}) {
      auto expected = start;
      auto actual = start;
      panels.matrix.product(scalar, activations(scalar, panels.matrix, x, m), 0, m, 0,
                            panels.matrix.panels(), expected.data(), stride, add);
      panels.matrix.product(kernels, activations(kernels, panels.matrix, x, m), 0, m, 0,
                            panels.matrix.panels(), actual.data(), stride, add);
      ASSERT_TRUE(same_bits(expected, actual));
    }
    // And each row alone has the bits it has among others.
    std::vector<float> together(m * stride);
    std::vector<float> alone(m * stride);
    const auto all = activations(kernels, panels.matrix, x, m);
    panels.matrix.product(kernels, all, 0, m, 0, panels.matrix.panels(), together.data(), stride,
                          false);
    for (std::size_t i = 0; i < m; ++i) {
      panels.matrix.product(kernels, all, i, 1, 0, panels.matrix.panels(),
                            alone.data() + i * stride, stride, false);
    }
    ASSERT_TRUE(same_bits(together, alone));
  }
}

// Of one segment and of several, whose last ends early or does not.
TEST_P(EachIsa, ProductsAreTheContractsOperationsInItsOrder) {
  constexpr std::size_t kSegment = kProductSegmentBlocks * kBlock;
  static_assert(kSegment == 512);
  constexpr std::size_t kOutputs = 2 * kPanelRows;
  constexpr std::size_t kRows = 31;  // every number of rows that a tile has
  for (const TensorType type : tensor_types()) {
    if (quantised_format(type) == nullptr) continue;
    const std::size_t block = tensor_traits(type)->block_weights;
    for (const std::size_t columns : {block, kSegment, kSegment + block, 2 * kSegment,
                                      2 * kSegment + block, 3 * kSegment - block}) {
      SCOPED_TRACE(std::string(tensor_traits(type)->name) + " columns " + std::to_string(columns));
      const RandomTensor source(random, type, kOutputs, columns);
      const Panels panels(source.tensor);
      const auto codes =
          activations(kernels, panels.matrix, normal(random, kRows * columns), kRows);
      const auto residual = normal(random, kRows * kOutputs);
      std::vector<float> expected(kRows * kOutputs);
      std::vector<float> in_one_chain(kRows * kOutputs);
      for (std::size_t m = 0; m < kRows; ++m) {
        for (std::size_t n = 0; n < kOutputs; ++n) {
          const auto by = [&](std::size_t segment) {
            return product_by_the_contract(source.tensor, n, codes.quantised(), m, segment);
          };
          expected[m * kOutputs + n] = by(kSegment);
          in_one_chain[m * kOutputs + n] = by(columns);
        }
      }
      EXPECT_EQ(same_bits(expected, in_one_chain), columns <= kSegment);
      std::vector<float> actual(kRows * kOutputs);
      panels.matrix.product(kernels, codes, 0, kRows, 0, 2, actual.data(), kOutputs, false);
      EXPECT_TRUE(same_bits(expected, actual));
      actual = residual;
      panels.matrix.product(kernels, codes, 0, kRows, 0, 2, actual.data(), kOutputs, true);
      for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += residual[i];
      EXPECT_TRUE(same_bits(expected, actual));
    }
  }
}

// The largest codes everywhere: integer sums must not saturate.
TEST_P(EachIsa, ExtremeCodesDoNotOverflow) {
  for (const TensorType type : tensor_types()) {
    const TensorTraits& traits = *tensor_traits(type);
    if (traits.block_weights == 1) continue;
    const std::size_t columns = 2 * traits.block_weights;
    for (const unsigned fill : {0x00U, 0x7FU, 0x80U, 0xFFU}) {
      for (const float sign : {1.0F, -1.0F}) {
        const RandomTensor source(random, type, 16, columns, fill);
        const Panels panels(source.tensor);
        const std::vector<float> x(5 * columns, sign);
        std::vector<float> expected(5 * 16);
        std::vector<float> actual(5 * 16);
        panels.matrix.product(scalar, activations(scalar, panels.matrix, x, 5), 0, 5, 0, 1,
                              expected.data(), 16, false);
        panels.matrix.product(kernels, activations(kernels, panels.matrix, x, 5), 0, 5, 0, 1,
                              actual.data(), 16, false);
        ASSERT_TRUE(same_bits(expected, actual)) << traits.name << fill;
        std::vector<float> weights(columns);
        dequantise_row(source.tensor, 0, weights);
        double exact = 0;
        double size = 0;
        for (const float w : weights) {
          exact += static_cast<double>(w) * sign;
          size += std::abs(w);
        }
        EXPECT_NEAR(actual[0], exact, 1e-5 * size + 1e-30) << traits.name << fill;
      }
    }
  }
}

TEST_P(EachIsa, QuantisingHasTheScalarBitsOnTiesExtremesAndNonFiniteValues) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  std::vector<std::vector<float>> blocks;
  for (int trial = 0; trial < 200; ++trial) {
    blocks.push_back(normal(random, 32, std::exp2(static_cast<float>(trial - 100))));
  }
  std::vector<float> ties(32);
  for (std::size_t i = 0; i < 32; ++i) ties[i] = static_cast<float>(i) - 15.5F;
  ties[0] = 127.0F;  // inverse 1: halves stay halves
  blocks.push_back(ties);
  blocks.emplace_back(32, 0.0F);
  blocks.emplace_back(32, -0.0F);
  blocks.emplace_back(32, std::numeric_limits<float>::denorm_min());
  blocks.emplace_back(32, std::numeric_limits<float>::max());
  for (const float odd : {kInf, -kInf, std::nanf("")}) {
    auto block = normal(random, 32);
    block[random() % 32] = odd;
    blocks.push_back(block);
  }
  const RandomTensor source(random, TensorType::kQ6_K, 16, 256);
  const Panels halves(source.tensor);
  for (const auto& block : blocks) {
    const auto run = [&](const Kernels& with) {
      Activations out;
      out.reshape(1, 32, {&halves.matrix});
      out.set(with, 0, block.data());
      return out;
    };
    const auto a = run(scalar);
    const auto b = run(kernels);
    EXPECT_EQ(std::memcmp(a.quantised().codes, b.quantised().codes, 32), 0);
    EXPECT_EQ(a.quantised().blocks[0].minus_8_sum, b.quantised().blocks[0].minus_8_sum);
    EXPECT_EQ(a.quantised().blocks[0].minus_128_sum, b.quantised().blocks[0].minus_128_sum);
    for (std::size_t half = 0; half < 2; ++half) {
      int sum = 0;
      for (std::size_t i = 16 * half; i < 16 * half + 16; ++i) sum += b.quantised().codes[i];
      EXPECT_EQ(a.quantised().halves[0].minus_128_sums[half], -128 * sum);
      EXPECT_EQ(b.quantised().halves[0].minus_128_sums[half], -128 * sum);
    }
    bool finite = true;
    for (const float x : block) finite = finite && std::isfinite(x);
    EXPECT_EQ(std::isnan(b.quantised().blocks[0].scale), !finite);
    if (finite) {
      EXPECT_EQ(a.quantised().blocks[0].scale, b.quantised().blocks[0].scale);
      EXPECT_EQ(a.quantised().blocks[0].scaled_sum, b.quantised().blocks[0].scaled_sum);
      EXPECT_EQ(a.quantised().halves[0].scaled_sums[0], b.quantised().halves[0].scaled_sums[0]);
      EXPECT_EQ(a.quantised().halves[0].scaled_sums[1], b.quantised().halves[0].scaled_sums[1]);
    }
  }
}

// Threads take rows by four, and lines that two of them write are slow.
TEST(Activations, RowsOfFoursLieInLinesOfTheirOwn) {
  Random random(1);
  const RandomTensor source(random, TensorType::kQ6_K, 16, 256);
  const Panels panels(source.tensor);
  Activations rows;
  rows.reshape(40, 256, {&panels.matrix});
  const QuantisedRows& q = rows.quantised();
  const auto line = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p) / 64; };
  for (std::size_t block = 0; block < 8; ++block) {
    for (std::size_t row = 4; row < 40; row += 4) {
      const std::size_t before = code_place(row - 1, block, 8);
      const std::size_t at = code_place(row, block, 8);
      EXPECT_NE(line(q.codes + before * kBlock + kBlock - 1), line(q.codes + at * kBlock));
      EXPECT_NE(line(&q.blocks[before].minus_128_sum), line(&q.blocks[at]));
      EXPECT_NE(line(&q.halves[before].minus_128_sums[1]), line(&q.halves[at]));
    }
  }
}

TEST_P(EachIsa, ElementwiseKernelsHaveTheScalarBits) {
  for (int trial = 0; trial < 60; ++trial) {
    const std::size_t n = up_to(random, 100);
    SCOPED_TRACE(n);
    const auto x = normal(random, n, 5);
    const auto y = normal(random, n);
    const auto both = [&](auto&& run) {
      std::vector<float> a(n + 32);
      std::vector<float> b(n + 32);
      run(scalar, a.data());
      run(kernels, b.data());
      ASSERT_TRUE(same_bits(a, b));
    };
    both([&](const Kernels& k, float* out) { k.rms_norm(x.data(), y.data(), n, 1e-5F, out); });
    both([&](const Kernels& k, float* out) { k.swiglu(x.data(), y.data(), n, out); });
    both([&](const Kernels& k, float* out) { k.geglu(x.data(), y.data(), n, out); });
    both([&](const Kernels& k, float* out) { k.scale(x.data(), 0.3F, n, out); });
    both([&](const Kernels& k, float* out) {
      std::copy(x.begin(), x.end(), out);
      k.soft_cap(out, 3.0F, n);
    });
    both([&](const Kernels& k, float* out) { k.exponentials(x.data(), n, 3.0F, 1.7F, out); });
    both([&](const Kernels& k, float* out) {
      std::copy(x.begin(), x.end(), out);
      k.rotate(out, y.data(), x.data(), n / 2);
    });
    both([&](const Kernels& k, float* out) {
      std::copy(x.begin(), x.end(), out);
      k.rotate_halves(out, y.data(), x.data(), n / 2);
    });
    both([&](const Kernels& k, float* out) {
      out[0] = k.maximum(x.data(), n);
      out[1] = k.sum_exp(x.data(), n, out[0], 0.7F);
    });
    both([&](const Kernels& k, float* out) {
      std::copy(x.begin(), x.end(), out);
      const float sum = k.weights_of(out, n, k.maximum(out, n));
      std::fill(out + n, out + n + 16, 0.0F);  // may hold anything
      out[n] = sum;
    });
    both([&](const Kernels& k, float* out) {
      std::copy(x.begin(), x.end(), out);
      float top = 1.5F;
      float sum = 3.0F;
      k.merge(&top, &sum, out, y[0], 2.0F, y.data(), n);
      out[n] = top;
      out[n + 1] = sum;
    });
    std::vector<std::uint16_t> a(n);
    std::vector<std::uint16_t> b(n);
    scalar.to_half(x.data(), n, a.data());
    kernels.to_half(x.data(), n, b.data());
    ASSERT_TRUE(same_bits(a, b));
  }
}

TEST_P(EachIsa, SumsOfASegmentHaveTheScalarBits) {
  for (int trial = 0; trial < 60; ++trial) {
    const std::size_t n = trial == 0 ? kChoiceSegment : up_to(random, kChoiceSegment);
    SCOPED_TRACE(n);
    const auto x = normal(random, n, 20);
    const float top = scalar.maximum(x.data(), n);
    for (const float factor : {1.0F, 0.7F, 4.0F}) {
      EXPECT_EQ(kernels.sum_exp(x.data(), n, top, factor),
                scalar.sum_exp(x.data(), n, top, factor));
    }
  }
}

// The contract's exp, as it is written there.
float exponential_by_contract(float x) {
  if (x < -87.0F) return 0.0F;
  const float clamped = std::min(x, 88.0F);
  const float n = std::fma(clamped, 0x1.715476p+0F, 0x1.8p+23F) - 0x1.8p+23F;
  const float r = std::fma(n, 0x1.05c610p-29F, std::fma(n, -0x1.62e430p-1F, clamped));
  float series = 1.0F / 5040.0F;
  for (const float next :
       {1.0F / 720.0F, 1.0F / 120.0F, 1.0F / 24.0F, 1.0F / 6.0F, 0.5F, 1.0F, 1.0F}) {
    series = std::fma(series, r, next);
  }
  return series * std::ldexp(1.0F, static_cast<int>(n));
}

TEST_P(EachIsa, ExponentialsAreTheContractsOperations) {
  constexpr std::size_t kCount = 4096;
  std::vector<float> x(kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    x[i] = std::uniform_real_distribution<float>(-90.0F, 90.0F)(random);
    if (i % 2 != 0) x[i] = std::ldexp(x[i], -static_cast<int>(up_to(random, 30)));
  }
  // Around the halves, where the nearest integer changes.
  for (std::size_t i = 0; i < 252; ++i) {
    const float half = (static_cast<float>(i) - 125.5F) / 0x1.715476p+0F;
    x[3 * i] = std::nextafter(half, -100.0F);
    x[3 * i + 1] = half;
    x[3 * i + 2] = std::nextafter(half, 100.0F);
  }
  x[kCount - 3] = -87.0F;
  x[kCount - 2] = std::nextafter(-87.0F, -100.0F);
  x[kCount - 1] = -std::numeric_limits<float>::infinity();
  std::vector<float> expected(kCount);
  std::transform(x.begin(), x.end(), expected.begin(), exponential_by_contract);
  std::vector<float> actual(kCount);
  kernels.exponentials(x.data(), kCount, 0.0F, 1.0F, actual.data());
  EXPECT_TRUE(same_bits(expected, actual));

  for (std::size_t i = 0; i < kCount; ++i) {
    x[i] = -std::fabs(x[i]);
    expected[i] = exponential_by_contract(x[i]);
  }
  kernels.weights_of(x.data(), kCount, 0.0F);
  EXPECT_TRUE(same_bits(expected, x));
}

INSTANTIATE_TEST_SUITE_P(Kernels, EachIsa, ::testing::ValuesIn(tested_kernels()),
                         [](const auto& it) { return std::string(it.param->name); });

TEST(ScalarKernels, ProductsAreCloseToExactArithmetic) {
  Random random(3);
  constexpr std::size_t kColumns = 512;
  for (const TensorType type : tensor_types()) {
    const RandomTensor source(random, type, 20, kColumns);
    const Panels panels(source.tensor);
    const auto x = normal(random, kColumns);
    const auto codes = activations(kScalarKernels, panels.matrix, x, 1);
    std::vector<float> out(32);
    panels.matrix.product(kScalarKernels, codes, 0, 1, 0, 2, out.data(), 32, false);
    std::vector<float> weights(kColumns);
    for (std::size_t n = 0; n < 20; ++n) {
      dequantise_row(source.tensor, n, weights);
      double exact = 0;
      double size = 0;
      for (std::size_t k = 0; k < kColumns; ++k) {
        const std::size_t place = code_place(0, k / kBlock, kColumns / kBlock);
        const double a =
            panels.matrix.quantised()
                ? static_cast<double>(codes.quantised().codes[place * kBlock + k % kBlock]) *
                      codes.quantised().blocks[place].scale
                : x[k];
        exact += weights[k] * a;
        size += std::abs(weights[k] * a);
      }
      EXPECT_NEAR(out[n], exact, 1e-5 * size) << tensor_traits(type)->name;
    }
  }
}

TEST(ScalarKernels, ExponentialsAreAccurateAndExactAtZero) {
  for (float x = -86.9F; x < 88.0F; x += 0.0937F) {
    float e;
    kScalarKernels.exponentials(&x, 1, 0.0F, 1.0F, &e);
    EXPECT_NEAR(e / std::exp(static_cast<double>(x)), 1.0, 3e-7) << x;
  }
  const auto of = [](float x) {
    float e;
    kScalarKernels.exponentials(&x, 1, 0.0F, 1.0F, &e);
    return e;
  };
  EXPECT_EQ(of(0.0F), 1.0F);
  EXPECT_EQ(of(-0.0F), 1.0F);
  EXPECT_EQ(of(-88.0F), 0.0F);
  EXPECT_EQ(of(-std::numeric_limits<float>::infinity()), 0.0F);
  EXPECT_TRUE(std::isnan(of(std::nanf(""))));
}

TEST(ScalarKernels, GatesAndCapsAreCloseToTheirDefinitions) {
  for (double x = -30; x <= 30; x += 0.37) {
    const auto value = static_cast<float>(x);
    const float one = 1.0F;
    float out = 0;
    kScalarKernels.geglu(&value, &one, 1, &out);
    const double inner = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
    EXPECT_NEAR(static_cast<double>(out), 0.5 * x * (1 + std::tanh(inner)),
                2e-6 * std::max(1.0, std::abs(x)))
        << x;
    out = value;
    kScalarKernels.soft_cap(&out, 5.0F, 1);
    EXPECT_NEAR(static_cast<double>(out), 5 * std::tanh(x / 5), 2e-6) << x;
  }
}

TEST(FixedMath, AgreesWithTheLibrary) {
  for (double x = -20000; x < 20000; x += 3.77) {
    const auto turn = sine_cosine(x);
    EXPECT_NEAR(turn.sine, std::sin(x), 2e-15) << x;
    EXPECT_NEAR(turn.cosine, std::cos(x), 2e-15) << x;
  }
  for (double x = 1e-9; x < 1e13; x *= 1.37) {
    EXPECT_NEAR(logarithm(x), std::log(x), 1e-15 * (1 + std::abs(std::log(x)))) << x;
  }
  for (double x = -600; x < 600; x += 0.73) {
    EXPECT_NEAR(exponential(x) / std::exp(x), 1.0, 1e-14) << x;
  }
}

TEST(Isa, UnknownAndMissingSetsAreRefusedByName) {
  EXPECT_EQ((*choose_kernels("scalar"))->name, std::string("scalar"));
  EXPECT_EQ(*choose_kernels(""), supported_kernels().back());
  const auto unknown = choose_kernels("mmx");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kInvalid);
  EXPECT_NE(unknown.error().message.find("'mmx'"), std::string::npos);
}

}  // namespace
}  // namespace espalier::runtime::cpu
