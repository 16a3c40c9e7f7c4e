// MCP over streamable HTTP: each message is a POST, answered by JSON or by an event stream.
#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "dsl/http_client.h"
#include "dsl/mcp/channel.h"
#include "dsl/mcp/events.h"
#include "dsl/tool_answer.h"
#include "grammar/json_text.h"

namespace espalier::dsl::mcp {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
constexpr milliseconds kGoodbye(1000);  // for what is said at a session's or a request's end
// An answer's event stream that broke off, or that the server closed to be asked again, is taken up
// again behind its last event: after what the server says, else this long, so many times on end
// without news.
constexpr milliseconds kRetry(1000);
constexpr int kMaxIdle = 5;

class HttpChannel final : public Channel {
 public:
  explicit HttpChannel(Server server) : server_(std::move(server)) {}

  ~HttpChannel() override {
    // A session that is over is told so; whether the server listens is its own affair.
    if (!session_.empty()) (void)http_request(make("DELETE", {}, {kGoodbye, 1u << 16, nullptr}));
  }

  Result<Json> request(const std::string& method, Json params, const Limits& limits,
                       const Headers& headers) override {
    Exchange exchange{++last_id_, Clock::now() + limits.timeout};
    const bool first = method == "initialize";
    // Nothing can be taken up again, and an end of the connection says all.
    const bool alone = first || stateless();
    HttpRequest asked =
        make("POST", write_json(request_message(exchange.id, method, std::move(params))), limits);
    asked.headers.insert(asked.headers.end(), headers.begin(), headers.end());
    auto response = send(std::move(asked), exchange);
    for (int idle = 0; !alone && goes_on(response, exchange) && idle < kMaxIdle; ++idle) {
      ESP_TRY(reply(exchange, limits));
      if (Status s = wait(exchange, limits); !s) {
        response = fail(std::move(s).error());
        break;
      }
      HttpRequest http =
          make("GET", {},
               {exchange.left(), limits.bytes - std::min(limits.bytes, exchange.bytes),
                limits.cancelled});
      http.headers.emplace_back("Last-Event-ID", exchange.last_event);
      const std::string before = exchange.last_event;
      auto more = send(std::move(http), exchange);
      // A server that does not take it up again leaves it at what it has said.
      if (more && !is_stream(*more)) break;
      response = std::move(more);
      if (exchange.last_event != before) idle = -1;
    }
    if (!response) {
      const ErrorCode code = response.error().code;
      if (code == ErrorCode::kTimeout || code == ErrorCode::kCancelled) {
        if (!alone)
          (void)post(notification_message(
                         "notifications/cancelled",
                         {{"requestId", exchange.id}, {"reason", "the caller waits no longer"}}),
                     {kGoodbye, 1u << 16, nullptr});
      } else {
        broken_ = true;
      }
      return fail(std::move(response).error());
    }
    ESP_TRY(check_status(*response));
    if (first) ESP_TRY(begin_session(*response));
    if (!is_stream(*response) && exchange.trouble)
      exchange.trouble = take(response->body, exchange);
    ESP_TRY(reply(exchange, limits));
    if (!exchange.trouble) {
      broken_ = true;
      return fail(exchange.trouble.error());
    }
    if (!exchange.answer) {
      broken_ = true;
      return fail(ErrorCode::kIo, "the server ended its answer before the response came");
    }
    return result_of(*exchange.answer);
  }

  Status notify(const std::string& method, Json params, const Limits& limits) override {
    return post(notification_message(method, std::move(params)), limits);
  }

  void agreed(const std::string& version) override {
    const std::lock_guard lock(mutex_);
    version_ = version;
  }

 private:
  // One request's, over all the connections that it takes.
  struct Exchange {
    std::int64_t id = 0;
    Clock::time_point end;
    std::string last_event = {};
    milliseconds retry = kRetry;
    std::size_t bytes = 0;  // of its streams
    std::optional<Json> answer = {};
    Status trouble = {};
    std::vector<Json> replies = {};  // to what the server asked meanwhile

    [[nodiscard]] milliseconds left() const {
      const auto time = std::chrono::duration_cast<milliseconds>(end - Clock::now());
      return std::max(time, milliseconds(0));
    }
  };

  static bool is_stream(const HttpResponse& response) {
    return response.status == 200 && response.content_type() == "text/event-stream";
  }

  Result<HttpResponse> send(HttpRequest http, Exchange& exchange) {
    EventStream events;
    std::size_t fed = 0;
    http.enough = [&](const HttpResponse& response) {
      if (!is_stream(response)) return false;
      for (const std::string& data : events.feed(
               std::string_view(response.body).substr(std::exchange(fed, response.body.size())))) {
        if (data.find_first_not_of(" \t\r\n") == std::string::npos) continue;
        exchange.trouble = take(data, exchange);
        if (!exchange.trouble || exchange.answer) return true;
      }
      return false;
    };
    auto response = http_request(http);
    exchange.bytes += fed;
    if (!events.last_id().empty()) exchange.last_event = events.last_id();
    if (events.retry()) exchange.retry = milliseconds(*events.retry());
    return response;
  }

