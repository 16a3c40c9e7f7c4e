// The live tree for people and for programs: lines of text, or JSON.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "radix_cache/radix_cache.h"

namespace espalier::runtime {

/// The bytes of tokens, for the lines' ends.
using TokenText = std::function<std::string(std::span<const TokenId>)>;

/// A line a node: positions, pages, leases, how often it was found, why it may go, the beginning of
/// its text. Branches are indented, a node that has no siblings stands below its parent.
[[nodiscard]] std::string draw_tree(std::span<const radix_cache::NodeView> nodes,
                                    const TokenText& text);
/// The trees of one or several engines as one JSON array of nodes, each with the place of its
/// parent in it (null at a root) and, of several engines, the number of its own (from 1).
[[nodiscard]] std::string tree_json(std::span<const std::vector<radix_cache::NodeView>> trees);

}  // namespace espalier::runtime
