// Kernels against their definitions in doubles (double_reference.h), within its table of
// tolerances: embeddings, norms, codes, products of every type, gates, caps, choices. That kernels
// have the bits of the CPU's says that both are alike; this says that they are right.
#include "tests/runtime/cuda/double_reference.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "runtime/cuda/embed.h"
#include "runtime/cuda/kernels.h"
#include "runtime/cuda/panels.h"
#include "runtime/cuda/sample.h"
#include "tests/runtime/cuda/rig.h"
#include "tests/support/random_tensor.h"

namespace espalier::runtime::cuda {
namespace {

using doubles::Farthest;
using doubles::Random;
using doubles::Rows;
using testing::RandomTensor;

std::uint32_t count_of(std::size_t n) { return static_cast<std::uint32_t>(n); }

// A tensor's weights on the device, and as numbers.
struct Weights {
  Weights(Random& random, TensorType type, std::size_t rows, std::size_t columns)
      : made(random, type, rows, columns),
        data(laid_out(made.tensor)),
        numbers(doubles::rows_of(made.tensor)) {
    matrix.data = reinterpret_cast<const unsigned char*>(data.get());
    matrix.rows = count_of(rows);
    matrix.columns = count_of(columns);
    matrix.format = weight_format(type);
  }
  static std::vector<std::byte> laid_out(const Tensor& tensor) {
    std::vector<std::byte> out(device_bytes(tensor));
    lay_out(tensor, 0, groups_of(tensor), out);
    return out;
  }
  RandomTensor made;
  DeviceArray<std::byte> data;
  Rows numbers;
  DeviceMatrix matrix;
};

// Activations as kernels write them: floats, and codes where the width is whole blocks.
class Written {
 public:
  Written(std::uint32_t rows, std::uint32_t width)
      : rows_(rows), width_(width), floats_(rows * (width + std::size_t{4})) {
    view.floats = floats_.get();
    view.stride = width + 4;
    if (width % 32 != 0) return;
    const std::size_t places = std::size_t{rows + 7} / 8 * 8 * (width / 32);
    view.coded.codes = codes_.emplace(places * 32).get();
    view.coded.scales = scales_.emplace(places).get();
    view.coded.scaled_sums = sums_.emplace(places).get();
    view.coded.scaled_half_sums = half_sums_.emplace(2 * places).get();
    view.coded.blocks = width / 32;
  }
  [[nodiscard]] Rows floats() const {
    return doubles::rows_of(floats_.read(), rows_, width_, view.stride);
  }
  [[nodiscard]] doubles::Codes codes() const {
    return {codes_->read(), scales_->read(), width_ / 32};
  }
  /// Floats within a share of `sizes`, codes within half a step more, sums of codes exact but for
  /// their own rounding.
  void expect(const Rows& wanted, const Rows& sizes, double tolerance) const {
    Farthest of_floats, of_codes, of_sums;
    const Rows got = floats();
    for (std::size_t m = 0; m < rows_; ++m) {
      for (std::size_t k = 0; k < width_; ++k) {
        of_floats.take(got[m][k], wanted[m][k], tolerance * sizes[m][k], m, k);
      }
    }
    EXPECT_TRUE(of_floats.within());
    if (!codes_.has_value()) return;
    const doubles::Codes coded = codes();
    const std::vector<float> sums = sums_->read();
    const std::vector<float> half_sums = half_sums_->read();
    for (std::size_t m = 0; m < rows_; ++m) {
      const std::vector<double> row = coded.row(m);
      for (std::size_t k = 0; k < width_; ++k) {
        const double step = doubles::kCode * doubles::block_size(wanted[m], k / 32);
        of_codes.take(row[k], wanted[m][k],
                      step + tolerance * doubles::block_size(sizes[m], k / 32), m, k);
      }
      for (std::size_t h = 0; h < width_ / 16; ++h) {
        const std::size_t place = coded.place(m, h / 2);
        double half = 0;
        for (std::size_t k = 16 * h; k < 16 * h + 16; ++k) half += row[k];
        of_sums.take(half_sums[2 * place + h % 2], half, doubles::kFloat * std::abs(half), m, h);
        if (h % 2 == 1) continue;
        double whole = half;
        for (std::size_t k = 16 * h + 16; k < 16 * h + 32; ++k) whole += row[k];
        of_sums.take(sums[place], whole, doubles::kFloat * std::abs(whole), m, h);
      }
    }
    EXPECT_TRUE(of_codes.within());
    EXPECT_TRUE(of_sums.within());
  }

