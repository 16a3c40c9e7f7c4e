// What the verbs that look at programs print: explain, check --cost; and on a small model of random
// weights eval and replay.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/trace_comparison.h"
#include "grammar/json.h"
#include "tests/cli/command_line.h"

namespace espalier::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

Json json_of(const Ran& ran) {
  EXPECT_EQ(ran.code, kDone) << ran.err;
  return Json::parse(ran.out, nullptr, false);
}

TEST(Explain, ACodeHasAWrongAndARightProgram) {
  const Ran ran = run_line({"explain", "E0302"});
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("E0302"), HasSubstr("assistant \"")));
  EXPECT_EQ(run_line({"explain", "302"}).out, ran.out);
  EXPECT_EQ(run_line({"explain", "e0302"}).out, ran.out);
  const Json one = json_of(run_line({"explain", "E0302", "--json"}));
  EXPECT_EQ(one["code"], "E0302");
  EXPECT_THAT(one["wrong"].get<std::string>(), Not(IsEmpty()));
}

TEST(Explain, WithoutACodeAllAreListed) {
  const Ran ran = run_line({"explain"});
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("E0100  "), HasSubstr("W0606  ")));
  const Json all = json_of(run_line({"explain", "--json"}));
  EXPECT_EQ(all.size(), static_cast<std::size_t>(std::count(ran.out.begin(), ran.out.end(), '\n')));
}

TEST(Explain, AnUnknownCodeIsAFaultOfTheCommandLine) {
  const Ran ran = run_line({"explain", "E0320"});
  EXPECT_EQ(ran.code, kUsage);
  EXPECT_THAT(ran.err, HasSubstr("there is no code 'E0320'; did you mean 'E0"));
}

constexpr const char* kTree = R"(gen solve(numbers: string, width: int, depth: int) -> line {
  user "${numbers}"
  for step in 1..depth {
    let ideas = fork width {
      assistant "$[move: line, max=40]"
      yield move
    }
    assistant "${join(ideas)}"
    user "On."
  }
  assistant "$[answer: line, max=10]"
  return answer
}
)";

TEST(CheckCost, BoundsStandInTheParameters) {
  const Folder folder;
  const std::string file = folder.write("solve.gen", kTree);
  const Ran ran = run_line({"check", "--cost", file});
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(ran.out,
            "solve: at most 41·depth·width + 11 tokens in depth·width + 1 holes and 41·depth + 11 "
            "steps\n");
  const Json costs = json_of(run_line({"check", "--cost", "--json", file}));
  ASSERT_EQ(costs.size(), 1U);
  EXPECT_EQ(costs[0]["generator"], "solve");
  EXPECT_EQ(costs[0]["holes"], "depth·width + 1");
  EXPECT_EQ(costs[0]["steps"], "41·depth + 11");
  EXPECT_EQ(costs[0]["calls"], "0");
}

TEST(CheckCost, AProgramWithErrorsHasNone) {
  const Folder folder;
  const std::string file = folder.write("a.gen", "gen f() {\n  user \"${x}\"\n}\n");
  const Ran ran = run_line({"check", "--cost", file});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.out, IsEmpty());
  EXPECT_THAT(ran.err, HasSubstr("E0101"));
}

/// A model that says nothing, the same each time.
class OnATinyModel : public ::testing::Test {
 protected:
  void SetUp() override {
    model_ = folder_.path("tiny.gguf");
    const Ran made = run_line({"mkmodel", model_, "--layers", "1", "--width", "64", "--heads", "2",
                               "--kv-heads", "1", "--feed-forward", "64", "--context", "2048"});
    ASSERT_EQ(made.code, kDone) << made.err;
  }
  [[nodiscard]] Ran on_model(std::vector<std::string> line) const {
    line.insert(line.end(), {"--model", model_, "--threads", "1"});
    return run_line(std::move(line));
  }

  Folder folder_;
  std::string model_;
};

