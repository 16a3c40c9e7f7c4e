// What a command line may get wrong, and how it is told so: no model is loaded here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <sstream>

#include "cli/characters.h"
#include "cli/console.h"
#include "cli/interrupt.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "cli/suggest.h"
#include "tests/cli/command_line.h"
#include "tests/support/source_folder.h"

namespace espalier::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(CommandLine, AloneShowsThreeExamplesInFifteenLines) {
  const Ran ran = run_line({});
  EXPECT_EQ(ran.code, kDone);
  EXPECT_LE(std::count(ran.out.begin(), ran.out.end(), '\n'), 15);
  std::size_t examples = 0;
  for (std::size_t at = 0; (at = ran.out.find("\n    espalier ", at)) != std::string::npos; ++at)
    ++examples;
  EXPECT_EQ(examples, 3U);
  EXPECT_THAT(ran.err, IsEmpty());
}

TEST(CommandLine, HelpNamesEveryVerbAndTheExitCodes) {
  for (const char* flag : {"--help", "-h", "help"}) {
    const Ran ran = run_line({flag});
    EXPECT_EQ(ran.code, kDone);
    for (const Verb& verb : verbs())
      EXPECT_THAT(ran.out, HasSubstr("\n  " + std::string(verb.name)));
    EXPECT_THAT(ran.out, HasSubstr("Exit codes: 0 done; 1"));
  }
}

TEST(CommandLine, EveryVerbHasItsHelpWithinAHundredColumns) {
  for (const Verb& verb : verbs()) {
    const Ran ran = run_line({std::string(verb.name), "--help"});
    EXPECT_EQ(ran.code, kDone) << verb.name;
    EXPECT_THAT(ran.out, HasSubstr("usage: espalier " + std::string(verb.name)));
    EXPECT_EQ(run_line({"help", std::string(verb.name)}).out, ran.out);
    for (std::size_t begin = 0; begin < ran.out.size();) {
      const std::size_t end = std::min(ran.out.find('\n', begin), ran.out.size());
      EXPECT_LE(end - begin, 100U) << ran.out.substr(begin, end - begin);
      begin = end + 1;
    }
  }
}

TEST(CommandLine, AMistypedVerbIsAnsweredWithTheNearest) {
  const Ran ran = run_line({"chekc", "a.gen"});
  EXPECT_EQ(ran.code, kUsage);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("unknown verb 'chekc'; did you mean 'check'?"),
                             HasSubstr("espalier --help")));
  EXPECT_THAT(run_line({"tok"}).err, HasSubstr("did you mean 'tokenize'?"));
  EXPECT_THAT(run_line({"shwo"}).err, HasSubstr("did you mean 'show'?"));
  EXPECT_THAT(run_line({"hlep"}).err, HasSubstr("did you mean 'help'?"));
  EXPECT_THAT(run_line({"frobnicate"}).err, Not(HasSubstr("did you mean")));
  EXPECT_THAT(run_line({"my.gen"}).err, HasSubstr("espalier run my.gen"));
  EXPECT_THAT(run_line({"--modle"}).err, HasSubstr("unknown flag '--modle'"));
}

TEST(CommandLine, AMistypedFlagIsAnsweredWithTheNearest) {
  const Ran ran = run_line({"complete", "--promt", "x"});
  EXPECT_EQ(ran.code, kUsage);
  EXPECT_THAT(ran.err, HasSubstr("unknown flag '--promt'; did you mean '--prompt'?"));
  EXPECT_THAT(run_line({"run", "x.gen", "--temprature=0.5"}).err,
              HasSubstr("did you mean '--temperature'?"));
  EXPECT_THAT(run_line({"tokenize", "-m", "x"}).err,
              HasSubstr("unknown flag '-m'; did you mean '--model'?"));
  EXPECT_THAT(run_line({"tokenize", "-z"}).err, Not(HasSubstr("did you mean")));
  EXPECT_THAT(run_line({"list", "all"}).err, HasSubstr("unexpected argument 'all'\n"));
  EXPECT_THAT(run_line({"run", "--"}).err, HasSubstr("unknown flag '--'\n"));
  EXPECT_THAT(run_line({"run", "x.gen", "reply"}).err,
              HasSubstr("unexpected argument 'reply'; a generator is named as FILE:GEN"));
}

