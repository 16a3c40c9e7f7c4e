// What goes wrong around the program: files, tools, signals, disks. Each gives one message that
// names the place, a failure's exit code, and leaves nothing behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/command.h"
#include "grammar/json.h"
#include "tests/cli/command_line.h"
#include "tests/support/gguf_writer.h"

namespace espalier::cli {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using namespace std::chrono_literals;

class BadInput : public ::testing::Test {
 protected:
  void SetUp() override {
    if (without_model()) GTEST_SKIP() << "the default model is not here: espalier pull smollm2";
  }
  std::string ask() const {
    return folder_.write("ask.gen", R"(gen ask(question: string) -> string {
  user "${question}"
  assistant "$[answer: line, max=12]"
  return answer
})");
  }
  /// A program that calls one tool.
  std::string calling(const std::string& how) const {
    return folder_.write("calling.gen", "tool t(x: string) -> int = " + how +
                                            "\ngen g() -> int {\n  user \"hi\"\n"
                                            "  let r = run t(\"abc\")\n  return r\n}\n");
  }
  Json stats() const { return Json::parse(folder_.read("stats.json")); }

  Folder folder_;
};

// ---- models

// A device that there is none of is said before anything runs; the CPU is always there.
TEST(BadDevice, IsRefusedByNameWithWhatThereIs) {
  const Folder folder;
  const std::string program = folder.write("p.gen", "gen p() -> int { return 1 }");
  const std::string model =
      folder.write("tiny.gguf", espalier::testing::TinyLlama{}.writer().finish().bytes);
  const auto run = [&](const std::string& device) {
    return run_line({"run", program, "--model", model, "--device", device});
  };
  for (const std::string& device :
       std::vector<std::string>{"gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:1x", "CPU", "cuda:0,",
                                "cuda:,1", "cuda:0,0", "cuda:0;1"}) {
    const Ran ran = run(device);
    EXPECT_EQ(ran.code, kUsage) << device;
    EXPECT_THAT(ran.err, HasSubstr("device '" + device +
                                   "': there are auto, cpu, cuda, cuda:N and cuda:N,M"));
  }
  const Ran far = run("cuda:63");
  EXPECT_EQ(far.code, kFailed);
  EXPECT_THAT(far.err, AnyOf(HasSubstr("without CUDA"), HasSubstr("CUDA: ")));
  EXPECT_EQ(run("cpu").code, kDone);
  EXPECT_EQ(run("auto").code, kDone);
}

TEST(BadGpuLayers, AreRefusedByNameWithTheLimit) {
  const Folder folder;
  const std::string program = folder.write("p.gen", "gen p() -> int { return 1 }");
  const std::string model =
      folder.write("tiny.gguf", espalier::testing::TinyLlama{}.writer().finish().bytes);
  const auto run = [&](const std::string& layers, const std::string& device) {
    return run_line({"run", program, "--model", model, "--gpu-layers", layers, "--device", device});
  };
  for (const std::string& layers : std::vector<std::string>{"-1", "x", "1.5", "1025", ""}) {
    const Ran ran = run(layers, "auto");
    EXPECT_NE(ran.code, kDone) << layers;
    EXPECT_THAT(ran.err, HasSubstr("--gpu-layers takes a whole number from 0 to 1024"));
  }
  const Ran many = run("3", "auto");
  EXPECT_EQ(many.code, kFailed);
  EXPECT_THAT(many.err, HasSubstr("GPU layers 3: the model has 2 layers"));
  const Ran cpu = run("1", "cpu");
  EXPECT_EQ(cpu.code, kFailed);
  EXPECT_THAT(cpu.err, HasSubstr("the device asked for is the CPU"));
  for (const char* device : {"auto", "cpu", "cuda"}) EXPECT_EQ(run("0", device).code, kDone);
}

TEST(BadTensorParallel, IsRefusedByNameWithTheLimit) {
  const Folder folder;
  const std::string program = folder.write("p.gen", "gen p() -> int { return 1 }");
  const std::string model =
      folder.write("tiny.gguf", espalier::testing::TinyLlama{}.writer().finish().bytes);
  const auto run = [&](const std::string& ranks, const std::string& device) {
    return run_line(
        {"run", program, "--model", model, "--tensor-parallel", ranks, "--device", device});
  };
  EXPECT_THAT(run("x", "cpu").err, HasSubstr("--tensor-parallel takes a whole number from 0"));
  for (const char* device : {"auto", "cpu", "cuda"}) {
    const Ran ran = run("2", device);
    EXPECT_EQ(ran.code, kFailed);
    EXPECT_THAT(ran.err, HasSubstr("2 devices a layer: one device is asked for"));
  }
  EXPECT_THAT(run("3", "cuda:0,1").err, HasSubstr("3 devices a layer: 2 devices are asked for"));
  for (const char* ranks : {"0", "1"}) EXPECT_EQ(run(ranks, "cpu").code, kDone);
}

