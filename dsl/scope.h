// Scope: the variables of one running generator, innermost last.
//
// The checker has proved that names are never shadowed and bound before use, so a flat list with
// marks is enough: a loop's turn and a retry's try go back to a mark. Copying one (for a fork) is
// O(variables): values are shared.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "dsl/value.h"

namespace espalier::dsl {

class Scope {
 public:
  /// `name` must outlive the scope (it stands in the Program).
  void bind(std::string_view name, Value value) { variables_.emplace_back(name, std::move(value)); }
  [[nodiscard]] const Value* find(std::string_view name) const {
    for (auto it = variables_.rbegin(); it != variables_.rend(); ++it) {
      if (it->first == name) return &it->second;
    }
    return nullptr;
  }
  [[nodiscard]] std::size_t mark() const { return variables_.size(); }
  void back_to(std::size_t mark) { variables_.resize(mark); }

 private:
  std::vector<std::pair<std::string_view, Value>> variables_;
};

}  // namespace espalier::dsl
