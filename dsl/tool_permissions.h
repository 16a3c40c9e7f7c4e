// What a program may reach: everything is closed until the person who runs it opens it.
//
// `python` tools are the program's own code and run without permission. The others leave it, and
// need an entry of the allow list (`--allow`):
//   exec          every exec tool          exec:PROGRAM   those that run PROGRAM
//   http          every http tool          http:HOST      those that call HOST, at any port
//                                          http:HOST:PORT
//   mcp           every mcp tool           mcp:SERVER     those of that server
//   NAME          the tool of that name, whatever it is
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "dsl/program.h"

namespace espalier::dsl {

/// Whether running `tool` needs an entry.
[[nodiscard]] bool needs_permission(const ToolInfo& tool);
/// Whether `allow` opens `tool`.
[[nodiscard]] bool allowed(const std::vector<std::string>& allow, const ToolInfo& tool);
/// The entries that open `tool`, the narrowest first: its name, its target, its kind.
[[nodiscard]] std::vector<std::string> permissions_for(const ToolInfo& tool);
/// What the tool reaches, for people: "the program 'bin/calc'", "https://api.example.com".
[[nodiscard]] std::string reach_of(const ToolInfo& tool);
/// kTool where `allow` does not open `tool`; says what it reaches and how to open it.
[[nodiscard]] Status check_allowed(const std::vector<std::string>& allow, const ToolInfo& tool);

/// `http "METHOD url"`, taken apart; `{name}` in path and query stands for a parameter. kInvalid.
struct HttpTarget {
  std::string method;
  std::string url;
  std::string scheme, host, port;
  std::vector<std::string> placeholders;
};
[[nodiscard]] Result<HttpTarget> parse_http_target(const std::string& target);

/// `mcp "server/tool"`, taken apart. kInvalid.
struct McpTarget {
  std::string server, tool;
};
[[nodiscard]] Result<McpTarget> parse_mcp_target(const std::string& target);

}  // namespace espalier::dsl
