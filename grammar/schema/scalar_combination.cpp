#include "grammar/schema/scalar_combination.h"

#include <algorithm>
#include <utility>

#include "grammar/hash.h"
#include "grammar/intern_table.h"

namespace espalier::grammar {

ScalarCombination::Node ScalarCombination::add(Operator node) {
  nodes_.push_back(std::move(node));
  return static_cast<Node>(nodes_.size() - 1);
}

ScalarCombination::Node ScalarCombination::part(Part part) {
  const auto known = std::find(parts_.begin(), parts_.end(), part);
  const auto id = static_cast<std::uint32_t>(known - parts_.begin());
  if (known == parts_.end()) parts_.push_back(std::move(part));
  return add({Op::kPart, id, {}});
}

ScalarCombination::Node ScalarCombination::words(std::shared_ptr<const ScalarDfa> dfa) {
  Part out;
  out.dfa = std::move(dfa);
  return part(std::move(out));
}

ScalarCombination::Node ScalarCombination::words(ProgramRef program) {
  Part out;
  out.program = std::move(program);
  return part(std::move(out));
}

bool ScalarCombination::finished() const {
  return std::ranges::all_of(parts_, [](const Part& part) { return part.program == nullptr; });
}

ScalarCombination::Node ScalarCombination::characters(const Terminal* string, std::uint32_t low,
                                                      std::uint32_t high) {
  Part out;
  out.string = string;
  out.low = low;
  out.high = high;
  return part(std::move(out));
}

ScalarCombination::Node ScalarCombination::nothing() { return add({Op::kNothing, 0, {}}); }

ScalarCombination::Node ScalarCombination::all(std::vector<Node> of) {
  return of.size() == 1 ? of[0] : add({Op::kAll, 0, std::move(of)});
}

ScalarCombination::Node ScalarCombination::any(std::vector<Node> of) {
  return of.size() == 1 ? of[0] : add({Op::kAny, 0, std::move(of)});
}

ScalarCombination::Node ScalarCombination::negation(Node of) {
  return add({Op::kNegation, 0, {of}});
}

void ScalarCombination::start(std::span<std::uint32_t> state) const {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (parts_[i].program != nullptr) continue;
    state[i] = parts_[i].dfa != nullptr ? parts_[i].dfa->start() : parts_[i].string->start();
  }
}

void ScalarCombination::settle(const Terminal& characters) {
  for (Part& part : parts_) {
    if (part.dfa != nullptr) part.settled = &part.dfa->settled(characters);
  }
}

std::span<const ByteRun> ScalarCombination::runs(std::size_t part, std::uint32_t state) const {
  const Part& of = parts_[part];
  if (of.dfa != nullptr) return of.dfa->runs(static_cast<ScalarDfa::State>(state));
  return of.string->runs(static_cast<Terminal::State>(state & ((1U << kShift) - 1)));
}

std::uint32_t ScalarCombination::read(std::size_t part, std::uint32_t state,
                                      unsigned char byte) const {
  const Part& of = parts_[part];
  if (of.dfa != nullptr) return of.dfa->next(static_cast<ScalarDfa::State>(state), byte);
  const auto q = static_cast<Terminal::State>(state & ((1U << kShift) - 1));
  const Terminal::State to = of.string->next(q, byte);
  if (to == Terminal::kDead) return 0;
  std::uint32_t count = state >> kShift;
  if (q == of.string->boundary()) {
    if (of.string->accepting(to)) return count < of.low ? 0 : to;
    if (of.high != kUnbounded && count == of.high) return 0;
    // Beyond the least no more is told apart where there is no end.
    if (of.high != kUnbounded || count < of.low) ++count;
  }
  return to | (count << kShift);
}

bool ScalarCombination::accepting(const Part& part, std::uint32_t state) const {
  if (part.dfa != nullptr) return part.dfa->accepting(static_cast<ScalarDfa::State>(state));
  if (part.program != nullptr) return state % 2 != 0;
  return part.string->accepting(static_cast<Terminal::State>(state & ((1U << kShift) - 1)));
}

bool ScalarCombination::accepting(std::span<const std::uint32_t> state) const {
  return evaluate(root_, true, [&](std::size_t part, bool wanted) {
    return accepting(parts_[part], state[part]) == wanted;
  });
}

// The bytes of a finished part's shortest text from there on.
std::uint32_t ScalarCombination::closing(const Part& part, std::uint32_t state) const {
  if (part.dfa != nullptr) return part.dfa->closing_size(static_cast<ScalarDfa::State>(state));
  const auto q = static_cast<Terminal::State>(state & ((1U << kShift) - 1));
  const std::uint32_t begun = state >> kShift;
  return part.string->closing_size(q) + (part.low > begun ? part.low - begun : 0);
}

std::string ScalarCombination::closing_word(std::size_t part, std::uint32_t state) const {
  const Part& of = parts_[part];
  if (of.dfa != nullptr) return of.dfa->closing_word(static_cast<ScalarDfa::State>(state));
  std::string out;
  while (state != 0 && !accepting(of, state)) {
    const auto q = static_cast<Terminal::State>(state & ((1U << kShift) - 1));
    const bool owes = q == of.string->boundary() && state >> kShift < of.low;
    const unsigned char byte = owes ? of.string->filler() : of.string->closing_byte(q);
    out += static_cast<char>(byte);
    state = read(part, state, byte);
  }
  return out;
}

bool ScalarCombination::hopeful(std::span<const std::uint32_t> state) const {
  return evaluate(root_, true, [&](std::size_t part, bool wanted) {
    if (wanted) return state[part] != 0;
    return parts_[part].settled == nullptr || !(*parts_[part].settled)[state[part]];
  });
}

