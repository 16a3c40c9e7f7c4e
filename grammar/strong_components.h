// Strongly connected components of a graph of small numbers (Tarjan, "Depth-first search and linear
// graph algorithms", 1972), with a stack of its own. Linear in nodes and edges.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace espalier::grammar {

/// The components that `roots` reach, those a component leads to before it. `edges(node, f)` calls
/// f(target) for each edge of `node`; nodes are below `count`.
template <class Edges>
std::vector<std::vector<std::uint32_t>> strong_components_from(std::span<const std::uint32_t> roots,
                                                               std::size_t count, Edges&& edges) {
  constexpr std::uint32_t kUnseen = UINT32_MAX;
  struct Frame {
    std::uint32_t node;
    std::size_t from, at;  // its targets, in `targets`
  };
  std::vector<std::vector<std::uint32_t>> out;
  std::vector<std::uint32_t> index(count, kUnseen);
  std::vector<std::uint32_t> low(count, 0);
  std::vector<bool> open(count, false);
  std::vector<std::uint32_t> stack;
  std::vector<std::uint32_t> targets;
  std::vector<Frame> frames;
  std::uint32_t next = 0;
  const auto enter = [&](std::uint32_t node) {
    index[node] = low[node] = next++;
    open[node] = true;
    stack.push_back(node);
    const std::size_t from = targets.size();
    edges(node, [&](std::uint32_t target) { targets.push_back(target); });
    frames.push_back({node, from, from});
  };
  for (const std::uint32_t root : roots) {
    if (index[root] != kUnseen) continue;
    enter(root);
    while (!frames.empty()) {
      Frame& top = frames.back();
      if (top.at < targets.size()) {
        const std::uint32_t target = targets[top.at++];
        if (index[target] == kUnseen) {
          enter(target);  // its targets lie behind this frame's until it is done
        } else if (open[target]) {
          low[top.node] = std::min(low[top.node], index[target]);
        }
        continue;
      }
      const Frame done = top;
      frames.pop_back();
      targets.resize(done.from);
      if (!frames.empty()) {
        const std::uint32_t parent = frames.back().node;
        low[parent] = std::min(low[parent], low[done.node]);
      }
      if (low[done.node] != index[done.node]) continue;
      std::vector<std::uint32_t> component;
      while (true) {
        const std::uint32_t node = stack.back();
        stack.pop_back();
        open[node] = false;
        component.push_back(node);
        if (node == done.node) break;
      }
      out.push_back(std::move(component));
    }
  }
  return out;
}

/// The components of the whole graph.
template <class Edges>
std::vector<std::vector<std::uint32_t>> strong_components(std::size_t count, Edges&& edges) {
  std::vector<std::uint32_t> all(count);
  std::iota(all.begin(), all.end(), 0);
  return strong_components_from(std::span<const std::uint32_t>(all), count,
                                std::forward<Edges>(edges));
}

}  // namespace espalier::grammar
