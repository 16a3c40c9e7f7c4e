// Which of several finished automata's languages texts are in together: the sets of languages that
// some text is in all of and in none of the others. Pairs of them (language_relation.h) tell less:
// of three languages of which each two meet no text may be in all three.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "grammar/schema/scalar_dfa.h"

namespace espalier::grammar {

struct LanguageClasses {
  std::vector<std::vector<std::uint32_t>> sets;  // each as rising places of languages; {} first
  std::size_t states = 0;                        // of all automata together
};

/// By the states of all automata together that texts lead to; nothing where these are more than
/// `most`, each of which costs the runs of bytes that its automata tell apart. Whether a text is in
/// none of them is not asked: the empty set is always there.
std::optional<LanguageClasses> language_classes(std::span<const ScalarDfa* const> languages,
                                                std::size_t most);

}  // namespace espalier::grammar
