// Tiny checkpoints of every architecture against `transformers`, and each feature of an
// architecture against its absence: a model that lacks it must be told apart.
//
// The checkpoints and logits are made by tests/runtime/model/fixtures/make_architectures.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "base/system.h"
#include "runtime/cpu/forward.h"
#include "runtime/cpu/isa.h"
#include "runtime/model/architecture.h"
#include "tests/runtime/cpu/rig.h"
#include "tests/support/source_folder.h"

namespace espalier::runtime::testing {
namespace {

using nlohmann::json;
using Random = std::mt19937_64;

constexpr double kTolerance = 1e-3;
// A missing feature must be this much farther away.
constexpr double kTellsApart = 10 * kTolerance;

const std::string kFixtures =
    espalier::testing::source_folder() + "/tests/runtime/model/fixtures/arch_";

/// A loaded model whose shape and weights may be changed.
class ChangedModel final : public Model {
 public:
  explicit ChangedModel(std::shared_ptr<const Model> model)
      : shape_of_it(model->shape()), weights_of_it(model->weights()), model_(std::move(model)) {}

  const ModelShape& shape() const override { return shape_of_it; }
  const ModelWeights& weights() const override { return weights_of_it; }
  const ModelFacts& facts() const override { return model_->facts(); }
  const std::shared_ptr<const Tokenizer>& tokenizer() const override { return model_->tokenizer(); }
  const std::shared_ptr<const ChatTemplate>& chat_template() const override {
    return model_->chat_template();
  }
  const std::string& path() const override { return model_->path(); }
  std::uint64_t file_bytes() const override { return model_->file_bytes(); }

  /// Adds `value` to every element of a vector.
  void shift(Tensor& tensor, float value) {
    std::vector<float>& data = owned_.emplace_back(tensor.columns);
    dequantise_row(tensor, 0, data);
    for (float& x : data) x += value;
    tensor.data = std::as_bytes(std::span(data));
  }

  ModelShape shape_of_it;
  ModelWeights weights_of_it;

 private:
  std::shared_ptr<const Model> model_;
  std::deque<std::vector<float>> owned_;
};

struct Text {
  std::uint32_t context = 0;
  std::vector<TokenId> ids;
  std::vector<std::uint32_t> positions;
  std::vector<std::vector<float>> logits;
};

std::vector<Text> texts_of(const std::string& name) {
  const json record = json::parse(std::ifstream(kFixtures + name + ".json"));
  std::vector<Text> out;
  for (const auto& it : record["texts"]) {
    out.push_back({it["context"], it["ids"], it["positions"], it["logits"]});
  }
  return out;
}

std::shared_ptr<const Model> load(const std::string& name, const Text& text) {
  auto model =
      Model::load(kFixtures + name + ".gguf", real_system(), LoadOptions{.context = text.context});
  if (!model) {
    ADD_FAILURE() << model.error().message;
    return nullptr;
  }
  return *model;
}

/// Logits at the text's positions, all fed in one step.
std::vector<std::vector<float>> logits_of(const std::shared_ptr<const Model>& model,
                                          const Text& text, const cpu::Kernels& kernels) {
  auto workers = cpu::WorkerPool::create(1);
  auto pool = cpu::KvPool::create(model->shape(), KvType::kF16, std::uint64_t{64} << 20);
  auto forward = cpu::Forward::create(model, kernels, **workers);
  if (!forward || !pool) {
    ADD_FAILURE() << "no backend";
    return {};
  }
  Sequence sequence;
  for (PageId page = 0; page * kPageTokens < text.ids.size(); ++page)
    sequence.pages.push_back(page);
  BatchBuilder builder;
  builder.append(sequence, text.ids);
  (*forward)->run(builder.batch, text.positions, *pool);
  std::vector<cpu::HeadRow> rows;
  for (const std::uint32_t position : text.positions) rows.push_back({position, true, {}});
  std::vector<float> out(rows.size() * (*forward)->logits_stride());
  (*forward)->logits(rows, out.data());
  std::vector<std::vector<float>> logits;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto first = out.begin() + static_cast<std::ptrdiff_t>(i * (*forward)->logits_stride());
    logits.emplace_back(first, first + model->shape().vocabulary);
  }
  return logits;
}

double distance(const std::vector<std::vector<float>>& a,
                const std::vector<std::vector<float>>& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t k = 0; k < a[i].size(); ++k) {
      const double apart = std::abs(static_cast<double>(a[i][k]) - static_cast<double>(b[i][k]));
      worst = std::isnan(apart) ? INFINITY : std::max(worst, apart);
    }
  }
  return worst;
}

using Change = std::function<void(ChangedModel&)>;
struct Feature {
  std::string name;
  Change off;
};

Change shape(std::function<void(ModelShape&)> change) {
  return [change = std::move(change)](ChangedModel& model) { change(model.shape_of_it); };
}
// Of both kinds of layers: where all are local, only the second is in force.
Change ropes(std::function<void(Rope&)> change) {
  return [change = std::move(change)](ChangedModel& model) {
    change(model.shape_of_it.rope);
    change(model.shape_of_it.local_rope);
  };
}
Change layers(std::function<void(LayerWeights&)> change) {
  return [change = std::move(change)](ChangedModel& model) {
    for (LayerWeights& layer : model.weights_of_it.layers) change(layer);
  };
}

