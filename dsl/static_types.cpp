#include "dsl/static_types.h"

#include <re2/re2.h>

#include <algorithm>
#include <set>

namespace espalier::dsl {
namespace {

constexpr int kDepth =
    64;  // deeper than any type a program writes; a recursive one is cut off here

std::string quoted(const std::string& text) {
  std::string shown = Json(text.size() > 24 ? text.substr(0, 24) : text)
                          .dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() > 24 ? shown.substr(0, shown.size() - 1) + "…\"" : shown;
}

template <class T>
std::string bounds(const std::optional<T>& low, const std::optional<T>& high) {
  if (!low && !high) return {};
  const auto show = [](const std::optional<T>& v) { return v ? Json(*v).dump() : std::string(); };
  if (low && high && *low == *high) return "(" + show(low) + ")";
  return "(" + show(low) + ".." + show(high) + ")";
}

std::string name_of(const TypeRef& given, int depth) {
  if (given == nullptr) return "an unknown type";
  if (!given->name.empty()) return given->name;
  const TypeRef type = resolve(given);
  if (type != nullptr && !type->name.empty()) return type->name;
  if (type == nullptr || depth > 3) return "…";
  switch (type->kind) {
    case TypeKind::kString:
      return "string" + bounds(type->low, type->high);
    case TypeKind::kLine:
      return "line" + bounds(type->low, type->high);
    case TypeKind::kInt:
      return "int" + bounds(type->int_low, type->int_high);
    case TypeKind::kFloat:
      return "float" + bounds(type->float_low, type->float_high);
    case TypeKind::kBool:
      return "bool";
    case TypeKind::kNull:
      return "null";
    case TypeKind::kLiteral:
      return type->literal.is_string() ? quoted(type->literal.get<std::string>())
                                       : type->literal.dump();
    case TypeKind::kEnum:
      return "enum";
    case TypeKind::kRegex:
      return "/" + type->pattern + "/";
    case TypeKind::kJson:
      return "json";
    case TypeKind::kSchema:
      return "schema";
    case TypeKind::kReference:
      return "…";
    case TypeKind::kOptional:
      return name_of(type->items.at(0), depth + 1) + "?";
    case TypeKind::kList: {
      const TypeRef item = resolve(type->items.at(0));
      const bool compound = item != nullptr && item->name.empty() && item->kind == TypeKind::kUnion;
      const std::string inner = name_of(type->items.at(0), depth + 1);
      std::string length = bounds(type->low, type->high);
      if (!length.empty()) length = length.substr(1, length.size() - 2);
      return (compound ? "(" + inner + ")" : inner) + "[" + length + "]";
    }
    case TypeKind::kUnion: {
      std::string result;
      for (std::size_t i = 0; i < type->items.size() && i < 5; ++i)
        result += (i > 0 ? " | " : "") + name_of(type->items[i], depth + 1);
      return type->items.size() > 5 ? result + " | …" : result;
    }
    case TypeKind::kCall: {
      std::string result = "a call of ";
      for (std::size_t i = 0; i < type->fields.size() && i < 5; ++i)
        result += (i > 0 ? " | " : "") + type->fields[i].name;
      return result;
    }
    case TypeKind::kRecord: {
      std::string result = "{";
      for (std::size_t i = 0; i < type->fields.size(); ++i) {
        if (i == 4) return result + ", …}";
        result += (i > 0 ? ", " : "") + type->fields[i].name + ": " +
                  name_of(type->fields[i].type, depth + 1);
      }
      return result + "}";
    }
  }
  return "…";
}

/// `fuel` bounds the pairs looked at (types share parts, so their trees may be huge): past it the
/// answer is yes, and what does not fit is refused when the program runs.
bool assignable_at(const TypeRef& from_given, const TypeRef& to_given, int depth, int& fuel) {
  if (from_given == nullptr || to_given == nullptr || from_given == to_given || depth > kDepth ||
      --fuel < 0)
    return true;
  const TypeRef from = resolve(from_given);
  const TypeRef to = resolve(to_given);
  if (from == nullptr || to == nullptr || from == to) return true;
  if (to->kind == TypeKind::kJson || to->kind == TypeKind::kSchema) return true;
  if (from->kind == TypeKind::kJson || from->kind == TypeKind::kSchema)
    return true;  // checked when it runs
  if (from->kind == TypeKind::kUnion)
    return std::all_of(from->items.begin(), from->items.end(),
                       [&](const TypeRef& i) { return assignable_at(i, to, depth + 1, fuel); });
  if (from->kind == TypeKind::kOptional)
    return may_be_null(to) && assignable_at(from->items.at(0), to, depth + 1, fuel);
  if (to->kind == TypeKind::kOptional)
    return from->kind == TypeKind::kNull || assignable_at(from, to->items.at(0), depth + 1, fuel);
  if (to->kind == TypeKind::kUnion)
    return std::any_of(to->items.begin(), to->items.end(),
                       [&](const TypeRef& i) { return assignable_at(from, i, depth + 1, fuel); });
  // A pattern with groups is a record of them.
  if (from->kind == TypeKind::kRegex && to->kind == TypeKind::kRecord) {
    const TypeRef groups = group_record(from->pattern);
    return groups != nullptr && assignable_at(groups, to, depth + 1, fuel);
  }
  switch (to->kind) {
    case TypeKind::kString:
    case TypeKind::kLine:
      return is_text(from);
    case TypeKind::kRegex:
      return is_text(from) && (from->kind != TypeKind::kRegex || from->pattern == to->pattern ||
                               group_record(to->pattern) == nullptr);
    case TypeKind::kInt:
      return is_int(from);
    case TypeKind::kFloat:
      return is_number(from);
    case TypeKind::kBool:
      return from->kind == TypeKind::kBool;
    case TypeKind::kNull:
      return from->kind == TypeKind::kNull;
    case TypeKind::kLiteral:
      return from->kind == TypeKind::kLiteral && from->literal == to->literal;
    case TypeKind::kEnum:
      return from->kind == TypeKind::kEnum && from->name == to->name &&
             std::all_of(from->cases.begin(), from->cases.end(), [&](const auto& f) {
               return std::any_of(to->cases.begin(), to->cases.end(),
                                  [&](const auto& t) { return t.name == f.name; });
             });
    case TypeKind::kList:
      return from->kind == TypeKind::kList &&
             assignable_at(from->items.at(0), to->items.at(0), depth + 1, fuel);
    case TypeKind::kCall:
      return from->kind == TypeKind::kCall &&
             std::all_of(from->fields.begin(), from->fields.end(), [&](const auto& f) {
               return std::any_of(to->fields.begin(), to->fields.end(),
                                  [&](const auto& t) { return t.name == f.name; });
             });
    case TypeKind::kRecord: {
      if (from->kind != TypeKind::kRecord) return false;
      for (const auto& field : to->fields) {
        const auto at = std::find_if(from->fields.begin(), from->fields.end(),
                                     [&](const auto& f) { return f.name == field.name; });
        if (at == from->fields.end()) {
          if (!field.omittable) return false;
        } else if ((at->omittable && !field.omittable) ||
                   !assignable_at(at->type, field.type, depth + 1, fuel)) {
          return false;
        }
      }
      return std::all_of(from->fields.begin(), from->fields.end(), [&](const auto& f) {
        return std::any_of(to->fields.begin(), to->fields.end(),
                           [&](const auto& t) { return t.name == f.name; });
      });
    }
    default:
      return true;
  }
}

/// Which first characters a JSON value of the type may have; '"' for strings, '0' for numbers.
void first_signs(const TypeRef& given, std::set<char>& out, int depth) {
  const TypeRef type = resolve(given);
  if (type == nullptr || depth > kDepth) return;
  switch (type->kind) {
    case TypeKind::kString:
    case TypeKind::kLine:
    case TypeKind::kRegex:
    case TypeKind::kEnum:
      out.insert('"');
      break;
    case TypeKind::kInt:
    case TypeKind::kFloat:
      out.insert('0');
      break;
    case TypeKind::kBool:
      out.insert('b');
      break;
    case TypeKind::kNull:
      out.insert('n');
      break;
    case TypeKind::kLiteral:
      out.insert(type->literal.is_string() ? '"' : '0');
      break;
    case TypeKind::kList:
      out.insert('[');
      break;
    case TypeKind::kRecord:
    case TypeKind::kCall:
      out.insert('{');
      break;
    case TypeKind::kOptional:
      out.insert('n');
      [[fallthrough]];
    case TypeKind::kUnion:
      for (const TypeRef& item : type->items) first_signs(item, out, depth + 1);
      break;
    default:
      out.insert({'"', '0', 'b', 'n', '[', '{'});
  }
}

/// The fixed strings of a literal, enum, bool or union of them; nothing for any other type.
std::optional<std::vector<std::string>> fixed_strings(const TypeRef& given, int depth = 0) {
  const TypeRef type = resolve(given);
  if (type == nullptr || depth > kDepth) return std::nullopt;
  std::vector<std::string> result;
  switch (type->kind) {
    case TypeKind::kLiteral:
      return std::vector<std::string>{type->literal.is_string() ? type->literal.get<std::string>()
                                                                : type->literal.dump()};
    case TypeKind::kNull:
      return std::vector<std::string>{"null"};
    case TypeKind::kBool:
      return std::vector<std::string>{"true", "false"};
    case TypeKind::kEnum:
      for (const auto& one : type->cases) result.push_back(one.surface);
      return result;
    case TypeKind::kUnion:
      for (const TypeRef& item : type->items) {
        const auto inner = fixed_strings(item, depth + 1);
        if (!inner) return std::nullopt;
        result.insert(result.end(), inner->begin(), inner->end());
      }
      return result;
    default:
      return std::nullopt;
  }
}

std::string re2_pattern(const std::string& pattern) {
  std::string result;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    result += pattern[i];
    if (pattern[i] == '\\' && i + 1 < pattern.size()) {
      result += pattern[++i];
    } else if (pattern.compare(i, 3, "(?<") == 0 && i + 3 < pattern.size() &&
               pattern[i + 3] != '=' && pattern[i + 3] != '!') {
      result += "?P<";
      i += 2;
    }
  }
  return result;
}

RE2::Options quiet() {
  RE2::Options options;
  options.set_log_errors(false);
  return options;
}

bool pattern_matches(const std::string& pattern, const std::string& text) {
  const RE2 compiled(re2_pattern(pattern), quiet());
  return compiled.ok() && RE2::FullMatch(text, compiled);
}

/// Why two alternatives cannot be told apart, or empty.
std::string clash(const TypeRef& a_given, const TypeRef& b_given, bool json, int depth) {
  const TypeRef a = resolve(a_given);
  const TypeRef b = resolve(b_given);
  if (a == nullptr || b == nullptr || depth > kDepth) return {};
  const auto a_fixed = fixed_strings(a);
  const auto b_fixed = fixed_strings(b);
  std::set<char> a_signs, b_signs;
  first_signs(a, a_signs, 0);
  first_signs(b, b_signs, 0);
  std::vector<char> both;
  std::set_intersection(a_signs.begin(), a_signs.end(), b_signs.begin(), b_signs.end(),
                        std::back_inserter(both));
  if (json && both.empty()) return {};
  if (a_fixed && b_fixed) {
    for (const std::string& one : *a_fixed)
      if (std::find(b_fixed->begin(), b_fixed->end(), one) != b_fixed->end()) {
        if (json && both.empty()) continue;
        return "both hold " + quoted(one);
      }
    return {};
  }
  const auto open_text = [](const TypeRef& t) {
    return t->kind == TypeKind::kString || t->kind == TypeKind::kLine;
  };
  if (!json && (open_text(a) || open_text(b)))
    return "a " + type_name(open_text(a) ? a : b) + " may look like the other";
  if (json && std::find(both.begin(), both.end(), '"') != both.end()) {
    if (open_text(a) || open_text(b))
      return "a " + type_name(open_text(a) ? a : b) + " may be equal to the other";
  }
  // A pattern against fixed strings is decided by trying; two patterns are left to the grammar.
  const auto by_pattern = [&](const TypeRef& pattern,
                              const std::vector<std::string>& strings) -> std::string {
    for (const std::string& one : strings)
      if (pattern_matches(pattern->pattern, one)) return "the pattern matches " + quoted(one);
    return {};
  };
  if (a->kind == TypeKind::kRegex && b_fixed) return by_pattern(a, *b_fixed);
  if (b->kind == TypeKind::kRegex && a_fixed) return by_pattern(b, *a_fixed);
  if (a->kind == TypeKind::kRegex || b->kind == TypeKind::kRegex) return {};
  if (std::find(both.begin(), both.end(), '0') != both.end()) return "both may be numbers";
  if (a->kind == TypeKind::kList && b->kind == TypeKind::kList) return "both are lists";
  if (a->kind == TypeKind::kRecord && b->kind == TypeKind::kRecord) {
    if (a->fields.empty() || b->fields.empty())
      return "both are records, and one has no field that could tell";
    const auto& first = a->fields.front();
    const auto& second = b->fields.front();
    if (first.omittable || second.omittable)
      return "both are records, and a first field may be left out";
    if (first.key != second.key) return {};
    if (clash(first.type, second.type, true, depth + 1).empty() && first.type != second.type)
      return {};
    return "both are records that begin with {" + quoted(first.key) + ": " + type_name(first.type);
  }
  return {};
}

}  // namespace

