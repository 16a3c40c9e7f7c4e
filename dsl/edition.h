// Editions: which language a file is written in.
//
// `config { edition: N }` says it; a file without one is of the first. There is one edition so far.
// The day the language changes what a program means, the number here goes up, the front end goes on
// reading the older ones as they were, and `espalier fmt --edition` rewrites a file for a newer
// one. A file of a later edition than this program knows is refused as such, and for nothing else
// that it holds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "dsl/ast.h"
#include "dsl/diagnostic.h"

namespace espalier::dsl {

inline constexpr std::int64_t kFirstEdition = 1;
inline constexpr std::int64_t kLastEdition = 1;

struct Edition {
  std::int64_t number = kFirstEdition;
  std::optional<Span> span;  // of the number, where the file says it
};
/// The edition of the file whose declarations are `file`'s of source `index`. E0211: it is no whole
/// number from kFirstEdition up.
[[nodiscard]] Edition edition_of(const File& file, std::uint32_t index, Diagnostics& diagnostics);

/// E0119 where this program does not know the edition; true then.
bool refuse_later(const Edition& edition, Diagnostics& diagnostics);

/// The text of a file with the line that says `edition`, rewritten for it.
[[nodiscard]] std::string with_edition(std::string_view text, const File& file,
                                       const Edition& before, std::int64_t edition);

}  // namespace espalier::dsl
