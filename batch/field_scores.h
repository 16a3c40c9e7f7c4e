// How often a program's values are right, field by field, against rows whose answer is known.
//
// Values are compared leaf by leaf. A field is a leaf's path with its lists' indices left open
// ("items[].price"); numbers are equal as numbers, texts byte for byte. A leaf that is expected and
// missing, or there and not expected, is wrong. O(leaves).
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "grammar/json.h"

namespace espalier::batch {

class FieldScores {
 public:
  struct Share {
    std::size_t right = 0;
    std::size_t total = 0;
  };
  struct Miss {
    Json id;
    std::string path;  // of the leaf; "" for a value that is one itself
    Json expected;     // null where nothing was
    Json actual;       // null where nothing came
    std::string why;   // of a row that failed: its error, for each leaf that was expected
  };

  void add(const Json& id, const Json& expected, const Json& actual);
  void add_failure(const Json& id, const Json& expected, const std::string& why);

  [[nodiscard]] const std::map<std::string, Share>& fields() const { return fields_; }
  [[nodiscard]] const Share& rows() const { return rows_; }  // right: in every leaf
  [[nodiscard]] const std::vector<Miss>& misses() const { return misses_; }

 private:
  std::map<std::string, Share> fields_;
  Share rows_;
  std::vector<Miss> misses_;
};

}  // namespace espalier::batch
