#include "dsl/context.h"

#include <algorithm>
#include <span>

#include "grammar/token_trie.h"

namespace espalier::dsl {
namespace {

constexpr std::size_t kMaxHealed = 8;  // tokens that healing takes back at most

// Whether a token exists that begins with `bytes` and is longer.
bool can_grow(const grammar::TokenTrie& trie, std::string_view bytes) {
  std::uint32_t node = grammar::TokenTrie::kRoot;
  for (const char c : bytes) {
    node = trie.child(node, static_cast<std::uint8_t>(c));
    if (node == grammar::TokenTrie::kNone) return false;
  }
  return trie.tokens_below(node).size() > trie.tokens_at(node).size();
}

}  // namespace

std::optional<runtime::Role> role_named(std::string_view word) {
  for (const auto role : {runtime::Role::kSystem, runtime::Role::kUser, runtime::Role::kAssistant,
                          runtime::Role::kTool}) {
    if (name(role) == word) return role;
  }
  return std::nullopt;
}

Status Context::too_long(std::size_t tokens) const {
  return fail(ErrorCode::kLimit, "the prompt has " + std::to_string(tokens) +
                                     " tokens here; the model's context holds " +
                                     std::to_string(model_->context));
}

void Context::take_back_end() {
  if (!ended_) return;
  branch_.rollback(branch_.ids().size() - 1);
  ended_ = false;
  begin_run();
}

void Context::begin_run() {
  run_.clear();
  run_begin_ = branch_.ids().size();
  run_start_ = runtime::TextStart::kContinuation;
  dirty_ = false;
  closed_.reset();
}

Status Context::start(std::optional<runtime::Role> first) {
  if (started_) return {};
  started_ = true;
  if (first) {
    control(model_->chat->begin(*first));
  } else if (model_->tokenizer->add_bos() && model_->tokenizer->bos() != kNoToken) {
    const TokenId bos = model_->tokenizer->bos();
    control(std::span(&bos, 1));
  }
  return {};
}

void Context::control(std::span<const TokenId> ids) {
  branch_.append(ids);
  begin_run();
  run_start_ = runtime::TextStart::kRun;
}

void Context::text(std::string_view bytes) {
  if (bytes.empty()) return;
  take_back_end();
  (void)start(std::nullopt);
  run_ += bytes;
  dirty_ = true;
  closed_.reset();
}

Status Context::written(std::string_view bytes, const Spelling& spelling) {
  // The ids may stand here only if a hole at this place would begin as that one did.
  const bool placed = [&] {
    if (bytes.empty() || spelling.ids.empty()) return false;
    take_back_end();
    return start(std::nullopt).has_value() && flush().has_value() &&
           healing().prefix == spelling.prefix;
  }();
  if (!placed) {
    text(bytes);
    return {};
  }
  const grammar::Vocabulary& vocabulary = *model_->tokenizer->vocabulary();
  const std::string whole = spelling.prefix + std::string(bytes);
  std::size_t spelled = 0;
  std::size_t used = 0;
  for (const TokenId id : spelling.ids) {
    const std::string_view piece = vocabulary.bytes(id);
    if (piece.empty() || whole.compare(spelled, piece.size(), piece) != 0) break;
    spelled += piece.size();
    ++used;
  }
  if (spelled < spelling.prefix.size() || used == 0) {
    text(bytes);
    return {};
  }
  const std::size_t length = branch_.ids().size() - healing().dropped;
  if (length + used > model_->context) return too_long(length + used);
  branch_.rollback(length);
  branch_.append(std::span(spelling.ids).first(used));
  begin_run();
  text(std::string_view(whole).substr(spelled));
  return {};
}

Status Context::open(runtime::Role role) {
  if (role_) {
    return fail(ErrorCode::kInvalid, "a " + std::string(name(role)) +
                                         " turn cannot open inside a " + std::string(name(*role_)) +
                                         " turn");
  }
  if (!model_->chat->supports(role)) {
    return fail(ErrorCode::kUnsupported, model_->chat->refusal(role));
  }
  ESP_TRY(flush());
  take_back_end();
  ESP_TRY(start(role));
  control(model_->chat->open(role));
  role_ = role;
  return {};
}

Status Context::close() {
  ESP_CHECK(role_.has_value());
  ESP_TRY(flush());
  std::optional<Closed> closed;
  if (!ended_ && model_->chat->refuses_two_user_turns())
    closed = Closed{*role_, branch_.ids().size(), run_, run_begin_, run_start_};
  auto ids = model_->chat->close(*role_);
  std::span<const TokenId> rest(ids);
  if (ended_) {
    if (!rest.empty() && branch_.ids().back() == rest.front()) {
      rest = rest.subspan(1);
    } else {
      take_back_end();
    }
    ended_ = false;
  }
  control(rest);
  role_.reset();
  closed_ = std::move(closed);
  return {};
}

bool Context::reopen(runtime::Role role) {
  if (!closed_ || closed_->role != role) return false;
  const Closed closed = *closed_;
  branch_.rollback(closed.length);
  begin_run();
  run_ = closed.run;
  run_begin_ = closed.run_begin;
  run_start_ = closed.run_start;
  role_ = closed.role;
  return true;
}

Status Context::flush() {
  if (!dirty_) return {};
  auto ids = model_->tokenizer->encode(run_, run_start_);
  if (!ids) return fail(std::move(ids).error());
  const std::vector<TokenId>& have = branch_.ids();
  const auto [here, there] = std::mismatch(have.begin() + static_cast<std::ptrdiff_t>(run_begin_),
                                           have.end(), ids->begin(), ids->end());
  const auto common = static_cast<std::size_t>(there - ids->begin());
  if (run_begin_ + ids->size() > model_->context) return too_long(run_begin_ + ids->size());
  if (here != have.end()) branch_.rollback(run_begin_ + common);
  branch_.append(std::span(*ids).subspan(common));
  dirty_ = false;
  return {};
}

Context::Healed Context::healing() const {
  const grammar::Vocabulary& vocabulary = *model_->tokenizer->vocabulary();
  const std::vector<TokenId>& ids = branch_.ids();
  Healed best;
  std::string suffix;
  for (std::uint32_t dropped = 1; dropped <= kMaxHealed; ++dropped) {
    if (ids.size() < run_begin_ + dropped || ids.size() <= dropped)
      break;  // the path never becomes empty
    suffix.insert(0, vocabulary.bytes(ids[ids.size() - dropped]));
    if (suffix.size() >= vocabulary.longest_token()) break;
    if (can_grow(vocabulary.trie(), suffix)) best = {suffix, dropped};
  }
  return best;
}

Result<Context::Healed> Context::heal() {
  take_back_end();
  ESP_TRY(start(std::nullopt));
  ESP_TRY(flush());
  Healed healed = healing();
  if (healed.dropped > 0) branch_.rollback(branch_.ids().size() - healed.dropped);
  if (branch_.ids().empty()) {
    return fail(
        ErrorCode::kInvalid,
        "a hole needs some text or a turn before it: this model has no token to begin with");
  }
  return healed;
}

void Context::after_hole() {
  begin_run();
  ended_ = run_begin_ > 0 && model_->tokenizer->vocabulary()->is_end(branch_.ids().back());
}

Result<Context> Context::fork() {
  ESP_TRY(flush());
  Context child(*model_, branch_.fork());
  child.run_ = run_;
  child.run_begin_ = run_begin_;
  child.run_start_ = run_start_;
  child.role_ = role_;
  child.started_ = started_;
  child.ended_ = ended_;
  child.closed_ = closed_;
  return child;
}

Result<Context::Snapshot> Context::snapshot() {
  take_back_end();  // what follows may take it back, which would reach below the snapshot
  ESP_TRY(flush());
  const auto& ids = branch_.ids();
  return Snapshot{{ids.begin() + static_cast<std::ptrdiff_t>(run_begin_), ids.end()},
                  run_,
                  run_begin_,
                  run_start_,
                  role_,
                  started_,
                  ended_,
                  closed_};
}

void Context::restore(const Snapshot& snapshot) {
  const auto& ids = branch_.ids();
  const std::size_t begin = std::min(snapshot.run_begin, ids.size());
  const auto pair = std::mismatch(ids.begin() + static_cast<std::ptrdiff_t>(begin), ids.end(),
                                  snapshot.run_ids.begin(), snapshot.run_ids.end());
  const auto common = static_cast<std::size_t>(pair.second - snapshot.run_ids.begin());
  branch_.rollback(begin + common);
  branch_.append(std::span(snapshot.run_ids).subspan(common));
  run_ = snapshot.run;
  run_begin_ = snapshot.run_begin;
  run_start_ = snapshot.run_start;
  role_ = snapshot.role;
  started_ = snapshot.started;
  ended_ = snapshot.ended;
  closed_ = snapshot.closed;
  dirty_ = false;
}

}  // namespace espalier::dsl
