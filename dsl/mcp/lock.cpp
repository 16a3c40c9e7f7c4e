#include "dsl/mcp/lock.h"

#include <algorithm>
#include <set>
#include <span>

#include "dsl/tool_answer.h"
#include "grammar/json_schema_document.h"
#include "grammar/json_text.h"
#include "runtime/store/sha256.h"

namespace espalier::dsl::mcp {
namespace {

constexpr int kVersion = 1;

// The nesting of both is bounded by kMaxJsonTextDepth. 1 and 1.0 are two spellings, as they are for
// the fingerprint.
void compare(const Json& before, const Json& after, const std::string& path,
             std::vector<std::string>& out, std::size_t most) {
  if (out.size() >= most) return;
  if (before.is_object() && after.is_object()) {
    std::set<std::string> keys;
    for (const auto& [key, value] : before.items()) keys.insert(key);
    for (const auto& [key, value] : after.items()) keys.insert(key);
    for (const std::string& key : keys) {
      const std::string at = path + "/" + grammar::pointer_token(key);
      const auto old = before.find(key);
      const auto now = after.find(key);
      if (out.size() >= most) return;
      if (old == before.end()) {
        out.push_back(at + " (new)");
      } else if (now == after.end()) {
        out.push_back(at + " (gone)");
      } else {
        compare(*old, *now, at, out, most);
      }
    }
    return;
  }
  if (before.is_array() && after.is_array() && before.size() == after.size()) {
    for (std::size_t i = 0; i < before.size(); ++i)
      compare(before[i], after[i], path + "/" + std::to_string(i), out, most);
    return;
  }
  if (before.type() != after.type() || before.is_structured() || before != after)
    out.push_back(path.empty() ? "/" : path);
}

nlohmann::json sorted(const Json& json) {
  return nlohmann::json::parse(write_json(json), nullptr, false);
}

tl::unexpected<Error> corrupt(const std::string& what) {
  return fail(ErrorCode::kCorrupt, std::string(kLockFile) + ": " + what);
}

}  // namespace

std::string fingerprint(const Json& tool) {
  const std::string text = sorted(tool).dump();
  runtime::Sha256 hash;
  hash.update(std::as_bytes(std::span(text)));
  return hash.finish();
}

std::vector<std::string> differences(const Json& before, const Json& after, std::size_t most) {
  std::vector<std::string> out;
  // Members in another order are no difference.
  const Json old = Json::parse(sorted(before).dump(), nullptr, false);
  const Json now = Json::parse(sorted(after).dump(), nullptr, false);
  compare(old, now, "", out, most);
  return out;
}

Result<Lock> Lock::read(std::string_view text) {
  auto json = read_answer(text);
  if (!json) return corrupt(json.error().message);
  if (!json->is_object() || !json->contains("version") || !json->contains("servers") ||
      !(*json)["servers"].is_object())
    return corrupt("it is no lock file");
  if ((*json)["version"] != kVersion)
    return corrupt("version " + write_json((*json)["version"]).substr(0, 20) +
                   " is not known; this program writes version " + std::to_string(kVersion));
  Lock out;
  for (const auto& [server, tools] : (*json)["servers"].items()) {
    if (!tools.is_object()) return corrupt("server '" + server + "' is no object");
    for (const auto& [tool, entry] : tools.items()) {
      const std::string place = "'" + server + "/" + tool + "'";
      if (!entry.is_object() || !entry.contains("sha256") || !entry.contains("tool") ||
          !entry["tool"].is_object())
        return corrupt(place + " has no `sha256` and `tool`");
      if (entry["sha256"] != fingerprint(entry["tool"]))
        return corrupt(place + " was changed by hand: its object is not the one of its hash");
      out.servers_[server][tool] = entry["tool"];
    }
  }
  return out;
}

std::string Lock::text() const {
  nlohmann::json servers = nlohmann::json::object();
  for (const auto& [server, tools] : servers_) {
    for (const auto& [tool, object] : tools)
      servers[server][tool] = {{"sha256", fingerprint(object)}, {"tool", sorted(object)}};
  }
  const nlohmann::json out{{"version", kVersion}, {"servers", std::move(servers)}};
  return out.dump(2) + "\n";
}

const Json* Lock::find(const std::string& server, const std::string& tool) const {
  const auto tools = servers_.find(server);
  if (tools == servers_.end()) return nullptr;
  const auto found = tools->second.find(tool);
  return found == tools->second.end() ? nullptr : &found->second;
}

void Lock::pin(const std::string& server, const std::string& tool, Json object) {
  servers_[server][tool] = std::move(object);
}

Status check_pinned(const Lock& lock, const std::string& server, const std::string& tool,
                    const Json& now) {
  const std::string name = "'" + server + "/" + tool + "'";
  const Json* pinned = lock.find(server, tool);
  if (pinned == nullptr) {
    return fail(ErrorCode::kTool, name + " is not pinned in " + kLockFile +
                                      "; look at it and pin it with: espalier lock FILE");
  }
  if (fingerprint(*pinned) == fingerprint(now)) return {};
  std::string what;
  for (const std::string& one : differences(*pinned, now)) what += (what.empty() ? "" : ", ") + one;
  return fail(ErrorCode::kTool, "the server has changed " + name + " since it was pinned: " + what +
                                    "; it is not called. Look at it and pin it anew with: "
                                    "espalier lock FILE");
}

}  // namespace espalier::dsl::mcp
