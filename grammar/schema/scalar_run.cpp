#include "grammar/schema/scalar_run.h"

#include <algorithm>
#include <utility>

#include "grammar/program.h"

namespace espalier::grammar {

// Automaton::kDead is 1 and its state 0 is never used: this class swaps the two.
ScalarRun::ScalarRun(const ProgramRef& program) : automaton_(std::make_unique<Automaton>(program)) {
  const StateId start = automaton_->start({});
  start_ = start == Automaton::kDead ? kNone : start;
}

ScalarRun::ScalarRun(WordTrie words)
    : words_(std::make_unique<const WordTrie>(std::move(words))), start_(WordTrie::kStart) {}

ScalarRun::ScalarRun(const Terminal* terminal, std::uint32_t low, std::uint32_t high)
    : terminal_(terminal), low_(low), high_(high), start_(terminal->start()) {}

std::uint32_t ScalarRun::step(std::uint32_t state, unsigned char byte) {
  if (words_ != nullptr) return words_->step(state, byte);
  if (terminal_ == nullptr) {
    const StateId next = automaton_->live_step(state, byte);
    return next != Automaton::kDead ? next : kNone;
  }
  const auto q = static_cast<Terminal::State>(state & ((1U << kShift) - 1));
  std::uint32_t count = state >> kShift;
  const Terminal::State to = terminal_->next(q, byte);
  if (to == Terminal::kDead) return kNone;
  if (terminal_->boundary() != Terminal::kDead) {
    if (q == terminal_->boundary() && (terminal_->accepting(to) ? count < low_ : count >= high_)) {
      return kNone;
    }
    if (to == terminal_->boundary() && q != terminal_->start()) {
      const std::uint32_t most = high_ == kUnbounded ? low_ : high_;
      count = std::min(count + 1, most);
    }
  }
  return to | (count << kShift);
}

bool ScalarRun::accepting(std::uint32_t state) const {
  if (words_ != nullptr) return words_->accepting(state);
  if (terminal_ == nullptr) return automaton_->accepting(state);
  return terminal_->accepting(static_cast<Terminal::State>(state & ((1U << kShift) - 1)));
}

ByteSet ScalarRun::next_bytes(std::uint32_t state) const {
  if (words_ != nullptr) return words_->bytes_of(state);
  if (terminal_ == nullptr) return automaton_->bytes_of(state);
  const auto q = static_cast<Terminal::State>(state & ((1U << kShift) - 1));
  ByteSet out = terminal_->bytes(q);
  if (terminal_->boundary() == Terminal::kDead || q != terminal_->boundary()) return out;
  const std::uint32_t count = state >> kShift;
  if (count >= high_) out &= ByteSet::of("\"");
  if (count < low_) out.remove('"');
  return out;
}

std::string ScalarRun::closing_word(std::uint32_t state) {
  if (words_ != nullptr) return words_->closing_word(state);
  if (terminal_ == nullptr) return automaton_->closing_word(state);
  std::string out;
  auto q = static_cast<Terminal::State>(state & ((1U << kShift) - 1));
  std::uint32_t count = state >> kShift;
  while (!terminal_->accepting(q)) {
    if (terminal_->boundary() != Terminal::kDead && q == terminal_->boundary() && count < low_) {
      out.append(low_ - count, static_cast<char>(terminal_->filler()));
      count = low_;
    }
    const unsigned char byte = terminal_->closing_byte(q);
    out += static_cast<char>(byte);
    const Terminal::State to = terminal_->next(q, byte);
    if (to == terminal_->boundary() && q != terminal_->start()) ++count;
    q = to;
  }
  return out;
}

std::uint64_t ScalarRun::closing_size(std::uint32_t state) {
  if (words_ != nullptr) return words_->closing_size(state);
  if (terminal_ == nullptr) return automaton_->closing_length(state);
  const Place at = place(state);
  return std::uint64_t{terminal_->closing_size(at.q)} + at.owed;
}

void ScalarRun::byte_classes(std::uint32_t state, std::vector<ByteSet>& classes) const {
  if (words_ != nullptr) {
    for (ByteSet rest = words_->bytes_of(state); !rest.none(); rest.remove(rest.lowest())) {
      ByteSet one;
      one.add(rest.lowest());
      refine(classes, one);
    }
    return;
  }
  if (terminal_ == nullptr) {
    automaton_->byte_classes(state, classes);
    return;
  }
  const auto q = static_cast<Terminal::State>(state & ((1U << kShift) - 1));
  for (const unsigned char c : {'"', '\\'}) {
    ByteSet one;
    one.add(c);
    refine(classes, one);
  }
  // By where they lead.
  ByteSet rest = terminal_->bytes(q);
  refine(classes, rest);
  while (!rest.none()) {
    const Terminal::State to = terminal_->next(q, static_cast<unsigned char>(rest.lowest()));
    ByteSet alike;
    for (unsigned b = rest.lowest(); b < 256; ++b) {
      if (rest.has(b) && terminal_->next(q, static_cast<unsigned char>(b)) == to) alike.add(b);
    }
    refine(classes, alike);
    rest &= ~alike;
  }
}

ScalarRun::Place ScalarRun::place(std::uint32_t state) const {
  Place out;
  out.q = static_cast<Terminal::State>(state & ((1U << kShift) - 1));
  if (terminal_->boundary() == Terminal::kDead || terminal_->accepting(out.q)) return out;
  std::uint32_t count = state >> kShift;
  if (out.q != terminal_->boundary() && out.q != terminal_->start()) ++count;  // has begun
  out.owed = low_ > count ? low_ - count : 0;
  if (high_ != kUnbounded) out.left = high_ > count ? high_ - count : 0;
  return out;
}

}  // namespace espalier::grammar
