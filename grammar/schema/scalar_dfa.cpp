#include "grammar/schema/scalar_dfa.h"

#include <algorithm>
#include <span>
#include <unordered_set>
#include <utility>

#include "grammar/program.h"
#include "grammar/strong_components.h"
#include "grammar/token_trie.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kStepBytes = 512;  // that count as a step: states of many positions

const ByteSet kStructure = ByteSet::of(",]} \n");

}  // namespace

std::shared_ptr<const ScalarDfa> ScalarDfa::create(const ProgramRef& program,
                                                   std::size_t most_steps,
                                                   const Terminal* characters) {
  auto out = std::make_shared<ScalarDfa>();
  Automaton automaton(program);
  std::vector<StateId> states{Automaton::kDead};  // by number here
  std::unordered_map<StateId, State> numbers;
  const auto number = [&](StateId s) -> State {
    if (s == Automaton::kDead || !automaton.closes(s)) return kDead;
    const auto [it, fresh] = numbers.try_emplace(s, static_cast<State>(states.size()));
    if (fresh) states.push_back(s);
    return it->second;
  };
  out->start_ = number(automaton.start({}));
  if (out->start_ == kDead) return nullptr;
  out->facts_.emplace_back();
  out->rows_.assign(256, kDead);
  const ByteSet& readable = program->vocabulary()->json_bytes();
  std::size_t steps = 0;
  for (std::size_t q = 1; q < states.size(); ++q) {
    const bool costly = steps + automaton.bytes() / kStepBytes > most_steps;
    if (states.size() > kMaxStates || costly) return nullptr;
    out->rows_.resize((q + 1) * 256, kDead);
    Facts facts;
    facts.accepting = automaton.accepting(states[q]);
    std::vector<ByteSet> classes{automaton.bytes_of(states[q])};
    if (!classes[0].none()) {
      automaton.byte_classes(states[q], classes);
      for (ByteSet rest : classes) {
        rest &= readable;
        if (rest.none()) continue;
        ++steps;
        const State to =
            number(automaton.live_step(states[q], static_cast<unsigned char>(rest.lowest())));
        if (to == kDead) continue;
        facts.bytes |= rest;
        for (; !rest.none(); rest.remove(rest.lowest())) out->rows_[q * 256 + rest.lowest()] = to;
      }
    }
    out->facts_.push_back(facts);
  }
  if (!out->find_kind()) return nullptr;
  if (!out->quoted_)
    out->merge_alike();  // numbers: a tenth is left, of which combinations are made
  if (readable != ByteSet::all() && !out->drop_endless()) return nullptr;
  out->runs_ = ByteRuns(out->rows_);
  out->find_facts(program->vocabulary()->single_bytes(), characters);
  return out;
}

std::shared_ptr<const ScalarDfa> ScalarDfa::create(const DfaSteps& made, const ByteSet& preferred,
                                                   const Terminal* characters, bool* empty) {
  // From the ends backwards, what can be completed; the others are dead.
  const std::size_t count = made.accepting.size();
  std::vector<std::pair<State, State>> steps;  // to, from
  std::vector<std::uint32_t> first(count + 1, 0);
  for (std::size_t q = 1; q < count; ++q) {
    State last = kDead;
    for (const ByteRun& run : made.runs.of(q)) {
      if (run.to == kDead || run.to == last) continue;
      last = run.to;
      steps.emplace_back(run.to, static_cast<State>(q));
      ++first[run.to + 1U];
    }
  }
  for (std::size_t q = 0; q < count; ++q) first[q + 1] += first[q];
  std::vector<State> into(steps.size());
  std::vector<std::uint32_t> place(first);
  for (const auto& [to, from] : steps) into[place[to]++] = from;
  std::vector<State> kept(count, kDead), open;
  const auto keep = [&](State q) {
    if (kept[q] != kDead) return;
    kept[q] = 1;
    open.push_back(q);
  };
  for (std::size_t q = 1; q < count; ++q) {
    if (made.accepting[q] != 0) keep(static_cast<State>(q));
  }
  while (!open.empty()) {
    const State q = open.back();
    open.pop_back();
    for (std::uint32_t i = first[q]; i < first[q + 1U]; ++i) keep(into[i]);
  }
  *empty = count == 1 || kept[1] == kDead;
  if (*empty) return nullptr;
  State last = kDead;
  for (std::size_t q = 1; q < count; ++q) {
    if (kept[q] != kDead) kept[q] = ++last;
  }
  auto out = std::make_shared<ScalarDfa>();
  out->start_ = kept[1];
  out->rows_.assign((std::size_t{last} + 1) * 256, kDead);
  out->facts_.resize(std::size_t{last} + 1);
  out->runs_.add(0, kDead);
  out->runs_.end_row();
  for (std::size_t q = 1; q < count; ++q) {
    if (kept[q] == kDead) continue;
    Facts& facts = out->facts_[kept[q]];
    facts.accepting = made.accepting[q] != 0;
    State* row = &out->rows_[std::size_t{kept[q]} * 256];
    const std::span<const ByteRun> own = made.runs.of(q);
    for (std::size_t r = 0; r < own.size(); ++r) {
      const State to = kept[own[r].to];
      out->runs_.add(own[r].first, to);
      if (to == kDead) continue;
      const unsigned end = ByteRuns::end(own, r);
      facts.bytes |= ByteSet::range(own[r].first, end - 1);
      std::fill(row + own[r].first, row + end, to);
    }
    out->runs_.end_row();
  }
  if (!out->find_kind()) return nullptr;
  out->find_facts(preferred, characters);
  return out;
}