const Feature kPairs{"the pairs that turn together", shape([](ModelShape& s) {
                       s.rope_pairs = s.rope_pairs == RopePairs::kAdjacent ? RopePairs::kHalves
                                                                           : RopePairs::kAdjacent;
                     })};
const Feature kBase{"the rotary base", ropes([](Rope& r) { r.base *= 1.5F; })};
const Feature kEpsilon{"the norms' epsilon", shape([](ModelShape& s) { s.norm_epsilon = 0.1F; })};
const Feature kScale{"the scale of queries", shape([](ModelShape& s) {
                       s.query_scale = 1.0F / std::sqrt(static_cast<float>(s.width));
                     })};
const Feature kGate{"the gate's activation", shape([](ModelShape& s) {
                      s.activation = s.activation == Activation::kSilu ? Activation::kGeluTanh
                                                                       : Activation::kSilu;
                    })};
const Feature kFactor{"the scaling factor", shape([](ModelShape& s) { s.rope.factor = 1.0F; })};
const Feature kYarn{"YaRN, linear scaling in its place",
                    shape([](ModelShape& s) { s.rope.yarn.reset(); })};
const Feature kYarnFast{"YaRN's bound of fast pairs",
                        shape([](ModelShape& s) { s.rope.yarn->beta_fast *= 4; })};
const Feature kYarnSlow{"YaRN's bound of slow pairs",
                        shape([](ModelShape& s) { s.rope.yarn->beta_slow /= 4; })};
const Feature kYarnContext{"YaRN's original context",
                           shape([](ModelShape& s) { s.rope.yarn->original_context *= 4; })};
const Feature kYarnMix{"YaRN's extrapolation",
                       shape([](ModelShape& s) { s.rope.yarn->extrapolation = 0.5F; })};
const Feature kYarnAttention{"YaRN's attention factor",
                             shape([](ModelShape& s) { s.rope.yarn->attention = 1.0F; })};
const Feature kDivisors{"the divisors of frequencies", ropes([](Rope& r) { r.divisors.clear(); })};
const Feature kNoWindow{"the window", shape([](ModelShape& s) { s.window = s.context; })};
const Feature kWiderWindow{"the window's last position", shape([](ModelShape& s) { ++s.window; })};
const Feature kNarrowerWindow{"the window's first position",
                              shape([](ModelShape& s) { --s.window; })};

// By checkpoint: what its test would not pass without.
const std::map<std::string, std::vector<Feature>>& features() {
  static const std::map<std::string, std::vector<Feature>> kAll{
      {"llama3", {kPairs, kBase, kEpsilon, kScale, kGate, kDivisors}},
      {"llama_linear", {kPairs, kBase, kFactor}},
      {"llama_yarn",
       {kPairs, kBase, kFactor, kYarn, kYarnFast, kYarnSlow, kYarnContext, kYarnMix,
        kYarnAttention}},
      {"llama_window", {kPairs, kNoWindow, kWiderWindow, kNarrowerWindow}},
      {"mistral3",
       {kPairs,
        kBase,
        kFactor,
        kYarn,
        kYarnFast,
        kYarnSlow,
        kYarnContext,
        kYarnAttention,
        {"YaRN's second multiplier",
         shape([](ModelShape& s) { s.rope.yarn->log_multiplier = 0.0F; })},
        {"the temperature", shape([](ModelShape& s) { s.temperature = 0.0F; })},
        {"the temperature's steps", shape([](ModelShape& s) { s.temperature_length *= 2; })}}},
      {"qwen2",
       {kPairs,
        kBase,
        kFactor,
        kYarn,
        kYarnContext,
        kYarnAttention,
        {"biases of Q", layers([](LayerWeights& l) { l.query_bias = {}; })},
        {"biases of K", layers([](LayerWeights& l) { l.key_bias = {}; })},
        {"biases of V", layers([](LayerWeights& l) { l.value_bias = {}; })}}},
      {"qwen3",
       {kPairs,
        kBase,
        kScale,
        kGate,
        {"norms of Q", layers([](LayerWeights& l) { l.query_norm = {}; })},
        {"norms of K", layers([](LayerWeights& l) { l.key_norm = {}; })}}},
      {"gemma3",
       {kPairs,
        kBase,
        kEpsilon,
        kGate,
        kFactor,
        kNoWindow,
        kWiderWindow,
        kNarrowerWindow,
        {"norms of Q", layers([](LayerWeights& l) { l.query_norm = {}; })},
        {"norms of K", layers([](LayerWeights& l) { l.key_norm = {}; })},
        {"norms after attention", layers([](LayerWeights& l) { l.post_attention_norm = {}; })},
        {"norms after the feed-forward block",
         layers([](LayerWeights& l) { l.post_feed_forward_norm = {}; })},
        {"the 1 in the norms", [](ChangedModel& m) { m.shift(m.weights_of_it.output_norm, 1); }},
        {"the local rotary base", shape([](ModelShape& s) { s.local_rope.base = s.rope.base; })},
        {"local positions without scaling",
         shape([](ModelShape& s) { s.local_rope.factor = s.rope.factor; })},
        {"the pattern: all local", shape([](ModelShape& s) { s.local.assign(s.layers, true); })},
        {"the pattern: none local", shape([](ModelShape& s) { s.local.assign(s.layers, false); })},
        {"the pattern: one layer later", shape([](ModelShape& s) {
           s.local.insert(s.local.begin(), true);
           s.local.resize(s.layers);
         })},
        {"the scale of embeddings", shape([](ModelShape& s) { s.embedding_scale = 1.0F; })},
        {"the scale of queries, by the head's width", shape([](ModelShape& s) {
           s.query_scale = 1.0F / std::sqrt(static_cast<float>(s.head_width));
         })},
        {"the cap of logits", shape([](ModelShape& s) { s.logit_cap = 0.0F; })}}},
      {"phi3",
       {kPairs,
        kBase,
        kDivisors,
        kNoWindow,
        kWiderWindow,
        kNarrowerWindow,
        {"the magnitude of LongRoPE", ropes([](Rope& r) { r.magnitude = 1.0F; })},
        {"the part of a head that turns", shape([](ModelShape& s) {
           s.local_rope.divisors.resize(s.head_width / 2, 1.0F);
           s.rope_width = s.head_width;
         })},
        {"gate before up", layers([](LayerWeights& l) { std::swap(l.gate, l.up); })},
        {"key before value", layers([](LayerWeights& l) { std::swap(l.key, l.value); })}}},
  };
  return kAll;
}