TEST(BadDataParallel, IsRefusedByNameWithTheLimit) {
  const Folder folder;
  const std::string program = folder.write("p.gen", "gen p() -> int { return 1 }");
  const std::string model =
      folder.write("tiny.gguf", espalier::testing::TinyLlama{}.writer().finish().bytes);
  const auto run = [&](const std::string& engines, const std::string& device) {
    return run_line(
        {"run", program, "--model", model, "--data-parallel", engines, "--device", device});
  };
  for (const char* wrong : {"0", "65", "x", "-1", "2.5"}) {
    const Ran ran = run(wrong, "cpu");
    EXPECT_EQ(ran.code, kUsage);
    EXPECT_THAT(ran.err, HasSubstr("--data-parallel takes a whole number from 1 to 64"));
  }
  EXPECT_THAT(run("2", "cuda").err, HasSubstr("2 engines have as many devices each: 1 is named"));
  EXPECT_THAT(run("2", "cuda:0,1,2").err, HasSubstr("as many devices each: 3 are named"));
  for (const char* engines : {"1", "3"}) EXPECT_EQ(run(engines, "cpu").code, kDone);
}

TEST(BadKvType, IsRefusedByNameWithWhatThereIs) {
  const Folder folder;
  const std::string program = folder.write("p.gen", "gen p() -> int { return 1 }");
  const std::string model =
      folder.write("tiny.gguf", espalier::testing::TinyLlama{}.writer().finish().bytes);
  const auto run = [&](const std::string& type, const std::string& device) {
    return run_line({"run", program, "--model", model, "--kv-type", type, "--device", device});
  };
  for (const std::string& type : std::vector<std::string>{"Q8", "q4", "f32", "q8 "}) {
    const Ran ran = run(type, "cpu");
    EXPECT_EQ(ran.code, kUsage) << type;
    EXPECT_THAT(ran.err, HasSubstr("KV type '" + type + "': there are f16, bf16 and q8"));
  }
  const Ran plain = run("f16", "cuda");  // what a GPU says, or that there is none
  for (const char* type : {"bf16", "q8"}) {
    EXPECT_EQ(run(type, "cpu").code, kDone);
    EXPECT_EQ(run(type, "auto").code, kDone);
    const Ran ran = run(type, "cuda");
    EXPECT_EQ(ran.code, plain.code);
    EXPECT_EQ(ran.err, plain.err);
  }
  EXPECT_EQ(run("f16", "cpu").code, kDone);
}

TEST(BadNumerics, AreRefusedByNameWithWhatThereIs) {
  const Folder folder;
  const std::string program = folder.write("p.gen", "gen p() -> int { return 1 }");
  const std::string model =
      folder.write("tiny.gguf", espalier::testing::TinyLlama{}.writer().finish().bytes);
  const auto run = [&](const std::string& numerics, const std::string& device) {
    return run_line({"run", program, "--model", model, "--numerics", numerics, "--device", device});
  };
  for (const std::string& numerics : std::vector<std::string>{"fast", "2", "Exact", ""}) {
    const Ran ran = run(numerics, "cpu");
    EXPECT_EQ(ran.code, kUsage) << numerics;
    EXPECT_THAT(ran.err, HasSubstr("numerics '" + numerics + "': there are exact, tensor and fp8"));
  }
  const Ran refused = run("tensor", "cpu");
  EXPECT_EQ(refused.code, kFailed);
  EXPECT_THAT(
      refused.err,
      HasSubstr("numerics tensor: the CPU, where the model would run, computes exact alone"));
  EXPECT_EQ(run("exact", "cpu").code, kDone);
}

TEST(BadModel, AFileThatIsNoWholeModelIsRefusedByNameAndPlace) {
  const Folder folder;
  const std::string program = folder.write("p.gen", "gen p() -> int { return 1 }");
  const std::string whole = espalier::testing::TinyLlama{}.writer().finish().bytes;
  const auto run = [&](const std::string& name, const std::string& bytes) {
    const std::string path = folder.write(name, bytes);
    const Ran ran = run_line({"run", program, "--model", path});
    if (ran.code != kDone) {
      EXPECT_EQ(ran.code, kFailed);
      EXPECT_THAT(ran.err, HasSubstr("error: " + path));
      EXPECT_THAT(ran.out, IsEmpty());
    }
    return ran;
  };
  EXPECT_EQ(run("whole.gguf", whole).code, kDone);
  for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 97)
    EXPECT_EQ(run("cut.gguf", whole.substr(0, size)).code, kFailed) << size;
  std::string flipped = whole;
  for (std::size_t at = 0; at < 4000; at += 13) {
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
    run("flipped.gguf", flipped);  // a flip may be harmless; it never crashes
    flipped[at] = whole[at];
  }
  EXPECT_EQ(run("text.gguf", "not a model").code, kFailed);
}

