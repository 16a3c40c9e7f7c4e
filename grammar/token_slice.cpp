#include "grammar/token_slice.h"

#include <algorithm>
#include <array>

#include "base/utf8.h"

namespace espalier::grammar {
namespace {

// The code points of a path from the trie's root, while all of them are of a class.
struct Reading {
  std::uint16_t count = 0;   // whole ones
  std::uint16_t begins = 0;  // where the one that is being read begins
};

// Bytes of a code point, by its first; 0 where none begins so.
std::size_t bytes_of(unsigned char lead) {
  return lead < 0x80   ? 1
         : lead < 0xC2 ? 0
         : lead < 0xE0 ? 2
         : lead < 0xF0 ? 3
         : lead < 0xF5 ? 4
                       : 0;
}

bool holds(std::span<const CodePointRange> ranges, char32_t c) {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), c,
                       [](char32_t at, const CodePointRange& r) { return at < r.first; });
  return after != ranges.begin() && std::prev(after)->second >= c;
}

}  // namespace

std::unique_ptr<const TokenSlice> TokenSlice::create(const Vocabulary& vocabulary,
                                                     std::span<const CodePointRange> ranges,
                                                     std::optional<unsigned char> excluded) {
  const TokenTrie& trie = vocabulary.trie();
  std::string path(trie.longest(), '\0');
  std::vector<Reading> readings(trie.longest() + 1);
  std::vector<std::vector<TokenId>> tokens(1);  // by length
  std::vector<bool> taken(trie.tokens().size(), false);
  std::array<bool, 0x80> ascii{};
  for (char32_t c = 0; c < ascii.size(); ++c) ascii[c] = holds(ranges, c);
  std::size_t read = 0;
  const auto nodes = trie.nodes();
  for (std::uint32_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    path[node.depth - 1U] = static_cast<char>(node.byte);
    Reading at = readings[node.depth - 1U];
    const std::size_t size = bytes_of(static_cast<unsigned char>(path[at.begins]));
    bool inside = size != 0 && node.byte != excluded;
    if (inside && at.begins + size == node.depth) {
      inside = at.count < kLongest;
      if (size == 1) {
        inside = inside && ascii[node.byte];
      } else {
        const auto d = utf8::decode(std::string_view(path).substr(0, node.depth), at.begins);
        inside = inside && d.length != 0 && holds(ranges, d.code_point);
      }
      at = {static_cast<std::uint16_t>(at.count + 1), node.depth};
    }
    if (!inside) {
      i = node.next;
      continue;
    }
    ++read;
    readings[node.depth] = at;
    if (node.token_count > 0 && at.begins == node.depth) {
      while (tokens.size() <= at.count) tokens.emplace_back();
      const auto here = trie.tokens_at(i);
      tokens[at.count].insert(tokens[at.count].end(), here.begin(), here.end());
      for (std::size_t t = 0; t < here.size(); ++t) taken[node.tokens + t] = true;
    }
    ++i;
  }
  if (read < nodes.size() / kLeastShare) return nullptr;
  std::unique_ptr<TokenSlice> out(new TokenSlice);
  std::vector<std::uint64_t> words((vocabulary.size() + 63) / 64);
  for (const auto& of_length : tokens) {
    for (const TokenId id : of_length) {
      words[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1}
                                                  << (static_cast<std::size_t>(id) % 64);
    }
    out->up_to_.push_back(words);
  }
  out->others_.emplace(trie, taken);
  return out;
}

}  // namespace espalier::grammar
