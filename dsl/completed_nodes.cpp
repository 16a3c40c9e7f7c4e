#include "dsl/completed_nodes.h"

#include <algorithm>

namespace espalier::dsl {
namespace {

bool is_name(std::string_view key) {
  return !key.empty() && !(key[0] >= '0' && key[0] <= '9') &&
         std::all_of(key.begin(), key.end(), [](char c) {
           return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  (c >= '0' && c <= '9');
         });
}

}  // namespace

void CompletedNodes::advance(const Json& partial, const Visit& visit) {
  walk(partial, "", 0, false, visit);
}

void CompletedNodes::finish(const Json& value, const Visit& visit) {
  walk(value, "", 0, true, visit);
  given_.clear();
}

// `closed`: the node is complete, and so is its last child. Nesting is bounded by the grammar's.
void CompletedNodes::walk(const Json& node, const std::string& path, std::size_t depth, bool closed,
                          const Visit& visit) {
  if (!node.is_structured() || node.empty()) return;
  if (given_.size() <= depth) given_.resize(depth + 1, 0);
  std::size_t index = 0;
  for (auto child = node.begin(); child != node.end(); ++child, ++index) {
    if (index < given_[depth]) continue;
    const bool complete = closed || index + 1 < node.size();
    std::string place = path;
    if (node.is_array()) {
      place += "[" + std::to_string(index) + "]";
    } else if (is_name(child.key())) {
      place += "." + child.key();
    } else {
      place += "[" + Json(child.key()).dump(-1, ' ', false, Json::error_handler_t::replace) + "]";
    }
    walk(*child, place, depth + 1, complete, visit);
    if (!complete) return;
    given_.resize(depth + 1);
    ++given_[depth];
    visit(place, *child);
  }
}

}  // namespace espalier::dsl
