// The byte trie over a vocabulary's ordinary tokens, laid out for one linear walk.
//
// Nodes stand in depth-first order (children by rising byte), so a walk is a loop over an array: it
// goes to the next node where the automaton lives on, and jumps to `next` (past the subtree) where
// it died. The tokens are listed in the same order, so the tokens of a subtree are one contiguous
// range. Where only a few bytes can follow, walks go by `children` instead. Immutable, thread-safe;
// 21 bytes a node.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/token.h"
#include "grammar/byte_set.h"

namespace espalier::grammar {

/// The nodes and the tokens, which is all that a walk from the root needs.
class TokenWalk {
 public:
  struct Node {
    std::uint32_t next = 0;    // first node that is not below this one
    std::uint32_t tokens = 0;  // first token at or below this node, as an index into tokens()
    std::uint32_t edges = 0;   // where its edges begin, for children(): with the rest in one line
    std::uint16_t depth = 0;   // bytes from the root; the root is no node
    std::uint8_t byte = 0;     // the edge that leads here
    std::uint8_t token_count =
        0;  // tokens that end exactly here (vocabularies repeat bytes), saturated at 255
  };

  /// What is left of `all` without some tokens: `taken[i]` is 1 where tokens()[i] is one of them;
  /// those that end at one node are all taken, or none is. O(nodes).
  TokenWalk(const TokenWalk& all, std::span<const std::uint8_t> taken);

  [[nodiscard]] std::span<const Node> nodes() const { return nodes_; }
  /// All tokens in depth-first order.
  [[nodiscard]] std::span<const TokenId> tokens() const { return tokens_; }
  /// The tokens that end at node `i`.
  [[nodiscard]] std::span<const TokenId> tokens_at(std::size_t i) const;
  /// Adds those to a mask's words. Whether there is one is no branch: it would be guessed wrong at
  /// every other node of a walk.
  void add_tokens_at(std::size_t i, std::span<std::uint64_t> words) const {
    const Node& at = nodes_[i];
    const auto first = static_cast<std::size_t>(tokens_[at.tokens]);  // one below it, at least
    words[first / 64] |= std::uint64_t{at.token_count != 0} << (first % 64);
    if (at.token_count <= 1) return;
    for (const TokenId id : tokens_at(i)) {
      words[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
    }
  }
  /// The tokens at and below node `i`.
  [[nodiscard]] std::span<const TokenId> tokens_below(std::size_t i) const;
  [[nodiscard]] std::size_t longest() const { return longest_; }

 protected:
  TokenWalk() = default;

  std::vector<Node> nodes_;
  std::vector<TokenId> tokens_;
  std::size_t longest_ = 0;
};

class TokenTrie : public TokenWalk {
 public:
  /// Over the tokens `ids`, whose bytes are `bytes[id]`; empty ones are skipped, tokens longer than
  /// kLongest too (no mask allows them; real vocabularies stay far below). Cost: O(total bytes + n
  /// log n).
  TokenTrie(std::span<const std::string_view> bytes, std::span<const TokenId> ids);
  static constexpr std::size_t kLongest = 4096;

  static constexpr std::uint32_t kNone = UINT32_MAX;
  /// The edges of node `i` (kRoot: of the root) by rising byte, and where they lead.
  struct Children {
    std::span<const std::uint8_t> bytes;
    std::span<const std::uint32_t> nodes;
  };
  [[nodiscard]] Children children(std::uint32_t i) const {
    const std::size_t first = i == kRoot ? root_edges_ : nodes_[i].edges;
    const std::size_t end = i == kRoot              ? edges_.size()
                            : i + 1 < nodes_.size() ? nodes_[i + 1].edges
                                                    : root_edges_;
    return {std::span(edge_bytes_).subspan(first, end - first),
            std::span(edges_).subspan(first, end - first)};
  }
  /// Appends those whose byte is in `bytes`, in no certain order. O(the fewer of the two).
  void children(std::uint32_t i, const ByteSet& bytes, std::vector<std::uint32_t>& out) const;
  /// By node: how many bytes the longest token below it has more, 255 for that many and more.
  [[nodiscard]] std::span<const std::uint8_t> heights() const { return heights_; }
  /// The child of node `i` along `byte` (`i` == kRoot: of the root), or kNone. O(log children).
  [[nodiscard]] std::uint32_t child(std::uint32_t i, std::uint8_t byte) const;
  static constexpr std::uint32_t kRoot = UINT32_MAX - 1;

 private:
  void index_edges();

  std::size_t root_edges_ = 0;  // where the root's edges begin, behind all others
  std::vector<std::uint32_t> edges_;
  std::vector<std::uint8_t> edge_bytes_, heights_;
  std::vector<std::uint32_t> root_children_ = std::vector<std::uint32_t>(256, kNone);
};

}  // namespace espalier::grammar
