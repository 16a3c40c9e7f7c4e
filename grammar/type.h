// The types of the language, resolved: what a hole may hold. A type is its mask and its parser.
//
// Immutable trees with shared nodes; a recursive type closes the loop through `kReference`. `json`
// below means inside a record, list or map, where strings are JSON strings; elsewhere a type stands
// plain in the text. Languages: GEN_LANGUAGE.md section 4, as docs/language.md states it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "grammar/json.h"

namespace espalier::grammar {

enum class TypeKind : std::uint8_t {
  kString,    // plain: >= 1 character up to the follow; json: a JSON string; low/high count code
              // points
  kLine,      // kString without \n
  kInt,       // -?(0|[1-9][0-9]*) within [int_low, int_high]
  kFloat,     // JSON number, <= 17 significant digits, exponent <= 2 digits, within [float_low,
              // float_high]
  kBool,      // true | false
  kNull,      // null
  kLiteral,   // one fixed string or number: `literal`
  kEnum,      // one of `cases`
  kUnion,     // one of `items`
  kRegex,     // `pattern` (RE2 syntax, anchored at both ends); its value is the text
  kOptional,  // items[0] or null (json places only)
  kList,      // JSON array of items[0], length in [low, high]
  kRecord,    // JSON object, `fields` in declared order, no others
  kMap,   // JSON object of any keys, values of items[0], low..high members; of equal keys the last
          // counts
  kJson,  // any JSON value
  kSchema,     // a JSON Schema document: `literal`
  kCall,       // one of `fields`: a tool's name (key) with its argument record (type); written as a
               // CallForm says, inside JSON always as {"name": …, "arguments": {…}}
  kReference,  // a named type that is being defined: `target`
  kGrammar,    // a text of `rules`; json: as a JSON string
  kSpan,       // words that stand in the hole's source text (span_source.h); json: as a JSON string
};

struct GrammarRules;
struct Type;
using TypeRef = std::shared_ptr<const Type>;

struct EnumCase {
  std::string name;     // how programs call it
  std::string surface;  // how it stands in text (`as`, else the name)
  std::string doc;
};

struct Field {
  std::string name;  // how programs call it
  std::string key;   // how it stands in JSON (`as`, else the name)
  TypeRef type;
  bool omittable = false;  // may be left out (not the same as null)
  std::string doc;
};

struct Type {
  TypeKind kind = TypeKind::kString;
  std::string name;  // declared name, or empty; for messages and printed schemas
  std::string doc;

  std::optional<std::uint64_t> low, high;         // lengths of kString, kLine, kList, kMap
  std::optional<std::int64_t> int_low, int_high;  // kInt; absent means int64's own end
  std::optional<double> float_low, float_high;    // kFloat
  Json literal;                                   // kLiteral (string or number), kSchema
  std::string pattern;                            // kRegex
  std::shared_ptr<const GrammarRules> rules;      // kGrammar
  std::vector<EnumCase> cases;                    // kEnum
  std::vector<TypeRef> items;                     // kUnion, kOptional, kList, kMap
  std::vector<Field> fields;                      // kRecord, kCall
  std::weak_ptr<const Type> target;  // kReference; the owner of the program keeps it alive
};

}  // namespace espalier::grammar