// ---- schemas and documents

TEST(BadSchema, WhatCannotBeEnforcedIsNamedWithItsPointer) {
  const Folder folder;
  const auto error = [&](const std::string& schema) {
    const Ran ran = run_line({"complete", "--prompt", "x", "--schema",
                              folder.write("s.json", schema), "--model", folder.path("m.gguf")});
    EXPECT_EQ(ran.code, kFailed);
    return ran.err;
  };
  folder.write("m.gguf", espalier::testing::TinyLlama{}.writer().finish().bytes);
  EXPECT_THAT(error(R"({"properties": {"a": {"pattern": "(x)\\1"}}, "type": "object"})"),
              AllOf(HasSubstr("s.json"), HasSubstr("#/properties/a/pattern")));
  EXPECT_THAT(error(R"({"type": "string", "minLength": 5, "maxLength": 2})"),
              HasSubstr("no value satisfies it"));
  EXPECT_THAT(error(R"({"type": )"), AllOf(HasSubstr("s.json"), HasSubstr("line 1")));
  EXPECT_THAT(error("\"x\xFF\""), HasSubstr("s.json"));
}

TEST_F(BadInput, ADocumentLargerThanTheContextIsRefusedWithBothNumbers) {
  const std::string document = folder_.write("big.txt", std::string(70'000, 'x') + " end");
  const Ran ran = run_line(
      {"run", ask(), "--arg", "question=@" + document, "--stats", folder_.path("stats.json")});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("the prompt has "), HasSubstr("context holds 8192"),
                             HasSubstr("ask.gen:2:3")));
  EXPECT_EQ(stats()["pages_free_at_end"], stats()["pages_total"]);
}

// ---- tools

TEST_F(BadInput, AToolThatHangsDiesOrLiesIsAToolErrorAtItsCall) {
  folder_.write("tools.py", R"(
import os, subprocess, time
def hang(x):
    subprocess.Popen(["sleep", "300"])
    time.sleep(300)
def die(x): os._exit(3)
def wrong(x): return "text"
def boom(x): raise ValueError("no such thing: " + x)
def fine(x): print("noise"); return 5
)");
  const auto error = [&](const std::string& how, std::vector<std::string> more = {},
                         const std::string& seconds = "60") {
    std::vector<std::string> line{
        "run", calling(how), "--stats", folder_.path("stats.json"), "--tool-timeout", seconds};
    line.insert(line.end(), more.begin(), more.end());
    const Ran ran = run_line(line);
    EXPECT_EQ(ran.code, kFailed) << how;
    EXPECT_THAT(ran.err, AllOf(HasSubstr("E0702"), HasSubstr("calling.gen:4:11"))) << how;
    EXPECT_EQ(stats()["pages_free_at_end"], stats()["pages_total"]) << how;
    return ran.err;
  };
  EXPECT_THAT(error("python \"tools:hang\"", {}, "0.7"), HasSubstr("did not answer within 700 ms"));
  EXPECT_THAT(error("python \"tools:die\""), HasSubstr("exited with code 3"));
  EXPECT_THAT(error("python \"tools:wrong\""), HasSubstr("expected int, got \"text\""));
  EXPECT_THAT(error("python \"tools:boom\""), HasSubstr("ValueError: no such thing: abc"));
  EXPECT_THAT(error("python \"tools:none\""), HasSubstr("no attribute 'none'"));
  EXPECT_THAT(error("python \"nowhere:f\""), HasSubstr("No module named 'nowhere'"));
  EXPECT_EQ(run_line({"run", calling("python \"tools:fine\"")}).out, "5\n");

  const auto script = [&](const std::string& name, const std::string& text) {
    std::filesystem::permissions(folder_.write("bin/" + name, "#!/bin/sh\n" + text),
                                 std::filesystem::perms::owner_all);
    return "exec \"bin/" + name + "\"";
  };
  EXPECT_THAT(error(script("hang.sh", "sleep 300 & sleep 300"), {"--allow", "exec"}, "0.7"),
              HasSubstr("did not answer within 700 ms"));
  EXPECT_THAT(error(script("die.sh", "echo broken >&2; exit 4"), {"--allow", "t"}),
              HasSubstr("exited with code 4: broken"));
  EXPECT_THAT(error(script("early.sh", "exit 0"), {"--allow", "exec:bin/early.sh"}),
              HasSubstr("wrote nothing to stdout"));
  EXPECT_THAT(error(script("wrong.sh", "echo '[1]'"), {"--allow", "exec"}),
              HasSubstr("expected int, got a list"));
  EXPECT_THAT(error(script("flood.sh", "yes"), {"--allow", "exec"}),
              HasSubstr("more than 16777216 bytes"));
  EXPECT_THAT(error(script("closed.sh", "echo 1")), HasSubstr("--allow t"));
  EXPECT_THAT(error("exec \"bin/none.sh\"", {"--allow", "exec"}), HasSubstr("cannot start"));
  EXPECT_THAT(error("exec \"none.sh\"", {"--allow", "exec"}),
              HasSubstr("looked for in PATH (a file beside the program is \"./none.sh\")"));
}