TEST(Show, SaysWhatAFileHoldsAndWhatItTakes) {
  const std::string file =
      espalier::testing::source_folder() + "/tests/runtime/model/fixtures/arch_gemma3.gguf";
  const Ran text = run_line({"show", file});
  EXPECT_EQ(text.code, kDone) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("gemma3"), HasSubstr("7 layers of width 32"),
                              HasSubstr("6 of 7 layers see the last 40 tokens"),
                              HasSubstr("rotary base 1000 (10000 within the window)"),
                              HasSubstr("F32 100.0 %"), HasSubstr("with a text of 1024 tokens")));
  const Ran ran = run_line({"show", file, "--context", "100", "--json"});
  EXPECT_EQ(ran.code, kDone) << ran.err;
  const Json shown = Json::parse(ran.out);
  EXPECT_EQ(shown["architecture"], "gemma3");
  EXPECT_EQ(shown["context"], 1024);
  EXPECT_EQ(shown["positions"]["scaling"], "linear");
  EXPECT_EQ(shown["positions"]["window"], 40);
  EXPECT_EQ(shown["types"][0]["share"], 1.0);
  EXPECT_EQ(shown["special"]["bos"]["text"], "<|endoftext|>");
  EXPECT_EQ(shown["tokenizer"]["family"], "gpt2");
  // 7 pages of 16 tokens; binary16 K and V of 7 layers, 1 head of 16.
  EXPECT_EQ(shown["memory"]["keys_values"], 7 * 16 * 2 * 2 * 7 * 16);
  EXPECT_EQ(shown["memory"]["total"].get<std::int64_t>(),
            shown["memory"]["weights"].get<std::int64_t>() + 7 * 16 * 2 * 2 * 7 * 16);
  const Json halved =
      Json::parse(run_line({"show", file, "--context", "100", "--kv-type", "q8", "--json"}).out);
  // Heads of 16 take a block of 32 codes and a binary16 scale.
  EXPECT_EQ(halved["memory"]["keys_values"], 7 * 16 * 2 * 34 * 7);
  const Ran beyond = run_line({"show", file, "--context", "1025"});
  EXPECT_EQ(beyond.code, kFailed);
  EXPECT_THAT(beyond.err, HasSubstr("1024"));
  EXPECT_EQ(run_line({"show", file, "--context", "0"}).code, kUsage);
  EXPECT_THAT(run_line({"show", "/nowhere.gguf"}).err, HasSubstr("/nowhere.gguf"));
}

TEST(CommandLine, AValueOutsideItsRangeNamesTheRange) {
  const auto error = [](const char* flag, const char* value) {
    const Ran ran = run_line({"complete", "--prompt", "x", flag, value});
    EXPECT_EQ(ran.code, kUsage) << flag << " " << value;
    return ran.err;
  };
  EXPECT_THAT(error("--max", "0"), HasSubstr("--max takes a whole number from 1 to"));
  EXPECT_THAT(error("--max", "many"), HasSubstr("not 'many'"));
  EXPECT_THAT(error("--max", "99999999999999999999"), HasSubstr("--max takes"));
  EXPECT_THAT(error("--threads", "-2"), HasSubstr("--threads takes"));
  EXPECT_THAT(error("--kv-type", "f8"), HasSubstr("KV type 'f8': there are f16, bf16 and q8"));
  EXPECT_THAT(error("--numerics", ""), HasSubstr("numerics '': there are exact, tensor and fp8"));
  EXPECT_THAT(error("--device", "gpu"), HasSubstr("device 'gpu': there are auto, cpu"));
  EXPECT_THAT(error("--temperature", "nan"),
              HasSubstr("--temperature takes a number from 0 to 100"));
  EXPECT_THAT(error("--temperature", "1e999"), HasSubstr("--temperature takes"));
  EXPECT_THAT(error("--top-p", "1.5"), HasSubstr("from 0 to 1"));
  EXPECT_THAT(error("--seed", "-1"), HasSubstr("--seed takes a whole number, 0 or more"));
}

TEST(CommandLine, WhatIsMissingIsNamed) {
  EXPECT_THAT(run_line({"complete"}).err, HasSubstr("there is no prompt"));
  EXPECT_EQ(run_line({"complete"}).code, kUsage);
  EXPECT_THAT(run_line({"complete", "--prompt", "a", "--prompt-ids", "[1]"}).err,
              HasSubstr("one of --prompt"));
  EXPECT_EQ(run_line({"run"}).code, kUsage);
  EXPECT_THAT(run_line({"run"}).err, HasSubstr("FILE[:GEN]"));
  EXPECT_EQ(run_line({"batch", "x.gen"}).code, kUsage);
  EXPECT_EQ(run_line({"score"}).code, kUsage);
  EXPECT_EQ(run_line({"tokenize"}).code, kUsage);
  EXPECT_EQ(run_line({"complete", "--prompt"}).code, kUsage);
  EXPECT_EQ(run_line({"complete", "--prompt", "x", "--regex", "a", "--type", "int"}).code, kUsage);
}

