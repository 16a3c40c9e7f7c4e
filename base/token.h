// The one name two rooms share for a piece of text: its id in the model's vocabulary.
#pragma once

#include <cstdint>

namespace espalier {

/// Index into a model's vocabulary; never negative for a real token.
using TokenId = std::int32_t;
inline constexpr TokenId kNoToken = -1;

}  // namespace espalier
