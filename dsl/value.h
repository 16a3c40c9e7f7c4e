// Value: what an expression gives at run time.
//
// Immutable; compound values are shared by reference, so a copy is O(1). Every compound value knows
// its weight (nodes plus bytes of a full print, as if nothing were shared) and its depth, and none
// is made beyond kMaxWeight or kMaxDepth: printing, comparing and converting are bounded whatever
// the program does. A value that came out of a hole may carry its Origin (probability,
// distribution, truncated, its places, its token ids); the origin takes no part in equality.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "grammar/json.h"
#include "grammar/type.h"

namespace espalier::dsl {

enum class ValueKind : std::uint8_t {
  kNull,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kRecord,
  kVariant,
  kCall,
  kRange
};
/// As messages name it: "a list", "an int".
std::string_view name(ValueKind kind);

/// The tokens that a model wrote a value with, so that it can be put into a prompt again as those
/// very ids. They spell `prefix` (what healing took back before the hole), the value's text and
/// perhaps more (its follow, an end token).
struct Spelling {
  std::string prefix;
  std::vector<TokenId> ids;
};

/// What a hole knows of the value it gave.
struct Origin {
  std::optional<double> p;  // select: the probability of the chosen one
  std::vector<std::pair<std::string, double>>
      dist;                // select: every choice by its name, in declared order
  bool truncated = false;  // the budget closed it
  /// span: where it stands in the text it was copied from: the first character and the one after
  /// the last, counted in code points.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> spans;
  Spelling spelling;
};

class Value {
 public:
  using List = std::vector<Value>;
  struct Entry;
  using Entries = std::vector<Entry>;

  static constexpr std::uint64_t kMaxWeight = 64u << 20;
  static constexpr std::uint32_t kMaxDepth = 512;

  Value() = default;  // null
  static Value boolean(bool value);
  static Value integer(std::int64_t value);
  static Value number(double value);
  static Value string(std::string value);
  static Value variant(grammar::TypeRef type, std::size_t index);  // a case of a kEnum type
  static Value range(std::int64_t low,
                     std::int64_t high);  // both ends belong to it; empty if low > high
  /// kLimit past kMaxWeight or kMaxDepth. `type` (kRecord, may be null) gives the keys that JSON
  /// uses.
  static Result<Value> list(List items);
  static Result<Value> record(Entries entries, grammar::TypeRef type = nullptr);
  /// The groups that a pattern found in `text`: a record that is written as that text.
  static Result<Value> groups(std::string text, Entries entries);
  /// A tool call: `tool` is the name in the program; the arguments are a record.
  static Result<Value> call(std::string tool, Value arguments);

  [[nodiscard]] ValueKind kind() const;
  [[nodiscard]] bool is_null() const { return kind() == ValueKind::kNull; }
  [[nodiscard]] bool is_number() const {
    return kind() == ValueKind::kInt || kind() == ValueKind::kFloat;
  }

  // Only where kind() says so.
  [[nodiscard]] bool as_bool() const { return std::get<bool>(data_); }
  [[nodiscard]] std::int64_t as_int() const { return std::get<std::int64_t>(data_); }
  [[nodiscard]] double as_double() const;  // of kInt or kFloat
  [[nodiscard]] const std::string& as_string() const { return *std::get<StringRef>(data_); }
  [[nodiscard]] const List& as_list() const;
  [[nodiscard]] const Entries& as_record() const;
  [[nodiscard]] const grammar::EnumCase& as_case() const;
  [[nodiscard]] const grammar::TypeRef& variant_type() const;
  [[nodiscard]] std::int64_t low() const { return std::get<Range>(data_).low; }
  [[nodiscard]] std::int64_t high() const { return std::get<Range>(data_).high; }
  [[nodiscard]] const std::string& tool() const;
  [[nodiscard]] const Value& arguments() const;

  /// The declared type of a record, or null.
  [[nodiscard]] const grammar::TypeRef& record_type() const;
  /// The field of a record (by the name in the program), or null where there is none.
  [[nodiscard]] const Value* field(std::string_view name) const;
  /// Items of a list or numbers of a range.
  [[nodiscard]] std::uint64_t length() const;
  [[nodiscard]] Value item(std::uint64_t index) const;

  [[nodiscard]] const Origin* origin() const { return origin_.get(); }
  [[nodiscard]] const std::shared_ptr<const Origin>& shared_origin() const { return origin_; }
  [[nodiscard]] Value with(std::shared_ptr<const Origin> origin) const;

  [[nodiscard]] std::uint64_t weight() const;
  [[nodiscard]] std::uint32_t depth() const;

 private:
  struct Range {
    std::int64_t low = 0;
    std::int64_t high = -1;
  };
  static Result<Value> made_record(Entries entries, grammar::TypeRef type,
                                   std::optional<std::string> text);
  struct ListData;
  struct RecordData;
  struct VariantData;
  struct CallData;
  using StringRef = std::shared_ptr<const std::string>;
  using ListRef = std::shared_ptr<const ListData>;
  using RecordRef = std::shared_ptr<const RecordData>;
  using VariantRef = std::shared_ptr<const VariantData>;
  using CallRef = std::shared_ptr<const CallData>;

  friend Json json_of(const Value& value, bool written);
  std::variant<std::monostate, bool, std::int64_t, double, StringRef, ListRef, RecordRef,
               VariantRef, CallRef, Range>
      data_;
  std::shared_ptr<const Origin> origin_;
};

struct Value::Entry {
  std::string name;
  Value value;
};

/// As `${…}` inserts it: strings as they are, cases by their surface, floats by their shortest form
/// that reads back (with ".0" where it would read as an int), a pattern's groups as the text that
/// they were found in, everything else as compact JSON (written_json).
[[nodiscard]] std::string print(const Value& value);
/// A string, or the spelling of an enum's case; nothing of any other value.
[[nodiscard]] std::optional<std::string> text_of(const Value& value);
/// The shortest decimal that reads back as `value`.
[[nodiscard]] std::string print(double value);

/// Records by their JSON keys, cases by their surface, calls as {"name", "arguments"}, ranges as
/// lists.
[[nodiscard]] Json to_json(const Value& value);
/// The same as a hole of its type writes it: a pattern's groups as the text they were found in.
[[nodiscard]] Json written_json(const Value& value);

/// Structural; ints and floats compare as numbers; a case equals a string that is its surface.
[[nodiscard]] bool equal(const Value& a, const Value& b);
/// -1, 0, 1 for two numbers or two strings (by bytes); nothing for other pairs.
[[nodiscard]] std::optional<int> compare(const Value& a, const Value& b);

}  // namespace espalier::dsl
