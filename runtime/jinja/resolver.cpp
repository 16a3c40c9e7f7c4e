#include "runtime/jinja/resolver.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/jinja/ast.h"
#include "runtime/jinja/strings.h"

namespace espalier::runtime::jinja {
namespace {

struct Reference {
  std::uint32_t hops = 0;
  std::uint32_t slot = 0;
};

class Scope {
 public:
  explicit Scope(Scope* parent) : parent_(parent) {}

  [[nodiscard]] std::optional<Reference> find(std::string_view name) const {
    std::uint32_t hops = 0;
    for (const Scope* scope = this; scope != nullptr; scope = scope->parent_, ++hops) {
      const auto found = scope->names_.find(name);
      if (found != scope->names_.end() && found->second.visible)
        return Reference{hops, found->second.slot};
    }
    return std::nullopt;
  }
  void load(const Str* name) {
    if (!find(name->view())) define(name, Load::kContext, {}, false);
  }
  void store(const Str* name) {
    const auto found = names_.find(name->view());
    if (found != names_.end() && found->second.visible) {
      if (!found->second.stored) {
        note(found->second);
        found->second.stored = true;
      }
      return;
    }
    const auto outer = outside(name->view());
    define(name, outer ? Load::kOuter : Load::kMissing, outer.value_or(Reference{}), true);
  }
  std::uint32_t parameter(const Str* name) { return define(name, Load::kParameter, {}, true); }

  // The branches of an `if`: what one defines the next does not see.
  struct Branches {
    std::map<std::string_view, std::pair<const Str*, bool>> touched;  // with whether it is assigned
  };
  template <class Visit>
  void branch(Branches& branches, const Visit& visit) {
    std::vector<Change> mine;
    std::vector<Change>* before = std::exchange(changes_, &mine);
    visit();
    changes_ = before;
    for (std::size_t i = mine.size(); i-- > 0;) {
      Entry& entry = *mine[i].entry;
      const bool assigned = entry.stored && !mine[i].was_stored;
      auto& [name, any] = branches.touched[entry.name->view()];
      name = entry.name;
      any = any || assigned;
      entry.visible = mine[i].was_visible;
      entry.stored = mine[i].was_stored;
    }
  }
  // A name that only branches assign starts with what it has outside.
  void join(const Branches& branches) {
    for (const auto& [text, touched] : branches.touched) {
      const auto& [name, assigned] = touched;
      const auto outer = outside(text);
      const Entry& known = names_.at(text);
      if (known.visible && !assigned) continue;
      const bool stored = known.stored || assigned;
      define(name, assigned && outer ? Load::kOuter : Load::kContext, outer.value_or(Reference{}),
             stored);
    }
  }

  [[nodiscard]] ScopeLayout layout(Arena& arena) const {
    std::vector<Slot> slots(names_.size());
    for (const auto& [text, entry] : names_) {
      slots[entry.slot] = {entry.name, entry.load, entry.outer.hops, entry.outer.slot};
    }
    return {arena.copy(slots)};
  }

 private:
  struct Entry {
    const Str* name = nullptr;
    std::uint32_t slot = 0;
    Load load = Load::kMissing;
    Reference outer;
    bool visible = false;
    bool stored = false;
  };
  struct Change {
    Entry* entry = nullptr;
    bool was_visible = false;
    bool was_stored = false;
  };

  [[nodiscard]] std::optional<Reference> outside(std::string_view name) const {
    return parent_ == nullptr ? std::nullopt : parent_->find(name);
  }
  void note(Entry& entry) {
    if (changes_ != nullptr) changes_->push_back({&entry, entry.visible, entry.stored});
  }
  std::uint32_t define(const Str* name, Load load, Reference outer, bool stored) {
    const auto [found, fresh] = names_.try_emplace(name->view());
    Entry& entry = found->second;
    if (fresh) {
      entry.slot = static_cast<std::uint32_t>(names_.size() - 1);
      entry.name = name;
    }
    note(entry);
    entry.load = load;
    entry.outer = outer;
    entry.visible = true;
    entry.stored = stored;
    return entry.slot;
  }

  Scope* parent_;
  std::map<std::string_view, Entry> names_;  // nodes stay where they are
  std::vector<Change>* changes_ = nullptr;
};

// Whether a body reads the name, in whatever scope.
class Reads {
 public:
  explicit Reads(std::string_view name) : name_(name) {}
  bool in(Body body) {
    for (const Stmt* stmt : body) {
      if (found_) break;
      visit(*stmt);
    }
    return found_;
  }

