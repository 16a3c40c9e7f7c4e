// Values: printing what was parsed parses to the same; threads share one grammar; hostile sizes end
// in clear errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "grammar/compiled_grammar.h"
#include "grammar/json_expression.h"
#include "testing.h"

namespace espalier::grammar {
namespace {

using namespace testing_support;

std::optional<Json> parse(const GrammarRef& grammar, std::string_view text) {
  Matcher m = grammar->start();
  for (const char c : text) {
    if (!m.advance(static_cast<unsigned char>(c))) return std::nullopt;
  }
  if (!m.accepting()) return std::nullopt;
  return m.value();
}

TEST(Value, PrintingAndParsingAgainGivesTheSameValue) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const TypeRef type = list_type(random_type(random, 1), 1, 3);
    const auto grammar = compile(random_vocabulary(seed), type, "").value();
    const Matcher m =
        generate(grammar, grammar->least_tokens() + random() % 60, random_taste(seed));
    ASSERT_TRUE(m.done()) << m.text();
    const Json value = m.value();
    EXPECT_EQ(value, Json::parse(m.text())) << m.text();  // no enum here renames its cases
    const std::string printed = value.dump();
    const auto again = parse(grammar, printed);
    // A number may print longer than the language allows; nothing else may differ.
    EXPECT_TRUE(!again.has_value() || *again == value) << printed;
    EXPECT_TRUE(again.has_value() || printed.find('.') != std::string::npos ||
                printed.find('e') != std::string::npos)
        << printed;
  }
}

TEST(Value, ForcingChangesNoText) {
  for (unsigned seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto grammar =
        compile(random_vocabulary(seed), random_type(random), seed % 2 ? "\n" : "").value();
    const std::uint32_t budget = grammar->least_tokens() + random() % 40;
    const Matcher one = generate(grammar, budget, random_taste(seed), {}, false);
    const Matcher jump = generate(grammar, budget, random_taste(seed), {}, true);
    ASSERT_TRUE(one.done());
    ASSERT_TRUE(jump.done());
    EXPECT_EQ(one.text(), jump.text());
    EXPECT_EQ(one.value(), jump.value());
  }
}

TEST(Value, PartialValuesGrowIntoTheValue) {
  const auto grammar =
      compile(byte_vocabulary(),
              record_type({{"name", string_type()}, {"tags", list_type(string_type())}}), "")
          .value();
  Matcher m = grammar->start();
  const auto feed = [&](std::string_view text) {
    for (const char c : text) ASSERT_TRUE(m.advance(static_cast<unsigned char>(c)));
  };
  EXPECT_TRUE(m.partial().is_null() || m.partial().is_object());
  feed(R"({"name": "Ad)");
  EXPECT_EQ(m.partial(), Json::parse(R"({"name": "Ad"})"));
  feed(R"(a", "tags": ["x", "y)");
  EXPECT_EQ(m.partial(), Json::parse(R"({"name": "Ada", "tags": ["x", "y"]})"));
  feed(R"("]})");
  EXPECT_EQ(m.partial(), m.value());
}

TEST(Value, ACopyIsAPositionOfItsOwn) {
  const auto grammar = compile(byte_vocabulary(), string_type(), "\n").value();
  Matcher a = grammar->start();
  ASSERT_TRUE(a.advance('a'));
  Matcher b = a;
  ASSERT_TRUE(b.advance('b'));
  ASSERT_TRUE(a.advance('c'));
  EXPECT_EQ(a.text(), "ac");
  EXPECT_EQ(b.text(), "ab");
}

TEST(Value, ThreadsThatShareAGrammarGetTheSameTexts) {
  Limits limits;
  limits.state_bytes = 200'000;  // so that generations change under way
  const TypeRef type = list_type(record_type({{"a", string_type(1, 9)}, {"b", float_type(0, 1)}}));
  const VocabularyRef vocabulary = random_vocabulary(3);
  const auto alone = compile(vocabulary, type, "", limits).value();
  const auto shared = compile(vocabulary, type, "", limits).value();
  std::vector<std::string> expected;
  for (unsigned i = 0; i < 8; ++i) expected.push_back(generate(alone, 90, random_taste(i)).text());
  std::vector<std::string> found(8);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (unsigned i = t; i < 8; i += 4) found[i] = generate(shared, 90, random_taste(i)).text();
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(found, expected);
}

TEST(Hostile, DeepTextsStopAtTheDepthLimit) {
  const auto grammar = compile(byte_vocabulary(), simple(TypeKind::kJson), "").value();
  Matcher m = grammar->start();
  int depth = 0;
  while (depth < 100'000 && m.advance('[')) ++depth;
  EXPECT_GE(depth, 255);
  EXPECT_LE(depth, 257);
  while (!m.accepting()) ASSERT_TRUE(m.advance(']'));
  EXPECT_TRUE(m.value().is_array());
}

TEST(Hostile, DeepExpressionsNeedNoMachineStack) {
  Fuel fuel("steps", 10'000'000);
  auto pool = std::make_shared<ExpressionPool>(fuel);
  Expr e = pool->bytes("x");
  for (int i = 0; i < 100'000; ++i) {
    e = pool->capture(Capture::kArray,
                      pool->concat({pool->bytes("["), pool->optional(e), pool->bytes("]")}));
  }
  ASSERT_TRUE(pool->ok());
  const auto grammar = compile_expression(byte_vocabulary(), pool, e, "", {}, fuel);
  ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
  Matcher m = (*grammar)->start({});
  for (int i = 0; i < 3000; ++i) ASSERT_TRUE(m.advance('['));
  for (int i = 0; i < 3000; ++i) ASSERT_TRUE(m.advance(']'));
  EXPECT_TRUE(m.accepting());
}

TEST(Hostile, DeepTypesAndLongClosingsAreRefusedByTheirLimit) {
  TypeRef type = int_type();
  for (int i = 0; i < 100'000; ++i) type = list_type(type);
  EXPECT_EQ(compile(byte_vocabulary(), type, "").error().code, ErrorCode::kLimit);
  while (type != nullptr) {  // the test's own tree must not recurse on its way out either
    TypeRef inner = type->items.empty() ? nullptr : type->items[0];
    const_cast<Type&>(*type).items.clear();
    type = inner;
  }
  Limits limits;
  limits.compile_fuel = 50;
  const auto small = compile(byte_vocabulary(),
                             record_type({{"a", string_type()}, {"b", float_type()}}), "", limits);
  EXPECT_EQ(small.error().code, ErrorCode::kLimit);
  EXPECT_THAT(small.error().message, testing::HasSubstr("compile_fuel"));
  EXPECT_FALSE(compile(byte_vocabulary(), string_type(std::uint64_t{1} << 40), "\n").has_value());
  EXPECT_TRUE(compile(byte_vocabulary(), string_type(1, UINT64_MAX), "\n").has_value());
}

TEST(Hostile, ManyCasesCompileAndMatch) {
  std::vector<std::string> names;
  for (int i = 0; i < 5000; ++i) names.push_back("case_" + std::to_string(i * 7919));
  const auto grammar = compile(byte_vocabulary(), enum_type(names), "\n").value();
  EXPECT_EQ(parse(compile(byte_vocabulary(), enum_type(names), "").value(), names[4321]),
            Json(names[4321]));
  EXPECT_EQ(grammar->start().mask(99)->count(), 1U);
}

}  // namespace
}  // namespace espalier::grammar
