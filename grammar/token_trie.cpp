#include "grammar/token_trie.h"

#include <algorithm>

namespace espalier::grammar {

TokenTrie::TokenTrie(std::span<const std::string_view> bytes, std::span<const TokenId> ids) {
  const auto text = [&](TokenId id) { return bytes[static_cast<std::size_t>(id)]; };
  for (const TokenId id : ids) {
    if (!text(id).empty() && text(id).size() <= kLongest) tokens_.push_back(id);
  }
  // string_view compares bytes as unsigned char: sorted order is depth-first order.
  std::sort(tokens_.begin(), tokens_.end(), [&](TokenId a, TokenId b) {
    const int order = text(a).compare(text(b));
    return order != 0 ? order < 0 : a < b;
  });
  std::vector<std::uint32_t> open;  // the nodes along the current token, by depth
  std::string_view previous;
  const auto close_to = [&](std::size_t depth) {
    while (open.size() > depth) {
      nodes_[open.back()].next = static_cast<std::uint32_t>(nodes_.size());
      open.pop_back();
    }
  };
  for (std::size_t t = 0; t < tokens_.size(); ++t) {
    const std::string_view token = text(tokens_[t]);
    longest_ = std::max(longest_, token.size());
    const auto diverge =
        std::mismatch(previous.begin(), previous.end(), token.begin(), token.end());
    close_to(static_cast<std::size_t>(diverge.second - token.begin()));
    for (std::size_t depth = open.size(); depth < token.size(); ++depth) {
      const auto index = static_cast<std::uint32_t>(nodes_.size());
      const auto byte = static_cast<std::uint8_t>(token[depth]);
      if (depth == 0) root_children_[byte] = index;
      open.push_back(index);
      nodes_.push_back(
          {0, static_cast<std::uint32_t>(t), static_cast<std::uint16_t>(depth + 1), byte, 0});
    }
    Node& end = nodes_[open.back()];
    if (end.token_count < 255) ++end.token_count;
    previous = token;
  }
  close_to(0);
}

std::span<const TokenId> TokenTrie::tokens_at(std::size_t i) const {
  const Node& node = nodes_[i];
  std::size_t count = node.token_count;
  if (count == 255) {  // saturated: the rest ends where the next node's tokens begin
    const std::size_t end = i + 1 < nodes_.size() ? nodes_[i + 1].tokens : tokens_.size();
    count = end - node.tokens;
  }
  return std::span(tokens_).subspan(node.tokens, count);
}

std::span<const TokenId> TokenTrie::tokens_below(std::size_t i) const {
  const std::size_t end =
      nodes_[i].next < nodes_.size() ? nodes_[nodes_[i].next].tokens : tokens_.size();
  return std::span(tokens_).subspan(nodes_[i].tokens, end - nodes_[i].tokens);
}

std::uint32_t TokenTrie::child(std::uint32_t i, std::uint8_t byte) const {
  if (i == kRoot) return root_children_[byte];
  const std::uint32_t end = nodes_[i].next;
  for (std::uint32_t c = i + 1; c < end && nodes_[c].byte <= byte; c = nodes_[c].next) {
    if (nodes_[c].byte == byte) return c;
  }
  return kNone;
}

}  // namespace espalier::grammar
