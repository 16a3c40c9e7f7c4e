// What the grammar tests share: small vocabularies, types in one line, generation with a chosen
// taste.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "grammar/matcher.h"
#include "grammar/type.h"
#include "grammar/vocabulary.h"

namespace espalier::grammar::testing_support {

/// All 256 single bytes (ids 0..255), then `extra`, then the end of turn. Canonical spelling:
/// longest match first.
VocabularyRef byte_vocabulary(const std::vector<std::string>& extra = {});
/// Only these tokens and an end of turn; canonical spelling by longest match, an error where it
/// gets stuck.
VocabularyRef vocabulary_of(const std::vector<std::string>& tokens);
/// All single bytes and a random handful of pieces that occur in JSON and text.
VocabularyRef random_vocabulary(unsigned seed);

TypeRef string_type(std::optional<std::uint64_t> low = {}, std::optional<std::uint64_t> high = {});
TypeRef line_type();
TypeRef int_type(std::optional<std::int64_t> low = {}, std::optional<std::int64_t> high = {});
TypeRef float_type(std::optional<double> low = {}, std::optional<double> high = {});
TypeRef simple(TypeKind kind);
TypeRef literal_type(Json value);
TypeRef enum_type(const std::vector<std::string>& names);
TypeRef union_type(std::vector<TypeRef> items);
TypeRef optional_type(TypeRef item);
TypeRef list_type(TypeRef item, std::optional<std::uint64_t> low = {},
                  std::optional<std::uint64_t> high = {});
struct FieldSpec {
  std::string name;
  TypeRef type;
  bool omittable = false;
};
TypeRef record_type(const std::vector<FieldSpec>& fields, TypeKind kind = TypeKind::kRecord);
TypeRef reference_to(const std::shared_ptr<Type>& target);
/// A random type that compiles (no unions that cannot be told apart).
TypeRef random_type(std::mt19937& random, int depth = 0);

/// How much the "model" wants a token; the highest allowed one is taken.
using Taste = std::function<double(TokenId, std::string_view)>;
Taste random_taste(unsigned seed);
Taste prefer(std::string wanted);  // tokens made of these bytes first

/// Generates until done() or until no token is left; returns the matcher as it stands.
Matcher generate(const GrammarRef& grammar, std::uint32_t budget, const Taste& taste,
                 std::string_view prefix = {}, bool jump = false);

}  // namespace espalier::grammar::testing_support
