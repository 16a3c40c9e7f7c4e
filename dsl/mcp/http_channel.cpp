// MCP over streamable HTTP: each message is a POST, answered by JSON or by an event stream.
#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include "dsl/http_client.h"
#include "dsl/mcp/channel.h"
#include "dsl/mcp/events.h"
#include "dsl/tool_answer.h"
#include "grammar/json_text.h"

namespace espalier::dsl::mcp {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kGoodbye(1000);  // for what is said at a session's or a request's end

class HttpChannel final : public Channel {
 public:
  explicit HttpChannel(Server server) : server_(std::move(server)) {}

  ~HttpChannel() override {
    // A session that is over is told so; whether the server listens is its own affair.
    if (!session_.empty()) (void)http_request(make("DELETE", {}, {kGoodbye, 1u << 16, nullptr}));
  }

  Result<Json> request(const std::string& method, Json params, const Limits& limits) override {
    const std::int64_t id = ++last_id_;
    const Json message = request_message(id, method, std::move(params));
    std::optional<Json> answer;
    Status trouble;
    std::vector<Json> replies;  // to what the server asked meanwhile
    EventStream events;
    std::size_t fed = 0;
    HttpRequest http = make("POST", write_json(message), limits);
    const auto take_events = [&](const HttpResponse& response) {
      for (const std::string& data : events.feed(
               std::string_view(response.body).substr(std::exchange(fed, response.body.size())))) {
        if (data.find_first_not_of(" \t\r\n") == std::string::npos) continue;
        trouble = take(data, id, answer, replies);
        if (!trouble || answer) return true;
      }
      return false;
    };
    http.enough = [&](const HttpResponse& response) {
      return is_stream(response) && response.status == 200 && take_events(response);
    };
    auto response = http_request(http);
    if (!response) {
      const ErrorCode code = response.error().code;
      if (code == ErrorCode::kTimeout || code == ErrorCode::kCancelled) {
        if (method != "initialize")
          (void)post(
              notification_message("notifications/cancelled",
                                   {{"requestId", id}, {"reason", "the caller waits no longer"}}),
              {kGoodbye, 1u << 16, nullptr});
      } else {
        broken_ = true;
      }
      return fail(std::move(response).error());
    }
    ESP_TRY(check_status(*response));
    if (method == "initialize") ESP_TRY(begin_session(*response));
    if (!is_stream(*response) && trouble) trouble = take(response->body, id, answer, replies);
    for (const Json& one : replies) {
      if (Status s = post(one, limits); !s) return fail(s.error());
    }
    if (!trouble) {
      broken_ = true;
      return fail(trouble.error());
    }
    if (!answer) {
      broken_ = true;
      return fail(ErrorCode::kIo, "the server ended its answer before the response came");
    }
    return result_of(*answer);
  }

  Status notify(const std::string& method, Json params, const Limits& limits) override {
    return post(notification_message(method, std::move(params)), limits);
  }

  void agreed(const std::string& version) override {
    const std::lock_guard lock(mutex_);
    version_ = version;
  }

 private:
  static bool is_stream(const HttpResponse& response) {
    return response.content_type() == "text/event-stream";
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

  Status take(std::string_view text, std::int64_t id, std::optional<Json>& answer,
              std::vector<Json>& replies) {
    auto json = read_answer(text);
    if (!json) return fail(ErrorCode::kCorrupt, "the server sent what is " + json.error().message);
    const auto one = [&](const Json& item) -> Status {
      ESP_ASSIGN(Message message, read_message(item));
      if (message.kind == Message::Kind::kRequest) {
        replies.push_back(answer_to(message));
      } else if (message.kind == Message::Kind::kNotification) {
        if (message.method == "notifications/tools/list_changed") tools_changed_ = true;
      } else if (message.id == Json(id)) {
        answer = std::move(message.body);
      } else if (message.id.is_null()) {
        answer = std::move(message.body);  // an error about a request that it could not read
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
