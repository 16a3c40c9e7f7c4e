// `test` blocks: what they mock, the values they make, what they expect.
#include "dsl/checker.h"

namespace espalier::dsl {

void Checker::test(const TestDecl& decl) {
  const InFile here(*this, decl.span.file);
  if (const auto [at, fresh] = test_names_.emplace(decl.name.value, decl.name.span); !fresh)
    error("E0104", decl.name.span, "two tests have this name")
        .secondary.push_back({at->second, "first here"});
  gen_ = nullptr;
  drop_variables(0);
  scopes_.clear();
  regions_.clear();
  ended_.clear();
  facts_.clear();
  collectors_.clear();
  forks_ = 0;
  turn_ = {};
  loops_ = 0;
  mixed_ = false;
  open_scope(decl.span);
  for (const TestItem& item : decl.items) {
    if (const auto* mock = std::get_if<MockEntry>(&item)) {
      for (const RecordEntry& entry : std::get<RecordExpr>(mock->value->node).entries) {
        const std::string& name = entry.key.text;
        const Declared* const at = declared(name);
        if (holes_named_.count(name) == 0 && (at == nullptr || at->entity != Entity::kTool)) {
          std::vector<std::string> known;
          for (const auto& [hole, places] : holes_named_) known.push_back(hole);
          for (const auto& [other, one] : names())
            if (one.entity == Entity::kTool) known.push_back(other);
          unknown_name(entry.key, "hole or tool", known);
        }
        note_mock(entry.key);
        // Its type is that of whatever takes it: checked when the test runs.
        expr(*entry.value);
      }
    } else if (const auto* one = std::get_if<LetStmt>(&item)) {
      let(*one);
    } else {
      const auto& expectation = std::get<Expectation>(item);
      if (expectation.type != nullptr) {
        const TypeRef asked = type(*expectation.type, Place::kPlain);
        program_.expected_types[&expectation] = asked;
        if (holds_span(asked))
          error("E0407", expectation.type->span, "nothing says which text this copies from",
                "holds a `span`")
              .help = "mock the hole that has a `from`: what it is given must stand there";
      } else {
        expect(*expectation.condition, basic_type(TypeKind::kBool), "`expect` needs");
      }
    }
  }
  close_scope();
}

}  // namespace espalier::dsl
