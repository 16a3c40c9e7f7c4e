#include "base/process.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace espalier {
namespace {

using std::chrono::milliseconds;

Result<ProcessOutput> shell(const std::string& script, std::string_view input = {},
                            ProcessLimits limits = {}) {
  ESP_ASSIGN(const auto process,
             Process::start({{"sh", "-c", script}, "", inherited_environment()}));
  return process->communicate(input, limits);
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* folder = ::opendir("/proc/self/fd");
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count;
}

// Whether a process of that number is there and is no zombie.
bool alive(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string number;
  std::string name;
  std::string state;
  return static_cast<bool>(stat >> number >> name >> state) && state != "Z";
}

TEST(Process, GivesWhatTheChildWroteAndHowItEnded) {
  const auto output = shell("cat; echo trouble >&2; exit 3", "hello");
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ(output->out, "hello");
  EXPECT_EQ(output->error_tail, "trouble\n");
  EXPECT_EQ(output->exit_code, 3);
  EXPECT_EQ(output->signal, 0);
}

TEST(Process, ArgumentsReachTheChildAsTheyAreWithoutAShell) {
  const auto process =
      Process::start({{"printf", "%s|%s", "a b", "$(echo no) ; *"}, "", inherited_environment()});
  ASSERT_TRUE(process) << process.error().message;
  const auto output = (*process)->communicate("", {});
  ASSERT_TRUE(output);
  EXPECT_EQ(output->out, "a b|$(echo no) ; *");
}

TEST(Process, AMissingProgramIsAnErrorThatNamesIt) {
  const auto process = Process::start({{"/no/such/program"}, "", {}});
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().code, ErrorCode::kNotFound);
  EXPECT_NE(process.error().message.find("/no/such/program"), std::string::npos);
}

TEST(Process, MegabytesGoThroughBothPipesAtOnce) {
  const std::string input(8u << 20, 'x');
  const auto output = shell("cat", input);
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ(output->out, input);
}

TEST(Process, AChildThatNeverReadsItsInputCanStillAnswer) {
  const auto output = shell("exec 0<&-; echo done", std::string(1u << 20, 'x'));
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ(output->out, "done\n");
}

