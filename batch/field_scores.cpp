#include "batch/field_scores.h"

#include <utility>

namespace espalier::batch {
namespace {

struct Leaf {
  std::string field;  // with open indices
  Json value;
};

// Leaves by path, in order of the paths. An empty list or object is a leaf. Depth is bounded by the
// reader of the JSON.
void leaves(const Json& json, const std::string& path, const std::string& field,
            std::map<std::string, Leaf>& out) {
  if (json.is_object() && !json.empty()) {
    for (const auto& [key, value] : json.items())
      leaves(value, path.empty() ? key : path + "." + key, field.empty() ? key : field + "." + key,
             out);
  } else if (json.is_array() && !json.empty()) {
    for (std::size_t i = 0; i < json.size(); ++i)
      leaves(json[i], path + "[" + std::to_string(i) + "]", field + "[]", out);
  } else {
    out[path] = {field, json};
  }
}

bool same(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return a.get<double>() == b.get<double>();
  return a == b;
}

}  // namespace

void FieldScores::add(const Json& id, const Json& expected, const Json& actual) {
  std::map<std::string, Leaf> wanted, got;
  leaves(expected, "", "", wanted);
  leaves(actual, "", "", got);
  bool right = true;
  const auto miss = [&](const std::string& path, Json want, Json have) {
    misses_.push_back({id, path, std::move(want), std::move(have), {}});
    right = false;
  };
  for (const auto& [path, leaf] : wanted) {
    Share& share = fields_[leaf.field];
    ++share.total;
    const auto found = got.find(path);
    if (found != got.end() && same(leaf.value, found->second.value)) {
      ++share.right;
    } else {
      miss(path, leaf.value, found == got.end() ? Json() : found->second.value);
    }
  }
  for (const auto& [path, leaf] : got) {
    if (wanted.count(path) > 0) continue;
    ++fields_[leaf.field].total;
    miss(path, Json(), leaf.value);
  }
  ++rows_.total;
  rows_.right += right ? 1 : 0;
}

void FieldScores::add_failure(const Json& id, const Json& expected, const std::string& why) {
  std::map<std::string, Leaf> wanted;
  leaves(expected, "", "", wanted);
  for (const auto& [path, leaf] : wanted) {
    ++fields_[leaf.field].total;
    misses_.push_back({id, path, leaf.value, Json(), why});
  }
  ++rows_.total;
}

}  // namespace espalier::batch
