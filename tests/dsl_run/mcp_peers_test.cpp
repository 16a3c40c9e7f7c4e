// MCP servers that nobody here wrote: `mcp-server-time`, and servers made with the `mcp` package of
// the Python registry, over stdio and over streamable HTTP. They run where ESPALIER_MCP_PEERS names
// a virtual environment that has both:
//   python3 -m venv peers && peers/bin/pip install mcp mcp-server-time
//   ESPALIER_MCP_PEERS=peers build/bin/dsl_run_test --gtest_filter='McpPeers.*'
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/process.h"
#include "dsl/mcp/host.h"
#include "dsl/mcp/session.h"

namespace espalier::dsl::mcp {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// A server of the package; its arguments: a transport, a port, and "json" for plain answers.
constexpr const char* kPeer = R"PY(
import sys
try:
    from mcp.server.mcpserver import MCPServer as Server, Context
except ImportError:
    from mcp.server.fastmcp import FastMCP as Server, Context
transport, port, plain = sys.argv[1], int(sys.argv[2]), len(sys.argv) > 3
settings = {"host": "127.0.0.1", "port": port, "json_response": plain}
try:
    server, run = Server("peer", **settings), {}
except TypeError:
    server, run = Server("peer"), settings if transport != "stdio" else {}

@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b

@server.tool()
def people() -> list[str]:
    """Everybody."""
    return ["Ada", "Grace"]

@server.tool()
def fails() -> str:
    """Never works."""
    raise ValueError("no such page")

@server.tool()
async def talks(ctx: Context) -> str:
    """Says something before it answers."""
    for i in range(5):
        await ctx.report_progress(i, 5)
    return "done"

server.run(transport=transport, **run)
)PY";

int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  socklen_t size = sizeof address;
  EXPECT_EQ(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ::close(socket);
  return ntohs(address.sin_port);
}

class McpPeers : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* peers = ::getenv("ESPALIER_MCP_PEERS");
    if (peers == nullptr) GTEST_SKIP() << "ESPALIER_MCP_PEERS names no environment with servers";
    bin_ = fs::absolute(peers) / "bin";
    std::string pattern = (fs::temp_directory_path() / "espalier_peers_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    std::ofstream(folder_ / "peer.py") << kPeer;
  }
  void TearDown() override {
    host_.reset();
    if (!folder_.empty()) fs::remove_all(folder_);
  }
  void use(const Json& server) {
    std::ofstream(folder_ / "mcp.json") << Json{{"mcpServers", {{"peer", server}}}}.dump();
    host_ = std::make_unique<Host>(folder_.string());
  }
  void pin_all(const std::vector<std::string>& tools) {
    Lock lock;
    for (const std::string& tool : tools) {
      const auto now = host_->look("peer", tool, {});
      ASSERT_TRUE(now) << now.error().message;
      lock.pin("peer", tool, *now);
    }
    std::ofstream(folder_ / "tools.lock") << lock.text();
    host_ = std::make_unique<Host>(folder_.string());
  }
  std::string call(const std::string& tool, const Json& arguments = Json::object()) {
    ToolInfo info;
    info.name = info.real_name = "thing";
    info.transport = Transport::kMcp;
    info.target = "peer/" + tool;
    const auto result =
        host_->call({&info, arguments, std::chrono::milliseconds(30'000), nullptr}, 1u << 20);
    return result ? result->dump() : "error: " + result.error().message;
  }
  void expect_all_tools() {
    pin_all({"add", "people", "fails", "talks"});
    EXPECT_EQ(call("add", {{"a", 40}, {"b", 2}}), "42");
    EXPECT_EQ(call("people"), R"(["Ada","Grace"])");
    EXPECT_EQ(call("talks"), R"("done")");
    EXPECT_THAT(call("fails"), HasSubstr("error: "));
    EXPECT_THAT(call("add", {{"a", "x"}, {"b", 2}}), HasSubstr("error: "));
    const auto none = host_->look("peer", "subtract", {});
    ASSERT_FALSE(none);
    EXPECT_THAT(none.error().message, HasSubstr("add, fails, people, talks"));
  }

  fs::path bin_;
  fs::path folder_;
  std::unique_ptr<Host> host_;
};

TEST_F(McpPeers, TheTimeServerTellsTheTime) {
  use({{"command", (bin_ / "mcp-server-time").string()}, {"args", {"--local-timezone", "UTC"}}});
  pin_all({"get_current_time", "convert_time"});
  EXPECT_THAT(call("get_current_time", {{"timezone", "Asia/Tokyo"}}), HasSubstr("+09:00"));
  EXPECT_THAT(
      call("convert_time",
           {{"source_timezone", "UTC"}, {"time", "12:00"}, {"target_timezone", "Asia/Kolkata"}}),
      HasSubstr("T17:30:00+05:30"));
  EXPECT_THAT(call("get_current_time", {{"timezone", "Mars/Olympus"}}), HasSubstr("error: "));
}

TEST_F(McpPeers, APackagesServerOverStdio) {
  use({{"command", (bin_ / "python").string()},
       {"args", {(folder_ / "peer.py").string(), "stdio", "0"}}});
  expect_all_tools();
}

TEST_F(McpPeers, APackagesServerOverHttpWithStreamsAndWithPlainAnswers) {
  for (const bool plain : {false, true}) {
    const std::string port = std::to_string(free_port());
    ProcessSpec spec{
        {(bin_ / "python").string(), (folder_ / "peer.py").string(), "streamable-http", port},
        "",
        inherited_environment()};
    if (plain) spec.argv.emplace_back("json");
    const auto process = Process::start(spec);
    ASSERT_TRUE(process) << process.error().message;
    use({{"url", "http://127.0.0.1:" + port + "/mcp"}});
    for (int i = 0; i < 300; ++i) {  // until it listens
      if (host_->look("peer", "add", {})) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    expect_all_tools();
    host_.reset();
  }
}

}  // namespace
}  // namespace espalier::dsl::mcp
