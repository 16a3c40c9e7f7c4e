#include "grammar/token_slice.h"

#include <algorithm>

#include "base/utf8.h"

namespace espalier::grammar {
namespace {

// Code points of `text`, all of them in `ranges` (sorted, disjoint) and none spelled with
// `excluded`; 0 otherwise.
std::size_t length_in(std::string_view text, std::span<const CodePointRange> ranges,
                      std::optional<unsigned char> excluded) {
  std::size_t n = 0;
  if (excluded && text.find(static_cast<char>(*excluded)) != std::string_view::npos) return 0;
  for (std::size_t i = 0; i < text.size(); ++n) {
    const utf8::Decoded d = utf8::decode(text, i);
    if (d.length == 0) return 0;
    const auto after =
        std::upper_bound(ranges.begin(), ranges.end(), d.code_point,
                         [](char32_t c, const CodePointRange& r) { return c < r.first; });
    if (after == ranges.begin() || std::prev(after)->second < d.code_point) return 0;
    i += d.length;
  }
  return n;
}

}  // namespace

TokenSlice::TokenSlice(const Vocabulary& vocabulary, std::span<const CodePointRange> ranges,
                       std::optional<unsigned char> excluded) {
  const std::size_t words = (vocabulary.size() + 63) / 64;
  std::vector<std::string_view> bytes(vocabulary.size());
  std::vector<TokenId> others;
  up_to_.emplace_back(words);
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    bytes[i] = vocabulary.bytes(id);
    if (bytes[i].empty() || vocabulary.is_end(id)) continue;
    const std::size_t n = length_in(bytes[i], ranges, excluded);
    if (n == 0 || n > kLongest) {
      others.push_back(id);
      continue;
    }
    while (up_to_.size() <= n) up_to_.emplace_back(words);
    up_to_[n][i / 64] |= std::uint64_t{1} << (i % 64);
  }
  for (std::size_t n = 1; n < up_to_.size(); ++n) {
    for (std::size_t w = 0; w < words; ++w) up_to_[n][w] |= up_to_[n - 1][w];
  }
  others_.emplace(bytes, others);
}

}  // namespace espalier::grammar
