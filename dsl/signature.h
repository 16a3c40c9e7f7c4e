// Which call is being written at a place, and which of its parameters: what an editor shows while
// arguments are typed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dsl/symbols.h"

namespace espalier::dsl {

struct Signature {
  std::string label;  // "gen f(x: int, y: line = "a") -> line"
  std::string doc;
  struct Parameter {
    std::uint32_t begin = 0;  // in the label
    std::uint32_t end = 0;
    std::string doc;
  };
  std::vector<Parameter> parameters;
  std::optional<std::size_t> active;  // nothing: past the last one
};

/// The innermost call whose arguments byte `offset` of the program's own file stands in; nothing
/// where there is none or its callee is not known. The program may have errors: what stands before
/// the place is read by its lexemes alone. O(bytes before it + symbols).
[[nodiscard]] std::optional<Signature> signature_at(const Analysis& analysis, std::uint32_t offset);

}  // namespace espalier::dsl
