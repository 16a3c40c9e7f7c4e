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
  std::unique_ptr<TokenSlice> out(new TokenSlice);
  auto& up_to = out->up_to_;  // of one length at first
  const std::vector<std::uint64_t> none((vocabulary.size() + 63) / 64);
  up_to.push_back(none);
  std::vector<std::uint8_t> taken(trie.tokens().size(), 0);
  std::array<bool, 0x80> ascii{};
  for (char32_t c = 0; c < ascii.size(); ++c) ascii[c] = c != excluded && holds(ranges, c);
  std::size_t read = 0;
  const auto nodes = trie.nodes();
  for (std::uint32_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    path[node.depth - 1U] = static_cast<char>(node.byte);
    Reading at = readings[node.depth - 1U];
    bool inside = at.count < kLongest;
    if (node.byte < ascii.size() && at.begins + 1U == node.depth) {  // which most are
      inside = inside && ascii[node.byte];
      at = {static_cast<std::uint16_t>(at.count + 1), node.depth};
    } else {
      const std::size_t size = bytes_of(static_cast<unsigned char>(path[at.begins]));
      inside = inside && size > 1 && node.byte != excluded;
      if (inside && at.begins + size == node.depth) {
        const auto d = utf8::decode(std::string_view(path).substr(0, node.depth), at.begins);
        inside = d.length != 0 && holds(ranges, d.code_point);
        at = {static_cast<std::uint16_t>(at.count + 1), node.depth};
      }
    }
    if (!inside) {
      i = node.next;
      continue;
    }
    ++read;
    readings[node.depth] = at;
    if (node.token_count > 0 && at.begins == node.depth) {
      while (up_to.size() <= at.count) up_to.push_back(none);
      std::vector<std::uint64_t>& words = up_to[at.count];
      const auto here = trie.tokens_at(i);
      for (std::size_t t = 0; t < here.size(); ++t) {
        const auto id = static_cast<std::size_t>(here[t]);
        words[id / 64] |= std::uint64_t{1} << (id % 64);
        taken[node.tokens + t] = 1;
      }
    }
    ++i;
  }
  if (read < nodes.size() / kLeastShare) return nullptr;
  for (std::size_t n = 1; n < up_to.size(); ++n) {
    for (std::size_t w = 0; w < none.size(); ++w) up_to[n][w] |= up_to[n - 1][w];
  }
  out->others_.emplace(trie, taken);
  return out;
}

}  // namespace espalier::grammar