TypeRef basic_type(TypeKind kind) {
  auto made = std::make_shared<Type>();
  made->kind = kind;
  return made;
}

TypeRef literal_type(Json value) {
  auto made = std::make_shared<Type>();
  made->kind = TypeKind::kLiteral;
  made->literal = std::move(value);
  return made;
}

TypeRef list_type(TypeRef item) {
  auto made = std::make_shared<Type>();
  made->kind = TypeKind::kList;
  made->items.push_back(std::move(item));
  return made;
}

TypeRef optional_type(TypeRef item) {
  if (item == nullptr || may_be_null(item)) return item;
  auto made = std::make_shared<Type>();
  made->kind = TypeKind::kOptional;
  made->items.push_back(std::move(item));
  return made;
}

TypeRef union_type(std::vector<TypeRef> items) {
  if (items.size() == 1) return items.front();
  auto made = std::make_shared<Type>();
  made->kind = TypeKind::kUnion;
  made->items = std::move(items);
  return made;
}

TypeRef resolve(const TypeRef& type) {
  TypeRef at = type;
  for (int i = 0; i < kDepth && at != nullptr && at->kind == TypeKind::kReference; ++i)
    at = at->target.lock();
  return at;
}

std::string type_name(const TypeRef& type) { return name_of(type, 0); }

