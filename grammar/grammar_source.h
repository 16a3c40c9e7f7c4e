// What a grammar is compiled from, as one value, and its stored form.
//
// A compiled grammar holds nothing but its expressions: states and masks are made as they are
// reached. So what is worth storing is what it was compiled from, with the options and limits that
// decide the verdict; whoever restores it compiles it again (milliseconds at most), and a stored
// form is never run. It carries a digest of itself and of its vocabulary: one that was changed in
// any bit, cut short, written by another version or for another vocabulary is an error.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "grammar/context_free.h"
#include "grammar/json_schema.h"

namespace espalier::grammar {

enum class GrammarKind : std::uint8_t {
  kType,  // of the language; read by the dsl room alone
  kSchema,
  kRegex,
  kGbnf,
  kLark,
};

struct GrammarSource {
  GrammarKind kind = GrammarKind::kSchema;
  std::string text;
  std::string follow;
  SchemaOptions schema;  // kSchema; without base_uri and resolver where it is stored
  Limits limits;
};

/// All kinds but kType. Errors: those of the front end.
[[nodiscard]] Result<ContextFreeGrammar> compile(VocabularyRef vocabulary,
                                                 const GrammarSource& source);

/// Fails (kUnsupported) where the schema has a resolver: its documents are not part of the form.
[[nodiscard]] Result<std::string> store(const GrammarSource& source, const Vocabulary& vocabulary);
/// Errors: kInvalid where the form is not whole and unchanged, or belongs to another vocabulary.
[[nodiscard]] Result<GrammarSource> restore(std::string_view stored, const Vocabulary& vocabulary);

}  // namespace espalier::grammar
