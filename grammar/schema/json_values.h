// JSON values by numbers (hash-consing): the values that JSON Schema holds equal have equal
// numbers, and what remains of one without a member, or without its first item, has a number of its
// own.
//
// Used where lists of values grow by one and are compared part by part (`uniqueItems`). A number
// costs its value once, however many lists hold it; cutting is remembered by value and member.
// Numbers of members' names are the caller's.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/held_bytes.h"
#include "grammar/intern_table.h"
#include "grammar/json.h"
#include "grammar/number_map.h"

namespace espalier::grammar {

using JsonValueId = std::uint32_t;

class JsonValues {
 public:
  using Name = std::uint32_t;
  using Member = std::pair<Name, JsonValueId>;
  static constexpr JsonValueId kNone = UINT32_MAX;
  enum class Kind : std::uint8_t { kScalar, kArray, kObject };
  struct Cut {
    JsonValueId part = kNone;  // the member or the item; kNone: there is none
    JsonValueId rest = kNone;
  };

  /// `name` gives the number of a member's name. 1 and 1.0 are one number, members have no order.
  JsonValueId add(const Json& value, const std::function<Name(std::string_view)>& name);

  [[nodiscard]] Kind kind(JsonValueId id) const { return values_[id].kind; }
  /// As it was given first.
  [[nodiscard]] const Json& scalar(JsonValueId id) const { return values_[id].scalar; }
  /// Of an object, sorted by name.
  [[nodiscard]] const std::vector<Member>& members(JsonValueId id) const {
    return values_[id].members;
  }
  /// Of an array.
  [[nodiscard]] const std::vector<JsonValueId>& items(JsonValueId id) const {
    return values_[id].items;
  }
  /// A structured value that holds nothing.
  [[nodiscard]] bool empty(JsonValueId id) const {
    const Value& at = values_[id];
    return at.kind != Kind::kScalar && at.members.empty() && at.items.empty();
  }
  /// Of an object, by one of its members; else, by an array's first item. No cut of other values.
  Cut without_member(JsonValueId id, Name name);
  Cut without_first(JsonValueId id);

  [[nodiscard]] std::size_t held_bytes() const {
    return held_by_all(values_, ids_, cuts_, first_cuts_);
  }

 private:
  struct Value {
    Kind kind = Kind::kScalar;
    Json scalar;
    std::vector<Member> members;
    std::vector<JsonValueId> items;
    [[nodiscard]] std::size_t held_bytes() const { return held_by_all(scalar, members, items); }
  };
  JsonValueId intern(Value value);

  std::vector<Value> values_;
  InternTable ids_;
  NumberMap<Cut> cuts_;  // by value and name
  NumberMap<Cut> first_cuts_;
};

}  // namespace espalier::grammar