TEST(CommandLine, AFileThatIsNotThereIsAFailureNotAUsageError) {
  const Folder folder;
  folder.write("shop.gen", "");
  const Ran ran = run_line({"run", folder.path("shp.gen")});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("there is no program"),
                             HasSubstr("did you mean '" + folder.path("shop.gen"))));
  EXPECT_EQ(run_line({"check", folder.path("none.gen")}).code, kFailed);
  EXPECT_EQ(run_line({"score", "--file", folder.path("none.txt")}).code, kFailed);
  EXPECT_EQ(run_line({"tokenize", folder.path()}).code, kFailed);
}

TEST(CommandLine, AnUnknownModelIsAnsweredWithTheNearest) {
  const Ran ran = run_line({"tokenize", "--text", "x", "--model", "smolm2"});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, HasSubstr("smollm2"));
}

constexpr const char* kTwoGens = R"(
gen first(a: string, n: int = 3) -> string { return "${a} ${n}" }
gen second() -> int { return 1 }
)";

TEST(Programs, CheckReportsEveryErrorAndExitsOne) {
  const Folder folder;
  const std::string good = folder.write("good.gen", kTwoGens);
  const std::string bad = folder.write(
      "bad.gen", "gen f( -> int { }\ngen g() -> strin { return 1 }\ngen h() -> int { return x }\n");
  EXPECT_EQ(run_line({"check", good}).code, kDone);
  const Ran ran = run_line({"check", bad});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err,
              AllOf(HasSubstr("bad.gen:1:"), HasSubstr("bad.gen:2:"), HasSubstr("bad.gen:3:")));
  EXPECT_THAT(ran.out, IsEmpty());
  const Ran json = run_line({"check", "--json", good, bad});
  EXPECT_EQ(json.code, kFailed);
  const Json list = Json::parse(json.out);
  EXPECT_GE(list.size(), 3U);
  EXPECT_TRUE(list[0].contains("code"));
  EXPECT_EQ(Json::parse(run_line({"check", "--json", good}).out), Json::array());
}

TEST(Programs, AGeneratorIsChosenByNameByFileOrAlone) {
  const Folder folder;
  const std::string two = folder.write("two.gen", kTwoGens);
  const Ran ran = run_line({"render", two});
  EXPECT_EQ(ran.code, kUsage);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("several generators"), HasSubstr("two.gen:first")));
  const Ran wrong = run_line({"render", two + ":secnd"});
  EXPECT_EQ(wrong.code, kUsage);
  EXPECT_THAT(wrong.err, HasSubstr("no generator 'secnd'; did you mean 'second'?"));
}

