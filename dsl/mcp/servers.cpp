#include "dsl/mcp/servers.h"

#include "dsl/http_client.h"
#include "dsl/tool_answer.h"

namespace espalier::dsl::mcp {
namespace {

tl::unexpected<Error> wrong(const std::string& place, const std::string& what) {
  return fail(ErrorCode::kInvalid, std::string(kServersFile) + ": " + place + ": " + what);
}

Result<std::string> text(const Json& value, const std::string& place) {
  if (!value.is_string()) return wrong(place, "a string is expected");
  auto out = value.get<std::string>();
  if (out.find('\0') != std::string::npos) return wrong(place, "it holds a NUL");
  return out;
}

Result<Server> server_of(const std::string& name, const Json& json) {
  const std::string place = "server '" + name + "'";
  if (!json.is_object()) return wrong(place, "an object is expected");
  Server out;
  out.name = name;
  if (json.contains("command")) {
    ESP_ASSIGN(out.command, text(json["command"], place + ", command"));
    if (out.command.empty()) return wrong(place, "its command is empty");
  }
  if (json.contains("url")) {
    ESP_ASSIGN(out.url, text(json["url"], place + ", url"));
    const auto url = parse_url(out.url);
    if (!url) return wrong(place, url.error().message);
    if (url->has_user) return wrong(place, "credentials belong in `headers`, not in the URL");
  }
  if (out.command.empty() == out.url.empty())
    return wrong(place, "it needs either a `command` or a `url`");
  if (json.contains("args")) {
    if (!json["args"].is_array()) return wrong(place + ", args", "a list is expected");
    for (const Json& one : json["args"]) {
      ESP_ASSIGN(out.arguments.emplace_back(), text(one, place + ", args"));
    }
  }
  if (json.contains("env")) {
    if (!json["env"].is_object()) return wrong(place + ", env", "an object is expected");
    for (const auto& [key, value] : json["env"].items()) {
      ESP_ASSIGN(const std::string given, text(value, place + ", env"));
      if (key.empty() || key.find_first_of(std::string_view("=\0", 2)) != std::string::npos)
        return wrong(place + ", env", "\"" + key + "\" is no name of a variable");
      out.environment.push_back(key + "=" + given);
    }
  }
  if (json.contains("headers")) {
    if (!json["headers"].is_object()) return wrong(place + ", headers", "an object is expected");
    for (const auto& [key, value] : json["headers"].items()) {
      ESP_ASSIGN(std::string given, text(value, place + ", headers"));
      out.headers.emplace_back(key, std::move(given));
    }
  }
  return out;
}

Result<std::string> replaced(const std::string& text, const Variable& variable,
                             const std::string& server) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.compare(at, 2, "${") == 0 ? text.find('}', at) : std::string::npos;
    if (end == std::string::npos) {
      out += text[at++];
      continue;
    }
    const std::string name = text.substr(at + 2, end - at - 2);
    const auto value = variable(name);
    if (!value)
      return fail(ErrorCode::kNotFound, "the variable " + name + ", which " + kServersFile +
                                            " names for the server '" + server + "', is not set");
    out += *value;
    at = end + 1;
  }
  return out;
}

}  // namespace

Result<Servers> read_servers(std::string_view source) {
  auto json = read_answer(source);
  if (!json) return fail(std::move(json).error().within(kServersFile));
  if (!json->is_object() || !json->contains("mcpServers") || !(*json)["mcpServers"].is_object())
    return wrong("the file", "an object with \"mcpServers\" is expected");
  Servers out;
  for (const auto& [name, value] : (*json)["mcpServers"].items()) {
    if (name.empty() || name.find('/') != std::string::npos)
      return wrong("server '" + name + "'", "a name without '/' is needed");
    ESP_ASSIGN(Server server, server_of(name, value));
    if (!out.emplace(name, std::move(server)).second)
      return wrong("server '" + name + "'", "it stands there twice");
  }
  return out;
}

Result<Server> with_variables(Server server, const Variable& variable) {
  for (std::string& one : server.arguments) {
    ESP_ASSIGN(one, replaced(one, variable, server.name));
  }
  for (std::string& one : server.environment) {
    ESP_ASSIGN(one, replaced(one, variable, server.name));
  }
  for (auto& [name, value] : server.headers) {
    ESP_ASSIGN(value, replaced(value, variable, server.name));
  }
  return server;
}

}  // namespace espalier::dsl::mcp