TEST(BadLine, AllowNamesAnExecToolOfTheProgram) {
  const Folder folder;
  const std::string file = folder.write(
      "p.gen", "tool calc(x: string) -> int = exec \"bin/calc\"\ngen g() -> int { return 1 }");
  const auto error = [&](const std::string& what) {
    const Ran ran = run_line({"run", file, "--allow", what});
    EXPECT_EQ(ran.code, kUsage);
    return ran.err;
  };
  EXPECT_THAT(error("calk"),
              HasSubstr("--allow 'calk' opens no exec, http or mcp tool of this program; did you "
                        "mean 'calc'?"));
  EXPECT_THAT(error("exec:bin/clac"), HasSubstr("'exec:bin/calc'"));
}

TEST(BadLine, AnAllowedHostsCredentialIsAVariablesName) {
  const Folder folder;
  const std::string file = folder.write(
      "p.gen", "tool web(x: string) = http \"GET https://x.test/\"\ngen g() -> int { return 1 }");
  const auto error = [&](const std::string& what) {
    const Ran ran = run_line({"run", file, "--allow", what});
    EXPECT_EQ(ran.code, kUsage);
    return ran.err;
  };
  EXPECT_THAT(error("http:x.test=Bearer abc"), HasSubstr("name of a variable"));
  EXPECT_THAT(error("http:y.test=TOKEN"), HasSubstr("opens no exec, http or mcp tool"));
  EXPECT_THAT(error("http=TOKEN"), HasSubstr("opens no exec, http or mcp tool"));
}

// ---- signals

TEST_F(BadInput, CtrlCStopsAtEachMoment) {
  const std::string called = folder_.path("called");
  folder_.write("tools.py", "import time\ndef hang(x):\n  print('x', file=open('" + called +
                                "', 'w'), flush=True)\n  time.sleep(300)\n");
  const std::string hanging = calling("python \"tools:hang\"");
  const std::string writing = folder_.write("writing.gen", R"(gen g(text: string) -> string {
  user "${text}"
  assistant "$[a: string(4000..), max=2500, temperature=1]"
  return a
})");
  const std::string words = folder_.write("words.txt", [] {
    std::string text;
    for (int i = 0; i < 5000; ++i) text += "word ";
    return text;
  }());
  const auto stopped = [&](const std::string& what, std::vector<std::string> line, int signal,
                           std::chrono::milliseconds after, const std::string& once = {}) {
    Ran ran = run_built(line, signal, after, once);
    // On a slow machine the signal may come before the program listens: then it just ends.
    for (; ran.code == kKilledBy + signal && after < 30s; after *= 2)
      ran = run_built(line, signal, after, once);
    EXPECT_EQ(ran.code, 128 + signal) << what << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("stopped")) << what;
    EXPECT_THAT(ran.out, IsEmpty()) << what;
  };
  stopped("load", {"run", writing, "--arg", "text=hi"}, SIGINT, 60ms);
  stopped("prefill", {"run", writing, "--arg", "text=@" + words}, SIGINT, 700ms);
  stopped("decode", {"run", writing, "--arg", "text=hi"}, SIGINT, 1000ms);
  stopped("SIGTERM", {"run", writing, "--arg", "text=hi"}, SIGTERM, 700ms);
  stopped("stdin", {"run", writing, "--arg", "text=@-"}, SIGINT, 300ms);
  stopped("tool", {"run", hanging, "--stats", folder_.path("stats.json")}, SIGINT, 100ms, called);
  EXPECT_EQ(stats()["pages_free_at_end"], stats()["pages_total"]);
}

