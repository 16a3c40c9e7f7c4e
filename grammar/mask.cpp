#include "grammar/mask.h"

#include <bit>
#include <utility>

namespace espalier::grammar {

Mask::Mask(std::vector<std::uint64_t> words) : words_(std::move(words)) {
  for (const std::uint64_t word : words_) count_ += static_cast<std::uint32_t>(std::popcount(word));
  if (count_ > kListed) return;
  ids_.reserve(count_);
  for (std::size_t w = 0; w < words_.size(); ++w) {
    for (std::uint64_t rest = words_[w]; rest != 0; rest &= rest - 1) {
      ids_.push_back(
          static_cast<TokenId>(w * 64 + static_cast<std::size_t>(std::countr_zero(rest))));
    }
  }
}

}  // namespace espalier::grammar
