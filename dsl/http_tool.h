// `http "METHOD url"` tools: a call becomes one HTTP request, its answer the tool's result.
//
// `{name}` in the URL's path or query is replaced by that argument, percent-encoded; in the path it
// may not be empty, "." or "..", so that an argument stays the one segment that it stands in. The
// other arguments are the query of a GET or DELETE, and the JSON body of a POST, PUT or PATCH.
// A header that signs the call goes over https alone, or to this very machine; where the answer
// says its value back, it is blotted out, so that neither a model nor a trace gets to see it.
// Lists repeat their name in a query. An answer of 200–299 is the result: JSON by its content type,
// text as a string, null where there is none. Everything else fails, redirects too.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/result.h"
#include "dsl/tools.h"

namespace espalier::dsl {

/// kTool and what http_request gives. `limit`: bytes of the answer. `credential`: a header that
/// signs the call (tool_permissions.h); nothing of it stands in an error.
[[nodiscard]] Result<Json> call_http(
    const ToolRequest& request, std::size_t limit,
    const std::optional<std::pair<std::string, std::string>>& credential = {});

}  // namespace espalier::dsl
