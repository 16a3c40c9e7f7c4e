// One rendering: walks the tree and evaluates it. interpreter.cpp has the statements,
// interpreter_expression.cpp the expressions, interpreter_call.cpp calls and attributes,
// operators.cpp arithmetic and comparison, and so on by the group of builtins.
//
// Failures are sticky: the first one is kept, everything after it gives undefined values, and every
// loop stops. Nothing throws.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/jinja/ast.h"
#include "runtime/jinja/builtins.h"
#include "runtime/jinja/characters.h"
#include "runtime/jinja/strings.h"
#include "runtime/jinja/template.h"

namespace espalier::runtime::jinja {

struct Frame {
  Frame* parent = nullptr;
  Value* slots = nullptr;
};

struct Macro {
  const MacroBody* body = nullptr;
  Frame* defined_in = nullptr;
};

/// A pass over a `for` statement's items, and the `loop` variable of its body.
struct LoopState {
  const ForStmt* stmt = nullptr;
  Frame* outer = nullptr;
  std::span<const Value> items;  // where the source has them all
  Iterator* iterator = nullptr;  // else
  std::size_t taken = 0;         // of items
  std::int64_t index0 = -1;
  std::int64_t depth0 = 0;
  Value before;  // kMissing at first
  Value current;
  Value after;  // looked at ahead, where not kMissing
  std::optional<std::int64_t> length;
  const List* changed = nullptr;  // what changed() was called with last
};

struct NamedValue {
  const Str* name = nullptr;
  Value value;
};
struct CallArguments {
  std::span<const Value> positional;
  std::span<const NamedValue> named;
};

class Interpreter {
 public:
  Interpreter(Arena& arena, const Dict& variables, const RenderOptions& options)
      : arena_(arena),
        variables_(variables),
        options_(options),
        steps_left_(options.limits.steps) {}

  Result<Rendered> run(Body body, const ScopeLayout& scope);

 private:
  enum class Flow : std::uint8_t { kOn, kBreak, kContinue };

  // --- Limits and failures -------------------------------------------------------------------
  [[nodiscard]] bool failed() const { return failed_; }
  Value fail(std::string message, ErrorCode code = ErrorCode::kInvalid);
  /// Spends steps; false (and failed) where they ran out or the memory did.
  bool spend(std::uint64_t steps = 1);
  /// Whether a string or list of that many bytes may be made; fails where not.
  bool room(std::uint64_t bytes);
  /// The same for a string that is being put together and gets `more` bytes.
  bool grows(const StrBuilder& out, std::uint64_t more);
  struct Deeper;

  // --- Statements ----------------------------------------------------------------------------
  Flow execute(Body body, Frame* frame);
  Flow execute(const Stmt& stmt, Frame* frame);
  void output(const OutputStmt& stmt, Frame* frame);
  void write(const Value& value);
  Flow for_loop(const ForStmt& stmt, Frame* frame);
  void loop_over(LoopState& loop);
  bool advance(LoopState& loop);  // the next item becomes current
  bool take(LoopState& loop, Value& item);
  bool peek(LoopState& loop);
  std::int64_t length_of(LoopState& loop);
  Frame* enter(const ScopeLayout& scope, Frame* parent);
  void initialize(const ScopeLayout& scope, Frame* frame);
  void assign(const Target& target, const Value& value, Frame* frame);
  void assign_attribute(const Target& target, const Value& value, Frame* frame);
  template <class F>
  const Str* capture(const F& write_it);
  const Macro* make_macro(const MacroBody& body, Frame* frame);

