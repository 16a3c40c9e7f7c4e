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
  kJson,       // json: a JSON Schema
  kSubstring,  // chunks: any run of them, or nothing
  kConcat,
  kChoice,
  kRepeat,  // low..high times
  kAnd,
  kNot,
};

struct LarkNode {
  LarkOp op = LarkOp::kText;
  std::size_t offset = 0;  // in the text
  std::string text;
  std::string flags;
  std::uint32_t low = 0, high = 0;  // counts, or the code points of a kRange
  std::vector<std::string> chunks;
  Json json;
  std::vector<std::uint32_t> children;  // nodes with smaller numbers
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
  std::vector<LarkDefinition> definitions;  // rules and terminals
  std::vector<LarkDefinition> ignored;      // without names
  bool initial_skip = false;
  bool ignore_once = false;
};

/// Terminals are written in capitals.
[[nodiscard]] bool is_terminal_name(std::string_view name);

/// Errors name line and column. Nothing recurses; O(bytes).
[[nodiscard]] Result<LarkSyntax> parse_lark(std::string_view text);

}  // namespace espalier::grammar
