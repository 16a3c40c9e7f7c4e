// espalier grammar, and complete held to a grammar, on the default model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/command.h"
#include "grammar/json.h"
#include "tests/cli/command_line.h"

namespace espalier::cli {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kSums = "root ::= root \"+\" root | [0-9]\nlost ::= \"x\"\n";

class GrammarVerb : public ::testing::Test {
 protected:
  void SetUp() override {
    if (without_model()) GTEST_SKIP() << "the default model is not here: espalier pull smollm2";
  }
  Folder folder_;
};

TEST(GrammarUsage, OneShapeIsAskedFor) {
  EXPECT_EQ(run_line({"grammar"}).code, kUsage);
  EXPECT_THAT(run_line({"grammar"}).err, HasSubstr("there is no grammar"));
  EXPECT_EQ(run_line({"grammar", "int", "--regex", "a"}).code, kUsage);
  EXPECT_EQ(run_line({"grammar", "int("}).code, kUsage);
  EXPECT_EQ(run_line({"grammar", "--gbnf", "/no/such/file"}).code, kFailed);
}

TEST(GrammarUsage, MessagesNameWhatIsOnTheCommandLine) {
  EXPECT_THAT(run_line({"grammar", "int("}).err, HasSubstr("TYPE is not a type of the language"));
  EXPECT_THAT(run_line({"grammar", "--type", "int("}).err,
              HasSubstr("--type is not a type of the language"));
}

TEST_F(GrammarVerb, TakesOtherDocumentsOfASchema) {
  const std::string schema = folder_.write(
      "order.json", R"({"properties":{"price":{"$ref":"https://example.com/a=b#/$defs/money"}}})");
  const std::string money =
      folder_.write("money.json", R"({"$defs":{"money":{"type":"integer"}}})");
  EXPECT_THAT(run_line({"grammar", "--schema", schema}).err,
              HasSubstr("points to another document, `https://example.com/a=b`"));
  const std::string given = "https://example.com/a=b=" + money;
  const auto verdict = [&](const std::string& text) {
    return run_line({"grammar", "--schema", schema, "--document", given, "--accepts", text}).code;
  };
  EXPECT_EQ(verdict(R"({"price":3})"), kDone);
  EXPECT_EQ(verdict(R"({"price":"3"})"), kFailed);
  const auto refusal = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"grammar", "--schema", schema});
    return run_line(more).err;
  };
  EXPECT_THAT(refusal({"--document", "https://example.com/other=" + money}),
              HasSubstr("`https://example.com/a=b` is not among the documents"));
  EXPECT_THAT(refusal({"--document", money}), HasSubstr("--document takes URI=FILE"));
  EXPECT_THAT(refusal({"--document", given, "--document", given}),
              HasSubstr("two files for 'https://example.com/a=b'"));
  EXPECT_EQ(run_line({"grammar", "--regex", "a", "--document", given}).code, kUsage);
}

TEST_F(GrammarVerb, RefusesAMemberThatASchemaHoldsTwice) {
  const std::string schema =
      folder_.write("twice.json", R"({"properties":{"a":{"minLength":1,"minLength":2}}})");
  const Ran ran = run_line({"grammar", "--schema", schema});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, HasSubstr("twice.json': the member `minLength` stands twice in "
                                 "#/properties/a"));
}

TEST_F(GrammarVerb, SaysThatTheVocabularySpellsNoneOfTheTexts) {
  const Ran ran = run_line({"grammar", "--regex", "\\x{40000}"});  // F1 is in no token of the model
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, HasSubstr("the vocabulary's tokens spell none of its texts"));
}

TEST_F(GrammarVerb, SaysWhetherATextIsAccepted) {
  const std::string sums = folder_.write("sums.gbnf", kSums);
  Ran ran = run_line({"grammar", "--gbnf", sums, "--accepts", "1+2+3"});
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("accepted\n"));
  EXPECT_THAT(ran.err, HasSubstr("rule `lost` is never used"));
  ran = run_line({"grammar", "--gbnf", sums, "--accepts", "1+x"});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.out, HasSubstr("refused at byte 2 (x): expected 0-9\n"));
  ran = run_line({"grammar", "--gbnf", sums, "--accepts", "1x"});
  EXPECT_THAT(ran.out, HasSubstr("refused at byte 1 (x): expected +, or the end\n"));
  ran = run_line({"grammar", "--gbnf", sums, "--accepts", "1+"});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.out, HasSubstr("unfinished: expected 0-9\n"));
}

