#include "grammar/token_trie.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

namespace espalier::grammar {

namespace {

// A token with its first bytes, as a number that sorts as they do: its text lies elsewhere.
struct Keyed {
  std::uint64_t key = 0;
  TokenId id = 0;
  std::uint32_t size = 0;
};

constexpr std::size_t kKeyBytes = 8;

std::uint64_t key_of(std::string_view text) {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < kKeyBytes; ++i) {
    out = (out << 8) | (i < text.size() ? static_cast<std::uint8_t>(text[i]) : 0U);
  }
  return out;
}

// By key, equal ones as they stood: a pass a byte, from the last to the first.
void sort_by_key(std::vector<Keyed>& tokens) {
  std::array<std::array<std::uint32_t, 257>, kKeyBytes> places{};
  for (const Keyed& t : tokens) {
    for (std::size_t i = 0; i < kKeyBytes; ++i) ++places[i][((t.key >> (8 * i)) & 0xFF) + 1];
  }
  std::vector<Keyed> other(tokens.size());
  for (std::size_t i = 0; i < kKeyBytes; ++i) {
    auto& place = places[i];
    if (std::ranges::find(place, tokens.size()) != place.end()) continue;  // all alike
    for (std::size_t b = 1; b < place.size(); ++b) place[b] += place[b - 1];
    for (const Keyed& t : tokens) other[place[(t.key >> (8 * i)) & 0xFF]++] = t;
    tokens.swap(other);
  }
}

}  // namespace

TokenWalk::TokenWalk(const TokenWalk& all, std::span<const std::uint8_t> taken) {
  // By token, how many of those before it stay.
  std::vector<std::uint32_t> rank(taken.size() + 1, 0);
  tokens_.resize(taken.size());
  for (std::size_t t = 0; t < taken.size(); ++t) {
    tokens_[rank[t]] = all.tokens_[t];  // the next one's place too, where it does not stay
    rank[t + 1] = rank[t] + (taken[t] != 0 ? 0U : 1U);
  }
  tokens_.resize(rank.back());
  tokens_.shrink_to_fit();
  std::vector<std::uint32_t> open;  // the nodes above, by depth
  const auto close_to = [&](std::size_t depth) {
    for (; open.size() > depth; open.pop_back()) {
      nodes_[open.back()].next = static_cast<std::uint32_t>(nodes_.size());
    }
  };
  for (std::uint32_t i = 0; i < all.nodes_.size();) {
    const Node& node = all.nodes_[i];
    const std::size_t end =
        node.next < all.nodes_.size() ? all.nodes_[node.next].tokens : all.tokens_.size();
    if (rank[end] == rank[node.tokens]) {  // nothing stays at or below it
      i = node.next;
      continue;
    }
    close_to(node.depth - 1U);
    open.push_back(static_cast<std::uint32_t>(nodes_.size()));
    longest_ = std::max<std::size_t>(longest_, node.depth);
    const bool ends = node.token_count > 0 && taken[node.tokens] == 0;
    nodes_.push_back({0, rank[node.tokens], 0, node.depth, node.byte,
                      ends ? node.token_count : std::uint8_t{0}});
    ++i;
  }
  close_to(0);
  nodes_.shrink_to_fit();
}

TokenTrie::TokenTrie(std::span<const std::string_view> bytes, std::span<const TokenId> ids) {
  constexpr std::size_t kFew = 64;
  const auto text = [&](TokenId id) { return bytes[static_cast<std::size_t>(id)]; };
  // string_view compares bytes as unsigned char: sorted order is depth-first order.
  const auto before = [&](const Keyed& a, const Keyed& b) {
    if (a.key != b.key) return a.key < b.key;
    const int order = text(a.id).compare(text(b.id));
    return order != 0 ? order < 0 : a.id < b.id;
  };
  std::vector<Keyed> sorted;
  sorted.reserve(ids.size());
  for (const TokenId id : ids) {
    if (text(id).empty() || text(id).size() > kLongest) continue;
    sorted.push_back({key_of(text(id)), id, static_cast<std::uint32_t>(text(id).size())});
  }
  if (sorted.size() <= kFew) {
    std::sort(sorted.begin(), sorted.end(), before);
  } else {
    sort_by_key(sorted);
    for (auto run = sorted.begin(); run != sorted.end();) {
      const auto end =
          std::find_if(run, sorted.end(), [&](const Keyed& t) { return t.key != run->key; });
      if (end - run > 1) std::sort(run, end, before);
      run = end;
    }
  }
  // How much of each is in the one before, and so how many nodes there are.
  const auto shares = [&](const Keyed& a, const Keyed& b) -> std::size_t {
    const std::size_t most = std::min(a.size, b.size);
    if (a.key != b.key) {
      return std::min(most, static_cast<std::size_t>(std::countl_zero(a.key ^ b.key)) / 8);
    }
    const std::string_view x = text(a.id).substr(0, most), y = text(b.id).substr(0, most);
    const std::size_t from = std::min(most, kKeyBytes);
    return static_cast<std::size_t>(
        std::mismatch(x.begin() + from, x.end(), y.begin() + from).first - x.begin());
  };
  std::vector<std::uint16_t> shared(sorted.size());
  std::size_t count = 0;
  for (std::size_t t = 0; t < sorted.size(); ++t) {
    shared[t] = static_cast<std::uint16_t>(t == 0 ? 0 : shares(sorted[t - 1], sorted[t]));
    count += sorted[t].size - shared[t];
    longest_ = std::max<std::size_t>(longest_, sorted[t].size);
  }
  nodes_.reserve(count);
  tokens_.reserve(sorted.size());
  std::vector<std::uint32_t> open;  // the nodes along the current token, by depth
  open.reserve(longest_);
  const auto close_to = [&](std::size_t depth) {
    while (open.size() > depth) {
      nodes_[open.back()].next = static_cast<std::uint32_t>(nodes_.size());
      open.pop_back();
    }
  };
  for (std::size_t t = 0; t < sorted.size(); ++t) {
    const Keyed& token = sorted[t];
    tokens_.push_back(token.id);
    close_to(shared[t]);
    for (std::size_t depth = open.size(); depth < token.size; ++depth) {
      const auto index = static_cast<std::uint32_t>(nodes_.size());
      const auto byte = static_cast<std::uint8_t>(
          depth < kKeyBytes ? token.key >> (8 * (kKeyBytes - 1 - depth)) : text(token.id)[depth]);
      if (depth == 0) root_children_[byte] = index;
      open.push_back(index);
      nodes_.push_back(
          {0, static_cast<std::uint32_t>(t), 0, static_cast<std::uint16_t>(depth + 1), byte, 0});
    }
    Node& end = nodes_[open.back()];
    if (end.token_count < 255) ++end.token_count;
  }
  close_to(0);
  index_edges();
}

