// Masks against trying each token alone, along random walks, over random vocabularies whose tokens
// cross quotes, keys and structure.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/grammar_schema/verdicts.h"

namespace espalier::grammar::testing {

inline VocabularyRef random_vocabulary(std::uint64_t seed,
                                       const std::vector<std::string>& more = {}) {
  static const char* const kPieces[] = {
      "\"",   "\"",       "\"",       "a",  "b",     "c",     "ab",     "name", ":",    ",",
      "{",    "}",        "[",        "]",  " ",     "\n",    "\\",     "\\n",  "\\u0", "0a",
      "1",    "2",        "17",       "0",  "-",     ".",     "e",      "5",    "é",    "\xC3",
      "\xA9", "null",     "true",     "tr", "\":",   "\",\"", "x",      "@",    "z9",   "  ",
      "\\\"", "\xF0\x9F", "\x98\x80", "d8", "\\ud8", "00",    "\": \"", "},{"};
  std::mt19937_64 random(seed);
  Vocabulary::Spec spec;
  for (int b = 0; b < 256; ++b) spec.bytes.emplace_back(1, static_cast<char>(b));
  for (int i = 0; i < 250; ++i) {
    std::string token;
    for (std::uint64_t n = 1 + random() % 5; n > 0; --n)
      token += kPieces[random() % std::size(kPieces)];
    spec.bytes.push_back(std::move(token));
  }
  spec.bytes.insert(spec.bytes.end(), more.begin(), more.end());
  spec.end_of_turn = static_cast<TokenId>(spec.bytes.size());
  spec.bytes.emplace_back();
  return Vocabulary::create(std::move(spec)).value();
}

// Whether texts may count as too long near a budget's end that are not: where containers are items
// that must differ, where what else the array asks for depends on which came, and where one must
// come twice.
inline bool may_refuse_texts(const Json& schema) {
  static const auto holds = [](const auto& self, const Json& item) -> bool {
    if (item.is_boolean()) return item.get<bool>();
    if (item.contains("const") || item.contains("enum")) return false;
    for (const char* of : {"anyOf", "oneOf"}) {
      if (!item.contains(of)) continue;
      return std::ranges::any_of(item[of], [&](const Json& one) { return self(self, one); });
    }
    const std::string type = item.contains("type") ? item["type"].dump() : "object";
    return type.find("object") != std::string::npos || type.find("array") != std::string::npos;
  };
  if (schema.is_array()) return std::ranges::any_of(schema, may_refuse_texts);
  if (!schema.is_object()) return false;
  if (const auto no = schema.find("not"); no != schema.end() && no->contains("uniqueItems")) {
    return true;
  }
  if (schema.value("uniqueItems", Json(false)) == true) {
    if (schema.contains("prefixItems") || schema.contains("contains")) return true;
    if (holds(holds, schema.value("items", Json(true)))) return true;
  }
  return std::ranges::any_of(schema, may_refuse_texts);
}

/// Near a budget's end a mask has no tokens but those after which what is left is enough, and
/// always one; where may_refuse_texts() says no, it has all of them.
class MaskCheck {
 public:
  MaskCheck(VocabularyRef vocabulary, const Json& schema, std::uint64_t seed, Limits limits = {})
      : vocabulary_(std::move(vocabulary)),
        schema_(schema),
        random_(seed),
        exact_(!may_refuse_texts(schema)) {
    SchemaOptions options;
    options.unknown_keywords = true;
    // After a mask one token is taken by the automaton that made it; here each of the vocabulary is
    // tried, more than that is kept for.
    limits.state_bytes *= 16;
    auto made = compile_json_schema(vocabulary_, schema, {}, options, limits);
    if (made) grammar_ = *made;
  }

