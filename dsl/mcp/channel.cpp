#include "dsl/mcp/channel.h"

#include <utility>

namespace espalier::dsl::mcp {

Json request_message(std::int64_t id, const std::string& method, Json params) {
  Json out{{"jsonrpc", "2.0"}, {"id", id}, {"method", method}};
  if (!params.is_null()) out["params"] = std::move(params);
  return out;
}

Json notification_message(const std::string& method, Json params) {
  Json out{{"jsonrpc", "2.0"}, {"method", method}};
  if (!params.is_null()) out["params"] = std::move(params);
  return out;
}

Result<Message> read_message(const Json& json) {
  const auto corrupt = [](const char* what) { return fail(ErrorCode::kCorrupt, what); };
  if (!json.is_object() || json.value("jsonrpc", Json()) != "2.0")
    return corrupt("the server sent something that is not JSON-RPC 2.0");
  Message out;
  const auto id = json.find("id");
  if (id != json.end()) out.id = *id;
  if (const auto method = json.find("method"); method != json.end()) {
    if (!method->is_string()) return corrupt("the server sent a method that is no string");
    out.method = method->get<std::string>();
    out.kind = id == json.end() ? Message::Kind::kNotification : Message::Kind::kRequest;
    return out;
  }
  if (json.contains("result") == json.contains("error"))
    return corrupt("the server sent a message that is neither a request nor a response");
  out.kind = Message::Kind::kResponse;
  out.body = json;
  return out;
}

Json answer_to(const Message& request) {
  Json out{{"jsonrpc", "2.0"}, {"id", request.id}};
  if (request.method == "ping") {
    out["result"] = Json::object();
  } else {
    out["error"] = {{"code", -32601}, {"message", "method not found"}};
  }
  return out;
}

Result<Json> result_of(const Json& response) {
  if (const auto result = response.find("result"); result != response.end()) return *result;
  std::string message = "the server refused";
  if (const auto error = response.find("error"); error != response.end() && error->is_object()) {
    const auto text = error->find("message");
    const auto code = error->find("code");
    if (text != error->end() && text->is_string())
      message = text->get_ref<const std::string&>().substr(0, 2000);
    if (code != error->end() && code->is_number_integer())
      message += " (code " + std::to_string(code->get<std::int64_t>()) + ")";
  }
  return fail(ErrorCode::kTool, std::move(message));
}

}  // namespace espalier::dsl::mcp
