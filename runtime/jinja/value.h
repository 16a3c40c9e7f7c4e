// Values of the interpreter: Python's, as far as templates can see them.
//
// A Value is a word and a tag; what it points to lives in the rendering's arena, never changes
// (namespaces, one-shot iterators, loops, cyclers and joiners apart) and is never freed by itself.
// There are no host objects: every attribute and method that exists is in a table of ours.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "runtime/jinja/text.h"

namespace espalier::runtime::jinja {

enum class Kind : std::uint8_t {
  kMissing,  // a slot that nothing was assigned to; never the value of an expression
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kView,      // dict.keys(), .values(), .items()
  kRange,     // range(…)
  kIterator,  // what generators and reversed() give: one pass, no length
  kNamespace,
  kMacro,
  kMethod,    // a method together with its object
  kFunction,  // a global function
  kLoop,
  kCycler,
  kJoiner,
};

struct AppendBuffer;
/// Bytes with their origins. `runs` covers at least `size` bytes (the last run may reach further:
/// the array can be shared with a longer string).
struct Str {
  const char* data = "";
  std::uint32_t size = 0;
  std::uint32_t run_count = 0;
  const Run* runs = nullptr;
  Run single;                      // where the runs are one
  AppendBuffer* buffer = nullptr;  // where the bytes can be extended in place

  [[nodiscard]] std::string_view view() const { return {data, size}; }
};

struct List;
struct Dict;
struct View;
struct Range;
struct Iterator;
struct Namespace;
struct Macro;
struct Method;
struct LoopState;
struct Cycler;
struct Joiner;
struct UndefinedInfo;
enum class FunctionId : std::uint8_t;

struct Value {
  Kind kind = Kind::kMissing;
  bool safe = false;  // kString: markup, which escapes what it is joined with
  union {
    bool boolean;
    std::int64_t integer = 0;
    double real;
    const Str* string;
    const List* list;  // kList, kTuple
    const Dict* dict;
    const View* view;
    const Range* range;
    Iterator* iterator;
    Namespace* ns;
    const Macro* macro;
    const Method* method;
    FunctionId function;
    LoopState* loop;
    Cycler* cycler;
    Joiner* joiner;
    const UndefinedInfo* undefined;
  };

  static Value none() { return of(Kind::kNone); }
  static Value of(Kind kind) {
    Value v;
    v.kind = kind;
    return v;
  }
  static Value of(bool b) {
    Value v = of(Kind::kBool);
    v.integer = 0;
    v.boolean = b;
    return v;
  }
  static Value of(std::int64_t i) {
    Value v = of(Kind::kInt);
    v.integer = i;
    return v;
  }
  static Value of(double d) {
    Value v = of(Kind::kFloat);
    v.real = d;
    return v;
  }
  static Value of(const Str* s, bool safe = false) {
    Value v = of(Kind::kString);
    v.string = s;
    v.safe = safe;
    return v;
  }
  static Value of(const List* l, Kind kind = Kind::kList) {
    Value v = of(kind);
    v.list = l;
    return v;
  }
  static Value of(const Dict* d) {
    Value v = of(Kind::kDict);
    v.dict = d;
    return v;
  }
  static Value of(const View* w) {
    Value v = of(Kind::kView);
    v.view = w;
    return v;
  }
  static Value of(const Range* r) {
    Value v = of(Kind::kRange);
    v.range = r;
    return v;
  }
  static Value of(Iterator* i) {
    Value v = of(Kind::kIterator);
    v.iterator = i;
    return v;
  }
  static Value of(Namespace* n) {
    Value v = of(Kind::kNamespace);
    v.ns = n;
    return v;
  }
  static Value of(const Macro* m) {
    Value v = of(Kind::kMacro);
    v.macro = m;
    return v;
  }
  static Value of(const Method* m) {
    Value v = of(Kind::kMethod);
    v.method = m;
    return v;
  }
  static Value of(FunctionId f) {
    Value v = of(Kind::kFunction);
    v.function = f;
    return v;
  }
  static Value of(LoopState* l) {
    Value v = of(Kind::kLoop);
    v.loop = l;
    return v;
  }
  static Value of(Cycler* c) {
    Value v = of(Kind::kCycler);
    v.cycler = c;
    return v;
  }
  static Value of(Joiner* j) {
    Value v = of(Kind::kJoiner);
    v.joiner = j;
    return v;
  }

  [[nodiscard]] bool is(Kind k) const { return kind == k; }
  [[nodiscard]] bool is_undefined() const { return kind == Kind::kUndefined; }
  [[nodiscard]] bool is_integral() const { return kind == Kind::kInt || kind == Kind::kBool; }
  /// Of kInt or kBool.
  [[nodiscard]] std::int64_t as_int() const {
    return kind == Kind::kBool ? (boolean ? 1 : 0) : integer;
  }
};

struct List {
  const Value* items = nullptr;
  std::uint32_t size = 0;
  [[nodiscard]] std::span<const Value> span() const { return {items, size}; }
};

struct Entry {
  Value key;
  Value value;
};
/// In order of insertion; keys differ.
struct Dict {
  const Entry* entries = nullptr;
  std::uint32_t size = 0;
  [[nodiscard]] std::span<const Entry> span() const { return {entries, size}; }
};

struct View {
  enum class What : std::uint8_t { kKeys, kValues, kItems } what = What::kKeys;
  const Dict* dict = nullptr;
};

struct Range {
  std::int64_t start = 0;
  std::int64_t step = 1;
  std::uint32_t size = 0;
  std::int64_t stop = 0;
  [[nodiscard]] std::int64_t at(std::int64_t i) const { return start + i * step; }
};

/// Items that were computed ahead; a failure that computing the next one gave is kept until the
/// pass gets there.
struct Iterator {
  const Value* items = nullptr;
  std::uint32_t size = 0;
  std::uint32_t at = 0;
  const Str* failure = nullptr;
};

struct Attribute {
  const Str* name = nullptr;
  Value value;
  Attribute* next = nullptr;
};
struct Namespace {
  Attribute* first = nullptr;
  Attribute* last = nullptr;
};

enum class NameId : std::uint16_t;
struct Method {
  Value object;
  NameId name{};
};

struct Cycler {
  const List* items = nullptr;
  std::uint32_t at = 0;
};
struct Joiner {
  Value separator;
  bool used = false;
};

/// Why a value is undefined, for the message of an error that may come of it.
struct UndefinedInfo {
  enum class Why : std::uint8_t { kName, kAttribute, kItem, kUnsafe, kHint } why = Why::kName;
  const Str* name = nullptr;  // kName, kAttribute, kUnsafe
  const char* hint = "";      // kHint; else the object's type
};

}  // namespace espalier::runtime::jinja
