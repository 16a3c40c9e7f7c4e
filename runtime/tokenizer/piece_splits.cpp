#include "runtime/tokenizer/piece_splits.h"

#include <algorithm>
#include <numeric>
#include <string_view>

namespace espalier::runtime {
namespace {

// For each text, the others that it starts with, the shortest first: found by one walk through the
// texts in order, with those that the current one starts with on a stack.
struct Prefixes {
  std::vector<std::uint32_t> first;  // by text: where its prefixes start; one more at the end
  std::vector<std::uint32_t> texts;
};

Prefixes prefixes(const std::vector<std::string>& texts) {
  std::vector<std::uint32_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return texts[a] < texts[b]; });
  std::vector<std::vector<std::uint32_t>::size_type> at(texts.size());
  std::vector<std::uint32_t> sizes(texts.size());
  std::vector<std::uint32_t> found;
  std::vector<std::uint32_t> stack;
  for (const std::uint32_t text : order) {
    while (!stack.empty() && !texts[text].starts_with(texts[stack.back()])) stack.pop_back();
    at[text] = found.size();
    sizes[text] = static_cast<std::uint32_t>(stack.size());
    found.insert(found.end(), stack.begin(), stack.end());
    stack.push_back(text);
  }
  Prefixes out;
  out.first.push_back(0);
  for (std::size_t text = 0; text < texts.size(); ++text) {
    const auto begin = found.begin() + static_cast<std::ptrdiff_t>(at[text]);
    out.texts.insert(out.texts.end(), begin, begin + sizes[text]);
    out.first.push_back(static_cast<std::uint32_t>(out.texts.size()));
  }
  return out;
}

}  // namespace

std::vector<PieceSplit> piece_splits(const std::vector<std::string>& texts) {
  std::vector<std::string> reversed;
  reversed.reserve(texts.size());
  for (const std::string& text : texts) reversed.emplace_back(text.rbegin(), text.rend());
  const Prefixes heads = prefixes(texts);
  const Prefixes tails = prefixes(reversed);
  std::vector<PieceSplit> out;
  for (std::uint32_t whole = 0; whole < texts.size(); ++whole) {
    // Heads grow while the tails that complete them shrink.
    std::uint32_t tail = tails.first[whole + 1];
    for (std::uint32_t head = heads.first[whole]; head < heads.first[whole + 1]; ++head) {
      const std::size_t rest = texts[whole].size() - texts[heads.texts[head]].size();
      while (tail > tails.first[whole] && texts[tails.texts[tail - 1]].size() > rest) --tail;
      if (tail == tails.first[whole]) break;
      const std::uint32_t right = tails.texts[tail - 1];
      if (texts[right].size() == rest) out.push_back({whole, heads.texts[head], right});
    }
  }
  return out;
}

}  // namespace espalier::runtime
