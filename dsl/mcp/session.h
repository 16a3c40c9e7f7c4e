// One initialized connection to an MCP server, and what its tools are.
//
// Model Context Protocol, revisions 2024-11-05 to 2026-07-28: initialize, or server/discover where
// a server knows no initialize any more; tools/list in pages, tools/call. We offer no capabilities:
// no roots, sampling or elicitation. Several threads may call at once.
//
// Since 2026-07-28 there is no session: each request says what the handshake said. A server of the
// revisions before may stay silent at what it does not know, one of both eras answers either: so
// initialize comes first.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "dsl/mcp/channel.h"

namespace espalier::dsl::mcp {

class Session {
 public:
  static constexpr std::size_t kMaxPages = 1000;
  static constexpr std::size_t kMaxTools = 10'000;

  /// Starts or reaches the server and initializes. Errors as Channel's, and kUnsupported: it speaks
  /// other versions only, or has no tools.
  [[nodiscard]] static Result<std::shared_ptr<Session>> open(const Server& server,
                                                             const std::string& directory,
                                                             const Limits& limits);

  /// The raw object of a tool, listed at most once unless the server says that its tools changed
  /// or that its list is good for so long only.
  /// kNotFound names those that are there; kCorrupt: two of one name, a page without end.
  [[nodiscard]] Result<Json> tool(const std::string& name, const Limits& limits);
  /// What tools/call gives: {"content": …, "structuredContent": …, "isError": …}.
  [[nodiscard]] Result<Json> call(const std::string& tool, const Json& arguments,
                                  const Limits& limits);
  [[nodiscard]] bool broken() const { return channel_->broken(); }

 private:
  explicit Session(std::unique_ptr<Channel> channel) : channel_(std::move(channel)) {}
  Status initialize(const Limits& limits);
  Status discover(const Limits& limits);
  /// A request of this era, with the headers of a call of `tool`, if it is one.
  Result<Json> ask(const std::string& method, Json params, const Limits& limits,
                   const std::string& tool = {});
  Status list(const Limits& limits);

  std::unique_ptr<Channel> channel_;
  bool stateless_ = false;
  bool tools_offered_ = false;
  std::mutex mutex_;  // of the list; held while it is fetched
  bool listed_ = false;
  std::chrono::steady_clock::time_point listed_until_ =
      std::chrono::steady_clock::time_point::max();
  std::map<std::string, Json> tools_;
};

/// The value of a tools/call result for a tool whose declared result is a text (`as_text`) or
/// anything else: structured content first, without the {"result": …} that wraps what is no object;
/// else the text, read as JSON where it is JSON. kTool where the server says that the call failed.
[[nodiscard]] Result<Json> value_of(const Json& result, bool as_text);

}  // namespace espalier::dsl::mcp
