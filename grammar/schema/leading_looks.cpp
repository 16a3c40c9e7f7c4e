#include "grammar/schema/leading_looks.h"

#include <algorithm>
#include <cstddef>
#include <span>

namespace espalier::grammar {
namespace {

// Where the parenthesis that opens at `open` is closed, or where the first one opens where it is no
// parenthesis; the pattern's end where there is none.
std::size_t next_parenthesis(std::string_view pattern, std::size_t open) {
  const bool opens = pattern[open] != '(';
  std::size_t depth = 0;
  bool in_class = false;
  for (std::size_t i = open; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\') {
      ++i;
    } else if (in_class) {
      in_class = c != ']';
    } else if (c == '[') {
      in_class = true;
    } else if (c == '(') {
      if (opens) return i;
      ++depth;
    } else if (c == ')' && --depth == 0) {
      return i;
    }
  }
  return pattern.size();
}

// Of so many children in a row: those before the look-ahead are of one length each, then come
// `looks` of it.
bool has_form(const Regex& regex, std::size_t looks) {
  const RegexNode& root = regex.nodes[regex.root];
  if (root.op != RegexOp::kConcat) return false;
  const auto parts = std::span(regex.children).subspan(root.first, root.count);
  const auto node = [&](std::size_t i) -> const RegexNode& { return regex.nodes[parts[i]]; };
  const auto is_class = [&](const RegexNode& of) { return of.op == RegexOp::kClass; };
  if (node(0).op != RegexOp::kBegin) return false;
  std::size_t at = 1;
  while (at < parts.size() &&
         (is_class(node(at)) || (node(at).op == RegexOp::kRepeat && node(at).a == node(at).b &&
                                 is_class(regex.nodes[regex.children[node(at).first]])))) {
    ++at;
  }
  if (parts.size() < at + looks) return false;
  for (std::size_t i = at; i < at + looks; ++i) {
    if (node(i).op != RegexOp::kAhead && node(i).op != RegexOp::kNotAhead) return false;
  }
  return true;
}

}  // namespace

std::optional<LeadingLooks> leading_looks(std::string_view pattern) {
  constexpr std::string_view kAhead = "(?=", kDenied = "(?!";
  if (pattern.size() < 2 || pattern[0] != '^') return std::nullopt;
  LeadingLooks out;
  std::size_t at = pattern[1] == '(' ? 1 : next_parenthesis(pattern, 1);
  const std::string before(pattern.substr(0, at));
  std::size_t count = 0;
  while (pattern.substr(at).starts_with(kAhead) || pattern.substr(at).starts_with(kDenied)) {
    const std::size_t end = next_parenthesis(pattern, at);
    if (end == pattern.size()) return std::nullopt;
    const bool denied = pattern.substr(at).starts_with(kDenied);
    const std::string_view inside = pattern.substr(at + kAhead.size(), end - at - kAhead.size());
    (denied ? out.denied : out.ahead).push_back(before + "(?:" + std::string(inside) + ")");
    at = end + 1;
    ++count;
  }
  if (count == 0) return std::nullopt;
  out.rest = before + std::string(pattern.substr(at));
  // As it is parsed too: no alternative beside all of it, no count behind one of them.
  const auto regex = parse_regex(pattern, RegexDialect::kEcma);
  if (!regex || !has_form(*regex, count)) return std::nullopt;
  for (const auto* list : {&out.ahead, &out.denied}) {
    for (const std::string& one : *list) {
      const auto look = parse_regex(one, RegexDialect::kEcma);
      if (!look || look->looks) return std::nullopt;
      out.counts = out.counts || std::ranges::any_of(look->nodes, [&](const RegexNode& node) {
                     return node.op == RegexOp::kRepeat && node.offset >= before.size() &&
                            node.b > 1 && node.b != ExpressionPool::kUnbounded;
                   });
    }
  }
  const auto rest = parse_regex(out.rest, RegexDialect::kEcma);
  return rest && !rest->looks ? std::optional(std::move(out)) : std::nullopt;
}

std::optional<std::string> looks_from_line_starts(std::string_view pattern, const Regex& regex) {
  if (!regex.looks || regex.nodes[regex.root].op != RegexOp::kConcat) return std::nullopt;
  const auto children = [&](const RegexNode& node) {
    return std::span(regex.children).subspan(node.first, node.count);
  };
  const auto dot = parse_regex(".", RegexDialect::kEcma);
  // Any number of characters but line ends, or any above a least one.
  const auto takes_any = [&](const RegexNode& node) {
    if (node.op != RegexOp::kRepeat) return false;
    const RegexNode& one = regex.nodes[children(node)[0]];
    return one.op == RegexOp::kClass && dot && regex.classes[one.a] == dot->classes[0];
  };
  const auto endless = [](const RegexNode& node) { return node.b == ExpressionPool::kUnbounded; };
  const auto parts = children(regex.nodes[regex.root]);
  std::size_t count = 0;
  for (; count < parts.size() && regex.nodes[parts[count]].op == RegexOp::kAhead; ++count) {
    const RegexNode* first = &regex.nodes[children(regex.nodes[parts[count]])[0]];
    if (first->op == RegexOp::kConcat) first = &regex.nodes[children(*first)[0]];
    if (!takes_any(*first) || !endless(*first)) return std::nullopt;
  }
  if (count == 0) return std::nullopt;
  if (count < parts.size()) {
    const RegexNode& rest = regex.nodes[parts[count]];
    const bool last = count + 1 == parts.size();
    if (!takes_any(rest) || !(endless(rest) || last)) return std::nullopt;
  }
  return "(?:^|[\\n\\r\\u2028\\u2029])" + std::string(pattern);
}

}  // namespace espalier::grammar
