// Calibrations for numerics `fp8`: what is measured, and the file that it is kept in.
#include "runtime/fp8_calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "runtime/cpu/fp8_errors.h"
#include "runtime/device.h"
#include "runtime/draft_backend.h"
#include "tests/runtime/cpu/rig.h"
#include "tests/support/gguf_writer.h"

namespace espalier::runtime {
namespace {

using espalier::testing::TinyLlama;
using ::testing::HasSubstr;

std::shared_ptr<const Model> tiny(TensorType type) {
  TinyLlama description;
  description.layers = 3;
  description.matrix_type = static_cast<std::uint32_t>(type);
  return testing::load_bytes(description.writer().finish().bytes);
}

std::vector<TokenId> some_ids(const Model& model, std::size_t count) {
  std::mt19937_64 random(3);
  std::vector<TokenId> out(count);
  for (TokenId& id : out) id = static_cast<TokenId>(random() % model.shape().vocabulary);
  return out;
}

using Errors = std::vector<std::array<double, kLayerProducts.size()>>;

Errors measured(const std::shared_ptr<const Model>& model, unsigned threads) {
  auto errors = cpu::Fp8Errors::create(model, threads, real_system());
  EXPECT_TRUE(errors.has_value()) << errors.error().message;
  if (!errors) return {};
  const std::vector<TokenId> ids = some_ids(*model, 70);
  EXPECT_TRUE((*errors)->take(std::span(ids).first(50)).has_value());
  EXPECT_TRUE((*errors)->take(std::span(ids).last(20)).has_value());
  return (*errors)->errors();
}

TEST(Fp8Errors, AreThoseOfTwoFactorsOfThreeBitsEach) {
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16}) {
    const auto model = tiny(type);
    ASSERT_NE(model, nullptr);
    const Errors errors = measured(model, 1);
    ASSERT_EQ(errors.size(), 3U);
    for (const auto& layer : errors) {
      for (const double error : layer) {
        EXPECT_GT(error, 0.01);
        EXPECT_LT(error, 0.08);
      }
    }
    EXPECT_EQ(errors, measured(model, 3)) << "whatever the threads";
  }
}

TEST(Fp8Errors, AreAskedOfWeightsThatAreFloatsAlone) {
  const auto model = tiny(TensorType::kQ4_0);
  ASSERT_NE(model, nullptr);
  const auto errors = cpu::Fp8Errors::create(model, 1, real_system());
  ASSERT_FALSE(errors.has_value());
  EXPECT_EQ(errors.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(errors.error().message, HasSubstr("weights are quantised already"));
}

Fp8Calibration some() {
  Fp8Calibration out;
  out.model = std::string(64, 'a');
  out.tokens = 1234;
  out.bound = 0.06;
  out.errors = {{0.03, 0.061, 0.06, 0.0}, {0.2, 1.0 / 3, NAN, 0.05}};
  return out;
}

TEST(Fp8Calibrations, ComeBackFromTheirFileAsTheyWere) {
  const Fp8Calibration before = some();
  const auto after = Fp8Calibration::parse(before.text(), "c.fp8");
  ASSERT_TRUE(after.has_value()) << after.error().message;
  EXPECT_EQ(after->text(), before.text());
  EXPECT_EQ(after->name(), before.name());
  EXPECT_EQ(after->model, before.model);
  EXPECT_EQ(after->tokens, before.tokens);
  EXPECT_EQ(after->bound, before.bound);
  EXPECT_EQ(after->errors[1][1], before.errors[1][1]);
}

// Beyond the bound, and where there is no number.
TEST(Fp8Calibrations, KeepWhatIsBeyondTheBound) {
  const Fp8Calibration it = some();
  const Fp8Products products = it.products();
  const bool kept[2][4] = {{false, true, false, false}, {true, true, true, false}};
  for (std::size_t l = 0; l < 2; ++l) {
    for (const LayerProducts which : kLayerProducts) {
      EXPECT_EQ(products.keeps(l, which), kept[l][static_cast<std::size_t>(which)]);
      EXPECT_EQ(products.from(1).keeps(l, which),
                l == 0 && kept[1][static_cast<std::size_t>(which)]);
    }
  }
  EXPECT_EQ(it.counts().kept, 4U);
  EXPECT_EQ(it.counts().all, 7U);
  EXPECT_FALSE(Fp8Products().keeps(0, LayerProducts::kDown));
}

TEST(Fp8Calibrations, DamagedInAnyBitAreRefusedByName) {
  const std::string whole = some().text();
  const auto refused = [](const std::string& text) {
    const auto read = Fp8Calibration::parse(text, "c.fp8");
    ASSERT_FALSE(read.has_value()) << text;
    EXPECT_EQ(read.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(read.error().message, HasSubstr("'c.fp8' is no calibration for fp8: "));
  };
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      refused(damaged);
    }
    refused(whole.substr(0, i));
    refused(whole.substr(0, i) + whole.substr(i + 1));
  }
  refused(whole + "\n");
  refused(whole + whole);
}

TEST(Fp8Calibrations, AreOfOneModel) {
  const auto model = tiny(TensorType::kBF16);
  const auto other = tiny(TensorType::kF16);
  ASSERT_TRUE(model != nullptr && other != nullptr);
  Fp8Calibration it = some();
  it.model = model_key(*model);
  it.errors.resize(3);
  EXPECT_TRUE(it.check(*model).has_value());
  for (const bool resized : {false, true}) {
    if (resized) it.errors.resize(2);
    const Status refused = it.check(resized ? *model : *other);
    ASSERT_FALSE(refused.has_value());
    EXPECT_THAT(refused.error().message, HasSubstr("measured on another model than '"));
  }
}

// A draft is another model: what its own numerics are not is what is said of it.
TEST(Fp8Calibrations, AreNotTheDraftModels) {
  const auto model = tiny(TensorType::kBF16);
  ASSERT_NE(model, nullptr);
  const auto path = std::filesystem::temp_directory_path() /
                    ("espalier_draft_" + std::to_string(::getpid()) + ".gguf");
  TinyLlama description;
  description.layers = 1;
  espalier::testing::write_file(path.string(), description.writer().finish().bytes);
  auto calibration = std::make_shared<Fp8Calibration>(some());
  calibration->model = model_key(*model);
  BackendOptions options;
  options.device = *Device::parse("cpu");
  options.numerics = Numerics::kFp8;
  options.fp8_calibration = calibration;
  const auto draft = load_draft(path.string(), *model, 4, options, real_system());
  std::filesystem::remove(path);
  ASSERT_FALSE(draft.has_value());
  EXPECT_THAT(draft.error().message, HasSubstr("numerics fp8: the CPU"));
}

}  // namespace
}  // namespace espalier::runtime