 private:
  void visit(const Stmt& stmt);
  void visit(const Expr* expr);
  template <class List>
  void each(const List& list) {
    for (const Expr* it : list) visit(it);
  }
  void visit(const Arguments& it) {
    each(it.positional);
    for (const KeywordArgument& keyword : it.keywords) visit(keyword.value);
    visit(it.more_positional);
    visit(it.more_keywords);
  }
  std::string_view name_;
  bool found_ = false;
};

// Calls `name` for each NameExpr directly in the expression, in the order of the source.
template <class Visit>
void for_each_name(Expr* expr, const Visit& name) {
  if (expr == nullptr) return;
  const auto each = [&](const auto& list) {
    for (Expr* it : list) for_each_name(it, name);
  };
  const auto with_arguments = [&](const Arguments& it) {
    each(it.positional);
    for (const KeywordArgument& keyword : it.keywords) for_each_name(keyword.value, name);
    for_each_name(it.more_positional, name);
    for_each_name(it.more_keywords, name);
  };
  switch (expr->kind) {
    case ExprKind::kConst:
      return;
    case ExprKind::kName:
      name(*static_cast<NameExpr*>(expr));
      return;
    case ExprKind::kList:
    case ExprKind::kTuple:
      each(static_cast<ListExpr*>(expr)->items);
      return;
    case ExprKind::kDict: {
      auto* it = static_cast<DictExpr*>(expr);
      for (std::size_t i = 0; i < it->keys.size(); ++i) {
        for_each_name(it->keys[i], name);
        for_each_name(it->values[i], name);
      }
      return;
    }
    case ExprKind::kNot:
    case ExprKind::kNegate:
    case ExprKind::kPlus:
      for_each_name(static_cast<UnaryExpr*>(expr)->operand, name);
      return;
    case ExprKind::kBinary:
    case ExprKind::kAnd:
    case ExprKind::kOr:
      for_each_name(static_cast<BinaryExpr*>(expr)->left, name);
      for_each_name(static_cast<BinaryExpr*>(expr)->right, name);
      return;
    case ExprKind::kConcat:
      each(static_cast<ConcatExpr*>(expr)->parts);
      return;
    case ExprKind::kCompare:
      for_each_name(static_cast<CompareExpr*>(expr)->left, name);
      for (const Comparison& it : static_cast<CompareExpr*>(expr)->rest)
        for_each_name(it.right, name);
      return;
    case ExprKind::kCondition:
      for_each_name(static_cast<ConditionExpr*>(expr)->test, name);
      for_each_name(static_cast<ConditionExpr*>(expr)->then, name);
      for_each_name(static_cast<ConditionExpr*>(expr)->otherwise, name);
      return;
    case ExprKind::kFilter:
    case ExprKind::kTest:
      for_each_name(static_cast<FilterExpr*>(expr)->subject, name);
      with_arguments(static_cast<FilterExpr*>(expr)->arguments);
      return;
    case ExprKind::kCall:
      for_each_name(static_cast<CallExpr*>(expr)->callee, name);
      with_arguments(static_cast<CallExpr*>(expr)->arguments);
      return;
    case ExprKind::kAttribute:
      for_each_name(static_cast<AttributeExpr*>(expr)->object, name);
      return;
    case ExprKind::kItem:
      for_each_name(static_cast<ItemExpr*>(expr)->object, name);
      for_each_name(static_cast<ItemExpr*>(expr)->key, name);
      return;
    case ExprKind::kSlice:
      for_each_name(static_cast<SliceExpr*>(expr)->object, name);
      for_each_name(static_cast<SliceExpr*>(expr)->start, name);
      for_each_name(static_cast<SliceExpr*>(expr)->stop, name);
      for_each_name(static_cast<SliceExpr*>(expr)->step, name);
      return;
  }
}

void Reads::visit(const Expr* expr) {
  for_each_name(const_cast<Expr*>(expr),
                [&](const NameExpr& it) { found_ = found_ || it.name->view() == name_; });
}

void Reads::visit(const Stmt& stmt) {
  const auto macro = [&](const MacroBody& it) {
    each(it.defaults);
    in(it.body);
  };
  switch (stmt.kind) {
    case StmtKind::kOutput:
      each(static_cast<const OutputStmt&>(stmt).parts);
      return;
    case StmtKind::kIf:
      for (const IfBranch& it : static_cast<const IfStmt&>(stmt).branches) {
        visit(it.test);
        in(it.body);
      }
      return;
    case StmtKind::kFor: {
      const auto& it = static_cast<const ForStmt&>(stmt);
      visit(it.list);
      visit(it.test);
      in(it.body);
      in(it.otherwise);
      return;
    }
    case StmtKind::kSet:
      visit(static_cast<const SetStmt&>(stmt).value);
      return;
    case StmtKind::kSetBlock:
      visit(static_cast<const SetBlockStmt&>(stmt).filter);
      in(static_cast<const SetBlockStmt&>(stmt).body);
      return;
    case StmtKind::kMacro:
      macro(static_cast<const MacroStmt&>(stmt).macro);
      return;
    case StmtKind::kCallBlock:
      visit(static_cast<const CallBlockStmt&>(stmt).call);
      macro(static_cast<const CallBlockStmt&>(stmt).macro);
      return;
    case StmtKind::kGeneration:
      macro(static_cast<const GenerationStmt&>(stmt).macro);
      return;
    case StmtKind::kFilterBlock:
      visit(static_cast<const FilterBlockStmt&>(stmt).filter);
      in(static_cast<const FilterBlockStmt&>(stmt).body);
      return;
    case StmtKind::kWith:
      each(static_cast<const WithStmt&>(stmt).values);
      in(static_cast<const WithStmt&>(stmt).body);
      return;
    case StmtKind::kBreak:
    case StmtKind::kContinue:
      return;
  }
}

class Resolver {
 public:
  explicit Resolver(Arena& arena) : arena_(arena) {}

