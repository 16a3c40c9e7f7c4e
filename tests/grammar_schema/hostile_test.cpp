// Schemas made to hurt: each ends in a grammar or a named error, the same every time, on a stack of
// 256 KiB, destructors included.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <functional>
#include <string>

#include "tests/grammar_schema/verdicts.h"

namespace espalier::grammar {
namespace {

using ::testing::AnyOf;
using testing::byte_vocabulary;
using ::testing::HasSubstr;
using testing::refusal_of;
using ::testing::StartsWith;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(NDEBUG)
constexpr std::size_t kStack = 8U << 20;  // frames are several times larger
#else
constexpr std::size_t kStack = 256U << 10;
#endif

// Runs `f` on a small stack.
void confined(const std::function<void()>& f) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStack);
  pthread_t thread{};
  ASSERT_EQ(pthread_create(
                &thread, &attributes,
                [](void* arg) -> void* {
                  (*static_cast<const std::function<void()>*>(arg))();
                  return nullptr;
                },
                const_cast<std::function<void()>*>(&f)),
            0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

Json chain(int n, const char* keyword, bool in_list) {
  Json out = true;
  for (int i = 0; i < n; ++i) {
    Json inner = in_list ? Json::array({std::move(out)}) : std::move(out);
    out = Json::object();
    out[keyword] = std::move(inner);
  }
  return out;
}

TEST(HostileSchemas, NestsAMillionDeepAreALimit) {
  confined([] {
    for (const char* keyword : {"items", "not", "additionalProperties"}) {
      const Json deep = chain(1'000'000, keyword, false);
      EXPECT_THAT(refusal_of(deep), StartsWith("limit: schema: nested more than")) << keyword;
    }
    EXPECT_THAT(refusal_of(chain(1'000'000, "allOf", true)), StartsWith("limit"));
    EXPECT_EQ(refusal_of(chain(60, "items", false)), "accepted");
    EXPECT_EQ(refusal_of(chain(60, "not", false)), "accepted");
  });
}

TEST(HostileSchemas, ReferencesThatLeadBackOrFarAreNamed) {
  confined([] {
    const Json mutual = Json::parse(R"({"$ref":"#/$defs/a","$defs":{
        "a":{"allOf":[{"$ref":"#/$defs/b"}]},"b":{"$ref":"#/$defs/a"}}})");
    EXPECT_THAT(refusal_of(mutual), HasSubstr("lead back to itself"));
    Json far = {{"$ref", "#/$defs/0"}, {"$defs", Json::object()}};
    auto& defs = far["$defs"].get_ref<Json::object_t&>();
    for (int i = 0; i < 20'000; ++i) {
      Json link = i + 1 < 20'000 ? Json{{"$ref", "#/$defs/" + std::to_string(i + 1)}} : Json(true);
      defs.push_back({std::to_string(i), std::move(link)});
    }
    EXPECT_THAT(refusal_of(far), StartsWith("limit"));
  });
}

TEST(HostileSchemas, CountsWithoutEndCostNothing) {
  confined([] {
    EXPECT_EQ(refusal_of(Json{{"type", "string"}, {"maxLength", 1'000'000'000}}), "accepted");
    EXPECT_EQ(refusal_of(Json{{"type", "array"}, {"maxItems", 1'000'000'000}}), "accepted");
    EXPECT_THAT(refusal_of(Json{{"type", "string"}, {"minLength", 1'000'000'000}}),
                AnyOf(StartsWith("limit"), HasSubstr("E0301")));
    EXPECT_THAT(refusal_of(Json{{"type", "array"}, {"minItems", 1'000'000'000}}),
                AnyOf(StartsWith("limit"), HasSubstr("E0301")));
    EXPECT_THAT(refusal_of(Json{{"type", "object"}, {"minProperties", 1'000'000}}),
                AnyOf(StartsWith("limit"), HasSubstr("E0301")));
  });
}

TEST(HostileSchemas, ChoicesThatMultiplyAreBounded) {
  confined([] {
    std::string wide;
    for (int i = 0; i < 10'000; ++i) {
      wide += std::string(i > 0 ? "," : "") + R"({"required":["k)" + std::to_string(i) + R"("]})";
    }
    EXPECT_THAT(refusal_of(Json::parse(R"({"oneOf":[)" + wide + "]}")),
                StartsWith("limit: schema #/oneOf"));
    // Choices that cut across each other, and some that nothing satisfies.
    std::string cross, impossible, never;
    for (int i = 0; i < 12; ++i) {
      const std::string n = std::to_string(i);
      const std::string comma = i > 0 ? "," : "";
      cross += comma + R"({"oneOf":[{"required":["a)" + n +
               R"("]},{"required":["x"],"properties":{"x":{"minimum":)" + n + "}}}]}";
      impossible +=
          comma + R"({"anyOf":[{"required":["a)" + n + R"("]},{"required":["b)" + n + R"("]}]})";
      never += comma + R"("a)" + n + R"(":false)";
    }
    EXPECT_THAT(refusal_of(Json::parse(R"({"type":"object","allOf":[)" + cross + "]}")),
                AnyOf("accepted", StartsWith("limit")));
    EXPECT_THAT(refusal_of(Json::parse(R"({"type":"object","maxProperties":11,"properties":{)" +
                                       never + R"(},"allOf":[)" + impossible + "]}")),
                AnyOf(StartsWith("limit"), HasSubstr("E0301")));
  });
}

TEST(HostileSchemas, PatternsThatHangOthersAreCompiled) {
  confined([] {
    const auto grammar =
        compile_json_schema(byte_vocabulary(), Json{{"type", "string"}, {"pattern", "^(a+)+$"}});
    ASSERT_TRUE(grammar.has_value());
    const std::string many(5'000, 'a');
    EXPECT_TRUE(testing::accepts(*grammar, "\"" + many + "\""));
    EXPECT_FALSE(testing::accepts(*grammar, "\"" + many + "!\""));
  });
}

TEST(HostileSchemas, TextsMayBeHostileToo) {
  confined([] {
    const auto grammar = compile_json_schema(byte_vocabulary(), true);
    ASSERT_TRUE(grammar.has_value());
    EXPECT_FALSE(testing::accepts(*grammar, std::string(100'000, '[')));
    EXPECT_FALSE(testing::accepts(*grammar, "\"\xff\""));
    EXPECT_FALSE(testing::accepts(*grammar, R"("\ud800")"));
    EXPECT_FALSE(testing::accepts(*grammar, std::string(10'000, '1')));
    EXPECT_TRUE(testing::accepts(*grammar, "-0"));
  });
}

}  // namespace
}  // namespace espalier::grammar
