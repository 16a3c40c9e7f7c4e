// Where a program's names are defined and used, and what stands at a place: what an editor asks.
//
// The checker notes each name as it resolves it (SymbolNotes), so that nobody looks names up a
// second time by rules of their own. What it could not resolve, or what the parser skipped, has no
// occurrence. Symbols whose names must stay equal (a hole and the mock that answers it, a tool's
// parameter and the name that an arm gives it) are one group.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dsl/program.h"

namespace espalier::dsl {

class AutomatonFindings;

enum class SymbolKind : std::uint8_t {
  kRecord,
  kEnum,
  kAlias,
  kGrammar,
  kTool,
  kGen,
  kFile,  // `use "…" as name`
  kParameter,
  kVariable,  // of let, for, fork, match and retry
  kHole,
  kField,
  kCase,
  kRule,
};

struct Symbol {
  SymbolKind kind{};
  std::string name;
  Span span;              // of the name, where it is defined
  Span scope;             // where a variable, hole or parameter is in reach; empty for all else
  grammar::TypeRef type;  // null: none, or not known
  std::string doc;
  const Hole* hole = nullptr;  // of kHole; into the program
  std::uint32_t group = 0;     // index of the first symbol of its group
};

struct Occurrence {
  Span span;
  std::uint32_t symbol = 0;
  grammar::TypeRef type;  // of the value here, where it is narrower than the symbol's own
  bool definition = false;
  bool key_alone =
      false;  // `{move}`: a field's name and a variable's at once; this is the variable
};

struct SymbolIndex {
  std::vector<Symbol> symbols;          // by file and place of the definition
  std::vector<Occurrence> occurrences;  // by file and place; of one place the variable first

  /// The occurrence at byte `offset` of `file`, also just behind its end. O(log n).
  [[nodiscard]] const Occurrence* at(std::uint32_t file, std::uint32_t offset) const;
  /// All places of the symbol's group, in order. O(n).
  [[nodiscard]] std::vector<const Occurrence*> places(std::uint32_t symbol) const;
};

/// What the checker notes while it resolves names: pairs of places. Cost: O(1) a note.
class SymbolNotes {
 public:
  void define(Symbol symbol);
  /// The name at `use` is the one that is defined at `definition`.
  void refer(const Span& use, const Span& definition, grammar::TypeRef type = nullptr);
  /// What stands here is a record's key and its value at once.
  void key_alone(const Span& span);
  /// Both definitions must keep one name.
  void together(const Span& a, const Span& b);
  /// The record type `type` has its fields where `fields` say.
  void record(const grammar::TypeRef& type, const std::vector<FieldDecl>& fields);
  void record_alias(const grammar::TypeRef& copy, const grammar::Type* original);
  /// The fields of the record `type` are called as the cases of the enum `name` (`.dist`).
  void by_case(const grammar::TypeRef& type, std::string name);
  /// That enum, or null.
  [[nodiscard]] const std::string* enum_of(const grammar::Type& type) const;
  /// Where `field` of a record type is defined, if that is known.
  [[nodiscard]] std::optional<Span> field(const grammar::Type& type,
                                          const std::string& field) const;

  [[nodiscard]] SymbolIndex finish() &&;

 private:
  struct Use {
    Span span, definition;
    grammar::TypeRef type;
  };
  std::vector<Symbol> symbols_;
  std::vector<Use> uses_;
  std::vector<std::pair<Span, Span>> together_;
  std::set<std::pair<std::uint32_t, std::uint32_t>> keys_alone_;  // file and place
  std::map<const grammar::Type*, const std::vector<FieldDecl>*> records_;
  std::map<const grammar::Type*, std::string> by_case_;
  std::vector<grammar::TypeRef> kept_;  // so that an address in `records_` stays one type's
};

/// A program as an editor sees it: also one with errors.
struct Analysis {
  std::shared_ptr<const Program> program;  // never null; its tables are full where there are no
                                           // errors, else as far as the checker came
  Diagnostics diagnostics;
  SymbolIndex symbols;
};

/// What compile() does, and the index besides. Same limits; the same cost but for automata that
/// `findings` know from an analysis before.
[[nodiscard]] Analysis analyze(std::string name, std::string text, const ReadFile& read = nullptr,
                               AutomatonFindings* findings = nullptr);

/// What a name stands for, on one line as a program would declare it: "gen f(x: int) -> line",
/// "hole t: line", "record Item".
[[nodiscard]] std::string declaration(const Analysis& analysis, const Symbol& symbol,
                                      const grammar::TypeRef& narrowed = nullptr);

}  // namespace espalier::dsl