  // --- Expressions ---------------------------------------------------------------------------
  Value eval(const Expr* expr, Frame* frame);
  Value eval_name(const NameExpr& expr, Frame* frame);
  Value eval_list(const ListExpr& expr, Frame* frame);
  Value eval_dict(const DictExpr& expr, Frame* frame);
  Value eval_concat(const ConcatExpr& expr, Frame* frame);
  Value eval_compare(const CompareExpr& expr, Frame* frame);
  Value eval_filter(const FilterExpr& expr, Frame* frame, const Value* written);
  Value eval_test(const FilterExpr& expr, Frame* frame);
  Value eval_call(const CallExpr& expr, Frame* frame, const Macro* caller);
  Value eval_slice(const SliceExpr& expr, Frame* frame);
  CallArguments arguments(const Arguments& from, Frame* frame, const Macro* caller = nullptr);
  /// A filter block's or set block's filter over what the block wrote.
  Value filter_written(const Expr* filter, const Str* written, Frame* frame);

  // --- Operators (operators.cpp) ---------------------------------------------------------------
  Value binary(BinaryOp op, const Value& left, const Value& right);
  Value add(const Value& left, const Value& right);
  Value multiply(const Value& left, const Value& right);
  Value integer_operation(BinaryOp op, std::int64_t left, std::int64_t right);
  Value negate(const Value& value);
  static bool truth(const Value& value);
  bool equal(const Value& left, const Value& right, std::uint32_t depth = 0);
  /// left < right: -1, 0 or 1; nothing (and failed) where Python cannot order them.
  std::optional<int> order(const Value& left, const Value& right, std::uint32_t depth = 0);
  bool compare(CompareOp op, const Value& left, const Value& right);
  bool contains(const Value& container, const Value& item);

  // --- Attributes, items, calls (interpreter_call.cpp) -------------------------------------------
  Value attribute(const Value& object, const Str& name);
  Value item(const Value& object, const Value& key);
  Value builtin_attribute(const Value& object, const Str& name);
  Value loop_attribute(LoopState& loop, std::string_view name);
  std::optional<std::uint32_t> find_index(const Dict& dict, const Value& key);
  const Value* find(const Dict& dict, const Value& key) {
    const auto index = find_index(dict, key);
    return index ? &dict.entries[*index].value : nullptr;
  }
  static bool hashable(const Value& value, std::uint32_t depth = 0);
  Value undefined(UndefinedInfo::Why why, const Str* name, const char* hint);
  Value undefined_hint(const char* hint) {
    return undefined(UndefinedInfo::Why::kHint, nullptr, hint);
  }
  Value fail_undefined(const Value& value);
  Value call(const Value& callee, const CallArguments& given);
  Value call_macro(const Macro& macro, const CallArguments& given);
  Value call_function(FunctionId function, const CallArguments& given);
  Value call_method(const Value& object, NameId method, const CallArguments& given);
  Value make_range(const CallArguments& given);
  Value make_namespace(const CallArguments& given);
  Value merge_dict(const CallArguments& given);
  /// Fills `out` in the order of `names`; what was not given stays missing. False and failed where
  /// something is unknown, given twice or missing among the first `required`.
  bool bind(std::string_view what, const CallArguments& given, std::span<const char* const> names,
            std::span<Value> out, std::size_t required);

  // --- Conversions (convert.cpp, repr.cpp, tojson.cpp) -------------------------------------------
  /// str(value).
  const Str* text_of(const Value& value);
  /// str(value) where it is not a string that must stay marked as markup.
  Value soft_text(const Value& value);
  void append_text(StrBuilder& out, const Value& value);
  void append_repr(StrBuilder& out, const Value& value, std::uint32_t depth = 0);
  void append_string_repr(StrBuilder& out, const Str& s);
  const Str* escaped(const Value& value);
  Value to_json(const Value& value, const CallArguments& given);
  /// All items of an iterable (a one-shot iterator is used up); fails where it is none.
  std::span<const Value> items_of(const Value& value);
  std::optional<std::int64_t> length_of(const Value& value);
  static bool iterable(const Value& value);
  std::optional<std::int64_t> as_integer(const Value& value, const char* what);
  Value to_int(const Value& value, const Value& otherwise, std::int64_t base);
  Value to_float(const Value& value, const Value& otherwise);
  std::optional<double> number(const Value& value) const;