TEST_F(BadInput, ABatchThatIsStoppedGoesOnAndLosesNothing) {
  for (int i = 100; i < 140; ++i)
    folder_.write("in/" + std::to_string(i) + ".txt", "Say " + std::to_string(i) + ".");
  const std::vector<std::string> line{"batch",   ask(),
                                      "--in",    folder_.path("in"),
                                      "--out",   folder_.path("out.jsonl"),
                                      "--stats", folder_.path("stats.json")};
  const Ran first = run_built(line, SIGINT, 0ms, folder_.path("out.jsonl"));
  EXPECT_THAT(first.code, AnyOf(130, 0)) << first.err;
  if (first.code == 130) {
    EXPECT_THAT(first.err, HasSubstr("the same command goes on from there"));
    EXPECT_LE(stats()["pages_free_at_end"], stats()["pages_total"]);
  }
  const Ran second = run_built(line);
  EXPECT_EQ(second.code, kDone) << second.err;
  std::istringstream rows(folder_.read("out.jsonl"));
  int expected = 100;
  for (std::string row; std::getline(rows, row); ++expected)
    EXPECT_EQ(Json::parse(row)["id"], folder_.path("in/" + std::to_string(expected) + ".txt"));
  EXPECT_EQ(expected, 140);
  EXPECT_FALSE(std::filesystem::exists(folder_.path("out.jsonl.lock")));
}

// ---- outputs

TEST_F(BadInput, AFullDiskIsNamedAndTheResultIsStillPrinted) {
  for (const char* option : {"--stats", "--trace"}) {
    const Ran ran = run_line({"run", ask(), "--arg", "question=Hi", option, "/dev/full"});
    EXPECT_EQ(ran.code, kFailed);
    EXPECT_THAT(ran.err, AllOf(HasSubstr("'/dev/full'"), HasSubstr("No space left")));
    EXPECT_THAT(ran.out, Not(IsEmpty()));
  }
}

TEST_F(BadInput, AnOutputThatCannotBeWrittenIsSaidBeforeTheWork) {
  for (const char* option : {"--stats", "--trace"}) {
    const Ran ran = run_line(
        {"run", ask(), "--arg", "question=Hi", option, folder_.path("no/such/folder.json")});
    EXPECT_EQ(ran.code, kFailed);
    EXPECT_THAT(ran.err, HasSubstr("no/such/folder.json"));
    EXPECT_THAT(ran.out, IsEmpty());
  }
  folder_.write("in/a.txt", "Hi");
  const Ran batch =
      run_line({"batch", ask(), "--in", folder_.path("in"), "--out", folder_.path("no/out.jsonl")});
  EXPECT_EQ(batch.code, kFailed);
  EXPECT_THAT(batch.err, HasSubstr("no/out.jsonl"));
}

TEST_F(BadInput, AReaderThatWentAwayIsAFailureAndNotADeath) {
  const std::string text = folder_.write("a.txt", std::string(400'000, 'a') + " b");
  const std::string program = program_path();
  const auto shell = [&](const std::string& line) {
    const std::string script =
        "( " + line + " ; echo $? > " + folder_.path("code") + " ) 2> " + folder_.path("err");
    (void)std::system((script + " | true").c_str());
    return folder_.read("code");
  };
  EXPECT_EQ(shell(program + " tokenize " + text), "1\n");
  EXPECT_THAT(folder_.read("err"), HasSubstr("cannot write to stdout"));
  EXPECT_EQ(shell("sleep 0.2; " + program + " run " + ask() + " --arg question=Hi --stats " +
                  folder_.path("stats.json")),
            "1\n");
  EXPECT_THAT(folder_.read("err"), HasSubstr("cannot write to stdout"));
  EXPECT_GT(stats()["generated_tokens"], 0);
}

TEST_F(BadInput, ASecondJobOnAnOutputIsRefused) {
  folder_.write("in/a.txt", "Hi");
  const std::string out = folder_.path("out.jsonl");
  const std::vector<std::string> line{"batch", ask(), "--in", folder_.path("in"), "--out", out};
  {
    const auto held = real_system().try_lock(out + ".lock");
    ASSERT_TRUE(held && *held != nullptr);
    const Ran ran = run_line(line);
    EXPECT_EQ(ran.code, kFailed);
    EXPECT_THAT(ran.err, HasSubstr("another job is writing '" + out + "' now"));
    EXPECT_FALSE(std::filesystem::exists(out));
  }
  EXPECT_EQ(run_line(line).code, kDone);
}

}  // namespace
}  // namespace espalier::cli
