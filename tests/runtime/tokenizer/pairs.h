// The pairs of texts and ids that llama.cpp keeps beside its vocabulary files.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/random.h"
#include "runtime/tokenizer/tokenizer.h"
#include "tests/support/data.h"

namespace espalier::testing {

inline std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Checks `tokenizer` against all of those under `name`.
inline void expect_pairs(const runtime::Tokenizer& tokenizer, const std::string& name) {
  const auto inputs = data_file("tokenizers/ggml-vocab-" + name + ".gguf.inp");
  const auto outputs = data_file("tokenizers/ggml-vocab-" + name + ".gguf.out");
  if (!inputs || !outputs) GTEST_SKIP() << "no reference data for " << name;
  const std::string texts = slurp(*inputs);
  std::istringstream lines(slurp(*outputs));
  static const std::string kSeparator = "\n__ggml_vocab_test__\n";
  std::size_t at = 0;
  std::size_t cases = 0;
  std::string line;
  while (at < texts.size() && std::getline(lines, line)) {
    const std::size_t end = std::min(texts.find(kSeparator, at), texts.size());
    const std::string text = texts.substr(at, end - at);
    at = end + kSeparator.size();
    std::vector<TokenId> expected;
    std::istringstream numbers(line);
    for (TokenId id = 0; numbers >> id;) expected.push_back(id);
    const auto ids = tokenizer.encode(text);
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_EQ(*ids, expected) << "text: " << text;
    const std::string prefix(text.empty() ? "" : tokenizer.run_prefix());
    EXPECT_EQ(tokenizer.decode(*ids), prefix + text);
    ++cases;
  }
  EXPECT_GT(cases, 30U);
}

/// Random byte strings come back as they were, or are refused at the first byte that the vocabulary
/// lacks. A million of them under ESPALIER_LONG.
inline void expect_any_bytes(const runtime::Tokenizer& tokenizer) {
  constexpr auto kContinuation = runtime::TextStart::kContinuation;
  std::array<bool, 256> spelled{};
  for (std::size_t byte = 0; byte < 256; ++byte)
    spelled[byte] =
        tokenizer.encode(std::string(1, static_cast<char>(byte)), kContinuation).has_value();
  static const char* const kAtoms[] = {" ",    "  ", "\n", "the", "'s", "123",    "\u00e9", "中",
                                       "🦙", "a",  "!",  "\t",  "ب",  "\u0301", "\u2581", "</s>"};
  const std::uint64_t count = std::getenv("ESPALIER_LONG") != nullptr ? 1'000'000 : 5'000;
  for (std::uint64_t seed = 0; seed < count; ++seed) {
    const RandomKey key(seed);
    const std::uint32_t share = key.bits(0)[1] % 8;  // of bytes of any value
    std::string text;
    for (std::uint64_t i = 0; i < key.bits(0)[0] % 24; ++i) {
      const auto bits = key.bits(i + 1);
      if (bits[1] % 8 < share)
        text += static_cast<char>(bits[2]);
      else
        text += kAtoms[bits[0] % std::size(kAtoms)];
    }
    const auto wrong = std::find_if(
        text.begin(), text.end(), [&](char c) { return !spelled[static_cast<unsigned char>(c)]; });
    const auto ids = tokenizer.encode(text, kContinuation);
    if (wrong == text.end()) {
      ASSERT_TRUE(ids) << "seed " << seed << ": " << ids.error().message;
      ASSERT_EQ(tokenizer.decode(*ids), text) << "seed " << seed;
      for (const TokenId id : *ids) ASSERT_FALSE(tokenizer.vocabulary()->bytes(id).empty());
    } else {
      ASSERT_FALSE(ids) << "seed " << seed;
      ASSERT_NE(ids.error().message.find("at offset " + std::to_string(wrong - text.begin()) + " "),
                std::string::npos)
          << "seed " << seed << ": " << ids.error().message;
    }
  }
}

}  // namespace espalier::testing
