// Unicode data that regular expressions need: general categories, scripts, binary
// properties, simple case folding.
// The tables are generated (tools/regex_unicode_tables.pl); this header is how they are read.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "grammar/expression.h"

namespace espalier::grammar::unicode {

enum class Kind : std::uint8_t { kCategory, kScript, kBinary };  // the last: ECMA-262's alone

struct Property {
  std::string_view name;  // "Lu", "Uppercase_Letter", "Greek", "Grek"
  Kind kind;
  std::uint32_t first;  // ranges()[first, first + count)
  std::uint32_t count;
};

/// One step around the circle of code points that are equal when case is ignored.
struct Fold {
  char32_t code_point;
  char32_t next;
};

std::span<const CodePointRange> ranges();
std::span<const Property> properties();  // sorted by name
std::span<const Fold> folds();           // sorted by code point

/// The ranges of what has this name, of the kind or (without one) a category or script; nothing
/// where there is none.
std::optional<std::span<const CodePointRange>> find(std::string_view name,
                                                    std::optional<Kind> kind);

}  // namespace espalier::grammar::unicode
