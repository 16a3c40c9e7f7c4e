// Control tokens inside calls: in the mask as one token each, in no text, and in the path as
// themselves.
#include "dsl/control_bytes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "dsl/context.h"
#include "dsl/tool_calls.h"
#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using testing::tiny_model;
using testing::World;

// A control token of the tiny model that ends no turn.
TokenId control_token() {
  const auto ids = tiny_model()->tokenizer()->encode_special("<|im_start|>");
  EXPECT_TRUE(ids);
  EXPECT_EQ(ids->size(), 1U);
  EXPECT_TRUE(tiny_model()->tokenizer()->vocabulary()->bytes(ids->front()).empty());
  return ids->front();
}

// Calls that begin and are parted by it, as some templates have them.
CallSyntax syntax() {
  CallSyntax out;
  auto texts = std::make_shared<std::array<std::string, 6>>();
  (*texts)[0] = control_bytes(control_token()) + "call:";
  (*texts)[4] = control_bytes(control_token());
  out.texts = texts;
  out.form.begin = (*texts)[0];
  out.form.separator = (*texts)[4];
  out.form.several = true;
  out.form.name_key = "name";
  out.form.arguments_key = "arguments";
  const TokenId id = control_token();
  auto vocabulary = with_control_bytes(*tiny_model()->tokenizer(), {&id, 1});
  EXPECT_TRUE(vocabulary) << vocabulary.error().message;
  if (vocabulary) out.vocabulary = *vocabulary;
  return out;
}

TEST(ControlBytes, ReadBackAndStandInNoUtf8) {
  for (const TokenId id :
       {TokenId{0}, TokenId{63}, TokenId{64}, TokenId{151'657}, TokenId{16'777'215}}) {
    const std::string bytes = control_bytes(id);
    EXPECT_EQ(bytes.size(), 5U);
    EXPECT_EQ(bytes[0], '\xFF');
    const auto segments = control_segments("a" + bytes + bytes + "ä");
    ASSERT_EQ(segments.size(), 4U);
    EXPECT_EQ(segments[0].text, "a");
    EXPECT_EQ(segments[1].control, id);
    EXPECT_EQ(segments[2].control, id);
    EXPECT_EQ(segments[3].text, "ä");
  }
  EXPECT_TRUE(control_segments("").empty());
}

TEST(ControlBytes, AnEndTokenIsNone) {
  const TokenId end = tiny_model()->tokenizer()->vocabulary()->end_of_turn();
  EXPECT_FALSE(with_control_bytes(*tiny_model()->tokenizer(), {&end, 1}));
}

TEST(ControlBytes, MasksHaveTheTokenWhereACallBeginsAndNowhereElse) {
  const CallSyntax calls = syntax();
  ASSERT_NE(calls.vocabulary, nullptr);
  const Compiled compiled = compile("test.gen",
                                    "tool stop(code: int(0..9))\ngen main() { user \"Go.\" "
                                    "assistant \"$[t: stop[1..2] | string]\" }");
  ASSERT_NE(compiled.program, nullptr);
  const auto grammar = grammar::compile(calls.vocabulary, compiled.program->holes[0].type, "", {},
                                        nullptr, calls.form);
  ASSERT_TRUE(grammar) << grammar.error().message;
  const auto& tokenizer = *tiny_model()->tokenizer();
  const TokenId control = control_token();
  const auto check = [&](const grammar::Matcher& matcher, bool allowed) {
    const auto mask = matcher.mask(1000);
    const auto slow = matcher.plain_mask();
    EXPECT_EQ(mask->allows(control), allowed);
    for (TokenId id = 0; id < static_cast<TokenId>(tokenizer.size()); ++id) {
      ASSERT_EQ(mask->allows(id), slow->allows(id)) << id;
      // Bytes that no text holds cannot spell the token in its stead.
      const std::string_view bytes = tokenizer.vocabulary()->bytes(id);
      if (!bytes.empty() && static_cast<unsigned char>(bytes[0]) >= 0xF5) {
        EXPECT_FALSE(mask->allows(id)) << id;
      }
    }
  };
  grammar::Matcher matcher = (*grammar)->start();
  check(matcher, true);
  grammar::Matcher text = matcher;
  const auto no = tokenizer.encode("No", runtime::TextStart::kContinuation);
  ASSERT_TRUE(no);
  for (const TokenId id : *no) ASSERT_TRUE(text.advance(id));
  check(text, false);
  EXPECT_TRUE(text.accepting());
  const std::string object = R"(call:{"name": "stop", "arguments": {"code": 1}})";
  ASSERT_TRUE(matcher.advance(control));
  check(matcher, false);
  const auto ids = tokenizer.encode(object, runtime::TextStart::kContinuation);
  ASSERT_TRUE(ids);
  for (const TokenId id : *ids) ASSERT_TRUE(matcher.advance(id));
  EXPECT_TRUE(matcher.accepting());
  EXPECT_EQ(matcher.value().size(), 1U);
  check(matcher, true);
  ASSERT_TRUE(matcher.advance(control));
  EXPECT_FALSE(matcher.accepting());
}

TEST(ControlBytes, CallsAreWrittenWithTheTokenAndTextsNeverAre) {
  World world;
  ModelParts parts{tiny_model()->tokenizer(), tiny_model()->chat_template(), 4096, syntax()};
  const std::vector<runtime::ToolCall> calls{{"stop", {{"code", 1}}, ""}};
  const std::string object = R"(call:{"name": "stop", "arguments": {"code":1}})";
  const auto count = [&](Context& context) {
    const auto& ids = context.branch().ids();
    return std::count(ids.begin(), ids.end(), control_token());
  };
  Context context(parts, world.engine->open());
  ASSERT_TRUE(context.open(runtime::Role::kAssistant));
  ASSERT_TRUE(context.flush());
  const auto before = count(context);
  ASSERT_TRUE(context.write_calls(calls, true, {}));
  ASSERT_TRUE(context.flush());
  EXPECT_EQ(count(context), before + 1);
  // The ids of what a model wrote are taken as they are.
  Spelling spelling{"", {control_token()}};
  const auto rest = parts.tokenizer->encode(object, runtime::TextStart::kContinuation);
  ASSERT_TRUE(rest);
  spelling.ids.insert(spelling.ids.end(), rest->begin(), rest->end());
  ASSERT_TRUE(context.close());
  ASSERT_TRUE(context.open(runtime::Role::kUser));
  ASSERT_TRUE(context.close());
  ASSERT_TRUE(context.open(runtime::Role::kAssistant));
  const auto second = count(context);
  ASSERT_TRUE(context.write_calls(calls, true, spelling));
  ASSERT_TRUE(context.flush());
  EXPECT_EQ(count(context), second + 1);
}

}  // namespace
}  // namespace espalier::dsl