  Status run(ParsedTemplate& parsed) {
    Scope root(nullptr);
    see(root, parsed.body);
    bind(root, parsed.body);
    parsed.scope = root.layout(arena_);
    if (error_) return tl::unexpected<Error>(*error_);
    return {};
  }

 private:
  // First walk, over one scope: which names it reads and assigns.
  void see(Scope& scope, Expr* expr) {
    for_each_name(expr, [&](const NameExpr& it) { scope.load(it.name); });
  }
  void see(Scope& scope, const Target& target, bool parameters) {
    for (const Target* part : target.parts) see(scope, *part, parameters);
    if (target.kind == Target::Kind::kAttribute) scope.load(target.name->name);
    if (target.kind != Target::Kind::kName) return;
    if (loops_ > 0 && target.name->name->view() == "loop" && !error_) {
      error_ = Error{ErrorCode::kInvalid, "line " + std::to_string(target.line) +
                                              ": 'loop' cannot be assigned to in a loop"};
    }
    if (parameters)
      scope.parameter(target.name->name);
    else
      scope.store(target.name->name);
  }
  void see(Scope& scope, Body body) {
    for (Stmt* stmt : body) see(scope, *stmt);
  }
  void see(Scope& scope, Stmt& stmt) {
    switch (stmt.kind) {
      case StmtKind::kOutput:
        for (Expr* part : static_cast<OutputStmt&>(stmt).parts) see(scope, part);
        return;
      case StmtKind::kIf: {
        // The first branch, all `elif`s one after the other, and the `else` are the three branches.
        const auto branches = static_cast<IfStmt&>(stmt).branches;
        see(scope, branches.front().test);
        Scope::Branches seen;
        scope.branch(seen, [&] { see(scope, branches.front().body); });
        scope.branch(seen, [&] {
          for (std::size_t i = 1; i < branches.size() && branches[i].test != nullptr; ++i) {
            see(scope, branches[i].test);
            Scope::Branches inner;
            scope.branch(inner, [&] { see(scope, branches[i].body); });
            scope.join(inner);
          }
        });
        if (branches.back().test == nullptr)
          scope.branch(seen, [&] { see(scope, branches.back().body); });
        scope.join(seen);
        return;
      }
      case StmtKind::kFor:
        see(scope, static_cast<ForStmt&>(stmt).list);
        return;
      case StmtKind::kSet:
        see(scope, static_cast<SetStmt&>(stmt).value);
        see(scope, *static_cast<SetStmt&>(stmt).target, false);
        return;
      case StmtKind::kSetBlock:
        see(scope, *static_cast<SetBlockStmt&>(stmt).target, false);
        return;
      case StmtKind::kMacro:
        scope.store(static_cast<MacroStmt&>(stmt).macro.name);
        return;
      case StmtKind::kCallBlock:
        see(scope, static_cast<CallBlockStmt&>(stmt).call);
        return;
      case StmtKind::kFilterBlock:
        see(scope, static_cast<FilterBlockStmt&>(stmt).filter);
        return;
      case StmtKind::kWith:
        for (Expr* value : static_cast<WithStmt&>(stmt).values) see(scope, value);
        return;
      case StmtKind::kGeneration:
      case StmtKind::kBreak:
      case StmtKind::kContinue:
        return;
    }
  }

