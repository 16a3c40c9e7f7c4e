// Choices on the device against Sampler: the same tokens and the same bits of probabilities.
#include "runtime/cuda/sample.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "runtime/sampling/sampler.h"
#include "runtime/sampling/token_segments.h"
#include "tests/runtime/cuda/rig.h"

namespace espalier::runtime::cuda {
namespace {

using Random = std::mt19937_64;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A choice as the host would be asked for it.
struct Choice {
  std::uint32_t row = 0;
  std::optional<std::vector<std::uint64_t>> mask;
  float temperature = 0;
  std::uint64_t counter = 0;
  std::optional<double> uniform;  // else from the key
};

class Choices {
 public:
  /// `rows` of logits; what lies between the vocabulary and the stride is NaN.
  explicit Choices(std::vector<std::vector<float>> rows)
      : rows_(std::move(rows)), stride_((rows_[0].size() + 7) / 4 * 4) {}

  std::vector<Choice> choices;

  [[nodiscard]] double uniform(const Choice& choice) const {
    return choice.uniform.value_or(key_.uniform(choice.counter));
  }

  [[nodiscard]] std::vector<SampleResult> on_device() const {
    std::vector<float> logits;
    for (const auto& row : rows_) {
      logits.insert(logits.end(), row.begin(), row.end());
      logits.resize((logits.size() / stride_ + 1) * stride_,
                    std::numeric_limits<float>::quiet_NaN());
    }
    const DeviceArray<float> logits_there(logits);
    std::vector<std::unique_ptr<DeviceArray<std::uint32_t>>> masks;
    std::vector<SampleRow> wanted;
    for (const Choice& choice : choices) {
      SampleRow& row = wanted.emplace_back();
      row.logits_row = choice.row;
      row.temperature = choice.temperature;
      row.uniform = uniform(choice);
      if (!choice.mask.has_value()) continue;
      std::vector<std::uint32_t> words;
      for (const std::uint64_t word : *choice.mask) {
        words.push_back(static_cast<std::uint32_t>(word));
        words.push_back(static_cast<std::uint32_t>(word >> 32));
      }
      row.mask_words = static_cast<std::uint32_t>(words.size());
      row.mask = masks.emplace_back(std::make_unique<DeviceArray<std::uint32_t>>(words))->get();
    }
    const DeviceArray<SampleRow> wanted_there(wanted);
    const DeviceArray<SampleResult> results(wanted.size());
    const auto count = static_cast<std::uint32_t>(wanted.size());
    const auto vocabulary = static_cast<std::uint32_t>(rows_[0].size());
    const DeviceArray<unsigned char> scratch(
        std::vector<unsigned char>(sample_scratch_bytes(count, vocabulary)));
    for (int i = 0; i < 2; ++i) {  // the second finds what the first has left
      sample(nullptr, count, wanted_there.get(), logits_there.get(), stride_, vocabulary,
             scratch.get(), results.get());
    }
    return results.read();
  }

  /// Sampler's answer. A choice with its own number in [0, 1) is not Sampler's to make.
  [[nodiscard]] Result<Sampled> on_host(const Choice& choice) const {
    Sampler sampler(cpu::kScalarKernels);
    Sampling sampling;
    sampling.temperature = choice.temperature;
    std::optional<grammar::Mask> mask;
    if (choice.mask.has_value()) mask.emplace(*choice.mask);
    return sampler.sample(rows_[choice.row], mask.has_value() ? &*mask : nullptr, sampling, nullptr,
                          key_, choice.counter);
  }

  void expect_the_hosts() const {
    const std::vector<SampleResult> results = on_device();
    for (std::size_t i = 0; i < choices.size(); ++i) {
      SCOPED_TRACE("choice " + std::to_string(i));
      const auto want = on_host(choices[i]);
      if (!want.has_value()) {
        const bool nothing = want.error().message.find("no token") != std::string::npos;
        EXPECT_EQ(results[i].state,
                  nothing ? SampleState::kNothingAllowed : SampleState::kNotFinite);
        continue;
      }
      ASSERT_EQ(results[i].state, SampleState::kChosen);
      EXPECT_EQ(results[i].token, want->token);
      EXPECT_EQ(std::bit_cast<std::uint32_t>(results[i].probability),
                std::bit_cast<std::uint32_t>(want->probability));
    }
  }