  // A walk of random tokens; each place's mask against every token tried.
  void walk(int steps, bool budgets) {
    if (grammar_ == nullptr) return;
    Matcher matcher = grammar_->start();
    std::string read;
    for (int step = 0; step < steps; ++step) {
      const MaskRef mask = matcher.mask(UINT32_MAX);
      expect_equal(*mask, *matcher.plain_mask(), read);
      if (budgets && step % 3 == 0) check_budgets(matcher, read);
      if (::testing::Test::HasFailure()) return;
      std::vector<TokenId> ids;
      for (TokenId id = 0; static_cast<std::size_t>(id) + 1 < vocabulary_->size(); ++id) {
        if (mask->allows(id)) ids.push_back(id);
      }
      if (ids.empty()) {
        EXPECT_TRUE(matcher.accepting()) << schema_.dump() << "\nno way on after " << read;
        return;
      }
      // Long tokens are the ones that cross something.
      TokenId id = ids[random_() % ids.size()];
      const TokenId other = ids[random_() % ids.size()];
      if (vocabulary_->bytes(other).size() > vocabulary_->bytes(id).size()) id = other;
      ASSERT_TRUE(matcher.advance(id)) << schema_.dump() << "\n" << read;
      read += vocabulary_->bytes(id);
    }
  }

  // A walk with as few tokens as can be, or little more.
  void walk_near_end(int steps) {
    if (grammar_ == nullptr) return;
    Matcher matcher = grammar_->start();
    std::string read;
    for (int step = 0; step < steps && matcher.distance() > 0; ++step) {
      check_budgets(matcher, read);
      if (::testing::Test::HasFailure()) return;
      const MaskRef mask =
          matcher.mask(matcher.distance() + static_cast<std::uint32_t>(random_() % 4));
      std::vector<TokenId> ids;
      for (TokenId id = 0; static_cast<std::size_t>(id) + 1 < vocabulary_->size(); ++id) {
        if (mask->allows(id)) ids.push_back(id);
      }
      ASSERT_FALSE(ids.empty()) << schema_.dump() << "\nno way on after " << read;
      const TokenId id = ids[random_() % ids.size()];
      ASSERT_TRUE(matcher.advance(id)) << schema_.dump() << "\n" << read;
      read += vocabulary_->bytes(id);
    }
  }

  // Along a text, byte by byte.
  void walk_along(std::string_view text) {
    Matcher matcher = grammar_->start();
    for (std::size_t i = 0; i < text.size(); ++i) {
      ASSERT_TRUE(matcher.advance(static_cast<unsigned char>(text[i]))) << schema_.dump() << text;
      check_budgets(matcher, std::string(text.substr(0, i + 1)));
      if (::testing::Test::HasFailure()) return;
    }
  }

  /// All tokens must be there even so.
  void let_no_text_be_refused() { exact_ = true; }

  // mask(n) has the tokens after which the distance is below n, or some of them.
  void check_budgets(const Matcher& matcher, const std::string& read) {
    const std::uint32_t distance = matcher.distance();
    for (const std::uint32_t more : {0U, 1U, 4U, 12U, 30U}) {
      if (distance + more == 0) continue;
      const MaskRef mask = matcher.mask(distance + more);
      bool some = distance == 0;
      for (TokenId id = 0; static_cast<std::size_t>(id) + 1 < vocabulary_->size(); ++id) {
        Matcher after = matcher;
        const bool fits = after.advance(id) && after.distance() < distance + more;
        some = some || mask->allows(id);
        if (!exact_ && !mask->allows(id)) continue;
        ASSERT_EQ(mask->allows(id), fits)
            << schema_.dump() << "\nafter " << read << "\ntoken " << vocabulary_->bytes(id)
            << " with " << distance + more << " left, distance " << distance;
      }
      ASSERT_TRUE(some) << schema_.dump() << "\nno way on after " << read;
    }
  }

 private:
  void expect_equal(const Mask& mask, const Mask& plain, const std::string& read) {
    for (TokenId id = 0; static_cast<std::size_t>(id) < vocabulary_->size(); ++id) {
      ASSERT_EQ(mask.allows(id), plain.allows(id))
          << schema_.dump() << "\nafter " << read << "\ntoken " << vocabulary_->bytes(id);
    }
  }

  VocabularyRef vocabulary_;
  Json schema_;
  GrammarRef grammar_;
  std::mt19937_64 random_;
  bool exact_;
};

}  // namespace espalier::grammar::testing