  // Second walk: names get their slots, inner scopes are seen and bound.
  void bind(Scope& scope, Expr* expr) {
    for_each_name(expr, [&](NameExpr& it) { bind(scope, it); });
  }
  static void bind(Scope& scope, NameExpr& name) {
    auto found = scope.find(name.name->view());
    if (!found) {  // a set block's filter: the first walk does not see it
      scope.load(name.name);
      found = scope.find(name.name->view());
    }
    name.hops = found->hops;
    name.slot = found->slot;
  }
  void bind(Scope& scope, const Target& target) {
    for (const Target* part : target.parts) bind(scope, *part);
    if (target.name != nullptr) bind(scope, *target.name);
  }
  void bind(Scope& scope, Body body) {
    for (Stmt* stmt : body) bind(scope, *stmt);
  }
  void bind(Scope& scope, Stmt& stmt) {
    switch (stmt.kind) {
      case StmtKind::kOutput:
        for (Expr* part : static_cast<OutputStmt&>(stmt).parts) bind(scope, part);
        return;
      case StmtKind::kIf:
        for (const IfBranch& it : static_cast<IfStmt&>(stmt).branches) {
          bind(scope, it.test);
          bind(scope, it.body);
        }
        return;
      case StmtKind::kFor:
        return bind_for(scope, static_cast<ForStmt&>(stmt));
      case StmtKind::kSet:
        bind(scope, static_cast<SetStmt&>(stmt).value);
        bind(scope, *static_cast<SetStmt&>(stmt).target);
        return;
      case StmtKind::kSetBlock: {
        auto& it = static_cast<SetBlockStmt&>(stmt);
        bind(scope, *it.target);
        it.scope = inner(scope, it.body, it.filter);
        return;
      }
      case StmtKind::kMacro:
        bind(scope, *static_cast<MacroStmt&>(stmt).target);
        bind_macro(scope, static_cast<MacroStmt&>(stmt).macro);
        return;
      case StmtKind::kCallBlock:
        bind(scope, static_cast<CallBlockStmt&>(stmt).call);
        bind_macro(scope, static_cast<CallBlockStmt&>(stmt).macro);
        return;
      case StmtKind::kGeneration:
        bind_macro(scope, static_cast<GenerationStmt&>(stmt).macro);
        return;
      case StmtKind::kFilterBlock: {
        auto& it = static_cast<FilterBlockStmt&>(stmt);
        it.scope = inner(scope, it.body, it.filter);
        return;
      }
      case StmtKind::kWith: {
        auto& it = static_cast<WithStmt&>(stmt);
        for (Expr* value : it.values) bind(scope, value);
        Scope with(&scope);
        for (const Target* target : it.targets) see(with, *target, true);
        see(with, it.body);
        for (const Target* target : it.targets) bind(with, *target);
        bind(with, it.body);
        it.scope = with.layout(arena_);
        return;
      }
      case StmtKind::kBreak:
      case StmtKind::kContinue:
        return;
    }
  }

  ScopeLayout inner(Scope& scope, Body body, Expr* filter = nullptr) {
    Scope made(&scope);
    see(made, body);
    bind(made, body);
    bind(made, filter);
    return made.layout(arena_);
  }

  void bind_for(Scope& scope, ForStmt& it) {
    bind(scope, it.list);
    ++loops_;
    if (it.test != nullptr) {
      Scope made(&scope);
      see(made, *it.test_target, true);
      see(made, it.test);
      bind(made, *it.test_target);
      bind(made, it.test);
      it.test_scope = made.layout(arena_);
    }
    Scope made(&scope);
    it.loop_slot = made.parameter(make_str(arena_, "loop", kTemplate));
    see(made, *it.target, true);
    see(made, it.body);
    bind(made, *it.target);
    bind(made, it.body);
    it.scope = made.layout(arena_);
    if (!it.otherwise.empty()) it.otherwise_scope = inner(scope, it.otherwise);
    --loops_;
  }

  void bind_macro(Scope& scope, MacroBody& it) {
    Scope made(&scope);
    for (const NameExpr* parameter : it.parameters) made.parameter(parameter->name);
    for (Expr* value : it.defaults) see(made, value);
    const auto special = [&](const char* name) {
      for (const NameExpr* parameter : it.parameters) {
        if (parameter->name->view() == name) return MacroBody::kUnused;
      }
      return Reads(name).in(it.body) ? made.parameter(make_str(arena_, name, kTemplate))
                                     : MacroBody::kUnused;
    };
    it.caller_slot = special("caller");
    it.kwargs_slot = special("kwargs");
    it.varargs_slot = special("varargs");
    see(made, it.body);
    for (NameExpr* parameter : it.parameters) bind(made, *parameter);
    for (Expr* value : it.defaults) bind(made, value);
    bind(made, it.body);
    it.scope = made.layout(arena_);
  }

  Arena& arena_;
  std::uint32_t loops_ = 0;
  std::optional<Error> error_;
};

}  // namespace

Status resolve(ParsedTemplate& parsed, Arena& arena) { return Resolver(arena).run(parsed); }

}  // namespace espalier::runtime::jinja
