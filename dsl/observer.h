// Observer: what a run shows while it goes on, for live tokens, traces and streamed partial values.
//
// Calls come from the executor's threads and, for tokens, from the engine's thread; branches of a
// fork call at the same time. An observer is thread-safe, copies what it keeps and returns at once.
// Views are valid during the call only.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "base/token.h"
#include "dsl/source.h"
#include "dsl/turn_log.h"
#include "dsl/value.h"
#include "grammar/json.h"

namespace espalier::dsl {

/// A running branch: 0 for the program's first context; each call and each fork's branch has a
/// number of its own.
using BranchNumber = std::uint64_t;

/// A hole that is being filled: its path is the name, with the indices of the loops, forks and
/// tries around it
/// ("step[2].move").
struct HoleEvent {
  BranchNumber branch = 0;
  std::string_view path;
  std::string_view name;
  Span place;  // of the hole in the program
};

/// What a token was drawn from.
struct TokenChoice {
  std::uint32_t allowed = 0;                        // tokens that the mask allowed
  std::span<const std::pair<TokenId, float>> best;  // the likeliest of them, with log p
};

/// What a hole's prompt cost.
struct HoleCost {
  std::size_t prompt = 0;  // tokens before it, the whole path
  std::size_t found = 0;   // of those, the ones whose KV was there
};

/// Turns that were taken out of a prompt that had outgrown the context, before a hole.
struct Drop {
  std::span<const DroppedTurn> turns;  // in their order
  std::size_t prompt = 0;              // tokens of the path without them
  std::uint32_t context = 0;           // what the model's context holds
};

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_branch(BranchNumber /*branch*/, BranchNumber /*parent*/,
                         std::string_view /*what*/) {}
  /// A turn opens; "" where it closes.
  virtual void on_turn(BranchNumber /*branch*/, std::string_view /*role*/) {}
  /// Text that the program wrote.
  virtual void on_text(BranchNumber /*branch*/, std::string_view /*text*/) {}
  virtual void on_hole_start(const HoleEvent& /*hole*/) {}
  /// Between on_hole_start and the hole's first token.
  virtual void on_drop(const HoleEvent& /*hole*/, const Drop& /*drop*/) {}
  /// One token of a hole, with its bytes; what healing took back from the text before is not shown
  /// again. The text that ends the hole comes the same way.
  virtual void on_token(const HoleEvent& /*hole*/, TokenId /*token*/, std::string_view /*bytes*/,
                        bool /*forced*/) {}
  /// Whether on_partial is wanted: computing a partial value costs O(its size) a token.
  [[nodiscard]] virtual bool wants_partials() const { return false; }
  virtual void on_partial(const HoleEvent& /*hole*/, const Json& /*value*/) {}
  /// With on_partial: a part of the hole's value is complete, each once, inner ones first. `path`
  /// is the hole's with the part's place behind it ("step[2].move.items[0]").
  virtual void on_node(const HoleEvent& /*hole*/, std::string_view /*path*/,
                       const Json& /*value*/) {}
  /// Whether on_choice and on_cost are wanted: the best tokens are looked for then.
  [[nodiscard]] virtual bool wants_choices() const { return false; }
  /// Before on_token, for a token that was drawn.
  virtual void on_choice(const HoleEvent& /*hole*/, const TokenChoice& /*choice*/) {}
  /// Before on_hole_end, for a hole that was generated.
  virtual void on_cost(const HoleEvent& /*hole*/, const HoleCost& /*cost*/) {}
  virtual void on_hole_end(const HoleEvent& /*hole*/, const Value& /*value*/) {}
  virtual void on_tool_start(BranchNumber /*branch*/, std::string_view /*tool*/,
                             const Json& /*arguments*/) {}
  /// `error` is empty where it went well.
  virtual void on_tool_end(BranchNumber /*branch*/, std::string_view /*tool*/,
                           const Json& /*arguments*/, const Value& /*value*/,
                           std::string_view /*error*/) {}
  /// A try of a retry block failed and was rolled back.
  virtual void on_retry(BranchNumber /*branch*/, std::string_view /*why*/) {}
};

}  // namespace espalier::dsl
