// Tools: how a program's calls leave the process, and what comes back.
//
// A ToolHost runs one call and gives JSON; run_tool() adds what holds for every host: the tool must
// be runnable and allowed, and its result is checked against the declared type. Any failure is
// ErrorCode::kTool (kCancelled where the run was stopped) and its message begins with the tool's
// name. Calls block: they run on ToolThreads, never on the executor's or the engine's threads.
//
// ProcessTools is the host of the C++ program: `exec` starts a process for each call (JSON
// arguments on stdin, JSON on stdout), `python` keeps worker processes for the program's life, one
// for each call that runs at the same time, and kills a worker that passes its time limit. What a
// Python function prints goes to stderr, never into the protocol. `http` is a request
// (http_tool.h), `mcp` a call of a server that is reached once and kept (mcp/host.h). What leaves
// the program is closed by default: an allow list opens it (tool_permissions.h).
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/process.h"
#include "base/result.h"
#include "dsl/program.h"
#include "dsl/value.h"
#include "grammar/json.h"

namespace espalier::dsl {

namespace mcp {
class Host;
}

struct ToolRequest {
  const ToolInfo* tool = nullptr;
  Json arguments;
  std::chrono::milliseconds timeout{30'000};
  const std::atomic<bool>* cancelled = nullptr;
};

class ToolHost {
 public:
  virtual ~ToolHost() = default;
  /// Runs the call, blocking. Called from several threads at once. The message of a failure need
  /// not name the tool.
  [[nodiscard]] virtual Result<Json> call(const ToolRequest& request) = 0;
};

struct ProcessToolOptions {
  std::string
      directory;  // the program file's folder: modules and relative programs are found there
  std::vector<std::string> allow;  // see tool_permissions.h
  std::string python = "python3";
  std::size_t output_bytes = 16u << 20;
};

class ProcessTools final : public ToolHost {
 public:
  explicit ProcessTools(ProcessToolOptions options);
  ~ProcessTools() override;
  Result<Json> call(const ToolRequest& request) override;

 private:
  Result<Json> call_signed(const ToolRequest& request);
  Result<Json> call_program(const ToolRequest& request);
  Result<Json> call_python(const ToolRequest& request);

  ProcessToolOptions options_;
  std::unique_ptr<mcp::Host> mcp_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Process>> idle_;  // Python workers that wait for a call
};

/// Runs `request` on `host` and gives the value, typed by the tool's declared result.
[[nodiscard]] Result<Value> run_tool(const Program& program, ToolHost& host,
                                     const ToolRequest& request);

/// Threads for calls that block. They start when needed, up to `limit`; more calls wait. The
/// destructor runs what was posted and joins.
class ToolThreads {
 public:
  explicit ToolThreads(unsigned limit = 16) : limit_(limit) {}
  ~ToolThreads();
  ToolThreads(const ToolThreads&) = delete;
  ToolThreads& operator=(const ToolThreads&) = delete;
  void post(std::function<void()> work);

 private:
  void loop();
  unsigned limit_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> queue_;
  std::size_t idle_ = 0;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace espalier::dsl
