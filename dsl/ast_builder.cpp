// Declarations.
#include "dsl/ast_builder.h"

namespace espalier::dsl {

File AstBuilder::file() {
  File result;
  result.source = index_;
  if (!tree_.nodes.empty()) result.declarations = declarations(0);
  result.expressions = expressions_;
  result.holes = holes_;
  result.patterns = patterns_;
  return result;
}

std::vector<Decl> AstBuilder::declarations(Node file) {
  std::vector<Decl> result;
  for (auto all = children(file); !all.done();) {
    const Node node = all.next();
    auto parts = children(node);
    switch (kind(node)) {
      case Kind::kUse: {
        UseDecl use;
        use.span = span(node);
        use.path = string_literal(parts.next());
        if (const auto as = parts.take(Kind::kUseAs)) {
          auto inner = children(*as);
          use.as = identifier(inner.next());
        } else if (const auto names = parts.take(Kind::kUseNames)) {
          for (auto inner = children(*names); !inner.done();)
            use.names.push_back(identifier(inner.next()));
        }
        result.emplace_back(std::move(use));
        break;
      }
      case Kind::kConfig: {
        ConfigDecl config;
        config.span = span(node);
        while (!parts.done()) {
          auto inner = children(parts.next());
          ConfigEntry entry;
          entry.key = identifier(inner.next());
          entry.value = expr(inner.next());
          config.entries.push_back(std::move(entry));
        }
        result.emplace_back(std::move(config));
        break;
      }
      case Kind::kRecord: {
        RecordDecl record;
        record.span = span(node);
        record.name = identifier(parts.next());
        record.fields = fields(parts);
        record.doc = doc(node, false);
        result.emplace_back(std::move(record));
        break;
      }
      case Kind::kEnum:
        result.emplace_back(enumeration(node));
        break;
      case Kind::kAlias: {
        AliasDecl alias;
        alias.span = span(node);
        alias.name = identifier(parts.next());
        alias.type = type(parts.next());
        alias.doc = doc(node, true);
        result.emplace_back(std::move(alias));
        break;
      }
      case Kind::kGrammar:
        result.emplace_back(grammar(node));
        break;
      case Kind::kTool:
        result.emplace_back(tool(node));
        break;
      case Kind::kGen:
        result.emplace_back(gen(node));
        break;
      case Kind::kTest:
        result.emplace_back(test(node));
        break;
      default:
        break;
    }
  }
  return result;
}

std::vector<FieldDecl> AstBuilder::fields(Children& parts) {
  std::vector<FieldDecl> result;
  while (parts.is(Kind::kField)) result.push_back(field(parts.next()));
  return result;
}

EnumDecl AstBuilder::enumeration(Node node) {
  EnumDecl result;
  result.span = span(node);
  auto parts = children(node);
  result.name = identifier(parts.next());
  while (!parts.done()) {
    const Node written = parts.next();
    auto inner = children(written);
    EnumCaseDecl made;
    made.span = span(written);
    made.name = identifier(inner.next());
    if (const auto as = inner.take(Kind::kAs)) {
      auto string = children(*as);
      made.as = string_literal(string.next());
    }
    made.doc = doc(written, true);
    result.cases.push_back(std::move(made));
  }
  result.doc = doc(node, false);
  return result;
}

GrammarDecl AstBuilder::grammar(Node node) {
  GrammarDecl result;
  result.span = span(node);
  auto parts = children(node);
  result.name = identifier(parts.next());
  while (!parts.done()) {
    const Node written = parts.next();
    auto inner = children(written);
    GrammarRule rule;
    rule.span = span(written);
    rule.name = identifier(inner.next());
    rule.alternatives = alternatives(inner.next());
    result.rules.push_back(std::move(rule));
  }
  result.doc = doc(node, false);
  return result;
}

std::vector<std::vector<GrammarItem>> AstBuilder::alternatives(Node node) {
  std::vector<std::vector<GrammarItem>> result;
  for (auto sequences = children(node); !sequences.done();) {
    result.emplace_back();
    for (auto items = children(sequences.next()); !items.done();)
      result.back().push_back(grammar_item(items.next()));
  }
  return result;
}

GrammarItem AstBuilder::grammar_item(Node node) {
  GrammarItem result;
  result.span = span(node);
  auto parts = children(node);
  const Node first = parts.next();
  switch (kind(first)) {
    case Kind::kRegex:
      result.kind = GrammarItem::Kind::kRegex;
      result.text = regex_pattern(first);
      break;
    case Kind::kString:
      result.kind = GrammarItem::Kind::kString;
      result.text = string_literal(first).value;
      break;
    case Kind::kName:
      result.kind = GrammarItem::Kind::kName;
      result.text = slice(first);
      break;
    default:
      result.kind = GrammarItem::Kind::kGroup;
      result.group = alternatives(first);
  }
  if (const auto repeat = parts.take(Kind::kRepeat)) result.repeat = slice(*repeat).front();
  if (const auto count = parts.take(Kind::kCount)) {
    auto inner = children(*count);
    result.count = range(inner.next());
  }
  return result;
}

ToolDecl AstBuilder::tool(Node node) {
  ToolDecl result;
  result.span = span(node);
  auto parts = children(node);
  result.name = identifier(parts.next());
  if (const auto as = parts.take(Kind::kAs)) {
    auto inner = children(*as);
    result.as = string_literal(inner.next());
  }
  if (const auto parameters = parts.take(Kind::kParameters)) {
    auto inner = children(*parameters);
    result.parameters = fields(inner);
  }
  if (const auto written = parts.take(Kind::kResult)) {
    auto inner = children(*written);
    result.result = type(inner.next());
  }
  if (const auto transport = parts.take(Kind::kTransport)) {
    auto inner = children(*transport);
    result.transport = identifier(inner.next());
    result.target = string_literal(inner.next());
  }
  result.doc = doc(node, false);
  return result;
}

GenDecl AstBuilder::gen(Node node) {
  GenDecl result;
  result.span = span(node);
  auto parts = children(node);
  if (const auto name = parts.take(Kind::kName)) result.name = identifier(*name);
  if (const auto parameters = parts.take(Kind::kParameters)) {
    auto inner = children(*parameters);
    result.parameters = fields(inner);
  }
  if (const auto written = parts.take(Kind::kResult)) {
    auto inner = children(*written);
    result.result = type(inner.next());
  }
  result.body = block(parts.next());
  result.doc = doc(node, false);
  return result;
}

TestDecl AstBuilder::test(Node node) {
  TestDecl result;
  result.span = span(node);
  auto parts = children(node);
  result.name = string_literal(parts.next());
  while (!parts.done()) {
    const Node item = parts.next();
    auto inner = children(item);
    if (kind(item) == Kind::kMock) {
      result.items.emplace_back(MockEntry{span(item), record_literal(inner.next())});
    } else if (kind(item) == Kind::kLet) {
      Stmt let = statement(item);
      result.items.emplace_back(std::get<LetStmt>(std::move(let.node)));
    } else {
      Expectation made;
      made.span = span(item);
      if (inner.is(Kind::kExpectType)) {
        auto typed = children(inner.next());
        made.type = type(typed.next());
        made.accepts = slice(typed.next()).substr(0, 7) == "accepts";
        made.string = string_literal(typed.next());
      } else {
        made.condition = expr(inner.next());
      }
      result.items.emplace_back(std::move(made));
    }
  }
  return result;
}

}  // namespace espalier::dsl