class Oracle : public ::testing::TestWithParam<std::string> {};

TEST_P(Oracle, LogitsAreThoseOfTransformers) {
  const auto texts = texts_of(GetParam());
  ASSERT_FALSE(texts.empty());
  for (const Text& text : texts) {
    const auto model = load(GetParam(), text);
    ASSERT_NE(model, nullptr);
    const double apart = distance(logits_of(model, text, cpu::kScalarKernels), text.logits);
    std::printf("%s, %zu tokens: largest difference %.2g\n", GetParam().c_str(), text.ids.size(),
                apart);
    EXPECT_LE(apart, kTolerance);
  }
}

TEST_P(Oracle, EachFeatureSwitchedOffIsToldApart) {
  const Text text = texts_of(GetParam()).front();
  const auto model = load(GetParam(), text);
  ASSERT_NE(model, nullptr);
  for (const Feature& feature : features().at(GetParam())) {
    const auto changed = std::make_shared<ChangedModel>(model);
    feature.off(*changed);
    EXPECT_GT(distance(logits_of(changed, text, cpu::kScalarKernels), text.logits), kTellsApart)
        << "without " << feature.name;
  }
}

// The law (law_test.cpp) for each architecture: bits depend on the tokens alone.
TEST_P(Oracle, NeitherChunksNorThreadsNorInstructionSetChangeABit) {
  Random random(7);
  for (const Text& text : texts_of(GetParam())) {
    const auto model = load(GetParam(), text);
    ASSERT_NE(model, nullptr);
    Rig alone(model, {.threads = 1, .kv_bytes = std::uint64_t{64} << 20, .isa = "scalar"});
    Sequence whole = alone.sequence(static_cast<std::uint32_t>(text.ids.size()));
    const auto expected = alone.feed(whole, text.ids);
    for (const cpu::Kernels* kernels : cpu::supported_kernels()) {
      for (const unsigned threads : {1U, 3U}) {
        SCOPED_TRACE(std::string(kernels->name) + ", threads " + std::to_string(threads));
        Rig rig(model,
                {.threads = threads, .kv_bytes = std::uint64_t{64} << 20, .isa = kernels->name});
        ASSERT_TRUE(rig);
        Sequence sequence = rig.sequence(static_cast<std::uint32_t>(text.ids.size()));
        std::vector<float> last;
        for (std::size_t done = 0; done < text.ids.size();) {
          const std::size_t count = std::min<std::size_t>(text.ids.size() - done,
                                                          1 + random() % (done % 2 == 0 ? 90 : 5));
          last = rig.feed(sequence, std::span(text.ids).subspan(done, count));
          done += count;
        }
        ASSERT_EQ(expected, last);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, Oracle, ::testing::ValuesIn([] {
                           std::vector<std::string> names;
                           for (const auto& [name, list] : features()) names.push_back(name);
                           return names;
                         }()),
                         [](const auto& one) { return one.param; });

TEST(Oracle, EveryArchitectureHasACheckpoint) {
  for (const Architecture* architecture : architectures()) {
    bool found = false;
    for (const auto& [name, list] : features()) {
      const auto model = load(name, texts_of(name).front());
      ASSERT_NE(model, nullptr);
      found = found || model->shape().architecture == architecture->name;
    }
    EXPECT_TRUE(found) << architecture->name;
  }
}

}  // namespace
}  // namespace espalier::runtime::testing
