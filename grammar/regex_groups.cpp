// What is known of a pattern's named groups without running it.
#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "base/utf8.h"
#include "grammar/regex.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kMostLiterals = 64;
constexpr std::size_t kLongestLiteral = 256;

// The words of each node where they are few, bottom-up.
using Words = std::optional<std::vector<std::string>>;

Words product(const Words& a, const Words& b) {
  if (!a || !b || a->size() * b->size() > kMostLiterals) return std::nullopt;
  std::vector<std::string> out;
  for (const std::string& left : *a) {
    for (const std::string& right : *b) {
      out.push_back(left + right);
      if (out.back().size() > kLongestLiteral) return std::nullopt;
    }
  }
  return out;
}

Words words_of(const Regex& regex, const RegexNode& node, std::span<const Words> known) {
  const auto children = std::span(regex.children).subspan(node.first, node.count);
  switch (node.op) {
    case RegexOp::kEmpty:
      return std::vector<std::string>{""};
    case RegexOp::kClass: {
      const auto& ranges = regex.classes[node.a];
      if (ranges.size() != 1 || ranges[0].first != ranges[0].second) return std::nullopt;
      std::string text;
      utf8::append(text, ranges[0].first);
      return std::vector<std::string>{text};
    }
    case RegexOp::kConcat: {
      Words out = std::vector<std::string>{""};
      for (const std::uint32_t child : children) out = product(out, known[child]);
      return out;
    }
    case RegexOp::kAlternate: {
      std::vector<std::string> out;
      for (const std::uint32_t child : children) {
        if (!known[child] || out.size() + known[child]->size() > kMostLiterals) return std::nullopt;
        out.insert(out.end(), known[child]->begin(), known[child]->end());
      }
      return out;
    }
    case RegexOp::kRepeat: {
      if (node.a != 0 || node.b != 1 || !known[children[0]]) return std::nullopt;
      std::vector<std::string> out = *known[children[0]];
      out.emplace_back();
      return out;
    }
    case RegexOp::kGroup:
      return known[children[0]];
    default:
      return std::nullopt;  // anchors
  }
}

// The groups that take part in every match.
std::vector<std::uint32_t> groups_of_every_match(const Regex& regex) {
  std::vector<std::uint32_t> out;
  std::vector<std::uint32_t> work{regex.root};
  while (!work.empty()) {
    const RegexNode& node = regex.nodes[work.back()];
    work.pop_back();
    if (node.op == RegexOp::kGroup) out.push_back(node.a);
    if (node.op == RegexOp::kGroup || node.op == RegexOp::kConcat ||
        (node.op == RegexOp::kRepeat && node.a > 0)) {
      const auto children = std::span(regex.children).subspan(node.first, node.count);
      work.insert(work.end(), children.begin(), children.end());
    }
  }
  return out;
}

}  // namespace

Result<std::vector<NamedGroup>> regex_groups(std::string_view pattern) {
  ESP_ASSIGN(const Regex regex, parse_regex(pattern));
  std::vector<NamedGroup> out;
  std::vector<std::size_t> slot(regex.groups.size(), 0);
  for (std::size_t i = 0; i < regex.groups.size(); ++i) {
    if (regex.groups[i].name.empty()) continue;
    slot[i] = out.size();
    out.push_back({regex.groups[i].name, regex.groups[i].offset, std::nullopt, false});
  }
  if (out.empty()) return out;
  for (const std::uint32_t group : groups_of_every_match(regex)) {
    if (!regex.groups[group].name.empty()) out[slot[group]].always = true;
  }
  std::vector<Words> known;
  known.reserve(regex.nodes.size());
  for (const RegexNode& node : regex.nodes) {
    known.push_back(words_of(regex, node, known));
    if (node.op != RegexOp::kGroup || regex.groups[node.a].name.empty() || !known.back()) continue;
    std::vector<std::string> words = *known.back();
    std::sort(words.begin(), words.end());
    words.erase(std::unique(words.begin(), words.end()), words.end());
    out[slot[node.a]].literals = std::move(words);
  }
  return out;
}

}  // namespace espalier::grammar
