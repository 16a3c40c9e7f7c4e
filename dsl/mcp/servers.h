// `mcp.json`: where the MCP servers that a program names are, beside the program's file.
//
//   {"mcpServers": {"time": {"command": "mcp-server-time", "args": ["--local-timezone", "UTC"]},
//                   "help": {"url": "https://example.com/mcp",
//                            "headers": {"Authorization": "Bearer ${HELP_TOKEN}"}}}}
//
// The form that MCP's other hosts read. A server has either a command (spoken to over its stdin and
// stdout) or a URL (streamable HTTP). `${NAME}` in args, env and headers is the environment's
// variable, so that no secret need stand in the file; one that is not set is an error that names
// it. Keys that are not known here are left alone.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace espalier::dsl::mcp {

inline constexpr const char* kServersFile = "mcp.json";

struct Server {
  std::string name;
  std::string command;  // empty: `url`
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // NAME=value, besides what every child has
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
};
using Servers = std::map<std::string, Server, std::less<>>;

/// kInvalid naming the place. Variables stand as they were written.
[[nodiscard]] Result<Servers> read_servers(std::string_view text);

/// The same server with its `${NAME}` replaced. kNotFound naming a variable that is not set.
using Variable = std::function<std::optional<std::string>(const std::string& name)>;
[[nodiscard]] Result<Server> with_variables(Server server, const Variable& variable);

}  // namespace espalier::dsl::mcp
