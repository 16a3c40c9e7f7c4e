#include "dsl/tools.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

namespace espalier::dsl {
namespace {

namespace fs = std::filesystem;
using grammar::TypeKind;
using std::chrono::milliseconds;

// A folder with programs and a Python module, gone with the test.
class Tools : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "espalier_tools_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    write("helpers.py", R"PY(
import os, sys, time
def add(a, b):
    print("this must not reach the protocol")
    os.write(1, b'{"value": 99}\n')
    return a + b
def fails():
    raise ValueError("no such page")
def hangs():
    time.sleep(600)
def dies():
    os._exit(9)
def leaves():
    sys.exit("bye")
def unserialisable():
    return object()
def nan():
    return float("nan")
def reads():
    return sys.stdin.read()
def big(n):
    return "x" * n
async def later():
    return "awaited"
def who():
    return os.getpid()
)PY");
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const std::string& file, const std::string& text) {
    std::ofstream(folder_ / file) << text;
  }
  void script(const std::string& file, const std::string& text) {
    write(file, "#!/bin/sh\n" + text);
    ::chmod((folder_ / file).c_str(), 0755);
  }
  static ToolInfo tool(Transport transport, const std::string& target,
                       std::optional<TypeKind> result = {}) {
    ToolInfo info;
    info.name = info.real_name = "thing";
    info.transport = transport;
    info.target = target;
    if (result) {
      grammar::Type type;
      type.kind = *result;
      info.result = std::make_shared<const grammar::Type>(std::move(type));
    }
    return info;
  }
  Result<Value> call(const ToolInfo& info, Json arguments = Json::object(),
                     milliseconds timeout = milliseconds(20'000)) {
    return run_tool(program_, host_ ? *host_ : host(),
                    {&info, std::move(arguments), timeout, &cancelled_});
  }
  ProcessTools& host(std::vector<std::string> allow = {"exec"}) {
    ProcessToolOptions options;
    options.directory = folder_.string();
    options.allow = std::move(allow);
    options.output_bytes = 1u << 20;
    host_ = std::make_unique<ProcessTools>(std::move(options));
    return *host_;
  }
  std::string failure(const ToolInfo& info, Json arguments = Json::object(),
                      milliseconds timeout = milliseconds(20'000)) {
    const auto value = call(info, std::move(arguments), timeout);
    if (value) return "it went well";
    EXPECT_EQ(value.error().code, ErrorCode::kTool);
    EXPECT_EQ(value.error().message.rfind("tool `thing`: ", 0), 0U) << value.error().message;
    return value.error().message;
  }

  fs::path folder_;
  Program program_;
  std::unique_ptr<ProcessTools> host_;
  std::atomic<bool> cancelled_ = false;
};

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(Tools, APythonFunctionGetsItsArgumentsByNameAndItsPrintsStayOutOfTheAnswer) {
  const auto info = tool(Transport::kPython, "helpers:add", TypeKind::kInt);
  for (int i = 0; i < 3; ++i) {
    const auto value = call(info, {{"a", i}, {"b", 40}});
    ASSERT_TRUE(value) << value.error().message;
    EXPECT_EQ(value->as_int(), 40 + i);
  }
}

TEST_F(Tools, OneWorkerServesManyCallsAndANewOneComesAfterADeath) {
  const auto who = tool(Transport::kPython, "helpers:who", TypeKind::kInt);
  const auto first = call(who);
  const auto second = call(who);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->as_int(), second->as_int());
  EXPECT_HAS(failure(tool(Transport::kPython, "helpers:dies")), "code 9");
  const auto third = call(who);
  ASSERT_TRUE(third) << third.error().message;
  EXPECT_NE(third->as_int(), first->as_int());
}

TEST_F(Tools, EachWayAPythonFunctionCanFailIsAToolError) {
  EXPECT_HAS(failure(tool(Transport::kPython, "helpers:fails")), "ValueError: no such page");
  EXPECT_HAS(failure(tool(Transport::kPython, "helpers:leaves")), "SystemExit");
  EXPECT_HAS(failure(tool(Transport::kPython, "helpers:unserialisable")), "object");
  EXPECT_HAS(failure(tool(Transport::kPython, "helpers:nan")), "ValueError");
  EXPECT_HAS(failure(tool(Transport::kPython, "helpers:missing")), "AttributeError");
  EXPECT_HAS(failure(tool(Transport::kPython, "nowhere:f")), "ModuleNotFoundError");
  EXPECT_HAS(failure(tool(Transport::kPython, "helpers")), "module:function");
  EXPECT_HAS(failure(tool(Transport::kPython, "helpers:add"), {{"a", 1}}), "TypeError");
}

TEST_F(Tools, AHangingFunctionIsKilledAndTheNextCallWorks) {
  EXPECT_HAS(failure(tool(Transport::kPython, "helpers:hangs"), Json::object(), milliseconds(300)),
             "300 ms");
  EXPECT_TRUE(call(tool(Transport::kPython, "helpers:who", TypeKind::kInt)));
}

TEST_F(Tools, AResultOfTheWrongTypeIsNamed) {
  EXPECT_HAS(failure(tool(Transport::kPython, "helpers:who", TypeKind::kString)),
             "its result: expected string");
}

TEST_F(Tools, AHugeResultIsCutOffByTheLimit) {
  EXPECT_HAS(
      failure(tool(Transport::kPython, "helpers:big", TypeKind::kString), {{"n", 10'000'000}}),
      "1048576 bytes");
}

TEST_F(Tools, AsyncFunctionsAreAwaitedAndStdinIsEmpty) {
  const auto later = call(tool(Transport::kPython, "helpers:later", TypeKind::kString));
  ASSERT_TRUE(later) << later.error().message;
  EXPECT_EQ(later->as_string(), "awaited");
  const auto reads = call(tool(Transport::kPython, "helpers:reads", TypeKind::kString));
  ASSERT_TRUE(reads) << reads.error().message;
  EXPECT_EQ(reads->as_string(), "");
}

TEST_F(Tools, ProgramsAreClosedUntilTheyAreAllowed) {
  script("echo.sh", "cat");
  const auto info = tool(Transport::kExec, "./echo.sh");
  host({});
  EXPECT_HAS(failure(info), "--allow");
  for (const std::string entry : {"exec", "exec:./echo.sh", "thing"}) {
    host({entry});
    EXPECT_TRUE(call(info)) << entry;
  }
  host({"exec:./other.sh"});
  EXPECT_FALSE(call(info));
}

TEST_F(Tools, AProgramReadsJsonAndWritesJson) {
  script("echo.sh", "cat");
  const auto value = call(tool(Transport::kExec, "./echo.sh", TypeKind::kJson), {{"text", "a\"b"}});
  ASSERT_TRUE(value) << value.error().message;
  EXPECT_EQ(to_json(*value), Json({{"text", "a\"b"}}));
}

TEST_F(Tools, EachWayAProgramCanFailIsAToolError) {
  script("garbage.sh", "echo not json");
  script("silent.sh", "true");
  script("fails.sh", "echo bad input >&2; exit 4");
  script("hangs.sh", "sleep 600");
  script("floods.sh", "yes 1");
  script("crashes.sh", "kill -ABRT $$");
  EXPECT_HAS(failure(tool(Transport::kExec, "./garbage.sh")), "not JSON");
  EXPECT_HAS(failure(tool(Transport::kExec, "./silent.sh")), "nothing");
  EXPECT_HAS(failure(tool(Transport::kExec, "./fails.sh")), "code 4: bad input");
  EXPECT_HAS(failure(tool(Transport::kExec, "./hangs.sh"), Json::object(), milliseconds(200)),
             "200 ms");
  EXPECT_HAS(failure(tool(Transport::kExec, "./floods.sh")), "1048576 bytes");
  EXPECT_HAS(failure(tool(Transport::kExec, "./crashes.sh")), "signal 6");
  EXPECT_HAS(failure(tool(Transport::kExec, "./missing.sh")), "missing.sh");
  EXPECT_HAS(failure(tool(Transport::kNone, "")), "only a shape");
}

TEST_F(Tools, WhateverAProgramDoesTheCallEndsWithWhatIsWrong) {
  const auto exec = [&](const std::string& text) {
    script("bad.sh", text);
    return tool(Transport::kExec, "./bad.sh", TypeKind::kJson);
  };
  // Not one JSON value, or none that can be taken.
  EXPECT_HAS(failure(exec("printf '\"\\377\\376\"'")), "UTF-8");
  EXPECT_HAS(failure(exec("printf '{\"a\": 1} {\"b\": 2}'")), "not JSON");
  EXPECT_HAS(failure(exec("printf 'NaN'")), "not JSON");
  EXPECT_HAS(failure(exec("printf '1e999'")), "beyond any double");
  EXPECT_HAS(failure(exec("printf '1\\0002'")), "NUL");
  EXPECT_HAS(failure(exec("printf '{\"a\": '")), "not JSON");
  EXPECT_HAS(failure(exec("printf '%0100000d' 0 | tr 0 '['")), "levels deep");
  EXPECT_HAS(failure(exec("awk 'BEGIN { printf \"{\"; for (i = 0; i < 60000; i++) "
                          "printf \"%s\\\"k%d\\\":1\", i ? \",\" : \"\", i; printf \"}\" }'")),
             "too many members");
  // Streams that are never read, never written, closed early or never ending.
  EXPECT_HAS(failure(exec("yes error >&2"), Json::object(), milliseconds(300)), "300 ms");
  EXPECT_HAS(failure(exec("exec >&-; sleep 600"), Json::object(), milliseconds(300)), "300 ms");
  EXPECT_HAS(failure(exec("trap '' TERM INT HUP; while :; do sleep 1; done"), Json::object(),
                     milliseconds(300)),
             "300 ms");
  const Json large{{"text", std::string(4u << 20, 'x')}};
  const auto deaf = call(exec("exec <&-; echo 1"), large);
  ASSERT_TRUE(deaf) << deaf.error().message;
  EXPECT_HAS(failure(exec("sleep 600"), large, milliseconds(300)), "300 ms");
}

TEST_F(Tools, WhatAProgramLeavesBehindDoesNotHoldTheCallAndIsKilled) {
  script("daemon.sh", "(sleep 600; echo late) & echo $!");
  const auto started = std::chrono::steady_clock::now();
  const auto pid = call(tool(Transport::kExec, "./daemon.sh", TypeKind::kInt));
  ASSERT_TRUE(pid) << pid.error().message;
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(60));
  const auto gone = [&] {
    std::ifstream stat("/proc/" + std::to_string(pid->as_int()) + "/stat");
    std::string number, name, state;
    return !(stat >> number >> name >> state) || state == "Z";
  };
  for (int i = 0; i < 500 && !gone(); ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_TRUE(gone());
  // One that leaves its group on purpose lives, but the call does not wait for it.
  script("setsid.sh", "setsid sleep 5 & echo 7");
  const auto away = call(tool(Transport::kExec, "./setsid.sh", TypeKind::kInt));
  ASSERT_TRUE(away) << away.error().message;
  EXPECT_EQ(away->as_int(), 7);
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(60));
}

TEST_F(Tools, AStoppedRunEndsItsCalls) {
  host();
  std::thread stopper([&] {
    std::this_thread::sleep_for(milliseconds(100));
    cancelled_ = true;
  });
  const auto value = call(tool(Transport::kPython, "helpers:hangs"));
  stopper.join();
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().code, ErrorCode::kCancelled);
}

TEST(ToolThreads, RunEverythingThatWasPosted) {
  std::atomic<int> done = 0;
  {
    ToolThreads threads(3);
    for (int i = 0; i < 100; ++i) threads.post([&] { ++done; });
  }
  EXPECT_EQ(done, 100);
}

}  // namespace
}  // namespace espalier::dsl
