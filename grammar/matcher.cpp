// Grammar and Matcher over the automaton: locking, generations, tokens.
#include "grammar/matcher.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "grammar/automaton.h"
#include "grammar/capture_run.h"
#include "grammar/compiled_grammar.h"
#include "grammar/held_bytes.h"
#include "grammar/token_trie.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kForcedBytes = 4096;  // one answer of forced(); the rest comes with the next

}  // namespace

// One position of one hole: the tokens so far as a persistent list, and where the automaton stands.
// `state` belongs to the automaton of `generation`; both are moved to a newer one under the
// grammar's lock.
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
  mutable std::uint64_t generation_ = 0;
  mutable StateId state_ = Automaton::kDead;
  // Tokens that are left of a budget, where one was named; the closing that it was held against,
  // which stays one in newer automata (see Automaton::closing_to_keep); and where a mask was given
  // near its end, what keeps the automaton that made it until a token is taken for each such mask.
  mutable std::uint32_t left_ = UINT32_MAX;
  mutable std::string closing_;
  mutable std::shared_ptr<const CompiledGrammar::Lease> lease_;
  mutable std::size_t near_masks_ = 0;

  void keep_closing(Automaton& automaton, std::uint32_t left) const {
    if (!closing_.empty()) return;
    if (auto closing = automaton.closing_to_keep(state_, left)) closing_ = std::move(*closing);
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
  const std::size_t most = std::max(state_bytes_, 2 * replayed_);
  if (automaton_ == nullptr || cached() > (leased() ? 2 * most : most)) {
    automaton_ = std::make_unique<Automaton>(program_);
    lease_ = std::make_shared<const Lease>();
    ++generation_;
    replayed_ = counted_ = bytes_when_counted_ = calls_ = 0;
  }
  return *automaton_;
}

std::size_t CompiledGrammar::count() const {
  counted_ = automaton_->held_bytes();
  bytes_when_counted_ = automaton_->bytes();
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
// are written out.
CompiledGrammar::Call::~Call() {
  constexpr std::size_t kPart = 2, kLittle = 65'536, kCalls = 1024, kBytesACall = 16;
  const std::size_t grown = automaton_.bytes() - grammar_.bytes_when_counted_;
  std::size_t held = grammar_.counted_ + grown;
  if (grown > grammar_.counted_ / kPart + kLittle ||
      ++grammar_.calls_ > kCalls + grammar_.counted_ / kBytesACall) {
    held = grammar_.count();
  }
  AutomatonCache& cache = AutomatonCache::of_process();
  grammar_.tell_cache(held);
  grammar_.used_.store(cache.clock(), std::memory_order_relaxed);
  lock_.unlock();
  cache.keep_limit(&grammar_);
}

std::unique_ptr<Automaton> CompiledGrammar::give_up_automaton() const {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  constexpr std::uint64_t kRecent = 1024;  // calls of all grammars
  if (!lock || automaton_ == nullptr) return nullptr;
  if (leased() && AutomatonCache::of_process().clock() - used() < kRecent) return nullptr;
  tell_cache(0);
  return std::move(automaton_);
}

// The state of `at` in the current automaton: known, or found by replaying tokens from the last
// place it is known.
StateId CompiledGrammar::resolve(const MatcherState& at, Automaton& automaton) const {
  std::vector<const MatcherState*> chain;
  const MatcherState* known = &at;
  while (known != nullptr && known->generation_ != generation_) {
    chain.push_back(known);
    known = known->before_.get();
  }
  StateId state = known != nullptr ? known->state_ : Automaton::kDead;
  const std::size_t before = automaton.bytes();
  while (!chain.empty()) {
    const MatcherState& next = *chain.back();
    chain.pop_back();
    if (next.before_ == nullptr) {
      state = automaton.start(*next.prefix_);
      if (next.closing_.empty() && next.prefix_->empty()) next.closing_ = start_closing_;
    } else if (!next.ended_) {
      state = automaton.step_token(state, next.token_);
    }
    next.state_ = state;
    next.generation_ = generation_;
    if (!next.closing_.empty()) automaton.keep_closing(state, next.closing_);
  }
  replayed_ = std::max(replayed_, automaton.bytes() - before);
  return state;
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
  const std::size_t states = automaton_ == nullptr ? 0 : count();
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
    next->state_ = to;
    next->generation_ = next->grammar_->generation();
    if (state_->left_ != UINT32_MAX && state_->left_ > 0) {
      next->left_ = state_->left_ - 1;
      next->keep_closing(a, next->left_);
    }
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
    state_->keep_closing(a, out);
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
