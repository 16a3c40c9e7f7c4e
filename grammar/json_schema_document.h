// A JSON Schema document: places in it, and what a local `$ref` points to.
//
// References inside one resource resolve: `#`, `#/json/pointer`, `#anchor`, and the same after the
// resource's own
// `$id`. A nested `$id` starts a resource of its own, whose references are relative to it.
// Everything else would need another document and is refused. Places point into the document, which
// must outlive them.
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

  /// The value under `key` of this object, or of the array at an index; an $id there begins a
  /// resource.
  [[nodiscard]] SchemaPlace child(const Json& value, std::string_view key) const;
};

/// Fails where the text nests deeper than `max_depth` (kLimit), has malformed UTF-8 or a number
/// that is not finite.
[[nodiscard]] Status check_schema_document(const Json& root, std::size_t max_depth);

/// What `reference`, standing at `from`, points to.
[[nodiscard]] Result<SchemaPlace> resolve_reference(const SchemaPlace& root,
                                                    const SchemaPlace& from,
                                                    const std::string& reference);

/// "schema #/a/b: what".
[[nodiscard]] tl::unexpected<Error> schema_error(ErrorCode code, std::string_view pointer,
                                                 std::string_view what);

}  // namespace espalier::grammar
