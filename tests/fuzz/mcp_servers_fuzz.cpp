// Any bytes as an `mcp.json`: refused, or every server has one way to be reached and nothing in it
// that a command line or a header cannot hold; with its variables put in, no `${NAME}` is left.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "dsl/mcp/servers.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace espalier::dsl::mcp;
  const auto servers = read_servers({reinterpret_cast<const char*>(data), size});
  if (!servers) return 0;
  for (const auto& [name, server] : *servers) {
    ESP_CHECK(name == server.name && !name.empty());
    ESP_CHECK(server.command.empty() != server.url.empty());
    for (const std::string& one : server.arguments) ESP_CHECK(one.find('\0') == std::string::npos);
    for (const std::string& one : server.environment)
      ESP_CHECK(one.find('=') != 0 && one.find('=') != std::string::npos);
    const auto ready = with_variables(server, [](const std::string& variable) {
      return variable.size() < 4 ? std::optional<std::string>("value") : std::nullopt;
    });
    if (!ready) continue;
    ESP_CHECK(ready->arguments.size() == server.arguments.size());
    for (const std::string& one : ready->arguments) {
      const std::size_t open = one.find("${");
      ESP_CHECK(open == std::string::npos || one.find('}', open) == std::string::npos);
    }
  }
  return 0;
}
