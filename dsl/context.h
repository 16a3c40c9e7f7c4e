// Context: one path of the prefix tree as a program writes it: turns, text, and the places of
// holes.
//
// Text is gathered and tokenised jointly over each run between control tokens and holes (CONTRACTS
// 12). A run that was flushed (before a fork or a hole) and then grows is tokenised anew, and only
// the ids that differ are replaced. Token healing takes back the last tokens of a run that a longer
// token could have swallowed; it never crosses a control token or a hole, nor the template's own
// text that opens a turn. After a hole that ended with the end-of-turn token, that token is in the
// path already: closing the turn adds only what follows it, and writing more text takes it back.
//
// Where the program's `config` says `overflow: "drop_oldest"`, the path may grow past the context,
// and make_room() takes turns out of it before a hole (turn_log.h says which): the conversation is
// written again without them, what stands before the first of them keeps its ids and pages, and
// what stands behind is computed again (as recomputed ids).
//
// Where the model's template changes earlier turns when one is added, opening a turn writes the
// conversation anew from the turns' texts, and what stays the same stays in the path. Calls are
// given to the template as calls then, with the ids that the model wrote or, where those are none
// or not its own, with new ones; the tool turns behind them answer them in order. Where the
// template has no place for the text beside a turn's calls, the turn is a text, its calls in the
// plain form.
//
// Move-only (owns a Branch); one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "dsl/call_syntax.h"
#include "dsl/turn_log.h"
#include "dsl/value.h"
#include "grammar/json.h"
#include "runtime/chat/chat_template.h"
#include "runtime/engine/engine.h"
#include "runtime/tokenizer/tokenizer.h"

namespace espalier::dsl {

/// What of a model a program needs.
struct ModelParts {
  std::shared_ptr<const runtime::Tokenizer> tokenizer;
  std::shared_ptr<const runtime::ChatTemplate> chat;
  std::uint32_t context = 0;  // positions
  CallSyntax calls = {};      // how it writes calls

  /// What each token stands for in a text with calls.
  [[nodiscard]] const grammar::Vocabulary& vocabulary() const {
    return calls.vocabulary != nullptr ? *calls.vocabulary : *tokenizer->vocabulary();
  }
};

/// The role of that name, or nothing.
[[nodiscard]] std::optional<runtime::Role> role_named(std::string_view word);

class Context {
 public:
  /// `drops`: turns may be taken out by make_room().
  Context(const ModelParts& model, runtime::Branch branch, bool drops = false)
      : model_(&model), branch_(std::move(branch)) {
    if (drops) log_.emplace();
  }

  /// Appends text to the open turn (or to the bare path). `constant`: the program's own, the same
  /// in every run.
  void text(std::string_view bytes, bool constant = false);
  /// The same for the text of a value that a model wrote (CONTRACTS 13): where the path stands as
  /// it stood before that hole, the value's own ids are fed, however they were cut; else, and for
  /// what those ids do not spell, the text is tokenised anew. Errors: those of flush().
  Status written(std::string_view bytes, const Spelling& spelling);
  /// Calls as the model would write them, one alone or a `list`: in an assistant turn. Gives their
  /// text, in which control tokens stand as control_bytes.h has them.
  Result<std::string> write_calls(const std::vector<runtime::ToolCall>& calls, bool list,
                                  const Spelling& spelling);
  /// Before a hole of calls alone, and nothing else in its turn so far: the turn opens as the
  /// template has it for calls.
  Status expect_calls();
  Status open(runtime::Role role);
  Status close();
  /// Opens the turn that was closed last, so that text is added to it: true if it was of this role,
  /// nothing has come after it, and the template refuses two user turns (else nobody asks).
  bool reopen(runtime::Role role);
  [[nodiscard]] std::optional<runtime::Role> role() const { return role_; }

  /// Brings all text into the branch. Errors: a byte that the vocabulary cannot spell; more ids
  /// than the context.
  Status flush();

  struct Healed {
    std::string prefix;         // bytes the hole's tokens must begin with
    std::uint32_t dropped = 0;  // tokens taken back
  };
  /// Flushes and makes the path ready for a hole.
  Result<Healed> heal();
  /// Drops turns until `needed` more tokens fit behind the path, a quarter of the context at a time
  /// where there are enough, so that what stays is not computed again with each new turn. Nothing
  /// happens where they fit; where turns were dropped, the path must be healed again. Errors:
  /// kLimit with the figures where they do not fit and no turn, or too little, may go.
  Result<std::vector<DroppedTurn>> make_room(std::size_t needed);
  /// After a hole has appended its ids: whether the last of them is an end-of-turn token. `calls`:
  /// those that its value is, and `follow` the text behind them.
  void after_hole(const std::vector<runtime::ToolCall>& calls = {}, std::string_view follow = {});

