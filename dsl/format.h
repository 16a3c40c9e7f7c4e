// One style for .gen files.
//
// format() keeps the author's lines and comments and decides everything else: two columns an open
// bracket's line, one more step where a statement goes on in a new line, single spaces, no space at
// a line's end, at most one empty line, none at a block's ends. The text of a `"""` moves with its
// indentation, which is no part of it. What formatting changed is parsed again and compared, so the
// meaning never changes (kInternal otherwise); formatting twice changes nothing more. O(bytes).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "dsl/diagnostic.h"

namespace espalier::dsl {

/// The file's formatted text; with `edition` (one that is known), rewritten for it, its `config`
/// saying so. A file with syntax errors or of a later edition is refused (kInvalid); what is wrong
/// stands in `diagnostics`, whose source 0 is the file.
[[nodiscard]] Result<std::string> format(const Source& source, Diagnostics& diagnostics,
                                         std::optional<std::int64_t> edition = std::nullopt);

}  // namespace espalier::dsl
