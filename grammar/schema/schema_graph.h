// A schema as formulas: one for every place that its root reaches, with the keywords read and
// checked.
//
// A node is a place in the documents, together with the resources that led there where references
// are dynamic. Its formula speaks of the schemas that apply to the same value (allOf, $ref, if …)
// and of those that apply to members and items by number (AtomKind::kNode); `expanded` has the
// former put in. Everything that is not enforced is an error that names its JSON Pointer. Immutable
// once created, and then without the documents, which only reading needs; size is linear in the
// schema, but for `oneOf`, quadratic in its branches, and `unevaluated*` where it depends on more
// than names, exponential in the conditions (kMaxConditions).
#pragma once

#include <compare>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/fuel.h"
#include "grammar/regex_parser.h"
#include "grammar/schema/formula.h"
#include "grammar/schema/schema_documents.h"

namespace espalier::grammar {

class SchemaGraph {
 public:
  static constexpr std::size_t kMaxInPlace =
      64;  // schemas inside schemas for one and the same value
  static constexpr std::size_t kMaxUniquePrefix = 32;  // items before the rest, with `uniqueItems`
  static constexpr std::size_t kMaxKeyPatterns = 128;  // of one object
  static constexpr std::size_t kMaxConditions = 6;     // that `unevaluated*` depends on
  static constexpr std::size_t kMaxNamedConditions = 64;  // … where they speak of names alone

  /// Reads `schema`, which is the caller's and not needed after.
  static Result<std::shared_ptr<const SchemaGraph>> create(const Json& schema,
                                                           const SchemaOptions& options,
                                                           Fuel& fuel);
  /// As create, and keeps outcomes(); what would be refused is in them and no error.
  static Result<std::shared_ptr<const SchemaGraph>> examine(const Json& schema,
                                                            const SchemaOptions& options,
                                                            Fuel& fuel);

  [[nodiscard]] const Formulas& formulas() const { return formulas_; }
  /// What the whole value satisfies.
  [[nodiscard]] FormulaId root() const { return root_; }
  [[nodiscard]] FormulaId expanded(std::uint32_t node) const { return expanded_[node]; }
  /// Whether a number may be the whole value: such a text may go on where it could end.
  [[nodiscard]] bool may_be_number() const { return may_be_number_; }
  /// Whether some formula has a part that is not enforced (SchemaOptions::strict is off).
  [[nodiscard]] bool has_unknown() const { return unknowns_ > 0; }
  /// Whether members keep the order in which they are declared.
  [[nodiscard]] bool ordered() const { return options_.order == MemberOrder::kDeclared; }
  /// The objects and arrays that `enum` and `const` name.
  [[nodiscard]] const std::vector<Json>& enumerated() const { return enumerated_; }
  /// With itself.
  [[nodiscard]] std::size_t held_bytes() const;
  /// What becomes of each keyword, in the order in which they were read; only of what examine()
  /// gave.
  [[nodiscard]] const std::vector<KeywordOutcome>& outcomes() const { return outcomes_; }

 private:
  struct Node {
    SchemaPlace place;
    std::uint32_t scope = 0;
    FormulaId formula = 0;
    FormulaId expanded = 0;
    std::uint8_t state = 0;  // of the expansion: 0 new, 1 open, 2 done
  };
  /// Which members or items a schema has spoken of, where `condition` holds.
  struct Coverage {
    FormulaId condition = Formulas::kTrue;
    std::vector<std::string> names;
    std::vector<FormulaId> patterns;
    std::size_t items = 0;
    std::vector<FormulaId> contains;
    bool all = false;
  };

