// The checker's state and its parts, one file a concept: check.cpp (declarations), check_types.cpp
// (type expressions), check_named_types.cpp (the language's own, by name), check_grammar.cpp,
// check_expr.cpp, check_member.cpp, check_call.cpp, check_flow.cpp (statements
// and paths), check_match.cpp, check_tests.cpp, check_scope.cpp (variables), check_text.cpp (texts
// and holes), check_automata.cpp (what their automata decide), check_gens.cpp (what generators do
// to each other), check_symbols.cpp (what an editor is told of names). Inner part of the room: only
// those files include it.
//
// A generator is checked in one walk in program order. The environment is a stack of scopes of
// single-assignment variables; a statement's check says whether control goes on after it.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dsl/check.h"
#include "dsl/static_types.h"
#include "dsl/symbols.h"

namespace espalier::dsl {

/// What is known of an expression's value.
struct Static {
  TypeRef type;            // null: unknown
  bool from_hole = false;  // has `.truncated`
  bool selected = false;   // has `.p` and `.dist`
};

/// A number as a message writes it.
[[nodiscard]] std::string written_number(const Number& number);

class Checker {
 public:
  Checker(Program& program, const Loaded& loaded, const ReadFile& read, Diagnostics& diagnostics,
          SymbolNotes* notes, AutomatonFindings* findings);
  void run();

 private:
  // ---- declarations (check.cpp)
  enum class Entity : std::uint8_t { kType, kTool, kGen, kFile };
  struct Declared {
    Entity entity{};
    std::uint32_t index = 0;  // into the program's types, tools, gens or sources
    Span span;
  };
  /// What a file's names stand for: its own declarations, those it takes from others by `use`, and
  /// `other.name` for each declaration of a file that it uses as `other`.
  using Names = std::map<std::string, Declared>;
  /// While one lives, names are those of `file`.
  class InFile {
   public:
    InFile(Checker& checker, std::uint32_t file)
        : checker_(checker), before_(std::exchange(checker.file_, file)) {}
    ~InFile() { checker_.file_ = before_; }
    InFile(const InFile&) = delete;
    InFile& operator=(const InFile&) = delete;

   private:
    Checker& checker_;
    std::uint32_t before_;
  };
  [[nodiscard]] Names& names() { return names_[file_]; }
  [[nodiscard]] const Names& names() const { return names_[file_]; }
  [[nodiscard]] const Declared* declared(const std::string& name) const {
    const auto at = names().find(name);
    return at == names().end() ? nullptr : &at->second;
  }
  /// The name that an expression spells: `name`, or `other.name` of a file used as `other`.
  [[nodiscard]] std::optional<Identifier> spelled_name(const Expr& expr) const;
  void use(const UseDecl& decl);
  std::string program_name(const Identifier& name);
  void declare_all();
  void declare(const Identifier& name, Entity entity, std::uint32_t index);
  void define_types();
  void refuse_nested_calls(std::span<const std::shared_ptr<grammar::Type>> records);
  void define_tools();
  void tool_transport(ToolInfo& tool);
  void http_target(const ToolInfo& tool);
  void mcp_target(const ToolInfo& tool);
  void against_lock(const ToolInfo& tool, const Json& pinned);
  void define_gens();
  void config(const ConfigDecl& decl);
  bool word_of(const ConfigEntry& entry, const std::string& first, const std::string& second);
  [[nodiscard]] Parameter parameter(const FieldDecl& field, bool generated);
  /// The value of a constant expression of `type`, or nothing (reported).
  std::optional<Json> constant(const Expr& expr, const TypeRef& type);
  std::optional<Json> fold(const Expr& expr);
  void reasoning_order(const std::vector<FieldDecl>& fields);

  // ---- types (check_types.cpp)
  enum class Place : std::uint8_t { kValue, kJson, kPlain };
  TypeRef type(const TypeExpr& written, Place place);
  bool unreadable_pattern(const std::string& pattern, const Span& span);
  TypeRef type_at(const TypeExpr& written, Place place);
  TypeRef named_type(const TypeExpr& written, const NamedType& named);
  TypeRef builtin_type(const TypeExpr& written, const NamedType& named);
  TypeRef schema_type(const TypeExpr& written, const NamedType& named);
  TypeRef grammar_type(const GrammarDecl& decl, TypeInfo& info);
  TypeRef cite_type(const TypeExpr& written, const NamedType& named);
  TypeRef map_type(const TypeExpr& written, const NamedType& named);
  /// Reports a type that values from outside cannot be checked against.
  void from_outside(const TypeRef& type, const Span& span);
  TypeRef declared_type(std::uint32_t index, const Span& use);
  void define_type(std::uint32_t index);
  TypeRef record_type(const std::vector<FieldDecl>& fields, std::map<std::string, Json>* defaults);
  TypeRef enum_type(const EnumDecl& decl);
  TypeRef type_inside(const TypeExpr& written, Place place);
  TypeRef union_of(const TypeExpr& written, const UnionType& node, Place place);
  bool length_bounds(const RangeLiteral& range, Type& type);
  void join_calls(std::vector<TypeRef>& items, std::vector<Span>& spans);
  void calls_or_text(const std::vector<TypeRef>& items, const std::vector<Span>& spans);
  void ambiguity(const std::vector<TypeRef>& items, const std::vector<Span>& spans, bool json);
  bool productive(const TypeRef& type, std::set<const Type*>& seen, int& fuel);
  static bool reaches(const TypeRef& type, const Type* target, std::set<const Type*>& passed);

