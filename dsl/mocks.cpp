#include "dsl/mocks.h"

#include <utility>

namespace espalier::dsl {

void Mocks::add(const std::string& name, Json value) {
  const std::lock_guard lock(mutex_);
  values_[name].all.push_back(std::move(value));
}

std::optional<Json> Mocks::take(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto found = values_.find(name);
  if (found == values_.end()) return std::nullopt;
  Values& values = found->second;
  if (values.next + 1 < values.all.size()) return values.all[values.next++];
  return values.all.back();
}

}  // namespace espalier::dsl