bool is_text(const TypeRef& given) {
  const TypeRef type = resolve(given);
  if (type == nullptr) return true;
  switch (type->kind) {
    case TypeKind::kString:
    case TypeKind::kLine:
      return true;
    case TypeKind::kRegex:
      return group_record(type->pattern) == nullptr;
    case TypeKind::kLiteral:
      return type->literal.is_string();
    case TypeKind::kUnion:
      return std::all_of(type->items.begin(), type->items.end(),
                         [](const TypeRef& i) { return is_text(i); });
    case TypeKind::kJson:
      return true;
    default:
      return false;
  }
}

bool is_int(const TypeRef& given) {
  const TypeRef type = resolve(given);
  if (type == nullptr) return true;
  switch (type->kind) {
    case TypeKind::kInt:
    case TypeKind::kJson:
      return true;
    case TypeKind::kLiteral:
      return type->literal.is_number_integer();
    case TypeKind::kUnion:
      return std::all_of(type->items.begin(), type->items.end(),
                         [](const TypeRef& i) { return is_int(i); });
    default:
      return false;
  }
}

bool is_number(const TypeRef& given) {
  const TypeRef type = resolve(given);
  if (type == nullptr || is_int(type) || type->kind == TypeKind::kFloat) return true;
  if (type->kind == TypeKind::kLiteral) return type->literal.is_number();
  return type->kind == TypeKind::kUnion &&
         std::all_of(type->items.begin(), type->items.end(),
                     [](const TypeRef& i) { return is_number(i); });
}

