// The drafts' own schemas: what a schema of that draft must look like. They are the only documents
// that references find without the caller's resolver.
#pragma once

#include <optional>
#include <string_view>

#include "grammar/json_schema.h"

namespace espalier::grammar {

/// The draft whose schema language `uri` names ("http://json-schema.org/draft-07/schema", with or
/// without an empty fragment); nothing for other URIs.
[[nodiscard]] std::optional<SchemaDraft> draft_of(std::string_view uri);

/// A schema of the draft's schemas, made from the shapes of its keywords' values.
[[nodiscard]] Json metaschema(SchemaDraft draft);

}  // namespace espalier::grammar