  // ---- expressions (check_expr.cpp)
  Static expr(const Expr& node, const TypeRef& expected = nullptr);
  Static expr_node(const Expr& node, const TypeRef& expected);
  Static name(const Expr& node, const Identifier& written);
  Static binary(const BinaryExpr& written);
  Static binary_result(const BinaryExpr& written, const Static& left, const Static& right);
  Static record(const Expr& node, const RecordExpr& written, const TypeRef& expected);
  Static list(const ListExpr& written, const TypeRef& expected);
  Static fork(const ForkExpr& written);
  Static run_call(const Expr& node, const RunExpr& written);
  /// The expression must be a `want`; `what` names the place in the message.
  Static expect(const Expr& node, const TypeRef& want, const std::string& what);
  void mismatch(const Span& span, const TypeRef& want, const TypeRef& found,
                const std::string& what);
  void unknown_name(const Identifier& name, const std::string& kind,
                    const std::vector<std::string>& candidates);
  [[nodiscard]] std::vector<std::string> names_in_reach() const;

  // ---- members and items (check_member.cpp)
  Static member(const Expr& node, const MemberExpr& written);
  Static member_of(const Static& object, const Identifier& key);
  TypeRef field_of(const TypeRef& object, const Identifier& key, bool quiet);
  Static index(const IndexExpr& written);
  [[nodiscard]] static std::string path_of(const Expr& node);

  // ---- calls (check_call.cpp)
  Static call(const Expr& node, const CallExpr& written);
  Static builtin_result(const BuiltinInfo& builtin, const std::vector<const Expr*>& arguments,
                        const std::vector<TypeRef>& types);
  Static builtin_call(const Expr& node, const CallExpr& written, const BuiltinInfo& builtin);
  bool place_arguments(const CallExpr& written, const Span& span,
                       const std::vector<std::string>& names, const std::vector<bool>& required,
                       const std::string& callee, std::vector<const Expr*>& out);

  // ---- statements (check_flow.cpp)
  bool block(const Block& node, bool scoped);
  bool statement(const Stmt& node);
  bool role(const RoleStmt& node);
  bool let(const LetStmt& node);
  bool if_statement(const IfStmt& node);
  bool for_statement(const ForStmt& node, const Span& span);
  struct Collector;
  void collected(const ForStmt& node, const Collector& frame);
  bool retry(const RetryStmt& node, const Span& span);
  bool return_statement(const ReturnStmt& node, const Span& span);
  void splice(const SpliceStmt& node, const Span& span);
  void gen(GenInfo& info);

  // ---- tests (check_tests.cpp)
  void test(const TestDecl& decl);

  // ---- matches (check_match.cpp)
  bool match(const MatchStmt& node, const Span& span);
  /// What a pattern asks of the value; takes what it covers out of `left`, the cases no arm has
  /// taken yet.
  void pattern(const Pattern& node, const TypeRef& value, const std::vector<TypeRef>& cases,
               std::vector<TypeRef>& left, bool last);
  void typed_pattern(const Pattern& node, const TypeRef& value, const std::vector<TypeRef>& cases,
                     std::vector<TypeRef>& left);

  // ---- variables (check_scope.cpp)
  struct Variable {
    std::string name;
    Span span;
    Static value;
    bool warn_unused = false;
    bool used = false;
  };
  void bind(const Identifier& name, Static value, bool warn_unused = false,
            SymbolKind kind = SymbolKind::kVariable);
  Variable* find(const std::string& name);
  void drop_variables(std::size_t left);
  [[nodiscard]] std::vector<Variable> variables_from(std::size_t first) const;
  /// `region`: what the new scope's variables are in reach of, from their definition on.
  void open_scope(const Span& region);
  void close_scope();
  /// It stands as `{name}` somewhere in the generator, without the `$` of an insert.
  [[nodiscard]] bool in_braces_alone(const Variable& variable) const;
  /// Facts that hold where `condition` came out as `truth`: paths that are not null.
  void learn(const Expr& condition, bool truth);
  /// `subject` is a field that has one of the values of `value` (or not the one of it): which
  /// records of a union that leaves.
  void learn_member(const Expr& subject, const TypeRef& value, bool differs);