  // Whether the answer is still to come, and can be asked for.
  static bool goes_on(const Result<HttpResponse>& response, const Exchange& exchange) {
    if (exchange.answer || !exchange.trouble || exchange.last_event.empty()) return false;
    return response ? is_stream(*response) : response.error().code == ErrorCode::kIo;
  }

  static Status wait(const Exchange& exchange, const Limits& limits) {
    const auto until = Clock::now() + exchange.retry;
    while (Clock::now() < until) {
      if (limits.cancelled != nullptr && limits.cancelled->load())
        return fail(ErrorCode::kCancelled, "the call was stopped");
      if (exchange.left() == milliseconds(0))
        return fail(ErrorCode::kTimeout, "the server did not answer within " +
                                             std::to_string(limits.timeout.count()) + " ms");
      std::this_thread::sleep_for(milliseconds(2));
    }
    return {};
  }

  bool stateless() {
    const std::lock_guard lock(mutex_);
    return version_ == kStateless;
  }

  Status reply(Exchange& exchange, const Limits& limits) {
    if (stateless()) exchange.replies.clear();  // there, a server asks nothing in between
    for (const Json& one : std::exchange(exchange.replies, {})) ESP_TRY(post(one, limits));
    return {};
  }

  HttpRequest make(const std::string& method, std::string body, const Limits& limits) {
    HttpRequest http;
    http.method = method;
    http.url = server_.url;
    http.headers = server_.headers;
    http.headers.emplace_back("Accept", "application/json, text/event-stream");
    if (method == "POST") http.headers.emplace_back("Content-Type", "application/json");
    const std::lock_guard lock(mutex_);
    if (!session_.empty()) http.headers.emplace_back("Mcp-Session-Id", session_);
    if (!version_.empty()) http.headers.emplace_back("MCP-Protocol-Version", version_);
    http.body = std::move(body);
    http.timeout = limits.timeout;
    http.limit = limits.bytes;
    http.cancelled = limits.cancelled;
    return http;
  }

  // A message that asks for nothing.
  Status post(const Json& message, const Limits& limits) {
    HttpRequest http = make("POST", write_json(message), limits);
    http.enough = [](const HttpResponse&) { return true; };  // whatever it says
    ESP_ASSIGN(const HttpResponse response, http_request(http));
    return check_status(response);
  }

  Status check_status(const HttpResponse& response) {
    if (response.status >= 200 && response.status < 300) return {};
    const std::string status = "HTTP " + std::to_string(response.status);
    if (response.status == 404) {
      const std::lock_guard lock(mutex_);
      if (!session_.empty()) {
        session_.clear();
        broken_ = true;
        return fail(ErrorCode::kNotFound, kSessionOver);
      }
    }
    if (response.status >= 300 && response.status < 400)
      return fail(ErrorCode::kTool, status + ": it redirects; redirects are not followed");
    // Many servers say what is wrong in JSON-RPC's own form.
    if (auto json = read_answer(response.body);
        json && json->is_object() && json->contains("error"))
      return fail(result_of(*json).error().within(status));
    if (response.status == 401 || response.status == 403)
      return fail(ErrorCode::kTool, status + ": the server wants other credentials (`headers` in " +
                                        kServersFile + ")");
    return fail(ErrorCode::kTool, status);
  }

  Status begin_session(const HttpResponse& response) {
    const std::string id(response.header("mcp-session-id"));
    const bool visible =
        std::all_of(id.begin(), id.end(), [](char c) { return c > 0x20 && c < 0x7F; });
    if (!visible || id.size() > 4096)
      return fail(ErrorCode::kCorrupt, "the server's session id is not visible ASCII");
    const std::lock_guard lock(mutex_);
    session_ = id;
    return {};
  }

  Status take(std::string_view text, Exchange& exchange) {
    auto json = read_answer(text);
    if (!json) return fail(ErrorCode::kCorrupt, "the server sent what is " + json.error().message);
    const auto one = [&](const Json& item) -> Status {
      ESP_ASSIGN(Message message, read_message(item));
      if (message.kind == Message::Kind::kRequest) {
        exchange.replies.push_back(answer_to(message));
      } else if (message.kind == Message::Kind::kNotification) {
        if (message.method == "notifications/tools/list_changed") tools_changed_ = true;
      } else if (message.id == Json(exchange.id) || message.id.is_null()) {
        // Without an id: an error about a request that the server could not read.
        exchange.answer = std::move(message.body);
      }
      return {};
    };
    if (!json->is_array()) return one(*json);
    for (const Json& item : *json) ESP_TRY(one(item));
    return {};
  }

  Server server_;
  std::atomic<std::int64_t> last_id_ = 0;
  std::mutex mutex_;
  std::string session_;
  std::string version_;
};

}  // namespace

std::unique_ptr<Channel> open_http(const Server& server) {
  return std::make_unique<HttpChannel>(server);
}

}  // namespace espalier::dsl::mcp
