#include "dsl/mcp/host.h"

#include <cstdlib>
#include <utility>

#include "base/system.h"
#include "dsl/tool_permissions.h"

namespace espalier::dsl::mcp {
namespace {

constexpr std::uint64_t kMaxFile = 16u << 20;

std::string path_of(const std::string& directory, const char* file) {
  return directory.empty() ? file : directory + "/" + file;
}

std::optional<std::string> variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

bool is_string(const grammar::TypeRef& type) {
  if (type == nullptr) return false;
  return type->kind == grammar::TypeKind::kString || type->kind == grammar::TypeKind::kLine ||
         type->kind == grammar::TypeKind::kRegex;
}

}  // namespace

Result<Lock> read_lock(const std::string& directory) {
  auto text = real_system().read(path_of(directory, kLockFile), kMaxFile);
  if (!text) {
    if (text.error().code == ErrorCode::kNotFound) return Lock();
    return fail(std::move(text).error());
  }
  return Lock::read(*text);
}

Status Host::load() {
  if (loaded_) return *loaded_;
  loaded_ = [&]() -> Status {
    auto text = real_system().read(path_of(directory_, kServersFile), kMaxFile);
    if (!text) {
      if (text.error().code == ErrorCode::kNotFound)
        return fail(ErrorCode::kNotFound, "there is no " + std::string(kServersFile) +
                                              " beside the program to say where the server is");
      return fail(std::move(text).error());
    }
    ESP_ASSIGN(servers_, read_servers(*text));
    ESP_ASSIGN(lock_, read_lock(directory_));
    return {};
  }();
  return *loaded_;
}

Result<std::shared_ptr<Session>> Host::session(const std::string& name, const Limits& limits) {
  std::shared_ptr<Entry> entry;
  Server server;
  {
    const std::lock_guard lock(mutex_);
    ESP_TRY(load());
    const auto found = servers_.find(name);
    if (found == servers_.end())
      return fail(ErrorCode::kNotFound,
                  std::string(kServersFile) + " has no server '" + name + "'");
    server = found->second;
    auto& kept = entries_[name];
    if (kept == nullptr) kept = std::make_shared<Entry>();
    entry = kept;
  }
  const std::lock_guard lock(entry->mutex);
  if (entry->session == nullptr || entry->session->broken()) {
    entry->session = nullptr;
    ESP_ASSIGN(server, with_variables(std::move(server), variable));
    auto opened = Session::open(server, directory_, limits);
    if (!opened) return fail(std::move(opened).error().within("the MCP server '" + name + "'"));
    entry->session = std::move(*opened);
  }
  return entry->session;
}

Result<Json> Host::look(const std::string& server, const std::string& tool, const Limits& limits) {
  ESP_ASSIGN(const auto reached, session(server, limits));
  return reached->tool(tool, limits);
}

Result<Json> Host::call_once(const ToolRequest& request, const std::string& server,
                             const std::string& tool, const Limits& limits) {
  ESP_ASSIGN(const auto reached, session(server, limits));
  ESP_ASSIGN(const Json now, reached->tool(tool, limits));
  ESP_TRY(check_pinned(*lock_, server, tool, now));
  ESP_ASSIGN(const Json result, reached->call(tool, request.arguments, limits));
  return value_of(result, is_string(request.tool->result));
}

Result<Json> Host::call(const ToolRequest& request, std::size_t limit) {
  ESP_ASSIGN(const McpTarget target, parse_mcp_target(request.tool->target));
  const Limits limits{request.timeout, limit, request.cancelled};
  auto answer = call_once(request, target.server, target.tool, limits);
  // The server knows nothing of the session any more, so it has done nothing either.
  if (!answer && answer.error().code == ErrorCode::kNotFound &&
      answer.error().message == kSessionOver)
    answer = call_once(request, target.server, target.tool, limits);
  return answer;
}

Result<std::vector<std::string>> pin(const Program& program, const std::vector<std::string>& allow,
                                     Host& host, const Limits& limits, Lock& lock) {
  std::vector<std::string> out;
  for (const ToolInfo& tool : program.tools) {
    if (tool.transport != Transport::kMcp) continue;
    if (Status open = check_allowed(allow, tool); !open)
      return fail(std::move(open).error().within("tool `" + tool.name + "`"));
    ESP_ASSIGN(const McpTarget target, parse_mcp_target(tool.target));
    auto now = host.look(target.server, target.tool, limits);
    if (!now) return fail(std::move(now).error().within("tool `" + tool.name + "`"));
    const Json* before = lock.find(target.server, target.tool);
    std::string line = tool.target + ": ";
    if (before != nullptr && fingerprint(*before) == fingerprint(*now)) {
      out.push_back(line + "as before");
      continue;
    }
    if (before == nullptr) {
      line += "new";
    } else {
      line += "changed: ";
      bool first = true;
      for (const std::string& one : differences(*before, *now, 100))
        line += (std::exchange(first, false) ? "" : ", ") + one;
    }
    out.push_back(std::move(line));
    lock.pin(target.server, target.tool, std::move(*now));
  }
  return out;
}

}  // namespace espalier::dsl::mcp
