// Verbs that need a model, on the default one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <sstream>

#include "cli/command.h"
#include "grammar/json.h"
#include "tests/cli/command_line.h"

namespace espalier::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class WithModel : public ::testing::Test {
 protected:
  void SetUp() override {
    if (without_model()) GTEST_SKIP() << "the default model is not here: espalier pull smollm2";
  }
};

Json json_of(const Ran& ran) {
  EXPECT_EQ(ran.code, kDone) << ran.err;
  return Json::parse(ran.out, nullptr, false);
}

TEST_F(WithModel, TokenizeReadsTextFilesAndStdinAlike) {
  const Folder folder;
  const std::string file = folder.write("a.txt", "Hello, wörld <|im_end|>");
  const Json ids =
      json_of(run_line({"tokenize", "--text", "Hello, wörld <|im_end|>", "--json"}))["ids"];
  EXPECT_EQ(json_of(run_line({"tokenize", file, "--json"}))["ids"], ids);
  EXPECT_EQ(json_of(run_line({"tokenize", "-", "--json"}, "Hello, wörld <|im_end|>"))["ids"], ids);
  const Json special = json_of(run_line({"tokenize", file, "--special", "--json"}))["ids"];
  EXPECT_LT(special.size(), ids.size());
  EXPECT_EQ(special.back(), 2);
}

TEST_F(WithModel, CompleteGivesIdsAndTextThatAgree) {
  const Json answer = json_of(run_line({"complete", "--prompt", "The capital of France is", "--max",
                                        "6", "--logprobs", "3", "--json"}));
  ASSERT_EQ(answer["ids"].size(), 6U);
  ASSERT_EQ(answer["top"].size(), 6U);
  for (std::size_t i = 0; i < 6; ++i) {
    ASSERT_EQ(answer["top"][i].size(), 3U);
    EXPECT_EQ(answer["top"][i][0][0], answer["ids"][i]) << "greedy takes the best";
    EXPECT_GE(answer["top"][i][0][1], answer["top"][i][1][1]);
  }
  EXPECT_EQ(answer["truncated"], true);
  // The prompt's ids give the same; forcing the answer shows that each was the model's first
  // choice.
  const Json by_ids = json_of(
      run_line({"complete", "--prompt-ids", answer["prompt_ids"].dump(), "--max", "6", "--json"}));
  EXPECT_EQ(by_ids["ids"], answer["ids"]);
  const Json forced =
      json_of(run_line({"complete", "--prompt-ids", answer["prompt_ids"].dump(), "--force-ids",
                        answer["ids"].dump(), "--logprobs", "3", "--json"}));
  EXPECT_EQ(forced["ids"], answer["ids"]);
  EXPECT_EQ(forced["text"], answer["text"]);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(forced["top"][i][0][0], answer["ids"][i]);
    EXPECT_EQ(forced["top"][i][0][1], forced["logprobs"][i]);
    EXPECT_NEAR(forced["logprobs"][i].get<double>(), answer["top"][i][0][1].get<double>(), 1e-4);
  }
}

TEST_F(WithModel, ATypedAnswerIsOfItsType) {
  const Json number =
      json_of(run_line({"complete", "--prompt", "Year of the moon landing: ", "--type",
                        "int(1900..2000)", "--json"}));
  EXPECT_GE(number["value"], 1900);
  EXPECT_LE(number["value"], 2000);
  const Json word = json_of(run_line({"complete", "--prompt", "Is water wet? ", "--regex", "yes|no",
                                      "--temperature", "2", "--seed", "5", "--json"}));
  EXPECT_TRUE(word["value"] == "yes" || word["value"] == "no");
  EXPECT_EQ(run_line({"complete", "--prompt", "x", "--type", "nonsense"}).code, kUsage);
  EXPECT_EQ(run_line({"complete", "--prompt", "x", "--regex", "("}).code, kUsage);
}

