#include "dsl/context.h"

#include <algorithm>
#include <span>
#include <utility>

#include "dsl/control_bytes.h"
#include "grammar/token_trie.h"

namespace espalier::dsl {
namespace {

constexpr std::size_t kMaxHealed = 8;  // tokens that healing takes back at most
// A path that turns can be dropped from may grow so long before they are.
constexpr std::size_t kMaxLogged = std::size_t{1} << 22;

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

Status Context::check_length(std::size_t tokens) const {
  if (log_) {
    if (tokens <= kMaxLogged) return {};
    return fail(ErrorCode::kLimit, "the prompt has " + std::to_string(tokens) +
                                       " tokens here; turns are dropped from at most " +
                                       std::to_string(kMaxLogged));
  }
  if (tokens <= model_->context) return {};
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
  opened_ = 0;
  run_begin_ = branch_.ids().size();
  run_start_ = runtime::TextStart::kContinuation;
  dirty_ = false;
  closed_.reset();
}

Status Context::start(std::optional<runtime::Role> first) {
  if (started_) return {};
  started_ = true;
  if (first) return write(model_->chat->begin(*first));
  if (model_->tokenizer->add_bos() && model_->tokenizer->bos() != kNoToken)
    control(model_->tokenizer->bos());
  return {};
}

Status Context::write(std::span<const runtime::Segment> segments) {
  for (const runtime::Segment& segment : segments) {
    if (segment.control != kNoToken) {
      ESP_TRY(flush());
      control(segment.control);
    } else {
      run_ += segment.text;
      opened_ = run_.size();
      dirty_ = true;
      closed_.reset();
    }
  }
  return {};
}

void Context::control(TokenId id) {
  branch_.append(std::span(&id, 1));
  begin_run();
  run_start_ = runtime::TextStart::kRun;
}

void Context::text(std::string_view bytes, bool constant) {
  if (bytes.empty()) return;
  if (log_) log({constant ? Piece::Kind::kConstant : Piece::Kind::kText, std::string(bytes)});
  append_text(bytes);
  say(bytes);
}

void Context::append_text(std::string_view bytes) {
  if (bytes.empty()) return;
  take_back_end();
  (void)start(std::nullopt);
  raw_ = raw_ || !role_;
  const auto form = role_ ? model_->chat->text_form(*role_) : runtime::TextForm::kPlain;
  run_ += form == runtime::TextForm::kPlain ? std::string(bytes)
                                            : runtime::in_form(form, bytes, run_.size() > opened_);
  dirty_ = true;
  closed_.reset();
}

// The white space at the end of a turn's text goes where the template trims it.
void Context::trim_end() {
  if (model_->chat->text_form(*role_) != runtime::TextForm::kTrimmed || run_.size() <= opened_)
    return;
  const std::string_view text = std::string_view(run_).substr(opened_);
  const std::size_t kept = opened_ + runtime::without_trailing_space(text).size();
  if (kept == run_.size()) return;
  run_.resize(kept);
  dirty_ = true;
}

Status Context::written(std::string_view bytes, const Spelling& spelling) {
  if (log_) log({Piece::Kind::kValue, std::string(bytes), spelling});
  ESP_TRY(spell(bytes, spelling, /*calls=*/false));
  say(bytes);
  return {};
}

// What no ids spell: text, in which control tokens may stand only where it is that of calls.
Status Context::append_spelled(std::string_view bytes, bool calls) {
  if (!calls) {
    append_text(bytes);
    return {};
  }
  for (const runtime::Segment& segment : control_segments(bytes)) {
    if (segment.control == kNoToken) {
      append_text(segment.text);
      continue;
    }
    take_back_end();
    ESP_TRY(start(std::nullopt));
    ESP_TRY(flush());
    control(segment.control);
  }
  return {};
}

Status Context::spell(std::string_view bytes, const Spelling& spelling, bool calls) {
  // The ids may stand here only if a hole at this place would begin as that one did.
  const bool placed = [&] {
    if (bytes.empty() || spelling.ids.empty()) return false;
    take_back_end();
    return start(std::nullopt).has_value() && flush().has_value() &&
           healing().prefix == spelling.prefix;
  }();
  if (!placed) return append_spelled(bytes, calls);
  const grammar::Vocabulary& vocabulary = model_->vocabulary();
  const std::string whole = spelling.prefix + std::string(bytes);
  std::size_t spelled = 0;
  std::size_t used = 0;
  for (const TokenId id : spelling.ids) {
    const std::string_view piece = vocabulary.bytes(id);
    if (piece.empty() || whole.compare(spelled, piece.size(), piece) != 0) break;
    spelled += piece.size();
    ++used;
  }
  if (spelled < spelling.prefix.size() || used == 0) return append_spelled(bytes, calls);
  const std::size_t length = branch_.ids().size() - healing().dropped;
  ESP_TRY(check_length(length + used));
  branch_.rollback(length);
  branch_.append(std::span(spelling.ids).first(used));
  begin_run();
  return append_spelled(std::string_view(whole).substr(spelled), calls);
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
  if (const std::string why = model_->chat->refusal(role, previous_); !why.empty())
    return fail(ErrorCode::kUnsupported, why);
  take_back_end();
  if (log_) {
    ESP_TRY(flush());  // what closed the turn before belongs to that
    log_->open(role, branch_.ids().size());
  }
  if (started_ && rewrites() && !raw_ && previous_) {
    ESP_TRY(rewrite(role));
  } else {
    ESP_TRY(start(role));
    ESP_TRY(write(model_->chat->open(role, previous_)));
  }
  role_ = role;
  thoughts_.clear();
  said_ = {};
  closed_.reset();
  begin_turn();
  return flush();
}

// The open turn's text begins here.
void Context::begin_turn() {
  turn_begin_ = run_begin_;
  turn_skip_ = run_.size();
  if (run_start_ == runtime::TextStart::kRun) turn_skip_ += model_->tokenizer->run_prefix().size();
}

// The path up to the text of a turn of `next`, as the template has it now.
Status Context::rewrite(runtime::Role next) {
  const auto segments = model_->chat->render_before(
      turns_, next, next == runtime::Role::kTool ? answered() : Json::object());
  if (!segments) return fail(refused(segments.error()));
  return become(*segments);
}

Status Context::become(const runtime::Segments& segments) {
  // The text behind the last control token goes on with the turn's.
  const bool ends_in_text = !segments.empty() && segments.back().control == kNoToken;
  const std::span<const runtime::Segment> fixed(segments.data(),
                                                segments.size() - (ends_in_text ? 1 : 0));
  ESP_ASSIGN(const auto ids, runtime::encode(*model_->tokenizer, fixed));
  ESP_TRY(check_length(ids.size()));
  const auto& have = branch_.ids();
  const auto common = static_cast<std::size_t>(
      std::mismatch(have.begin(), have.end(), ids.begin(), ids.end()).second - ids.begin());
  branch_.rollback(common);
  branch_.append(std::span(ids).subspan(common));
  begin_run();
  run_start_ = runtime::TextStart::kRun;
  run_ = ends_in_text ? segments.back().text : "";
  opened_ = run_.size();
  dirty_ = true;
  ended_ = false;
  return {};
}

Result<std::string> Context::open_thought() {
  if (role_ != runtime::Role::kAssistant)
    return fail(ErrorCode::kInvalid, "`think` needs an assistant turn around it");
  take_back_end();
  ESP_TRY(flush());
  // A run of its own: what stands before keeps its tokens when the thought goes.
  thoughts_.push_back({branch_.ids().size(), 0});
  begin_run();
  std::string tag;
  for (const runtime::Segment& segment : model_->chat->generation_suffix())
    if (segment.control == kNoToken) tag += segment.text;
  if (tag.find("<think>") == std::string::npos) tag = "<think>\n";
  if (log_) log({Piece::Kind::kThought});
  append_text(tag);
  return tag;
}

void Context::close_thought() {
  if (thoughts_.empty()) return;
  thoughts_.back().end = branch_.ids().size();
  if (log_) log({Piece::Kind::kAfter});
}

void Context::take_back_thoughts() {
  if (thoughts_.empty()) return;
  for (auto thought = thoughts_.rbegin(); thought != thoughts_.rend(); ++thought)
    if (thought->end != 0) branch_.cut(thought->begin, thought->end);
  thoughts_.clear();
  begin_run();
}

Status Context::close() {
  ESP_CHECK(role_.has_value());
  trim_end();
  ESP_TRY(flush());
  take_back_thoughts();
  std::optional<Closed> closed;
  if (!ended_ && model_->chat->refuses_two_user_turns()) {
    closed = Closed{*role_, branch_.ids().size(), run_, run_begin_, run_start_, opened_, previous_};
  }
  if (rewrites()) remember_turn();
  const runtime::Segments closing = model_->chat->close(*role_);
  std::span<const runtime::Segment> rest(closing);
  if (ended_) {
    if (!rest.empty() && branch_.ids().back() == rest.front().control) {
      rest = rest.subspan(1);
    } else {
      take_back_end();
    }
    ended_ = false;
  }
  ESP_TRY(write(rest));
  previous_ = std::exchange(role_, std::nullopt);
  ESP_TRY(flush());
  closed_ = std::move(closed);
  if (log_) log_->close();
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
  opened_ = closed.opened;
  role_ = closed.role;
  previous_ = closed.previous;
  if (rewrites() && !turns_.empty()) turns_.erase(turns_.size() - 1);
  if (log_) log_->reopen();
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
  ESP_TRY(check_length(run_begin_ + ids->size()));
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
    if (suffix.size() >= vocabulary.longest_token() || opened_ + suffix.size() > run_.size()) break;
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
  hole_prefix_ = healed.prefix;
  hole_begin_ = branch_.ids().size();
  return healed;
}

void Context::after_hole(const std::vector<runtime::ToolCall>& calls, std::string_view follow) {
  const std::vector<TokenId>& ids = branch_.ids();
  if (log_) {
    Spelling spelling{hole_prefix_,
                      {ids.begin() + static_cast<std::ptrdiff_t>(hole_begin_), ids.end()}};
    log({Piece::Kind::kHole, std::string(follow), std::move(spelling), calls});
  }
  const bool thinking = !thoughts_.empty() && thoughts_.back().end == 0;
  if (!calls.empty()) {
    say(calls, follow);
  } else if (rewrites() && !thinking) {
    std::string bytes;
    for (std::size_t i = hole_begin_; i < ids.size(); ++i)
      bytes += model_->tokenizer->vocabulary()->bytes(ids[i]);
    say(std::string_view(bytes).substr(std::min(bytes.size(), hole_prefix_.size())));
  }
  begin_run();
  ended_ = run_begin_ > 0 && model_->tokenizer->vocabulary()->is_end(branch_.ids().back());
}

Result<Context> Context::fork() {
  ESP_TRY(flush());
  Context child(*model_, branch_.fork());
  child.run_ = run_;
  child.run_begin_ = run_begin_;
  child.run_start_ = run_start_;
  child.opened_ = opened_;
  child.role_ = role_;
  child.previous_ = previous_;
  child.turns_ = turns_;
  child.turn_begin_ = turn_begin_;
  child.turn_skip_ = turn_skip_;
  child.raw_ = raw_;
  child.said_ = said_;
  child.thoughts_ = thoughts_;
  child.started_ = started_;
  child.ended_ = ended_;
  child.closed_ = closed_;
  child.log_ = log_;
  return child;
}

Result<Context::Snapshot> Context::snapshot() {
  take_back_end();  // what follows may take it back, which would reach below the snapshot
  ESP_TRY(flush());
  const auto& ids = branch_.ids();
  Snapshot made;
  made.kept_from = rewrites() || log_ ? 0 : closed_ ? closed_->run_begin : run_begin_;
  made.ids.assign(ids.begin() + static_cast<std::ptrdiff_t>(made.kept_from), ids.end());
  made.run = run_;
  made.run_begin = run_begin_;
  made.run_start = run_start_;
  made.opened = opened_;
  made.role = role_;
  made.previous = previous_;
  made.started = started_;
  made.ended = ended_;
  made.closed = closed_;
  made.turns = turns_.size();
  made.turn_begin = turn_begin_;
  made.turn_skip = turn_skip_;
  made.raw = raw_;
  made.said = said_;
  made.log = log_;
  return made;
}

void Context::restore(const Snapshot& snapshot) {
  const auto& ids = branch_.ids();
  const std::size_t begin = std::min(snapshot.kept_from, ids.size());
  const auto pair = std::mismatch(ids.begin() + static_cast<std::ptrdiff_t>(begin), ids.end(),
                                  snapshot.ids.begin(), snapshot.ids.end());
  const auto common = static_cast<std::size_t>(pair.second - snapshot.ids.begin());
  branch_.rollback(begin + common);
  branch_.append(std::span(snapshot.ids).subspan(common));
  run_ = snapshot.run;
  run_begin_ = snapshot.run_begin;
  run_start_ = snapshot.run_start;
  opened_ = snapshot.opened;
  role_ = snapshot.role;
  previous_ = snapshot.previous;
  started_ = snapshot.started;
  ended_ = snapshot.ended;
  closed_ = snapshot.closed;
  while (turns_.size() > snapshot.turns) turns_.erase(turns_.size() - 1);
  turn_begin_ = snapshot.turn_begin;
  turn_skip_ = snapshot.turn_skip;
  raw_ = snapshot.raw;
  said_ = snapshot.said;
  log_ = snapshot.log;
  dirty_ = false;
}

}  // namespace espalier::dsl
