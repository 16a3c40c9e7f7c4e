// A finite set of words as a trie: the keys of an object, the values of an enumeration.
//
// States are its nodes, numbered from 1; 0 is no state. Words may be prefixes of each other. Built
// once from its words, immutable. Cost: O(total bytes) after sorting.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "grammar/byte_set.h"

namespace espalier::grammar {

class WordTrie {
 public:
  /// `words` in any order; at least one, none empty.
  explicit WordTrie(std::vector<std::string> words);

  static constexpr std::uint32_t kStart = 1;
  [[nodiscard]] std::uint32_t step(std::uint32_t node, unsigned char byte) const;
  [[nodiscard]] bool accepting(std::uint32_t node) const { return nodes_[node].accepting; }
  [[nodiscard]] ByteSet bytes_of(std::uint32_t node) const;
  /// Bytes to the nearest word's end, and the first of them.
  [[nodiscard]] std::uint32_t closing_size(std::uint32_t node) const {
    return nodes_[node].closing_size;
  }
  [[nodiscard]] std::string closing_word(std::uint32_t node) const;
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
  };
  [[nodiscard]] std::span<const std::uint32_t> children(std::uint32_t node) const {
    return std::span(children_).subspan(nodes_[node].first, nodes_[node].count);
  }

  std::vector<Node> nodes_;
  std::vector<std::uint32_t> children_;
};

}  // namespace espalier::grammar