TEST_F(WithModel, PromptsThatCannotBeRunAreRefused) {
  EXPECT_EQ(run_line({"complete", "--prompt", ""}).code, kFailed);
  EXPECT_THAT(run_line({"complete", "--prompt-ids", "[1, 49152]"}).err,
              HasSubstr("49152 at index 1 is not a token id"));
  EXPECT_EQ(run_line({"complete", "--prompt-ids", "[1, -1]"}).code, kUsage);
  EXPECT_EQ(run_line({"complete", "--prompt-ids", "1"}).code, kUsage);
  // Larger than the context: refused with both figures.
  const Ran large = run_line({"complete", "--prompt-file", "-", "--max", "4"},
                             std::string(40'000, 'a') + " b c d");
  EXPECT_EQ(large.code, kFailed);
  EXPECT_THAT(large.err, HasSubstr("context holds 8192"));
}

TEST_F(WithModel, ScoreIsTheMeanOverAllButTheFirst) {
  const Folder folder;
  const std::string file = folder.write("a.txt", "The capital of France is Paris.");
  const Json score = json_of(run_line({"score", "--file", file, "--json"}));
  const Json ids = json_of(run_line({"tokenize", file, "--json"}))["ids"];
  EXPECT_EQ(score["tokens"], ids.size());
  Json rest = ids;
  rest.erase(0);
  const Json probed = json_of(run_line({"complete", "--prompt-ids", Json::array({ids[0]}).dump(),
                                        "--force-ids", rest.dump(), "--json"}));
  double sum = 0;
  for (const Json& logprob : probed["logprobs"]) sum -= logprob.get<double>();
  EXPECT_NEAR(score["mean_nll"].get<double>(), sum / static_cast<double>(rest.size()), 1e-4);
  EXPECT_EQ(run_line({"score", "--file", folder.write("one.txt", "a")}).code, kFailed);
}

TEST_F(WithModel, TheNextRunFindsThePromptInTheKvFolder) {
  const Folder folder;
  std::string prompt;
  for (int i = 0; i < 30; ++i) prompt += "House " + std::to_string(i) + " has two rooms. ";
  std::vector<std::string> texts;
  for (int run = 0; run < 2; ++run) {
    const Ran ran = run_line({"complete", "--prompt", prompt, "--max", "4", "--kv-dir",
                              folder.path("kv"), "--stats", folder.path("stats.json")});
    ASSERT_EQ(ran.code, kDone) << ran.err;
    EXPECT_EQ(ran.err.find("kept prompts"), std::string::npos) << ran.err;
    texts.push_back(ran.out);
    const Json stats = Json::parse(folder.read("stats.json"));
    EXPECT_EQ(stats["reused_tokens"].get<int>() > 100, run == 1);
    EXPECT_EQ(stats["disk_read_pages"].get<int>() > 6, run == 1);
  }
  EXPECT_EQ(texts[0], texts[1]);
}

// Another type of K and V is another arithmetic: its pages are not those of f16.
TEST_F(WithModel, TheKvFolderKnowsTheTypeOfKeysAndValues) {
  const Folder folder;
  std::string prompt;
  for (int i = 0; i < 20; ++i) prompt += "House " + std::to_string(i) + " has two rooms. ";
  const auto reused = [&](const char* type) {
    const Ran ran = run_line({"complete", "--prompt", prompt, "--max", "2", "--kv-type", type,
                              "--kv-dir", folder.path("kv"), "--stats", folder.path("stats.json")});
    EXPECT_EQ(ran.code, kDone) << ran.err;
    return Json::parse(folder.read("stats.json"))["reused_tokens"].get<int>();
  };
  EXPECT_EQ(reused("f16"), 0);
  EXPECT_EQ(reused("bf16"), 0);
  EXPECT_GT(reused("bf16"), 100);
}

TEST_F(WithModel, HostMemoryForPagesIsRefusedWhereThePoolIsThere) {
  const Ran ran = run_line(
      {"complete", "--prompt", "a", "--max", "1", "--device", "cpu", "--host-kv", "1000000000"});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_NE(ran.err.find("host memory already"), std::string::npos) << ran.err;
}

TEST_F(WithModel, StatsHaveEveryFieldAndAddUp) {
  const Folder folder;
  const Ran ran = run_line({"complete", "--prompt", "The capital of France is", "--max", "4",
                            "--stats", folder.path("stats.json")});
  ASSERT_EQ(ran.code, kDone) << ran.err;
  const Json stats = Json::parse(folder.read("stats.json"));
  for (const char* field : {"prompt_tokens", "reused_tokens", "computed_tokens", "generated_tokens",
                            "forced_tokens", "select_tokens", "recomputed_tokens", "steps",
                            "prefill_seconds", "decode_seconds", "mask_seconds", "load_seconds",
                            "wall_seconds", "peak_rss_bytes", "pages_total", "pages_free_at_end"}) {
    ASSERT_TRUE(stats.contains(field)) << field;
    EXPECT_TRUE(stats[field].is_number()) << field;
  }
  EXPECT_EQ(stats["prompt_tokens"],
            stats["reused_tokens"].get<int>() + stats["computed_tokens"].get<int>());
  EXPECT_EQ(stats["generated_tokens"], 4);
  EXPECT_LE(stats["pages_free_at_end"], stats["pages_total"]);
}

constexpr const char* kProgram = R"(
record Answer { word: "red" | "green" | "blue", n: int(1..9) }
gen ask(question: string, times: int = 1) -> Answer[] {
  system "Answer with a colour and a number."
  user "${question}"
  let answers = fork times {
    assistant "$[a: Answer, max=40]"
    yield a
  }
  return answers
}
)";

TEST_F(WithModel, RunPrintsTheTypedResultAlone) {
  const Folder folder;
  const std::string file = folder.write("ask.gen", kProgram);
  const Ran ran =
      run_line({"run", file, "--arg", "question=Which colour has grass?", "--arg", "times=2",
                "--trace", folder.path("trace.jsonl"), "--stats", folder.path("stats.json")});
  const Json value = json_of(ran);
  ASSERT_EQ(value.size(), 2U);
  EXPECT_TRUE(value[0]["n"].is_number_integer());
  EXPECT_EQ(value[0], value[1]) << "greedy branches agree";
  EXPECT_THAT(ran.err, IsEmpty()) << "silent in a pipe";
  std::istringstream trace(folder.read("trace.jsonl"));
  std::set<std::string> events;
  for (std::string line; std::getline(trace, line);)
    events.insert(Json::parse(line)["event"].get<std::string>());
  for (const char* event : {"turn", "text", "branch", "hole", "value"})
    EXPECT_TRUE(events.contains(event)) << event;
  // The same by --args, on a terminal: shown as it goes, and the same result.
  const Ran shown = run_line(
      {"run", file, "--args", R"({"question": "Which colour has grass?", "times": 2})"}, {}, true);
  EXPECT_EQ(json_of(shown), value);
  EXPECT_THAT(shown.err, HasSubstr("Which colour has grass?"));
  // And without the cache.
  const Ran apart = run_line({"run", file, "--arg", "question=Which colour has grass?", "--arg",
                              "times=2", "--no-cache", "--threads", "1"});
  EXPECT_EQ(json_of(apart), value);
}

TEST_F(WithModel, TreeShowsWhatBranchesShareOnce) {
  const Folder folder;
  const std::string file = folder.write("ask.gen", kProgram);
  const std::vector<std::string> line{"tree", file, "--args",
                                      R"({"question": "Which colour has grass?", "times": 2})"};
  const Ran text = run_line(line);
  ASSERT_EQ(text.code, kDone) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("0.."), HasSubstr("page")));
  auto as_json = line;
  as_json.emplace_back("--json");
  const Json nodes = json_of(run_line(as_json))["nodes"];
  ASSERT_FALSE(nodes.empty());
  std::size_t with_question = 0;
  for (const Json& node : nodes) {
    EXPECT_EQ(node["leases"], 0) << "the program is over";
    EXPECT_GE(node["tokens"].size(), node["ready"].get<std::size_t>());
    if (node["parent"].is_null()) ++with_question;
  }
  EXPECT_EQ(with_question, 1U) << "one root";
}

