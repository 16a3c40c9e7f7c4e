// espalier quality and espalier calibrate: models compared on a text, and products measured on one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "cli/command.h"
#include "grammar/json.h"
#include "tests/cli/command_line.h"

namespace espalier::cli {
namespace {

using ::testing::HasSubstr;

class OnTwoModels : public ::testing::Test {
 protected:
  void SetUp() override {
    make("a.gguf", {"--type", "bf16"});
    text_ = folder_.write("t.txt",
                          "What a model says of a text is what it expects of it. So it is "
                          "read twice, and what differs is counted: 1, 2, 3.");
  }
  void make(const std::string& name, const std::vector<std::string>& more,
            const std::string& vocabulary = "400") {
    std::vector<std::string> line{
        "mkmodel", folder_.path(name), "--layers",  "2",  "--width",        "64", "--heads", "2",
        "--vocab", vocabulary,         "--context", "64", "--feed-forward", "96"};
    line.insert(line.end(), more.begin(), more.end());
    const Ran made = run_line(line);
    ASSERT_EQ(made.code, kDone) << made.err;
  }
  Ran quality(const std::string& model, const std::vector<std::string>& more) {
    std::vector<std::string> line{"quality", folder_.path(model), "--threads", "1"};
    line.insert(line.end(), more.begin(), more.end());
    return run_line(line);
  }
  Json report(const std::string& model, std::vector<std::string> more) {
    for (const char* last : {"--text", "", "--json"}) more.emplace_back(last);
    more[more.size() - 2] = text_;
    const Ran ran = quality(model, more);
    EXPECT_EQ(ran.code, kDone) << ran.err;
    return ran.code == kDone ? Json::parse(ran.out) : Json();
  }

