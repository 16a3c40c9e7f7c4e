#include "runtime/jinja/parser.h"

#include "runtime/jinja/parser_state.h"
#include "runtime/jinja/resolver.h"

namespace espalier::runtime::jinja {

bool Parser::skip_name(std::string_view name) {
  if (error_ || !is_name(name)) return false;
  next();
  return true;
}

bool Parser::skip_op(std::string_view op) {
  if (error_ || !is_op(op)) return false;
  next();
  return true;
}

bool Parser::expect_op(std::string_view op) {
  if (skip_op(op)) return true;
  fail("expected '" + std::string(op) + "', found " + describe_now());
  return false;
}

bool Parser::expect_name(std::string_view name) {
  if (skip_name(name)) return true;
  fail("expected '" + std::string(name) + "', found " + describe_now());
  return false;
}

const Str* Parser::expect_identifier(const char* what) {
  if (now().kind != TokenKind::kName) {
    fail(std::string("expected ") + what + ", found " + describe_now());
    return name_text("");
  }
  const Str* name = name_text(now().text);
  next();
  return name;
}

void Parser::fail_at(std::uint32_t line, std::string what, ErrorCode code) {
  if (!error_) error_ = Error{code, "line " + std::to_string(line) + ": " + std::move(what)};
  at_ = tokens_.size() - 1;  // nothing more is read
}

std::string Parser::describe_now() const {
  switch (now().kind) {
    case TokenKind::kData:
      return "text";
    case TokenKind::kVariableBegin:
      return "'{{'";
    case TokenKind::kVariableEnd:
      return "'}}'";
    case TokenKind::kBlockBegin:
      return "'{%'";
    case TokenKind::kBlockEnd:
      return "'%}'";
    case TokenKind::kString:
      return "a string";
    case TokenKind::kEnd:
      return "the template's end";
    case TokenKind::kName:
    case TokenKind::kInteger:
    case TokenKind::kFloat:
    case TokenKind::kOperator:
      return "'" + now().text.substr(0, 40) + "'";
  }
  return "";
}

Body Parser::parse_template() { return arena_.copy(statements({})); }

// Statements up to a tag that begins with one of `ends`, whose name is the current token then.
std::vector<Stmt*> Parser::statements(std::initializer_list<std::string_view> ends) {
  const Nested nested(*this);
  std::vector<Stmt*> body;
  std::vector<Expr*> output;
  std::uint32_t output_line = 0;
  const auto flush = [&] {
    if (output.empty()) return;
    auto* made = arena_.make(OutputStmt{});
    made->kind = StmtKind::kOutput;
    made->line = output_line;
    made->parts = arena_.copy(output);
    body.push_back(made);
    output.clear();
  };
  while (!error_ && !at_end()) {
    if (arena_.exhausted()) {
      fail("the template's tree has more than " + std::to_string(arena_.limit()) + " bytes",
           ErrorCode::kLimit);
      break;
    }
    const Token& token = now();
    if (output.empty()) output_line = token.line;
    if (token.kind == TokenKind::kData) {
      auto* made = node<ConstExpr>(ExprKind::kConst, token.line);
      made->value = Value::of(make_str(arena_, token.text, kTemplate));
      output.push_back(made);
      next();
    } else if (token.kind == TokenKind::kVariableBegin) {
      next();
      output.push_back(tuple(true, false));
      if (!error_ && now().kind != TokenKind::kVariableEnd)
        fail("expected '}}', found " + describe_now());
      next();
    } else {
      flush();
      next();  // {%
      for (const auto end : ends) {
        if (is_name(end)) return body;
      }
      Stmt* made = statement();
      if (error_) break;
      body.push_back(made);
      if (now().kind != TokenKind::kBlockEnd) fail("expected '%}', found " + describe_now());
      next();
    }
  }
  flush();
  if (!error_ && ends.size() != 0) {
    std::string wanted;
    for (const auto end : ends) wanted += (wanted.empty() ? "" : " or ") + std::string(end);
    fail("the template ends where " + wanted + " is missing");
  }
  return body;
}

// A block's statements: from the end of its opening tag to the name in its closing tag.
Body Parser::block(std::initializer_list<std::string_view> ends) {
  skip_op(":");
  if (!error_ && now().kind != TokenKind::kBlockEnd) fail("expected '%}', found " + describe_now());
  next();
  return arena_.copy(statements(ends));
}

Body Parser::block_to(std::string_view end) {
  const Body body = block({end});
  next();
  return body;
}

Stmt* Parser::statement() {
  const Token& token = now();
  if (token.kind != TokenKind::kName) {
    fail("expected a tag's name, found " + describe_now());
    return nullptr;
  }
  const std::uint32_t line = token.line;
  const std::string& name = token.text;
  next();
  if (name == "for") return for_statement(line);
  if (name == "if") return if_statement(line);
  if (name == "set") return set_statement(line);
  if (name == "macro") return macro_statement(line);
  if (name == "call") return call_statement(line);
  if (name == "filter") return filter_statement(line);
  if (name == "with") return with_statement(line);
  if (name == "print") return print_statement(line);
  if (name == "generation") return generation_statement(line);
  if (name == "break") return jump_statement(line, StmtKind::kBreak);
  if (name == "continue") return jump_statement(line, StmtKind::kContinue);
  for (const auto known : {"block", "extends", "include", "import", "from", "autoescape"}) {
    if (name == known) {
      fail_at(line, "{% " + name + " %} is not supported", ErrorCode::kUnsupported);
      return nullptr;
    }
  }
  fail_at(line, "there is no tag {% " + name.substr(0, 40) + " %}");
  return nullptr;
}

Stmt* Parser::for_statement(std::uint32_t line) {
  auto* made = arena_.make(ForStmt{});
  made->kind = StmtKind::kFor;
  made->line = line;
  made->target = target(false);
  expect_name("in");
  made->list = tuple(false, false);
  if (skip_name("if")) {
    made->test = expression();
    if (made->target != nullptr) made->test_target = copied(*made->target);
  }
  made->recursive = skip_name("recursive");
  ++loops_;
  made->body = block({"endfor", "else"});
  --loops_;
  if (skip_name("else"))
    made->otherwise = block_to("endfor");
  else
    next();
  return made;
}

Stmt* Parser::if_statement(std::uint32_t line) {
  auto* made = arena_.make(IfStmt{});
  made->kind = StmtKind::kIf;
  made->line = line;
  std::vector<IfBranch> branches;
  ++soft_;
  while (!error_) {
    Expr* test = tuple(false, false);
    branches.push_back({test, block({"elif", "else", "endif"})});
    if (skip_name("elif")) continue;
    if (skip_name("else"))
      branches.push_back({nullptr, block_to("endif")});
    else
      next();
    break;
  }
  --soft_;
  made->branches = arena_.copy(branches);
  return made;
}

Stmt* Parser::set_statement(std::uint32_t line) {
  Target* to = target(true);
  if (skip_op("=")) {
    auto* made = arena_.make(SetStmt{});
    made->kind = StmtKind::kSet;
    made->line = line;
    made->target = to;
    made->value = tuple(true, false);
    return made;
  }
  auto* made = arena_.make(SetBlockStmt{});
  made->kind = StmtKind::kSetBlock;
  made->line = line;
  made->target = to;
  while (!error_ && skip_op("|")) made->filter = filter(made->filter);
  made->body = block_to("endset");
  return made;
}

void Parser::signature(MacroBody& macro) {
  std::vector<NameExpr*> parameters;
  std::vector<Expr*> defaults;
  if (!expect_op("(")) return;
  while (!error_ && !is_op(")")) {
    if (!parameters.empty() && !expect_op(",")) return;
    const std::uint32_t line = now().line;
    const Str* name = expect_identifier("a parameter's name");
    for (const NameExpr* other : parameters) {
      if (other->name->view() == name->view()) fail_at(line, "two parameters have one name");
    }
    parameters.push_back(name_node(name->view(), line));
    if (skip_op("="))
      defaults.push_back(expression());
    else if (!defaults.empty())
      fail("a parameter without a default follows one with a default");
  }
  expect_op(")");
  macro.parameters = arena_.copy(parameters);
  macro.defaults = arena_.copy(defaults);
}

Stmt* Parser::macro_statement(std::uint32_t line) {
  auto* made = arena_.make(MacroStmt{});
  made->kind = StmtKind::kMacro;
  made->line = line;
  made->macro.name = expect_identifier("a macro's name");
  made->target = name_node(made->macro.name->view(), line);
  signature(made->macro);
  const std::uint32_t loops = std::exchange(loops_, 0);
  made->macro.body = block_to("endmacro");
  loops_ = loops;
  return made;
}

Stmt* Parser::call_statement(std::uint32_t line) {
  auto* made = arena_.make(CallBlockStmt{});
  made->kind = StmtKind::kCallBlock;
  made->line = line;
  if (is_op("(")) signature(made->macro);
  Expr* call = expression();
  if (error_) return nullptr;
  if (call->kind != ExprKind::kCall) {
    fail_at(line, "{% call %} needs a call");
    return nullptr;
  }
  made->call = static_cast<CallExpr*>(call);
  const std::uint32_t loops = std::exchange(loops_, 0);
  made->macro.body = block_to("endcall");
  loops_ = loops;
  return made;
}

Stmt* Parser::filter_statement(std::uint32_t line) {
  auto* made = arena_.make(FilterBlockStmt{});
  made->kind = StmtKind::kFilterBlock;
  made->line = line;
  do {
    made->filter = filter(made->filter);
  } while (!error_ && skip_op("|"));
  made->body = block_to("endfilter");
  return made;
}

Stmt* Parser::with_statement(std::uint32_t line) {
  auto* made = arena_.make(WithStmt{});
  made->kind = StmtKind::kWith;
  made->line = line;
  std::vector<Target*> targets;
  std::vector<Expr*> values;
  while (!error_ && now().kind != TokenKind::kBlockEnd) {
    if (!targets.empty()) expect_op(",");
    targets.push_back(target(false));
    expect_op("=");
    values.push_back(expression());
  }
  made->targets = arena_.copy(targets);
  made->values = arena_.copy(values);
  made->body = block_to("endwith");
  return made;
}

Stmt* Parser::print_statement(std::uint32_t line) {
  auto* made = arena_.make(OutputStmt{});
  made->kind = StmtKind::kOutput;
  made->line = line;
  std::vector<Expr*> parts;
  while (!error_ && now().kind != TokenKind::kBlockEnd) {
    if (!parts.empty()) expect_op(",");
    parts.push_back(expression());
  }
  made->parts = arena_.copy(parts);
  return made;
}

Stmt* Parser::generation_statement(std::uint32_t line) {
  auto* made = arena_.make(GenerationStmt{});
  made->kind = StmtKind::kGeneration;
  made->line = line;
  const std::uint32_t loops = std::exchange(loops_, 0);
  made->macro.body = block_to("endgeneration");
  loops_ = loops;
  return made;
}

Stmt* Parser::jump_statement(std::uint32_t line, StmtKind kind) {
  if (loops_ == 0) fail_at(line, "{% break %} and {% continue %} stand in loops only");
  auto* made = arena_.make(Stmt{});
  made->kind = kind;
  made->line = line;
  return made;
}

Target* Parser::target_part(bool attributes) {
  const std::uint32_t line = now().line;
  if (is_op("(")) {
    const Nested nested(*this);
    if (error_) return nullptr;
    next();
    Target* inner = target(false);
    expect_op(")");
    return inner;
  }
  const Str* name = expect_identifier("a name to assign to");
  for (const auto constant : {"true", "false", "none", "True", "False", "None"}) {
    if (name->view() == constant)
      fail_at(line, "'" + std::string(constant) + "' cannot be assigned to");
  }
  auto* made = arena_.make(Target{});
  made->line = line;
  made->name = name_node(name->view(), line);
  if (attributes && skip_op(".")) {
    made->kind = Target::Kind::kAttribute;
    made->attribute = expect_identifier("an attribute's name");
  }
  return made;
}

Target* Parser::target(bool attributes) {
  const std::uint32_t line = now().line;
  std::vector<Target*> parts;
  bool several = false;
  while (!error_) {
    if (!parts.empty() && is_op(")")) break;
    parts.push_back(target_part(attributes));
    if (!skip_op(",")) break;
    several = true;
  }
  if (error_) return nullptr;
  if (!several) return parts.front();
  auto* made = arena_.make(Target{});
  made->kind = Target::Kind::kTuple;
  made->line = line;
  made->parts = arena_.copy(parts);
  return made;
}

Target* Parser::copied(const Target& from) {
  Target* made = arena_.make(Target(from));
  if (from.name != nullptr) made->name = name_node(from.name->name->view(), from.line);
  std::vector<Target*> parts;
  for (const Target* part : from.parts) parts.push_back(copied(*part));
  made->parts = arena_.copy(parts);
  return made;
}

Result<ParsedTemplate> parse(std::string_view source, Arena& arena) {
  ESP_ASSIGN(auto tokens, tokenize(source));
  Parser parser(std::move(tokens), arena);
  ParsedTemplate parsed;
  parsed.body = parser.parse_template();
  if (parser.error()) return tl::unexpected<Error>(*parser.error());
  ESP_TRY(resolve(parsed, arena));
  return parsed;
}

}  // namespace espalier::runtime::jinja
