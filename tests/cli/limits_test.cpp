// What the process may not have, and what is no file where one is read or written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/cli/command_line.h"
#include "tests/support/source_folder.h"

namespace espalier::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

namespace fs = std::filesystem;

constexpr std::string_view kProgram = R"(gen hello(name: string) -> string {
  user "Say hello to ${name}."
  assistant "$[x: string(1..20)]"
  return x
}
)";
constexpr const char* kSizes = " --layers 1 --width 256 --heads 4 --feed-forward 256 --vocab 300";

// A line of the shell, $E being the program: its exit code (128 and the signal that ended it).
int shell(const std::string& line) {
  const int status = std::system(("E='" + program_path() + "'; " + line + "; exit $?").c_str());
  return WEXITSTATUS(status);
}

std::string pipe_in(const Folder& folder, const std::string& name) {
  EXPECT_EQ(::mkfifo(folder.path(name).c_str(), 0600), 0);
  return folder.path(name);
}

TEST(Limits, ACommandLineNeedsNoMoreStackThanTheLoaderDoes) {
  const Folder folder;
  const std::string program = folder.write("hello.gen", kProgram);
  const std::string model = folder.path("m.gguf");
  const std::string quiet = " > " + folder.path("out") + " 2>&1";
  for (const int kib : {256, 64}) {
    const std::string limited = "ulimit -s " + std::to_string(kib) + "; $E ";
    for (const std::string& line :
         {"mkmodel " + model + kSizes, "bench --model " + model + " --prefill 16 --decode 2",
          "run " + program + " --arg name=Bo --threads 3 --model " + model,
          "grammar 'int(1..9)' --accepts 7 --model " + model, "check " + program,
          "fmt --check " + program, "tokenize --text Hello --model " + model,
          "test " + espalier::testing::source_folder() + "/examples"}) {
      EXPECT_EQ(shell(limited + line + quiet), 0) << kib << " KiB: " << line << "\n"
                                                  << folder.read("out");
    }
  }
}

TEST(Limits, MemoryThatEndsAnywhereIsAnError) {
  const Folder folder;
  const std::string program = folder.write("hello.gen", kProgram);
  const std::string model = folder.path("m.gguf");
  const std::string quiet = " > " + folder.path("out") + " 2>&1";
  ASSERT_EQ(shell("$E mkmodel " + model + kSizes + quiet), 0);
  // From where the program starts at all to where nothing lacks; builds differ.
  for (int kib = 60'000, whole = 0; kib < 400'000 && whole < 3; kib += 3'000) {
    const std::string limited = "ulimit -c 0; ulimit -v " + std::to_string(kib) + "; $E ";
    if (shell(limited + "--version" + quiet) != 0) continue;
    const int code =
        shell(limited + "run " + program + " --arg name=Bo --threads 2 --model " + model + quiet);
    EXPECT_TRUE(code == 0 || code == 1) << kib << ": " << code << "\n" << folder.read("out");
    if (code == 1) {
      EXPECT_THAT(folder.read("out"), HasSubstr("error"));
    }
    whole = code == 0 ? whole + 1 : 0;
  }
}

