#include "grammar/matcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing.h"

namespace espalier::grammar {
namespace {

using namespace testing_support;

Json value_of(const TypeRef& type, std::string_view text, std::string_view follow = {}) {
  const auto grammar = compile(byte_vocabulary(), type, follow);
  if (!grammar) return Json("error: " + grammar.error().message);
  Matcher m = (*grammar)->start();
  for (const char c : std::string(text) + std::string(follow)) {
    if (!m.advance(static_cast<unsigned char>(c))) return Json("refused at " + m.text());
  }
  if (!follow.empty() && !m.done()) return Json("not done");
  if (follow.empty() && !m.accepting()) return Json("not accepting");
  if (m.text() != text) return Json("text is " + m.text());
  return m.value();
}

TEST(Matcher, GivesTypedValues) {
  EXPECT_EQ(value_of(string_type(), "hello", "\n"), "hello");
  EXPECT_EQ(value_of(int_type(), "-12"), -12);
  EXPECT_EQ(value_of(int_type(), "9223372036854775807"), INT64_MAX);
  EXPECT_EQ(value_of(int_type(), "9223372036854775808"), "refused at 922337203685477580");
  EXPECT_EQ(value_of(float_type(), "1.5e-3"), 1.5e-3);
  EXPECT_EQ(value_of(simple(TypeKind::kBool), "true"), true);
  EXPECT_EQ(value_of(simple(TypeKind::kNull), "null"), nullptr);
  EXPECT_EQ(value_of(enum_type({"yes", "no"}), "no"), "no");
  EXPECT_EQ(value_of(list_type(int_type()), "[1, 2,3]"), Json::array({1, 2, 3}));
  EXPECT_EQ(
      value_of(record_type({{"a", int_type()},
                            {"b", string_type(), true},
                            {"c", list_type(simple(TypeKind::kJson))}}),
               "{\"a\": 1, \"c\": [{\"x\": [], \"y\": \"\\u00e9\\ud83d\\ude00\\n\"}, null, 1.25]}"),
      Json::parse("{\"a\": 1, \"c\": [{\"x\": [], \"y\": \"é😀\\n\"}, null, 1.25]}"));
  EXPECT_EQ(value_of(record_type({{"get", record_type({{"q", string_type()}})}}, TypeKind::kCall),
                     R"({"name": "get", "arguments": {"q": "x"}})"),
            Json::parse(R"({"name": "get", "arguments": {"q": "x"}})"));
}

// A value's own JSON text, as the type's language writes it.
TEST(Matcher, EveryHoleClosesInsideItsBudgetWhateverTheTaste) {
  const std::vector<std::pair<std::string, Taste>> tastes = {
      {"spaces", prefer(" \n")},
      {"quotes", prefer("\"\\")},
      {"digits", prefer("0123456789.eE-")},
      {"brackets", prefer("[{")},
      {"letters", prefer("abcdefghijklmnopqrstuvwxyz")},
      {"high bytes", prefer("\xC3\xE2\xF0\xF1\x80\x82\xA9")}};
  for (unsigned seed = 0; seed < 150; ++seed) {
    std::mt19937 random(seed);
    const VocabularyRef vocabulary = random_vocabulary(seed);
    const TypeRef type = random_type(random);
    const std::string follow =
        std::vector<std::string>{"", "\n", ".", "\n\n", "\"", " end", "abab"}[random() % 7];
    SCOPED_TRACE("seed " + std::to_string(seed) + " follow " + follow);
    const auto grammar = compile(vocabulary, type, follow);
    ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
    const std::uint32_t least = (*grammar)->least_tokens();
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t budget = least + (i == 0 ? 0 : random() % 30);
      const auto& [name, taste] = i == 1
                                      ? std::pair<std::string, Taste>("random", random_taste(seed))
                                      : tastes[random() % tastes.size()];
      SCOPED_TRACE(name + ", budget " + std::to_string(budget));
      Matcher m = (*grammar)->start();
      std::uint32_t left = budget;
      std::string so_far;
      int steps = 0;
      while (!m.done()) {
        ASSERT_LT(++steps, 3000);
        const bool was_complete = m.accepting();
        const MaskRef mask = m.mask(left);
        ASSERT_GT(mask->count(), 0U) << so_far << " distance " << m.distance() << " left " << left;
        double best = -1;
        TokenId pick = kNoToken;
        for (std::size_t id = 0; id < vocabulary->size(); ++id) {
          const auto t = static_cast<TokenId>(id);
          if (!mask->allows(t)) continue;
          const double score = taste(t, vocabulary->bytes(t));
          if (score > best) best = score, pick = t;
        }
        const std::uint32_t before = m.distance();
        ASSERT_TRUE(m.advance(pick)) << so_far << " then " << vocabulary->bytes(pick);
        so_far += vocabulary->bytes(pick);
        ASSERT_TRUE(left > 0 || was_complete);
        if (left > 0) --left;
        ASSERT_LE(m.distance(), left) << so_far << " distance before " << before;
      }
      const Json value = m.value();
      ASSERT_EQ(so_far, m.text() + follow);
      ASSERT_FALSE(value.is_discarded());
    }
  }
}

}  // namespace
}  // namespace espalier::grammar
