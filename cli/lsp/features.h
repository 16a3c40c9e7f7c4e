// What an editor asks about a place or a document; each gives the `result` of its request.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/lsp/workspace.h"

namespace espalier::cli::lsp {

/// A place in an open document.
struct Place {
  const Document& document;
  const dsl::Analysis& analysis;
  std::uint32_t offset = 0;
};

[[nodiscard]] Json hover(const Place& place, const Workspace& workspace);       // hover.cpp
[[nodiscard]] Json completion(const Place& place, const Workspace& workspace);  // completion.cpp
/// Null outside of a call's arguments.
[[nodiscard]] Json signature_help(const Place& place, const Workspace& workspace);  // signature.cpp
[[nodiscard]] Json definition(const Place& place, const Workspace& workspace);  // navigation.cpp
[[nodiscard]] Json references(const Place& place, bool declarations, Workspace& workspace);
[[nodiscard]] Json highlights(const Place& place, const Workspace& workspace);
[[nodiscard]] Json document_symbols(const Document& document, const Workspace& workspace);
/// Null where no name stands there that could be another.
[[nodiscard]] Json prepare_rename(const Place& place, const Workspace& workspace);  // edits.cpp
[[nodiscard]] Result<Json> rename_everywhere(const Place& place, const std::string& name,
                                             Workspace& workspace);
/// Null where the document does not parse.
[[nodiscard]] Json formatting(const Document& document, const Workspace& workspace);
/// The fixes of diagnostics that touch the bytes from `begin` to `end`.
[[nodiscard]] Json code_actions(const Document& document, std::uint32_t begin, std::uint32_t end,
                                const Workspace& workspace);
/// {"data": …}, and the names that it counts into.
[[nodiscard]] Json semantic_tokens(const Document& document, const Workspace& workspace);
[[nodiscard]] Json semantic_legend();

}  // namespace espalier::cli::lsp
