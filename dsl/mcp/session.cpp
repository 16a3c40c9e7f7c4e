#include "dsl/mcp/session.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "dsl/tool_answer.h"

namespace espalier::dsl::mcp {
namespace {

constexpr std::array<std::string_view, 4> kVersions = {"2025-11-25", "2025-06-18", "2025-03-26",
                                                       "2024-11-05"};

constexpr std::chrono::milliseconds kProbe(2000);  // for a server that has refused `initialize`
constexpr std::int64_t kLongestTtl = 24 * 3600 * std::int64_t{1000};

Json client_info() { return {{"name", "espalier"}, {"version", "0.1.0"}}; }

bool offers_tools(const Json& result) {
  const auto capabilities = result.find("capabilities");
  return capabilities != result.end() && capabilities->is_object() &&
         capabilities->contains("tools");
}

std::string text_member(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

Result<std::shared_ptr<Session>> Session::open(const Server& server, const std::string& directory,
                                               const Limits& limits) {
  std::unique_ptr<Channel> channel;
  if (server.url.empty()) {
    ESP_ASSIGN(channel, open_process(server, directory));
  } else {
    channel = open_http(server);
  }
  std::shared_ptr<Session> session(new Session(std::move(channel)));
  Status status = session->initialize(limits);
  // The server refused it: one of the newer era names itself, of any other the refusal stands.
  if (!status && status.error().code == ErrorCode::kTool && session->discover(limits)) status = {};
  ESP_TRY(std::move(status));
  if (!session->tools_offered_) return fail(ErrorCode::kUnsupported, "the server has no tools");
  return session;
}

Status Session::discover(const Limits& limits) {
  Limits probe = limits;
  probe.timeout = std::min(probe.timeout, kProbe);
  channel_->agreed(kStateless);
  stateless_ = true;
  ESP_ASSIGN(const Json result, ask("server/discover", Json::object(), probe));
  const auto versions = result.find("supportedVersions");
  if (versions == result.end() || !versions->is_array() ||
      std::find(versions->begin(), versions->end(), Json(kStateless)) == versions->end())
    return fail(ErrorCode::kUnsupported, "the server speaks no version that is known here");
  tools_offered_ = offers_tools(result);
  return {};
}

Result<Json> Session::ask(const std::string& method, Json params, const Limits& limits,
                          const std::string& tool) {
  if (!stateless_) return channel_->request(method, std::move(params), limits);
  Headers headers{{"Mcp-Method", method}};
  if (!tool.empty()) {
    headers.emplace_back("Mcp-Name", header_value(tool));
    Json object;
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = tools_.find(tool); found != tools_.end()) object = found->second;
    }
    ESP_ASSIGN(const Headers more, parameter_headers(object, params.value("arguments", Json())));
    headers.insert(headers.end(), more.begin(), more.end());
  }
  if (params.is_null()) params = Json::object();
  params["_meta"] = {{"io.modelcontextprotocol/protocolVersion", kStateless},
                     {"io.modelcontextprotocol/clientInfo", client_info()},
                     {"io.modelcontextprotocol/clientCapabilities", Json::object()}};
  ESP_ASSIGN(Json result, channel_->request(method, std::move(params), limits, headers));
  if (!result.is_object()) return fail(ErrorCode::kCorrupt, "the server's result is no object");
  const auto type = result.find("resultType");
  if (type == result.end() || *type == "complete") return result;
  if (*type == "input_required")
    return fail(ErrorCode::kTool,
                "the server asks for input before it goes on, which nobody here can give");
  return fail(ErrorCode::kCorrupt, "the server's result is of a type that is not known here");
}

Status Session::initialize(const Limits& limits) {
  ESP_ASSIGN(const Json result, channel_->request("initialize",
                                                  {{"protocolVersion", kVersions[0]},
                                                   {"capabilities", Json::object()},
                                                   {"clientInfo", client_info()}},
                                                  limits));
  if (!result.is_object()) return fail(ErrorCode::kCorrupt, "the server did not initialize");
  const std::string version = text_member(result, "protocolVersion");
  if (std::find(kVersions.begin(), kVersions.end(), version) == kVersions.end()) {
    return fail(ErrorCode::kUnsupported, "the server speaks version '" + version.substr(0, 40) +
                                             "' of the protocol, which is not known here");
  }
  tools_offered_ = offers_tools(result);
  if (!tools_offered_) return {};
  channel_->agreed(version);
  return channel_->notify("notifications/initialized", Json(), limits);
}

Status Session::list(const Limits& limits) {
  (void)channel_->take_tools_changed();
  std::map<std::string, Json> tools;
  std::set<std::string> cursors;
  Json params;
  const auto now = std::chrono::steady_clock::now();
  auto until = std::chrono::steady_clock::time_point::max();
  for (std::size_t page = 0;; ++page) {
    if (page >= kMaxPages)
      return fail(ErrorCode::kLimit, "the server's list of tools has more than " +
                                         std::to_string(kMaxPages) + " pages");
    ESP_ASSIGN(const Json result, ask("tools/list", params, limits));
    const auto list = result.is_object() ? result.find("tools") : result.end();
    if (!result.is_object() || list == result.end() || !list->is_array())
      return fail(ErrorCode::kCorrupt, "the server's list of tools is no list");
    for (const Json& one : *list) {
      const std::string name = one.is_object() ? text_member(one, "name") : "";
      if (name.empty())
        return fail(ErrorCode::kCorrupt, "the server's list holds a tool without a name");
      if (!tools.emplace(name, one).second)
        return fail(ErrorCode::kCorrupt, "the server has two tools called '" + name + "'");
      if (tools.size() > kMaxTools)
        return fail(ErrorCode::kLimit,
                    "the server has more than " + std::to_string(kMaxTools) + " tools");
    }
    if (const auto ttl = result.find("ttlMs"); ttl != result.end() && ttl->is_number_integer()) {
      const auto good = std::clamp<std::int64_t>(ttl->get<std::int64_t>(), 0, kLongestTtl);
      until = std::min(until, now + std::chrono::milliseconds(good));
    }
    const std::string cursor = text_member(result, "nextCursor");
    if (cursor.empty()) break;
    if (!cursors.insert(cursor).second)
      return fail(ErrorCode::kCorrupt, "the server's list of tools goes around in a circle");
    params = {{"cursor", cursor}};
  }
  tools_ = std::move(tools);
  listed_until_ = until;
  listed_ = true;
  return {};
}

Result<Json> Session::tool(const std::string& name, const Limits& limits) {
  const std::lock_guard lock(mutex_);
  if (channel_->take_tools_changed() || std::chrono::steady_clock::now() >= listed_until_)
    listed_ = false;
  if (!listed_) ESP_TRY(list(limits));
  if (const auto found = tools_.find(name); found != tools_.end()) return found->second;
  std::string known;
  for (const auto& [other, object] : tools_) {
    if (known.size() > 200) {
      known += ", …";
      break;
    }
    known += (known.empty() ? "" : ", ") + other;
  }
  return fail(ErrorCode::kNotFound,
              "the server has no tool '" + name + "'" + (known.empty() ? "" : "; it has " + known));
}

Result<Json> Session::call(const std::string& tool, const Json& arguments, const Limits& limits) {
  return ask("tools/call", {{"name", tool}, {"arguments", arguments}}, limits, tool);
}

Result<Json> value_of(const Json& result, bool as_text) {
  if (!result.is_object()) return fail(ErrorCode::kTool, "the server's result is no object");
  std::string text;
  std::string others;
  bool has_text = false;
  if (const auto content = result.find("content"); content != result.end() && content->is_array()) {
    for (const Json& one : *content) {
      const std::string kind = one.is_object() ? text_member(one, "type") : "";
      std::string piece;
      bool is_text = kind == "text";
      if (is_text) {
        piece = text_member(one, "text");
      } else if (kind == "resource" && one.contains("resource") && one["resource"].is_object() &&
                 one["resource"].contains("text")) {
        is_text = true;
        piece = text_member(one["resource"], "text");
      }
      if (is_text) {
        text += (has_text ? "\n" : "") + piece;
        has_text = true;
      } else {
        others += (others.empty() ? "" : ", ") + (kind.empty() ? "something" : kind.substr(0, 40));
      }
    }
  }
  if (const auto bad = result.find("isError"); bad != result.end() && *bad == true)
    return fail(ErrorCode::kTool, text.empty() ? "the tool failed" : text.substr(0, 2000));
  if (as_text && has_text) return Json(std::move(text));
  if (const auto structured = result.find("structuredContent");
      structured != result.end() && !structured->is_null()) {
    if (structured->is_object() && structured->size() == 1 && structured->contains("result"))
      return (*structured)["result"];
    return *structured;
  }
  if (has_text) {
    if (auto json = read_answer(text)) return json;
    return Json(std::move(text));
  }
  if (!others.empty())
    return fail(ErrorCode::kTool, "its result is no text and no JSON: " + others);
  return Json();
}

}  // namespace espalier::dsl::mcp
