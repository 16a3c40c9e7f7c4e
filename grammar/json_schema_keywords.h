// What the keywords of one JSON Schema object say, read and checked: types, bounds, lengths,
// enumerated values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "grammar/json.h"
#include "grammar/json_schema.h"
#include "grammar/json_schema_document.h"
#include "grammar/number_expression.h"

namespace espalier::grammar {

/// A set of JSON's types. `number` is both of the last two: an integer is a number.
class JsonTypes {
 public:
  enum Bit : std::uint8_t {
    kNull = 1,
    kBoolean = 2,
    kObject = 4,
    kArray = 8,
    kString = 16,
    kInteger = 32,
    kFraction = 64,  // numbers that are no integers
    kNumber = kInteger | kFraction,
    kAll = 127,
  };
  // NOLINTNEXTLINE(google-explicit-constructor): a bit is a set of one
  constexpr JsonTypes(std::uint8_t bits = kAll) : bits_(bits) {}
  [[nodiscard]] constexpr bool has(Bit bit) const { return (bits_ & bit) == bit; }
  [[nodiscard]] constexpr bool none() const { return bits_ == 0; }
  [[nodiscard]] constexpr std::uint8_t bits() const { return bits_; }
  friend constexpr JsonTypes operator&(JsonTypes a, JsonTypes b) {
    return {static_cast<std::uint8_t>(a.bits_ & b.bits_)};
  }
  friend constexpr JsonTypes operator|(JsonTypes a, JsonTypes b) {
    return {static_cast<std::uint8_t>(a.bits_ | b.bits_)};
  }
  friend constexpr bool operator==(JsonTypes, JsonTypes) = default;

 private:
  std::uint8_t bits_;
};

/// The type of one value; 1.0 is an integer.
JsonTypes type_of(const Json& value);
/// The `type` keyword; all types where it is absent.
Result<JsonTypes> read_types(const SchemaPlace& at);

/// A non-negative integer keyword (`maxLength`: 2 or 2.0).
Result<std::optional<std::uint64_t>> read_count(const SchemaPlace& at, const char* keyword);

/// The values of `enum` and, with `with_const`, `const` (both: those in both); nothing where
/// neither stands.
Result<std::optional<std::vector<const Json*>>> read_values(const SchemaPlace& at, bool with_const);

}  // namespace espalier::grammar
