// Renaming what a program calls something, everywhere at once and without a change of meaning.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "dsl/symbols.h"

namespace espalier::dsl {

/// The places to change so that the symbol whose name stands at byte `offset` of source `file` is
/// called `name`; of one place at most one change, in order. What the program would then be is
/// analyzed and compared: kInvalid, with the reason, where the name is none, is taken, or would
/// come to mean something else; kNotFound where no name stands there. `read` and `findings` as for
/// analyze().
[[nodiscard]] Result<std::vector<Replacement>> rename(const Analysis& analysis, std::uint32_t file,
                                                      std::uint32_t offset, const std::string& name,
                                                      const ReadFile& read,
                                                      AutomatonFindings* findings = nullptr);

/// `text`, which is source `file`, with those of `changes` that are in it; they are in order and
/// don't overlap.
[[nodiscard]] std::string with_changes(const std::string& text, std::uint32_t file,
                                       const std::vector<Replacement>& changes);

}  // namespace espalier::dsl
