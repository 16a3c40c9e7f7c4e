// How tools are run: what is wrong with a transport and its target.
#include <set>

#include "dsl/checker.h"
#include "dsl/loader.h"
#include "dsl/mcp/lock.h"
#include "dsl/mcp/servers.h"
#include "dsl/suggest.h"
#include "dsl/tool_permissions.h"

namespace espalier::dsl {

void Checker::tool_transport(ToolInfo& tool) {
  const ToolDecl& decl = *tool.decl;
  const std::string& how = decl.transport->text;
  tool.target = decl.target.value;
  if (how == "python") {
    tool.transport = Transport::kPython;
    const auto colon = tool.target.find(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == tool.target.size())
      error("E0501", decl.target.span, "a Python tool is named \"module:function\"");
  } else if (how == "exec") {
    tool.transport = Transport::kExec;
    if (tool.target.empty()) error("E0501", decl.target.span, "an exec tool names a program");
  } else if (how == "http") {
    tool.transport = Transport::kHttp;
    http_target(tool);
  } else if (how == "mcp") {
    tool.transport = Transport::kMcp;
    mcp_target(tool);
  } else {
    Diagnostic& diagnostic =
        error("E0501", decl.transport->span, "unknown way to run a tool: `" + how + "`");
    const auto near = suggest(how, {"python", "exec", "http", "mcp"});
    diagnostic.help = near.empty()
                          ? "tools are run by `python \"module:function\"`, `exec \"program\"`, "
                            "`http \"METHOD url\"` or `mcp \"server/tool\"`"
                          : "did you mean `" + near + "`?";
  }
}

void Checker::http_target(const ToolInfo& tool) {
  const Span& span = tool.decl->target.span;
  const auto target = parse_http_target(tool.target);
  if (!target) {
    error("E0501", span, target.error().message);
    return;
  }
  std::vector<std::string> keys;
  for (const Parameter& one : tool.parameters) keys.push_back(one.key);
  const std::size_t query = tool.target.find('?');
  for (const std::string& name : target->placeholders) {
    const Parameter* given = nullptr;
    for (const Parameter& one : tool.parameters)
      if (one.key == name) given = &one;
    if (given == nullptr) {
      Diagnostic& diagnostic =
          error("E0501", span, "the URL's {" + name + "} is no parameter of the tool");
      if (const auto near = suggest(name, keys); !near.empty())
        diagnostic.help = "did you mean `{" + near + "}`?";
    } else if (given->omittable && tool.target.find("{" + name + "}") < query) {
      error("E0501", given->decl->name.span,
            "`" + name + "` stands in the URL's path, so it may not be left out");
    }
  }
}

// What stands beside the program about the server and the tool: neither file need be there yet, but
// what is there must fit.
void Checker::mcp_target(const ToolInfo& tool) {
  const Span& span = tool.decl->target.span;
  const auto target = parse_mcp_target(tool.target);
  if (!target) {
    error("E0501", span, target.error().message);
    return;
  }
  if (read_ == nullptr) return;
  const std::string& program = program_.sources[0].name();
  if (const auto text = read_(path_beside(program, mcp::kServersFile))) {
    const auto servers = mcp::read_servers(*text);
    if (!servers) {
      error("E0503", span, servers.error().message);
    } else if (servers->count(target->server) == 0) {
      std::vector<std::string> names;
      for (const auto& [name, server] : *servers) names.push_back(name);
      Diagnostic& diagnostic =
          error("E0503", span,
                std::string(mcp::kServersFile) + " has no server \"" + target->server + "\"");
      if (const auto near = suggest(target->server, names); !near.empty())
        diagnostic.help = "did you mean `" + near + "`?";
    }
  }
  if (const auto text = read_(path_beside(program, mcp::kLockFile))) {
    const auto lock = mcp::Lock::read(*text);
    if (!lock) {
      error("E0504", span, lock.error().message);
    } else if (const Json* pinned = lock->find(target->server, target->tool)) {
      against_lock(tool, *pinned);
    }
  }
}

// The declared parameters against the pinned input schema: names and what must be given. Types are
// the server's to check.
void Checker::against_lock(const ToolInfo& tool, const Json& pinned) {
  const auto schema = pinned.find("inputSchema");
  if (schema == pinned.end() || !schema->is_object()) return;
  const auto properties = schema->find("properties");
  const bool known = properties != schema->end() && properties->is_object();
  std::vector<std::string> keys;
  if (known)
    for (const auto& [key, value] : properties->items()) keys.push_back(key);
  const auto open = schema->find("additionalProperties");
  const bool closed = open == schema->end() || *open == false;
  std::set<std::string> given;
  for (const Parameter& one : tool.parameters) {
    if (!one.omittable) given.insert(one.key);
    if (!closed || (known && properties->contains(one.key))) continue;
    Diagnostic& diagnostic =
        error("E0504", one.decl->name.span,
              "the server's tool has no parameter \"" + one.key + "\" (" + mcp::kLockFile + ")");
    if (const auto near = suggest(one.key, keys); !near.empty())
      diagnostic.help = "did you mean `" + near + "`?";
  }
  const auto required = schema->find("required");
  if (required == schema->end() || !required->is_array()) return;
  for (const Json& key : *required) {
    if (key.is_string() && given.count(key.get<std::string>()) == 0)
      error("E0504", tool.decl->name.span,
            "the server's tool needs the parameter \"" + key.get<std::string>() + "\" (" +
                mcp::kLockFile + ")");
  }
}

}  // namespace espalier::dsl