TEST_F(OnATinyModel, EvalCountsEachFieldAndNamesWhatItMissed) {
  const std::string file = folder_.write("size.gen",
                                         "gen size(a: string) -> { text: string, n: int } {\n"
                                         "  user \"${a}\"\n  return { text: a, n: len(a) }\n}\n");
  const std::string rows = folder_.write(
      "gold.jsonl",
      "{\"id\": \"one\", \"a\": \"x\", \"expected\": {\"text\": \"x\", \"n\": 1}}\n"
      "{\"id\": \"two\", \"a\": \"xy\", \"expected\": {\"text\": \"xy\", \"n\": 3}}\n");
  const Ran ran = on_model({"eval", file, "--rows", rows});
  ASSERT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(ran.out,
            "n     50.0 %  1/2\n"
            "text  100.0 %  2/2\n"
            "rows  50.0 %  1/2\n"
            "row \"two\" n: expected 3, got 2\n");
  const Json report = json_of(on_model({"eval", file, "--rows", rows, "--json"}));
  EXPECT_EQ(report["rows"], 2);
  EXPECT_EQ(report["right"], 1);
  EXPECT_EQ(report["fields"]["n"]["right"], 1);
  EXPECT_EQ(report["misses"].size(), 1U);
}

TEST_F(OnATinyModel, EvalAsksForTheFieldsThatARowSays) {
  const std::string file = folder_.write(
      "size.gen",
      "gen size(a: string) -> { text: string, n: int, why: string?, more?: string } {\n"
      "  user \"${a}\"\n  return { text: a, n: len(a), why: null, more: a }\n}\n");
  // What is never null or left out is not asked for; what may be is expected to be absent.
  const std::string rows =
      folder_.write("gold.jsonl", "{\"a\": \"x\", \"expected\": {\"n\": 1, \"why\": null}}\n");
  const Ran ran = on_model({"eval", file, "--rows", rows});
  ASSERT_EQ(ran.code, kDone) << ran.err;
  EXPECT_EQ(ran.out,
            "more  0.0 %  0/1\n"
            "n     100.0 %  1/1\n"
            "why   100.0 %  1/1\n"
            "rows  0.0 %  0/1\n"
            "row 1 more: expected null, got \"x\"\n");
  const std::string broken = folder_.write("broken.jsonl", "{\"a\": \"x\", \"expected\": 1}\nno\n");
  EXPECT_THAT(on_model({"eval", file, "--rows", broken}).err,
              HasSubstr("row 2 of '" + broken + "': not JSON"));
}

TEST_F(OnATinyModel, ATablesCellsAreReadByTheTypesOfTheirParameters) {
  const std::string file = folder_.write(
      "say.gen",
      "gen say(a: string, n: int = 7, tags?: string[], why: string?) -> json {\n  user \"${a}\"\n"
      "  return { a, n, tags: if tags == null { 0 } else { len(tags) }, why }\n}\n");
  const std::string rows =
      folder_.write("rows.csv",
                    "id,a,n,tags,why,note\r\n"
                    "1,\"5, \"\"five\"\"\",5,\"[\"\"x\"\",\"\"y\"\"]\",null,\r\n"
                    "b,,,,because,seen\n"
                    "c,x,many,,,\n");
  const Ran ran = on_model({"batch", file, "--in", rows, "--out", folder_.path("out.jsonl")});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, HasSubstr("'note' is no parameter of 'say'"));
  EXPECT_EQ(
      folder_.read("out.jsonl"),
      R"({"id":"1","value":{"a":"5, \"five\"","n":5,"tags":2,"why":null}})"
      "\n"
      R"({"id":"b","value":{"a":"","n":7,"tags":0,"why":"because"}})"
      "\n"
      R"({"id":"c","error":{"code":"invalid","message":"`say`: argument `n`: expected int, got )"
      R"(\"many\""}})"
      "\n");
  const std::string gold = folder_.write("gold.csv", "a;expected\nxy;\"{\"\"n\"\": 7}\"\n");
  EXPECT_THAT(on_model({"eval", file, "--rows", gold, "--arg", "why=x"}).out,
              HasSubstr("n     100.0 %  1/1\n"));
}

