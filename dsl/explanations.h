// What each code means, at length: `espalier explain E0302`.
//
// A wrong program that says the code and a right one that does not: a test compiles both.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace espalier::dsl {

struct Explanation {
  std::string_view code;
  std::string_view text;   // one paragraph or more, lines of any length
  std::string_view wrong;  // empty where no short program shows it
  std::string_view right;  // empty for what only a run can say
};

/// All codes, in order.
[[nodiscard]] std::span<const Explanation> explanations();
/// The one of `code` (E0302, e0302, 302), or null.
[[nodiscard]] const Explanation* explanation(std::string_view code);

}  // namespace espalier::dsl
