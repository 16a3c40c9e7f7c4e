// A finite set of words as a trie: the keys of an object, the values of an enumeration.
//
// States are its nodes, numbered from 1; 0 is no state. Words may be prefixes of each other. A node
// never changes: without one of its words it is another node (a persistent structure, by copies of
// the path). Cost: O(total bytes) after sorting; of a word taken away its bytes and the children
// along them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/byte_set.h"
#include "grammar/held_bytes.h"

namespace espalier::grammar {

class WordTrie {
 public:
  /// `words` in any order; at least one, none empty.
  explicit WordTrie(std::vector<std::string> words);

  static constexpr std::uint32_t kStart = 1;
  /// The node of the words below `node` but for this one, which is one of them; 0 where it is all.
  [[nodiscard]] std::uint32_t without(std::uint32_t node, std::string_view word);
  [[nodiscard]] std::uint32_t step(std::uint32_t node, unsigned char byte) const;
  [[nodiscard]] bool accepting(std::uint32_t node) const { return nodes_[node].accepting; }
  [[nodiscard]] ByteSet bytes_of(std::uint32_t node) const;
  /// Bytes to the nearest word's end, and the first of them.
  [[nodiscard]] std::uint32_t closing_size(std::uint32_t node) const {
    return nodes_[node].closing_size;
  }
  [[nodiscard]] std::string closing_word(std::uint32_t node) const;
  /// Words that end at the node or below it.
  [[nodiscard]] std::uint32_t words_below(std::uint32_t node) const { return nodes_[node].words; }
  /// Calls f(rest) for each of them, `rest` being what it has after the node.
  template <class F>
  void for_each_below(std::uint32_t node, F&& f) const {
    std::string rest;
    std::vector<std::pair<std::uint32_t, std::size_t>> open{{node, 0}};  // and its length
    while (!open.empty()) {
      const auto [at, size] = open.back();
      open.pop_back();
      rest.resize(size);
      if (size > 0) rest.back() = static_cast<char>(nodes_[at].byte);
      if (nodes_[at].accepting) f(std::string_view(rest));
      for (const std::uint32_t c : children(at)) open.emplace_back(c, size + 1);
    }
  }
  [[nodiscard]] std::size_t held_bytes() const { return held_by_all(nodes_, children_); }
  [[nodiscard]] std::size_t bytes() const {
    return nodes_.capacity() * sizeof(Node) + children_.capacity() * sizeof(std::uint32_t);
  }

 private:
  struct Node {
    std::uint32_t first = 0;  // of its children, by rising byte
    std::uint16_t count = 0;
    unsigned char byte = 0;  // that leads here
    bool accepting = false;
    std::uint32_t closing_size = UINT32_MAX;
    std::uint32_t closing_next = 0;
    std::uint32_t words = 0;  // here and below
  };
  void find_closing(Node& node) const;
  [[nodiscard]] std::span<const std::uint32_t> children(const Node& node) const {
    return std::span(children_).subspan(node.first, node.count);
  }
  [[nodiscard]] std::span<const std::uint32_t> children(std::uint32_t node) const {
    return children(nodes_[node]);
  }

  std::vector<Node> nodes_;
  std::vector<std::uint32_t> children_;
};

}  // namespace espalier::grammar