bool may_be_null(const TypeRef& given) {
  const TypeRef type = resolve(given);
  if (type == nullptr) return false;
  if (type->kind == TypeKind::kOptional || type->kind == TypeKind::kNull) return true;
  return type->kind == TypeKind::kUnion &&
         std::any_of(type->items.begin(), type->items.end(),
                     [](const TypeRef& i) { return may_be_null(i); });
}

TypeRef without_null(const TypeRef& given) {
  const TypeRef type = resolve(given);
  if (type == nullptr) return nullptr;
  if (type->kind == TypeKind::kOptional) return without_null(type->items.at(0));
  if (type->kind != TypeKind::kUnion || !may_be_null(type)) return given;
  std::vector<TypeRef> rest;
  for (const TypeRef& item : type->items)
    if (const TypeRef kept = resolve(item); kept == nullptr || kept->kind != TypeKind::kNull)
      rest.push_back(without_null(item));
  return rest.empty() ? nullptr : union_type(std::move(rest));
}

TypeRef widened(const TypeRef& given) {
  const TypeRef type = resolve(given);
  if (type == nullptr || type->kind != TypeKind::kLiteral) return given;
  if (type->literal.is_string()) return basic_type(TypeKind::kString);
  return basic_type(type->literal.is_number_integer() ? TypeKind::kInt : TypeKind::kFloat);
}