TEST_F(WithModel, SeveralEnginesSayTheSameAndAreShownEach) {
  const Folder folder;
  const std::string file = folder.write("ask.gen", kProgram);
  const std::string arguments = R"({"question": "Which colour has grass?", "times": 2})";
  const Json value = json_of(run_line({"run", file, "--args", arguments}));
  const Ran two = run_line({"run", file, "--args", arguments, "--data-parallel", "2", "--stats",
                            folder.path("stats.json")});
  EXPECT_EQ(json_of(two), value);
  const Json stats = Json::parse(folder.read("stats.json"));
  ASSERT_EQ(stats["engines"].size(), 2U);
  for (const char* field : {"requests", "computed_tokens", "reused_tokens", "generated_tokens",
                            "pages_total", "pages_free_at_end"}) {
    EXPECT_EQ(stats["engines"][0][field].get<int>() + stats["engines"][1][field].get<int>(),
              stats[field].get<int>())
        << field;
  }
  // One program stays in one place.
  EXPECT_EQ(std::min(stats["engines"][0]["requests"].get<int>(),
                     stats["engines"][1]["requests"].get<int>()),
            0);
  const Ran tree = run_line({"tree", file, "--args", arguments, "--data-parallel", "2"});
  EXPECT_THAT(tree.out,
              AllOf(HasSubstr("engine 1 of 2:\n0.."), HasSubstr("engine 2 of 2: nothing is held")));
  const Json nodes = json_of(
      run_line({"tree", file, "--args", arguments, "--data-parallel", "2", "--json"}))["nodes"];
  ASSERT_FALSE(nodes.empty());
  for (const Json& node : nodes) EXPECT_EQ(node["engine"], 1);
}

