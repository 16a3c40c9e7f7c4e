// Messages of the language as LSP has them.
#pragma once

#include <map>
#include <string>

#include "cli/lsp/workspace.h"

namespace espalier::cli::lsp {

/// An analysis's diagnostics by the path of their file; a file without any is absent.
[[nodiscard]] std::map<std::string, Json> diagnostics_of(const dsl::Analysis& analysis,
                                                         const Workspace& workspace);
/// One of them.
[[nodiscard]] Json diagnostic_json(const dsl::Diagnostic& diagnostic, const dsl::Analysis& analysis,
                                   const Workspace& workspace);

}  // namespace espalier::cli::lsp
