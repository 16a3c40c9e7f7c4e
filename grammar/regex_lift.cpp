#include "grammar/regex_lift.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "grammar/expression.h"

namespace espalier::grammar {
namespace {

constexpr std::uint32_t kMostTurns = 4;  // that are written out

using Sequence = std::vector<std::uint32_t>;  // of nodes

std::span<const std::uint32_t> children(const Regex& regex, const RegexNode& node) {
  return std::span(regex.children).subspan(node.first, node.count);
}

// By node: whether look-around stands in it. Children come before what holds them.
std::vector<bool> nodes_with_looks(const Regex& regex) {
  std::vector<bool> out(regex.nodes.size(), false);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const RegexNode& node = regex.nodes[i];
    out[i] = looks_around(node.op) ||
             std::ranges::any_of(children(regex, node), [&](std::uint32_t c) { return out[c]; });
  }
  return out;
}

// What may stand in a part's place; nothing where it stays.
std::vector<Sequence> choices_of(const Regex& regex, std::uint32_t part) {
  const RegexNode& node = regex.nodes[part];
  const auto inner = children(regex, node);
  std::vector<Sequence> out;
  switch (node.op) {
    case RegexOp::kConcat:
    case RegexOp::kGroup:
      out.emplace_back(inner.begin(), inner.end());
      break;
    case RegexOp::kAlternate:
      for (const std::uint32_t one : inner) out.push_back({one});
      break;
    case RegexOp::kRepeat:
      if (node.b > kMostTurns) break;
      for (std::uint32_t turns = node.a; turns <= node.b; ++turns) {
        out.emplace_back(turns, inner[0]);
      }
      break;
    default:
      break;
  }
  return out;
}

std::uint32_t add(Regex& regex, RegexOp op, std::uint32_t offset, const Sequence& parts,
                  std::uint32_t low = 0, std::uint32_t high = 0) {
  RegexNode node;
  node.op = op;
  node.a = low;
  node.b = high;
  node.first = static_cast<std::uint32_t>(regex.children.size());
  node.count = static_cast<std::uint32_t>(parts.size());
  node.offset = offset;
  regex.children.insert(regex.children.end(), parts.begin(), parts.end());
  regex.nodes.push_back(node);
  return static_cast<std::uint32_t>(regex.nodes.size() - 1);
}

// By node: whether it may match the empty word.
std::vector<bool> nodes_that_may_be_empty(const Regex& regex) {
  std::vector<bool> out(regex.nodes.size(), true);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const RegexNode& node = regex.nodes[i];
    const auto empty = [&](std::uint32_t c) { return out[c]; };
    const auto inner = children(regex, node);
    if (node.op == RegexOp::kClass) out[i] = false;
    if (node.op == RegexOp::kConcat) out[i] = std::ranges::all_of(inner, empty);
    if (node.op == RegexOp::kAlternate) out[i] = std::ranges::any_of(inner, empty);
    if (node.op == RegexOp::kGroup) out[i] = out[inner[0]];
    if (node.op == RegexOp::kRepeat) out[i] = node.a == 0 || out[inner[0]];
  }
  return out;
}

// Of `((?!X)c)*` the parts of `(?!c*X)c*`, which mean the same where the text ends behind them: X,
// which has a character, begins at one of the turns then. Nothing of other parts.
Sequence looks_at_once(Regex& regex, std::uint32_t part, const std::vector<bool>& may_be_empty) {
  const RegexNode repeat = regex.nodes[part];
  if (repeat.op != RegexOp::kRepeat) return {};
  std::uint32_t turn = children(regex, repeat)[0];
  while (regex.nodes[turn].op == RegexOp::kGroup) turn = children(regex, regex.nodes[turn])[0];
  if (regex.nodes[turn].op != RegexOp::kConcat) return {};
  const auto inner = children(regex, regex.nodes[turn]);
  const Sequence parts(inner.begin(), inner.end());
  const std::uint32_t character = parts.back();
  if (regex.nodes[character].op != RegexOp::kClass) return {};
  Sequence unwanted;
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    if (regex.nodes[parts[i]].op != RegexOp::kNotAhead) return {};
    unwanted.push_back(children(regex, regex.nodes[parts[i]])[0]);
    if (may_be_empty[unwanted.back()]) return {};
  }
  Sequence out;
  for (const std::uint32_t one : unwanted) {
    const std::uint32_t any =
        add(regex, RegexOp::kRepeat, repeat.offset, {character}, 0, ExpressionPool::kUnbounded);
    const std::uint32_t found = add(regex, RegexOp::kConcat, repeat.offset, {any, one});
    out.push_back(add(regex, RegexOp::kNotAhead, repeat.offset, {found}));
  }
  out.push_back(add(regex, RegexOp::kRepeat, repeat.offset, {character}, repeat.a, repeat.b));
  return out;
}

}  // namespace

void lift_looks(Regex& regex) {
  std::vector<bool> looks = nodes_with_looks(regex);
  const std::vector<bool> may_be_empty = nodes_that_may_be_empty(regex);
  std::vector<Sequence> left{{regex.root}}, done;  // the next one last
  std::size_t parts = 0;
  while (!left.empty()) {
    const Sequence sequence = std::move(left.back());
    left.pop_back();
    std::vector<Sequence> choices;
    std::size_t at = 0;
    for (; at < sequence.size() && choices.empty(); ++at) {
      if (!looks[sequence[at]]) continue;
      const bool last =
          at + 2 == sequence.size() && regex.nodes[sequence[at + 1]].op == RegexOp::kEnd;
      if (last) {
        Sequence once = looks_at_once(regex, sequence[at], may_be_empty);
        looks.resize(regex.nodes.size(), false);  // those are where they may be
        if (!once.empty()) choices.push_back(std::move(once));
      }
      if (choices.empty()) choices = choices_of(regex, sequence[at]);
    }
    if (choices.empty()) {
      done.push_back(sequence);
      continue;
    }
    for (const Sequence& choice : choices) {
      Sequence one(sequence.begin(), sequence.begin() + static_cast<std::ptrdiff_t>(at - 1));
      one.insert(one.end(), choice.begin(), choice.end());
      one.insert(one.end(), sequence.begin() + static_cast<std::ptrdiff_t>(at), sequence.end());
      parts += one.size();
      left.push_back(std::move(one));
    }
    if (left.size() + done.size() > kMostLiftedSequences || parts > kMostLiftedParts) return;
  }
  const std::uint32_t offset = regex.nodes[regex.root].offset;
  Sequence alternatives;
  for (const Sequence& sequence : done) {
    alternatives.push_back(
        sequence.size() == 1
            ? sequence[0]
            : add(regex, sequence.empty() ? RegexOp::kEmpty : RegexOp::kConcat, offset, sequence));
  }
  regex.root = alternatives.size() == 1 ? alternatives[0]
                                        : add(regex, RegexOp::kAlternate, offset, alternatives);
}

}  // namespace espalier::grammar