TEST_F(GrammarVerb, ShowsTheMaskAfterAPrefix) {
  const Ran ran = run_line({"grammar", "int(10..19)", "--after", "1", "--show", "3", "--json"});
  ASSERT_EQ(ran.code, kDone) << ran.err;
  const Json out = Json::parse(ran.out);
  EXPECT_EQ(out["after"]["allowed"], 10);
  EXPECT_EQ(out["after"]["ids"].size(), 3U);
  EXPECT_EQ(out["after"]["distance"], 1);
  EXPECT_EQ(out["after"]["tokens"][0], "0");
  EXPECT_EQ(out["vocabulary"], 49152);
  EXPECT_EQ(run_line({"grammar", "int(10..19)", "--after", "2"}).code, kFailed);
}

TEST_F(GrammarVerb, TellsWhatBecomesOfEachKeyword) {
  const std::string schema = folder_.write(
      "k.json",
      R"({"type":"object","properties":{"b":{"format":"colour"},"a":{"type":"string"}}})");
  Ran ran = run_line({"grammar", "--schema", schema});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.out,
              HasSubstr("refused\t#/properties/b/format\tthe format `colour` is unknown\n"));
  EXPECT_THAT(ran.out, HasSubstr("enforced\t3 of 4 keywords\n"));
  EXPECT_THAT(ran.err, HasSubstr("schema #/properties/b/format: the format `colour` is unknown"));
  ran = run_line(
      {"grammar", "--schema", schema, "--record", "--json", "--accepts", R"({"a":"x","b":"red"})"});
  ASSERT_EQ(ran.code, kDone) << ran.err;
  const Json out = Json::parse(ran.out);
  ASSERT_EQ(out["keywords"].size(), 4U);
  EXPECT_EQ(out["keywords"][2]["pointer"], "#/properties/b/format");
  EXPECT_EQ(out["keywords"][2]["outcome"], "recorded");
  ran = run_line({"grammar", "--schema", schema, "--record", "--declared-order", "--accepts",
                  R"({"a":"x","b":"red"})"});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.out, HasSubstr("refused at byte"));
}

TEST_F(GrammarVerb, TakesEveryFrontEnd) {
  const std::string lark = folder_.write("a.lark", "start: \"a\" B\nB: /b+/\n%ignore \" \"\n");
  const std::string schema = folder_.write("a.json", "{\"type\": \"boolean\"}");
  EXPECT_EQ(run_line({"grammar", "--lark", lark, "--accepts", "a bb"}).code, kDone);
  EXPECT_EQ(run_line({"grammar", "--schema", schema, "--accepts", "true"}).code, kDone);
  EXPECT_EQ(run_line({"grammar", "--regex", "a+", "--accepts", "aa"}).code, kDone);
  EXPECT_EQ(run_line({"grammar", "--type", "bool", "--accepts", "true"}).code, kDone);
  const std::string broken = folder_.write("b.gbnf", "root ::= x\n");
  const Ran ran = run_line({"grammar", "--gbnf", broken});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, HasSubstr("b.gbnf': grammar 1:10: rule `x` is not defined"));
}

TEST_F(GrammarVerb, CompleteIsHeldToAGrammar) {
  const std::string sums = folder_.write("sums.gbnf", kSums);
  const Ran ran =
      run_line({"complete", "--prompt", "Sum: ", "--gbnf", sums, "--max", "9", "--json"});
  ASSERT_EQ(ran.code, kDone) << ran.err;
  const std::string text = Json::parse(ran.out)["value"];
  EXPECT_EQ(run_line({"grammar", "--gbnf", sums, "--accepts", text}).code, kDone) << text;
}

}  // namespace
}  // namespace espalier::cli