  Folder folder_;
  std::string text_;
};

TEST_F(OnTwoModels, AModelIsWhatItIs) {
  const Json same = report("a.gguf", {"--against", folder_.path("a.gguf")});
  EXPECT_EQ(same["same_first"], 1.0);
  EXPECT_EQ(same["mean_divergence"], 0.0);
  EXPECT_EQ(same["most_divergence"], 0.0);
  EXPECT_EQ(same["farthest_logprob"], 0.0);
  EXPECT_EQ(same["nll"], same["reference_nll"]);
  EXPECT_EQ(same["nll_difference_error"], 0.0);
}

// What `score` says of one window, quality says too; and however many rows are a step.
TEST_F(OnTwoModels, AnNllIsThatOfScore) {
  const Json whole = report("a.gguf", {"--kv-type", "q8", "--window", "64"});
  EXPECT_GT(whole["windows"].get<int>(), 1);
  folder_.write("short.txt", "What a model says.");
  const Ran scored = run_line({"score", "--file", folder_.path("short.txt"), "--model",
                               folder_.path("a.gguf"), "--threads", "1", "--json"});
  ASSERT_EQ(scored.code, kDone) << scored.err;
  const Json score = Json::parse(scored.out);
  for (const char* rows : {"1", "5", "64"}) {
    const Ran ran = quality("a.gguf", {"--kv-type", "q8", "--text", folder_.path("short.txt"),
                                       "--rows", rows, "--json"});
    ASSERT_EQ(ran.code, kDone) << ran.err;
    const Json said = Json::parse(ran.out);
    EXPECT_NEAR(said["reference_nll"].get<double>(), score["mean_nll"].get<double>(), 1e-6);
    EXPECT_EQ(said["tokens"].get<int>() + 1, score["tokens"].get<int>());
    EXPECT_GT(said["farthest_logprob"].get<double>(), 0.0);
  }
}

TEST_F(OnTwoModels, AQuantisedOneIsFartherTheFewerBitsItHas) {
  double before = 0;
  for (const char* type : {"q8_0", "q4_0"}) {
    make("q.gguf", {"--type", type});
    const Json said = report("q.gguf", {"--against", folder_.path("a.gguf")});
    EXPECT_GT(said["mean_divergence"].get<double>(), before) << type;
    EXPECT_GE(said["most_divergence"], said["mean_divergence"]);
    EXPECT_LE(said["same_first"].get<double>(), 1.0);
    EXPECT_NEAR(said["perplexity"].get<double>(), std::exp(said["nll"].get<double>()), 1e-9);
    before = said["mean_divergence"].get<double>();
  }
  const Ran table = quality("q.gguf", {"--against", folder_.path("a.gguf"), "--text", text_});
  for (const char* line :
       {"reference  ", "perplexity  ", "same likeliest token", "KL divergence, mean",
        "KL divergence, largest", "farthest log-probability"}) {
    EXPECT_THAT(table.out, HasSubstr(line));
  }
}

TEST_F(OnTwoModels, WhatCannotBeComparedIsSaid) {
  const auto error = [&](const std::vector<std::string>& more, int code) {
    const Ran ran = quality("a.gguf", more);
    EXPECT_EQ(ran.code, code) << ran.err;
    EXPECT_EQ(ran.out, "");
    return ran.err;
  };
  const std::vector<std::string> q8{"--kv-type", "q8", "--text"};
  const auto of = [&](const std::string& text) {
    std::vector<std::string> out = q8;
    out.push_back(text);
    return out;
  };
  EXPECT_THAT(error({"--text", text_}, kUsage), HasSubstr("there is nothing to compare"));
  EXPECT_THAT(error({"--kv-type", "q8"}, kUsage), HasSubstr("--text"));
  EXPECT_THAT(error(of(folder_.path("none.txt")), kFailed), HasSubstr("none.txt"));
  EXPECT_THAT(error(of(folder_.write("e.txt", "")), kFailed), HasSubstr("e.txt' is empty"));
  EXPECT_THAT(error(of(folder_.write("b.txt", "abc\xFF")), kFailed),
              HasSubstr("b.txt' is not UTF-8: see byte 3"));
  EXPECT_THAT(error(of(folder_.write("s.txt", "a")), kFailed), HasSubstr("at least 2 are needed"));
  auto wide = of(text_);
  wide.insert(wide.end(), {"--window", "65"});
  EXPECT_THAT(error(wide, kFailed),
              HasSubstr("a window of 65 tokens: the model has positions for 64"));
  make("other.gguf", {}, "300");
  EXPECT_THAT(error({"--text", text_, "--against", folder_.path("other.gguf")}, kFailed),
              HasSubstr("cannot be compared with"));
  EXPECT_THAT(error({"--text", text_, "--numerics", "fp8", "--device", "cpu"}, kFailed),
              HasSubstr("numerics fp8: the CPU"));
}

TEST_F(OnTwoModels, ACalibrationKeepsWhatIsBeyondItsBound) {
  const std::string out = folder_.path("c.fp8");
  const auto calibrate = [&](const std::vector<std::string>& more) {
    std::vector<std::string> line{"calibrate", out,   "--model", folder_.path("a.gguf"),
                                  "--text",    text_, "--json"};
    line.insert(line.end(), more.begin(), more.end());
    const Ran ran = run_line(line);
    EXPECT_EQ(ran.code, kDone) << ran.err;
    return Json::parse(ran.out);
  };
  const Json usual = calibrate({"--threads", "1"});
  const std::string file = folder_.read("c.fp8");
  EXPECT_EQ(usual["products"].size(), 8U);
  EXPECT_EQ(usual["kept"], 0);
  EXPECT_EQ(calibrate({"--threads", "2"}), usual);
  EXPECT_EQ(folder_.read("c.fp8"), file);
  const Json none = calibrate({"--bound", "1"});
  EXPECT_EQ(none["kept"], 0);
  const Json all = calibrate({"--bound", "0"});
  EXPECT_EQ(all["kept"], 8);
  EXPECT_NE(all["name"], none["name"]);
  const Ran table = run_line(
      {"calibrate", out, "--model", folder_.path("a.gguf"), "--text", text_, "--bound", "0"});
  EXPECT_THAT(table.out, HasSubstr("stays in 16 bits: layer 1 gate up ("));
  EXPECT_THAT(table.out, HasSubstr("8 of 8 products stay in 16 bits"));
}

TEST_F(OnTwoModels, ACalibrationIsOfItsModelAndItsNumerics) {
  const std::string out = folder_.path("c.fp8");
  ASSERT_EQ(run_line({"calibrate", out, "--model", folder_.path("a.gguf"), "--text", text_}).code,
            kDone);
  make("other.gguf", {"--type", "f16"});
  make("q.gguf", {"--type", "q4_0"});
  const auto error = [&](const std::string& model, const std::vector<std::string>& more) {
    std::vector<std::string> line{"complete", "--model", folder_.path(model), "--prompt", "a",
                                  "--max",    "1",       "--device",          "cpu"};
    line.insert(line.end(), more.begin(), more.end());
    const Ran ran = run_line(line);
    EXPECT_EQ(ran.code, kFailed);
    return ran.err;
  };
  EXPECT_THAT(error("a.gguf", {"--calibration", out}),
              HasSubstr("numerics exact: a calibration is for numerics fp8"));
  EXPECT_THAT(error("other.gguf", {"--numerics", "fp8", "--calibration", out}),
              HasSubstr("the calibration was measured on another model"));
  EXPECT_THAT(error("a.gguf", {"--numerics", "fp8", "--calibration", out}),
              HasSubstr("numerics fp8: the CPU"));
  std::string damaged = folder_.read("c.fp8");
  damaged[damaged.size() / 2] ^= 1;
  EXPECT_THAT(
      error("a.gguf", {"--numerics", "fp8", "--calibration", folder_.write("d.fp8", damaged)}),
      HasSubstr("d.fp8' is no calibration for fp8: it is damaged"));
  const Ran quantised =
      run_line({"calibrate", out, "--model", folder_.path("q.gguf"), "--text", text_});
  EXPECT_EQ(quantised.code, kFailed);
  EXPECT_THAT(quantised.err, HasSubstr("weights are quantised already"));
}

}  // namespace
}  // namespace espalier::cli
