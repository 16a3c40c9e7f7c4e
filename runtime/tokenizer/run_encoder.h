// What the families of tokenizers differ in: how a run of plain text, without any special or
// user-defined token in it, becomes ids.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "runtime/tokenizer/byte_pair.h"

namespace espalier::runtime {

class RunEncoder {
 public:
  /// Room that a call reuses from run to run.
  struct Work {
    BytePair::Scratch scratch;
    std::vector<std::size_t> ends;
    std::vector<TokenId> piece;
  };

  virtual ~RunEncoder() = default;
  /// Appends the ids of `run`, which has fewer than 2^32 bytes. `offset` is where it starts in the
  /// text that errors speak of. Safe from any thread with a Work a call.
  [[nodiscard]] virtual Status encode(std::string_view run, std::size_t offset, Work& work,
                                      std::vector<TokenId>& out) const = 0;
};

/// The failure for a byte that the vocabulary cannot spell.
[[nodiscard]] tl::unexpected<Error> cannot_spell(unsigned char byte, std::size_t offset);

}  // namespace espalier::runtime
