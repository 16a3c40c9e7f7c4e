#include "dsl/tool_permissions.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "dsl/http_client.h"

namespace espalier::dsl {
namespace {

bool is_header_name(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return is_ascii_letter(c) || is_ascii_digit(c) || c == '-' || c == '_';
  });
}

bool is_variable_name(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return is_ascii_letter(c) || is_ascii_digit(c) || c == '_';
  });
}

}  // namespace

bool needs_permission(const ToolInfo& tool) {
  return tool.transport == Transport::kExec || tool.transport == Transport::kHttp ||
         tool.transport == Transport::kMcp;
}

std::vector<std::string> permissions_for(const ToolInfo& tool) {
  std::vector<std::string> out{tool.name};
  switch (tool.transport) {
    case Transport::kExec:
      out.push_back("exec:" + tool.target);
      out.emplace_back("exec");
      break;
    case Transport::kHttp:
      if (const auto target = parse_http_target(tool.target)) {
        out.push_back("http:" + target->host + ":" + target->port);
        out.push_back("http:" + target->host);
      }
      out.emplace_back("http");
      break;
    case Transport::kMcp:
      if (const auto target = parse_mcp_target(tool.target)) out.push_back("mcp:" + target->server);
      out.emplace_back("mcp");
      break;
    case Transport::kPython:
    case Transport::kCaller:
    case Transport::kNone:
      return {};
  }
  return out;
}

bool allowed(const std::vector<std::string>& allow, const ToolInfo& tool) {
  if (!needs_permission(tool)) return true;
  const auto opens = permissions_for(tool);
  return std::any_of(allow.begin(), allow.end(), [&](const std::string& entry) {
    return std::find(opens.begin(), opens.end(), opened_by(entry)) != opens.end();
  });
}

std::string opened_by(const std::string& entry) {
  return entry.starts_with("http:") ? entry.substr(0, entry.find('=')) : entry;
}

Result<std::optional<Credential>> credential_for(const std::vector<std::string>& allow,
                                                 const ToolInfo& tool) {
  if (tool.transport != Transport::kHttp) return std::optional<Credential>();
  // permissions_for() gives the narrowest first: name, host and port, host, all.
  for (const std::string& opens : permissions_for(tool)) {
    for (const std::string& entry : allow) {
      if (entry.size() == opens.size() || opened_by(entry) != opens) continue;
      const std::string given = entry.substr(opens.size() + 1);
      const std::size_t colon = given.find(':');
      Credential out{"Authorization", given, true};
      if (colon != std::string::npos)
        out = {given.substr(0, colon), given.substr(colon + 1), false};
      if (!is_header_name(out.header) || !is_variable_name(out.variable)) {
        return fail(ErrorCode::kInvalid,
                    "'" + entry +
                        "': behind = stands the name of a variable of the environment, "
                        "or HEADER:VARIABLE");
      }
      return std::optional(std::move(out));
    }
  }
  return std::optional<Credential>();
}

Result<std::pair<std::string, std::string>> header_of(const Credential& credential,
                                                      const std::optional<std::string>& value) {
  const std::string variable = "the variable " + credential.variable;
  if (!value || value->empty())
    return fail(ErrorCode::kTool, variable + ", which signs its calls, is not set");
  if (std::any_of(value->begin(), value->end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }))
    return fail(ErrorCode::kTool, variable + " holds a line's end or another control character");
  return std::pair(credential.header, (credential.bearer ? "Bearer " : "") + *value);
}

std::string reach_of(const ToolInfo& tool) {
  switch (tool.transport) {
    case Transport::kPython:
      return "the Python function '" + tool.target + "'";
    case Transport::kExec:
      return "the program '" + tool.target + "'";
    case Transport::kHttp:
      if (const auto target = parse_http_target(tool.target))
        return target->scheme + "://" + target->host + ":" + target->port;
      break;
    case Transport::kMcp:
      if (const auto target = parse_mcp_target(tool.target))
        return "the MCP server '" + target->server + "'";
      break;
    case Transport::kCaller:
      return "a function of the caller";
    case Transport::kNone:
      return "nothing";
  }
  return "'" + tool.target + "'";
}

Status check_allowed(const std::vector<std::string>& allow, const ToolInfo& tool) {
  if (allowed(allow, tool)) return {};
  const auto opens = permissions_for(tool);
  std::string message = "it reaches " + reach_of(tool) +
                        ", which is not allowed; open it with --allow " + opens.front();
  for (std::size_t i = 1; i < opens.size(); ++i) message += " or --allow " + opens[i];
  return fail(ErrorCode::kTool, std::move(message));
}

Result<HttpTarget> parse_http_target(const std::string& target) {
  static constexpr std::array<std::string_view, 5> kMethods = {"GET", "POST", "PUT", "PATCH",
                                                               "DELETE"};
  const auto invalid = [](std::string message) {
    return fail(ErrorCode::kInvalid, std::move(message));
  };
  const std::size_t space = target.find(' ');
  HttpTarget out;
  out.method = target.substr(0, space);
  if (space == std::string::npos ||
      std::find(kMethods.begin(), kMethods.end(), out.method) == kMethods.end()) {
    return invalid(
        "an http tool is named \"METHOD url\" with GET, POST, PUT, PATCH or DELETE, such as "
        "\"GET https://example.com/search\"");
  }
  out.url = target.substr(space + 1);
  if (out.url.find_first_of(" \t\r\n#") != std::string::npos)
    return invalid("the URL holds white space or a '#'");
  const std::size_t scheme = out.url.find("://");
  if (scheme == std::string::npos) return invalid("the URL must begin with http:// or https://");
  // Placeholders stand behind the host: no argument chooses where a call goes.
  const std::size_t path = std::min(out.url.find_first_of("/?", scheme + 3), out.url.size());
  // "http:///x" would be taken for the host x.
  if (path == scheme + 3) return invalid("the URL has no host");
  if (out.url.find_first_of("{}") < path)
    return invalid("a {parameter} can stand in the path and the query only");
  std::string probe = out.url.substr(0, path);
  for (std::size_t at = path; at < out.url.size();) {
    if (out.url[at] == '}') return invalid("a '}' without its '{' in the URL");
    if (out.url[at] != '{') {
      probe += out.url[at++];
      continue;
    }
    const std::size_t end = out.url.find('}', at);
    if (end == std::string::npos || end == at + 1)
      return invalid("a {parameter} in the URL is not closed or has no name");
    out.placeholders.push_back(out.url.substr(at + 1, end - at - 1));
    probe += 'x';
    at = end + 1;
  }
  ESP_ASSIGN(const HttpUrl url, parse_url(probe));
  if (url.has_user)
    return invalid("a user name or password in the URL would stand in the program for all to read");
  if (url.host.empty()) return invalid("the URL has no host");
  out.scheme = url.scheme;
  out.host = url.host;
  out.port = url.port;
  return out;
}

Result<McpTarget> parse_mcp_target(const std::string& target) {
  const std::size_t slash = target.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == target.size())
    return fail(ErrorCode::kInvalid, "an mcp tool is named \"server/tool\"");
  return McpTarget{target.substr(0, slash), target.substr(slash + 1)};
}

}  // namespace espalier::dsl
