// Values: the automaton run once more over the text, this time with the order of alternatives and
// the captures' events (a Pike machine). First alternatives win. Cost: O(bytes * items), no
// backtracking. Not thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/json.h"

namespace espalier::grammar {

class CaptureRun {
 public:
  CaptureRun(Automaton& automaton, std::string_view prefix);

  /// Reads all bytes of the hole so far: healed prefix, value, follow.
  void read(std::string_view text);

  /// The complete value, where the state that was reached accepts; else null.
  Json value();
  /// The value as far as it goes: open strings, lists and objects as they stand, other open parts
  /// left out.
  Json partial();

 private:
  struct Logged {
    CaptureEvent event;
    std::uint32_t at = 0;      // bytes of the value before it
    std::uint32_t before = 0;  // the event before it, 1-based; 0 for none
  };
  struct Thread {
    PositionId item = 0;
    std::uint32_t events = 0;  // newest, 1-based
    std::uint32_t end = 0;     // where the value ended, once it has
  };
  void add(PositionId from, std::uint32_t events, std::uint32_t end, bool only_follow,
           std::vector<Thread>& out);
  Json build(const Thread& thread, std::uint32_t end, bool open);

  Automaton& automaton_;
  std::size_t prefix_;  // healed bytes still to come
  std::string text_;    // the value's bytes and whatever follows
  std::uint32_t scan_ = 0;
  std::vector<Thread> threads_;
  std::vector<Logged> log_;
  std::unordered_map<PositionId, std::vector<Automaton::Reached>> expansions_;
  std::vector<std::uint32_t> seen_;  // by position: the step that saw it
  std::uint32_t steps_ = 0;
};

}  // namespace espalier::grammar
