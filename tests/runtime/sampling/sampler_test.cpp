#include "runtime/sampling/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "runtime/cpu/isa.h"

namespace espalier::runtime {
namespace {

using Random = std::mt19937_64;

std::vector<float> random_logits(Random& random, std::size_t n, bool ties) {
  std::normal_distribution<float> normal(0.0F, 3.0F);
  std::vector<float> out(n);
  for (float& x : out) x = ties ? std::round(normal(random)) : normal(random);
  return out;
}

grammar::MaskRef mask_of(const std::set<TokenId>& ids, std::size_t vocabulary) {
  std::vector<std::uint64_t> words((vocabulary + 63) / 64);
  for (const TokenId id : ids) {
    words[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
  }
  return std::make_shared<const grammar::Mask>(std::move(words));
}

// The definition, by a full sort, in double.
std::set<TokenId> kept_by_definition(const std::vector<float>& logits,
                                     const std::set<TokenId>& allowed, const Sampling& sampling,
                                     const TokenCounts& counts) {
  struct Entry {
    double logit;
    TokenId id;
    double p = 0;
  };
  std::vector<Entry> all;
  for (const TokenId id : allowed) {
    float x = logits[static_cast<std::size_t>(id)];
    for (const auto& [token, times] : counts.context) {
      if (token == id) x = x > 0 ? x / sampling.repetition : x * sampling.repetition;
    }
    for (const auto& [token, times] : counts.generated) {
      if (token == id) x = x - sampling.presence - sampling.frequency * static_cast<float>(times);
    }
    all.push_back({static_cast<double>(x), id});
  }
  std::sort(all.begin(), all.end(), [](const Entry& a, const Entry& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  });
  if (sampling.temperature == 0) return {all[0].id};
  if (sampling.top_k > 0 && all.size() > static_cast<std::size_t>(sampling.top_k)) {
    all.resize(static_cast<std::size_t>(sampling.top_k));
  }
  double total = 0;
  for (Entry& entry : all) {
    entry.p = std::exp((entry.logit - all[0].logit) / static_cast<double>(sampling.temperature));
    total += entry.p;
  }
  std::set<TokenId> out;
  double sum = 0;
  for (const Entry& entry : all) {
    // A hair of slack where a sum meets its threshold: the definition is in double.
    if (!out.empty() && sum >= static_cast<double>(sampling.top_p) * total * (1 + 1e-5)) break;
    if (!out.empty() && entry.p < static_cast<double>(sampling.min_p) * (1 - 1e-5)) break;
    out.insert(entry.id);
    sum += entry.p;
  }
  return out;
}

TEST(Sampler, AgreesWithTheDefinitionByAFullSortOnEveryInstructionSet) {
  Random random(11);
  for (int trial = 0; trial < 400; ++trial) {
    SCOPED_TRACE(trial);
    const std::size_t vocabulary = 1 + random() % 700;
    const auto logits = random_logits(random, vocabulary, trial % 3 == 0);
    std::set<TokenId> allowed;
    const bool masked = trial % 2 == 0;
    const std::size_t some = 1 + random() % vocabulary;
    for (std::size_t i = 0; i < (masked ? some : vocabulary); ++i) {
      allowed.insert(static_cast<TokenId>(masked ? random() % vocabulary : i));
    }
    const auto mask = masked ? mask_of(allowed, vocabulary) : nullptr;
    Sampling sampling;
    if (trial % 5 != 0) sampling.temperature = 0.2F + static_cast<float>(random() % 20) / 10;
    if (trial % 4 == 1) sampling.top_k = static_cast<std::int32_t>(1 + random() % 20);
    if (trial % 4 == 2) sampling.top_p = 0.05F + static_cast<float>(random() % 90) / 100;
    if (trial % 7 == 3) sampling.min_p = static_cast<float>(random() % 50) / 100;
    TokenCounts counts;
    if (trial % 6 == 0) {
      sampling.repetition = 1.3F;
      sampling.presence = 0.5F;
      sampling.frequency = 0.25F;
      for (std::size_t id = 0; id < vocabulary; id += 1 + random() % 5) {
        counts.context.emplace_back(static_cast<TokenId>(id), 1);
        if (random() % 2 == 0) {
          counts.generated.emplace_back(static_cast<TokenId>(id),
                                        static_cast<std::uint32_t>(1 + random() % 4));
        }
      }
    }
    ASSERT_TRUE(sampling.check());
    const auto kept = kept_by_definition(logits, allowed, sampling, counts);
    const RandomKey key(static_cast<std::uint64_t>(trial));
    std::vector<Sampled> first;
    for (const cpu::Kernels* kernels : cpu::supported_kernels()) {
      Sampler sampler(*kernels);
      std::vector<Sampled> drawn;
      for (std::uint64_t counter = 0; counter < 20; ++counter) {
        const auto result = sampler.sample(logits, mask.get(), sampling, &counts, key, counter);
        ASSERT_TRUE(result) << result.error().message;
        EXPECT_TRUE(kept.contains(result->token)) << result->token;
        drawn.push_back(*result);
      }
      if (first.empty()) first = drawn;
      for (std::size_t i = 0; i < drawn.size(); ++i) {
        EXPECT_EQ(first[i].token, drawn[i].token);
        EXPECT_EQ(first[i].probability, drawn[i].probability);
      }
    }
    double total = 0;
    for (const TokenId id : allowed) {
      total += std::exp(static_cast<double>(logits[static_cast<std::size_t>(id)]));
    }
    EXPECT_NEAR(
        first[0].probability,
        std::exp(static_cast<double>(logits[static_cast<std::size_t>(first[0].token)])) / total,
        1e-5);
  }
}

TEST(Sampler, DrawsFollowTheDistribution) {
  const std::vector<float> logits = {0.0F, 1.0F, 2.0F, -1.0F, 0.5F};
  for (const float top_p : {1.0F, 0.9999F}) {  // with and without sorting
    const Sampling sampling{.temperature = 1.5F, .top_p = top_p};
    Sampler sampler(*cpu::supported_kernels().back());
    std::map<TokenId, double> seen;
    constexpr int kDraws = 40000;
    for (std::uint64_t i = 0; i < kDraws; ++i) {
      const auto result = sampler.sample(logits, nullptr, sampling, nullptr, RandomKey(5), i);
      ASSERT_TRUE(result);
      seen[result->token] += 1.0 / kDraws;
    }
    double total = 0;
    for (const float x : logits) total += std::exp(static_cast<double>(x) / 1.5);
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const double p = std::exp(static_cast<double>(logits[i]) / 1.5) / total;
      EXPECT_NEAR(seen[static_cast<TokenId>(i)], p, 5 * std::sqrt(p / kDraws));
    }
  }
}

// Down to the smallest number there is, whose inverse is infinite.
TEST(Sampler, TheSmallestTemperaturesDrawAmongTheBestAlone) {
  Random random(12);
  for (const std::size_t vocabulary : {std::size_t{2}, std::size_t{200}, std::size_t{300'000}}) {
    auto logits = random_logits(random, vocabulary, false);
    const TokenId last = static_cast<TokenId>(vocabulary) - 1;
    for (const TokenId best : {TokenId{0}, last}) logits[static_cast<std::size_t>(best)] = 40.0F;
    std::set<TokenId> others;
    for (TokenId id = 1; id <= last; ++id) others.insert(id);
    const auto all_but_one = mask_of(others, vocabulary);
    for (const float temperature : {1e-30F, 1e-38F, 1e-40F, 1e-45F}) {
      for (const Sampling& sampling :
           {Sampling{.temperature = temperature}, Sampling{.temperature = temperature, .top_k = 9},
            Sampling{.temperature = temperature, .top_p = 0.9F},
            Sampling{.temperature = temperature, .min_p = 1.0F}}) {
        for (const cpu::Kernels* kernels : cpu::supported_kernels()) {
          Sampler sampler(*kernels);
          std::set<TokenId> seen;
          for (std::uint64_t i = 0; i < 12; ++i)
            seen.insert(sampler.sample(logits, nullptr, sampling, nullptr, RandomKey(3), i)->token);
          EXPECT_EQ(seen, (std::set<TokenId>{0, last})) << temperature << " of " << vocabulary;
          EXPECT_EQ(
              sampler.sample(logits, all_but_one.get(), sampling, nullptr, RandomKey(3), 0)->token,
              last);
        }
      }
    }
  }
}

TEST(Sampler, TiesGoToTheLowestId) {
  const std::vector<float> logits(300, 1.0F);
  Sampler sampler(*cpu::supported_kernels().back());
  const auto mask = mask_of({17, 201, 299}, 300);
  EXPECT_EQ(sampler.sample(logits, nullptr, {}, nullptr, {}, 0)->token, 0);
  EXPECT_EQ(sampler.sample(logits, mask.get(), {}, nullptr, {}, 0)->token, 17);
  const Sampling two{.temperature = 1.0F, .top_k = 2};
  for (std::uint64_t i = 0; i < 50; ++i) {
    EXPECT_LE(sampler.sample(logits, mask.get(), two, nullptr, RandomKey(1), i)->token, 201);
  }
  const auto best = Sampler::best(logits, 3, 0.0);
  EXPECT_EQ(best[0].first, 0);
  EXPECT_EQ(best[2].first, 2);
}

TEST(Sampler, LogitsOutsideTheMaskNeverMatter) {
  Random random(3);
  const auto logits = random_logits(random, 5000, false);
  std::set<TokenId> most;
  for (TokenId id = 0; id < 5000; ++id) {
    if (random() % 8 != 0) most.insert(id);
  }
  for (const std::set<TokenId>& allowed : {std::set<TokenId>{3, 64, 2050, 4999}, most}) {
    const auto mask = mask_of(allowed, 5000);
    auto others = logits;
    for (std::size_t id = 0; id < logits.size(); ++id) {
      if (!allowed.contains(static_cast<TokenId>(id))) others[id] = std::nanf("");
    }
    for (const Sampling& sampling : {Sampling{}, Sampling{.temperature = 1.0F},
                                     Sampling{.temperature = 1.3F, .top_p = 0.9F}}) {
      for (const cpu::Kernels* kernels : cpu::supported_kernels()) {
        Sampler sampler(*kernels);
        const auto expected =
            sampler.sample(logits, mask.get(), sampling, nullptr, RandomKey(2), 0);
        const auto actual = sampler.sample(others, mask.get(), sampling, nullptr, RandomKey(2), 0);
        ASSERT_TRUE(expected && actual);
        EXPECT_EQ(expected->token, actual->token);
        EXPECT_EQ(expected->probability, actual->probability);
      }
    }
  }
}

TEST(Sampler, BrokenLogitsAndEmptyMasksAreErrors) {
  Sampler sampler(*cpu::supported_kernels().back());
  std::vector<float> logits(40, 0.0F);
  const auto none = mask_of({}, 40);
  EXPECT_EQ(sampler.sample(logits, none.get(), {}, nullptr, {}, 0).error().code,
            ErrorCode::kInternal);
  for (const float odd : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    logits[7] = odd;
    EXPECT_FALSE(sampler.sample(logits, nullptr, {}, nullptr, {}, 0));
    EXPECT_FALSE(sampler.log_normaliser(logits));
  }
}

TEST(Sampler, BestTokensHaveTheirLogProbabilitiesInOrder) {
  Random random(4);
  const auto logits = random_logits(random, 1000, true);
  Sampler sampler(*cpu::supported_kernels().back());
  const auto normaliser = sampler.log_normaliser(logits);
  ASSERT_TRUE(normaliser);
  double total = 0;
  for (const float x : logits) total += std::exp(static_cast<double>(x));
  EXPECT_NEAR(*normaliser, std::log(total), 1e-6);
  std::vector<std::pair<TokenId, float>> all;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    all.emplace_back(static_cast<TokenId>(i),
                     static_cast<float>(static_cast<double>(logits[i]) - *normaliser));
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  for (const std::uint32_t count : {0U, 1U, 10U, 1000U, 5000U}) {
    auto expected = all;
    expected.resize(std::min<std::size_t>(count, all.size()));
    EXPECT_EQ(Sampler::best(logits, count, *normaliser), expected);
  }
}

TEST(Sampling, FieldsOutOfRangeAreRefusedByName) {
  const auto message = [](const Sampling& sampling) {
    const auto status = sampling.check();
    return status ? std::string() : status.error().message;
  };
  EXPECT_EQ(message({}), "");
  EXPECT_NE(message({.temperature = -1.0F}).find("temperature"), std::string::npos);
  EXPECT_NE(message({.temperature = std::nanf("")}).find("temperature"), std::string::npos);
  EXPECT_NE(message({.top_k = -1}).find("top_k"), std::string::npos);
  EXPECT_NE(message({.top_p = 0.0F}).find("top_p"), std::string::npos);
  EXPECT_NE(message({.min_p = 1.5F}).find("min_p"), std::string::npos);
  EXPECT_NE(message({.repetition = 0.0F}).find("repetition"), std::string::npos);
  EXPECT_NE(message({.presence = 1e9F}).find("presence"), std::string::npos);
  EXPECT_NE(message({.frequency = -1e9F}).find("frequency"), std::string::npos);
}

}  // namespace
}  // namespace espalier::runtime
