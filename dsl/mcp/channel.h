// JSON-RPC 2.0 with an MCP server, over its stdin and stdout or over streamable HTTP.
//
// A channel carries requests of several threads at once. What a server asks of us in between is
// answered: a ping with {}, anything else with "method not found"; its notifications are passed
// over, but for the one that its tools have changed. Bounded: the time of each request, the bytes
// that come while it waits, the size of a message.
//
// Errors of request(): kTool (the server's own error), kTimeout, kCancelled, kLimit, kIo (the
// server died, the connection broke), kNotFound (HTTP: the session is over), kCorrupt (what came is
// no JSON-RPC). After kIo, kLimit and kCorrupt the channel is of no more use: broken() says so.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include "base/result.h"
#include "dsl/mcp/request_headers.h"
#include "dsl/mcp/servers.h"
#include "grammar/json.h"

namespace espalier::dsl::mcp {

/// The message of request()'s kNotFound.
inline constexpr const char* kSessionOver = "the server has ended the session";

struct Limits {
  std::chrono::milliseconds timeout{30'000};
  std::size_t bytes = 16u << 20;
  const std::atomic<bool>* cancelled = nullptr;
};

/// The revision that has no sessions: each request says its version itself, and nothing but its own
/// answer comes for it.
inline constexpr const char* kStateless = "2026-07-28";

class Channel {
 public:
  virtual ~Channel() = default;
  /// The response's `result`. A request that ends by its time or by a raised flag is cancelled at
  /// the server too. Over HTTP it has these headers as well.
  [[nodiscard]] virtual Result<Json> request(const std::string& method, Json params,
                                             const Limits& limits, const Headers& headers = {}) = 0;
  [[nodiscard]] virtual Status notify(const std::string& method, Json params,
                                      const Limits& limits) = 0;
  /// The version that both speak; HTTP sends it with every request.
  virtual void agreed(const std::string& /*version*/) {}
  [[nodiscard]] bool broken() const { return broken_; }
  /// Whether the server has said that its tools changed since this was last asked.
  [[nodiscard]] bool take_tools_changed() { return tools_changed_.exchange(false); }

 protected:
  std::atomic<bool> broken_ = false;
  std::atomic<bool> tools_changed_ = false;
};

/// A process of the server's command, in `directory` where the command is a relative path. It ends
/// with the channel, and its children with it.
[[nodiscard]] Result<std::unique_ptr<Channel>> open_process(const Server& server,
                                                            const std::string& directory);
[[nodiscard]] std::unique_ptr<Channel> open_http(const Server& server);

// ---- what both have in common ----

[[nodiscard]] Json request_message(std::int64_t id, const std::string& method, Json params);
[[nodiscard]] Json notification_message(const std::string& method, Json params);

/// One message of a server, taken apart.
struct Message {
  enum class Kind : std::uint8_t { kResponse, kRequest, kNotification };
  Kind kind = Kind::kNotification;
  Json id;
  std::string method;
  Json body;  // of a response: the whole message
};
/// kCorrupt: not an object of JSON-RPC 2.0.
[[nodiscard]] Result<Message> read_message(const Json& json);
/// What is answered to a server's request.
[[nodiscard]] Json answer_to(const Message& request);
/// The result of a response, or its error: kTool with the server's message and code.
[[nodiscard]] Result<Json> result_of(const Json& response);

}  // namespace espalier::dsl::mcp
