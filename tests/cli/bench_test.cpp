// espalier mkmodel and espalier bench: models of any shape, and what is measured on them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/system.h"
#include "cli/command.h"
#include "cli/step_bench.h"
#include "grammar/json.h"
#include "runtime/cpu/cpu_backend.h"
#include "runtime/model/architecture.h"
#include "runtime/model/model.h"
#include "runtime/model/tensor.h"
#include "tests/cli/command_line.h"
#include "tests/support/ahead_backend.h"
#include "tests/support/source_folder.h"

namespace espalier::cli {
namespace {

using ::testing::HasSubstr;

// A small model; `more` adds options, or gives those that are there other values.
std::vector<std::string> small(const std::string& path, const std::vector<std::string>& more) {
  std::map<std::string, std::string> options{
      {"--layers", "2"},  {"--width", "256"},  {"--heads", "4"},         {"--kv-heads", "2"},
      {"--vocab", "400"}, {"--context", "64"}, {"--feed-forward", "512"}};
  for (std::size_t i = 0; i + 1 < more.size(); i += 2) options[more[i]] = more[i + 1];
  std::vector<std::string> out{"mkmodel", path};
  for (const auto& [name, value] : options) {
    out.push_back(name);
    out.push_back(value);
  }
  return out;
}

TEST(MakeModel, EveryArchitectureAndTypeLoadsAndGenerates) {
  const Folder folder;
  std::vector<std::vector<std::string>> kinds;
  for (const runtime::Architecture* it : runtime::architectures())
    kinds.push_back({"--arch", std::string(it->name), "--type", "q4_k_m"});
  for (const runtime::TensorType type : runtime::tensor_types())
    kinds.push_back({"--type", std::string(runtime::tensor_traits(type)->name)});
  for (const auto& kind : kinds) {
    const std::string path = folder.path("m.gguf");
    const Ran made = run_line(small(path, kind));
    ASSERT_EQ(made.code, kDone) << kind.back() << made.err;
    EXPECT_EQ(made.out, path + "\n");
    const Ran ran = run_line({"complete", "--model", path, "--prompt", "ab", "--max", "3",
                              "--threads", "1", "--logprobs", "2", "--json"});
    ASSERT_EQ(ran.code, kDone) << kind.back() << ran.err;
    const Json answer = Json::parse(ran.out);
    // A model that is not degenerate: no token is sure, and none as likely as any other.
    const double best = answer["top"][0][0][1].get<double>();
    EXPECT_LT(best, -0.05) << kind.back();
    EXPECT_GT(best, -5.9) << kind.back() << ": ln(1/400) is -5.99";
  }
}

TEST(MakeModel, TheFileFollowsFromShapeTypesAndSeed) {
  const Folder folder;
  ASSERT_EQ(run_line(small(folder.path("a"), {})).code, kDone);
  ASSERT_EQ(run_line(small(folder.path("b"), {})).code, kDone);
  ASSERT_EQ(run_line(small(folder.path("c"), {"--seed", "2"})).code, kDone);
  EXPECT_EQ(folder.read("a"), folder.read("b"));
  EXPECT_NE(folder.read("a"), folder.read("c"));
}

TEST(MakeModel, TakesTheVocabularyOfAnother) {
  const Folder folder;
  const std::string fixture =
      espalier::testing::source_folder() + "/tests/runtime/model/fixtures/arch_gemma3.gguf";
  const std::string path = folder.path("m.gguf");
  ASSERT_EQ(run_line({"mkmodel", path, "--like", "smollm2-135m", "--layers", "1", "--vocab-from",
                      fixture})
                .code,
            kDone);
  const Json from = Json::parse(run_line({"show", fixture, "--json"}).out);
  const Json made = Json::parse(run_line({"show", path, "--json"}).out);
  EXPECT_EQ(made["tokenizer"], from["tokenizer"]);
  EXPECT_EQ(made["template"], from["template"]);
  EXPECT_EQ(made["special"], from["special"]);
  EXPECT_EQ(made["width"], 576);
  EXPECT_EQ(made["layers"], 1);
}

TEST(MakeModel, SaysWhatDoesNotFit) {
  const Folder folder;
  const std::string path = folder.path("m.gguf");
  EXPECT_THAT(run_line({"mkmodel", path}).err, HasSubstr("--like"));
  EXPECT_THAT(run_line({"mkmodel", path, "--like", "llama"}).err, HasSubstr("llama-3.1-8b"));
  EXPECT_THAT(run_line(small(path, {"--type", "q9"})).err, HasSubstr("q4_k_m"));
  EXPECT_THAT(run_line(small(path, {"--type", "fp8"})).err,
              HasSubstr("make bf16 and run it with --numerics fp8"));
  EXPECT_THAT(run_line(small(path, {"--arch", "bert"})).err, HasSubstr("gemma3"));
  EXPECT_THAT(run_line(small(path, {"--heads", "3"})).err, HasSubstr("do not divide"));
  EXPECT_THAT(run_line(small(path, {"--head-width", "7"})).err, HasSubstr("odd"));
  EXPECT_THAT(run_line(small("/nowhere/m.gguf", {})).err, HasSubstr("/nowhere"));
  EXPECT_EQ(folder.read("m.gguf"), "") << "nothing was written";
  const Ran both = run_line(small(path, {"--vocab-from", path}));
  EXPECT_EQ(both.code, kUsage);
  EXPECT_THAT(both.err, HasSubstr("--vocab goes without it"));
}

// A device's node, say: what takes its place would be a file for everyone.
TEST(MakeModel, ReplacesNothingButARegularFile) {
  const Folder folder;
  const std::string pipe = folder.path("pipe");
  const std::string inner = folder.path("folder");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::filesystem::create_directory(inner);
  for (const std::string& path : {pipe, inner, inner + "/", folder.path("new/"), std::string()}) {
    const Ran ran = run_line(small(path, {}));
    EXPECT_EQ(ran.code, kFailed) << path;
    EXPECT_THAT(ran.err, HasSubstr("'" + path + "' is no")) << path;
  }
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  EXPECT_TRUE(std::filesystem::is_directory(inner));
  std::size_t left = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
    left += 1;
    EXPECT_TRUE(entry.path() == pipe || entry.path() == inner) << entry.path();
  }
  EXPECT_EQ(left, 2U);
  // A link is replaced, not what it leads to.
  const std::string kept = folder.write("kept", "as it was");
  std::filesystem::create_symlink(kept, folder.path("link"));
  EXPECT_EQ(run_line(small(folder.path("link"), {})).code, kDone);
  EXPECT_EQ(folder.read("kept"), "as it was");
}

// Also when the signal comes twice at once, as `timeout` sends it.
TEST(MakeModel, LeavesNothingWhenItIsStopped) {
  for (const int times : {1, 2}) {
    const Folder folder;
    const Ran ran = run_built({"mkmodel", folder.path("m"), "--like", "llama-3.1-8b", "--layers",
                               "1024", "--type", "f32"},
                              SIGTERM, std::chrono::milliseconds(50), folder.path("m.part"), times);
    EXPECT_EQ(ran.code, 143) << times;
    EXPECT_THAT(ran.err, HasSubstr("stopped")) << times;
    EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << times;
  }
}

TEST(DraftModel, OfTheSameTokensChangesNoText) {
  const Folder folder;
  const std::string path = folder.path("m.gguf"), draft = folder.path("d.gguf");
  ASSERT_EQ(run_line(small(path, {})).code, kDone);
  ASSERT_EQ(run_line(small(draft, {"--layers", "1", "--width", "128", "--seed", "2"})).code, kDone);
  for (const char* temperature : {"0", "0.9"}) {
    std::vector<std::string> line{"complete",  "--model", path,        "--prompt", "abcabc",
                                  "--max",     "40",      "--threads", "1",        "--temperature",
                                  temperature, "--seed",  "4"};
    const Ran plain = run_line(line);
    ASSERT_EQ(plain.code, kDone) << plain.err;
    for (const std::string& with : {path, draft}) {
      auto drafted = line;
      drafted.insert(drafted.end(), {"--draft", with});
      const Ran ran = run_line(drafted);
      EXPECT_EQ(ran.code, kDone) << ran.err;
      EXPECT_EQ(ran.out, plain.out);
    }
  }
}

TEST(DraftModel, OfOtherTokensIsRefusedWithTheFirstDifference) {
  const Folder folder;
  const std::string path = folder.path("m.gguf"), draft = folder.path("d.gguf");
  ASSERT_EQ(run_line(small(path, {})).code, kDone);
  const auto refusal = [&](const std::string& with) {
    const Ran ran = run_line({"complete", "--model", path, "--prompt", "a", "--draft", with});
    EXPECT_NE(ran.code, kDone);
    return ran.err;
  };
  ASSERT_EQ(run_line(small(draft, {"--vocab", "401"})).code, kDone);
  EXPECT_THAT(refusal(draft), HasSubstr("it has 401 tokens, the model 400"));
  const std::string gemma =
      espalier::testing::source_folder() + "/tests/runtime/model/fixtures/arch_gemma3.gguf";
  EXPECT_THAT(refusal(gemma), HasSubstr("tokens"));
  EXPECT_THAT(refusal("/nowhere/d.gguf"), HasSubstr("/nowhere/d.gguf"));
  EXPECT_THAT(refusal("no-such-model"), HasSubstr("no-such-model"));
}

TEST(Bench, ReportsEveryCaseBesideTheLimits) {
  const Folder folder;
  const std::string path = folder.path("m.gguf");
  ASSERT_EQ(run_line(small(path, {})).code, kDone);
  const std::vector<std::string> line{"bench",    "--model",  path,      "--prefill", "20",
                                      "--decode", "8",        "--batch", "1,3",       "--depth",
                                      "0,16",     "--repeat", "1",       "--threads", "1"};
  auto as_json = line;
  as_json.insert(as_json.end(), {"--masked", "--json"});
  const Ran ran = run_line(as_json);
  ASSERT_EQ(ran.code, kDone) << ran.err;
  const Json report = Json::parse(ran.out);
  EXPECT_GT(report["read_bytes_per_second"].get<double>(), 0);
  EXPECT_GT(report["int8_products_per_second"].get<double>(), 0);
  ASSERT_EQ(report["cases"].size(), 1 + 3 * 2 * 2U);
  for (const Json& it : report["cases"]) {
    EXPECT_GT(it["tokens_per_second"].get<double>(), 0);
    EXPECT_EQ(it.contains("schema"), !it.contains("memory_share"));
  }
  EXPECT_THAT(run_line(line).out, HasSubstr("decode, batch 3, depth 16"));
}

// Tells of the tokens that are chosen.
class Heard final : public runtime::WrappedBackend {
 public:
  Heard(std::unique_ptr<Backend> inner, std::vector<TokenId>& tokens)
      : WrappedBackend(std::move(inner)), tokens_(tokens) {}
  Result<std::vector<runtime::RowResult>> finish(std::span<const runtime::RowPlan> plans) override {
    auto out = WrappedBackend::finish(plans);
    if (out) {
      for (const runtime::RowResult& it : *out) tokens_.push_back(it.sampled.token);
    }
    return out;
  }

