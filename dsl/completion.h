// What may be written at a place of a program that is being written.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dsl/symbols.h"

namespace espalier::dsl {

enum class CandidateKind : std::uint8_t {
  kKeyword,
  kOption,    // of a hole, or a setting of `config`
  kType,      // of the language
  kFunction,  // of the language
  kSymbol,    // of the program: `symbol`
  kMember,    // of a value
};

struct Candidate {
  std::string text;
  CandidateKind kind{};
  SymbolKind symbol{};  // of kSymbol
  std::string detail;   // its type or signature; may be empty
  std::string doc;
};

struct Completion {
  Span span;  // of the word that is being written there; empty where none was begun
  std::vector<Candidate> candidates;
};

/// Candidates at byte `offset` of the program's own file, those in reach there, whether or not they
/// begin with what stands there. None in texts, patterns and comments. The program may have errors:
/// what stands before the place is read by its lexemes alone. O(bytes before it + symbols).
[[nodiscard]] Completion complete(const Analysis& analysis, std::uint32_t offset);

}  // namespace espalier::dsl
