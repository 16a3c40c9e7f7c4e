#include "grammar/schema/json_values.h"

#include <algorithm>
#include <functional>
#include <string>

#include "grammar/decimal.h"
#include "grammar/hash.h"

namespace espalier::grammar {
namespace {

// The same text for equal scalars.
std::string written(const Json& scalar) {
  return scalar.is_number_float() ? Decimal(scalar.get<double>()).text() : scalar.dump();
}

}  // namespace

JsonValueId JsonValues::add(const Json& value, const std::function<Name(std::string_view)>& name) {
  Value out;
  if (value.is_object()) {
    out.kind = Kind::kObject;
    for (const auto& [key, inner] : value.items()) {
      out.members.emplace_back(name(key), add(inner, name));
    }
    std::sort(out.members.begin(), out.members.end());
  } else if (value.is_array()) {
    out.kind = Kind::kArray;
    for (const Json& inner : value) out.items.push_back(add(inner, name));
  } else {
    out.scalar = value;
  }
  return intern(std::move(out));
}

JsonValueId JsonValues::intern(Value value) {
  const std::string scalar = value.kind == Kind::kScalar ? written(value.scalar) : std::string();
  std::size_t hash = mix(static_cast<std::size_t>(value.kind), std::hash<std::string>()(scalar));
  for (const auto& [name, inner] : value.members) hash = mix(mix(hash, name), inner);
  for (const JsonValueId inner : value.items) hash = mix(hash, inner);
  const JsonValueId known = ids_.find(hash, [&](JsonValueId id) {
    const Value& other = values_[id];
    if (other.kind != value.kind) return false;
    if (value.kind == Kind::kScalar) return written(other.scalar) == scalar;
    return other.members == value.members && other.items == value.items;
  });
  if (known != InternTable::kNone) return known;
  const auto id = static_cast<JsonValueId>(values_.size());
  values_.push_back(std::move(value));
  ids_.insert(hash, id);
  return id;
}

JsonValues::Cut JsonValues::without_member(JsonValueId id, Name name) {
  const std::uint64_t key = (std::uint64_t{id} << 32) | name;
  if (const Cut* known = cuts_.find(key)) return *known;
  Cut out;
  const auto& members = values_[id].members;
  const auto own = std::lower_bound(members.begin(), members.end(), Member(name, 0));
  if (own != members.end() && own->first == name) {
    out.part = own->second;
    Value rest;
    rest.kind = Kind::kObject;
    rest.members = members;
    rest.members.erase(rest.members.begin() + (own - members.begin()));
    out.rest = intern(std::move(rest));
  }
  cuts_.set(key, out);
  return out;
}

JsonValues::Cut JsonValues::without_first(JsonValueId id) {
  if (const Cut* known = first_cuts_.find(id)) return *known;
  Cut out;
  if (const auto& items = values_[id].items; !items.empty()) {
    out.part = items[0];
    Value rest;
    rest.kind = Kind::kArray;
    rest.items.assign(items.begin() + 1, items.end());
    out.rest = intern(std::move(rest));
  }
  first_cuts_.set(id, out);
  return out;
}

}  // namespace espalier::grammar
