// How a type or a tool is described to a model: `${Type}` prints a JSON Schema, `${tool}` a
// function description.
//
// A model that never saw a format does badly under its mask, so programs put the schema into the
// prompt. Doc comments become descriptions. Recursive types are printed once under $defs.
#pragma once

#include <string>

#include "dsl/program.h"
#include "grammar/json.h"

namespace espalier::dsl {

[[nodiscard]] Json schema_of(const grammar::TypeRef& type);
[[nodiscard]] std::string schema_text(const TypeInfo& type);
/// {"name", "description", "parameters"} as models are trained on.
[[nodiscard]] std::string tool_text(const ToolInfo& tool);

}  // namespace espalier::dsl
