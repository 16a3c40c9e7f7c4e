#include "runtime/jinja/builtins.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace espalier::runtime::jinja {
namespace {

template <class Id>
struct Row {
  std::string_view name;
  Id id;
};
template <class Id, std::size_t n>
Id look_up(const Row<Id> (&rows)[n], std::string_view name, Id otherwise) {
  const auto found = std::lower_bound(
      std::begin(rows), std::end(rows), name,
      [](const Row<Id>& row, std::string_view wanted) { return row.name < wanted; });
  return found != std::end(rows) && found->name == name ? found->id : otherwise;
}
template <class Id, std::size_t n>
constexpr bool sorted(const Row<Id> (&rows)[n]) {
  for (std::size_t i = 1; i < n; ++i) {
    if (!(rows[i - 1].name < rows[i].name)) return false;
  }
  return true;
}

using F = FilterId;
constexpr Row<F> kFilters[] = {
    {"abs", F::kAbs},
    {"attr", F::kAttr},
    {"batch", F::kBatch},
    {"capitalize", F::kCapitalize},
    {"center", F::kCenter},
    {"count", F::kLength},
    {"d", F::kDefault},
    {"default", F::kDefault},
    {"dictsort", F::kDictsort},
    {"e", F::kEscape},
    {"escape", F::kEscape},
    {"filesizeformat", F::kUnsupported},
    {"first", F::kFirst},
    {"float", F::kFloat},
    {"forceescape", F::kForceEscape},
    {"format", F::kFormat},
    {"groupby", F::kGroupby},
    {"indent", F::kIndent},
    {"int", F::kInt},
    {"items", F::kItems},
    {"join", F::kJoin},
    {"last", F::kLast},
    {"length", F::kLength},
    {"list", F::kList},
    {"lower", F::kLower},
    {"map", F::kMap},
    {"max", F::kMax},
    {"min", F::kMin},
    {"pprint", F::kUnsupported},
    {"random", F::kUnsupported},
    {"reject", F::kReject},
    {"rejectattr", F::kRejectAttr},
    {"replace", F::kReplace},
    {"reverse", F::kReverse},
    {"round", F::kRound},
    {"safe", F::kSafe},
    {"select", F::kSelect},
    {"selectattr", F::kSelectAttr},
    {"slice", F::kSlice},
    {"sort", F::kSort},
    {"string", F::kString},
    {"striptags", F::kUnsupported},
    {"sum", F::kSum},
    {"title", F::kTitle},
    {"tojson", F::kToJson},
    {"trim", F::kTrim},
    {"truncate", F::kUnsupported},
    {"unique", F::kUnique},
    {"upper", F::kUpper},
    {"urlencode", F::kUrlEncode},
    {"urlize", F::kUnsupported},
    {"wordcount", F::kWordCount},
    {"wordwrap", F::kUnsupported},
    {"xmlattr", F::kUnsupported},
};
static_assert(sorted(kFilters));

using T = TestId;
constexpr Row<T> kTests[] = {
    {"!=", T::kNe},
    {"<", T::kLt},
    {"<=", T::kLe},
    {"==", T::kEq},
    {">", T::kGt},
    {">=", T::kGe},
    {"boolean", T::kBoolean},
    {"callable", T::kCallable},
    {"defined", T::kDefined},
    {"divisibleby", T::kDivisibleBy},
    {"eq", T::kEq},
    {"equalto", T::kEq},
    {"escaped", T::kEscaped},
    {"even", T::kEven},
    {"false", T::kFalse},
    {"filter", T::kFilter},
    {"float", T::kFloat},
    {"ge", T::kGe},
    {"greaterthan", T::kGt},
    {"gt", T::kGt},
    {"in", T::kIn},
    {"integer", T::kInteger},
    {"iterable", T::kIterable},
    {"le", T::kLe},
    {"lessthan", T::kLt},
    {"lower", T::kLower},
    {"lt", T::kLt},
    {"mapping", T::kMapping},
    {"ne", T::kNe},
    {"none", T::kNone},
    {"number", T::kNumber},
    {"odd", T::kOdd},
    {"sameas", T::kSameAs},
    {"sequence", T::kSequence},
    {"string", T::kString},
    {"test", T::kTest},
    {"true", T::kTrue},
    {"undefined", T::kUndefined},
    {"upper", T::kUpper},
};
static_assert(sorted(kTests));

constexpr Row<FunctionId> kFunctions[] = {
    {"cycler", FunctionId::kCycler},
    {"dict", FunctionId::kDict},
    {"joiner", FunctionId::kJoiner},
    {"lipsum", FunctionId::kUnsupported},
    {"namespace", FunctionId::kNamespace},
    {"raise_exception", FunctionId::kRaiseException},
    {"range", FunctionId::kRange},
    {"self", FunctionId::kUnsupported},
    {"strftime_now", FunctionId::kStrftimeNow},
};
static_assert(sorted(kFunctions));

using N = NameId;
constexpr Row<N> kString[] = {
    {"capitalize", N::kCapitalize},
    {"casefold", N::kUnsupported},
    {"center", N::kCenter},
    {"count", N::kCount},
    {"encode", N::kUnsupported},
    {"endswith", N::kEndsWith},
    {"expandtabs", N::kUnsupported},
    {"find", N::kFind},
    {"format", N::kFormat},
    {"format_map", N::kUnsupported},
    {"index", N::kIndex},
    {"isalnum", N::kIsAlnum},
    {"isalpha", N::kIsAlpha},
    {"isascii", N::kIsAscii},
    {"isdecimal", N::kIsDecimal},
    {"isdigit", N::kIsDigit},
    {"isidentifier", N::kUnsupported},
    {"islower", N::kIsLower},
    {"isnumeric", N::kIsNumeric},
    {"isprintable", N::kUnsupported},
    {"isspace", N::kIsSpace},
    {"istitle", N::kIsTitle},
    {"isupper", N::kIsUpper},
    {"join", N::kJoin},
    {"ljust", N::kLjust},
    {"lower", N::kLower},
    {"lstrip", N::kLstrip},
    {"maketrans", N::kUnsupported},
    {"partition", N::kPartition},
    {"removeprefix", N::kRemovePrefix},
    {"removesuffix", N::kRemoveSuffix},
    {"replace", N::kReplace},
    {"rfind", N::kRfind},
    {"rindex", N::kRindex},
    {"rjust", N::kRjust},
    {"rpartition", N::kRpartition},
    {"rsplit", N::kRsplit},
    {"rstrip", N::kRstrip},
    {"split", N::kSplit},
    {"splitlines", N::kSplitLines},
    {"startswith", N::kStartsWith},
    {"strip", N::kStrip},
    {"swapcase", N::kSwapCase},
    {"title", N::kTitle},
    {"translate", N::kUnsupported},
    {"upper", N::kUpper},
    {"zfill", N::kZfill},
};
static_assert(sorted(kString));
constexpr Row<N> kDict[] = {
    {"clear", N::kUnsafe},  {"copy", N::kCopy},      {"fromkeys", N::kUnsupported},
    {"get", N::kGet},       {"items", N::kItems},    {"keys", N::kKeys},
    {"pop", N::kUnsafe},    {"popitem", N::kUnsafe}, {"setdefault", N::kUnsafe},
    {"update", N::kUnsafe}, {"values", N::kValues},
};
static_assert(sorted(kDict));
constexpr Row<N> kList[] = {
    {"append", N::kUnsafe}, {"clear", N::kUnsafe},   {"copy", N::kCopy},     {"count", N::kCount},
    {"extend", N::kUnsafe}, {"index", N::kIndex},    {"insert", N::kUnsafe}, {"pop", N::kUnsafe},
    {"remove", N::kUnsafe}, {"reverse", N::kUnsafe}, {"sort", N::kUnsafe},
};
static_assert(sorted(kList));
constexpr Row<N> kTuple[] = {{"count", N::kCount}, {"index", N::kIndex}};
constexpr Row<N> kNumber[] = {
    {"as_integer_ratio", N::kUnsupported},
    {"bit_count", N::kUnsupported},
    {"bit_length", N::kUnsupported},
    {"conjugate", N::kUnsupported},
    {"denominator", N::kUnsupported},
    {"from_bytes", N::kUnsupported},
    {"fromhex", N::kUnsupported},
    {"hex", N::kUnsupported},
    {"imag", N::kUnsupported},
    {"is_integer", N::kUnsupported},
    {"numerator", N::kUnsupported},
    {"real", N::kUnsupported},
    {"to_bytes", N::kUnsupported},
};
static_assert(sorted(kNumber));
constexpr Row<N> kRange[] = {{"count", N::kUnsupported},
                             {"index", N::kUnsupported},
                             {"start", N::kUnsupported},
                             {"step", N::kUnsupported},
                             {"stop", N::kUnsupported}};
constexpr Row<N> kView[] = {{"isdisjoint", N::kUnsupported}, {"mapping", N::kUnsupported}};
constexpr Row<N> kIterator[] = {
    {"close", N::kUnsupported}, {"send", N::kUnsupported}, {"throw", N::kUnsupported}};
constexpr Row<N> kLoop[] = {{"changed", N::kChanged}, {"cycle", N::kCycle}};
constexpr Row<N> kCycler[] = {{"next", N::kNext}, {"reset", N::kReset}};
constexpr Row<N> kFunction[] = {{"fromkeys", N::kUnsupported}};

}  // namespace

