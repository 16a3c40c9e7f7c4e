// The names that templates can use without defining them: filters, tests, global functions, and the
// attributes and methods of each type.
//
// A name that Jinja or Python has and this interpreter has not is known as unsupported, so that it
// is refused by name where it is used instead of being taken for undefined.
#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/jinja/value.h"

namespace espalier::runtime::jinja {

enum class FilterId : std::uint16_t {
  kUnknown,
  kUnsupported,
  kAbs,
  kAttr,
  kBatch,
  kCapitalize,
  kCenter,
  kDefault,
  kDictsort,
  kEscape,
  kFirst,
  kFloat,
  kForceEscape,
  kFormat,
  kGroupby,
  kIndent,
  kInt,
  kItems,
  kJoin,
  kLast,
  kLength,
  kList,
  kLower,
  kMap,
  kMax,
  kMin,
  kReject,
  kRejectAttr,
  kReplace,
  kReverse,
  kRound,
  kSafe,
  kSelect,
  kSelectAttr,
  kSlice,
  kSort,
  kString,
  kSum,
  kTitle,
  kToJson,
  kTrim,
  kUnique,
  kUpper,
  kUrlEncode,
  kWordCount,
};
[[nodiscard]] FilterId filter_named(std::string_view name);

enum class TestId : std::uint16_t {
  kUnknown,
  kBoolean,
  kCallable,
  kDefined,
  kDivisibleBy,
  kEq,
  kEscaped,
  kEven,
  kFalse,
  kFilter,
  kFloat,
  kGe,
  kGt,
  kIn,
  kInteger,
  kIterable,
  kLe,
  kLower,
  kLt,
  kMapping,
  kNe,
  kNone,
  kNumber,
  kOdd,
  kSameAs,
  kSequence,
  kString,
  kTest,
  kTrue,
  kUndefined,
  kUpper,
};
[[nodiscard]] TestId test_named(std::string_view name);

enum class FunctionId : std::uint8_t {
  kUnknown,
  kUnsupported,
  kRange,
  kDict,
  kNamespace,
  kCycler,
  kJoiner,
  kRaiseException,
  kStrftimeNow,
};
[[nodiscard]] FunctionId function_named(std::string_view name);

/// Attributes and methods of Python's types. Several types share a name.
enum class NameId : std::uint16_t {
  kNone,         // no type has it
  kUnsupported,  // the type has it, this interpreter does not
  kUnsafe,       // would change its object: the sandbox keeps it back
  kCapitalize,
  kCenter,
  kCopy,
  kCount,
  kEndsWith,
  kFind,
  kFormat,
  kGet,
  kIndex,
  kIsAlnum,
  kIsAlpha,
  kIsAscii,
  kIsDecimal,
  kIsDigit,
  kIsLower,
  kIsNumeric,
  kIsSpace,
  kIsTitle,
  kIsUpper,
  kItems,
  kJoin,
  kKeys,
  kLjust,
  kLower,
  kLstrip,
  kPartition,
  kRemovePrefix,
  kRemoveSuffix,
  kReplace,
  kRfind,
  kRindex,
  kRjust,
  kRpartition,
  kRsplit,
  kRstrip,
  kSplit,
  kSplitLines,
  kStartsWith,
  kStrip,
  kSwapCase,
  kTitle,
  kUpper,
  kValues,
  kZfill,
  // loop, cycler
  kChanged,
  kCycle,
  kNext,
  kReset,
};
/// The attribute `name` of values of `kind`; kNone where the type has none of that name.
[[nodiscard]] NameId attribute_named(Kind kind, std::string_view name);

/// Python's name of the type ("str"), for messages.
[[nodiscard]] const char* type_name(Kind kind);

}  // namespace espalier::runtime::jinja
