// From a template's source to its syntax tree.
#pragma once

#include <string_view>

#include "base/result.h"
#include "runtime/jinja/arena.h"
#include "runtime/jinja/ast.h"

namespace espalier::runtime::jinja {

struct ParsedTemplate {
  Body body;
  ScopeLayout scope;
};

/// The tree, in `arena`, with its names resolved (resolver.h). Errors name the line and the
/// construct: kInvalid for what Jinja refuses too, kUnsupported for what it has and this does not
/// (inheritance, includes, blocks), kLimit for nesting and for a tree larger than the arena.
/// O(source); the stack is bounded.
[[nodiscard]] Result<ParsedTemplate> parse(std::string_view source, Arena& arena);

}  // namespace espalier::runtime::jinja