TEST_F(WithModel, RenderShowsThePromptWithoutARun) {
  const Folder folder;
  const Ran ran = run_line({"render", folder.write("ask.gen", kProgram), "--arg", "question=Why?"});
  EXPECT_EQ(ran.code, kDone) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("<|im_start|>user\nWhy?<|im_end|>"));
}

TEST_F(WithModel, BatchGivesEachInputItsRowAndGoesOn) {
  const Folder folder;
  const std::string file = folder.write("ask.gen", kProgram);
  folder.write("in/a.txt", "What colour is the sky?");
  folder.write("in/b.txt", "What colour is \xFF?");
  folder.write("in/c.txt", std::string(60'000, 'x'));
  folder.write("in/d.txt", "What colour is blood?");
  const std::vector<std::string> line{
      "batch", file, "--in", folder.path("in/*.txt"), "--out", folder.path("out.jsonl")};
  const Ran ran = run_line(line);
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, HasSubstr("2 of 4 rows failed"));
  const std::string whole = folder.read("out.jsonl");
  std::vector<Json> rows;
  std::istringstream stream(whole);
  for (std::string row; std::getline(stream, row);) rows.push_back(Json::parse(row));
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_TRUE(rows[0].contains("value"));
  EXPECT_EQ(rows[1]["error"]["code"], "invalid");
  EXPECT_THAT(rows[2]["error"]["message"].get<std::string>(), HasSubstr("context holds 8192"));
  EXPECT_TRUE(rows[3].contains("value"));
  // Torn in the last row: the same command makes it whole again, and what was there is kept.
  folder.write("out.jsonl", whole.substr(0, whole.size() - 20));
  run_line(line);
  EXPECT_EQ(folder.read("out.jsonl"), whole);
  // Another type of K and V, or another program, is refused.
  auto in_bytes = line;
  in_bytes.insert(in_bytes.end(), {"--kv-type", "q8"});
  EXPECT_THAT(run_line(in_bytes).err, HasSubstr("the model changed since"));
  folder.write("ask.gen", std::string(kProgram) + "// changed\n");
  EXPECT_THAT(run_line(line).err, HasSubstr("the program changed since"));
}

TEST_F(WithModel, BatchRowsGoToParametersByName) {
  const Folder folder;
  const std::string file = folder.write("ask.gen", kProgram);
  const std::string rows =
      folder.write("rows.jsonl",
                   "{\"id\": \"x\", \"question\": \"Grass?\", \"times\": 2, \"source\": 1}\n"
                   "{\"question\": 5}\n{\"times\": 1}\n");
  const Ran ran = run_line({"batch", file, "--in", rows, "--out", folder.path("out.jsonl")});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, HasSubstr("'source' is no parameter of 'ask'"));
  std::istringstream stream(folder.read("out.jsonl"));
  std::vector<Json> out;
  for (std::string row; std::getline(stream, row);) out.push_back(Json::parse(row));
  ASSERT_EQ(out.size(), 3U);
  EXPECT_EQ(out[0]["id"], "x");
  EXPECT_EQ(out[0]["value"].size(), 2U);
  EXPECT_EQ(out[1]["id"], 2);
  EXPECT_THAT(out[1]["error"]["message"].get<std::string>(), HasSubstr("question"));
  EXPECT_THAT(out[2]["error"]["message"].get<std::string>(), HasSubstr("question"));
}

TEST_F(WithModel, CtrlCStopsCleanly) {
  const Ran ran = run_built(
      {"complete", "--prompt", "Once upon a time", "--max", "2000", "--temperature", "1.5"},
      SIGINT);
  // Stopped in time, or done before the signal came.
  EXPECT_TRUE(ran.code == 130 || ran.code == kDone) << ran.code << ran.err;
  if (ran.code == 130) {
    EXPECT_THAT(ran.err, HasSubstr("stopped"));
  }
}

}  // namespace
}  // namespace espalier::cli