bool assignable(const TypeRef& from, const TypeRef& to) {
  int fuel = 100'000;
  return assignable_at(from, to, 0, fuel);
}

TypeRef unify(const TypeRef& a, const TypeRef& b) {
  if (a == nullptr || b == nullptr) return nullptr;
  if (assignable(b, a)) return a;
  if (assignable(a, b)) return b;
  if (a->kind == TypeKind::kNull) return optional_type(b);
  if (b->kind == TypeKind::kNull) return optional_type(a);
  if (is_number(a) && is_number(b))
    return basic_type(is_int(a) && is_int(b) ? TypeKind::kInt : TypeKind::kFloat);
  std::vector<TypeRef> items =
      a->kind == TypeKind::kUnion && a->name.empty() ? a->items : std::vector<TypeRef>{a};
  if (items.size() >= 16 && is_text(a) && is_text(b)) return basic_type(TypeKind::kString);
  if (items.size() >= 32) return nullptr;  // too mixed to say anything of
  items.push_back(b);
  return union_type(std::move(items));
}

bool comparable(const TypeRef& a, const TypeRef& b) {
  if (a == nullptr || b == nullptr) return true;
  if (may_be_null(a) && may_be_null(b)) return true;
  const TypeRef x = without_null(a);
  const TypeRef y = without_null(b);
  if (x == nullptr || y == nullptr) return x == y;
  if (is_number(x) && is_number(y)) return true;
  const TypeRef rx = resolve(x);
  const TypeRef ry = resolve(y);
  if (rx->kind == TypeKind::kUnion)
    return std::any_of(rx->items.begin(), rx->items.end(),
                       [&](const TypeRef& i) { return comparable(i, y); });
  if (ry->kind == TypeKind::kUnion) return comparable(y, x);
  if (rx->kind == TypeKind::kLiteral && ry->kind == TypeKind::kLiteral)
    return rx->literal == ry->literal;
  if (is_text(rx) && is_text(ry)) return true;
  // A case equals a text that is its surface.
  if (rx->kind == TypeKind::kEnum && is_text(ry))
    return ry->kind != TypeKind::kLiteral ||
           std::any_of(rx->cases.begin(), rx->cases.end(),
                       [&](const auto& c) { return c.surface == ry->literal.get<std::string>(); });
  if (ry->kind == TypeKind::kEnum && is_text(rx)) return comparable(y, x);
  if (rx->kind == TypeKind::kList && ry->kind == TypeKind::kList) return true;
  return assignable(x, y) || assignable(y, x);
}

