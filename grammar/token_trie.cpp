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
  index_edges();
}

void TokenTrie::index_edges() {
  const std::size_t n = nodes_.size();
  std::vector<std::uint32_t> parents(n);
  std::vector<std::uint32_t> above(longest_ + 1, static_cast<std::uint32_t>(n));  // by depth
  first_edge_.assign(n + 2, 0);
  for (std::size_t i = 0; i < n; ++i) {
    parents[i] = above[nodes_[i].depth - 1U];
    above[nodes_[i].depth] = static_cast<std::uint32_t>(i);
    ++first_edge_[parents[i] + 1];
  }
  for (std::size_t i = 0; i <= n; ++i) first_edge_[i + 1] += first_edge_[i];
  edges_.resize(n);
  edge_bytes_.resize(n);
  std::vector<std::uint32_t> next(first_edge_.begin(), first_edge_.end() - 1);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t at = next[parents[i]]++;
    edges_[at] = static_cast<std::uint32_t>(i);
    edge_bytes_[at] = nodes_[i].byte;
  }
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
  const Children all = children(i);
  const auto at = std::lower_bound(all.bytes.begin(), all.bytes.end(), byte);
  if (at == all.bytes.end() || *at != byte) return kNone;
  return all.nodes[static_cast<std::size_t>(at - all.bytes.begin())];
}

void TokenTrie::children(std::uint32_t i, const ByteSet& bytes,
                         std::vector<std::uint32_t>& out) const {
  constexpr std::size_t kMany = 24;
  const Children all = children(i);
  if (all.bytes.size() < kMany) {
    for (std::size_t e = 0; e < all.bytes.size(); ++e) {
      if (bytes.has(all.bytes[e])) out.push_back(all.nodes[e]);
    }
    return;
  }
  ByteSet here;
  if (i != kRoot) {
    for (const std::uint8_t b : all.bytes) here.add(b);
  }
  ByteSet rest = i == kRoot ? bytes : bytes & here;
  for (; !rest.none(); rest.remove(rest.lowest())) {
    const std::uint32_t c = child(i, static_cast<std::uint8_t>(rest.lowest()));
    if (c != kNone) out.push_back(c);
  }
}

}  // namespace espalier::grammar
