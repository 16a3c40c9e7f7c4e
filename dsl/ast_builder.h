// Builds the AST from the syntax nodes. Inner part of the parser: only parser.cpp and the builder's
// own files use it.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dsl/ast.h"
#include "dsl/diagnostic.h"
#include "dsl/syntax_tree.h"

namespace espalier::dsl {

class AstBuilder {
 public:
  AstBuilder(const Source& source, std::uint32_t index, const SyntaxTree& tree,
             Diagnostics& diagnostics, const File& after)
      : source_(source),
        index_(index),
        tree_(tree),
        diagnostics_(diagnostics),
        expressions_(after.expressions),
        holes_(after.holes),
        patterns_(after.patterns) {}

  [[nodiscard]] File file();

 private:
  using Node = std::uint32_t;  // index into tree_.nodes

  /// The children of a node, read from left to right.
  class Children {
   public:
    Children(const SyntaxTree& tree, Node parent)
        : tree_(tree), at_(parent + 1), end_(tree.nodes[parent].next) {}
    [[nodiscard]] bool done() const { return at_ >= end_; }
    [[nodiscard]] Kind kind() const { return tree_.nodes[at_].kind; }
    [[nodiscard]] bool is(Kind kind) const { return !done() && this->kind() == kind; }
    Node next() {
      const Node node = at_;
      at_ = tree_.nodes[at_].next;
      return node;
    }
    std::optional<Node> take(Kind kind) {
      return is(kind) ? std::optional<Node>(next()) : std::nullopt;
    }

   private:
    const SyntaxTree& tree_;
    Node at_;
    Node end_;
  };

  [[nodiscard]] Children children(Node node) const { return {tree_, node}; }
  [[nodiscard]] Kind kind(Node node) const { return tree_.nodes[node].kind; }
  [[nodiscard]] Span span(Node node) const {
    return {index_, tree_.nodes[node].begin, tree_.nodes[node].end};
  }
  [[nodiscard]] std::string_view slice(Node node) const { return source_.slice(span(node)); }

  // Leaves and text (ast_builder_text.cpp)
  Identifier identifier(Node node) const { return {std::string(slice(node)), span(node)}; }
  StringLiteral string_literal(Node node);
  std::string regex_pattern(Node node) const;
  Number number(Node node, bool negative = false);
  RangeLiteral range(Node node);
  Text text(Node node);
  Hole hole(Node node);
  Insert insert(Node node);
  /// Resolves the escape at `offset` (a backslash) into `out`; the offset after it.
  std::uint32_t escape(std::uint32_t offset, std::uint32_t limit, std::string& out);
  /// The `///` lines before `node`, and the one after it on its line.
  std::string doc(Node node, bool trailing) const;

  // Types and expressions (ast_builder_expr.cpp)
  TypePtr type(Node node);
  TypePtr type_primary(Node node);
  FieldDecl field(Node node);
  ExprPtr expr(Node node);
  ExprPtr binary(Children& parts, int least);
  ExprPtr unary(Children& parts);
  ExprPtr primary(Node node);
  ExprPtr postfix(ExprPtr object, Node suffix);
  ExprPtr record_literal(Node node);
  ExprPtr fork(Node node);
  ExprPtr missing(Span span);
  template <class T>
  ExprPtr make(Span span, T node) {
    auto made = std::make_unique<Expr>();
    made->id = expressions_++;
    made->span = span;
    made->node = std::move(node);
    return made;
  }

  // Statements (ast_builder_statement.cpp)
  Block block(Node node);
  Block body(Node node);  // of a block, or of one statement or text
  Stmt statement(Node node);
  ForStmt for_loop(Node node);
  Stmt match(Node node);
  Pattern pattern(Node node);

  // Declarations (ast_builder.cpp)
  std::vector<Decl> declarations(Node file);
  std::vector<FieldDecl> fields(Children& parts);
  EnumDecl enumeration(Node node);
  GrammarDecl grammar(Node node);
  std::vector<std::vector<GrammarItem>> alternatives(Node node);
  GrammarItem grammar_item(Node node);
  ToolDecl tool(Node node);
  GenDecl gen(Node node);
  TestDecl test(Node node);

  const Source& source_;
  std::uint32_t index_;
  const SyntaxTree& tree_;
  Diagnostics& diagnostics_;
  ExprId expressions_;
  HoleId holes_;
  PatternId patterns_;
};

}  // namespace espalier::dsl
