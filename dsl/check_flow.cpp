// Statements, scopes and paths: what is bound where, which statements are reached, whether every
// path returns.
#include <algorithm>

#include "dsl/checker.h"
#include "dsl/suggest.h"

namespace espalier::dsl {
namespace {

constexpr std::int64_t kMaxRetries = 100;

/// The cases that a match may tell apart: enum cases, true and false, tools, alternatives. Anything
/// else is one case.
void split(const TypeRef& given, std::vector<TypeRef>& out, int depth = 0) {
  const TypeRef type = resolve(given);
  if (type == nullptr || depth > 32) return;
  switch (type->kind) {
    case TypeKind::kOptional:
      split(type->items.at(0), out, depth + 1);
      out.push_back(basic_type(TypeKind::kNull));
      break;
    case TypeKind::kUnion:
      for (const TypeRef& item : type->items) split(item, out, depth + 1);
      break;
    case TypeKind::kBool:
      out.push_back(literal_type(true));
      out.push_back(literal_type(false));
      break;
    case TypeKind::kEnum:
      for (const auto& one : type->cases) {
        auto made = std::make_shared<Type>();
        made->kind = TypeKind::kEnum;
        made->name = type->name;
        made->cases.push_back(one);
        out.push_back(made);
      }
      break;
    case TypeKind::kCall:
      for (const auto& field : type->fields) {
        auto made = std::make_shared<Type>();
        made->kind = TypeKind::kCall;
        made->fields.push_back(field);
        out.push_back(made);
      }
      break;
    default:
      out.push_back(type);
  }
}

/// One type for the cases that are left.
TypeRef merge(const std::vector<TypeRef>& cases) {
  if (cases.empty()) return nullptr;
  std::vector<std::shared_ptr<Type>> made;
  for (const TypeRef& one : cases) {
    const auto same = [&](const std::shared_ptr<Type>& m) {
      return m->kind == one->kind && (one->kind == TypeKind::kCall ||
                                      (one->kind == TypeKind::kEnum && m->name == one->name));
    };
    const auto at = std::find_if(made.begin(), made.end(), same);
    if (at == made.end()) {
      made.push_back(std::make_shared<Type>(*one));
    } else {
      (*at)->cases.insert((*at)->cases.end(), one->cases.begin(), one->cases.end());
      (*at)->fields.insert((*at)->fields.end(), one->fields.begin(), one->fields.end());
    }
  }
  return union_type({made.begin(), made.end()});
}

std::string case_name(const TypeRef& one) {
  if (one->kind == TypeKind::kEnum && one->cases.size() == 1) return one->cases.front().name;
  if (one->kind == TypeKind::kCall && one->fields.size() == 1) return one->fields.front().name;
  return type_name(one);
}

bool has_effect(const Block& block) {
  return std::any_of(block.statements.begin(), block.statements.end(), [](const Stmt& statement) {
    return std::visit(
        [](const auto& node) {
          using T = std::decay_t<decltype(node)>;
          if constexpr (std::is_same_v<T, LetStmt>)
            return std::holds_alternative<RunExpr>(node.value->node) ||
                   std::holds_alternative<CallExpr>(node.value->node);
          if constexpr (std::is_same_v<T, IfStmt>)
            return std::any_of(node.branches.begin(), node.branches.end(),
                               [](const IfBranch& b) { return has_effect(b.body); }) ||
                   (node.otherwise && has_effect(*node.otherwise));
          if constexpr (std::is_same_v<T, MatchStmt>)
            return std::any_of(node.arms.begin(), node.arms.end(),
                               [](const MatchArm& a) { return has_effect(a.body); });
          if constexpr (std::is_same_v<T, ForStmt>) return has_effect(node.body);
          return !std::is_same_v<T, BreakStmt>;
        },
        statement.node);
  });
}

}  // namespace

// ---- scopes
// -------------------------------------------------------------------------------------------------------

Checker::Variable* Checker::find(const std::string& name) {
  const auto at = variable_index_.find(name);
  return at == variable_index_.end() ? nullptr : &variables_[at->second];
}

void Checker::drop_variables(std::size_t left) {
  for (std::size_t i = left; i < variables_.size(); ++i) variable_index_.erase(variables_[i].name);
  variables_.resize(left);
}

std::vector<Checker::Variable> Checker::variables_from(std::size_t first) const {
  return {variables_.begin() + static_cast<std::ptrdiff_t>(first), variables_.end()};
}

void Checker::bind(const Identifier& name, Static value, bool warn_unused) {
  if (name.text.empty()) return;
  if (const Variable* before = find(name.text)) {
    error("E0103", name.span, "`" + name.text + "` is bound already", "a name is bound once")
        .secondary.push_back({before->span, "first here"});
    return;
  }
  if (const auto at = declared_.find(name.text);
      at != declared_.end() && at->second.entity == Entity::kType) {
    error("E0103", name.span, "`" + name.text + "` is the name of a type",
          "a variable may not hide it")
        .secondary.push_back({at->second.span, "declared here"});
    return;
  }
  ended_.erase(name.text);
  variable_index_[name.text] = variables_.size();
  variables_.push_back({name.text, name.span, std::move(value), warn_unused, false});
}

void Checker::open_scope() { scopes_.push_back(variables_.size()); }

void Checker::close_scope() {
  const std::size_t begin = scopes_.back();
  scopes_.pop_back();
  for (std::size_t i = begin; i < variables_.size(); ++i) {
    const Variable& variable = variables_[i];
    if (variable.warn_unused && !variable.used && !broken_ && variable.name.front() != '_')
      diagnostics_.warning("W0602", variable.span, "`" + variable.name + "` is never used").help =
          "remove it, or begin its name with `_`";
    ended_[variable.name] = variable.span;
  }
  drop_variables(begin);
}

// ---- facts
// --------------------------------------------------------------------------------------------------------

void Checker::learn(const Expr& condition, bool truth) {
  if (const auto* e = std::get_if<UnaryExpr>(&condition.node);
      e != nullptr && e->op == UnaryOp::kNot)
    return learn(*e->operand, !truth);
  const auto* e = std::get_if<BinaryExpr>(&condition.node);
  if (e == nullptr) return;
  if ((e->op == BinaryOp::kAnd && truth) || (e->op == BinaryOp::kOr && !truth)) {
    learn(*e->left, truth);
    learn(*e->right, truth);
    return;
  }
  if (e->op != BinaryOp::kEqual && e->op != BinaryOp::kNotEqual) return;
  const bool differs = (e->op == BinaryOp::kNotEqual) == truth;
  const auto is_null = [](const Expr& node) { return std::holds_alternative<NullExpr>(node.node); };
  const Expr* subject = is_null(*e->right)  ? e->left.get()
                        : is_null(*e->left) ? e->right.get()
                                            : nullptr;
  if (subject == nullptr || !differs) return;
  const std::string path = path_of(*subject);
  const TypeRef type = program_.values[subject->id];
  if (!path.empty() && type != nullptr && may_be_null(type))
    facts_.emplace_back(path, without_null(type));
}

// ---- generators and blocks
// ----------------------------------------------------------------------------------------

void Checker::gen(GenInfo& info) {
  gen_ = &info;
  gen_index_ = static_cast<std::uint32_t>(&info - program_.gens.data());
  drop_variables(0);
  scopes_.clear();
  ended_.clear();
  facts_.clear();
  forks_.clear();
  turn_ = {};
  loops_ = 0;
  mixed_ = traits_[gen_index_].turns;
  open_scope();
  for (const Parameter& parameter : info.parameters)
    bind(parameter.decl->name,
         {parameter.omittable ? optional_type(parameter.type) : parameter.type}, true);
  const bool falls = block(info.decl->body, false);
  if (!mixed_) turn_order(info.decl->body);
  close_scope();
  if (falls && info.returns && !broken_) {
    const Span end{info.decl->body.span.file, info.decl->body.span.end - 1,
                   info.decl->body.span.end};
    Diagnostic& diagnostic =
        error("E0204", end, "`" + info.name + "` can end without returning a value",
              "no `return` on this path");
    diagnostic.secondary.push_back(
        {info.decl->result->span, "it promises " + type_name(info.result)});
  }
  gen_ = nullptr;
}

bool Checker::block(const Block& node, bool scoped) {
  if (scoped) open_scope();
  const std::size_t facts = facts_.size();
  bool falls = true;
  bool warned = false;
  for (const Stmt& one : node.statements) {
    if (!falls && !warned) {
      diagnostics_.warning("W0601", one.span, "this is never reached", "control has left before");
      warned = true;
    }
    const bool goes_on = statement(one);
    falls = falls && goes_on;
  }
  facts_.resize(facts);
  if (scoped) close_scope();
  return falls;
}

bool Checker::statement(const Stmt& node) {
  return std::visit(
      [&](const auto& inner) -> bool {
        using T = std::decay_t<decltype(inner)>;
        if constexpr (std::is_same_v<T, TextStmt>) {
          if (!turn_.open && mixed_ && !inner.text.chunks.empty()) {
            const bool only_holes =
                std::all_of(inner.text.chunks.begin(), inner.text.chunks.end(),
                            [](const Chunk& c) { return std::holds_alternative<Hole>(c); });
            if (!only_holes)
              error("E0405", node.span, "text outside a turn", "this generator opens turns").help =
                  "put it into `user`, `system` or `assistant`";
          }
          text(inner.text, false);
          return true;
        } else if constexpr (std::is_same_v<T, RoleStmt>) {
          return role(inner);
        } else if constexpr (std::is_same_v<T, LetStmt>) {
          return let(inner);
        } else if constexpr (std::is_same_v<T, IfStmt>) {
          return if_statement(inner);
        } else if constexpr (std::is_same_v<T, ForStmt>) {
          return for_statement(inner, node.span);
        } else if constexpr (std::is_same_v<T, MatchStmt>) {
          return match(inner, node.span);
        } else if constexpr (std::is_same_v<T, RetryStmt>) {
          return retry(inner, node.span);
        } else if constexpr (std::is_same_v<T, RequireStmt>) {
          expect(*inner.condition, basic_type(TypeKind::kBool), "`require` needs");
          if (inner.message) text(*inner.message, true);
          learn(*inner.condition, true);
          const auto* constant = std::get_if<BoolExpr>(&inner.condition->node);
          return constant == nullptr || constant->value;
        } else if constexpr (std::is_same_v<T, SpliceStmt>) {
          splice(inner, node.span);
          return true;
        } else if constexpr (std::is_same_v<T, ReturnStmt>) {
          return return_statement(inner, node.span);
        } else if constexpr (std::is_same_v<T, YieldStmt>) {
          const Static value = expr(
              *inner.value, forks_.empty() || !forks_.back().yields ? nullptr : forks_.back().type);
          if (forks_.empty()) {
            error("E0107", node.span, "`yield` outside a fork", "").help =
                "a generator's value leaves by `return`";
            return false;
          }
          ForkFrame& frame = forks_.back();
          frame.unknown = frame.unknown || value.type == nullptr;
          frame.selected = value.selected && (frame.selected || !frame.yields);
          frame.type = frame.yields ? unify(frame.type, value.type) : value.type;
          frame.yields = true;
          return false;
        } else {
          if (loops_ == 0)
            error("E0107", node.span,
                  forks_.empty() ? "`break` outside a loop" : "`break` cannot leave a fork");
          return false;
        }
      },
      node.node);
}

bool Checker::role(const RoleStmt& node) {
  if (turn_.open) {
    Diagnostic& diagnostic = error("E0402", node.word, "a turn inside a turn", "begins here");
    diagnostic.secondary.push_back({turn_.span, "still open"});
    diagnostic.help = "close the outer turn first";
  }
  if (node.dynamic_role) {
    const Static written = expr(*node.dynamic_role);
    const TypeRef type = resolve(written.type);
    if (type != nullptr && !is_text(type) && type->kind != TypeKind::kEnum)
      mismatch(node.dynamic_role->span, basic_type(TypeKind::kString), written.type,
               "`turn` needs a role's name,");
    if (type != nullptr && type->kind == TypeKind::kLiteral && type->literal.is_string()) {
      const std::string name = type->literal.get<std::string>();
      if (name != "system" && name != "user" && name != "assistant" && name != "tool")
        error("E0403", node.dynamic_role->span, "`" + name + "` is no role").help =
            "the roles are system, user, assistant and tool";
    }
  }
  const Turn outer = turn_;
  turn_ = {true, node.role, node.word};
  const bool falls = block(node.body, false);  // a turn exports what it binds
  turn_order(node.body);
  prefix_breaking(node.body);
  turn_ = outer;
  return falls;
}

bool Checker::let(const LetStmt& node) {
  TypeRef declared;
  if (node.type) declared = type(*node.type, Place::kValue);
  Static value = node.type
                     ? expect(*node.value, declared, "`" + node.name.text + "` is declared as")
                     : expr(*node.value);
  if (node.type) {
    value.type = declared;
  } else if (std::holds_alternative<NumberExpr>(node.value->node)) {
    value.type = widened(value.type);
  }
  const auto* call = std::get_if<CallExpr>(&node.value->node);
  if (call != nullptr && program_.calls[node.value->id].kind == CalleeKind::kGen &&
      !program_.gens[program_.calls[node.value->id].index].returns)
    error("E0201", node.value->span,
          "`" + program_.gens[program_.calls[node.value->id].index].name + "` returns nothing")
        .help = "add `-> type` to it, or `splice` it for its text";
  bind(node.name, std::move(value), true);
  return true;
}

bool Checker::if_statement(const IfStmt& node) {
  const std::size_t facts = facts_.size();
  bool falls = false;
  bool others_leave =
      true;  // every branch before the end leaves: what they ruled out holds afterwards
  for (const IfBranch& branch : node.branches) {
    expect(*branch.condition, basic_type(TypeKind::kBool), "a condition needs");
    const std::size_t before = facts_.size();
    learn(*branch.condition, true);
    const bool branch_falls = block(branch.body, true);
    facts_.resize(before);
    falls = falls || branch_falls;
    others_leave = others_leave && !branch_falls;
    learn(*branch.condition, false);  // for the branches that follow
  }
  if (node.otherwise) {
    const bool else_falls = block(*node.otherwise, true);
    falls = falls || else_falls;
    if (!others_leave) facts_.resize(facts);
    return falls;
  }
  if (!others_leave) facts_.resize(facts);
  return true;
}

bool Checker::for_statement(const ForStmt& node, const Span& span) {
  const Static list = expr(*node.list);
  const TypeRef type = resolve(list.type);
  TypeRef item;
  if (type != nullptr && type->kind == TypeKind::kList) {
    item = type->items.at(0);
  } else if (type != nullptr && type->kind != TypeKind::kJson) {
    Diagnostic& diagnostic = error("E0201", node.list->span,
                                   "`for` needs a list or a range, found " + type_name(list.type));
    if (is_int(list.type)) diagnostic.help = "for so many turns write `1..n`";
    if (may_be_null(list.type))
      diagnostic.help = "it may be null: test it first (`if x != null { … }`)";
  }
  open_scope();
  bind(node.variable, {item});
  ++loops_;
  block(node.body, false);
  --loops_;
  close_scope();
  if (!has_effect(node.body) && !broken_)
    diagnostics_.warning("W0604", {span.file, span.begin, span.begin + 3},
                         "this loop has no effect", "nothing leaves its body");
  return true;
}

bool Checker::match(const MatchStmt& node, const Span& span) {
  const Static value = expr(*node.value);
  if (too_many(node.arms.size(), {span.file, span.begin, span.begin + 5}, "arms")) return true;
  std::vector<TypeRef> cases;
  split(value.type, cases);
  std::vector<TypeRef> left = cases;
  bool falls = false;
  bool any = false;
  for (std::size_t i = 0; i < node.arms.size(); ++i) {
    const MatchArm& arm = node.arms[i];
    const bool last = i + 1 == node.arms.size();
    const std::vector<TypeRef> before = left;
    pattern(arm.pattern, value.type, cases, left, last);
    const PatternInfo& info = program_.patterns[arm.pattern.id];
    open_scope();
    const std::size_t facts = facts_.size();
    if (info.test == PatternTest::kAny && arm.pattern.kind == PatternKind::kName &&
        !arm.pattern.called) {
      any = true;
      bind(arm.pattern.name, {before.size() == cases.size() ? value.type : merge(before),
                              value.from_hole, value.selected});
    }
    if (info.test == PatternTest::kTool) {
      const ToolInfo& tool = program_.tools[info.index];
      for (const Identifier& name : arm.pattern.bindings) {
        const auto at = std::find_if(tool.parameters.begin(), tool.parameters.end(),
                                     [&](const Parameter& p) { return p.name == name.text; });
        if (at == tool.parameters.end()) {
          std::vector<std::string> known;
          for (const Parameter& parameter : tool.parameters) known.push_back(parameter.name);
          unknown_name(name, "parameter", std::move(known));
          bind(name, {});
        } else {
          bind(name, {at->omittable ? optional_type(at->type) : at->type});
        }
      }
    } else {
      for (const Identifier& name : arm.pattern.bindings) bind(name, {});
    }
    // In the arm, the matched path is what the pattern asked for.
    if (const std::string path = path_of(*node.value); !path.empty() && value.type != nullptr &&
                                                       info.test != PatternTest::kNull &&
                                                       !cases.empty()) {
      std::vector<TypeRef> here;
      for (const TypeRef& one : before)
        if (info.test == PatternTest::kAny ||
            std::find(left.begin(), left.end(), one) == left.end())
          here.push_back(one);
      if (!here.empty() && here.size() < cases.size()) facts_.emplace_back(path, merge(here));
    }
    const bool arm_falls = block(arm.body, false);
    facts_.resize(facts);
    close_scope();
    falls = falls || arm_falls;
    if (any) left.clear();
  }
  if (value.type == nullptr) return true;
  if (!any && !left.empty() && !broken_) {
    std::string missing;
    for (std::size_t i = 0; i < left.size() && i < 4; ++i)
      missing += (i > 0 ? ", `" : "`") + case_name(left[i]) + "`";
    if (left.size() > 4) missing += ", …";
    const Span word{span.file, span.begin, span.begin + 5};
    Diagnostic& diagnostic = error("E0202", word, "this match does not cover " + missing);
    diagnostic.secondary.push_back({node.value->span, type_name(value.type)});
    diagnostic.help = "add an arm for it, or `other => { … }` as the last one";
    return true;
  }
  return falls;
}

void Checker::pattern(const Pattern& node, const TypeRef& value, const std::vector<TypeRef>& cases,
                      std::vector<TypeRef>& left, bool last) {
  PatternInfo& info = program_.patterns[node.id];
  const auto take = [&](const auto& same) {
    const auto known = std::find_if(cases.begin(), cases.end(), same);
    if (known == cases.end()) return false;
    const auto at = std::find_if(left.begin(), left.end(), same);
    if (at == left.end()) {
      error("E0213", node.span, "an arm before has taken this case", "never reached");
    } else {
      left.erase(at);
    }
    return true;
  };
  const auto refuse = [&](const std::string& what, std::vector<std::string> known) {
    Diagnostic& diagnostic = error("E0202", node.span, what);
    if (const auto near =
            suggest(node.kind == PatternKind::kString ? node.string : node.name.text, known);
        !near.empty()) {
      diagnostic.help = "did you mean `" + near + "`?";
    } else if (!known.empty() && known.size() <= 12) {
      diagnostic.help = "the cases are ";
      for (std::size_t i = 0; i < known.size(); ++i)
        diagnostic.help += (i > 0 ? ", `" : "`") + known[i] + "`";
    }
  };
  const bool unknown =
      value == nullptr || resolve(value) == nullptr || resolve(value)->kind == TypeKind::kJson;
  const std::string of = unknown ? "" : type_name(value);
  switch (node.kind) {
    case PatternKind::kNull:
      info.test = PatternTest::kNull;
      if (!unknown && !take([](const TypeRef& t) { return t->kind == TypeKind::kNull; }))
        refuse(of + " is never null", {});
      return;
    case PatternKind::kTrue:
    case PatternKind::kFalse: {
      const bool truth = node.kind == PatternKind::kTrue;
      info.test = truth ? PatternTest::kTrue : PatternTest::kFalse;
      if (!unknown && !take([&](const TypeRef& t) {
            return t->kind == TypeKind::kLiteral && t->literal.is_boolean() &&
                   t->literal.get<bool>() == truth;
          }))
        refuse(of + " is no bool", {});
      return;
    }
    case PatternKind::kString:
    case PatternKind::kNumber: {
      info.test = PatternTest::kLiteral;
      if (unknown) return;
      const bool string = node.kind == PatternKind::kString;
      const Json literal = string                ? Json(node.string)
                           : node.number.integer ? Json(node.number.int_value)
                                                 : Json(node.number.value);
      if (take([&](const TypeRef& t) {
            return t->kind == TypeKind::kLiteral && t->literal == literal;
          }))
        return;
      const bool open = std::any_of(cases.begin(), cases.end(), [&](const TypeRef& t) {
        return t->kind != TypeKind::kLiteral && (string ? is_text(t) : is_number(t));
      });
      if (open) return;
      std::vector<std::string> known;
      for (const TypeRef& one : cases)
        if (one->kind == TypeKind::kLiteral && one->literal.is_string())
          known.push_back(one->literal.get<std::string>());
      refuse(literal.dump() + " is no value of " + of, std::move(known));
      return;
    }
    case PatternKind::kName:
      break;
  }
  const std::string& word = node.name.text;
  std::vector<std::string> known;
  for (const TypeRef& one : cases)
    if (one->kind == TypeKind::kEnum || one->kind == TypeKind::kCall)
      known.push_back(case_name(one));
  if (!node.called &&
      take([&](const TypeRef& t) { return t->kind == TypeKind::kEnum && case_name(t) == word; })) {
    info.test = PatternTest::kCase;
    const auto at = std::find_if(cases.begin(), cases.end(), [&](const TypeRef& t) {
      return t->kind == TypeKind::kEnum && case_name(t) == word;
    });
    const TypeInfo* declared = program_.type((*at)->name);
    const auto& all = declared != nullptr && resolve(declared->type) != nullptr
                          ? resolve(declared->type)->cases
                          : (*at)->cases;
    info.index = static_cast<std::uint32_t>(
        std::find_if(all.begin(), all.end(), [&](const auto& c) { return c.name == word; }) -
        all.begin());
    return;
  }
  if (take([&](const TypeRef& t) { return t->kind == TypeKind::kCall && case_name(t) == word; })) {
    info.test = PatternTest::kTool;
    info.index = static_cast<std::uint32_t>(program_.tool(word) - program_.tools.data());
    return;
  }
  info.test = PatternTest::kAny;
  if (node.called) {
    if (!unknown) refuse("`" + word + "` is no tool of " + of, std::move(known));
    return;
  }
  if (!last) {
    refuse(unknown ? "a name that takes every value stands in the last arm"
                   : "`" + word + "` is no case of " + of,
           std::move(known));
  } else if (!unknown && left.empty() && !cases.empty()) {
    diagnostics_.warning("W0601", node.span, "this arm is never reached",
                         "every case is taken before");
  }
}

bool Checker::retry(const RetryStmt& node, const Span& span) {
  if (!node.count.integer || node.count.int_value < 1 || node.count.int_value > kMaxRetries)
    error("E0211", node.count.span, "`retry` takes 1 to " + std::to_string(kMaxRetries) + " tries");
  if (turn_.open && !node.why) {
    Diagnostic& diagnostic = error("E0406", {span.file, span.begin, span.begin + 5},
                                   "`retry` inside a turn would add a turn to it");
    diagnostic.secondary.push_back({turn_.span, "this turn is open"});
    diagnostic.help =
        "put it around the turn, or place the message yourself: `retry n as why { … }`";
  }
  open_scope();
  if (node.why) bind(*node.why, {optional_type(basic_type(TypeKind::kString))});
  const std::size_t first = variables_.size();
  const bool falls = block(node.body, false);
  std::vector<Variable> bound = variables_from(first);
  drop_variables(first);
  bool else_falls = false;
  if (node.otherwise) {
    else_falls = block(*node.otherwise, false);
    std::vector<Variable> other = variables_from(first);
    drop_variables(first);
    for (Variable& variable : bound) {
      const auto at = std::find_if(other.begin(), other.end(),
                                   [&](const Variable& v) { return v.name == variable.name; });
      if (at != other.end()) {
        variable.value.type = unify(variable.value.type, at->value.type);
        variable.used = variable.used || at->used;
      } else if (else_falls && !broken_) {
        const Span word{node.otherwise->span.file, node.otherwise->span.begin,
                        node.otherwise->span.begin + 1};
        Diagnostic& diagnostic =
            error("E0102", word, "this `else` neither leaves nor binds `" + variable.name + "`");
        diagnostic.secondary.push_back({variable.span, "bound by the tries"});
        break;
      }
    }
  }
  close_scope();  // `why` ends here; what the block bound goes on
  for (Variable& variable : bound) {
    ended_.erase(variable.name);
    variable_index_[variable.name] = variables_.size();
    variables_.push_back(std::move(variable));
  }
  return falls || else_falls;
}

bool Checker::return_statement(const ReturnStmt& node, const Span& span) {
  if (!forks_.empty()) {
    if (node.value) expr(*node.value);
    error("E0107", span, "`return` cannot leave a fork").help =
        "a branch's value leaves by `yield`";
    return false;
  }
  if (!node.value) {
    if (gen_->returns && !(gen_->result != nullptr && may_be_null(gen_->result)) &&
        !(gen_->result == nullptr))
      error("E0204", span, "`" + gen_->name + "` returns " + type_name(gen_->result),
            "a value is missing");
    return false;
  }
  if (!gen_->returns) {
    expr(*node.value);
    error("E0201", node.value->span, "`" + gen_->name + "` declares no result").help =
        "add `-> type` after its parameters";
    return false;
  }
  expect(*node.value, gen_->result, "`" + gen_->name + "` returns");
  return false;
}

void Checker::splice(const SpliceStmt& node, const Span& span) {
  expr(*node.call);
  const CallInfo& info = program_.calls[node.call->id];
  if (!std::holds_alternative<CallExpr>(node.call->node) || info.kind == CalleeKind::kBuiltin ||
      info.kind == CalleeKind::kTool) {
    error("E0210", node.call->span, "`splice` needs a call of a generator");
    return;
  }
  if (info.kind != CalleeKind::kGen) return;  // reported
  const Traits& inner = traits_[info.index];
  const std::string& name = program_.gens[info.index].name;
  if (turn_.open && inner.turns) {
    Diagnostic& diagnostic =
        error("E0402", span, "`" + name + "` opens turns: it cannot stand inside one");
    diagnostic.secondary.push_back({turn_.span, "this turn is open"});
  } else if (turn_.open && inner.holes && turn_.role != Role::kAssistant) {
    Diagnostic& diagnostic =
        error("E0401", span, "`" + name + "` has holes: it belongs into an assistant turn");
    diagnostic.secondary.push_back({turn_.span, "this turn is not one"});
  } else if (!turn_.open && mixed_ && !inner.turns) {
    error("E0405", span, "`" + name + "` would put text outside a turn").help =
        "splice it inside `user`, `system` or `assistant`";
  }
}

}  // namespace espalier::dsl
