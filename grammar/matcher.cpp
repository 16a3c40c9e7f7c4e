// Grammar and Matcher over the automaton: locking, generations, tokens.
#include "grammar/matcher.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>

#include "grammar/automaton.h"
#include "grammar/capture_run.h"
#include "grammar/compiled_grammar.h"
#include "grammar/disposal.h"
#include "grammar/held_bytes.h"
#include "grammar/token_trie.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kForcedBytes = 4096;  // one answer of forced(); the rest comes with the next

// With each token that a matcher takes it follows into the successor by as many of its earlier ones
// as the automaton's way to the end of its budget asks for, within these (3 us each), found
// backwards by many more.
constexpr std::size_t kLeastReplayed = 8, kMostReplayed = 256, kFound = 1024;

}  // namespace

// One position of one hole: the tokens so far as a persistent list, and where the automaton stands:
// the current one, the one before or the successor, changed under the grammar's lock.
class MatcherState {
 public:
  MatcherState(std::shared_ptr<const CompiledGrammar> grammar,
               std::shared_ptr<const std::string> prefix)
      : grammar_(std::move(grammar)), prefix_(std::move(prefix)) {}
  MatcherState(std::shared_ptr<const MatcherState> before, TokenId token)
      : grammar_(before->grammar_),
        prefix_(before->prefix_),
        token_(token),
        before_(std::move(before)) {}
  // Unlinks the chain in a loop: a long hole must not recurse here.
  ~MatcherState() {
    std::shared_ptr<const MatcherState> at = std::move(before_);
    while (at != nullptr && at.use_count() == 1) at = std::move(at->before_);
  }
  MatcherState(const MatcherState&) = delete;
  MatcherState& operator=(const MatcherState&) = delete;

  std::shared_ptr<const CompiledGrammar> grammar_;
  std::shared_ptr<const std::string> prefix_;
  TokenId token_ = kNoToken;
  bool ended_ = false;  // by an end token
  mutable std::shared_ptr<const MatcherState> before_;
  struct Place {
    std::uint64_t generation = 0;
    StateId state = Automaton::kDead;
  };
  mutable Place place_, next_place_;  // the second in the successor, or what was one
  [[nodiscard]] std::optional<StateId> state_in(std::uint64_t generation) const {
    if (place_.generation == generation) return place_.state;
    if (next_place_.generation == generation) return next_place_.state;
    return std::nullopt;
  }
  // On the way to this position in the successor: positions of its list, the next one last; those
  // behind them, in order; and from where on backwards they are still to be found.
  struct Following {
    std::uint64_t generation = 0;
    std::vector<const MatcherState*> rest, later;
    const MatcherState* from = nullptr;
    StateId state = Automaton::kDead;     // behind what was replayed
    std::size_t replayed = 0, begun = 0;  // and what the automaton held at the beginning
  };
  mutable std::unique_ptr<Following> following_;  // moves on with the matcher
  // Tokens that are left of a budget, where one was named; the closing that it was held against,
  // which stays one in newer automata (see Automaton::closing_to_keep); and where a mask was given
  // near its end, what keeps the automaton that made it until a token is taken for each such mask.
  mutable std::uint32_t left_ = UINT32_MAX;
  mutable std::string closing_;
  mutable std::shared_ptr<const CompiledGrammar::Lease> lease_;
  mutable std::size_t near_masks_ = 0;

  void keep_closing(Automaton& automaton, StateId state, std::uint32_t left) const {
    if (!closing_.empty()) return;
    if (auto closing = automaton.closing_to_keep(state, left)) closing_ = std::move(*closing);
  }
};

CompiledGrammar::CompiledGrammar(ProgramRef program, const Limits& limits)
    : program_(std::move(program)),
      longest_text_(grammar::longest_text(program_->pool(), program_->root())),
      state_bytes_(limits.state_bytes) {
  AutomatonCache::of_process().add(this);
}

