// Grammar and Matcher: which bytes, hence which tokens, may come next in a hole, and what value
// they make.
//
// A Grammar is compiled once a (type, follow) and shared; a Matcher is one position in it: a small
// value whose copy is O(1) (an immutable handle), so fork is a copy and rollback is keeping an old
// copy. Matchers of one Grammar may be used from several threads; the Grammar's lazily built states
// and masks are synchronised inside and bounded in bytes, and so are those of all grammars
// together.
//
// The language of a hole (CONTRACTS 18): with F the literal that follows in the text, the hole is
// sampled under L·F, and is done when F is complete. Without an F the hole ends with the
// vocabulary's end-of-turn token. `prefix` bytes (token healing) come before both and belong to the
// text, not to the value.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "grammar/call_form.h"
#include "grammar/json.h"
#include "grammar/mask.h"
#include "grammar/span_source.h"
#include "grammar/type.h"
#include "grammar/vocabulary.h"

namespace espalier::grammar {

class Matcher;

/// What compiling and running one grammar may cost; errors name the limit that ran out.
struct Limits {
  std::uint64_t compile_fuel =
      2'000'000;  // expression nodes and automaton states made while compiling
  // Lazily built states and masks kept for one grammar, in one automaton; the states of the next
  // one beside it while a long text moves on to that.
  std::uint64_t state_bytes = 64u << 20;
  std::uint32_t max_depth = 256;  // nesting of JSON values while generating
};

/// What a grammar is made of, and what it has grown to in use.
struct GrammarSize {
  std::size_t expressions = 0;
  std::size_t rules = 0;
  std::size_t state_bytes = 0;  // lazily built states and masks
  std::size_t bytes = 0;        // all that it holds for itself alone, these among it
};

class Grammar {
 public:
  virtual ~Grammar() = default;
  /// The position before the first byte. `prefix` is what token healing took back from the text:
  /// the first tokens must spell it (a token may run past its end into the value).
  [[nodiscard]] virtual Matcher start(std::string_view prefix = {}) const = 0;
  /// Tokens of a known closing string from the start: a hole with a smaller budget is refused
  /// before it runs.
  [[nodiscard]] virtual std::uint32_t least_tokens() const = 0;
  /// Bytes of its longest text at most (longest_text.h), without the follow; nothing where there is
  /// no bound.
  [[nodiscard]] virtual std::optional<std::uint64_t> longest_text() const = 0;
  /// True when no word of the language is a proper prefix of another (records, lists, calls, …).
  [[nodiscard]] virtual bool prefix_free() const = 0;
  [[nodiscard]] virtual const VocabularyRef& vocabulary() const = 0;
  [[nodiscard]] virtual GrammarSize size() const = 0;
};
using GrammarRef = std::shared_ptr<const Grammar>;

/// What the states and masks of all grammars of the process may hold together, in bytes. Past it
/// those of the grammars go that were not used for the longest, and are made again as they are
/// reached: never other masks, only later ones. Grammars that take turns keep theirs up to eight
/// times as much. Counted without what a vocabulary's grammars share.
void set_cache_limit(std::size_t bytes);
[[nodiscard]] std::size_t cache_limit();
/// What they hold now.
[[nodiscard]] std::size_t cache_bytes();

/// A hole of `type` followed by the literal `follow` (empty: it ends the turn). `source` is the
/// text that its spans copy from, if it holds any. A call, and a list of calls, is written as
/// `calls` says; such a list may be empty. Errors: kInvalid (empty language, nullable hole,
/// undecidable union, a pattern that does not parse), kUnsupported, kLimit. The message is what the
/// language's diagnostics print after the code.
[[nodiscard]] Result<GrammarRef> compile(VocabularyRef vocabulary, const TypeRef& type,
                                         std::string_view follow, const Limits& limits = {},
                                         const SpanSourceRef& source = nullptr,
                                         const CallForm& calls = kPlainCall);

class MatcherState;  // immutable, interned or persistent; see grammar/README.md

class Matcher {
 public:
  Matcher() = default;
  explicit Matcher(std::shared_ptr<const MatcherState> state) : state_(std::move(state)) {}

  /// Every token t after which the language can still be completed within `tokens_left` - 1 further
  /// tokens; exact against a byte-by-byte recogniser while the budget is far, and never empty while
  /// distance() <= tokens_left. The budget counts the value's tokens only; at its end the follow is
  /// fed.
  [[nodiscard]] MaskRef mask(std::uint32_t tokens_left) const;

  /// mask() far from the budget's end, by trying every token alone, without tables and short cuts:
  /// for tests and benchmarks, which hold mask() against it. Slow.
  [[nodiscard]] MaskRef plain_mask() const;

  /// Moves past `token`; false, and unchanged, where the language forbids it.
  [[nodiscard]] bool advance(TokenId token);

  /// The hole is over: its value is complete and its follow (or end of turn) has been read.
  [[nodiscard]] bool done() const;
  /// The value is complete here (the hole may still go on).
  [[nodiscard]] bool accepting() const;
  /// Tokens of a known closing string of the value; 0 iff accepting(). CONTRACTS 19.
  [[nodiscard]] std::uint32_t distance() const;
  /// Tokens that are the only continuation, spelled canonically and held back at the first unstable
  /// boundary (CONTRACTS 14); empty where there is a choice, no canonical spelling, or too small a
  /// budget. At the budget's end (0 left) that is what remains of the follow, or the end of turn.
  [[nodiscard]] std::vector<TokenId> forced(std::uint32_t tokens_left) const;

  /// The value's own bytes so far: without the healed prefix and without the follow.
  [[nodiscard]] std::string text() const;
  /// The typed value; only once accepting() or done(). Built from the captures, not by parsing
  /// text() again.
  [[nodiscard]] Json value() const;
  /// What of the value is complete so far, for streaming partial values: `value` with the open
  /// parts as they stand.
  [[nodiscard]] Json partial() const;

  [[nodiscard]] bool valid() const { return state_ != nullptr; }
  /// Of a valid one; lives as long as it.
  [[nodiscard]] const Grammar* grammar() const;

 private:
  std::shared_ptr<const MatcherState> state_;
};

}  // namespace espalier::grammar
