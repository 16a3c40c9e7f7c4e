// What a program may reach: everything is closed until the person who runs it opens it.
//
// `python` tools are the program's own code and run without permission. The others leave it, and
// need an entry of the allow list (`--allow`):
//   exec          every exec tool          exec:PROGRAM   those that run PROGRAM
//   http          every http tool          http:HOST      those that call HOST, at any port
//                                          http:HOST:PORT
//   mcp           every mcp tool           mcp:SERVER     those of that server
//   NAME          the tool of that name, whatever it is
// A host's entry may name what its calls are signed with, so that no secret stands in the program:
//   http:HOST=VARIABLE           Authorization: Bearer, and the environment's VARIABLE
//   http:HOST=HEADER:VARIABLE    that header with the variable as it is
// (HOST:PORT too). The program never sees the value.
#pragma once

#include <optional>
#include <string>
#include <utility>
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
/// An entry without the credential that it may name: what it opens.
[[nodiscard]] std::string opened_by(const std::string& entry);

/// What signs calls of a host.
struct Credential {
  std::string header;
  std::string variable;  // of the environment
  bool bearer = false;   // "Bearer " stands before the value
};
/// What the entries of `allow` name for calls of `tool`; of several the narrowest entry counts.
/// kInvalid where an entry's credential is none.
[[nodiscard]] Result<std::optional<Credential>> credential_for(
    const std::vector<std::string>& allow, const ToolInfo& tool);
/// The header that `credential` makes of its variable's value. kTool naming the variable, never its
/// value: it is not set or empty, or no header can hold it.
[[nodiscard]] Result<std::pair<std::string, std::string>> header_of(
    const Credential& credential, const std::optional<std::string>& value);

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