  /// A hole for the model's reasoning: writes the tag that opens it (and returns it), as the
  /// template's generation prompt has it or as `<think>`; the hole ends at kThoughtEnd. When the
  /// turn closes, what was thought is taken back out of it, and the ids of the rest are fed again.
  /// kInvalid outside of an assistant turn.
  Result<std::string> open_thought();
  void close_thought();
  static constexpr std::string_view kThoughtEnd = "\n</think>\n\n";

  [[nodiscard]] runtime::Branch& branch() { return branch_; }
  /// A child at this very place. Flushed first, so that the trunk is counted once.
  Result<Context> fork();

  /// The turn that was closed last, while nothing follows it.
  struct Closed {
    runtime::Role role{};
    std::size_t length = 0;  // ids before what closed it
    std::string run;
    std::size_t run_begin = 0;
    runtime::TextStart run_start{};
    std::size_t opened = 0;
    std::optional<runtime::Role> previous;
  };
  /// What was said in the open assistant turn; kept for templates that turns cannot simply be added
  /// to.
  struct Said {
    std::string text;     // all of it, calls in the plain form
    std::string before;   // the calls
    bool behind = false;  // there is text behind a call
    std::vector<runtime::ToolCall> calls;
  };
  struct Snapshot {
    std::size_t kept_from = 0;  // what lies before never changes
    std::vector<TokenId> ids;   // from there on
    std::string run;
    std::size_t run_begin = 0;
    runtime::TextStart run_start = runtime::TextStart::kRun;
    std::size_t opened = 0;
    std::optional<runtime::Role> role;
    std::optional<runtime::Role> previous;
    bool started = false;
    bool ended = false;
    std::optional<Closed> closed;
    std::size_t turns = 0;
    std::size_t turn_begin = 0;
    std::size_t turn_skip = 0;
    bool raw = false;
    Said said;
    std::optional<TurnLog> log;
  };
  Result<Snapshot> snapshot();
  void restore(const Snapshot& snapshot);

 private:
  struct Thought {
    std::size_t begin = 0;  // [begin, end) of the path's ids, with its tags
    std::size_t end = 0;    // 0 while it is open
  };
  void take_back_thoughts();
  Status start(std::optional<runtime::Role> first);
  /// The template's own pieces: control tokens end the run, texts join it.
  Status write(std::span<const runtime::Segment> segments);
  void control(TokenId id);
  void trim_end();
  [[nodiscard]] bool rewrites() const { return !model_->chat->not_incremental().empty(); }
  Status rewrite(runtime::Role next);
  Status become(const runtime::Segments& segments);
  void begin_turn();
  void remember_turn();
  void say(std::string_view bytes);
  void say(const std::vector<runtime::ToolCall>& calls, std::string_view follow);
  [[nodiscard]] std::optional<Json> message_of_calls() const;
  [[nodiscard]] Error refused(Error why) const;
  [[nodiscard]] bool has_id(std::string_view id) const;
  /// New ids for those without one, or with that of another call of the conversation.
  void give_ids(std::vector<runtime::ToolCall>& calls) const;
  /// What a tool turn's message says of the call that it answers.
  [[nodiscard]] Json answered() const;
  Status put_calls(std::string_view bytes, const Spelling& spelling,
                   const std::vector<runtime::ToolCall>& calls, std::string_view follow);
  void take_back_end();
  void begin_run();
  void append_text(std::string_view bytes);
  Status spell(std::string_view bytes, const Spelling& spelling, bool calls);
  Status append_spelled(std::string_view bytes, bool calls);
  void log(Piece piece) { log_->add(std::move(piece)); }
  Status write_again(const LoggedTurn& turn);
  /// kLimit where the path cannot have so many ids.
  [[nodiscard]] Status check_length(std::size_t tokens) const;
  [[nodiscard]] Healed healing() const;

  const ModelParts* model_;
  runtime::Branch branch_;
  std::string run_;            // the text since the last control token or hole
  std::size_t run_begin_ = 0;  // where its ids begin
  runtime::TextStart run_start_ = runtime::TextStart::kRun;  // what it stands after
  bool dirty_ = false;                                       // run_ has grown since it was flushed
  std::size_t opened_ = 0;  // how much of run_ is the template's own: healing stops there
  std::optional<runtime::Role> role_;
  std::optional<runtime::Role> previous_;  // of the turn that was closed last
  bool started_ = false;
  bool ended_ = false;  // the last id is an end token that a hole gave
  std::optional<Closed> closed_;
  // For templates that turns cannot simply be added to: the closed turns, where the open one's run
  // begins, and how many bytes there are not the turn's.
  Json turns_ = Json::array();
  std::size_t turn_begin_ = 0;
  std::size_t turn_skip_ = 0;
  Said said_;
  std::vector<Thought> thoughts_;  // of the open turn, in order
  bool raw_ = false;               // there is text outside of turns, which no template writes
  std::optional<TurnLog> log_;
  std::string hole_prefix_;     // of the hole under way: what healing took back
  std::size_t hole_begin_ = 0;  // and where its ids begin
};

}  // namespace espalier::dsl