TEST(Programs, ArgumentsAreCheckedBeforeAModelIsLoaded) {
  const Folder folder;
  const std::string file = folder.write("two.gen", kTwoGens);
  // The model does not exist: whatever is said of arguments is said first.
  const auto error = [&](std::vector<std::string> more) {
    std::vector<std::string> line{"run", file + ":first", "--model", "/nonexistent.gguf"};
    line.insert(line.end(), more.begin(), more.end());
    const Ran ran = run_line(line);
    EXPECT_EQ(ran.code, kUsage) << ran.err;
    return ran.err;
  };
  EXPECT_THAT(error({}), HasSubstr("a"));
  EXPECT_THAT(error({"--arg", "b=1"}), HasSubstr("no parameter 'b'. It has: a"));
  EXPECT_THAT(error({"--arg", "a"}), HasSubstr("--arg takes NAME=VALUE"));
  EXPECT_THAT(error({"--arg", "a=x", "--arg", "n=many"}), HasSubstr("n"));
  EXPECT_THAT(error({"--args", "[1]"}), HasSubstr("--args takes a JSON object, not array"));
  EXPECT_THAT(error({"--args", "{"}), HasSubstr("--args: not JSON"));
  EXPECT_THAT(error({"--args", std::string(100'000, '[')}), HasSubstr("nested more than"));
  EXPECT_THAT(error({"--arg", "a=\xFF"}), HasSubstr("not UTF-8: byte 0"));
  EXPECT_THAT(error({"--arg", "a=@" + folder.path("none.txt")}), HasSubstr("none.txt"));
  const Ran fine =
      run_line({"run", file + ":first", "--model", "/nonexistent.gguf", "--arg", "a=x"});
  EXPECT_EQ(fine.code, kFailed);
  EXPECT_THAT(fine.err, HasSubstr("/nonexistent.gguf"));
}

TEST(Programs, AProgramWithErrorsIsNotRun) {
  const Folder folder;
  const Ran ran = run_line({"run", folder.write("bad.gen", "gen f() -> int { return y }")});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, HasSubstr("nothing was run"));
}

TEST(Tests, TheExamplesPassTheirOwnWithoutAModel) {
  const std::string examples = espalier::testing::source_folder() + "/examples";
  const Ran ran = run_line({"test", examples});
  std::vector<std::string> laid_out = {"fmt", "--check"};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(examples))
    if (entry.path().extension() == ".gen") laid_out.push_back(entry.path().string());
  EXPECT_GT(laid_out.size(), 8U);
  EXPECT_EQ(run_line(laid_out).out, "");
  EXPECT_EQ(ran.code, kDone) << ran.out << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("ok    "), Not(HasSubstr("FAIL"))));
  EXPECT_THAT(ran.err, HasSubstr(" 0 failed"));
}

TEST(Tests, AFailureIsShownAtItsPlaceAndExitsOne) {
  const Folder folder;
  const std::string file = folder.write("p.gen", R"(gen f() -> int { return 2 }
test "right" { expect f() == 2 }
test "wrong" { expect f() == 3 }
)");
  const Ran ran = run_line({"test", file});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_EQ(ran.out, "ok    " + file + ": right\nFAIL  " + file + ": wrong\n");
  EXPECT_THAT(ran.err, AllOf(HasSubstr("error[E0705]: this does not hold: 2 == 3"),
                             HasSubstr("p.gen:3:23"), HasSubstr("2 tests, 1 failed")));
  EXPECT_EQ(run_line({"test", file, "--only", "right"}).code, kDone);
  EXPECT_EQ(run_line({"test", file, "--only", "nothing"}).code, kFailed);
  const Json list = Json::parse(run_line({"test", folder.path(), "--json"}).out);
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0]["ok"], true);
  EXPECT_THAT(list[1]["message"].get<std::string>(), HasSubstr("does not hold"));
  folder.write("broken.gen", "gen (");
  const Ran broken = run_line({"test", folder.path()});
  EXPECT_EQ(broken.code, kFailed);
  EXPECT_THAT(broken.err, HasSubstr("1 file has errors"));
  EXPECT_THAT(run_line({"test", folder.write("none.txt", "gen f() { }")}).err,
              HasSubstr("there are no `test` blocks"));
  EXPECT_EQ(run_line({"test", folder.path("absent")}).code, kFailed);
}

TEST(Programs, FmtLaysOutInPlaceAndLeavesWhatItCannotRead) {
  const Folder folder;
  const std::string file = folder.write("p.gen", "gen f( )->int{\nreturn 1 }  // one\n");
  EXPECT_EQ(run_line({"fmt", "--check", file}).code, kFailed);
  EXPECT_EQ(run_line({"fmt", file}).out, file + "\n");
  EXPECT_EQ(folder.read("p.gen"), "gen f() -> int {\n  return 1 }  // one\n");
  EXPECT_EQ(run_line({"fmt", "--check", file}).code, kDone);
  EXPECT_EQ(run_line({"fmt", "-"}, "gen f( ) { }").out, "gen f() {}\n");
  const std::string broken = folder.write("broken.gen", "gen (   {");
  const Ran ran = run_line({"fmt", broken, file});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, HasSubstr("broken.gen:1:"));
  EXPECT_EQ(folder.read("broken.gen"), "gen (   {");
}

TEST(Programs, FilesThatAProgramUsesAreReadBesideIt) {
  const Folder folder;
  folder.write("lib/house.gen", "gen rules() -> string { return \"be kind\" }");
  const std::string file =
      folder.write("main.gen",
                   "use \"lib/house.gen\" { rules }\ngen main() -> string { return rules() }\n"
                   "test \"t\" { expect main() == \"be kind\" }");
  EXPECT_EQ(run_line({"check", file}).code, kDone);
  EXPECT_EQ(run_line({"test", file}).code, kDone);
  folder.write("lib/house.gen", "gen rules() -> string { return x }");
  const Ran ran = run_line({"check", file});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, HasSubstr("lib/house.gen:1:32"));
}