ScalarDfa::Edges ScalarDfa::edges(const ByteSet& preferred) const {
  Edges out;
  out.first.assign(facts_.size() + 1, 0);
  out.first_into.assign(facts_.size() + 1, 0);
  // By the state that it leads to: an edge, of this state where it is one of the last.
  std::vector<std::uint32_t> known_of(facts_.size(), 0);
  for (std::size_t q = 1; q < facts_.size(); ++q) {
    const std::size_t begin = out.all.size();
    out.first[q] = static_cast<std::uint32_t>(begin);
    const std::span<const ByteRun> runs = runs_.of(q);
    for (std::size_t r = 0; r < runs.size(); ++r) {
      const State to = runs[r].to;
      if (to == kDead) continue;
      const unsigned end = ByteRuns::end(runs, r);
      ByteSet run = ByteSet::range(runs[r].first, end - 1);
      const ByteSet tokens = run & preferred;
      const bool spelled = !tokens.none();
      if (spelled) run = tokens;
      std::uint32_t& known = known_of[to];
      if (known < begin || known >= out.all.size() || out.all[known].to != to) {
        known = static_cast<std::uint32_t>(out.all.size());
        out.all.push_back({static_cast<State>(q), to, 0, false, 0});
      }
      Edge& edge = out.all[known];
      if (edge.count == 0 || (spelled && !edge.spelled)) {
        edge.byte = static_cast<unsigned char>(run.lowest());
        edge.spelled = spelled;
      }
      edge.count = static_cast<std::uint16_t>(edge.count + (end - runs[r].first));
    }
    for (std::size_t i = begin; i < out.all.size(); ++i) ++out.first_into[out.all[i].to];
  }
  out.first[facts_.size()] = static_cast<std::uint32_t>(out.all.size());
  // Counts to beginnings, then each edge into its place.
  std::uint32_t sum = 0;
  for (std::uint32_t& n : out.first_into) sum += std::exchange(n, sum);
  std::vector<std::uint32_t> place(out.first_into);
  out.into.resize(out.all.size());
  for (std::uint32_t i = 0; i < out.all.size(); ++i) out.into[place[out.all[i].to]++] = i;
  return out;
}

// Whether it is quoted or bare; false: neither.
bool ScalarDfa::find_kind() {
  bool bare = true;
  quoted_ = facts_[start_].bytes == ByteSet::of("\"") && !facts_[start_].accepting;
  for (std::size_t q = 1; q < facts_.size(); ++q) {
    quoted_ = quoted_ && !(facts_[q].accepting && !facts_[q].bytes.none());
    bare = bare && (facts_[q].bytes & (kStructure | ByteSet::of("\""))).none();
  }
  return quoted_ || bare;
}

void ScalarDfa::find_facts(const ByteSet& preferred, const Terminal* characters) {
  preferred_ = preferred;
  const Edges all = edges(preferred);
  find_closings(all);
  count_completions(all);
  if (quoted_ && characters != nullptr) count_characters(all, *characters);
}

