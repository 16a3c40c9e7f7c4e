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

ScalarRun::ScalarRun(std::shared_ptr<const ScalarDfa> dfa)
    : dfa_(std::move(dfa)), start_(dfa_->start()) {}

ScalarRun::ScalarRun(std::shared_ptr<const ScalarDfa> dfa, std::uint32_t high)
    : high_(high), dfa_(std::move(dfa)) {
  pairs_.emplace_back();
  start_ = pair(dfa_->start(), 0, 0);
}

ScalarRun::ScalarRun(WordTrie words)
    : words_(std::make_unique<const WordTrie>(std::move(words))), start_(WordTrie::kStart) {}

ScalarRun::ScalarRun(const Terminal* terminal, std::uint32_t low, std::uint32_t high)
    : terminal_(terminal), low_(low), high_(high), start_(terminal->start()) {}

std::uint32_t ScalarRun::inner_step(std::uint32_t state, unsigned char byte) {
  if (words_ != nullptr) return words_->step(state, byte);
  if (dfa_ != nullptr) return dfa_->next(static_cast<ScalarDfa::State>(state), byte);
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

bool ScalarRun::inner_accepting(std::uint32_t state) const {
  if (words_ != nullptr) return words_->accepting(state);
  if (dfa_ != nullptr) return dfa_->accepting(static_cast<ScalarDfa::State>(state));
  if (terminal_ == nullptr) return automaton_->accepting(state);
  return terminal_->accepting(static_cast<Terminal::State>(state & ((1U << kShift) - 1)));
}

ByteSet ScalarRun::inner_bytes(std::uint32_t state) const {
  if (words_ != nullptr) return words_->bytes_of(state);
  if (dfa_ != nullptr) return dfa_->bytes(static_cast<ScalarDfa::State>(state));
  if (terminal_ == nullptr) return automaton_->bytes_of(state);
  const auto q = static_cast<Terminal::State>(state & ((1U << kShift) - 1));
  ByteSet out = terminal_->bytes(q);
  if (terminal_->boundary() == Terminal::kDead || q != terminal_->boundary()) return out;
  const std::uint32_t count = state >> kShift;
  if (count >= high_) out &= ByteSet::of("\"");
  if (count < low_) out.remove('"');
  return out;
}

std::string ScalarRun::inner_closing(std::uint32_t state) {
  if (words_ != nullptr) return words_->closing_word(state);
  if (dfa_ != nullptr) return dfa_->closing_word(static_cast<ScalarDfa::State>(state));
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

std::uint64_t ScalarRun::inner_closing_size(std::uint32_t state) {
  if (words_ != nullptr) return words_->closing_size(state);
  if (dfa_ != nullptr) return dfa_->closing_size(static_cast<ScalarDfa::State>(state));
  if (terminal_ == nullptr) return automaton_->closing_length(state);
  const Place at = inner_place(state);
  return std::uint64_t{terminal_->closing_size(at.q)} + at.owed;
}

void ScalarRun::byte_classes(std::uint32_t state, std::vector<ByteSet>& classes) const {
  const auto each = [&](ByteSet rest) {
    for (; !rest.none(); rest.remove(rest.lowest())) {
      ByteSet one;
      one.add(rest.lowest());
      refine(classes, one);
    }
  };
  if (const std::uint32_t node = taken_node(state); node != 0) each(taken_->bytes_of(node));
  const std::uint32_t own = inner(state);
  if (words_ != nullptr) {
    each(words_->bytes_of(own));
    return;
  }
  if (automaton_ != nullptr) {
    automaton_->byte_classes(own, classes);
    return;
  }
  if (terminal_ != nullptr) each(ByteSet::of("\"\\"));  // where lengths count
  // By where they lead.
  const auto q = static_cast<Terminal::State>(own & ((1U << kShift) - 1));
  const auto leads = [&](unsigned byte) {
    return terminal_ != nullptr
               ? terminal_->next(q, static_cast<unsigned char>(byte))
               : dfa_->next(static_cast<ScalarDfa::State>(own), static_cast<unsigned char>(byte));
  };
  ByteSet rest =
      terminal_ != nullptr ? terminal_->bytes(q) : dfa_->bytes(static_cast<ScalarDfa::State>(own));
  refine(classes, rest);
  while (!rest.none()) {
    const auto to = leads(rest.lowest());
    ByteSet alike;
    for (unsigned b = rest.lowest(); b < 256; ++b) {
      if (rest.has(b) && leads(b) == to) alike.add(b);
    }
    refine(classes, alike);
    rest &= ~alike;
  }
}

ScalarRun::Place ScalarRun::inner_place(std::uint32_t state) const {
  Place out;
  out.q = static_cast<Terminal::State>(state & ((1U << kShift) - 1));
  if (terminal_->boundary() == Terminal::kDead || terminal_->accepting(out.q)) return out;
  std::uint32_t count = state >> kShift;
  if (out.q != terminal_->boundary() && out.q != terminal_->start()) ++count;  // has begun
  out.owed = low_ > count ? low_ - count : 0;
  if (high_ != kUnbounded) out.left = high_ > count ? high_ - count : 0;
  return out;
}

// ---- texts that are taken away ----

void ScalarRun::take_away(std::vector<std::string> texts) {
  const auto read = [&](const std::string& text, auto&& visit) {
    std::uint32_t at = start_;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (!visit(i, at)) return false;
      at = inner_step(at, static_cast<unsigned char>(text[i]));
      if (at == kNone) return false;
    }
    return inner_accepting(at);
  };
  std::erase_if(texts, [&](const std::string& text) {
    return !read(text, [](std::size_t, std::uint32_t) { return true; });
  });
  if (texts.empty() || start_ == kNone) return;
  taken_ = std::make_unique<const WordTrie>(texts);
  for (const std::string& text : texts) {
    longest_taken_ = std::max<std::uint64_t>(longest_taken_, text.size());
    std::uint32_t node = WordTrie::kStart;
    static_cast<void>(read(text, [&](std::size_t i, std::uint32_t at) {
      sparse_ = sparse_ && completions(at) > taken_->words_below(node);
      node = taken_->step(node, static_cast<unsigned char>(text[i]));
      return sparse_;
    }));
  }
  pairs_.emplace_back();
  start_ = completions(start_) > texts.size() ? pair(start_, WordTrie::kStart, 0) : kNone;
}

// Texts that complete a state, UINT32_MAX for too many to matter.
std::uint32_t ScalarRun::completions(std::uint32_t state) const {
  if (dfa_ != nullptr) return dfa_->completions(static_cast<ScalarDfa::State>(state));
  const auto q = static_cast<Terminal::State>(state & ((1U << kShift) - 1));
  if (terminal_->accepting(q)) return 1;
  const Place at = inner_place(state);
  if (at.left > 0) return UINT32_MAX;  // any character
  return q == terminal_->boundary() ? 1 : terminal_->ways(q);
}

std::uint32_t ScalarRun::pair(std::uint32_t inner, std::uint32_t node, std::uint32_t begun) {
  // Never both: a node, or characters begun.
  const std::uint64_t key = (std::uint64_t{inner} << 32) | (taken_ != nullptr ? node : begun);
  const auto [it, fresh] = pair_ids_.try_emplace(key, static_cast<std::uint32_t>(pairs_.size()));
  if (fresh) pairs_.push_back({inner, node, begun, UINT32_MAX});
  return it->second;
}

std::uint32_t ScalarRun::step(std::uint32_t state, unsigned char byte) {
  if (pairs_.empty()) return inner_step(state, byte);
  const Pair from = pairs_[state];
  const std::uint32_t to = inner_step(from.inner, byte);
  if (to == kNone) return kNone;
  if (taken_ == nullptr) {
    const bool begins = byte != '"' && dfa_->between(static_cast<ScalarDfa::State>(from.inner));
    const std::uint32_t begun = from.begun + (begins ? 1 : 0);
    const std::uint32_t left = dfa_->characters_left(static_cast<ScalarDfa::State>(to));
    return std::uint64_t{begun} + left > high_ ? kNone : pair(to, 0, begun);
  }
  const std::uint32_t node = from.node == 0 ? 0 : taken_->step(from.node, byte);
  if (node != 0 && completions(to) <= taken_->words_below(node)) return kNone;
  return pair(to, node, 0);
}

bool ScalarRun::accepting(std::uint32_t state) const { return inner_accepting(inner(state)); }

ByteSet ScalarRun::next_bytes(std::uint32_t state) const {
  ByteSet out = inner_bytes(inner(state));
  if (const std::uint32_t node = taken_node(state); node != 0) {
    const std::uint32_t end = taken_->step(node, '"');
    if (end != 0 && taken_->accepting(end)) out.remove('"');
  }
  return out;
}

// Where texts were taken away, the shortest that is none of them: along them, as far as they can be
// shorter than the best that leaves them.
std::string ScalarRun::closing_word(std::uint32_t state) {
  if (taken_ == nullptr && !pairs_.empty()) return counted_closing(state);
  if (taken_node(state) == 0) return inner_closing(inner(state));
  struct Open {
    std::uint32_t state;
    std::string word;
  };
  std::vector<Open> open{{state, {}}};
  std::string best;
  bool found = false;
  for (std::size_t i = 0; i < open.size(); ++i) {
    const Open at = open[i];
    if (found && at.word.size() + 1 > best.size()) break;
    const Pair from = pairs_[at.state];
    if (inner_accepting(from.inner)) {
      best = at.word;
      found = true;
      break;  // they come by rising length
    }
    const ByteSet along = taken_->bytes_of(from.node);
    const auto try_byte = [&](unsigned b) {
      const auto byte = static_cast<unsigned char>(b);
      const std::uint32_t next = step(at.state, byte);
      if (next == kNone) return;
      if (pairs_[next].node != 0) {
        open.push_back({next, at.word + static_cast<char>(byte)});
        return;
      }
      const std::uint64_t size = at.word.size() + 1 + inner_closing_size(pairs_[next].inner);
      if (found && size >= best.size()) return;
      best = at.word + static_cast<char>(byte) + inner_closing(pairs_[next].inner);
      found = true;
    };
    // Letters first: what they lead to is seldom longer than what others do.
    ByteSet rest = inner_bytes(from.inner);
    for (unsigned b = 'a'; b <= 'z'; ++b) {
      if (!rest.has(b)) continue;
      try_byte(b);
      rest.remove(b);
    }
    const bool nearest = found && best.size() <= at.word.size() + 2;  // a character and the quote
    if (nearest) rest &= along | ByteSet::of("\"");
    for (; !rest.none(); rest.remove(rest.lowest())) try_byte(rest.lowest());
  }
  return best;
}

// The shortest text where that is surely short enough, else the one of the fewest characters.
std::string ScalarRun::counted_closing(std::uint32_t state) {
  std::string out;
  auto q = static_cast<ScalarDfa::State>(inner(state));
  const std::uint32_t may = high_ - pairs_[state].begun;
  if (dfa_->closing_size(q) <= may) return dfa_->closing_word(q);  // a byte a character, at most
  while (!dfa_->accepting(q)) {
    out += static_cast<char>(dfa_->fewest_byte(q));
    q = dfa_->next(q, dfa_->fewest_byte(q));
  }
  return out;
}

std::uint64_t ScalarRun::closing_size(std::uint32_t state) {
  if (taken_ == nullptr && !pairs_.empty()) {
    if (pairs_[state].closing_size == UINT32_MAX) {
      pairs_[state].closing_size = static_cast<std::uint32_t>(counted_closing(state).size());
    }
    return pairs_[state].closing_size;
  }
  if (taken_node(state) == 0) return inner_closing_size(inner(state));
  if (pairs_[state].closing_size == UINT32_MAX) {
    const auto size = static_cast<std::uint32_t>(closing_word(state).size());
    pairs_[state].closing_size = size;
  }
  return pairs_[state].closing_size;
}

ScalarRun::Place ScalarRun::place(std::uint32_t state) const { return inner_place(inner(state)); }

std::size_t ScalarRun::bytes() const {
  std::size_t out = pairs_.size() * (sizeof(Pair) + 48);
  if (automaton_ != nullptr) out += automaton_->bytes();
  if (words_ != nullptr) out += words_->bytes();
  if (taken_ != nullptr) out += taken_->bytes();
  return out;
}

}  // namespace espalier::grammar
