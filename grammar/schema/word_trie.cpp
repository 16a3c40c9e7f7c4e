#include "grammar/schema/word_trie.h"

#include <algorithm>

namespace espalier::grammar {

WordTrie::WordTrie(std::vector<std::string> words) {
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  // Level by level: a node is a range of words that begin alike.
  struct Range {
    std::uint32_t from, to, depth;
  };
  std::vector<Range> ranges{{}, {0, static_cast<std::uint32_t>(words.size()), 0}};
  nodes_.resize(2);
  for (std::size_t n = 1; n < nodes_.size(); ++n) {
    const Range range = ranges[n];
    std::uint32_t at = range.from;
    if (at < range.to && words[at].size() == range.depth) {
      nodes_[n].accepting = true;
      ++at;
    }
    nodes_[n].first = static_cast<std::uint32_t>(children_.size());
    while (at < range.to) {
      const char byte = words[at][range.depth];
      std::uint32_t end = at + 1;
      while (end < range.to && words[end][range.depth] == byte) ++end;
      children_.push_back(static_cast<std::uint32_t>(nodes_.size()));
      ++nodes_[n].count;
      Node child;
      child.byte = static_cast<unsigned char>(byte);
      nodes_.push_back(child);
      ranges.push_back({at, end, range.depth + 1});
      at = end;
    }
  }
  for (std::size_t n = nodes_.size() - 1; n > 0; --n) find_closing(nodes_[n]);  // children first
}

// Sets what a node has of its children: its words, and the nearest of them.
void WordTrie::find_closing(Node& node) const {
  node.words = node.accepting ? 1 : 0;
  node.closing_size = node.accepting ? 0 : UINT32_MAX;
  node.closing_next = 0;
  for (const std::uint32_t c : children(node)) {
    node.words += nodes_[c].words;
    if (nodes_[c].closing_size + 1 >= node.closing_size) continue;
    node.closing_size = nodes_[c].closing_size + 1;
    node.closing_next = c;
  }
}

std::uint32_t WordTrie::without(std::uint32_t node, std::string_view word) {
  std::vector<std::uint32_t> path{node};
  for (const char c : word) path.push_back(step(path.back(), static_cast<unsigned char>(c)));
  std::uint32_t before = 0, made = 0;  // of the child on the path
  for (std::size_t i = path.size(); i-- > 0;) {
    Node copy = nodes_[path[i]];
    if (before == 0) copy.accepting = false;
    copy.first = static_cast<std::uint32_t>(children_.size());
    copy.count = 0;
    for (std::uint32_t k = 0; k < nodes_[path[i]].count; ++k) {
      std::uint32_t child = children_[nodes_[path[i]].first + k];
      if (child == before) child = made;
      if (child == 0) continue;
      children_.push_back(child);
      ++copy.count;
    }
    find_closing(copy);
    before = path[i];
    made = 0;
    if (copy.words == 0) continue;
    made = static_cast<std::uint32_t>(nodes_.size());
    nodes_.push_back(copy);
  }
  return made;
}

std::uint32_t WordTrie::step(std::uint32_t node, unsigned char byte) const {
  const auto all = children(node);
  const auto at =
      std::lower_bound(all.begin(), all.end(), byte,
                       [this](std::uint32_t c, unsigned char b) { return nodes_[c].byte < b; });
  return at != all.end() && nodes_[*at].byte == byte ? *at : 0;
}

ByteSet WordTrie::bytes_of(std::uint32_t node) const {
  ByteSet out;
  for (const std::uint32_t c : children(node)) out.add(nodes_[c].byte);
  return out;
}

std::string WordTrie::closing_word(std::uint32_t node) const {
  std::string out;
  while (!nodes_[node].accepting) {
    node = nodes_[node].closing_next;
    out += static_cast<char>(nodes_[node].byte);
  }
  return out;
}

}  // namespace espalier::grammar
