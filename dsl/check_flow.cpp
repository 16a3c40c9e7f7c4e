// Statements and paths: which are reached, and whether every path returns.
#include <algorithm>

#include "dsl/checker.h"

namespace espalier::dsl {
namespace {

constexpr std::int64_t kMaxRetries = 100;

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
          if constexpr (std::is_same_v<T, ForStmt>) return node.collected || has_effect(node.body);
          return !std::is_same_v<T, BreakStmt>;
        },
        statement.node);
  });
}

}  // namespace

void Checker::gen(GenInfo& info) {
  gen_ = &info;
  gen_index_ = static_cast<std::uint32_t>(&info - program_.gens.data());
  drop_variables(0);
  scopes_.clear();
  regions_.clear();
  ended_.clear();
  facts_.clear();
  collectors_.clear();
  forks_ = 0;
  turn_ = {};
  loops_ = 0;
  mixed_ = traits_[gen_index_].turns;
  open_scope(info.decl->body.span);
  for (const Parameter& parameter : info.parameters)
    bind(parameter.decl->name,
         {parameter.omittable ? optional_type(parameter.type) : parameter.type}, true,
         SymbolKind::kParameter);
  const bool falls = block(info.decl->body, false);
  if (!mixed_) turn_order(info.decl->body);
  if (!broken_) prefix_breaking(info.decl->body);
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
  if (scoped) open_scope(node.span);
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
          const Static value = expr(*inner.value, collectors_.empty() || !collectors_.back().yields
                                                      ? nullptr
                                                      : collectors_.back().type);
          if (collectors_.empty()) {
            error("E0107", node.span, "`yield` outside a fork and a loop that `let` binds", "")
                .help = loops_ > 0
                            ? "to collect what a loop's turns give, write `let name = for … { … }`"
                            : "a generator's value leaves by `return`";
            return false;
          }
          Collector& frame = collectors_.back();
          frame.unknown = frame.unknown || value.type == nullptr;
          frame.selected = value.selected && (frame.selected || !frame.yields);
          frame.type = frame.yields ? unify(frame.type, value.type) : value.type;
          frame.yields = true;
          return false;
        } else {
          if (loops_ == 0)
            error("E0107", node.span,
                  forks_ == 0 ? "`break` outside a loop" : "`break` cannot leave a fork");
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
  turn_ = outer;
  return falls;
}

bool Checker::let(const LetStmt& node) {
  TypeRef declared;
  if (node.type) declared = program_.let_types[node.type.get()] = type(*node.type, Place::kValue);
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
  open_scope(span);
  bind(node.variable, {item});
  ++loops_;
  if (node.collected) collectors_.emplace_back();
  block(node.body, false);
  --loops_;
  close_scope();
  if (node.collected) {
    const Collector frame = collectors_.back();
    collectors_.pop_back();
    collected(node, frame);
  } else if (!has_effect(node.body) && !broken_) {
    diagnostics_.warning("W0604", {span.file, span.begin, span.begin + 3},
                         "this loop has no effect", "nothing leaves its body");
  }
  return true;
}

void Checker::collected(const ForStmt& node, const Collector& frame) {
  if (!frame.yields && !broken_)
    error("E0212", node.collected->span, "nothing in this loop yields a value",
          "it would always be an empty list")
        .help = "`yield` what a turn adds to the list";
  Static value{list_type(frame.unknown ? nullptr : frame.type)};
  if (node.collected_type) {
    const TypeRef declared = program_.let_types[node.collected_type.get()] =
        type(*node.collected_type, Place::kValue);
    if (frame.yields && !assignable(value.type, declared))
      mismatch(node.collected->span, declared, value.type,
               "`" + node.collected->text + "` is declared as");
    value.type = declared;
  }
  bind(*node.collected, std::move(value), true);
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
  const std::uint32_t outer = regions_.back();
  open_scope(span);
  if (node.why) bind(*node.why, {optional_type(basic_type(TypeKind::kString))});
  regions_.back() = outer;  // what the block binds goes on behind it
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
        if (notes_ != nullptr) notes_->together(variable.span, at->span);
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
  if (forks_ > 0) {
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
    if (gen_->name.empty()) return false;  // its head could not be read
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
