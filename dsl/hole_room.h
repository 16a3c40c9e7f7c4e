// What a hole takes of the context at most: the one figure that a run asks for, that `render` makes
// room by and that `check --cost` and the editor's hover print.
//
// A value has no more tokens than its budget, and no more than its type's longest text has bytes,
// since a token has one at least. Healing's prefix is written again before it, and behind it the
// follow, or the end of turn.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "grammar/span_source.h"
#include "grammar/type.h"
#include "runtime/tokenizer/tokenizer.h"

namespace espalier::dsl {

struct HoleRoom {
  std::uint64_t value = 0;   // tokens of the value, with what healing took back
  std::uint64_t behind = 0;  // tokens of the follow, or of the end of turn
  [[nodiscard]] std::uint64_t all() const { return value + behind; }
};

struct HoleBounds {
  std::uint64_t budget = 0;                   // `max`, in tokens
  std::optional<std::uint64_t> longest = {};  // bytes of the type's longest text (longest_text.h)
  std::string_view follow = {};
  // What healing took back: in tokens, and spelled out.
  std::uint32_t healed_tokens = 0;
  std::size_t healed_bytes = 0;
};

/// `tokenizer`: the model's; null for any, when a follow may take a token a byte. O(follow).
[[nodiscard]] HoleRoom hole_room(const HoleBounds& bounds, const runtime::Tokenizer* tokenizer);

}  // namespace espalier::dsl
