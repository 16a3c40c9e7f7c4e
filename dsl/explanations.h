// What each code means, at length: `espalier explain E0302`.
//
// A wrong program that says the code and a right one that does not, each with the files beside it,
// by the way in which the code is said: tests do it to every one of them.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "dsl/program.h"

namespace espalier::dsl {

/// Who says a code.
enum class SaidBy : std::uint8_t {
  kCheck,  // `espalier check`
  kModel,  // `espalier check --model`: with a vocabulary without tokens for some bytes
  kTest,   // a run: here that of the program's `test`, since its holes have mocks
};

/// A file beside an example.
struct ExampleFile {
  std::string_view name;
  std::string_view text;
};

struct Explanation {
  std::string_view code;
  std::string_view text;  // one paragraph or more, lines of any length
  std::string_view wrong;
  std::string_view right;
  SaidBy said_by = SaidBy::kCheck;
  std::span<const ExampleFile> files = {};  // beside both programs
};

/// How the examples of `explanation` read the files beside them.
[[nodiscard]] ReadFile example_files(const Explanation& explanation);

/// All codes, in order.
[[nodiscard]] std::span<const Explanation> explanations();
/// The one of `code` (E0302, e0302, 302), or null.
[[nodiscard]] const Explanation* explanation(std::string_view code);

}  // namespace espalier::dsl
