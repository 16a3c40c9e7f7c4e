#include "dsl/builtins.h"

#include <algorithm>
#include <array>

namespace espalier::dsl {
namespace {

constexpr std::array<BuiltinParameter, 1> kX = {{{"x", true}}};
constexpr std::array<BuiltinParameter, 1> kXs = {{{"xs", true}}};
constexpr std::array<BuiltinParameter, 2> kXsBy = {{{"xs", true}, {"by", false}}};
constexpr std::array<BuiltinParameter, 2> kXsWith = {{{"xs", true}, {"with", false}}};
constexpr std::array<BuiltinParameter, 2> kXDigits = {{{"x", true}, {"digits", false}}};
constexpr std::array<BuiltinParameter, 2> kXPart = {{{"x", true}, {"part", true}}};
constexpr std::array<BuiltinParameter, 2> kXBy = {{{"x", true}, {"by", true}}};
constexpr std::array<BuiltinParameter, 3> kXOldNew = {{{"x", true}, {"old", true}, {"new", true}}};
constexpr std::array<BuiltinParameter, 3> kNear = {{{"a", true}, {"b", true}, {"within", true}}};

constexpr std::array<BuiltinInfo, 21> kBuiltins = {{
    {Builtin::kAbs, "abs", kX, "abs(x: number) -> number"},
    {Builtin::kContains, "contains", kXPart, "contains(x: string | list, part) -> bool"},
    {Builtin::kFloat, "float", kX, "float(x: string | number) -> float"},
    {Builtin::kInt, "int", kX, "int(x: string | number) -> int"},
    {Builtin::kJoin, "join", kXsWith, "join(xs: list, with: string = \"\") -> string"},
    {Builtin::kJson, "json", kX, "json(x) -> string"},
    {Builtin::kKeys, "keys", kX, "keys(x: map) -> string[]"},
    {Builtin::kLen, "len", kX, "len(x: list | map | string) -> int"},
    {Builtin::kLower, "lower", kX, "lower(x: string) -> string"},
    {Builtin::kMax, "max", kXsBy, "max(xs: list, by: .field) -> item"},
    {Builtin::kMin, "min", kXsBy, "min(xs: list, by: .field) -> item"},
    {Builtin::kNear, "near", kNear, "near(a: number, b: number, within: number) -> bool"},
    {Builtin::kReplace, "replace", kXOldNew,
     "replace(x: string, old: string, new: string) -> string"},
    {Builtin::kReverse, "reverse", kXs, "reverse(xs: list) -> list"},
    {Builtin::kRound, "round", kXDigits, "round(x: number, digits: int) -> number"},
    {Builtin::kSort, "sort", kXsBy, "sort(xs: list, by: .field) -> list"},
    {Builtin::kSplit, "split", kXBy, "split(x: string, by: string) -> string[]"},
    {Builtin::kStr, "str", kX, "str(x) -> string"},
    {Builtin::kSum, "sum", kXs, "sum(xs: number[]) -> number"},
    {Builtin::kTrim, "trim", kX, "trim(x: string) -> string"},
    {Builtin::kUpper, "upper", kX, "upper(x: string) -> string"},
}};

}  // namespace

std::span<const BuiltinInfo> builtins() { return kBuiltins; }

const BuiltinInfo* find_builtin(std::string_view name) {
  const auto at =
      std::lower_bound(kBuiltins.begin(), kBuiltins.end(), name,
                       [](const BuiltinInfo& entry, std::string_view n) { return entry.name < n; });
  return at != kBuiltins.end() && at->name == name ? &*at : nullptr;
}

const BuiltinInfo& info(Builtin id) {
  return *std::find_if(kBuiltins.begin(), kBuiltins.end(),
                       [&](const BuiltinInfo& entry) { return entry.id == id; });
}

}  // namespace espalier::dsl
