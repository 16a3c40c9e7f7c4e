// The layers of well-known models as they are, of generated weights: the same logits, ids and pages
// on a device as on the CPU. Fewer layers and tokens than theirs, for a shim.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/model/random_model.h"
#include "tests/runtime/cuda/twins.h"

namespace espalier::runtime::cuda {
namespace {

std::shared_ptr<const Model> generated(std::string_view shape, std::string_view type) {
  RandomModel random;
  for (const RandomShape& it : known_shapes()) {
    if (it.name == shape) random.shape = it;
  }
  random.shape.layers = 2;
  random.shape.vocabulary = 500;
  random.shape.context = 256;
  random.types = RandomTypes::parse(type).value();
  const auto path = std::filesystem::temp_directory_path() /
                    ("espalier_shape_" + std::to_string(::getpid()) + ".gguf");
  const auto plan = random.plan();
  EXPECT_TRUE(plan.has_value()) << plan.error().message;
  const Status written =
      plan->write(path.string(), real_system(), [](std::uint64_t) { return true; });
  EXPECT_TRUE(written.has_value()) << written.error().message;
  auto model = Model::load(path.string(), real_system());
  std::filesystem::remove(path);
  EXPECT_TRUE(model.has_value()) << model.error().message;
  return model ? *model : nullptr;
}

struct Shape {
  const char* name;
  const char* type;
};

class ModelShapes : public ::testing::TestWithParam<Shape> {};

TEST_P(ModelShapes, HaveTheSameBitsOnADeviceAsOnTheCpu) {
  const auto model = generated(GetParam().name, GetParam().type);
  ASSERT_NE(model, nullptr);
  Random random(7);
  Twins twins(model);
  ASSERT_TRUE(twins);
  std::vector<Sequence> texts;
  BatchBuilder prompts;
  std::vector<std::uint32_t> rows;
  for (int i = 0; i < 2; ++i) {
    texts.push_back(twins.cpu.sequence(40));
    const auto ids = random_ids(random, *model, 9 + 8 * static_cast<std::size_t>(i));
    rows.push_back(prompts.append(texts.back(), ids) + static_cast<std::uint32_t>(ids.size()) - 1);
  }
  ASSERT_NO_FATAL_FAILURE(twins.step(prompts.batch, rows));
  for (int step = 0; step < 2; ++step) {
    BatchBuilder builder;
    rows.clear();
    for (Sequence& text : texts)
      rows.push_back(builder.append(text, random_ids(random, *model, 1)));
    ASSERT_NO_FATAL_FAILURE(twins.step(builder.batch, rows));
  }
  for (const Sequence& text : texts) {
    for (const PageId page : text.pages) twins.expect_same_page(page);
  }
  twins.choose_masked(random, *model, 2, 300, [](const auto&, const Sampled& a, const Sampled& b) {
    EXPECT_EQ(a.token, b.token);
    EXPECT_EQ(a.probability, b.probability);
  });
}

INSTANTIATE_TEST_SUITE_P(
    Known, ModelShapes,
    ::testing::Values(Shape{"smollm2-135m", "q4_1"}, Shape{"smollm2-135m", "bf16"},
                      Shape{"gemma-3-270m", "q8_0"}, Shape{"gemma-3-270m", "bf16"},
                      Shape{"qwen2.5-0.5b", "q4_k_m"}, Shape{"qwen2.5-0.5b", "f16"}),
    [](const auto& named) {
      std::string out = named.param.name + std::string("_") + named.param.type;
      std::replace_if(
          out.begin(), out.end(), [](char c) { return c == '-' || c == '.'; }, '_');
      return out;
    });

}  // namespace
}  // namespace espalier::runtime::cuda