  Activations view;

 private:
  std::uint32_t rows_, width_;
  DeviceArray<float> floats_;
  std::optional<DeviceArray<std::int8_t>> codes_;
  std::optional<DeviceArray<float>> scales_, sums_, half_sums_;
};

// Numbers whose blocks are of unlike sizes, so that a block under another's scale shows.
std::vector<float> uneven(Random& random, std::size_t rows, std::size_t width) {
  std::vector<float> out = doubles::normal(random, rows * width);
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = std::ldexp(out[i], static_cast<int>(i % width / 32 % 5) - 2);
  }
  return out;
}

// ---- products and embeddings of every type

class DoubleReference : public ::testing::TestWithParam<TensorType> {};

TEST_P(DoubleReference, HasTheProductsOfFewRowsAndMany) {
  const TensorType type = GetParam();
  const double tolerance = doubles::tolerance_of(type);
  const bool dense = is_dense(weight_format(type));
  const bool wide = tensor_traits(type)->block_weights == 256;
  Random random(70);
  struct Case {
    std::size_t rows, outputs, blocks;  // of 32 columns; of wide types as many as are whole
    bool add;
  };
  // A column's tail beyond the segments of 512, outputs that fill no panel.
  for (const Case& it : {Case{1, 21, 19, true}, Case{8, 40, 43, false}, Case{19, 7, 24, true},
                         Case{64, 37, 35, false}}) {
    SCOPED_TRACE(std::to_string(it.rows) + " rows");
    const std::size_t columns = wide ? (it.blocks + 7) / 8 * 256 : it.blocks * 32;
    const Weights weights(random, type, it.outputs, columns);
    const std::vector<float> x = uneven(random, it.rows, columns);
    const Rows numbers = doubles::rows_of(x, it.rows, columns, columns);
    const std::size_t stride = (it.outputs + 15) / 16 * 16;
    const std::vector<float> before = doubles::normal(random, it.rows * stride);

    const DeviceArray<float> from(x);
    const Written written(count_of(it.rows), count_of(columns));
    const DeviceArray<float> to(before);
    set_order(it.rows);
    set_activations(nullptr, count_of(it.rows), from.get(), columns, nullptr, count_of(columns),
                    written.view);
    product(nullptr, weights.matrix, written.view, count_of(it.rows), to.get(), stride, it.add);
    ASSERT_EQ(cudaGetLastError(), cudaSuccess);
    written.expect(numbers, numbers, 0);

    const std::vector<float> out = to.read();
    Farthest as_read, in_all;
    for (std::size_t m = 0; m < it.rows; ++m) {
      const std::vector<double> read = dense ? numbers[m] : written.codes().row(m);
      for (std::size_t n = 0; n < it.outputs; ++n) {
        const std::size_t at = m * stride + n;
        doubles::Sum residual;
        if (it.add) residual = {before[at], std::abs(double{before[at]})};
        const doubles::Sum sum = doubles::product(weights.numbers[n], read) + residual;
        as_read.take(out[at], sum.value, tolerance * sum.size, m, n);
        if (dense) continue;
        const doubles::Sum whole = doubles::product(weights.numbers[n], numbers[m]) + residual;
        const double codes =
            doubles::kCode * doubles::product_of_block_sizes(weights.numbers[n], numbers[m]);
        in_all.take(out[at], whole.value, codes + tolerance * whole.size, m, n);
      }
    }
    EXPECT_TRUE(as_read.within());
    if (!dense) {
      EXPECT_TRUE(in_all.within());
    }
  }
  set_order(0);
}

TEST_P(DoubleReference, HasTheEmbeddings) {
  Random random(71);
  const std::size_t columns = is_dense(weight_format(GetParam())) ? 333 : 2 * 256;
  const Weights weights(random, GetParam(), 29, columns);
  const std::vector<std::uint32_t> ids = {28, 0, 17, 17, kChosenId | 1, 5};
  std::vector<SampleResult> chosen(2);
  chosen[1].token = 11;
  const DeviceArray<std::uint32_t> named(ids);
  const DeviceArray<SampleResult> choices(chosen);
  const std::size_t stride = columns + 3;
  const DeviceArray<float> out(ids.size() * stride);
  for (const float factor : {1.0F, 24.3F}) {
    embed_rows(nullptr, count_of(ids.size()), weights.matrix, named.get(), choices.get(), factor,
               out.get(), stride);
    ASSERT_EQ(cudaGetLastError(), cudaSuccess);
    const Rows got = doubles::rows_of(out.read(), ids.size(), columns, stride);
    Farthest farthest;
    for (std::size_t m = 0; m < ids.size(); ++m) {
      const std::vector<double>& row = weights.numbers[m == 4 ? 11 : ids[m]];
      for (std::size_t k = 0; k < columns; ++k) {
        const double want = row[k] * double{factor};
        farthest.take(got[m][k], want, doubles::kEmbedding * std::abs(want), m, k);
      }
    }
    EXPECT_TRUE(farthest.within());
  }
}

INSTANTIATE_TEST_SUITE_P(Types, DoubleReference,
                         ::testing::ValuesIn(tensor_types().begin(), tensor_types().end()),
                         [](const auto& it) { return std::string(tensor_traits(it.param)->name); });

// ---- work on rows

TEST(DoubleReferenceOfRows, HasTheNormsAndTheirCodes) {
  Random random(72);
  constexpr double kEpsilon = 1e-5F;
  for (const std::uint32_t width : {32U, 77U, 576U, 2080U}) {
    SCOPED_TRACE("width " + std::to_string(width));
    constexpr std::uint32_t kRows = 11;
    const std::size_t stride = width + 5;
    const std::vector<float> x = uneven(random, kRows, stride);
    const std::vector<float> weight = doubles::normal(random, width);
    const std::vector<float> residual = uneven(random, kRows, stride);
    const std::vector<std::uint32_t> from = {3, 3, 10, 0, 1, 9, 8, 7, 2, 5, 4};
    const Rows rows = doubles::rows_of(x, kRows, width, stride);
    const std::vector<double> weights(weight.begin(), weight.end());
    const DeviceArray<float> x_there(x), weight_there(weight), residual_there(residual);
    const DeviceArray<std::uint32_t> from_there(from);
    Rows wanted, sizes;
    for (const std::uint32_t row : from) {
      wanted.push_back(doubles::rms_norm(rows[row], weights, kEpsilon));
      for (double& size : sizes.emplace_back(wanted.back())) size = std::abs(size);
    }
    set_order(width);
    const Written written(kRows, width);
    rms_norm(nullptr, kRows, x_there.get(), stride, from_there.get(), weight_there.get(), width,
             1e-5F, written.view);
    written.expect(wanted, sizes, doubles::kNorm);

    add_normed(nullptr, kRows, x_there.get(), stride, weight_there.get(), width, 1e-5F,
               residual_there.get(), stride);
    ASSERT_EQ(cudaGetLastError(), cudaSuccess);
    const Rows got = doubles::rows_of(residual_there.read(), kRows, width, stride);
    const Rows before = doubles::rows_of(residual, kRows, width, stride);
    Farthest farthest;
    for (std::size_t m = 0; m < kRows; ++m) {
      const std::vector<double> normed = doubles::rms_norm(rows[m], weights, kEpsilon);
      for (std::size_t k = 0; k < width; ++k) {
        farthest.take(got[m][k], before[m][k] + normed[k],
                      doubles::kNorm * (std::abs(before[m][k]) + std::abs(normed[k])), m, k);
      }
    }
    EXPECT_TRUE(farthest.within());
  }
  set_order(0);
}

TEST(DoubleReferenceOfRows, HasTheGatesAndTheirCodes) {
  Random random(73);
  for (const bool gelu : {false, true}) {
    for (const std::uint32_t width : {96U, 301U, 1536U}) {
      SCOPED_TRACE((gelu ? "gelu, width " : "silu, width ") + std::to_string(width));
      constexpr std::uint32_t kRows = 9;
      const std::size_t stride = width + 1;
      const std::vector<float> gates = doubles::normal(random, kRows * stride, 4);
      const std::vector<float> up = doubles::normal(random, kRows * stride);
      const Rows gate_rows = doubles::rows_of(gates, kRows, width, stride);
      const Rows up_rows = doubles::rows_of(up, kRows, width, stride);
      Rows wanted = gate_rows;
      Rows sizes = gate_rows;
      for (std::size_t m = 0; m < kRows; ++m) {
        for (std::size_t k = 0; k < width; ++k) {
          const double x = gate_rows[m][k];
          wanted[m][k] = (gelu ? doubles::gelu(x) : doubles::silu(x)) * up_rows[m][k];
          sizes[m][k] = std::abs(x * up_rows[m][k]);
        }
      }
      const DeviceArray<float> gates_there(gates), up_there(up);
      const Written written(kRows, width);
      set_order(width);
      gate(nullptr, kRows, gates_there.get(), up_there.get(), stride, width, gelu, written.view);
      ASSERT_EQ(cudaGetLastError(), cudaSuccess);
      written.expect(wanted, sizes, doubles::kGate);
    }
  }
  set_order(0);
}

TEST(DoubleReferenceOfRows, HasTheCappedLogits) {
  Random random(74);
  constexpr std::uint32_t kRows = 5;
  constexpr std::uint32_t kWidth = 700;
  const std::vector<float> x = doubles::normal(random, kRows * kWidth, 30);
  const DeviceArray<float> there(x);
  soft_cap(nullptr, kRows, there.get(), kWidth, kWidth - 3, 30.0F);
  ASSERT_EQ(cudaGetLastError(), cudaSuccess);
  const std::vector<float> got = there.read();
  Farthest farthest;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const bool capped = i % kWidth < kWidth - 3;
    farthest.take(got[i], capped ? 30 * std::tanh(x[i] / 30.0) : double{x[i]},
                  capped ? 30 * doubles::kCapped : 0, i / kWidth, i % kWidth);
  }
  EXPECT_TRUE(farthest.within());
}