TypeRef group_record(const std::string& pattern) {
  std::vector<grammar::Field> fields;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      ++i;
    } else if (pattern[i] == '[') {  // a class: `]` first in it is a character
      ++i;
      if (i < pattern.size() && pattern[i] == '^') ++i;
      if (i < pattern.size() && pattern[i] == ']') ++i;
      for (; i < pattern.size() && pattern[i] != ']'; ++i)
        if (pattern[i] == '\\') ++i;
    } else if (pattern.compare(i, 3, "(?<") == 0 || pattern.compare(i, 4, "(?P<") == 0) {
      const std::size_t name = pattern.find('<', i) + 1;
      const std::size_t end = pattern.find('>', name);
      if (end == std::string::npos || pattern[name] == '=' || pattern[name] == '!') continue;
      const std::size_t body = end + 1;
      const std::size_t stop = pattern.find_first_of(".[]()*+?{}\\^$", body);
      grammar::Field field;
      field.name = field.key = pattern.substr(name, end - name);
      field.type = basic_type(TypeKind::kString);
      if (stop != std::string::npos && pattern[stop] == ')' && stop > body &&
          (stop + 1 >= pattern.size() ||
           std::string_view("*?+{").find(pattern[stop + 1]) == std::string_view::npos)) {
        std::vector<TypeRef> words;
        std::size_t from = body;
        while (from <= stop) {
          const std::size_t bar = std::min(pattern.find('|', from), stop);
          words.push_back(literal_type(pattern.substr(from, bar - from)));
          from = bar + 1;
        }
        field.type = union_type(std::move(words));
      }
      fields.push_back(std::move(field));
    }
  }
  if (fields.empty()) return nullptr;
  auto made = std::make_shared<Type>();
  made->kind = TypeKind::kRecord;
  made->fields = std::move(fields);
  return made;
}

std::vector<std::string> choice_names(const TypeRef& given, std::uint64_t limit) {
  std::vector<std::string> result;
  const TypeRef type = resolve(given);
  if (type == nullptr) return result;
  if (type->kind == TypeKind::kEnum) {
    for (const auto& one : type->cases) result.push_back(one.name);
  } else if (type->kind == TypeKind::kUnion) {
    for (const TypeRef& item : type->items) {
      auto inner = choice_names(item, limit);
      result.insert(result.end(), inner.begin(), inner.end());
    }
  } else if (type->kind == TypeKind::kInt && type->int_low && type->int_high &&
             *type->int_low <= *type->int_high &&
             static_cast<std::uint64_t>(*type->int_high) -
                     static_cast<std::uint64_t>(*type->int_low) <
                 limit) {
    for (std::int64_t i = *type->int_low;; ++i) {
      result.push_back(std::to_string(i));
      if (i == *type->int_high) break;
    }
  } else if (auto fixed = fixed_strings(type)) {
    result = std::move(*fixed);
  }
  return result;
}

