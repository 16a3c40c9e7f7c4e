// A Lark grammar's text as a tree: what lark.cpp makes expressions of.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/json.h"

namespace espalier::grammar {

enum class LarkOp : std::uint8_t {
  kText,       // text; flags "i" where letters match in either case
  kRange,      // one character from low to high
  kRegex,      // text, flags
  kName,       // a rule or a terminal
  kJson,       // value: a JSON Schema
  kSubstring,  // value: a list of strings; any run of them, or nothing
  kConcat,
  kChoice,
  kRepeat,  // low..high times
  kAnd,
  kNot,
};

struct LarkNode {
  LarkOp op = LarkOp::kText;
  char flags[3] = {};               // of a regex: `i`, `m`, `s`; of a text: `i`
  std::uint32_t offset = 0;         // in the text
  std::uint32_t low = 0, high = 0;  // counts, code points of a kRange, or what `texts` or `values`
                                    // has at `low`
  std::uint32_t first = 0, count = 0;  // children, nodes with smaller numbers: `children[first…]`
};

struct LarkDefinition {
  std::string name;
  std::size_t offset = 0;
  std::uint32_t first = 0, root = 0;  // its nodes are [first, root]
  bool lazy = false;
  std::uint32_t suffix_first = 0, suffix = 0;  // suffix's nodes are [suffix_first, suffix]
  bool has_suffix = false;
};

struct LarkSyntax {
  std::vector<LarkNode> nodes;
  std::vector<std::uint32_t> children;
  std::vector<std::string> texts;
  std::vector<Json> values;
  std::vector<LarkDefinition> definitions;  // rules and terminals
  std::vector<LarkDefinition> ignored;      // without names
  bool initial_skip = false;
  bool ignore_once = false;

  [[nodiscard]] const std::string& text_of(const LarkNode& node) const { return texts[node.low]; }
  [[nodiscard]] const Json& value_of(const LarkNode& node) const { return values[node.low]; }
  [[nodiscard]] std::span<const std::uint32_t> children_of(const LarkNode& node) const {
    return std::span(children).subspan(node.first, node.count);
  }
};

/// Terminals are written in capitals.
[[nodiscard]] bool is_terminal_name(std::string_view name);

/// Errors name line and column. Nothing recurses; O(bytes).
[[nodiscard]] Result<LarkSyntax> parse_lark(std::string_view text);

}  // namespace espalier::grammar