// Breadth first from the ends backwards; of the bytes that are nearest to an end, those first that
// are tokens.
void ScalarDfa::find_closings(const Edges& edges) {
  std::vector<State> layer, further;
  for (std::size_t q = 1; q < facts_.size(); ++q) {
    if (!facts_[q].accepting) continue;
    facts_[q].closing_size = 0;
    layer.push_back(static_cast<State>(q));
  }
  std::vector<bool> spelled(facts_.size(), false);
  for (std::uint32_t size = 1; !layer.empty(); ++size) {
    further.clear();
    for (const State to : layer) {
      for (const std::uint32_t i : edges.to(to)) {
        const Edge& e = edges.all[i];
        Facts& from = facts_[e.from];
        if (from.closing_size < size) continue;
        if (from.closing_size == size && (spelled[e.from] || !e.spelled)) continue;
        if (from.closing_size > size) further.push_back(e.from);
        from.closing_size = size;
        from.closing_byte = e.byte;
        spelled[e.from] = e.spelled;
        longest_closing_ = size;
      }
    }
    layer.swap(further);
  }
}

// Leaves out the steps to states that have no way to the end without bytes that no token has. False
// where nothing is left.
bool ScalarDfa::drop_endless() {
  runs_ = ByteRuns(rows_);
  find_closings(edges(ByteSet::all()));
  for (std::size_t q = 1; q < facts_.size(); ++q) {
    for (ByteSet rest = facts_[q].bytes; !rest.none(); rest.remove(rest.lowest())) {
      State& to = rows_[q * 256 + rest.lowest()];
      if (facts_[to].closing_size != UINT32_MAX) continue;
      to = kDead;
      facts_[q].bytes.remove(rest.lowest());
    }
  }
  const bool some = facts_[start_].closing_size != UINT32_MAX;
  for (Facts& facts : facts_) facts.closing_size = UINT32_MAX;
  return some;
}

// From the ends backwards over states all of whose steps are counted; what is left lies on a cycle
// or before one.
void ScalarDfa::count_completions(const Edges& edges) {
  std::vector<std::uint32_t> open(facts_.size(), 0);  // edges to states not counted yet
  std::vector<std::uint64_t> sum(facts_.size(), 0);
  std::vector<State> ready;
  for (std::size_t q = 1; q < facts_.size(); ++q) {
    sum[q] = facts_[q].accepting ? 1 : 0;
    open[q] = static_cast<std::uint32_t>(edges.from(static_cast<State>(q)).size());
    facts_[q].completions = kMany;
    if (open[q] == 0) ready.push_back(static_cast<State>(q));
  }
  while (!ready.empty()) {
    const State q = ready.back();
    ready.pop_back();
    facts_[q].completions = static_cast<std::uint32_t>(std::min<std::uint64_t>(sum[q], kMany));
    for (const std::uint32_t i : edges.to(q)) {
      const Edge& e = edges.all[i];
      const std::uint64_t more = std::uint64_t{facts_[q].completions} * e.count;
      sum[e.from] = std::min<std::uint64_t>(sum[e.from] + more, kMany);
      if (--open[e.from] == 0) ready.push_back(e.from);
    }
  }
  endless_ = true;
  for (std::size_t q = 1; q < facts_.size(); ++q) {
    endless_ = endless_ && (facts_[q].accepting || open[q] > 0);
  }
}

// Each state goes with one of the characters' states, else lengths are not counted. Then from the
// ends backwards: steps that begin a character cost one.
void ScalarDfa::count_characters(const Edges& edges, const Terminal& characters) {
  std::vector<Terminal::State> along(facts_.size(), Terminal::kDead);
  along[start_] = characters.start();
  std::vector<State> open{start_};
  std::vector<State> layer, further;
  while (!open.empty()) {
    const State q = open.back();
    open.pop_back();
    const Terminal::State here = along[q];
    Facts& facts = facts_[q];
    facts.between = here == characters.boundary();
    if (facts.accepting) {
      facts.left = 0;
      layer.push_back(q);
    }
    const bool whole = for_each_pair(q, characters, here, [&](State to, Terminal::State there) {
      if (to == kDead) return true;
      if (there == Terminal::kDead) return false;
      if (along[to] == Terminal::kDead) {
        along[to] = there;
        open.push_back(to);
      }
      return along[to] == there;
    });
    if (!whole) return;
  }
  // The closing quote alone leads to the end.
  const auto cost = [&](const Edge& e) {
    return facts_[e.from].between && !facts_[e.to].accepting ? 1U : 0U;
  };
  for (std::uint32_t left = 0; !layer.empty(); ++left) {
    further.clear();
    for (std::size_t i = 0; i < layer.size(); ++i) {  // grows
      const State to = layer[i];
      if (facts_[to].left != left) continue;  // nearer by another way
      most_left_ = left;
      for (const std::uint32_t at : edges.to(to)) {
        const Edge& e = edges.all[at];
        if (facts_[e.from].left <= left + cost(e)) continue;
        facts_[e.from].left = left + cost(e);
        facts_[e.from].fewest_byte = e.byte;
        (cost(e) == 0 ? layer : further).push_back(e.from);
      }
    }
    layer.swap(further);
  }
  counts_ = true;
  find_stretches(edges);
}

