#include "runtime/engine/tree_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

namespace espalier::runtime {
namespace {

using radix_cache::EvictionClass;
using radix_cache::NodeView;

constexpr std::size_t kShownBytes = 48;
constexpr std::size_t kDeepest = 24;  // branches below are not indented further

const char* name_of(EvictionClass c) {
  switch (c) {
    case EvictionClass::kDead:
      return "dead";
    case EvictionClass::kOrdinary:
      return "ordinary";
    case EvictionClass::kExpected:
      return "expected";
    case EvictionClass::kRetained:
      return "retained";
    case EvictionClass::kNone:
      return "none";
  }
  return "";
}

/// Control bytes as escapes, so that a line stays a line; the beginning of a long text.
std::string quoted(std::string text) {
  const bool cut = text.size() > kShownBytes;
  if (cut) text.resize(kShownBytes);
  std::string out =
      nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (cut) out += "…";
  return out;
}

}  // namespace

std::string draw_tree(std::span<const NodeView> nodes, const TokenText& text) {
  std::vector<std::uint32_t> children(nodes.size());
  for (const NodeView& x : nodes) {
    if (x.parent != NodeView::kRoot) ++children[x.parent];
  }
  std::vector<std::size_t> depth(nodes.size());
  std::string out;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const NodeView& x = nodes[i];
    if (x.parent != NodeView::kRoot) depth[i] = depth[x.parent] + (children[x.parent] > 1 ? 1 : 0);
    out.append(2 * std::min(depth[i], kDeepest), ' ');
    out += std::to_string(x.start) + ".." + std::to_string(x.start + x.tokens.size()) + "  " +
           std::to_string(x.pages.size()) + (x.pages.size() == 1 ? " page" : " pages");
    if (x.ready < x.tokens.size()) out += ", " + std::to_string(x.ready) + " tokens computed";
    if (x.leases > 0)
      out += ", " + std::to_string(x.leases) + (x.leases == 1 ? " lease" : " leases");
    if (x.hits > 0) out += ", found " + std::to_string(x.hits) + (x.hits == 1 ? " time" : " times");
    if (x.eviction == EvictionClass::kDead || x.eviction == EvictionClass::kExpected) {
      out += std::string(", ") + name_of(x.eviction);
    }
    if (x.level > 0) {
      out += ", retained at level " + std::to_string(x.level) + " until step " +
             std::to_string(x.falls);
    } else if (x.keeps_below) {
      out += ", retained for what is below";
    }
    // As many tokens as can be shown, not a whole document.
    const auto shown = std::span(x.tokens).first(std::min(x.tokens.size(), kShownBytes + 1));
    out += "  " + quoted(text(shown)) + "\n";
  }
  return out;
}

std::string tree_json(std::span<const std::vector<NodeView>> trees) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (std::size_t engine = 0; engine < trees.size(); ++engine) {
    const std::size_t first = out.size();
    for (const NodeView& x : trees[engine]) {
      nlohmann::ordered_json node;
      if (trees.size() > 1) node["engine"] = engine + 1;
      node["parent"] = x.parent == NodeView::kRoot ? nlohmann::ordered_json()
                                                   : nlohmann::ordered_json(first + x.parent);
      node["space"] = x.space;
      node["start"] = x.start;
      node["tokens"] = x.tokens;
      node["ready"] = x.ready;
      node["pages"] = x.pages;
      node["leases"] = x.leases;
      node["active"] = x.active;
      node["hits"] = x.hits;
      node["last"] = x.last;
      node["next_use"] =
          x.next_use == 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(x.next_use);
      node["level"] = x.level;
      node["falls"] = x.level == 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(x.falls);
      node["eviction"] = name_of(x.eviction);
      out.push_back(std::move(node));
    }
  }
  return out.dump();
}

}  // namespace espalier::runtime