 private:
  std::vector<TokenId>& tokens_;
};

// Says that it may begin steps ahead, and never does.
class Hesitant final : public runtime::WrappedBackend {
 public:
  using WrappedBackend::WrappedBackend;
  bool chooses_ahead(const runtime::RowPlan&) const override { return true; }
};

TEST(Bench, DecodesTheSameInStepsAhead) {
  const Folder folder;
  const std::string path = folder.path("m.gguf");
  ASSERT_EQ(run_line(small(path, {})).code, kDone);
  const auto model = runtime::Model::load(path, real_system());
  ASSERT_TRUE(model);
  runtime::CpuOptions options;
  options.threads = 1;
  std::vector<std::vector<TokenId>> said(3);
  for (int way = 0; way < 3; ++way) {
    auto made = runtime::CpuBackend::create(*model, options, real_system());
    ASSERT_TRUE(made);
    std::unique_ptr<runtime::Backend> backend =
        std::make_unique<Heard>(std::move(*made), said[way]);
    if (way == 1) backend = std::make_unique<runtime::AheadBackend>(std::move(backend));
    if (way == 2) backend = std::make_unique<Hesitant>(std::move(backend));
    int asked = 0;
    StepBench bench(*backend, real_system(), [&] { return ++asked < 60; });
    EXPECT_EQ(bench.goes_ahead(), way > 0);
    StepBench::Decode what{.batch = 3, .depth = 16, .tokens = 20, .grammar = nullptr};
    what.ahead = way > 0;
    EXPECT_TRUE(bench.decode(what)) << way;
    what.tokens = 40;
    const auto stopped = bench.decode(what);
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
    said[way].resize(1 + 20 * 3);  // the prompt's, and those of the whole run
  }
  EXPECT_EQ(said[1], said[0]);
  EXPECT_EQ(said[2], said[0]);
}

// A run of many steps may take minutes: it does not go on to its end when it is to stop.
TEST(Bench, StopsBetweenSteps) {
  const Folder folder;
  const std::string path = folder.path("m.gguf");
  ASSERT_EQ(run_line(small(path, {"--context", "4096"})).code, kDone);
  const auto model = runtime::Model::load(path, real_system());
  ASSERT_TRUE(model);
  runtime::CpuOptions options;
  options.threads = 1;
  const auto backend = runtime::CpuBackend::create(*model, options, real_system());
  ASSERT_TRUE(backend);
  int asked = 0;
  StepBench bench(**backend, real_system(), [&] { return ++asked < 5; });
  const auto decoded = bench.decode({.batch = 2, .depth = 16, .tokens = 40, .grammar = nullptr});
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(asked, 5);
  const auto prompt = bench.prefill(4096);
  ASSERT_FALSE(prompt);
  EXPECT_EQ(prompt.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(asked, 6);
}

TEST(Bench, SaysWhatItCannotMeasure) {
  const Folder folder;
  const std::string path = folder.path("m.gguf");
  ASSERT_EQ(run_line(small(path, {})).code, kDone);
  EXPECT_THAT(run_line({"bench", "--model", path}).err, HasSubstr("positions for 64"));
  EXPECT_EQ(run_line({"bench", "--batch", "0"}).code, kUsage);
  EXPECT_EQ(run_line({"bench", "--batch", "1,"}).code, kUsage);
  EXPECT_EQ(run_line({"bench", "--depth", "8"}).code, kUsage);
}

TEST(BenchSharing, SharesWhatCanBeSharedAndChangesNoText) {
  const Folder folder;
  const std::string path = folder.path("m.gguf");
  ASSERT_EQ(run_line(small(path, {"--context", "256"})).code, kDone);
  const std::string head = std::string(60, 'a');
  folder.write(
      "w.jsonl",
      R"({"id": "one", "requests": [{"text": ")" + head +
          R"( b", "max_tokens": 9},)"
          R"( {"after": 0, "text": " c", "max_tokens": 4}, {"after": 0, "text": " d", "max_tokens": 4},)"
          R"( {"after": 2, "text": "", "max_tokens": 3}]})"
          "\n"
          R"({"id": "two", "requests": [{"text": ")" +
          head +
          R"( e", "max_tokens": 9},)"
          R"( {"after": 0, "text": "=", "max_tokens": 8, "schema": {"type": "integer", "minimum": 0}}]})"
          "\n");
  const Ran ran = run_line({"bench", "sharing", folder.path("w.jsonl"), "--model", path,
                            "--threads", "1", "--pool", "1,50", "--json"});
  ASSERT_EQ(ran.code, kDone) << ran.err;
  const Json work = Json::parse(ran.out)["workloads"][0];
  EXPECT_EQ(work["programs"], 2);
  EXPECT_TRUE(work["texts_identical"].get<bool>());
  ASSERT_EQ(work["runs"].size(), 5u);
  const Json& on = work["runs"][0];
  const Json& off = work["runs"][1];
  // The head once, and what each request adds: nothing but the last token of an answer may be
  // computed besides.
  EXPECT_GE(on["share_of_best"].get<double>(), 0.999);
  EXPECT_EQ(on["computed_tokens"], work["must_compute_tokens"]);
  EXPECT_EQ(off["computed_tokens"], work["prompt_tokens"])
      << "without the cache each request computes its path";
  EXPECT_GT(work["prompt_tokens"].get<int>(), 3 * work["must_compute_tokens"].get<int>());
  EXPECT_EQ(work["runs"][2]["drafted_tokens"], 0);
  EXPECT_GE(work["runs"][3]["pool_tokens"].get<int>(), 64 + 9 + 4 + 3)
      << "room for the longest path";
  EXPECT_THAT(run_line({"bench", "sharing", folder.path("w.jsonl"), "--model", path}).out,
              HasSubstr("texts identical: yes"));
}