CompiledGrammar::~CompiledGrammar() {
  AutomatonCache::of_process().remove(this);
  tell_cache(0);
}

Automaton& CompiledGrammar::automaton() const {
  if (automaton_ == nullptr || held_ > (leased() ? 2 * budget() : budget())) begin_anew();
  return *automaton_;
}

void CompiledGrammar::begin_anew() const {
  const std::size_t held = held_;
  std::vector<std::unique_ptr<Automaton>> old;
  old.push_back(std::move(automaton_));
  replayed_ = counted_ = bytes_when_counted_ = calls_ = 0;
  if (successor_ != nullptr) {
    automaton_ = std::move(successor_);
    generation_ = next_generation_;
    replayed_ = automaton_->bytes();
  } else {
    automaton_ = std::make_unique<Automaton>(program_);
    generation_ = ++next_generation_;
  }
  held_ = replayed_;
  lease_ = std::make_shared<const Lease>();
  dispose(std::move(old), held);
}

std::size_t CompiledGrammar::count() const {
  counted_ = automaton_->held_bytes();
  bytes_when_counted_ = automaton_->bytes();
  if (bytes_when_counted_ > 0) {
    rate_ = std::max(1.0, static_cast<double>(counted_) / static_cast<double>(bytes_when_counted_));
  }
  calls_ = 0;
  return counted_;
}

void CompiledGrammar::tell_cache(std::size_t now) const {
  const std::size_t before = cached();
  if (before == now) return;
  cached_.store(now, std::memory_order_relaxed);
  AutomatonCache::of_process().changed(before, now);
}

// Counting looks at all that the automaton keeps, so it waits until that has grown by a part, or
// for so many calls that it costs each next to nothing: masks grow without the automaton, when rows
// are written out. Meanwhile it is taken to grow as it has grown before.
CompiledGrammar::Call::~Call() {
  constexpr std::size_t kPart = 2, kLittle = 65'536, kCalls = 1024, kBytesACall = 16;
  const std::size_t grown = automaton_.bytes() - grammar_.bytes_when_counted_;
  grammar_.held_ =
      grammar_.counted_ + static_cast<std::size_t>(grammar_.rate_ * static_cast<double>(grown));
  if (grown > grammar_.counted_ / kPart + kLittle ||
      ++grammar_.calls_ > kCalls + grammar_.counted_ / kBytesACall) {
    grammar_.held_ = grammar_.count();
  }
  AutomatonCache& cache = AutomatonCache::of_process();
  const Automaton* successor = grammar_.successor_.get();
  grammar_.tell_cache(grammar_.held_ + (successor != nullptr ? successor->bytes() : 0));
  grammar_.used_.store(cache.clock(), std::memory_order_relaxed);
  lock_.unlock();
  cache.keep_limit(&grammar_);
}

std::vector<std::unique_ptr<Automaton>> CompiledGrammar::give_up_automata() const {
  std::vector<std::unique_ptr<Automaton>> out;
  const std::unique_lock lock(mutex_, std::try_to_lock);
  constexpr std::uint64_t kRecent = 1024;  // calls of all grammars
  if (!lock || automaton_ == nullptr) return out;
  if (leased() && AutomatonCache::of_process().clock() - used() < kRecent) return out;
  tell_cache(0);
  held_ = 0;
  out.push_back(std::move(automaton_));
  if (successor_ != nullptr) out.push_back(std::move(successor_));
  return out;
}

// The state of `at` in the current automaton: known, or found by replaying tokens from the last
// place it is known.
StateId CompiledGrammar::resolve(const MatcherState& at, Automaton& automaton) const {
  if (const auto state = at.state_in(generation_)) return *state;
  std::vector<const MatcherState*> chain;
  StateId state = Automaton::kDead;
  for (const MatcherState* next = &at; next != nullptr; next = next->before_.get()) {
    if (const auto known = next->state_in(generation_)) {
      state = *known;
      break;
    }
    chain.push_back(next);
  }
  longest_replay_ = std::max(longest_replay_, chain.size());
  const std::size_t before = automaton.bytes();
  for (; !chain.empty(); chain.pop_back()) {
    state = replay(*chain.back(), state, automaton);
    chain.back()->place_ = {generation_, state};
  }
  replayed_ = std::max(replayed_, automaton.bytes() - before);
  return state;
}

