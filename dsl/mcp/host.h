// `mcp "server/tool"` tools: the servers of `mcp.json`, each reached once and kept, and only tools
// that are pinned in `tools.lock` and unchanged since.
//
// Thread-safe. A server that dies, hangs or breaks the protocol costs the calls that were waiting;
// the next call reaches it anew. A session that the server has ended is begun again once.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "dsl/mcp/lock.h"
#include "dsl/mcp/servers.h"
#include "dsl/mcp/session.h"
#include "dsl/tools.h"

namespace espalier::dsl::mcp {

class Host {
 public:
  /// `directory`: the folder of the program, where mcp.json and tools.lock stand.
  explicit Host(std::string directory) : directory_(std::move(directory)) {}

  [[nodiscard]] Result<Json> call(const ToolRequest& request, std::size_t limit);
  /// The raw object of `server`'s `tool` as it is now, pinned or not.
  [[nodiscard]] Result<Json> look(const std::string& server, const std::string& tool,
                                  const Limits& limits);

 private:
  struct Entry {
    std::mutex mutex;  // held while the server is reached
    std::shared_ptr<Session> session;
  };
  Result<std::shared_ptr<Session>> session(const std::string& name, const Limits& limits);
  Result<Json> call_once(const ToolRequest& request, const std::string& server,
                         const std::string& tool, const Limits& limits);
  Status load();

  std::string directory_;
  std::mutex mutex_;
  std::optional<Status> loaded_;
  Servers servers_;
  std::optional<Lock> lock_;
  std::map<std::string, std::shared_ptr<Entry>> entries_;
};

/// Pins what `program`'s mcp tools are now into `lock`. Gives a line for each: new, changed (what),
/// or as before. What `allow` does not open is an error.
[[nodiscard]] Result<std::vector<std::string>> pin(const Program& program,
                                                   const std::vector<std::string>& allow,
                                                   Host& host, const Limits& limits, Lock& lock);

/// The lock file of that folder; an empty one where there is none.
[[nodiscard]] Result<Lock> read_lock(const std::string& directory);

}  // namespace espalier::dsl::mcp