const ScalarDfa::Along& ScalarDfa::along(const Terminal& characters) const {
  const std::lock_guard lock(along_mutex_);
  for (const auto& known : along_) {
    if (known->characters == &characters) return *known;
  }
  return *along_.emplace_back(std::make_unique<const Along>(find_along(characters)));
}

// Along the characters, of which each state must stand at one, then backwards from where something
// is known not to hold.
ScalarDfa::Along ScalarDfa::find_along(const Terminal& characters) const {
  const Along none{&characters, std::vector<bool>(facts_.size(), false),
                   std::vector<std::uint8_t>(facts_.size(), 0)};
  if (!quoted_) return none;
  std::vector<Terminal::State> along(facts_.size(), Terminal::kDead);
  std::vector<std::pair<State, State>> steps;  // to, from
  std::vector<State> reached{start_}, ends, dying, foreign;
  reached.reserve(facts_.size());
  steps.reserve(2 * facts_.size());
  along[start_] = characters.start();
  for (std::size_t i = 0; i < reached.size(); ++i) {
    const State q = reached[i];
    if (accepting(q)) continue;
    bool out = false, dies = false, more = false;
    const bool whole = for_each_pair(q, characters, along[q], [&](State to, Terminal::State there) {
      if (there == Terminal::kDead) {
        more = more || to != kDead;
        return true;
      }
      const bool end = characters.accepting(there);
      if (to == kDead) {
        out = true;
        dies = dies || !end;
        return true;
      }
      if (!end && (steps.empty() || steps.back() != std::pair(to, q))) steps.emplace_back(to, q);
      if (along[to] == Terminal::kDead) {
        along[to] = there;
        reached.push_back(to);
      }
      return along[to] == there;
    });
    if (!whole) return none;
    if (out) ends.push_back(q);
    if (dies) dying.push_back(q);
    if (more) foreign.push_back(q);
  }
  std::vector<std::uint32_t> first(facts_.size() + 1, 0);
  for (const auto& [to, from] : steps) ++first[to + 1U];
  for (std::size_t q = 0; q < facts_.size(); ++q) first[q + 1] += first[q];
  std::vector<std::uint32_t> place(first);
  std::vector<State> into(steps.size());
  for (const auto& [to, from] : steps) into[place[to]++] = from;
  // note(q, bytes to where it is known), nearest first, as long as it says that that is news.
  const auto backwards = [&](std::vector<State> layer, auto&& note) {
    std::erase_if(layer, [&](State q) { return !note(q, 1U); });
    std::vector<State> further;
    for (unsigned bytes = 2; !layer.empty(); ++bytes) {
      further.clear();
      for (const State q : layer) {
        for (std::uint32_t i = first[q]; i < first[q + 1U]; ++i) {
          if (note(into[i], bytes)) further.push_back(into[i]);
        }
      }
      layer.swap(further);
    }
  };
  Along found = none;
  for (const State q : reached) {
    found.settled[q] = true;
    found.dies[q] = kNever;
  }
  backwards(std::move(ends), [&](State q, unsigned) {
    const bool news = found.settled[q];
    found.settled[q] = false;
    return news;
  });
  backwards(std::move(dying), [&](State q, unsigned bytes) {
    const bool news = bytes < found.dies[q];
    if (news) found.dies[q] = static_cast<std::uint8_t>(bytes);
    return news;
  });
  backwards(std::move(foreign),
            [&](State q, unsigned) { return std::exchange(found.dies[q], std::uint8_t{0}) != 0; });
  return found;
}

