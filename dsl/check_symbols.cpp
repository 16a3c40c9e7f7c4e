// What an editor is told of names as they are resolved; nothing is done where none asks.
#include "dsl/checker.h"

namespace espalier::dsl {

void Checker::note(SymbolKind kind, const Identifier& name, const TypeRef& type,
                   const std::string& doc) {
  if (notes_ == nullptr || name.text.empty()) return;
  Symbol symbol;
  symbol.kind = kind;
  symbol.name = name.text;
  symbol.span = name.span;
  symbol.type = type;
  symbol.doc = doc;
  notes_->define(std::move(symbol));
}

void Checker::note_variable(SymbolKind kind, const Identifier& name, const TypeRef& type) {
  if (notes_ == nullptr) return;
  Symbol symbol;
  symbol.kind = kind;
  symbol.name = name.text;
  symbol.span = name.span;
  symbol.scope = {name.span.file, name.span.begin, name.span.end};
  if (!regions_.empty() && regions_.back() > name.span.end) symbol.scope.end = regions_.back();
  symbol.type = type;
  symbol.hole = hole_;
  if (kind == SymbolKind::kParameter && gen_ != nullptr) {
    for (const Parameter& parameter : gen_->parameters)
      if (parameter.name == name.text) symbol.doc = parameter.doc;
  }
  notes_->define(std::move(symbol));
}

void Checker::note_spelled(const Expr& node, const std::string& word) {
  if (notes_ == nullptr) return;
  const Declared* const at = declared(word);
  if (at == nullptr) return;
  const auto* member = std::get_if<MemberExpr>(&node.node);
  const auto* object = member == nullptr ? nullptr : std::get_if<NameExpr>(&member->object->node);
  if (object == nullptr) {
    note_use(node.span, at->span);
    return;
  }
  note_use(member->key.span, at->span);
  if (const Declared* const file = declared(object->name.text))
    note_use(object->name.span, file->span);
}

void Checker::note_field(const Span& use, const TypeRef& record, const std::string& field) {
  if (notes_ == nullptr) return;
  const TypeRef type = resolve(record);
  if (type == nullptr) return;
  if (const auto known = notes_->field(*type, field)) {
    note_use(use, *known);
    return;
  }
  if (const std::string* cases = notes_->enum_of(*type)) return note_case(use, *cases, field);
  // A narrowed type is a copy under the same name.
  const TypeInfo* named = type->name.empty() ? nullptr : program_.type(type->name);
  const TypeRef original = named == nullptr ? nullptr : resolve(named->type);
  if (original == nullptr) return;
  if (const auto known = notes_->field(*original, field)) note_use(use, *known);
}

void Checker::note_case(const Span& use, const std::string& type, const std::string& name) {
  if (notes_ == nullptr) return;
  for (std::size_t i = 0; i < program_.types.size(); ++i) {
    if (program_.types[i].name != type) continue;
    const auto* decl = std::get_if<EnumDecl>(type_decls_[i]);
    if (decl == nullptr) return;
    for (const EnumCaseDecl& one : decl->cases)
      if (one.name.text == name) return note_use(use, one.name.span);
    return;
  }
}

void Checker::note_mock(const Identifier& name) {
  if (notes_ == nullptr) return;
  if (const auto holes = holes_named_.find(name.text); holes != holes_named_.end()) {
    note_use(name.span, holes->second.front());
    // It answers all of them, so they keep one name.
    for (const Span& hole : holes->second) notes_->together(holes->second.front(), hole);
    return;
  }
  if (const Declared* const at = declared(name.text); at != nullptr && at->entity == Entity::kTool)
    note_use(name.span, at->span);
}

void Checker::note_record(const TypeRef& made, const std::vector<FieldDecl>& fields) {
  if (notes_ == nullptr) return;
  notes_->record(made, fields);
  for (const FieldDecl& decl : fields) {
    TypeRef type;
    for (const auto& field : made->fields)
      if (field.name == decl.name.text) type = field.type;
    note(SymbolKind::kField, decl.name, type, decl.doc);
  }
}

void Checker::note_declarations() {
  if (notes_ == nullptr) return;
  for (std::size_t i = 0; i < program_.types.size(); ++i) {
    const TypeRef& type = program_.types[i].type;
    if (const auto* record = std::get_if<RecordDecl>(type_decls_[i]))
      note(SymbolKind::kRecord, record->name, type, record->doc);
    if (const auto* alias = std::get_if<AliasDecl>(type_decls_[i]))
      note(SymbolKind::kAlias, alias->name, type, alias->doc);
    if (const auto* enumeration = std::get_if<EnumDecl>(type_decls_[i])) {
      note(SymbolKind::kEnum, enumeration->name, type, enumeration->doc);
      for (const EnumCaseDecl& one : enumeration->cases)
        note(SymbolKind::kCase, one.name, type, one.doc);
    }
    if (const auto* grammar = std::get_if<GrammarDecl>(type_decls_[i])) {
      note(SymbolKind::kGrammar, grammar->name, type, grammar->doc);
      for (const GrammarRule& rule : grammar->rules) note(SymbolKind::kRule, rule.name);
    }
  }
  for (const ToolInfo& tool : program_.tools) {
    note(SymbolKind::kTool, tool.decl->name, tool.result, tool.doc);
    for (const Parameter& parameter : tool.parameters)
      note(SymbolKind::kParameter, parameter.decl->name, parameter.type, parameter.doc);
  }
  for (const GenInfo& gen : program_.gens)
    note(SymbolKind::kGen, gen.decl->name, gen.result, gen.doc);
}

}  // namespace espalier::dsl