// The state of `next` in an automaton, behind that of the position before it.
StateId CompiledGrammar::replay(const MatcherState& next, StateId state,
                                Automaton& automaton) const {
  if (next.before_ == nullptr) {
    state = automaton.start(*next.prefix_);
    if (next.closing_.empty() && next.prefix_->empty()) next.closing_ = start_closing_;
  } else if (!next.ended_) {
    state = automaton.step_token(state, next.token_);
  }
  if (!next.closing_.empty()) automaton.keep_closing(state, next.closing_);
  return state;
}

void CompiledGrammar::follow(const MatcherState& from, const MatcherState& to) const {
  const bool there = successor_ != nullptr;
  if (from.following_ != nullptr && (!there || from.following_->generation != next_generation_)) {
    from.following_.reset();  // it was on its way to another one
  }
  if (!there) {
    if (held_ / 2 <= budget() / 3) return;
    successor_ = std::make_unique<Automaton>(program_);
    ++next_generation_;
  }
  if (const auto state = from.state_in(next_generation_)) {
    to.next_place_ = {next_generation_, replay(to, *state, *successor_)};
    return;
  }
  to.following_ = std::move(from.following_);
  if (to.following_ == nullptr) {
    to.following_ = std::make_unique<MatcherState::Following>();
    to.following_->generation = next_generation_;
    to.following_->from = &from;
    to.following_->begun = held_;
  }
  MatcherState::Following& way = *to.following_;
  way.later.push_back(&to);
  for (std::size_t i = 0; i < kFound && way.from != nullptr; ++i) {
    if (const auto known = way.from->state_in(next_generation_)) {
      way.state = *known;
      way.from = nullptr;
      break;
    }
    way.rest.push_back(way.from);
    way.from = way.from->before_.get();
  }
  if (way.from != nullptr) return;
  const std::size_t all = way.replayed + way.rest.size() + way.later.size();
  const double grown = held_ > way.begun ? static_cast<double>(held_ - way.begun) : 0;
  const double room = static_cast<double>(std::max(budget(), way.begun + 1) - way.begun);
  const auto wanted =
      static_cast<std::size_t>(std::min(1.0, grown / room) * static_cast<double>(all));
  const std::size_t behind = wanted - std::min(wanted, way.replayed);
  for (std::size_t n = std::clamp(behind, kLeastReplayed, kMostReplayed); n > 0; --n) {
    if (way.rest.empty()) {
      if (way.later.empty()) break;
      way.rest.assign(way.later.rbegin(), way.later.rend());
      way.later.clear();
    }
    const MatcherState& next = *way.rest.back();
    way.rest.pop_back();
    ++way.replayed;
    way.state = replay(next, way.state, *successor_);
    next.next_place_ = {next_generation_, way.state};
  }
  if (way.rest.empty() && way.later.empty()) to.following_.reset();
}

Matcher CompiledGrammar::start(std::string_view prefix) const {
  const Call call(*this);
  auto state = std::make_shared<MatcherState>(shared_from_this(),
                                              std::make_shared<const std::string>(prefix));
  if (!call.automaton().live(call.resolve(*state))) return Matcher();
  return Matcher(std::move(state));
}

std::uint32_t CompiledGrammar::least_tokens() const {
  const Call call(*this);
  Automaton& a = call.automaton();
  const StateId start = a.start({});
  const std::uint32_t out = a.distance(start);
  if (start_closing_.empty()) start_closing_ = a.closing_to_keep(start, 0).value_or("");
  return out;
}