// Never silently: stderr, --stats and a trace say that turns were dropped.
TEST_F(OnATinyModel, ARunSaysThatTurnsWereDropped) {
  const std::string file =
      folder_.write("chat.gen",
                    "config { overflow: \"drop_oldest\" }\n"
                    "gen chat(history: string[]) -> bool {\n"
                    "  for past in history { user \"${past}\" assistant \"So it is: ${past}\" }\n"
                    "  user \"And?\"\n  assistant \"$[yes: bool]\"\n  return yes\n}\n");
  Json history = Json::array();
  for (int i = 0; i < 40; ++i) history.push_back(std::string(60, 'x') + std::to_string(i));
  const std::string arguments = Json{{"history", history}}.dump();
  const std::string trace = folder_.path("chat.jsonl");
  const Ran ran = on_model(
      {"run", file, "--args", arguments, "--trace", trace, "--stats", folder_.path("stats.json")});
  ASSERT_EQ(ran.code, kDone) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("were dropped before 1 hole: the prompt had outgrown the context "
                                 "of 2048 tokens"));
  const Json stats = Json::parse(folder_.read("stats.json"));
  EXPECT_GT(stats["dropped_turns"], 1);
  EXPECT_GT(stats["dropped_tokens"], 512);
  const std::string events = folder_.read("chat.jsonl");
  const std::size_t at = events.find("{\"event\":\"drop\"");
  ASSERT_NE(at, std::string::npos);
  const Json drop = Json::parse(events.substr(at, events.find('\n', at) - at));
  EXPECT_EQ(drop["path"], "yes");
  EXPECT_EQ(drop["turns"].size(), stats["dropped_turns"]);
  EXPECT_EQ(drop["turns"][0]["role"], "user");
  EXPECT_EQ(drop["context"], 2048);
  const Ran again = on_model({"replay", trace});
  EXPECT_EQ(again.code, kDone) << again.out << again.err;
  // A short one is no news.
  const Ran calm = on_model({"run", file, "--args", "{\"history\": []}"});
  EXPECT_THAT(calm.err, Not(HasSubstr("dropped")));
}

TEST_F(OnATinyModel, CheckSaysWhatThisModelCannotDo) {
  const std::string file = folder_.write(
      "long.gen",
      "gen long() -> string {\n  user \"Go.\"\n  assistant \"$[x: \"abcdef\", max=3]\"\n"
      "  return x\n}\n");
  EXPECT_EQ(run_line({"check", file}).code, kDone);
  const Ran ran = run_line({"check", file, "--model", model_});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, HasSubstr("error[E0704]: `x` needs at least 6 tokens; max is 3"));
  const Json all = Json::parse(run_line({"check", file, "--json", "--model", model_}).out);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0]["line"], 3);
}

TEST(Stub, GoesToStdoutAndErrorsToStderr) {
  const Folder folder;
  const Ran ran =
      run_line({"stub", folder.write("a.gen", "gen ask(n: int) -> line? { return null }\n")});
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("def __call__(self, n: int) -> str | None: ..."));
  const Ran wrong = run_line({"stub", folder.write("b.gen", "gen ask(n: imt) {}\n")});
  EXPECT_EQ(wrong.code, kFailed);
  EXPECT_THAT(wrong.out, IsEmpty());
  EXPECT_THAT(wrong.err, HasSubstr("E0101"));
}

