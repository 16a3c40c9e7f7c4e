// Places in a JSON Schema document, and the errors that name them. Places point into the document,
// which must outlive them.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "grammar/json.h"

namespace espalier::grammar {

struct SchemaPlace {
  const Json* schema = nullptr;
  const Json* resource = nullptr;  // the nearest enclosing schema with an $id, or the root
  std::string pointer;  // JSON Pointer from the root, as errors print it ("#/properties/a")
};

/// A key as a JSON Pointer spells it (RFC 6901): `~` and `/` escaped.
[[nodiscard]] std::string pointer_token(std::string_view key);

/// Fails where the text nests deeper than `max_depth` (kLimit), has malformed UTF-8 or a number
/// that is not finite.
[[nodiscard]] Status check_schema_document(const Json& root, std::size_t max_depth);

/// "schema #/a/b: what".
[[nodiscard]] tl::unexpected<Error> schema_error(ErrorCode code, std::string_view pointer,
                                                 std::string_view what);

}  // namespace espalier::grammar
