#include "grammar/schema/pattern_beginning.h"

#include <algorithm>
#include <cstdint>
#include <span>

#include "grammar/regex_parser.h"

namespace espalier::grammar {

PatternBeginning::PatternBeginning(std::string_view pattern) {
  if (!pattern.starts_with('^')) return;  // most are not, and need not be parsed
  const auto regex = parse_regex(pattern, RegexDialect::kEcma);
  if (!regex || regex->looks) return;
  std::vector<std::uint32_t> left{regex->root};  // to be read, the next one last
  bool anchored = false;
  constexpr std::size_t kMostSteps = 1024;  // repeats inside each other may hold nothing
  for (std::size_t i = 0; i < kMostSteps && !left.empty() && classes_.size() < kMost; ++i) {
    const RegexNode& node = regex->nodes[left.back()];
    left.pop_back();
    const auto children = std::span(regex->children).subspan(node.first, node.count);
    switch (node.op) {
      case RegexOp::kEmpty:
        break;
      case RegexOp::kBegin:
        if (!classes_.empty()) return;
        anchored = true;
        break;
      case RegexOp::kConcat:
        left.insert(left.end(), children.rbegin(), children.rend());
        break;
      case RegexOp::kGroup:
        left.push_back(children[0]);
        break;
      case RegexOp::kClass:
        if (!anchored) return;
        classes_.push_back(regex->classes[node.a]);
        break;
      case RegexOp::kRepeat: {
        // The turns that there are for certain; behind them another turn may stand.
        if (node.a != node.b) left.clear();
        const std::size_t turns = std::min<std::size_t>(node.a, kMost);
        left.insert(left.end(), turns, children[0]);
        break;
      }
      default:
        return;
    }
  }
}

bool PatternBeginning::apart(const PatternBeginning& a, const PatternBeginning& b) {
  const std::size_t both = std::min(a.classes_.size(), b.classes_.size());
  for (std::size_t i = 0; i < both; ++i) {
    auto one = a.classes_[i].begin();
    auto other = b.classes_[i].begin();
    bool meet = false;
    while (!meet && one != a.classes_[i].end() && other != b.classes_[i].end()) {
      if (one->second < other->first) {
        ++one;
      } else if (other->second < one->first) {
        ++other;
      } else {
        meet = true;
      }
    }
    if (!meet) return true;
  }
  return false;
}

}  // namespace espalier::grammar
