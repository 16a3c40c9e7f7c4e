// The documents of a schema: the one at hand and those that its references lead to, by URI.
//
// Every $id (`id` in draft 4) begins a resource with a URI of its own; $anchor and $dynamicAnchor
// name places in it. References are resolved as RFC 3986 has it; documents that are not here are
// asked of the caller's resolver, never of a network. Owns those; the one at hand is the caller's,
// who keeps it until clear(). Places point into both.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "grammar/json.h"
#include "grammar/json_schema.h"
#include "grammar/json_schema_document.h"

namespace espalier::grammar {

/// Which keywords a resource's schemas have.
struct SchemaRules {
  SchemaDraft draft = SchemaDraft::k2020;
  bool declared = false;        // the resource, or the caller, says which draft it is
  bool validation = true;       // $vocabulary of its metaschema: whether it has that of validation
  std::optional<bool> formats;  // … and whether `format` asserts; unset: the caller's choice
  std::string foreign;          // the metaschema that nothing is known of, if it is such a one
};

class SchemaDocuments {
 public:
  SchemaDocuments(const Json& schema, const SchemaOptions& options)
      : schema_(&schema), options_(options) {}

  /// The schema itself; fails where it nests too deep or is no well-formed JSON value.
  Result<SchemaPlace> root();
  /// The value under `key` of a place's schema.
  [[nodiscard]] SchemaPlace child(const SchemaPlace& at, const Json& value,
                                  std::string_view key) const;
  /// What `reference`, the value of `keyword` at `from`, points to.
  Result<SchemaPlace> resolve(const SchemaPlace& from, const std::string& reference,
                              std::string_view keyword);
  /// The place that `anchor` names by $dynamicAnchor in a resource; nullptr where there is none.
  [[nodiscard]] const SchemaPlace* dynamic_anchor(const Json* resource,
                                                  const std::string& anchor) const;
  [[nodiscard]] const SchemaRules& rules(const SchemaPlace& at) const;
  /// Lets the documents go: no place in them may be used after.
  void clear() {
    resources_ = {};
    by_uri_ = {};
    ambiguous_ = {};
    members_ = {};
    documents_ = {};
    schema_ = nullptr;
  }
  /// Whether a document has, or one that is still to come may have, references whose target depends
  /// on the way there.
  [[nodiscard]] bool dynamic() const { return dynamic_ || options_.resolver != nullptr; }

 private:
  struct Resource {
    SchemaPlace place;
    std::string uri;
    SchemaRules rules;
    std::map<std::string, SchemaPlace> anchors;
    std::map<std::string, SchemaPlace> dynamic_anchors;
  };
  Status add(const Json& document, const std::string& uri);
  Status read_metaschema(const std::string& uri, const std::string& pointer, SchemaRules& rules);
  Result<SchemaPlace> follow(SchemaPlace at, std::string_view pointer, const SchemaPlace& from,
                             const std::string& reference, std::string_view keyword);

  [[nodiscard]] const Json* member(const Json& object, const std::string& key);

  const Json* schema_;
  const SchemaOptions& options_;
  std::deque<Json> documents_;  // the others
  std::unordered_map<const Json*, Resource> resources_;
  std::map<std::string, const Json*> by_uri_;     // the first of each
  std::map<std::string, std::string> ambiguous_;  // by URI where another one stands that differs
  // Of objects with many members that references lead through.
  std::unordered_map<const Json*, std::unordered_map<std::string_view, const Json*>> members_;
  bool dynamic_ = false;
  bool loaded_ = false;
};

/// RFC 3986, section 5.2: `reference` as seen from `base`; both without fragments.
std::string resolve_uri(std::string_view base, std::string_view reference);

}  // namespace espalier::grammar