// ---- choices

// The probability of each allowed token at a temperature; 0 of others.
std::vector<double> chances(const std::vector<float>& logits, const std::vector<bool>& allowed,
                            double temperature) {
  double most = -std::numeric_limits<double>::infinity();
  for (std::size_t t = 0; t < logits.size(); ++t) {
    if (allowed[t]) most = std::max(most, double{logits[t]});
  }
  double all = 0;
  std::vector<double> out(logits.size());
  for (std::size_t t = 0; t < logits.size(); ++t) {
    if (allowed[t]) all += out[t] = std::exp((logits[t] - most) / temperature);
  }
  for (double& chance : out) chance /= all;
  return out;
}

TEST(DoubleReferenceOfChoices, HasTheirProbabilitiesAndWhatEachDrawFallsOn) {
  Random random(75);
  std::uniform_real_distribution<double> uniform;
  for (const std::uint32_t vocabulary : {37U, 2048U, 7001U}) {
    SCOPED_TRACE("vocabulary " + std::to_string(vocabulary));
    const std::size_t stride = (vocabulary + 3) / 4 * 4;
    constexpr std::size_t kLogits = 2;
    const std::vector<float> logits = doubles::normal(random, kLogits * stride, 3);
    const DeviceArray<float> logits_there(logits);
    // All tokens; two thirds of them; one in 32.
    std::vector<std::vector<std::uint32_t>> masks(
        3, std::vector<std::uint32_t>((vocabulary + 31) / 32));
    for (std::uint32_t t = 0; t < vocabulary; ++t) {
      masks[0][t / 32] |= 1U << t % 32;
      if (random() % 3 != 0) masks[1][t / 32] |= 1U << t % 32;
      if (random() % 32 == 0 || t == 20) masks[2][t / 32] |= 1U << t % 32;
    }
    const DeviceArray<std::uint32_t> masks_there[] = {DeviceArray<std::uint32_t>(masks[0]),
                                                      DeviceArray<std::uint32_t>(masks[1]),
                                                      DeviceArray<std::uint32_t>(masks[2])};
    std::vector<SampleRow> wanted;
    std::vector<std::size_t> mask_of;
    for (std::size_t i = 0; i < 54; ++i) {
      SampleRow& row = wanted.emplace_back();
      row.logits_row = count_of(i % kLogits);
      row.temperature = std::vector<float>{0, 1, 0.6F, 1.9F}[i % 7 % 4];
      row.uniform = uniform(random);
      mask_of.push_back(i % 3);
      if (i % 6 == 0) continue;  // no mask is all tokens, too
      row.mask = masks_there[i % 3].get();
      row.mask_words = count_of(masks[0].size());
    }
    const DeviceArray<SampleRow> wanted_there(wanted);
    const DeviceArray<SampleResult> results(wanted.size());
    const DeviceArray<unsigned char> scratch(
        std::vector<unsigned char>(sample_scratch_bytes(count_of(wanted.size()), vocabulary)));
    set_order(vocabulary);
    sample(nullptr, count_of(wanted.size()), wanted_there.get(), logits_there.get(), stride,
           vocabulary, scratch.get(), results.get());
    ASSERT_EQ(cudaGetLastError(), cudaSuccess);
    const std::vector<SampleResult> got = results.read();
    Farthest farthest;
    for (std::size_t i = 0; i < got.size(); ++i) {
      SCOPED_TRACE("choice " + std::to_string(i));
      ASSERT_EQ(got[i].state, SampleState::kChosen);
      const auto first =
          logits.begin() + static_cast<std::ptrdiff_t>(wanted[i].logits_row * stride);
      const std::vector<float> row(first, first + vocabulary);
      std::vector<bool> allowed(vocabulary);
      for (std::uint32_t t = 0; t < vocabulary; ++t) {
        allowed[t] = (masks[mask_of[i]][t / 32] >> t % 32 & 1U) != 0;
      }
      const auto token = static_cast<std::size_t>(got[i].token);
      ASSERT_LT(token, vocabulary);
      ASSERT_TRUE(allowed[token]);
      const std::vector<double> plain = chances(row, allowed, 1);
      farthest.take(got[i].probability, plain[token], doubles::kChance * plain[token], i, token);
      if (wanted[i].temperature == 0) {
        EXPECT_EQ(plain[token], *std::max_element(plain.begin(), plain.end()));
        continue;
      }
      const std::vector<double> at = chances(row, allowed, wanted[i].temperature);
      double before = 0;
      for (std::size_t t = 0; t < token; ++t) before += at[t];
      EXPECT_GE(wanted[i].uniform, before - doubles::kDraw);
      EXPECT_LE(wanted[i].uniform, before + at[token] + doubles::kDraw);
    }
    EXPECT_TRUE(farthest.within());
  }
  set_order(0);
}

}  // namespace
}  // namespace espalier::runtime::cuda