TEST(BatchLine, WhatMakesAJobMeaninglessIsSaidBeforeItStarts) {
  const Folder folder;
  const std::string file = folder.write("two.gen", kTwoGens);
  const std::string one =
      folder.write("one.gen", "gen f(a: string, b: string) -> string { return a + b }");
  folder.write("in/a.txt", "x");
  const std::string in = folder.path("in/*.txt");
  const std::string out = folder.path("out.jsonl");
  const auto line = [&](std::vector<std::string> words) { return run_line(std::move(words)); };
  EXPECT_THAT(line({"batch", file + ":second", "--in", in, "--out", out}).err,
              HasSubstr("no string parameter"));
  EXPECT_THAT(line({"batch", one, "--in", in, "--out", out}).err,
              HasSubstr("several string parameters ('a', 'b')"));
  const Ran none = line({"batch", file + ":first", "--in", folder.path("in/*.md"), "--out", out});
  EXPECT_EQ(none.code, kFailed);
  EXPECT_THAT(none.err, HasSubstr("no file matches"));
  EXPECT_EQ(line({"batch", file + ":first", "--in", in, "--out", folder.path("in/a.txt")}).code,
            kUsage);
  EXPECT_EQ(folder.read("in/a.txt"), "x");
  const Ran nowhere = line({"batch", file + ":first", "--in", in, "--out", "-"});
  EXPECT_EQ(nowhere.code, kUsage);
  EXPECT_THAT(nowhere.err, HasSubstr("--out names a file"));
}

TEST(CommandLine, WhatGoesWithASchemaIsRefusedWithoutOne) {
  for (const char* flag : {"--declared-order", "--record"}) {
    const Ran ran = run_line({"grammar", "int", flag});
    EXPECT_EQ(ran.code, kUsage) << flag;
    EXPECT_THAT(ran.err, AllOf(HasSubstr(flag), HasSubstr("--schema"))) << flag;
  }
}

TEST(Console, ATerminalNeverSeesControlCharactersOfATextButAPipeSeesItAsItIs) {
  EXPECT_EQ(printable("a\x1b[2Jb\n\tc\x7f\xC2\x9B ä"), "a\\x1b[2Jb\n\tc\\x7f\\x9b ä");
}

TEST(Console, WholeCharactersLeaveAnUnfinishedOneBack) {
  EXPECT_EQ(whole_characters(""), 0U);
  EXPECT_EQ(whole_characters("ab"), 2U);
  EXPECT_EQ(whole_characters("a\xC3"), 1U);
  EXPECT_EQ(whole_characters("a\xC3\xA4"), 3U);
  EXPECT_EQ(whole_characters("\xF0\x9F\x98"), 0U);
  EXPECT_EQ(whole_characters("\x80\x80\x80\x80"), 4U);
}

TEST(Console, AFullStdoutIsAFailure) {
  const Ran ran = run_built({"--help"});
  EXPECT_EQ(ran.code, kDone);
  EXPECT_EQ(std::system((program_path() + " --help > /dev/full 2>/dev/null").c_str()) >> 8,
            kFailed);
}

TEST(Progress, ALineOnATerminalAndNothingInAPipe) {
  for (const bool terminal : {false, true}) {
    std::istringstream in;
    std::ostringstream out, err;
    Console console(in, out, err, {false, terminal, false, 80});
    {
      ProgressLine line(console, real_system());
      line.show("rows", 5, 10, "5/10");
      line.show("rows", 10, 10, "10/10");
    }
    EXPECT_EQ(err.str().empty(), !terminal);
    EXPECT_THAT(out.str(), IsEmpty());
    if (terminal) {
      EXPECT_THAT(err.str(), AllOf(HasSubstr("10/10"), HasSubstr("[###")));
      EXPECT_TRUE(err.str().ends_with("\r\x1b[K"));
    }
  }
}

TEST(Interrupts, AnActionRunsOnTriggerOrAtOnceIfThatCameBefore) {
  Interrupt interrupt;
  int calls = 0;
  {
    const Interrupt::Action gone(interrupt, [&] { calls += 100; });
  }
  const Interrupt::Action first(interrupt, [&] { ++calls; });
  EXPECT_FALSE(interrupt.requested());
  interrupt.trigger(SIGTERM);
  EXPECT_EQ(calls, 1);
  const Interrupt::Action late(interrupt, [&] { ++calls; });
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(interrupt.exit_code(), 143);
}

}  // namespace
}  // namespace espalier::cli
