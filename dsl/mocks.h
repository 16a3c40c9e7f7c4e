// Mocks: the values that a `test` block gives to holes and tools, by name.
//
// A name with several values gives them in turn, the last one for good: the branches of a fork take
// them in order. Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "grammar/json.h"

namespace espalier::dsl {

class Mocks {
 public:
  /// With `model`, holes that have no value of their own are the model's.
  explicit Mocks(bool model = false) : model_(model) {}
  void add(const std::string& name, Json value);
  [[nodiscard]] std::optional<Json> take(const std::string& name);
  [[nodiscard]] bool model() const { return model_; }

 private:
  struct Values {
    std::vector<Json> all;
    std::size_t next = 0;
  };
  bool model_;
  std::mutex mutex_;
  std::map<std::string, Values> values_;
};

}  // namespace espalier::dsl