FilterId filter_named(std::string_view name) { return look_up(kFilters, name, FilterId::kUnknown); }
TestId test_named(std::string_view name) { return look_up(kTests, name, TestId::kUnknown); }
FunctionId function_named(std::string_view name) {
  return look_up(kFunctions, name, FunctionId::kUnknown);
}

NameId attribute_named(Kind kind, std::string_view name) {
  switch (kind) {
    case Kind::kString:
      return look_up(kString, name, N::kNone);
    case Kind::kDict:
      return look_up(kDict, name, N::kNone);
    case Kind::kList:
      return look_up(kList, name, N::kNone);
    case Kind::kTuple:
      return look_up(kTuple, name, N::kNone);
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
      return look_up(kNumber, name, N::kNone);
    case Kind::kRange:
      return look_up(kRange, name, N::kNone);
    case Kind::kView:
      return look_up(kView, name, N::kNone);
    case Kind::kIterator:
      return look_up(kIterator, name, N::kNone);
    case Kind::kLoop:
      return look_up(kLoop, name, N::kNone);
    case Kind::kCycler:
      return look_up(kCycler, name, N::kNone);
    case Kind::kFunction:
      return look_up(kFunction, name, N::kNone);
    default:
      return N::kNone;
  }
}

const char* type_name(Kind kind) {
  switch (kind) {
    case Kind::kMissing:
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kView:
      return "dict view";
    case Kind::kRange:
      return "range";
    case Kind::kIterator:
      return "iterator";
    case Kind::kNamespace:
      return "namespace";
    case Kind::kMacro:
      return "macro";
    case Kind::kMethod:
      return "method";
    case Kind::kFunction:
      return "function";
    case Kind::kLoop:
      return "loop";
    case Kind::kCycler:
      return "cycler";
    case Kind::kJoiner:
      return "joiner";
  }
  return "";
}

}  // namespace espalier::runtime::jinja
