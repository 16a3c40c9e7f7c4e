// One kind of scalar being read: a standard terminal with the lengths that strings are held to, a
// finite set of words, or an automaton of the expression engine for everything else.
//
// States are small numbers whose meaning is this object's; 0 is no state (a text that does not
// fit). Every other state can be completed. Not thread-safe where it runs an automaton.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/schema/terminal.h"
#include "grammar/schema/word_trie.h"

namespace espalier::grammar {

class ScalarRun {
 public:
  static constexpr std::uint32_t kNone = 0;
  static constexpr std::uint32_t kUnbounded = UINT32_MAX;
  static constexpr std::uint32_t kMostCounted = (1U << 22) - 2;

  /// No scalar at all.
  ScalarRun() = default;
  explicit ScalarRun(const ProgramRef& program);
  explicit ScalarRun(WordTrie words);
  /// Strings of low..high characters (kUnbounded: no end), for terminals that are no strings 0 and
  /// kUnbounded. Bounds are at most kMostCounted, and such that the shortest fits into a closing.
  explicit ScalarRun(const Terminal* terminal, std::uint32_t low = 0,
                     std::uint32_t high = kUnbounded);

  [[nodiscard]] bool empty() const { return start_ == kNone; }
  [[nodiscard]] std::uint32_t start() const { return start_; }
  std::uint32_t step(std::uint32_t state, unsigned char byte);
  [[nodiscard]] bool accepting(std::uint32_t state) const;
  [[nodiscard]] ByteSet next_bytes(std::uint32_t state) const;
  /// A text that completes it.
  std::string closing_word(std::uint32_t state);
  /// The length of that text.
  std::uint64_t closing_size(std::uint32_t state);
  void byte_classes(std::uint32_t state, std::vector<ByteSet>& classes) const;
  [[nodiscard]] std::size_t bytes() const {
    return automaton_ != nullptr ? automaton_->bytes() : words_ != nullptr ? words_->bytes() : 0;
  }

  // ---- for masks ----
  [[nodiscard]] const Terminal* terminal() const { return terminal_; }
  [[nodiscard]] Automaton* automaton() const { return automaton_.get(); }
  /// Where the terminal is, and how many characters may and must still begin.
  struct Place {
    Terminal::State q = Terminal::kDead;
    std::uint32_t owed = 0;
    std::uint32_t left = kUnbounded;
  };
  [[nodiscard]] Place place(std::uint32_t state) const;

 private:
  static constexpr std::uint32_t kShift =
      10;  // of the characters read; below, the terminal's state
  static_assert(Terminal::kMaxStates <= 1U << kShift);

  const Terminal* terminal_ = nullptr;
  std::uint32_t low_ = 0, high_ = kUnbounded;
  std::unique_ptr<const WordTrie> words_;
  std::unique_ptr<Automaton> automaton_;
  std::uint32_t start_ = kNone;
};

}  // namespace espalier::grammar
