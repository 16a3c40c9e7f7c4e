// The drafts' own schemas: what a schema of that draft must look like. With those of their
// vocabularies they are the only documents that references find without the caller's resolver.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "grammar/json_schema.h"

namespace espalier::grammar {

/// The draft whose schema language `uri` names ("http://json-schema.org/draft-07/schema", with or
/// without an empty fragment); nothing for other URIs.
[[nodiscard]] std::optional<SchemaDraft> draft_of(std::string_view uri);

/// The schema of a draft's schemas, or of those of one of its vocabularies, made from the shapes of
/// its keywords' values; nothing for other URIs.
[[nodiscard]] std::optional<Json> metaschema(const std::string& uri);

}  // namespace espalier::grammar