void TokenTrie::index_edges() {
  const std::size_t n = nodes_.size();
  std::vector<std::uint32_t> parents(n);
  std::vector<std::uint32_t> above(longest_ + 1, static_cast<std::uint32_t>(n));  // by depth
  std::vector<std::uint32_t> next(n + 1, 0);  // by node, then the root
  for (std::size_t i = 0; i < n; ++i) {
    parents[i] = above[nodes_[i].depth - 1U];
    above[nodes_[i].depth] = static_cast<std::uint32_t>(i);
    ++next[parents[i]];
  }
  heights_.assign(n, 0);
  for (std::size_t i = n; i-- > 0;) {
    if (parents[i] == n) continue;
    std::uint8_t& above_it = heights_[parents[i]];
    const unsigned height = std::min(255U, heights_[i] + 1U);
    above_it = std::max(above_it, static_cast<std::uint8_t>(height));
  }
  std::uint32_t begin = 0;
  for (std::size_t i = 0; i <= n; ++i) {
    const std::uint32_t count = std::exchange(next[i], begin);
    if (i < n) nodes_[i].edges = begin;
    if (i == n) root_edges_ = begin;
    begin += count;
  }
  edges_.resize(n);
  edge_bytes_.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t at = next[parents[i]]++;
    edges_[at] = static_cast<std::uint32_t>(i);
    edge_bytes_[at] = nodes_[i].byte;
  }
}

std::span<const TokenId> TokenWalk::tokens_at(std::size_t i) const {
  const Node& node = nodes_[i];
  std::size_t count = node.token_count;
  if (count == 255) {  // saturated: the rest ends where the next node's tokens begin
    const std::size_t end = i + 1 < nodes_.size() ? nodes_[i + 1].tokens : tokens_.size();
    count = end - node.tokens;
  }
  return std::span(tokens_).subspan(node.tokens, count);
}

std::span<const TokenId> TokenWalk::tokens_below(std::size_t i) const {
  const std::size_t end =
      nodes_[i].next < nodes_.size() ? nodes_[nodes_[i].next].tokens : tokens_.size();
  return std::span(tokens_).subspan(nodes_[i].tokens, end - nodes_[i].tokens);
}

std::uint32_t TokenTrie::child(std::uint32_t i, std::uint8_t byte) const {
  if (i == kRoot) return root_children_[byte];
  const std::uint32_t end = nodes_[i].next;
  if (end == i + 1) return kNone;
  if (nodes_[i + 1].next == end) return nodes_[i + 1].byte == byte ? i + 1 : kNone;
  const Children all = children(i);
  const auto at = std::lower_bound(all.bytes.begin(), all.bytes.end(), byte);
  if (at == all.bytes.end() || *at != byte) return kNone;
  return all.nodes[static_cast<std::size_t>(at - all.bytes.begin())];
}

void TokenTrie::children(std::uint32_t i, const ByteSet& bytes,
                         std::vector<std::uint32_t>& out) const {
  if (i != kRoot) {  // most have one child or none, which is the next node
    const std::uint32_t end = nodes_[i].next;
    if (end == i + 1) return;
    if (nodes_[i + 1].next == end) {
      if (bytes.has(nodes_[i + 1].byte)) out.push_back(i + 1);
      return;
    }
  }
  const Children all = children(i);
  if (i != kRoot && all.bytes.size() < 8 * std::size_t{bytes.count()}) {
    for (std::size_t e = 0; e < all.bytes.size(); ++e) {
      if (bytes.has(all.bytes[e])) out.push_back(all.nodes[e]);
    }
    return;
  }
  for (ByteSet rest = bytes; !rest.none(); rest.remove(rest.lowest())) {
    const std::uint32_t c = child(i, static_cast<std::uint8_t>(rest.lowest()));
    if (c != kNone) out.push_back(c);
  }
}

}  // namespace espalier::grammar