TEST(BenchSharing, ComparesEnginesSideBySideWithOne) {
  const Folder folder;
  const std::string path = folder.path("m.gguf");
  ASSERT_EQ(run_line(small(path, {})).code, kDone);
  std::string programs;
  for (int i = 0; i < 6; ++i) {
    programs += R"({"id": ")" + std::to_string(i) + R"(", "requests": [{"text": "a head )" +
                std::to_string(i) + R"(", "max_tokens": 3}]})" + "\n";
  }
  folder.write("w.jsonl", programs);
  const std::vector<std::string> line{"bench",   "sharing", folder.path("w.jsonl"),
                                      "--model", path,      "--data-parallel",
                                      "2",       "--pool",  "1"};
  std::vector<std::string> as_json = line;
  as_json.emplace_back("--json");
  const Ran ran = run_line(as_json);
  ASSERT_EQ(ran.code, kDone) << ran.err;
  const Json work = Json::parse(ran.out)["workloads"][0];
  EXPECT_EQ(work["engines"], 2);
  EXPECT_TRUE(work["texts_identical"].get<bool>());
  ASSERT_EQ(work["runs"].size(), 5U);
  EXPECT_EQ(work["runs"][3]["run"], "one engine");
  EXPECT_GE(work["runs"][0]["computed_tokens"], work["runs"][3]["computed_tokens"]);
  EXPECT_THAT(run_line(line).out, HasSubstr("2 engines against one "));
}