bool ScalarCombination::hopeful(std::span<const std::uint32_t> state,
                                const std::vector<bool>& known) const {
  return evaluate(root_, true, [&](std::size_t part, bool wanted) {
    if (!known[part]) return true;
    if (wanted) return state[part] != 0;
    return parts_[part].settled == nullptr || !(*parts_[part].settled)[state[part]];
  });
}

std::vector<ScalarCombination::Role> ScalarCombination::roles() const {
  std::vector<Role> out(parts_.size());
  struct At {
    Node node;
    bool wanted, must;  // it is only so that the whole holds
  };
  std::vector<At> open{{root_, true, true}};
  while (!open.empty()) {
    const auto [at, wanted, must] = open.back();
    open.pop_back();
    const Operator& node = nodes_[at];
    if (node.op == Op::kPart) {
      Role& role = out[node.part];
      role.only_wanted = role.only_wanted && wanted;
      role.required = role.required || (must && wanted);
      role.excluded = role.excluded || (must && !wanted);
    }
    const bool negation = node.op == Op::kNegation;
    const bool each = negation || node.op == (wanted ? Op::kAll : Op::kAny);
    for (const Node n : node.of) open.push_back({n, wanted != negation, must && each});
  }
  return out;
}

std::shared_ptr<const ScalarDfa> ScalarDfa::combine(const ScalarCombination& what,
                                                    std::size_t most_states,
                                                    const ByteSet& preferred,
                                                    const Terminal* characters, bool* empty) {
  *empty = false;
  const std::size_t parts = what.parts();
  if (!what.finished() || parts == 0 || parts > ScalarCombination::kMostParts) return nullptr;
  most_states = std::min(most_states, kMaxStates);
  const std::vector<ScalarCombination::Role> roles = what.roles();
  // States of the parts, one behind the other, by number here; 0 is dead. Those that are hopeless
  // are met as often, so they are remembered too. The hash is a sum over the parts: what one of
  // them reads changes its own share alone.
  std::vector<std::uint32_t> places(parts, 0), hopeless;
  InternTable numbers, dead_numbers;
  std::vector<std::uint32_t> next(parts, 0);
  std::size_t hash = 0;
  const auto put = [&](std::size_t part, std::uint32_t state) {
    std::uint32_t& before = next[part];
    if (before == state) return;
    const std::size_t seed = mix(0, part);
    hash += mix(seed, state) - mix(seed, before);
    before = state;
  };
  const auto number = [&]() -> State {
    const auto in = [&](const std::vector<std::uint32_t>& known) {
      return [&](std::uint32_t other) {
        const std::uint32_t* const at = known.data() + std::size_t{other} * parts;
        for (std::size_t i = 0; i < parts; ++i) {
          if (at[i] != next[i]) return false;
        }
        return true;
      };
    };
    std::uint32_t id = numbers.find(hash, in(places));
    if (id != InternTable::kNone) return static_cast<State>(id);
    if (dead_numbers.find(hash, in(hopeless)) != InternTable::kNone) return kDead;
    const bool hopeful = what.hopeful(next);
    if (!hopeful && hopeless.size() / parts > most_states) return kDead;
    std::vector<std::uint32_t>& all = hopeful ? places : hopeless;
    id = static_cast<std::uint32_t>(all.size() / parts);
    (hopeful ? numbers : dead_numbers).insert(hash, id);
    all.insert(all.end(), next.begin(), next.end());
    return hopeful ? static_cast<State>(id) : kDead;
  };
  std::vector<std::uint32_t> here(parts);
  what.start(here);
  for (std::size_t i = 0; i < parts; ++i) put(i, here[i]);
  DfaSteps made;
  made.runs.add(0, kDead);
  made.runs.end_row();
  made.accepting.push_back(0);
  if (number() != 1) {
    *empty = true;
    return nullptr;
  }
  // The parts that are not dead, which others stay, and where each is in its row; first those that
  // must hold.
  struct Reader {
    std::size_t part = 0;
    bool required = false;
    bool counts = false;  // its next state is not the run's alone
    std::span<const ByteRun> runs;
    std::size_t run = 0;
    unsigned end = 0;  // of the run that was read
  };
  std::vector<Reader> readers;
  for (std::size_t q = 1; q < places.size() / parts; ++q) {
    if (places.size() / parts > most_states) return nullptr;
    std::copy_n(places.begin() + static_cast<std::ptrdiff_t>(q * parts), parts, here.begin());
    made.accepting.push_back(what.accepting(here) ? 1 : 0);
    readers.clear();
    for (const bool required : {true, false}) {
      for (std::size_t i = 0; i < parts; ++i) {
        if (roles[i].required != required) continue;
        put(i, 0);
        if (here[i] == 0) continue;
        readers.push_back({i, required, what.string(i) != nullptr, what.runs(i, here[i]), 0, 0});
      }
    }
    for (unsigned b = 0; b < 256;) {
      unsigned end = 256;
      bool dead = true;
      for (Reader& one : readers) {
        if (one.end <= b) {
          while (ByteRuns::end(one.runs, one.run) <= b) ++one.run;
          const auto byte = static_cast<unsigned char>(b);
          put(one.part,
              one.counts ? what.read(one.part, here[one.part], byte) : one.runs[one.run].to);
          one.end = ByteRuns::end(one.runs, one.run);
        }
        const bool gone = next[one.part] == 0;
        dead = dead && gone;
        end = std::min(end, one.end);
        if (gone && one.required) {  // whatever the others read
          dead = true;
          end = one.end;
          break;
        }
      }
      made.runs.add(b, dead ? kDead : number());
      b = end;
    }
    made.runs.end_row();
  }
  return create(made, preferred, characters, empty);
}

}  // namespace espalier::grammar