  Value string(const Str* s, bool safe = false) const { return Value::of(s, safe); }
  Value string(std::string_view bytes) { return Value::of(make_str(arena_, bytes, kTemplate)); }
  Value list(const std::vector<Value>& items, Kind kind = Kind::kList);
  Value iterator(std::span<const Value> items);
  Value iterator_failing(const std::vector<Value>& items);

  // --- String methods (string_methods.cpp)
  // ---------------------------------------------------------
  Value string_method(const Value& self, NameId method, const CallArguments& given);
  Value strip(const Value& self, const Value& characters, bool left, bool right);
  Value split(const Value& self, const Value& separator, std::int64_t most, bool from_right);
  Value split_lines(const Value& self, bool keep);
  Value replace(const Value& self, const Str& from, const Str& to, std::int64_t most);
  Value in_case(const Value& self, NameId how);
  Value join(const Str& separator, std::span<const Value> items, bool strict, bool safe);
  Value pad(const Value& self, std::int64_t width, const Str& fill, NameId where);
  Value find_in(const Value& self, const CallArguments& given, NameId how);
  Value affix(const Value& self, const CallArguments& given, bool at_start);
  Value partition(const Value& self, const Str& separator, bool from_right);
  static bool classify(const Str& s, NameId how);
  Value characters_slice(const Value& self, std::int64_t start, std::int64_t count,
                         std::int64_t step);
  /// The byte offset of the character `index` (of `length`).
  static std::size_t offset_of(const Str& s, std::int64_t index);

  // --- Formatting (format.cpp)
  // ---------------------------------------------------------------------
  Value percent_format(const Value& self, const Value& arguments);
  Value brace_format(const Value& self, const CallArguments& given);
  Value strftime(const Str& format);

  // --- Filters and tests (filters.cpp, filters_sequence.cpp, tests.cpp)
  // -----------------------------
  Value filter(FilterId id, const Str& name, const Value& subject, const CallArguments& given);
  Value text_filter(FilterId id, const Value& subject, const CallArguments& given);
  Value sequence_filter(FilterId id, const Value& subject, const CallArguments& given);
  bool test(TestId id, const Str& name, const Value& subject, const CallArguments& given);
  Value indent(const Value& subject, const CallArguments& given);
  Value round(const Value& subject, const CallArguments& given);
  Value url_encode(const Value& subject);
  Value map(const Value& subject, const CallArguments& given);
  Value select(FilterId id, const Value& subject, const CallArguments& given);
  Value sort(std::span<const Value> items, const CallArguments& given);
  Value dict_sort(const Value& subject, const CallArguments& given);
  Value unique(const Value& subject, const CallArguments& given);
  Value group_by(const Value& subject, const CallArguments& given);
  Value extreme(FilterId id, const Value& subject, const CallArguments& given);
  Value batches(FilterId id, const Value& subject, const CallArguments& given);
  /// item.a.b or item[0] by a path as filters take it ("a.b", 0).
  Value by_path(const Value& item, const Value& path, const Value& otherwise);
  Value folded(const Value& value);  // lower-cased if it is a string
  bool sort_by(std::vector<Value>& keys, std::vector<std::uint32_t>& order_of, bool reverse);

  Arena& arena_;
  const Dict& variables_;
  const RenderOptions& options_;
  std::uint64_t steps_left_;
  std::uint32_t depth_ = 0;
  std::uint32_t line_ = 1;
  bool failed_ = false;
  std::optional<Error> error_;
  StrBuilder* out_ = nullptr;
  StrBuilder* root_out_ = nullptr;
  std::size_t written_ = 0;  // bytes, in captures too
  std::vector<std::pair<std::size_t, std::size_t>> generation_;
};

struct Interpreter::Deeper {
  explicit Deeper(Interpreter& it) : interpreter(it) {
    if (++interpreter.depth_ > interpreter.options_.limits.depth) {
      interpreter.fail("nested deeper than " + std::to_string(interpreter.options_.limits.depth),
                       ErrorCode::kLimit);
    }
  }
  ~Deeper() { --interpreter.depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;
  Interpreter& interpreter;
};

}  // namespace espalier::runtime::jinja