std::optional<std::uint64_t> count_choices(const TypeRef& given, std::uint64_t limit) {
  const TypeRef type = resolve(given);
  if (type == nullptr) return 0;
  switch (type->kind) {
    case TypeKind::kEnum:
      return type->cases.size();
    case TypeKind::kBool:
      return 2;
    case TypeKind::kLiteral:
    case TypeKind::kNull:
      return 1;
    case TypeKind::kInt: {
      if (!type->int_low || !type->int_high) return std::nullopt;
      if (*type->int_low > *type->int_high) return 0;
      const std::uint64_t more =
          static_cast<std::uint64_t>(*type->int_high) - static_cast<std::uint64_t>(*type->int_low);
      return std::min(more, limit) + 1;
    }
    case TypeKind::kUnion: {
      std::uint64_t total = 0;
      for (const TypeRef& item : type->items) {
        const auto inner = count_choices(item, limit);
        if (!inner) return std::nullopt;
        total = std::min(total + *inner, limit + 1);
      }
      return total;
    }
    default:
      return std::nullopt;
  }
}

bool ends_itself(const TypeRef& given) {
  const TypeRef type = resolve(given);
  if (type == nullptr) return true;
  if (auto fixed = fixed_strings(type)) {
    std::sort(fixed->begin(), fixed->end());
    for (std::size_t i = 1; i < fixed->size(); ++i)
      if ((*fixed)[i].size() > (*fixed)[i - 1].size() &&
          (*fixed)[i].compare(0, (*fixed)[i - 1].size(), (*fixed)[i - 1]) == 0)
        return false;
    return true;
  }
  switch (type->kind) {
    case TypeKind::kString:
    case TypeKind::kLine:
    case TypeKind::kFloat:
      return false;
    case TypeKind::kInt:
      return type->int_low && type->int_high &&
             std::to_string(*type->int_low).size() == std::to_string(*type->int_high).size() &&
             (*type->int_low < 0) == (*type->int_high < 0);
    case TypeKind::kUnion:
      return std::all_of(type->items.begin(), type->items.end(),
                         [](const TypeRef& i) { return ends_itself(i); });
    default:
      return true;  // records, lists and calls do; patterns are left to the grammar
  }
}

bool may_be_empty(const TypeRef& given) {
  const TypeRef type = resolve(given);
  if (type == nullptr) return false;
  switch (type->kind) {
    case TypeKind::kLiteral:
      return type->literal.is_string() && type->literal.get<std::string>().empty();
    case TypeKind::kEnum:
      return std::any_of(type->cases.begin(), type->cases.end(),
                         [](const auto& c) { return c.surface.empty(); });
    case TypeKind::kRegex:
      return pattern_matches(type->pattern, "");
    case TypeKind::kUnion:
      return std::any_of(type->items.begin(), type->items.end(),
                         [](const TypeRef& i) { return may_be_empty(i); });
    default:
      return false;
  }
}

bool has_unknown(const TypeRef& type, int depth) {
  if (type == nullptr) return true;
  if (depth <= 0) return false;
  return std::any_of(type->items.begin(), type->items.end(),
                     [&](const TypeRef& i) { return has_unknown(i, depth - 1); }) ||
         std::any_of(type->fields.begin(), type->fields.end(),
                     [&](const auto& f) { return has_unknown(f.type, depth - 1); });
}

std::optional<Ambiguity> find_ambiguity(const std::vector<TypeRef>& alternatives, bool json) {
  for (std::size_t j = 1; j < alternatives.size(); ++j)
    for (std::size_t i = 0; i < j; ++i)
      if (auto why = clash(alternatives[i], alternatives[j], json, 0); !why.empty())
        return Ambiguity{i, j, std::move(why)};
  return std::nullopt;
}

std::optional<std::string> pattern_error(const std::string& pattern) {
  const RE2 compiled(re2_pattern(pattern), quiet());
  if (compiled.ok()) return std::nullopt;
  // RE2 stops at repeats of 1,000; the language's own parser does not.
  if (compiled.error_code() == RE2::ErrorRepeatSize ||
      compiled.error_code() == RE2::ErrorPatternTooLarge)
    return std::nullopt;
  return compiled.error();
}

}  // namespace espalier::dsl