TEST(Fmt, WritesTheEditionAndRefusesOneThatNobodyKnows) {
  const Folder folder;
  const std::string file = folder.write("a.gen", "gen ask(n: int) -> int { return n }\n");
  const std::string other = folder.write("b.gen", "config { seed: 7 }\n");
  const std::string later = folder.write("c.gen", "config { edition: 8 }\nwhat is this?\n");
  EXPECT_EQ(run_line({"fmt", "--edition", "1", file, other}).code, kDone);
  EXPECT_EQ(folder.read("a.gen"), "config { edition: 1 }\n\ngen ask(n: int) -> int { return n }\n");
  EXPECT_EQ(folder.read("b.gen"), "config { edition: 1, seed: 7 }\n");
  EXPECT_EQ(run_line({"fmt", "--check", "--edition", "1", file, other}).code, kDone);
  EXPECT_EQ(run_line({"check", file}).code, kDone);
  const Ran unknown = run_line({"fmt", "--edition", "2", file});
  EXPECT_EQ(unknown.code, kUsage);
  EXPECT_THAT(unknown.err, HasSubstr("--edition 2: this espalier knows editions up to 1"));
  for (const Ran& ran : {run_line({"fmt", later}), run_line({"check", later})}) {
    EXPECT_EQ(ran.code, kFailed);
    EXPECT_THAT(ran.err,
                AllOf(HasSubstr("E0119"), HasSubstr("edition 8"), Not(HasSubstr("E0100"))));
  }
  EXPECT_EQ(folder.read("c.gen"), "config { edition: 8 }\nwhat is this?\n");
}

TEST_F(OnATinyModel, EvalSaysWhatIsWrongWithTheRowsFirst) {
  const std::string file =
      folder_.write("f.gen", "gen f(a: string) -> string {\n  user \"${a}\"\n  return a\n}\n");
  const std::string rows = folder_.write("gold.jsonl", "{\"a\": \"x\"}\n");
  const Ran none = run_line({"eval", file, "--rows", rows, "--model", "/nowhere.gguf"});
  EXPECT_EQ(none.code, kUsage);
  EXPECT_THAT(none.err, HasSubstr("has no \"expected\""));
  EXPECT_EQ(run_line({"eval", file}).code, kUsage);
  EXPECT_EQ(run_line({"eval", file, "--rows", folder_.path("no.jsonl")}).code, kFailed);
  // A row that cannot run is wrong in every field, and the others count.
  const std::string mixed = folder_.write(
      "mixed.jsonl", "{\"a\": 7, \"expected\": \"7\"}\n{\"a\": \"y\", \"expected\": \"y\"}\n");
  const Ran ran = on_model({"eval", file, "--rows", mixed});
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("rows  50.0 %  1/2"), HasSubstr("row 1: expected \"7\"; ")));
}

constexpr const char* kTalk = R"(tool add(a: int(0..9), b: int(0..9)) -> int = python "sums:add"
gen talk(topic: string) -> string[] {
  user "Talk about ${topic}."
  let all = fork 3 {
    assistant "$[said: string(1..12), max=16, temperature=1.0]"
    yield said
  }
  assistant "$[call: add]"
  user "${run call}"
  assistant "$[end: int(0..99)]"
  return all + [str(end)]
}
)";

TEST_F(OnATinyModel, AReplayIsTheSameAndRunsNoTool) {
  const std::string file = folder_.write("talk.gen", kTalk);
  const std::string tools = folder_.write("sums.py", "def add(a, b):\n    return a + b\n");
  const std::string trace = folder_.path("t.jsonl");
  const Ran ran = on_model({"run", file, "--arg", "topic=rain", "--seed", "7", "--trace", trace});
  ASSERT_EQ(ran.code, kDone) << ran.err;
  std::remove(tools.c_str());
  const Ran same = run_line({"replay", trace, "--threads", "2"});
  EXPECT_EQ(same.code, kDone) << same.out << same.err;
  EXPECT_THAT(same.out, AllOf(StartsWith("the same: "), HasSubstr(" in 5 holes")));
  const Json report = json_of(run_line({"replay", trace, "--json", "--no-cache"}));
  EXPECT_EQ(report["same"], true);
}