TEST(Limits, AFilePastTheProcessesLimitIsAnErrorThatNamesBothAndLeavesNothing) {
  const Folder folder;
  const std::string program = folder.write("hello.gen", kProgram);
  const std::string model = folder.path("m.gguf");
  const std::string error = " 2> " + folder.path("err");
  const std::string limited = "ulimit -f 1; $E ";  // 512 or 1,024 bytes, by the shell
  const auto names = [&](const std::string& path) {
    return AllOf(HasSubstr("'" + path), HasSubstr("File too large"), HasSubstr("ulimit -f"));
  };
  EXPECT_EQ(shell(limited + "mkmodel " + model + kSizes + error), 1);
  EXPECT_THAT(folder.read("err"), names(model));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 2) << "program, messages";

  ASSERT_EQ(shell("$E mkmodel " + model + kSizes + " > " + folder.path("out")), 0);
  const std::string run = "run " + program + " --model " + model + " --arg name=Bo > /dev/null";
  for (const char* option : {"--trace", "--stats"}) {
    EXPECT_EQ(shell(limited + run + " " + option + " " + folder.path("to") + error), 1) << option;
    EXPECT_THAT(folder.read("err"), names(folder.path("to")));
  }
  std::string wide = "gen g() -> string {\n";
  for (int i = 0; i < 200; ++i) wide += "user   \"" + std::to_string(i) + "\"\n";
  const std::string untidy = folder.write("wide.gen", wide + "return \"a\"\n}\n");
  EXPECT_EQ(shell(limited + "fmt " + untidy + " > " + folder.path("out") + error), 1);
  EXPECT_THAT(folder.read("err"), names(untidy));
  EXPECT_EQ(folder.read("out"), "") << "nothing changed";
  EXPECT_FALSE(fs::exists(untidy + ".part"));
  const std::string out = folder.path("rows.jsonl");
  std::string letters;
  for (int i = 0; i < 40; ++i) letters += "{\"name\": \"" + std::to_string(i) + "\"}\n";
  EXPECT_EQ(shell(limited + "batch " + program + " --model " + model + " --in " +
                  folder.write("in.jsonl", letters) + " --out " + out + error),
            1);
  EXPECT_THAT(folder.read("err"), names(out + "'"));
}

TEST(Limits, APipeThatNobodyWritesEndsWithASignal) {
  const Folder folder;
  const std::string pipe = pipe_in(folder, "p.gen");
  const std::string program = folder.write("hello.gen", kProgram);
  for (const std::vector<std::string>& line :
       std::vector<std::vector<std::string>>{{"check", pipe},
                                             {"fmt", pipe},
                                             {"run", program, "--arg", "name=@" + pipe},
                                             {"grammar", "--gbnf", pipe}}) {
    EXPECT_EQ(run_built(line, SIGTERM, std::chrono::milliseconds(300)).code, 128 + SIGTERM)
        << line[0];
  }
}

TEST(Limits, APipeThatIsFoundRatherThanNamedIsNotWaitedFor) {
  const Folder folder;
  pipe_in(folder, "p.gen");
  pipe_in(folder, "p.json");
  const std::string uses =
      folder.write("uses.gen", "use \"p.gen\" as p\ngen g() -> string {\n  return \"a\"\n}\n");
  const std::string schema = folder.write(
      "schema.gen",
      "type T = schema(\"p.json\")\ngen g() -> T {\n  assistant \"$[x: T]\"\n  return x\n}\n");
  EXPECT_THAT(run_line({"check", uses}).err, HasSubstr("p.gen' is not a regular file"));
  EXPECT_THAT(run_line({"check", schema}).err, HasSubstr("p.json' is not a regular file"));
  EXPECT_THAT(run_line({"test", folder.path()}).err, ::testing::Not(HasSubstr("p.gen: ")));
}

TEST(Limits, APipeThatNobodyReadsIsNoPlaceForAnOutput) {
  const Folder folder;
  const std::string program = folder.write("hello.gen", kProgram);
  const std::string pipe = pipe_in(folder, "p");
  for (const char* option : {"--trace", "--stats"}) {
    const Ran ran = run_line({"run", program, "--arg", "name=Bo", option, pipe});
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, HasSubstr("cannot write '" + pipe + "': no process reads it")) << option;
  }
  const std::string part = pipe_in(folder, "m.gguf.part");
  const Ran ran = run_line({"mkmodel", folder.path("m.gguf"), "--layers", "1", "--width", "64",
                            "--heads", "1", "--feed-forward", "64"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, HasSubstr("cannot write '" + part + "': no process reads it"));
}

TEST(Limits, AProgramBehindALinkIsFormattedThereAndTheLinkStays) {
  const Folder folder;
  const std::string program = folder.write("hello.gen", "gen g()->string{return \"a\"}\n");
  const std::string link = folder.path("link.gen");
  fs::create_symlink(program, link);
  EXPECT_EQ(run_line({"fmt", link}).code, 0);
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_THAT(folder.read("hello.gen"), HasSubstr("gen g() -> string"));
}

}  // namespace
}  // namespace espalier::cli
