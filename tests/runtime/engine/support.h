// What the engine's tests share: an engine on a toy backend whose text depends on every slot it
// reads.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "grammar/matcher.h"
#include "runtime/engine/engine.h"
#include "tests/support/toy_backend.h"

namespace espalier::runtime {

using espalier::testing::ToyBackend;
using espalier::testing::ToyOptions;
using Ids = std::vector<TokenId>;

struct Given {
  ToyOptions toy;
  EngineOptions options{.max_rows = 64, .cache = true, .poison = true, .check = true};
};

inline std::unique_ptr<Engine> make_engine(Given given = {}, System& system = real_system()) {
  auto engine =
      Engine::create(std::make_unique<ToyBackend>(std::move(given.toy)), given.options, system);
  EXPECT_TRUE(engine.has_value()) << engine.error().message;
  return std::move(*engine);
}

inline Ids random_ids(std::mt19937& random, std::size_t count, TokenId alphabet = 64) {
  Ids out(count);
  for (auto& id : out) id = static_cast<TokenId>(random() % static_cast<unsigned>(alphabet));
  return out;
}

inline GenerateRequest free_text(std::uint32_t tokens, float temperature = 0,
                                 std::uint64_t seed = 0) {
  GenerateRequest request;
  request.max_tokens = tokens;
  request.sampling.temperature = temperature;
  request.key = RandomKey(seed);
  return request;
}

/// The text that the backend's definition gives, one token at a time and without any engine.
inline Ids by_definition(Ids path, std::uint32_t tokens) {
  const ToyBackend toy{ToyOptions{}};
  Ids out;
  for (std::uint32_t i = 0; i < tokens; ++i) {
    const auto logits = toy.logits_after(path);
    const auto best =
        static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    path.push_back(best);
    out.push_back(best);
  }
  return out;
}

/// Single bytes and some longer tokens; the longest match is canonical.
inline grammar::VocabularyRef jump_vocabulary(const std::vector<std::string>& spellings) {
  grammar::Vocabulary::Spec spec;
  spec.bytes = spellings;
  spec.bytes.emplace_back();
  spec.end_of_turn = static_cast<TokenId>(spellings.size());
  spec.canonical = [spellings](std::string_view text) -> Result<Ids> {
    Ids out;
    while (!text.empty()) {
      std::size_t best = static_cast<unsigned char>(text[0]);
      for (std::size_t i = 256; i < spellings.size(); ++i) {
        if (text.starts_with(spellings[i]) && spellings[i].size() > spellings[best].size())
          best = i;
      }
      out.push_back(static_cast<TokenId>(best));
      text.remove_prefix(spellings[best].size());
    }
    return out;
  };
  return grammar::Vocabulary::create(std::move(spec)).value();
}

inline grammar::Matcher matcher_of(const std::string& pattern,
                                   const grammar::VocabularyRef& vocabulary,
                                   const std::string& follow = {}) {
  grammar::Type type;
  type.kind = grammar::TypeKind::kRegex;
  type.pattern = pattern;
  auto grammar =
      grammar::compile(vocabulary, std::make_shared<const grammar::Type>(std::move(type)), follow);
  EXPECT_TRUE(grammar.has_value()) << grammar.error().message;
  return (*grammar)->start();
}

}  // namespace espalier::runtime
