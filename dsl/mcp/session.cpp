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
  ESP_TRY(session->initialize(limits));
  return session;
}

Status Session::initialize(const Limits& limits) {
  ESP_ASSIGN(const Json result,
             channel_->request("initialize",
                               {{"protocolVersion", kVersions[0]},
                                {"capabilities", Json::object()},
                                {"clientInfo", {{"name", "espalier"}, {"version", "0.1.0"}}}},
                               limits));
  if (!result.is_object()) return fail(ErrorCode::kCorrupt, "the server did not initialize");
  const std::string version = text_member(result, "protocolVersion");
  if (std::find(kVersions.begin(), kVersions.end(), version) == kVersions.end()) {
    return fail(ErrorCode::kUnsupported, "the server speaks version '" + version.substr(0, 40) +
                                             "' of the protocol, which is not known here");
  }
  const auto capabilities = result.find("capabilities");
  if (capabilities == result.end() || !capabilities->is_object() ||
      !capabilities->contains("tools"))
    return fail(ErrorCode::kUnsupported, "the server has no tools");
  channel_->agreed(version);
  return channel_->notify("notifications/initialized", Json(), limits);
}

Status Session::list(const Limits& limits) {
  (void)channel_->take_tools_changed();
  std::map<std::string, Json> tools;
  std::set<std::string> cursors;
  Json params;
  for (std::size_t page = 0;; ++page) {
    if (page >= kMaxPages)
      return fail(ErrorCode::kLimit, "the server's list of tools has more than " +
                                         std::to_string(kMaxPages) + " pages");
    ESP_ASSIGN(const Json result, channel_->request("tools/list", params, limits));
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
    const std::string cursor = text_member(result, "nextCursor");
    if (cursor.empty()) break;
    if (!cursors.insert(cursor).second)
      return fail(ErrorCode::kCorrupt, "the server's list of tools goes around in a circle");
    params = {{"cursor", cursor}};
  }
  tools_ = std::move(tools);
  listed_ = true;
  return {};
}

Result<Json> Session::tool(const std::string& name, const Limits& limits) {
  const std::lock_guard lock(mutex_);
  if (channel_->take_tools_changed()) listed_ = false;
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
  return channel_->request("tools/call", {{"name", tool}, {"arguments", arguments}}, limits);
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
