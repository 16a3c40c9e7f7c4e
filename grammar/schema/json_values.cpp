#include "grammar/schema/json_values.h"

#include <algorithm>
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
  std::string key(1, static_cast<char>(value.kind));
  if (value.kind == Kind::kScalar) key += written(value.scalar);
  for (const auto& [name, inner] : value.members) {
    append_bytes(key, name);
    append_bytes(key, inner);
  }
  for (const JsonValueId inner : value.items) append_bytes(key, inner);
  const auto [it, fresh] =
      ids_.try_emplace(std::move(key), static_cast<JsonValueId>(values_.size()));
  if (fresh) values_.push_back(std::move(value));
  return it->second;
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
