// The parser's state and its productions; parser.cpp has the statements, parser_expression.cpp the
// expressions.
//
// A production that fails sets the error once and gives a null or an empty node; every loop ends
// then, because the tokens are used up.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/jinja/builtins.h"
#include "runtime/jinja/lexer.h"
#include "runtime/jinja/parser.h"
#include "runtime/jinja/strings.h"

namespace espalier::runtime::jinja {

class Parser {
 public:
  Parser(std::vector<Token> tokens, Arena& arena) : tokens_(std::move(tokens)), arena_(arena) {}

  /// The whole template.
  Body parse_template();
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

 private:
  // Tokens.
  [[nodiscard]] const Token& now() const { return tokens_[at_]; }
  [[nodiscard]] const Token& look() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  [[nodiscard]] bool at_end() const { return now().kind == TokenKind::kEnd; }
  [[nodiscard]] bool is_name(std::string_view name) const {
    return now().kind == TokenKind::kName && now().text == name;
  }
  [[nodiscard]] bool is_op(std::string_view op) const {
    return now().kind == TokenKind::kOperator && now().text == op;
  }
  void next() {
    if (!at_end()) ++at_;
  }
  bool skip_name(std::string_view name);
  bool skip_op(std::string_view op);
  bool expect_op(std::string_view op);
  bool expect_name(std::string_view name);
  const Str* expect_identifier(const char* what);
  void fail(std::string what, ErrorCode code = ErrorCode::kInvalid) {
    fail_at(now().line, std::move(what), code);
  }
  void fail_at(std::uint32_t line, std::string what, ErrorCode code = ErrorCode::kInvalid);
  [[nodiscard]] std::string describe_now() const;

  // Nodes.
  template <class Node>
  Node* node(ExprKind kind, std::uint32_t line, std::initializer_list<const Expr*> children = {});
  /// Accounts for a child that is added to `parent` after it was made.
  void deepen(Expr& parent, const Expr* child);
  const Str* name_text(std::string_view text) { return make_str(arena_, text, kTemplate); }
  struct Nested;

  // Statements.
  std::vector<Stmt*> statements(std::initializer_list<std::string_view> ends);
  Body block(std::initializer_list<std::string_view> ends);
  Body block_to(std::string_view end);
  Stmt* statement();
  Stmt* for_statement(std::uint32_t line);
  Stmt* if_statement(std::uint32_t line);
  Stmt* set_statement(std::uint32_t line);
  Stmt* macro_statement(std::uint32_t line);
  Stmt* call_statement(std::uint32_t line);
  Stmt* filter_statement(std::uint32_t line);
  Stmt* with_statement(std::uint32_t line);
  Stmt* print_statement(std::uint32_t line);
  Stmt* generation_statement(std::uint32_t line);
  Stmt* jump_statement(std::uint32_t line, StmtKind kind);
  void signature(MacroBody& macro);
  Target* target(bool attributes);
  Target* target_part(bool attributes);
  Target* copied(const Target& from);

  // Expressions.
  Expr* expression(bool condition = true);
  Expr* or_expression();
  Expr* and_expression();
  Expr* not_expression();
  Expr* compare_expression();
  Expr* binary_expression(int level);
  Expr* unary_expression(bool with_filters);
  Expr* primary();
  Expr* tuple(bool condition, bool parentheses);
  Expr* list();
  Expr* dictionary();
  Expr* postfix(Expr* node);
  Expr* filters(Expr* node);
  Expr* filter(Expr* subject);
  Expr* test(Expr* subject);
  Expr* call(Expr* callee);
  Expr* subscript(Expr* object);
  void arguments(Arguments& out, Expr* owner);
  std::string dotted_name();
  NameExpr* name_node(std::string_view name, std::uint32_t line);

  std::vector<Token> tokens_;
  Arena& arena_;
  std::size_t at_ = 0;
  std::optional<Error> error_;
  std::uint32_t nesting_ = 0;  // native recursion
  std::uint32_t loops_ = 0;    // loops around the place, in the same function
  std::uint32_t soft_ = 0;     // inside an `if`: an unknown filter fails only when reached
};

/// Nesting of blocks and brackets. A source that is deeper is refused before the stack is used up.
inline constexpr std::uint32_t kMaxParserNesting = 100;

struct Parser::Nested {
  explicit Nested(Parser& p) : parser(p) {
    if (++parser.nesting_ > kMaxParserNesting) {
      parser.fail("nested deeper than " + std::to_string(kMaxParserNesting), ErrorCode::kLimit);
    }
  }
  ~Nested() { --parser.nesting_; }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;
  Parser& parser;
};

template <class Node>
Node* Parser::node(ExprKind kind, std::uint32_t line, std::initializer_list<const Expr*> children) {
  Node* made = arena_.make(Node{});
  made->kind = kind;
  made->line = line;
  for (const Expr* child : children) deepen(*made, child);
  return made;
}

}  // namespace espalier::runtime::jinja