TEST_F(OnATinyModel, AReplayKeepsKeysAndValuesAsTheRunDid) {
  const std::string file = folder_.write("f.gen",
                                         "gen f() -> line {\n  user \"a\"\n  assistant "
                                         "\"$[x: line, max=8]\"\n  return x\n}\n");
  const std::string trace = folder_.path("t.jsonl");
  ASSERT_EQ(on_model({"run", file, "--kv-type", "q8", "--trace", trace}).code, kDone);
  EXPECT_THAT(folder_.read("t.jsonl"), HasSubstr(R"("kv_type":"q8")"));
  const Ran ran = run_line({"replay", trace});
  EXPECT_EQ(ran.code, kDone) << ran.err;
  // What the trace says is taken, and taken as a word of the command line is.
  std::string other = folder_.read("t.jsonl");
  other.replace(other.find(R"("q8")"), 4, R"("q9")");
  EXPECT_THAT(run_line({"replay", folder_.write("other.jsonl", other)}).err,
              HasSubstr("KV type 'q9': there are"));
  EXPECT_EQ(run_line({"replay", folder_.path("other.jsonl"), "--kv-type", "q8"}).code, kDone);
}

TEST_F(OnATinyModel, AReplayComputesAsTheRunDid) {
  const std::string file = folder_.write("f.gen",
                                         "gen f() -> line {\n  user \"a\"\n  assistant "
                                         "\"$[x: line, max=8]\"\n  return x\n}\n");
  const std::string trace = folder_.path("t.jsonl");
  ASSERT_EQ(on_model({"run", file, "--numerics", "exact", "--trace", trace}).code, kDone);
  EXPECT_THAT(folder_.read("t.jsonl"), HasSubstr(R"("numerics":"exact")"));
  EXPECT_EQ(run_line({"replay", trace}).code, kDone);
  std::string other = folder_.read("t.jsonl");
  other.replace(other.find(R"("numerics":"exact")"), 18, R"("numerics":"tensor")");
  EXPECT_THAT(run_line({"replay", folder_.write("other.jsonl", other), "--device", "cpu"}).err,
              HasSubstr("numerics tensor: the CPU"));
  EXPECT_EQ(run_line({"replay", folder_.path("other.jsonl"), "--numerics", "exact"}).code, kDone);
  // With its calibration, which is of its numerics.
  other = folder_.read("t.jsonl");
  other.replace(other.find(R"("numerics":"exact")"), 18,
                R"("numerics":"fp8","calibration":"/nowhere/c.fp8")");
  EXPECT_THAT(run_line({"replay", folder_.write("other.jsonl", other)}).err,
              HasSubstr("/nowhere/c.fp8"));
  EXPECT_EQ(run_line({"replay", folder_.path("other.jsonl"), "--numerics", "exact"}).code, kDone);
}

TEST_F(OnATinyModel, AReplayNamesTheFirstTokenThatDiffers) {
  const std::string file = folder_.write("talk.gen", kTalk);
  folder_.write("sums.py", "def add(a, b):\n    return a + b\n");
  const std::string trace = folder_.path("t.jsonl");
  ASSERT_EQ(on_model({"run", file, "--arg", "topic=rain", "--trace", trace}).code, kDone);
  // The record says otherwise at the third token of the second branch.
  auto events = read_trace(folder_.read("t.jsonl"));
  ASSERT_TRUE(events);
  std::string changed, path;
  std::size_t seen = 0;
  for (Json& event : *events) {
    if (event["event"] == "token" && event["branch"] == 2 && ++seen == 3) {
      event["id"] = event["id"].get<int>() == 65 ? 66 : 65;
      event["text"] = "A";
      path = event["path"];
    }
    changed += event.dump() + "\n";
  }
  ASSERT_GE(seen, 3U);
  const std::string other = folder_.write("other.jsonl", changed);
  const Ran ran = run_line({"replay", other});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.out, AllOf(StartsWith(file + ":5:16: token 3 of `" + path + "` was "),
                             HasSubstr("\n  before: \""), HasSubstr("\n  now:    \"")));
  const Json found = Json::parse(run_line({"replay", other, "--json"}).out)["difference"];
  EXPECT_EQ(found["token"], 2);
  EXPECT_EQ(found["hole"], path);
}

