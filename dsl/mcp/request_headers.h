// What a request to an MCP server says in HTTP headers as well as in its body, so that what stands
// between can route it (revision 2026-07-28, Streamable HTTP, "Request Metadata").
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "grammar/json.h"

namespace espalier::dsl::mcp {

using Headers = std::vector<std::pair<std::string, std::string>>;

/// As it may stand in a header: itself, or `=?base64?…?=` where a header could not carry it.
[[nodiscard]] std::string header_value(std::string_view text);

/// The `Mcp-Param-…` headers of a call: the arguments whose places in the tool's `inputSchema`
/// say `x-mcp-header`. kUnsupported where the annotations break the specification's rules, which
/// makes the tool one that must not be called.
[[nodiscard]] Result<Headers> parameter_headers(const Json& tool, const Json& arguments);

}  // namespace espalier::dsl::mcp