  // ---- what an editor is told of names, where one asks (check_symbols.cpp)
  void note(SymbolKind kind, const Identifier& name, const TypeRef& type = nullptr,
            const std::string& doc = {});
  void note_variable(SymbolKind kind, const Identifier& name, const TypeRef& type);
  void note_use(const Span& use, const Span& definition, const TypeRef& type = nullptr) {
    if (notes_ != nullptr) notes_->refer(use, definition, type);
  }
  /// The name that `node` spells, `name` or `other.name`, is the one that `word` stands for.
  void note_spelled(const Expr& node, const std::string& word);
  void note_field(const Span& use, const TypeRef& record, const std::string& field);
  void note_case(const Span& use, const std::string& type, const std::string& name);
  void note_record(const TypeRef& made, const std::vector<FieldDecl>& fields);
  void note_declarations();
  void note_mock(const Identifier& name);

  // ---- texts and holes (check_text.cpp)
  void text(const Text& node, bool value);
  void hole(const Hole& node, const Text& text, std::size_t position);
  void hole_options(const Hole& node);
  void choices(const Hole& node, const TypeRef& type);
  void follow(const Hole& node, const Text& text, std::size_t position, const TypeRef& type);
  void turn_order(const Block& body);
  struct Written;
  void prefix_breaking(const Block& body);
  void follow_writing(const Block& body, Written& written);
  void follow_text(const Text& text, Written& written);
  void follow_splice(const SpliceStmt& splice, Written& written);
  void end_of_writing(Written& written);
  [[nodiscard]] bool differs(const Insert& insert) const;

  // ---- the holes' automata (check_automata.cpp)
  void automata();
  void uncompiled(const Error& why, const Span& span);
  void narrowed(const Hole& hole, std::string_view follow);

  // ---- between generators (check_gens.cpp)
  struct Traits {
    bool turns = false;
    bool holes = false;
  };
  [[nodiscard]] std::optional<std::uint32_t> called_gen(const Expr& expr) const;
  void collect_traits();
  void refuse_recursion();

  /// True (reported) where `count` is more than one declaration or expression may hold.
  bool too_many(std::size_t count, const Span& span, const std::string& what);
  [[nodiscard]] bool tainted(const std::string& word) const { return tainted_.count(word) > 0; }
  [[nodiscard]] const Source& source() const { return program_.sources[file_]; }
  Diagnostic& error(std::string code, Span span, std::string message, std::string label = {}) {
    return diagnostics_.error(std::move(code), span, std::move(message), std::move(label));
  }

  Program& program_;
  const Loaded& loaded_;
  const ReadFile& read_;
  Diagnostics& diagnostics_;
  SymbolNotes* notes_;           // null where no editor asks
  AutomatonFindings* findings_;  // null where nobody keeps them
  const Hole* hole_ = nullptr;   // being bound
  bool broken_ = false;          // the parser skipped something: no warnings about what is missing
  std::set<std::string> tainted_;  // words in what it skipped

  std::vector<Names> names_;     // by source
  std::uint32_t file_ = 0;       // whose names count
  std::set<std::string> taken_;  // names of the whole program
  enum class State : std::uint8_t { kNew, kOpen, kDone };
  std::vector<State> type_states_;
  // Levels of types inside each other. A declared type that is met before it is defined is defined
  // there and then, which counts for more: it takes more of the stack.
  std::uint32_t type_level_ = 0;
  std::uint32_t deepest_type_ = 0;          // reached since the definition at hand began
  std::vector<std::uint32_t> type_levels_;  // of each that is defined
  std::vector<const Decl*> type_decls_;
  std::vector<std::shared_ptr<Type>>
      type_references_;  // made when a type is used while it is being defined

  // The generator being checked.
  GenInfo* gen_ = nullptr;
  std::uint32_t gen_index_ = 0;
  std::vector<Variable> variables_;
  std::unordered_map<std::string, std::size_t> variable_index_;  // name -> place in variables_
  std::vector<std::size_t> scopes_;     // where each scope's variables begin
  std::vector<std::uint32_t> regions_;  // and where its region ends
  std::map<std::string, Span> ended_;   // bound in a scope that is over
  std::vector<std::pair<std::string, TypeRef>> facts_;
  struct Turn {
    bool open = false;
    std::optional<Role> role;  // absent for `turn`
    Span span;
  };
  Turn turn_;
  std::uint32_t loops_ = 0;
  /// What takes the values of `yield`: a fork, or a loop that is bound by `let`.
  struct Collector {
    TypeRef type;
    bool yields = false;
    bool unknown = false;
    bool selected = false;
  };
  std::vector<Collector> collectors_;  // innermost last
  std::uint32_t forks_ = 0;            // of them
  bool mixed_ = false;                 // this generator has turns, so text outside them is an error

  std::vector<Traits> traits_;
  std::map<std::string, std::vector<Span>> holes_named_;
  std::map<std::string, Span> test_names_;
};

}  // namespace espalier::dsl