TEST_F(OnATinyModel, AReplayOfAnotherProgramSaysSo) {
  const std::string file = folder_.write("f.gen",
                                         "gen f() -> line {\n  user \"a\"\n  assistant "
                                         "\"$[x: line, max=8]\"\n  return x\n}\n");
  const std::string trace = folder_.path("t.jsonl");
  ASSERT_EQ(on_model({"run", file, "--trace", trace}).code, kDone);
  folder_.write("f.gen",
                "gen f() -> line {\n  user \"b\"\n  assistant \"$[x: line, max=8]\"\n"
                "  return x\n}\n");
  const Ran ran = run_line({"replay", trace});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, HasSubstr("the program is not what it was"));
  EXPECT_THAT(ran.out, AllOf(HasSubstr("own text differs"), HasSubstr("before: \"a\""),
                             HasSubstr("now:    \"b\"")));
}

TEST(Replay, WhatIsNoTraceIsRefused) {
  const Folder folder;
  for (
      const char* text :
      {"", "{}\n", "[1]\n", "{\"event\": \"turn\"}\n", "\xff\xfe\n", "{\"event\": \"run\"}\n",
       R"({"event": "run", "program": "a", "gen": "f", "model": "m", "arguments": {}, "sampling": {"top_k": "many"}})"}) {
    const Ran ran = run_line({"replay", folder.write("t.jsonl", text)});
    EXPECT_EQ(ran.code, kFailed) << text;
    EXPECT_THAT(ran.err, HasSubstr("is no trace that can be replayed")) << text;
  }
  EXPECT_EQ(run_line({"replay", folder.path("none.jsonl")}).code, kFailed);
  EXPECT_EQ(run_line({"replay"}).code, kUsage);
}

TraceEvents trace_of(const std::string& lines) {
  auto events = read_trace(lines);
  EXPECT_TRUE(events);
  return events ? *events : TraceEvents();
}

TEST(TraceComparison, BranchesAreKnownByHowTheyCameAbout) {
  const TraceEvents one = trace_of(
      R"({"event":"branch","branch":1,"parent":0,"what":"fork"}
{"event":"branch","branch":2,"parent":0,"what":"fork"}
{"event":"token","branch":1,"path":"a","id":5,"text":"x"}
{"event":"token","branch":2,"path":"a","id":6,"text":"y"})");
  // The same in another order, under other numbers.
  const TraceEvents other = trace_of(
      R"({"event":"branch","branch":7,"parent":0,"what":"fork"}
{"event":"branch","branch":4,"parent":0,"what":"fork"}
{"event":"token","branch":4,"path":"a","id":6,"text":"y"}
{"event":"token","branch":7,"path":"a","id":5,"text":"x"})");
  EXPECT_FALSE(first_difference(one, other));
  const TraceEvents shorter = trace_of(
      R"({"event":"branch","branch":7,"parent":0,"what":"fork"}
{"event":"branch","branch":4,"parent":0,"what":"fork"}
{"event":"token","branch":4,"path":"a","id":6,"text":"y"})");
  ASSERT_TRUE(first_difference(one, shorter));
  EXPECT_EQ(first_difference(one, shorter)->now_id, std::nullopt);
  ASSERT_TRUE(first_difference(shorter, one));
  EXPECT_EQ(first_difference(shorter, one)->now_id, 5);
}

}  // namespace
}  // namespace espalier::cli
