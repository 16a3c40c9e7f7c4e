// What the automata of holes were found to be, kept from one check to the next.
//
// Compiling a hole's automaton is most of what checking a program takes, and an edit leaves nearly
// all of them as they were. What is kept is asked for by the whole content of a type and the
// literal behind it, never by an address, so it holds across programs. Only what is sound is kept:
// an error's message may name types, and errors are few.
//
// Not for several threads. Limits: kMaxBytes of keys, twice; what was not asked for longest goes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "grammar/type.h"

namespace espalier::dsl {

/// What decides the automaton of a hole of `type` before the literal `follow`, as bytes: equal keys
/// have equal automata. Names and docs that do not stand in the text are left out. O(the types that
/// can be reached), without recursion on them.
[[nodiscard]] std::string automaton_key(const grammar::TypeRef& type, std::string_view follow);

/// A type whose automaton is sound, before its follow.
struct AutomatonFinding {
  bool narrowed = false;  // the follow may stand in a value, which then ends there
};

class AutomatonFindings {
 public:
  static constexpr std::size_t kMaxBytes = std::size_t{16} << 20;

  explicit AutomatonFindings(std::size_t max_bytes = kMaxBytes) : max_bytes_(max_bytes) {}

  /// What is known of `key`.
  [[nodiscard]] std::optional<AutomatonFinding> find(const std::string& key);
  void keep(std::string key, AutomatonFinding finding);
  [[nodiscard]] std::size_t size() const { return recent_.size() + before_.size(); }

 private:
  std::size_t max_bytes_;
  std::size_t bytes_ = 0;  // of the keys in `recent_`
  // Two generations: what is asked for moves to the newer; when that is full, the older goes.
  std::unordered_map<std::string, AutomatonFinding> recent_, before_;
};

}  // namespace espalier::dsl
