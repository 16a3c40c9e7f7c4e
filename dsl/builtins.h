// The functions every program may call: names, parameters and what they mean. The checker types
// calls from this table; the interpreter implements each Builtin. Nothing else is predefined, and a
// program's own variables may have these names (a call looks among functions only).
//
// A text argument may be any string-like value (string, line, pattern, literal, enum); a number is
// an int or a float.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace espalier::dsl {

enum class Builtin : std::uint8_t {
  kNear,  // near(a, b, within): |a - b| <= within                                        -> bool
  kSum,   // sum(xs): the total of a list of numbers; 0 for an empty one                   -> int or
          // float
  kMin,   // min(xs), min(xs, by: .key): the first smallest item; fails on an empty list   -> item
  kMax,   // max(xs), max(xs, by: .key): the first largest item                            -> item
  kLen,   // len(x): items of a list or map, code points of a text                         -> int
  kJoin,  // join(xs, with = ""): the items' texts with `with` between them                -> string
  kInt,   // int(x): of a text (spaces around it allowed), or a float rounded toward zero  -> int
  kFloat,  // float(x): of a text or an int                                                 -> float
  kStr,  // str(x): as `${x}` prints it                                                   -> string
  kRound,  // round(x): to the nearest int, ties to even; round(x, digits) stays a float    -> int
           // or float
  kAbs,    // abs(x)                                                                        -> as x
  kLower,  // lower(s), by Unicode                                                          ->
           // string
  kUpper,  // upper(s), by Unicode                                                          ->
           // string
  kTrim,  // trim(s): without spaces, tabs and line breaks at both ends                    -> string
  kContains,  // contains(x, part): a text in a text, or an item in a list                     ->
              // bool
  kKeys,      // keys(m): the keys of a map, as they came                                     ->
              // string[]
  kSort,      // sort(xs), sort(xs, by: .key): the smallest first, equals in their order  -> list
  kReverse,  // reverse(xs): the last first                                                  -> list
  kSplit,    // split(x, by): the parts of a text between the places where `by` stands       ->
             // string[]
  kReplace,  // replace(x, old, new): `new` wherever `old` stands, from the left             ->
             // string
  kJson,  // json(x): the value as compact JSON                                            -> string
};

struct BuiltinParameter {
  std::string_view name;
  bool required = true;
};

struct BuiltinInfo {
  Builtin id{};
  std::string_view name;
  std::span<const BuiltinParameter> parameters;  // arguments may be given by these names
  std::string_view signature;                    // for messages and the reference
};

/// All of them, sorted by name.
[[nodiscard]] std::span<const BuiltinInfo> builtins();
[[nodiscard]] const BuiltinInfo* find_builtin(std::string_view name);
[[nodiscard]] const BuiltinInfo& info(Builtin id);

}  // namespace espalier::dsl
