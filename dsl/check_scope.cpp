// Variables: scopes, what is bound on a path, and what a condition says of a value.
#include <algorithm>

#include "dsl/checker.h"

namespace espalier::dsl {

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

void Checker::bind(const Identifier& name, Static value, bool warn_unused, SymbolKind kind) {
  if (name.text.empty()) return;
  note_variable(kind, name, value.type);
  if (const Variable* before = find(name.text)) {
    error("E0103", name.span, "`" + name.text + "` is bound already", "a name is bound once")
        .secondary.push_back({before->span, "first here"});
    return;
  }
  if (const Declared* const at = declared(name.text);
      at != nullptr && (at->entity == Entity::kType || at->entity == Entity::kFile)) {
    error("E0103", name.span,
          "`" + name.text + "` is the name of a " + (at->entity == Entity::kType ? "type" : "file"),
          "a variable may not hide it")
        .secondary.push_back({at->span, "declared here"});
    return;
  }
  ended_.erase(name.text);
  variable_index_[name.text] = variables_.size();
  variables_.push_back({name.text, name.span, std::move(value), warn_unused, false});
}

void Checker::open_scope(const Span& region) {
  scopes_.push_back(variables_.size());
  regions_.push_back(region.end);
}

bool Checker::in_braces_alone(const Variable& variable) const {
  if (gen_ == nullptr) return false;
  const std::string_view text = program_.sources[variable.span.file].slice(gen_->decl->body.span);
  const std::string written = "{" + variable.name + "}";
  for (std::size_t at = text.find(written); at != std::string_view::npos;
       at = text.find(written, at + 1))
    if (at > 0 && text[at - 1] != '$') return true;
  return false;
}

void Checker::close_scope() {
  const std::size_t begin = scopes_.back();
  scopes_.pop_back();
  regions_.pop_back();
  for (std::size_t i = begin; i < variables_.size(); ++i) {
    const Variable& variable = variables_[i];
    if (variable.warn_unused && !variable.used && !broken_ && variable.name.front() != '_')
      diagnostics_.warning("W0602", variable.span, "`" + variable.name + "` is never used").help =
          in_braces_alone(variable) ? "`{" + variable.name + "}` in a text is only text: `${" +
                                          variable.name + "}` puts the value in"
                                    : "remove it, or begin its name with `_`";
    ended_[variable.name] = variable.span;
  }
  drop_variables(begin);
}

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
  learn_member(*e->left, program_.values[e->right->id], differs);
  learn_member(*e->right, program_.values[e->left->id], differs);
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

void Checker::learn_member(const Expr& subject, const TypeRef& value, bool differs) {
  const auto* member = std::get_if<MemberExpr>(&subject.node);
  if (member == nullptr) return;
  const std::string path = path_of(*member->object);
  const TypeRef type = resolve(program_.values[member->object->id]);
  const auto given = listed_values(value);
  if (path.empty() || type == nullptr || type->kind != TypeKind::kUnion || !given ||
      (differs && given->size() != 1))
    return;
  const auto in = [](const std::vector<Json>& values, const Json& one) {
    return std::find(values.begin(), values.end(), one) != values.end();
  };
  std::vector<TypeRef> left;
  for (const TypeRef& item : type->items) {
    const TypeRef record = resolve(item);
    if (record == nullptr || record->kind != TypeKind::kRecord) return;
    const auto field = std::find_if(record->fields.begin(), record->fields.end(),
                                    [&](const auto& f) { return f.name == member->key.text; });
    if (field == record->fields.end()) return;
    const auto listed = field->omittable ? std::nullopt : listed_values(field->type);
    const bool stays =
        !listed || (differs ? listed->size() != 1 || !in(*given, listed->front())
                            : std::any_of(listed->begin(), listed->end(),
                                          [&](const Json& v) { return in(*given, v); }));
    if (stays) left.push_back(item);
  }
  if (!left.empty() && left.size() < type->items.size())
    facts_.emplace_back(path, union_type(std::move(left)));
}

}  // namespace espalier::dsl
