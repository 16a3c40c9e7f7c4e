#include "grammar/schema/scalar_run.h"

#include <algorithm>
#include <utility>

#include "grammar/hash.h"
#include "grammar/program.h"

namespace espalier::grammar {

// Automaton::kDead is 1 and its state 0 is never used: this class swaps the two.
ScalarRun::ScalarRun(const ProgramRef& program) : automaton_(std::make_unique<Automaton>(program)) {
  const StateId start = automaton_->start({});
  start_ = start == Automaton::kDead ? kNone : start;
}

ScalarRun::ScalarRun(std::shared_ptr<const ScalarDfa> dfa)
    : dfa_(std::move(dfa)), start_(dfa_->start()) {}

ScalarRun::ScalarRun(std::shared_ptr<const ScalarDfa> dfa, std::uint32_t low, std::uint32_t high)
    : low_(low), high_(high), dfa_(std::move(dfa)) {
  start_ = dfa_->start();
  if (!counted()) return;
  counts_ = std::make_shared<Counts>();
  if (high_ == kUnbounded && !dfa_->stretches()) {
    counts_->owing = std::make_unique<OwedClosings>(dfa_);
  }
  pairs_.emplace_back();
  start_ = pair({start_, 0, 0, UINT32_MAX});
}

ScalarRun::ScalarRun(std::shared_ptr<ScalarProduct> product)
    : product_(std::move(product)), start_(product_->start()) {}

ScalarRun::ScalarRun(IntegerMultiples multiples)
    : multiples_(std::make_unique<IntegerMultiples>(std::move(multiples))),
      start_(multiples_->start()) {}

ScalarRun ScalarRun::anew() const {
  ESP_DCHECK((dfa_ != nullptr || product_ != nullptr) && taken_ == nullptr);
  if (product_ != nullptr) {
    ScalarRun out(product_);
    out.shares_ = true;
    return out;
  }
  ScalarRun out(dfa_);
  out.low_ = low_;
  out.high_ = high_;
  if (!counted()) return out;
  out.counts_ = counts_;
  out.shares_ = true;
  out.pairs_.emplace_back();
  out.start_ = out.pair({dfa_->start(), 0, 0, UINT32_MAX});
  return out;
}

ScalarRun::ScalarRun(WordTrie words)
    : words_(std::make_unique<WordTrie>(std::move(words))), start_(WordTrie::kStart) {}

ScalarRun::ScalarRun(const Terminal* terminal, std::uint32_t low, std::uint32_t high)
    : terminal_(terminal), low_(low), high_(high), start_(terminal->start()) {}

std::uint32_t ScalarRun::inner_step(std::uint32_t state, unsigned char byte) {
  if (words_ != nullptr) return words_->step(state, byte);
  if (dfa_ != nullptr) return dfa_->next(static_cast<ScalarDfa::State>(state), byte);
  if (product_ != nullptr) return product_->next(state, byte);
  if (multiples_ != nullptr) return multiples_->step(state, byte);
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
  if (product_ != nullptr) return product_->accepting(state);
  if (multiples_ != nullptr) return multiples_->accepting(state);
  if (terminal_ == nullptr) return automaton_->accepting(state);
  return terminal_->accepting(static_cast<Terminal::State>(state & ((1U << kShift) - 1)));
}

ByteSet ScalarRun::inner_bytes(std::uint32_t state) const {
  if (words_ != nullptr) return words_->bytes_of(state);
  if (dfa_ != nullptr) return dfa_->bytes(static_cast<ScalarDfa::State>(state));
  if (product_ != nullptr) return product_->bytes(state);
  if (multiples_ != nullptr) return multiples_->bytes_of(state);
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
  std::string out;
  if (product_ != nullptr) {
    for (; !product_->accepting(state);
         state = product_->next(state, product_->closing_byte(state)))
      out += static_cast<char>(product_->closing_byte(state));
    return out;
  }
  if (multiples_ != nullptr) return multiples_->closing_word(state);
  if (terminal_ == nullptr) return automaton_->closing_word(state);
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
  if (product_ != nullptr) return product_->closing_size(state);
  if (multiples_ != nullptr) return multiples_->closing_size(state);
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
  if (multiples_ != nullptr) {
    each(multiples_->bytes_of(own));
    return;
  }
  if (automaton_ != nullptr) {
    automaton_->byte_classes(own, classes);
    return;
  }
  if (product_ != nullptr) {
    product_->byte_classes(own, classes);
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

// ---- texts that are taken away, lengths of a finished automaton's ----

// One byte on, taken texts aside. False where no text of such a length completes it.
bool ScalarRun::read(Pair& at, unsigned char byte) {
  const std::uint32_t from = at.inner;
  at.inner = inner_step(from, byte);
  if (at.inner == kNone || !counted()) return at.inner != kNone;
  const auto to = static_cast<ScalarDfa::State>(at.inner);
  if (dfa_->accepting(to)) return at.begun >= low_;
  // Beyond the least no more is told apart where there is no end.
  const bool begins = dfa_->between(static_cast<ScalarDfa::State>(from)) &&
                      (high_ != kUnbounded || at.begun < low_);
  if (begins) ++at.begun;
  return std::uint64_t{at.begun} + dfa_->characters_left(to) <= high_;
}

bool ScalarRun::may_take_away() const {
  if (dfa_ == nullptr) return terminal_ != nullptr || product_ != nullptr;
  const std::uint32_t most = high_ == kUnbounded ? low_ : high_;
  return !counted() || (dfa_->quoted() && (dfa_->size() + 8) * std::size_t{most} <= kMostCounts);
}

void ScalarRun::take_away(std::vector<std::string> texts) {
  if (start_ == kNone) return;
  const Pair start = at(start_);
  const auto reads = [&](const std::string& text, auto&& visit) {
    Pair at = start;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (!visit(i, at) || !read(at, static_cast<unsigned char>(text[i]))) return false;
    }
    return inner_accepting(at.inner) && visit(text.size(), at);
  };
  std::erase_if(texts, [&](const std::string& text) {
    return !reads(text, [](std::size_t, const Pair&) { return true; });
  });
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  if (texts.empty()) return;
  taken_ = std::make_unique<const WordTrie>(texts);
  for (const std::string& text : texts) {
    longest_taken_ = std::max<std::uint64_t>(longest_taken_, text.size());
    std::uint32_t node = WordTrie::kStart;
    static_cast<void>(reads(text, [&](std::size_t i, const Pair& at) {
      // (A string is over at its quote.)
      const bool over = i == text.size() && text.front() == '"';
      sparse_ = sparse_ && (over || exceeds(at, taken_->words_below(node)));
      if (i < text.size()) node = taken_->step(node, static_cast<unsigned char>(text[i]));
      return sparse_;
    }));
  }
  if (pairs_.empty()) pairs_.emplace_back();
  start_ = exceeds(start, texts.size())
               ? pair({start.inner, WordTrie::kStart, start.begun, UINT32_MAX})
               : kNone;
}

// Texts that complete a state, lengths aside; UINT32_MAX for too many to matter.
std::uint32_t ScalarRun::inner_completions(std::uint32_t state) const {
  if (dfa_ != nullptr) return dfa_->completions(static_cast<ScalarDfa::State>(state));
  const auto q = static_cast<Terminal::State>(state & ((1U << kShift) - 1));
  if (terminal_->accepting(q)) return 1;
  const Place at = inner_place(state);
  if (at.left > 0) return UINT32_MAX;  // any character
  return q == terminal_->boundary() ? 1 : terminal_->ways(q);
}

// Whether more texts than that complete it.
bool ScalarRun::exceeds(const Pair& at, std::uint64_t count) {
  if (product_ != nullptr) return product_->exceeds(at.inner, count);
  if (!counted()) {
    const std::uint32_t all = inner_completions(at.inner);
    return all == UINT32_MAX || all > count;
  }
  if (dfa_->accepting(static_cast<ScalarDfa::State>(at.inner))) return count == 0;
  if (high_ == kUnbounded) return true;  // it goes on without end
  std::uint64_t sum = 0;
  for (std::uint32_t n = at.begun < low_ ? low_ - at.begun : 0; n <= high_ - at.begun; ++n) {
    const std::uint32_t more = level(n)[at.inner];
    sum += more;
    if (more == UINT32_MAX || sum > count) return true;
  }
  return false;
}

const ScalarRun::Level& ScalarRun::level(std::uint32_t characters) {
  std::vector<Level>& levels = counts_->levels;
  while (levels.size() <= characters) {
    Level made(dfa_->size(), 0);
    std::vector<bool> known(dfa_->size(), false);
    const auto more = [&](ScalarDfa::State q, const Level& by) {
      std::uint64_t sum = 0;
      for (ByteSet rest = dfa_->bytes(q); !rest.none(); rest.remove(rest.lowest())) {
        const ScalarDfa::State to = dfa_->next(q, static_cast<unsigned char>(rest.lowest()));
        if (!dfa_->accepting(to)) sum += by[to];
      }
      return static_cast<std::uint32_t>(std::min<std::uint64_t>(sum, UINT32_MAX));
    };
    // Between characters: one begins, or the string ends. Then, as deep as a character has bytes,
    // inside them.
    std::vector<ScalarDfa::State> inside;
    for (std::size_t i = 1; i < dfa_->size(); ++i) {
      const auto q = static_cast<ScalarDfa::State>(i);
      known[q] = dfa_->between(q) || dfa_->accepting(q);
      if (!known[q]) inside.push_back(q);
      if (levels.empty()) {
        const bool ends =
            dfa_->accepting(q) || (dfa_->between(q) && dfa_->accepting(dfa_->next(q, '"')));
        made[q] = ends ? 1 : 0;
      } else if (dfa_->between(q)) {
        made[q] = more(q, levels.back());
      }
    }
    for (std::size_t before = 0; inside.size() != before;) {
      before = inside.size();
      std::erase_if(inside, [&](ScalarDfa::State q) -> bool {
        for (ByteSet rest = dfa_->bytes(q); !rest.none(); rest.remove(rest.lowest())) {
          if (!known[dfa_->next(q, static_cast<unsigned char>(rest.lowest()))]) return false;
        }
        made[q] = more(q, made);
        return known[q] = true;
      });
    }
    levels.push_back(std::move(made));
  }
  return levels[characters];
}

std::uint32_t ScalarRun::pair(const Pair& made) {
  const std::size_t hash = mix(mix(made.inner, made.node), made.begun);
  std::uint32_t id = pair_ids_.find(hash, [&](std::uint32_t other) {
    const Pair& known = pairs_[other];
    return known.inner == made.inner && known.node == made.node && known.begun == made.begun;
  });
  if (id == InternTable::kNone) {
    id = static_cast<std::uint32_t>(pairs_.size());
    pair_ids_.insert(hash, id);
    pairs_.push_back(made);
  }
  return id;
}

std::uint32_t ScalarRun::step(std::uint32_t state, unsigned char byte) {
  if (pairs_.empty()) return inner_step(state, byte);
  Pair to = pairs_[state];
  if (!read_apart(to, byte)) return kNone;
  to.closing_size = UINT32_MAX;
  return pair(to);
}

// One byte on, apart from the texts that are taken away.
bool ScalarRun::read_apart(Pair& at, unsigned char byte) {
  if (!read(at, byte)) return false;
  if (at.node != 0) at.node = taken_->step(at.node, byte);
  return at.node == 0 || exceeds(at, taken_->words_below(at.node));
}

bool ScalarRun::reads(std::uint32_t state, std::string_view text) {
  Pair place = at(state);
  return std::ranges::all_of(
      text, [&](char c) { return read_apart(place, static_cast<unsigned char>(c)); });
}

bool ScalarRun::accepting(std::uint32_t state) const {
  const std::uint32_t node = taken_node(state);
  return inner_accepting(inner(state)) && (node == 0 || !taken_->accepting(node));
}

ByteSet ScalarRun::next_bytes(std::uint32_t state) const {
  ByteSet out = inner_bytes(inner(state));
  if (characters_owed(state) > 0 && dfa_->between(dfa_state(state))) out.remove('"');
  if (const std::uint32_t node = taken_node(state); node != 0) {
    const std::uint32_t end = taken_->step(node, '"');
    if (end != 0 && taken_->accepting(end)) out.remove('"');
  }
  return out;
}

// Where texts were taken away, the shortest that is none of them. Of those as short the first in an
// order that does not depend on which are taken: so another text that is taken as well changes it
// only where it is the very one, which masks near a budget's end rely on.
std::string ScalarRun::closing_word(std::uint32_t state) {
  if (taken_node(state) == 0) return closing(at(state));
  struct Open {
    Pair at;
    std::string word;
  };
  const auto is_taken = [&](std::uint32_t node, std::string_view word) {
    for (std::size_t i = 0; node != 0 && i < word.size(); ++i) {
      node = taken_->step(node, static_cast<unsigned char>(word[i]));
    }
    return node != 0 && taken_->accepting(node);
  };
  std::vector<Open> open{{at(state), {}}};  // by rising length
  if (std::string own = closing(open[0].at); !is_taken(open[0].at.node, own)) return own;
  std::string best;
  bool found = false;
  for (std::size_t i = 0; i < open.size(); ++i) {
    const Open from = open[i];
    if (found && from.word.size() + 1 >= best.size()) break;
    Pair last;  // that a text was found by
    const auto try_byte = [&](unsigned b) {
      const auto byte = static_cast<unsigned char>(b);
      Pair to = from.at;
      if (!read(to, byte)) return;
      to.node = taken_->step(to.node, byte);
      if (to.inner == last.inner) return;
      const std::uint64_t size = from.word.size() + 1 + closing_size(to);
      if (found && size >= best.size()) return;
      const std::string word = closing(to);
      if (is_taken(to.node, word)) {
        if (exceeds(to, taken_->words_below(to.node))) {
          open.push_back({to, from.word + static_cast<char>(byte)});
        }
        return;
      }
      best = from.word + static_cast<char>(byte) + word;
      found = true;
      last = to;
    };
    // Letters first: what they lead to is seldom longer than what others do.
    ByteSet rest = inner_bytes(from.at.inner);
    for (unsigned b = 'a'; b <= 'z'; ++b) {
      if (!rest.has(b)) continue;
      try_byte(b);
      rest.remove(b);
    }
    // Only the quote alone is shorter than a character and the quote.
    if (found && best.size() <= from.word.size() + 2) rest &= ByteSet::of("\"");
    for (; !rest.none(); rest.remove(rest.lowest())) try_byte(rest.lowest());
  }
  return best;
}

// Of a run that counts: where the shortest text is not surely short and long enough, the characters
// that are owed before a closing of the fewest that may be.
std::optional<std::uint32_t> ScalarRun::owed(const Pair& at) const {
  const auto q = static_cast<ScalarDfa::State>(at.inner);
  const std::uint32_t may = high_ == kUnbounded ? kUnbounded : high_ - at.begun;
  const std::uint32_t owed = at.begun < low_ ? low_ - at.begun : 0;
  // At most a byte a character.
  if (owed <= dfa_->characters_left(q) && dfa_->closing_size(q) <= may) return std::nullopt;
  return owed;
}

// A byte of such a closing.
unsigned char ScalarRun::read_owed(ScalarDfa::State& q, std::uint32_t& owed) {
  unsigned char byte = 0;
  if (counts_->owing != nullptr) {
    byte = counts_->owing->byte(q, owed);
  } else if (owed > dfa_->characters_left(q)) {
    byte = dfa_->stretching_byte(q);
  } else {
    byte = dfa_->fewest_byte(q);
  }
  if (dfa_->between(q) && owed > 0) --owed;
  q = dfa_->next(q, byte);
  return byte;
}

// Taken texts aside.
std::string ScalarRun::closing(const Pair& at) {
  if (!counted()) return inner_closing(at.inner);
  auto q = static_cast<ScalarDfa::State>(at.inner);
  std::optional<std::uint32_t> left = owed(at);
  if (!left) return dfa_->closing_word(q);
  std::string out;
  while (!dfa_->accepting(q)) out += static_cast<char>(read_owed(q, *left));
  return out;
}

// The size of closing(at), which is asked of every byte at every state: hundreds of characters
// would be written each time.
std::uint64_t ScalarRun::closing_size(const Pair& at) {
  if (!counted()) return inner_closing_size(at.inner);
  auto q = static_cast<ScalarDfa::State>(at.inner);
  std::optional<std::uint32_t> left = owed(at);
  if (!left) return dfa_->closing_size(q);
  if (counts_->owing != nullptr) return counts_->owing->size(q, *left);
  auto& owed_sizes = counts_->owed_sizes;
  if (owed_sizes.size() > kMostOwedSizes) owed_sizes.clear();
  std::vector<std::uint64_t> path;
  std::uint32_t size = 0;
  while (!dfa_->accepting(q)) {
    const std::uint64_t key = std::uint64_t{q} << 32 | *left;
    if (const auto known = owed_sizes.find(key); known != owed_sizes.end()) {
      size = known->second;
      break;
    }
    path.push_back(key);
    read_owed(q, *left);
  }
  for (auto key = path.rbegin(); key != path.rend(); ++key) owed_sizes.emplace(*key, ++size);
  ESP_DCHECK(size == closing(at).size());
  return size;
}

std::uint64_t ScalarRun::closing_size(std::uint32_t state) {
  if (pairs_.empty() || (taken_node(state) == 0 && !counted())) {
    return inner_closing_size(inner(state));
  }
  if (pairs_[state].closing_size == UINT32_MAX) {
    const auto size = static_cast<std::uint32_t>(closing_word(state).size());
    pairs_[state].closing_size = size;
  }
  return pairs_[state].closing_size;
}

ScalarRun::Place ScalarRun::place(std::uint32_t state) const { return inner_place(inner(state)); }

std::size_t ScalarRun::bytes() const {
  std::size_t out = pairs_.size() * (2 * sizeof(Pair) + 16);
  if (automaton_ != nullptr) out += automaton_->bytes();
  if (product_ != nullptr) out += product_->bytes();
  if (multiples_ != nullptr) out += multiples_->bytes();
  if (words_ != nullptr) out += words_->bytes();
  if (taken_ != nullptr) out += taken_->bytes();
  if (counts_ != nullptr && !shares_) out += counts_->bytes();
  return out;
}

std::size_t ScalarRun::Counts::bytes() const {
  std::size_t out = owed_sizes.size() * 40;  // a node of the table
  for (const Level& level : levels) out += level.size() * sizeof(std::uint32_t);
  return out + (owing != nullptr ? owing->bytes() : 0);
}

}  // namespace espalier::grammar