TEST(BenchSharing, SaysWhatIsWrongWithAWorkload) {
  const Folder folder;
  const std::string path = folder.path("m.gguf");
  ASSERT_EQ(run_line(small(path, {})).code, kDone);
  const auto error = [&](const std::string& requests) {
    folder.write("w.jsonl", R"({"id": "x", "requests": )" + requests + "}\n");
    const Ran ran = run_line({"bench", "sharing", folder.path("w.jsonl"), "--model", path});
    EXPECT_EQ(ran.code, kFailed) << requests;
    EXPECT_THAT(ran.err, HasSubstr("w.jsonl"));
    return ran.err;
  };
  EXPECT_THAT(error("[]"), HasSubstr("\"x\" has no list of \"requests\""));
  EXPECT_THAT(error("3"), HasSubstr("no list of \"requests\""));
  EXPECT_THAT(error(R"([{"max_tokens": 1}])"), HasSubstr("request 0: there is no \"text\""));
  EXPECT_THAT(error(R"([{"text": "a"}])"), HasSubstr("\"max_tokens\" is missing"));
  EXPECT_THAT(error(R"([{"text": "a", "max_tokens": 0}])"),
              HasSubstr("\"max_tokens\" is 0, not a number from 1"));
  EXPECT_THAT(error(R"([{"text": "a", "max_tokens": -1}])"), HasSubstr("is -1"));
  EXPECT_THAT(error(R"([{"text": "a", "max_tokens": 1.5}])"), HasSubstr("is 1.5"));
  EXPECT_THAT(error(R"([{"text": "a", "max_tokens": 1, "after": 0}])"), HasSubstr("there is none"));
  EXPECT_THAT(
      error(R"([{"text": "a", "max_tokens": 1}, {"text": "", "max_tokens": 1, "after": 1}])"),
      HasSubstr("request 1: \"after\" is 1, not a number from 0 to 0"));
  EXPECT_THAT(error(R"([{"text": "a", "max_tokens": 1, "stop": "."}])"),
              HasSubstr("\"stop\" is not known"));
  EXPECT_THAT(error(R"([7])"), HasSubstr("is no object"));
  EXPECT_THAT(error(R"([{"text": "a", "max_tokens": 70}])"), HasSubstr("positions for 64"));
  EXPECT_THAT(error(R"([{"text": "a", "max_tokens": 7, "schema": {"type": "x"}}])"),
              HasSubstr("request 0, schema"));
  EXPECT_EQ(run_line({"bench", "sharing"}).code, kUsage);
  EXPECT_EQ(run_line({"bench", "sharing", "w.jsonl", "--pool", "0"}).code, kUsage);
  EXPECT_THAT(run_line({"bench", "sharing", "/nowhere/w.jsonl", "--model", path}).err,
              HasSubstr("/nowhere"));
  EXPECT_THAT(run_line({"bench", "sharing", "--help"}).out,
              HasSubstr("usage: espalier bench sharing WORKLOAD"));
}

}  // namespace
}  // namespace espalier::cli
