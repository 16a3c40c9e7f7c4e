// Which parts of a growing JSON value are complete, as a hole writes it.
//
// A value is written in order, so the open parts are the last member or item at each level and all
// else is complete. advance() gives each node once, inner ones first, when something has come after
// it; finish() the rest. The value itself is not among them: its hole says when it ends. Cost: the
// nodes that are given, and the depth.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/json.h"

namespace espalier::dsl {

class CompletedNodes {
 public:
  /// `path` is relative to the value: ".items[2].name", ".prices[\"a b\"]".
  using Visit = std::function<void(const std::string& path, const Json& node)>;

  void advance(const Json& partial, const Visit& visit);
  void finish(const Json& value, const Visit& visit);

 private:
  void walk(const Json& node, const std::string& path, std::size_t depth, bool closed,
            const Visit& visit);

  std::vector<std::size_t> given_;  // by level: children of the open node there that were given
};

}  // namespace espalier::dsl
