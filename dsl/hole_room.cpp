#include "dsl/hole_room.h"

#include <algorithm>

namespace espalier::dsl {
namespace {

// A follow whose beginning was read with the value is cut anew from there on, which may take some
// tokens more than the whole.
constexpr std::uint64_t kCutAnew = 8;

}  // namespace

HoleRoom hole_room(const HoleBounds& bounds, const runtime::Tokenizer* tokenizer) {
  HoleRoom room;
  room.value = bounds.budget + bounds.healed_tokens;
  if (bounds.longest)
    room.value =
        std::min(room.value, std::max(*bounds.longest, *bounds.longest + bounds.healed_bytes));
  room.behind = bounds.follow.empty() ? 1 : bounds.follow.size();
  if (tokenizer != nullptr && !bounds.follow.empty()) {
    const auto ids = tokenizer->encode(bounds.follow, runtime::TextStart::kContinuation);
    if (ids) room.behind = std::min<std::uint64_t>(room.behind, ids->size() + kCutAnew);
  }
  return room;
}

}  // namespace espalier::dsl
