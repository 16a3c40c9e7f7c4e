// Look-ahead near the beginning of an anchored pattern, `^a(?=B)(?!C)D`, taken apart: what matches
// it matches `^aD` and `^aB` and not `^aC`, where what stands before it has one length. Each has an
// automaton of its own, which other patterns share, where one automaton of all of it may be the
// product of their sizes.
//
// Where the pattern is not anchored, as `(?=.*\d)(?=.*[a-z]).{8,}` is not, it is found at the
// beginning of a line if it is found anywhere in it: each part takes up what stands before. Then no
// place in a line but its first is followed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/regex_parser.h"

namespace espalier::grammar {

struct LeadingLooks {
  std::string rest;                        // the pattern without them
  std::vector<std::string> ahead, denied;  // anchored patterns
  bool counts = false;                     // something in them comes a number of times
};

/// Of a pattern in ECMA-262's syntax that is searched for; nothing where it does not begin like
/// this, or they hold looks themselves. Cost: parsing the pattern twice.
[[nodiscard]] std::optional<LeadingLooks> leading_looks(std::string_view pattern);

/// The same language where lines begin, of a pattern that is `regex`; nothing where it is another
/// one. Cost: linear in the pattern's nodes.
[[nodiscard]] std::optional<std::string> looks_from_line_starts(std::string_view pattern,
                                                                const Regex& regex);

}  // namespace espalier::grammar