TEST(Process, AHangingChildIsKilledAtItsTimeLimitWithItsChildren) {
  const auto start = std::chrono::steady_clock::now();
  const auto output = shell("sleep 600 & echo $!; wait", "", {milliseconds(200), 1024, nullptr});
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code, ErrorCode::kTimeout);
  EXPECT_NE(output.error().message.find("200 ms"), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

TEST(Process, ABackgroundChildThatHoldsThePipesIsKilledWhenItsParentEnds) {
  const auto output = shell("sleep 600 & echo $!");
  ASSERT_TRUE(output) << output.error().message;
  const pid_t orphan = std::stoi(output->out);
  for (int i = 0; i < 200 && alive(orphan); ++i) std::this_thread::sleep_for(milliseconds(5));
  EXPECT_FALSE(alive(orphan));
}

TEST(Process, OutputPastItsLimitEndsTheChild) {
  const auto output = shell("yes", "", {milliseconds(30'000), 100'000, nullptr});
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code, ErrorCode::kLimit);
  EXPECT_NE(output.error().message.find("100000"), std::string::npos);
}

TEST(Process, EndlessErrorOutputKeepsOnlyItsTail) {
  const auto output = shell(
      "i=0; while [ $i -lt 20000 ]; do echo 'a line of noise' >&2; i=$((i+1)); done; echo last "
      ">&2");
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_LE(output->error_tail.size(), Process::kErrorTail);
  EXPECT_TRUE(output->error_tail.ends_with("last\n"));
}

TEST(Process, ARaisedFlagEndsIt) {
  std::atomic<bool> flag = false;
  std::thread raiser([&] {
    std::this_thread::sleep_for(milliseconds(50));
    flag = true;
  });
  const auto output = shell("sleep 600", "", {milliseconds(60'000), 1024, &flag});
  raiser.join();
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code, ErrorCode::kCancelled);
}

TEST(Process, AChildKilledByASignalSaysWhich) {
  const auto output = shell("kill -SEGV $$");
  ASSERT_TRUE(output);
  EXPECT_EQ(output->signal, SIGSEGV);
}

TEST(Process, SeesOnlyTheEnvironmentItIsGivenAndNoDescriptorOfOurs) {
  ::setenv("ESPALIER_TEST_SECRET", "hidden", 1);
  int leaked[2];
  ASSERT_EQ(::pipe(leaked), 0);  // without O_CLOEXEC
  const auto output = shell("env; ls /proc/self/fd | wc -l");
  ::close(leaked[0]);
  ::close(leaked[1]);
  ASSERT_TRUE(output);
  EXPECT_EQ(output->out.find("hidden"), std::string::npos);
  const auto last = output->out.find_last_of('\n', output->out.size() - 2);
  EXPECT_LE(std::stoi(output->out.substr(last + 1)), 4);  // 0, 1, 2 and the folder that `ls` reads
}

TEST(Process, ManyChildrenLeaveNoDescriptorAndNoZombie) {
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 100; ++i) {
    const auto output = shell(i % 3 == 0 ? "exit 1" : "echo x");
    ASSERT_TRUE(output) << output.error().message;
    // One that nobody waits for is killed and reaped by its destructor.
    ASSERT_TRUE(Process::start({{"sleep", "600"}, "", inherited_environment()}));
  }
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(Process, ExchangesLineByLine) {
  const auto process = Process::start(
      {{"sh", "-c", "while read -r line; do echo \"<$line>\"; done"}, "", inherited_environment()});
  ASSERT_TRUE(process);
  for (const std::string line : {"one", "two words", ""}) {
    const auto answer = (*process)->exchange(line, {});
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(*answer, "<" + line + ">");
  }
}

TEST(Process, SendsAndReceivesInAnyOrderAndALateLineIsNotLost) {
  const auto process = Process::start(
      {{"sh", "-c", "echo hello; while read -r x; do sleep 0.1; echo \"<$x>\"; echo; done"},
       "",
       inherited_environment()});
  ASSERT_TRUE(process);
  EXPECT_TRUE((*process)->send("one", {}));
  EXPECT_TRUE((*process)->send("two", {}));
  std::vector<std::string> lines;
  std::size_t early = 0;
  while (lines.size() < 5) {
    const auto line = (*process)->receive({milliseconds(10), 1024, nullptr});
    if (line) {
      lines.push_back(*line);
    } else {
      ASSERT_EQ(line.error().code, ErrorCode::kTimeout) << line.error().message;
      ASSERT_LT(++early, 10'000U);
    }
  }
  EXPECT_EQ(lines, (std::vector<std::string>{"hello", "<one>", "", "<two>", ""}));
  EXPECT_GT(early, 0U);
}

TEST(Process, ManyLinesAtOnceAreReceivedOneByOne) {
  const auto process =
      Process::start({{"sh", "-c", "seq 1 200000; exit 5"}, "", inherited_environment()});
  ASSERT_TRUE(process);
  for (int i = 1; i <= 200'000; ++i) {
    const auto line = (*process)->receive({milliseconds(30'000), 16u << 20, nullptr});
    ASSERT_TRUE(line) << line.error().message;
    ASSERT_EQ(*line, std::to_string(i));
  }
  const auto end = (*process)->receive({});
  ASSERT_FALSE(end);
  EXPECT_NE(end.error().message.find("code 5"), std::string::npos) << end.error().message;
}

TEST(Process, AnExchangeWithADyingChildSaysWhatItSaid) {
  const auto process = Process::start(
      {{"sh", "-c", "read -r x; echo why it died >&2; exit 7"}, "", inherited_environment()});
  ASSERT_TRUE(process);
  const auto answer = (*process)->exchange("go", {});
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("code 7"), std::string::npos) << answer.error().message;
  EXPECT_NE(answer.error().message.find("why it died"), std::string::npos);
  EXPECT_FALSE((*process)->running());
  EXPECT_FALSE((*process)->exchange("again", {}));
}

}  // namespace
}  // namespace espalier