GrammarSize CompiledGrammar::size() const {
  const std::lock_guard lock(mutex_);
  std::size_t states = automaton_ == nullptr ? 0 : count();
  held_ = states;
  if (successor_ != nullptr) states += successor_->held_bytes();
  tell_cache(states);
  return {program_->pool().size(), program_->pool().rule_count(), states,
          states + block_bytes(sizeof *this) + program_->held_bytes()};
}

namespace {

// Runs `f(automaton, state)` under the grammar's lock.
template <class F>
auto locked(const MatcherState& at, F&& f) {
  const CompiledGrammar& grammar = *at.grammar_;
  const CompiledGrammar::Call call(grammar);
  const StateId state = call.resolve(at);
  return f(call.automaton(), state);
}

std::string hole_bytes(const MatcherState& at) {
  std::vector<TokenId> tokens;
  for (const MatcherState* s = &at; s->before_ != nullptr; s = s->before_.get()) {
    if (!s->ended_) tokens.push_back(s->token_);
  }
  std::string out;
  for (std::size_t i = tokens.size(); i-- > 0;) out += at.grammar_->vocabulary()->bytes(tokens[i]);
  return out;
}

// The start of the first token of `ids` (spelling `text`) from which one longer token could swallow
// all that remains.
std::size_t stable_tokens(const TokenTrie& trie, const Vocabulary& vocabulary,
                          std::string_view text, const std::vector<TokenId>& ids) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    std::uint32_t node = TokenTrie::kRoot;
    for (std::size_t p = at; p < text.size() && node != TokenTrie::kNone; ++p) {
      node = trie.child(node, static_cast<std::uint8_t>(text[p]));
    }
    if (node != TokenTrie::kNone && trie.nodes()[node].next > node + 1) return i;
    at += vocabulary.bytes(ids[i]).size();
  }
  return ids.size();
}

}  // namespace

const Grammar* Matcher::grammar() const { return state_->grammar_.get(); }

MaskRef Matcher::mask(std::uint32_t tokens_left) const {
  return locked(*state_, [&](Automaton& a, StateId s) {
    MaskRef mask = a.mask(state_->ended_ ? Automaton::kDead : s, tokens_left);
    if (tokens_left != UINT32_MAX) state_->left_ = tokens_left;
    if (a.walked_near_end()) {
      state_->lease_ = state_->grammar_->lease();
      ++state_->near_masks_;
    }
    return mask;
  });
}

MaskRef Matcher::plain_mask() const {
  return locked(*state_, [&](Automaton& a, StateId s) {
    return a.plain_mask(state_->ended_ ? Automaton::kDead : s);
  });
}

bool Matcher::advance(TokenId token) {
  const Vocabulary& vocabulary = *state_->grammar_->vocabulary();
  if (token < 0 || static_cast<std::size_t>(token) >= vocabulary.size() || state_->ended_)
    return false;
  auto next = std::make_shared<MatcherState>(state_, token);
  const bool fits = locked(*state_, [&](Automaton& a, StateId s) {
    StateId to = s;
    if (vocabulary.is_end(token)) {
      if (!a.may_end(s)) return false;
      next->ended_ = true;
    } else {
      if (vocabulary.bytes(token).empty()) return false;
      to = a.step_token(s, token);
      if (!a.live(to)) return false;
    }
    next->place_ = {next->grammar_->generation(), to};
    if (state_->left_ != UINT32_MAX && state_->left_ > 0) {
      next->left_ = state_->left_ - 1;
      next->keep_closing(a, to, next->left_);
    }
    state_->grammar_->follow(*state_, *next);
    if (state_->near_masks_ > 0 && --state_->near_masks_ == 0) state_->lease_.reset();
    return true;
  });
  if (fits) state_ = std::move(next);
  return fits;
}

bool Matcher::done() const {
  return state_->ended_ || locked(*state_, [](Automaton& a, StateId s) { return a.done(s); });
}

