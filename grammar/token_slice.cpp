#include "grammar/token_slice.h"

#include <algorithm>

#include "base/utf8.h"

namespace espalier::grammar {
namespace {

bool holds(std::span<const CodePointRange> ranges, char32_t c) {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), c,
                       [](char32_t at, const CodePointRange& r) { return at < r.first; });
  return after != ranges.begin() && std::prev(after)->second >= c;
}

void set(std::vector<std::uint64_t>& words, TokenId id) {
  words[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
}

// All of these.
bool covers(std::span<const CodePointRange> ranges, char32_t first, char32_t last) {
  return std::ranges::any_of(
      ranges, [&](const CodePointRange& r) { return r.first <= first && last <= r.second; });
}

constexpr std::size_t kFewOthers = 4;  // at most one token in so many is left for a trie of its own

}  // namespace

std::unique_ptr<const TokenSlice> TokenSlice::create(const Vocabulary& vocabulary,
                                                     const TokenCharacters& characters,
                                                     std::span<const CodePointRange> ranges,
                                                     std::optional<unsigned char> excluded) {
  const TokenTrie& trie = vocabulary.trie();
  const auto tokens = trie.tokens();
  TokenCharacters::Ascii missing;  // what is not of the class
  for (unsigned c = 0; c < 0x80; ++c) {
    if (c != excluded && holds(ranges, c)) continue;
    (c < 64 ? missing.low : missing.high) |= std::uint64_t{1} << (c % 64);
  }
  const bool any_beyond = (!excluded || *excluded < 0x80) && covers(ranges, 0x80, 0xD7FF) &&
                          covers(ranges, 0xE000, 0x10FFFF);
  const auto fits_beyond = [&](std::string_view bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
      const auto d = utf8::decode(bytes, at);
      if (!holds(ranges, d.code_point)) return false;
      at += d.length;
    }
    return !excluded || bytes.find(static_cast<char>(*excluded)) == std::string_view::npos;
  };
  std::unique_ptr<TokenSlice> out(new TokenSlice);
  out->all_.resize((vocabulary.size() + 63) / 64);
  out->by_length_.emplace_back();
  std::vector<std::uint8_t> inside(vocabulary.size(), 0);
  std::size_t most = 0;
  for (std::size_t i = 0; i < inside.size(); ++i) {
    const TokenCharacters::Ascii& held = characters.ascii[i];
    const std::size_t count = characters.count[i];
    if (count == 0 || ((held.low & missing.low) | (held.high & missing.high)) != 0) continue;
    const auto id = static_cast<TokenId>(i);
    if (characters.beyond[i] != 0 && !any_beyond && !fits_beyond(vocabulary.bytes(id))) continue;
    inside[i] = 1;
    ++most;
    if (out->by_length_.size() <= count) out->by_length_.resize(count + 1);
    out->by_length_[count].push_back(id);
    set(out->all_, id);
  }
  if (most < tokens.size() / kLeastShare) return nullptr;
  std::vector<std::uint8_t> taken(tokens.size());
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    taken[t] = inside[static_cast<std::size_t>(tokens[t])];
  }
  if (tokens.size() - most <= tokens.size() / kFewOthers) {
    out->others_.emplace(trie, taken);
    return out;
  }
  const auto nodes = trie.nodes();
  // By token, how many of those before it are not in the slice.
  std::vector<std::uint32_t> rank(taken.size() + 1, 0);
  for (std::size_t t = 0; t < taken.size(); ++t) rank[t + 1] = rank[t] + (taken[t] == 0 ? 1U : 0U);
  out->beside_.resize((nodes.size() + 63) / 64);
  for (std::uint32_t i = 0; i < nodes.size();) {
    const std::size_t next = nodes[i].next;
    const std::size_t end = next < nodes.size() ? nodes[next].tokens : taken.size();
    const bool some = rank[end] != rank[nodes[i].tokens];
    if (some) out->beside_[i / 64] |= std::uint64_t{1} << (i % 64);
    i = some ? i + 1 : nodes[i].next;
  }
  return out;
}

void TokenSlice::allow(const std::vector<bool>& lengths, std::vector<std::uint64_t>& words) const {
  std::size_t in = 0, out = 0;
  for (std::size_t n = 1; n < by_length_.size(); ++n)
    (lengths[n] ? in : out) += by_length_[n].size();
  if (in <= out) {
    for (std::size_t n = 1; n < by_length_.size(); ++n) {
      if (!lengths[n]) continue;
      for (const TokenId id : by_length_[n]) set(words, id);
    }
    return;
  }
  if (out == 0) {
    for (std::size_t w = 0; w < words.size(); ++w) words[w] |= all_[w];
    return;
  }
  std::vector<std::uint64_t> some = all_;
  for (std::size_t n = 1; n < by_length_.size(); ++n) {
    if (lengths[n]) continue;
    for (const TokenId id : by_length_[n]) {
      some[static_cast<std::size_t>(id) / 64] &= ~(std::uint64_t{1} << (id % 64));
    }
  }
  for (std::size_t w = 0; w < words.size(); ++w) words[w] |= some[w];
}

}  // namespace espalier::grammar
