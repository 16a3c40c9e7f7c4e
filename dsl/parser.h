// From source to AST: syntax match, then the tree that the rest of the language works on.
//
// parse() reports every syntax error it finds and still gives what it could read, so that names and
// types of the rest can be checked. Limits: kMaxSource bytes, kMaxNesting levels, kMaxSyntaxNodes;
// each is an error that names it.
#pragma once

#include <vector>

#include "dsl/ast.h"
#include "dsl/diagnostic.h"

namespace espalier::dsl {

struct Parsed {
  File file;
  std::vector<Span>
      skipped;           // could not be read: a name that occurs in here may have been anything
  bool complete = true;  // false: nothing was read at all
};

/// `index` is the source's place among the program's sources; ids go on from the counts of `after`,
/// the files before it. O(bytes).
[[nodiscard]] Parsed parse(const Source& source, std::uint32_t index, Diagnostics& diagnostics,
                           const File& after = {});

/// True for the words that cannot be names.
[[nodiscard]] bool is_keyword(std::string_view word);

}  // namespace espalier::dsl
