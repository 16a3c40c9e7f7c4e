#include "runtime/tokenizer/special_tokens.h"

#include <algorithm>

namespace espalier::runtime {

SpecialTokens::SpecialTokens(std::vector<std::pair<std::string, TokenId>> tokens)
    : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end());
  const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
  tokens_.erase(std::unique(tokens_.begin(), tokens_.end(), same), tokens_.end());
  for (const auto& [text, id] : tokens_) {
    if (first_bytes_.empty() || first_bytes_.back() != text.front()) first_bytes_ += text.front();
  }
}

TokenId SpecialTokens::find(std::string_view text) const {
  const auto found = std::lower_bound(
      tokens_.begin(), tokens_.end(), text,
      [](const auto& token, std::string_view wanted) { return token.first < wanted; });
  return found != tokens_.end() && found->first == text ? found->second : kNoToken;
}

std::optional<SpecialTokens::Match> SpecialTokens::next(std::string_view text,
                                                        std::size_t from) const {
  if (tokens_.empty()) return std::nullopt;
  for (std::size_t at = text.find_first_of(first_bytes_, from); at != std::string_view::npos;
       at = text.find_first_of(first_bytes_, at + 1)) {
    if (const Match match = longest_at(text, at); match.id != kNoToken) return match;
  }
  return std::nullopt;
}

SpecialTokens::Match SpecialTokens::longest_at(std::string_view text, std::size_t offset) const {
  Match best;
  auto low = tokens_.begin();
  auto high = tokens_.end();
  // All texts in [low, high) start with text[offset, offset + depth); the one that ends there sorts
  // first.
  for (std::size_t depth = 0; low != high; ++depth) {
    if (depth > 0 && low->first.size() == depth) {
      best = {offset, depth, low->second};
      ++low;
    }
    if (offset + depth == text.size()) break;
    const auto wanted = static_cast<unsigned char>(text[offset + depth]);
    const auto byte = [depth](const auto& token) {
      return static_cast<unsigned char>(token.first[depth]);
    };
    low = std::partition_point(low, high, [&](const auto& token) { return byte(token) < wanted; });
    high =
        std::partition_point(low, high, [&](const auto& token) { return byte(token) == wanted; });
  }
  return best;
}

}  // namespace espalier::runtime
