// What a schema's grammar says of a text, byte by byte, and of a schema.
#pragma once

#include <string>
#include <string_view>

#include "grammar/json_schema.h"
#include "grammar/vocabulary.h"

namespace espalier::grammar::testing {

/// One token a byte, and an end of turn.
inline const VocabularyRef& byte_vocabulary() {
  static const VocabularyRef made = [] {
    Vocabulary::Spec spec;
    for (int b = 0; b < 256; ++b) spec.bytes.emplace_back(1, static_cast<char>(b));
    spec.end_of_turn = 256;
    spec.bytes.emplace_back();
    return Vocabulary::create(std::move(spec)).value();
  }();
  return made;
}

inline bool accepts(const GrammarRef& grammar, std::string_view text) {
  Matcher matcher = grammar->start();
  for (const char c : text) {
    if (!matcher.advance(static_cast<unsigned char>(c))) return false;
  }
  return matcher.accepting();
}

/// "accepted", or the error's code and message.
inline std::string refusal_of(const Json& schema, const SchemaOptions& options = {},
                              const Limits& limits = {}) {
  const auto grammar = compile_json_schema(byte_vocabulary(), schema, {}, options, limits);
  return grammar ? "accepted"
                 : std::string(name(grammar.error().code)) + ": " + grammar.error().message;
}

}  // namespace espalier::grammar::testing