 private:
  std::vector<std::vector<float>> rows_;
  std::size_t stride_;
  RandomKey key_{11};
};

std::vector<float> random_logits(Random& random, std::size_t vocabulary) {
  std::normal_distribution<float> normal;
  std::vector<float> row(vocabulary);
  const float spread = std::vector<float>{0.0F, 1.0F, 5.0F, 40.0F}[random() % 4];
  const bool ties = random() % 3 == 0;
  for (float& x : row) {
    x = spread * normal(random);
    if (ties) x = std::nearbyint(x);
  }
  const float special[] = {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN(), -1e38F,
                           200.0F};
  if (random() % 4 == 0) row[random() % vocabulary] = special[random() % std::size(special)];
  if (random() % 8 == 0) {  // a row as a padded vocabulary leaves it
    std::fill(row.begin() + static_cast<std::ptrdiff_t>(random() % vocabulary), row.end(),
              -kInfinity);
  }
  return row;
}

std::optional<std::vector<std::uint64_t>> random_mask(Random& random, std::size_t vocabulary) {
  if (random() % 4 == 0) return std::nullopt;
  std::vector<std::uint64_t> words((vocabulary + 63) / 64);
  switch (random() % 5) {
    case 0:  // one token, or none
      if (random() % 4 != 0) {
        const std::size_t token = random() % vocabulary;
        words[token / 64] = std::uint64_t{1} << token % 64;
      }
      break;
    case 1:  // few
      for (std::uint64_t& word : words) {
        word = random();
        for (int i = 0; i < 3; ++i) word &= random();
      }
      break;
    case 2:  // many
      for (std::uint64_t& word : words) {
        word = random();
        for (int i = 0; i < 2; ++i) word |= random();
      }
      break;
    case 3:  // a stretch
      for (std::size_t w = random() % words.size(); w < words.size() && random() % 20 != 0; ++w) {
        words[w] = ~std::uint64_t{0};
      }
      break;
    default:  // too short
      words.resize(1 + random() % words.size());
      for (std::uint64_t& word : words) word = random();
      break;
  }
  if (words.size() == (vocabulary + 63) / 64 && vocabulary % 64 != 0) {
    words.back() &= (std::uint64_t{1} << vocabulary % 64) - 1;
  }
  return words;
}

TEST(CudaSample, ChoosesWhatTheHostChooses) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const std::size_t sizes[] = {1,    3,    31,   64,   127,  128,  129,   500,
                                 2047, 2048, 2050, 4097, 6144, 9001, 17'000};
    const std::size_t vocabulary = sizes[random() % std::size(sizes)];
    std::vector<std::vector<float>> rows;
    for (int i = 0; i < 3; ++i) rows.push_back(random_logits(random, vocabulary));
    Choices choices(std::move(rows));
    for (std::uint64_t i = 0; i < 12; ++i) {
      Choice& choice = choices.choices.emplace_back();
      choice.row = static_cast<std::uint32_t>(random() % 3);
      choice.mask = random_mask(random, vocabulary);
      choice.temperature = std::vector<float>{0.0F, 0.0F, 1.0F, 0.3F, 1.7F, 1e-40F}[random() % 6];
      choice.counter = random();
    }
    set_order(seed % 3);
    choices.expect_the_hosts();
    ASSERT_EQ(cudaGetLastError(), cudaSuccess);
    if (HasFailure()) break;
  }
  set_order(0);
}

TEST(CudaSample, LargeVocabulariesAreChosenFrom) {
  Random random(5);
  const std::size_t vocabulary = 151'936;
  std::vector<float> row(vocabulary);
  std::normal_distribution<float> normal(0.0F, 3.0F);
  for (float& x : row) x = normal(random);
  Choices choices({row});
  for (const float temperature : {0.0F, 1.0F, 0.7F}) {
    for (std::uint64_t counter = 0; counter < 3; ++counter) {
      choices.choices.push_back({0, std::nullopt, temperature, counter, std::nullopt});
    }
  }
  choices.expect_the_hosts();
}

TEST(CudaSample, DrawsFollowTheWeights) {
  // Eight tokens of equal weight: u falls to token floor(8 u).
  Choices choices({std::vector<float>(8, 2.5F)});
  for (int i = 0; i < 64; ++i) {
    choices.choices.push_back({0, std::nullopt, 0.8F, 0, (i + 0.5) / 64});
  }
  const auto results = choices.on_device();
  for (int i = 0; i < 64; ++i) {
    EXPECT_EQ(results[static_cast<std::size_t>(i)].token, i / 8);
    EXPECT_EQ(results[static_cast<std::size_t>(i)].probability, 0.125F);
  }
}

// Of sums that stand as near to the drawn number as doubles can.
TEST(CudaSample, DrawsOnBordersAreTheHosts) {
  Random random(6);
  std::vector<float> row(5000);
  std::normal_distribution<float> normal;
  for (float& x : row) x = normal(random);
  std::vector<TokenId> tokens(row.size());
  std::iota(tokens.begin(), tokens.end(), 0);
  TokenSegments host(cpu::kScalarKernels);
  host.set(tokens, row);
  Choices choices({row});
  std::vector<std::size_t> want;
  const auto ask = [&](double uniform) {
    choices.choices.push_back({0, std::nullopt, 1.0F, 0, uniform});
    want.push_back(host.draw(1.0F, uniform));
  };
  for (const double within : {0.01, 0.2, 0.5, 0.77, 0.999}) {
    // The least number that draws another token than the one below it, by halving.
    double below = within - 0.005;
    double above = within;
    const std::size_t first = host.draw(1.0F, below);
    ASSERT_NE(host.draw(1.0F, above), first);
    while (std::nextafter(below, 1.0) < above) {
      const double middle = below + (above - below) / 2;
      (host.draw(1.0F, middle) == first ? below : above) = middle;
    }
    for (int i = 0; i < 4; ++i) {
      ask(below);
      ask(above);
      below = std::nextafter(below, 0.0);
      above = std::nextafter(above, 1.0);
    }
  }
  ask(0.0);
  ask(1 - 0x1p-53);
  const auto results = choices.on_device();
  for (std::size_t i = 0; i < results.size(); ++i) {
    ASSERT_EQ(results[i].state, SampleState::kChosen);
    EXPECT_EQ(static_cast<std::size_t>(results[i].token), want[i]) << i;
  }
}

}  // namespace
}  // namespace espalier::runtime::cuda
