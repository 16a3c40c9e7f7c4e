// `tools.lock`: the MCP tools that a program may call, as they were when a person pinned them.
//
// The whole object that a server's tools/list gives for a tool is pinned, not what is shown of it:
// name, title, descriptions, schemas, annotations, whatever else there is. Its hash is over the
// object with its members sorted; the object stands beside it so that what changed can be said.
// The file is JSON, sorted and indented: fit for version control and for reading.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/json.h"

namespace espalier::dsl::mcp {

inline constexpr const char* kLockFile = "tools.lock";

/// SHA-256 of the object, written compactly with its members sorted, in hexadecimal.
[[nodiscard]] std::string fingerprint(const Json& tool);

/// What differs, by JSON pointer: {"/description", "/inputSchema/properties/zone"}; at most `most`.
[[nodiscard]] std::vector<std::string> differences(const Json& before, const Json& after,
                                                   std::size_t most = 8);

class Lock {
 public:
  /// kCorrupt, naming the place: no lock file, another version, an object that is not its hash's.
  [[nodiscard]] static Result<Lock> read(std::string_view text);
  [[nodiscard]] std::string text() const;

  /// The pinned object, or null.
  [[nodiscard]] const Json* find(const std::string& server, const std::string& tool) const;
  void pin(const std::string& server, const std::string& tool, Json object);
  [[nodiscard]] bool has_server(const std::string& server) const {
    return servers_.count(server) != 0;
  }
  bool operator==(const Lock&) const = default;

 private:
  std::map<std::string, std::map<std::string, Json>> servers_;
};

/// `now` against what is pinned. kTool: the tool is not pinned or has changed; the message says
/// what changed and how to pin it.
[[nodiscard]] Status check_pinned(const Lock& lock, const std::string& server,
                                  const std::string& tool, const Json& now);

}  // namespace espalier::dsl::mcp