bool Matcher::accepting() const {
  return state_->ended_ || locked(*state_, [](Automaton& a, StateId s) { return a.accepting(s); });
}

std::uint32_t Matcher::distance() const {
  if (state_->ended_) return 0;
  return locked(*state_, [&](Automaton& a, StateId s) {
    const std::uint32_t out = a.distance(s);
    state_->keep_closing(a, s, out);
    return out;
  });
}

std::vector<TokenId> Matcher::forced(std::uint32_t tokens_left) const {
  const Vocabulary& vocabulary = *state_->grammar_->vocabulary();
  if (state_->ended_) return {};
  return locked(*state_, [&](Automaton& a, StateId start) -> std::vector<TokenId> {
    if (tokens_left != UINT32_MAX) state_->left_ = tokens_left;
    if (tokens_left == 0 && !a.done(start)) start = a.closed(start);
    if (start == Automaton::kDead) return {};
    std::string text;
    StateId at = start;
    bool only_end = false;
    bool done = a.done(at);
    while (!done && text.size() < kForcedBytes) {
      const ByteSet bytes = a.next_bytes(at);
      StateId only = Automaton::kDead;
      unsigned char byte = 0;
      unsigned choices = 0;
      for (ByteSet rest = bytes; !rest.none() && choices < 2; rest.remove(rest.lowest())) {
        const StateId to = a.step(at, static_cast<unsigned char>(rest.lowest()));
        if (to == Automaton::kDead) continue;
        only = to;
        byte = static_cast<unsigned char>(rest.lowest());
        ++choices;
      }
      if (a.may_end(at)) {
        only_end = choices == 0;
        break;
      }
      if (choices != 1) break;
      text += static_cast<char>(byte);
      at = only;
      done = a.done(at);
    }
    std::vector<TokenId> ids;
    if (!text.empty()) {
      if (!vocabulary.canonical()) return {};
      auto spelled = vocabulary.canonical()(text);
      if (!spelled) return {};
      ids = std::move(*spelled);
      std::string check;
      for (const TokenId id : ids) {
        if (id < 0 || static_cast<std::size_t>(id) >= vocabulary.size() || vocabulary.is_end(id))
          return {};
        check += vocabulary.bytes(id);
      }
      if (check != text) return {};
    }
    const std::size_t stable =
        done || only_end ? ids.size() : stable_tokens(vocabulary.trie(), vocabulary, text, ids);
    std::vector<TokenId> out;
    std::uint32_t left = tokens_left;
    StateId state = start;
    for (std::size_t i = 0; i < stable; ++i) {
      const StateId next = a.step_token(state, ids[i]);
      const std::uint32_t cost =
          a.accepting(state) ? 0 : 1;  // past the value only its follow is left
      if (!a.live(next) || left < cost || a.distance(next) > left - cost) return out;
      left -= cost;
      out.push_back(ids[i]);
      state = next;
    }
    if (only_end && vocabulary.end_of_turn() != kNoToken) out.push_back(vocabulary.end_of_turn());
    return out;
  });
}

std::string Matcher::text() const {
  std::string bytes = hole_bytes(*state_);
  const std::uint32_t follow = locked(
      *state_, [](Automaton& a, StateId s) { return a.accepting(s) ? a.follow_read(s) : 0; });
  bytes.resize(bytes.size() - std::min<std::size_t>(follow, bytes.size()));
  return bytes.substr(std::min(state_->prefix_->size(), bytes.size()));
}

Json Matcher::value() const {
  const std::string bytes = hole_bytes(*state_);
  return locked(*state_, [&](Automaton& a, StateId) {
    CaptureRun run(a, *state_->prefix_);
    run.read(bytes);
    return run.value();
  });
}

Json Matcher::partial() const {
  const std::string bytes = hole_bytes(*state_);
  return locked(*state_, [&](Automaton& a, StateId) {
    CaptureRun run(a, *state_->prefix_);
    run.read(bytes);
    return run.partial();
  });
}

}  // namespace espalier::grammar