// A step behind which no more than one character more must begin than here: then there is a way
// with any number more.
void ScalarDfa::find_stretches(const Edges& edges) {
  stretches_ = true;
  for (std::size_t q = 1; q < facts_.size(); ++q) {
    Facts& facts = facts_[q];
    if (facts.accepting || facts.left == UINT32_MAX) continue;
    int best = -1;
    for (const Edge& e : edges.from(static_cast<State>(q))) {
      const std::uint32_t cost = facts.between && !facts_[e.to].accepting ? 1 : 0;
      if (facts_[e.to].accepting || facts_[e.to].left + cost > facts.left + 1) continue;
      const int worth = (e.spelled ? 2 : 0) + (facts_[e.to].between ? 1 : 0);
      if (worth <= best) continue;
      best = worth;
      facts.stretching_byte = e.byte;
    }
    if (best < 0) {
      stretches_ = false;
      return;
    }
  }
  // As deep as a character has bytes; on the way either byte may be taken.
  const auto bytes_left = [&](auto&& self, State q) -> std::uint32_t {
    if (facts_[q].between || facts_[q].accepting) return 0;
    return 1 + std::max(self(self, next(q, facts_[q].stretching_byte)),
                        self(self, next(q, facts_[q].fewest_byte)));
  };
  for (std::size_t q = 1; q < facts_.size(); ++q) {
    if (!facts_[q].between || facts_[q].left == UINT32_MAX) continue;
    for (const unsigned char byte : {facts_[q].stretching_byte, facts_[q].fewest_byte}) {
      widest_ = std::max(widest_, 1 + bytes_left(bytes_left, next(static_cast<State>(q), byte)));
    }
  }
}

std::shared_ptr<const ScalarDfa> ScalarDfa::without_empty(const ByteSet& preferred,
                                                          const Terminal* characters) const {
  const State open = next(start_, '"');
  if (facts_.size() >= kMaxStates) return nullptr;
  auto out = std::make_shared<ScalarDfa>();
  out->rows_.reserve(rows_.size() + 256);
  out->rows_ = rows_;
  out->facts_ = facts_;
  out->start_ = start_;
  out->quoted_ = true;
  // The state after the quote once more, without the one that ends it there.
  const auto own = static_cast<State>(facts_.size());
  out->facts_.push_back(facts_[open]);
  out->facts_[own].bytes.remove('"');
  if (out->facts_[own].bytes.none()) return nullptr;
  const auto from = static_cast<std::ptrdiff_t>(std::size_t{open} * 256);
  std::vector<State> row(rows_.begin() + from, rows_.begin() + from + 256);
  row['"'] = kDead;
  out->rows_.insert(out->rows_.end(), row.begin(), row.end());
  out->rows_[std::size_t{start_} * 256 + '"'] = own;
  for (Facts& facts : out->facts_) {
    Facts fresh;
    fresh.bytes = facts.bytes;
    fresh.accepting = facts.accepting;
    facts = fresh;
  }
  for (std::size_t q = 0; q < facts_.size(); ++q) {
    const auto read = static_cast<State>(q);
    for (const ByteRun& run : runs_.of(q)) {
      out->runs_.add(run.first, read == start_ && run.to == open ? own : run.to);
    }
    out->runs_.end_row();
  }
  for (unsigned b = 0; b < 256; ++b) out->runs_.add(b, row[b]);
  out->runs_.end_row();
  out->find_facts(preferred, characters);
  out->take_prepared(*this, open, own);
  return out;
}

// What was made of `from` for all its states, which these are too, but for `own`: that is its
// `open` where the end may not follow.
void ScalarDfa::take_prepared(const ScalarDfa& from, State open, State own) {
  {
    const std::lock_guard lock(from.along_mutex_);
    for (const auto& known : from.along_) {
      auto along = std::make_unique<Along>(*known);
      along->settled[start_] = false;
      along->settled.push_back(false);
      along->dies.push_back(known->dies[open]);
      along_.push_back(std::move(along));
    }
  }
  const std::lock_guard lock(from.mutex_);
  if (from.alike_.empty()) return;
  alike_ = from.alike_;
  alike_.push_back({UINT64_MAX, own});  // like no other
  alike_[start_] = {UINT64_MAX, start_};
}

std::string ScalarDfa::closing_word(State q) const {
  std::string out;
  while (!accepting(q)) {
    out += static_cast<char>(closing_byte(q));
    q = next(q, closing_byte(q));
  }
  return out;
}

std::vector<std::string> ScalarDfa::words() const {
  std::vector<std::string> out;
  std::vector<std::pair<State, std::string>> open{{start_, {}}};
  while (!open.empty()) {
    const auto [q, text] = std::move(open.back());
    open.pop_back();
    if (accepting(q)) out.push_back(text);
    for (ByteSet rest = bytes(q); !rest.none(); rest.remove(rest.lowest())) {
      const auto byte = static_cast<unsigned char>(rest.lowest());
      open.emplace_back(next(q, byte), text + static_cast<char>(byte));
    }
  }
  return out;
}

}  // namespace espalier::grammar
