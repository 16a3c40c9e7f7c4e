// Each hole's own automaton, over single bytes: what no look at the types alone can decide. Runs
// where nothing else is wrong.
#include <set>

#include "dsl/automaton_findings.h"
#include "dsl/checker.h"
#include "dsl/holes.h"
#include "dsl/mock_model.h"
#include "grammar/compiled_grammar.h"

namespace espalier::dsl {

void Checker::automata() {
  if (broken_ || diagnostics_.has_errors()) return;
  const auto vocabulary = byte_vocabulary();
  const auto source = grammar::SpanSource::create("x");  // all that is asked is the same for any
  if (!vocabulary || !source) return;
  AutomatonFindings own;  // of this program alone, where nobody keeps them
  AutomatonFindings& findings = findings_ != nullptr ? *findings_ : own;
  std::set<std::pair<TypeRef, std::string>> refused;  // said once a type
  std::set<const Hole*> visited;
  const auto look = [&](const Hole& hole, std::string_view follow) {
    const HoleInfo& info = program_.holes[hole.id];
    if (!visited.insert(&hole).second || hole.select || info.think || info.type == nullptr) return;
    std::string key = automaton_key(info.type, follow);
    auto finding = findings.find(key);
    if (!finding) {
      if (refused.count({info.type, std::string(follow)}) > 0) return;
      const auto compiled = grammar::compile(*vocabulary, info.type, follow, {}, *source);
      if (!compiled) {
        refused.emplace(info.type, follow);
        uncompiled(compiled.error(), hole.type->span);
        return;
      }
      const auto* grammar = dynamic_cast<const grammar::CompiledGrammar*>(compiled->get());
      finding = {grammar != nullptr && grammar->program().follow_first_wins()};
      findings.keep(std::move(key), *finding);
    }
    if (finding->narrowed) narrowed(hole, follow);
  };
  each_hole(program_, look);
}

/// What the grammar engine says begins with its code where there is one.
void Checker::uncompiled(const Error& why, const Span& span) {
  const bool coded =
      why.message.size() > 7 && why.message[0] == 'E' && why.message.compare(5, 2, ": ") == 0;
  if (coded) {
    error(why.message.substr(0, 5), span, why.message.substr(7));
  } else if (why.code == ErrorCode::kLimit) {
    error("E0306", span, why.message);
  } else {
    error("E0309", span, "this type cannot be enforced: " + why.message);
  }
}

/// The literal behind a hole ends it where it first occurs, so values that hold it are lost.
void Checker::narrowed(const Hole& hole, std::string_view follow) {
  const TypeRef type = resolve(program_.holes[hole.id].type);
  // Texts are meant to end so; what spans and grammars hold is not known here.
  if (type == nullptr || type->kind == TypeKind::kString || type->kind == TypeKind::kLine ||
      type->kind == TypeKind::kSpan || type->kind == TypeKind::kGrammar)
    return;
  diagnostics_
      .warning("W0606", hole.span,
               "`" + hole.name.text + "` ends at the first " + quoted(std::string(follow)) +
                   ": values that hold it cannot be written",
               type_name(program_.holes[hole.id].type) + " may hold it")
      .help = "begin the text behind the hole with something that no value holds";
}

}  // namespace espalier::dsl