  SchemaGraph(const Json& schema, const SchemaOptions& options, Fuel& fuel)
      : options_(options), documents_(schema, options_), fuel_(&fuel) {}
  Status read();
  void forget();
  Result<FormulaId> node(const SchemaPlace& place, std::uint32_t scope);
  Result<FormulaId> child(const SchemaPlace& at, std::uint32_t scope, const char* keyword);
  Result<std::vector<FormulaId>> list(const SchemaPlace& at, std::uint32_t scope,
                                      const char* keyword);
  Result<FormulaId> read_node(std::uint32_t index);
  Status read_values(const SchemaPlace& at, std::vector<FormulaId>& parts);
  Status read_numbers(const SchemaPlace& at, std::vector<FormulaId>& parts);
  Status read_strings(const SchemaPlace& at, std::vector<FormulaId>& parts);
  Status read_objects(const SchemaPlace& at, std::uint32_t scope, std::vector<FormulaId>& parts);
  Status read_arrays(const SchemaPlace& at, std::uint32_t scope, std::vector<FormulaId>& parts);
  Status read_combinations(const SchemaPlace& at, std::uint32_t scope,
                           std::vector<FormulaId>& parts);
  Status read_dependencies(const SchemaPlace& at, std::uint32_t scope,
                           std::vector<FormulaId>& parts);
  Result<std::pair<SchemaPlace, std::uint32_t>> reference(const SchemaPlace& at,
                                                          std::uint32_t scope, const char* keyword);
  /// The keyword's value where it stands and is one of the schema's draft and vocabularies.
  [[nodiscard]] const Json* keyword(const SchemaPlace& at, std::string_view name) const;
  [[nodiscard]] bool has(const SchemaPlace& at, std::string_view name) const {
    return keyword(at, name) != nullptr;
  }
  Status read_keywords(const SchemaPlace& at, std::vector<FormulaId>& parts);
  /// The keyword at `pointer` cannot be enforced: an error where options are strict; else it may
  /// hold or not.
  Result<FormulaId> unenforced(const std::string& pointer, const std::string& why);
  void note(const std::string& pointer, KeywordOutcome::Kind kind, std::string reason);
  Result<FormulaId> pattern(const std::string& pointer, const std::string& regex);
  std::optional<FormulaId> counted_pattern(const std::string& text, const Regex& regex);
  /// Not `atom`, for values of the types it speaks of; others satisfy it.
  FormulaId unless(const Atom& atom, JsonTypes types);
  FormulaId value_formula(const Json& value);
  FormulaId order(std::vector<std::uint32_t> names);
  Result<std::optional<std::uint64_t>> count(const SchemaPlace& at, const char* name) const;
  static constexpr std::array<const char*, 4> kNumberBounds{"minimum", "exclusiveMinimum",
                                                            "maximum", "exclusiveMaximum"};
  struct NumberBound {
    Decimal at;
    bool lower = false, strict = false;
  };
  /// What one of these says; nothing where it stands for nothing by itself (drafts before 6: a
  /// boolean), is no number, or takes too many places.
  [[nodiscard]] std::optional<NumberBound> number_bound(const SchemaPlace& at,
                                                        const char* name) const;
  // Another branch of a `oneOf`, and the types of values that may satisfy both.
  struct Meeting {
    std::uint32_t branch = 0;
    JsonTypes types;
  };
  FormulaId exactly_one(const std::vector<FormulaId>& branches,
                        const std::vector<std::vector<Meeting>>& meets);
  Status expand_all();
  std::uint32_t scope_with(std::uint32_t scope, const Json* resource);

  // schema_spoken_types.cpp
  JsonTypes spoken_types(const SchemaPlace& at, std::size_t depth);
  /// The types of values of which no two branches say nothing: others satisfy both.
  JsonTypes types_of_one(const std::vector<SchemaPlace>& branches);

  // schema_disjoint.cpp
  /// For each branch of the `oneOf` at `at`, those that a value of it, of the types `may`, may
  /// satisfy too where it satisfies all else that `at` says.
  Result<std::vector<std::vector<Meeting>>> meeting(const SchemaPlace& at,
                                                    const std::vector<SchemaPlace>& branches,
                                                    JsonTypes may);
  struct Profile;
  Profile own_profile(const SchemaPlace& at);
  void profile(const SchemaPlace& at, std::size_t depth, std::size_t most, std::size_t& left,
               std::vector<Profile>& ways);

  // schema_conditions.cpp
  static constexpr std::size_t kFewestConditions = 3;  // that are worth a choice
  // What a condition asks: that a member, at the end of a path of members, is one of some values.
  struct Asked {
    struct Step {
      std::uint32_t name = 0;
      bool required = false;  // it fails where the member is absent …
      bool typed = false;     // … and where what holds it is no object
      friend auto operator<=>(const Step&, const Step&) = default;
    };
    std::vector<Step> path;
    std::uint32_t values = 0;  // a set
  };
  bool asked(FormulaId value, Asked& out) const;
  FormulaId at_path(const std::vector<Asked::Step>& path, FormulaId value, bool whole);
  FormulaId by_constants(const std::vector<FormulaId>& all);
  Status tell_conditions_apart();

  // schema_unevaluated.cpp
  Status read_unevaluated(const SchemaPlace& at, std::uint32_t scope,
                          std::vector<FormulaId>& parts);
  FormulaId by_names(const std::vector<Coverage>& coverage, FormulaId rest);
  Status cover(const SchemaPlace& at, std::uint32_t scope, bool of_items, FormulaId condition,
               std::size_t depth, bool outermost, std::vector<Coverage>& out);

  SchemaOptions options_;
  SchemaDocuments documents_;
  Fuel* fuel_;
  Formulas formulas_;
  std::vector<Node> nodes_;          // while it is read
  std::vector<FormulaId> expanded_;  // by node
  std::map<std::pair<const Json*, std::uint32_t>, std::uint32_t> node_ids_;
  std::vector<std::vector<const Json*>> scopes_{{}};
  std::map<std::vector<const Json*>, std::uint32_t> scope_ids_{{{}, 0}};
  std::vector<KeywordOutcome> outcomes_;
  std::map<std::string, std::size_t> outcome_ids_;
  bool examining_ = false;
  std::uint32_t unknowns_ = 0;
  std::size_t conditions_ = 0;  // `if`s that were read
  std::vector<Json> enumerated_;
  FormulaId root_ = Formulas::kFalse;
  bool may_be_number_ = false;
};

/// The JSON Schema formats; nullopt for names that no draft knows.
struct SchemaFormat {
  const char* regex = nullptr;
  std::uint32_t longest = 0;  // code points; 0: no bound
};
std::optional<SchemaFormat> schema_format(std::string_view name);
/// Whether the regex is of a format whose automaton is large, but worth finishing once for all.
bool large_format(std::string_view regex);
std::vector<std::string_view> schema_format_names();

}  // namespace espalier::grammar
