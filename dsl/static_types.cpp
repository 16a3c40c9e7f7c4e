#include "dsl/static_types.h"

#include <algorithm>
#include <set>

#include "dsl/patterns.h"
#include "dsl/value.h"

namespace espalier::dsl {
namespace {

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
    case TypeKind::kGrammar:
      return "grammar";
    case TypeKind::kSpan:
      return "span";
    case TypeKind::kReference:
      return "…";
    case TypeKind::kOptional:
      return name_of(type->items.at(0), depth + 1) + "?";
    case TypeKind::kList: {
      const TypeRef item = resolve(type->items.at(0));
      const bool compound = item != nullptr && item->name.empty() &&
                            (item->kind == TypeKind::kUnion || item->kind == TypeKind::kCall);
      const std::string inner = name_of(type->items.at(0), depth + 1);
      std::string length = bounds(type->low, type->high);
      if (!length.empty()) length = length.substr(1, length.size() - 2);
      return (compound ? "(" + inner + ")" : inner) + "[" + length + "]";
    }
    case TypeKind::kMap: {
      std::string size = bounds(type->low, type->high);
      if (!size.empty()) size = ", " + size.substr(1, size.size() - 2);
      return "map(" + name_of(type->items.at(0), depth + 1) + size + ")";
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
      return type->fields.size() > 5 ? result + " | …" : result;
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
  if (from_given == nullptr || to_given == nullptr || from_given == to_given ||
      depth > kMaxTypeDepth || --fuel < 0)
    return true;
  const TypeRef from = resolve(from_given);
  const TypeRef to = resolve(to_given);
  if (from == nullptr || to == nullptr || from == to) return true;
  if (to->kind == TypeKind::kJson) return true;
  // A schema's values come out of its holes only: nothing else is checked against it.
  if (to->kind == TypeKind::kSchema)
    return from->kind == TypeKind::kSchema && from->literal == to->literal;
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
    case TypeKind::kGrammar:
    case TypeKind::kSpan:
      return is_text(from);
    case TypeKind::kRegex:
      if (from->kind == TypeKind::kRegex && from->pattern == to->pattern) return true;
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
    case TypeKind::kMap:
      if (from->kind == TypeKind::kRecord)
        return std::all_of(from->fields.begin(), from->fields.end(), [&](const auto& f) {
          return assignable_at(f.type, to->items.at(0), depth + 1, fuel);
        });
      return from->kind == TypeKind::kMap &&
             assignable_at(from->items.at(0), to->items.at(0), depth + 1, fuel);
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

void split(const TypeRef& given, std::vector<TypeRef>& out, int depth = 0) {
  const TypeRef type = resolve(given);
  if (type == nullptr || depth > 32) return;
  switch (type->kind) {
    case TypeKind::kOptional:
      split(type->items.at(0), out, depth + 1);
      out.push_back(basic_type(TypeKind::kNull));
      break;
    case TypeKind::kUnion:
      for (const TypeRef& item : type->items) split(item, out, depth + 1);
      break;
    case TypeKind::kBool:
      out.push_back(literal_type(true));
      out.push_back(literal_type(false));
      break;
    case TypeKind::kEnum:
      for (const auto& one : type->cases) {
        auto made = std::make_shared<Type>();
        made->kind = TypeKind::kEnum;
        made->name = type->name;
        made->cases.push_back(one);
        out.push_back(made);
      }
      break;
    case TypeKind::kCall:
      for (const auto& field : type->fields) {
        auto made = std::make_shared<Type>();
        made->kind = TypeKind::kCall;
        made->fields.push_back(field);
        out.push_back(made);
      }
      break;
    default:
      out.push_back(type);
  }
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
  for (int i = 0; i < kMaxTypeDepth && at != nullptr && at->kind == TypeKind::kReference; ++i)
    at = at->target.lock();
  return at;
}

std::string quoted(const std::string& text) {
  // Cut between characters.
  std::size_t end = std::min<std::size_t>(text.size(), 24);
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;
  std::string shown =
      Json(text.substr(0, end)).dump(-1, ' ', false, Json::error_handler_t::replace);
  return end < text.size() ? shown.substr(0, shown.size() - 1) + "…\"" : shown;
}

std::string type_name(const TypeRef& type) { return name_of(type, 0); }

bool is_text(const TypeRef& given) {
  const TypeRef type = resolve(given);
  if (type == nullptr) return true;
  switch (type->kind) {
    case TypeKind::kString:
    case TypeKind::kLine:
    case TypeKind::kGrammar:
    case TypeKind::kSpan:
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

bool is_calls(const TypeRef& given) {
  const TypeRef type = resolve(given);
  if (type == nullptr) return false;
  if (type->kind == TypeKind::kCall) return true;
  const TypeRef item = type->kind == TypeKind::kList ? resolve(type->items.at(0)) : nullptr;
  return item != nullptr && item->kind == TypeKind::kCall;
}

bool writes_calls(const TypeRef& given) {
  const TypeRef type = resolve(given);
  if (is_calls(type)) return true;
  return type != nullptr && type->kind == TypeKind::kUnion &&
         std::any_of(type->items.begin(), type->items.end(),
                     [](const TypeRef& item) { return writes_calls(item); });
}

std::uint32_t value_kinds(const TypeRef& given) {
  const auto bits = [](std::initializer_list<ValueKind> kinds) {
    std::uint32_t out = 0;
    for (const ValueKind kind : kinds) out |= 1U << static_cast<unsigned>(kind);
    return out;
  };
  constexpr std::uint32_t kAny = ~0U;
  std::uint32_t out = 0;
  std::set<const Type*> seen;
  std::vector<TypeRef> open{given};
  while (!open.empty()) {
    const TypeRef type = resolve(open.back());
    open.pop_back();
    if (type == nullptr) return kAny;
    if (!seen.insert(type.get()).second) continue;
    switch (type->kind) {
      case TypeKind::kString:
      case TypeKind::kLine:
      case TypeKind::kGrammar:
      case TypeKind::kSpan:
        out |= bits({ValueKind::kString});
        break;
      case TypeKind::kRegex:
        out |= bits({is_text(type) ? ValueKind::kString : ValueKind::kRecord});
        break;
      case TypeKind::kInt:
        out |= bits({ValueKind::kInt});
        break;
      case TypeKind::kFloat:
        out |= bits({ValueKind::kInt, ValueKind::kFloat});
        break;
      case TypeKind::kBool:
        out |= bits({ValueKind::kBool});
        break;
      case TypeKind::kNull:
        out |= bits({ValueKind::kNull});
        break;
      case TypeKind::kLiteral:
        if (type->literal.is_boolean()) {
          out |= bits({ValueKind::kBool});
        } else if (type->literal.is_number()) {
          out |= bits({ValueKind::kInt, ValueKind::kFloat});
        } else {
          out |= bits({ValueKind::kString});
        }
        break;
      case TypeKind::kEnum:
        out |= bits({ValueKind::kVariant, ValueKind::kString});
        break;
      case TypeKind::kOptional:
        out |= bits({ValueKind::kNull});
        [[fallthrough]];
      case TypeKind::kUnion:
        open.insert(open.end(), type->items.begin(), type->items.end());
        break;
      case TypeKind::kList:
        out |= bits({ValueKind::kList, ValueKind::kRange});
        break;
      case TypeKind::kRecord:
      case TypeKind::kMap:
        out |= bits({ValueKind::kRecord});
        break;
      case TypeKind::kCall:
        out |= bits({ValueKind::kCall});
        break;
      default:
        return kAny;
    }
  }
  return out;
}

std::vector<TypeRef> cases_of(const TypeRef& type) {
  std::vector<TypeRef> out;
  split(type, out);
  return out;
}

std::optional<std::vector<Json>> listed_values(const TypeRef& given) {
  constexpr std::size_t kMost = 256;
  std::vector<Json> out;
  std::vector<TypeRef> open{given};
  while (!open.empty()) {
    const TypeRef type = resolve(open.back());
    open.pop_back();
    if (type == nullptr || out.size() + open.size() > kMost) return std::nullopt;
    switch (type->kind) {
      case TypeKind::kLiteral:
        out.push_back(type->literal);
        break;
      case TypeKind::kEnum:
        for (const auto& one : type->cases) out.emplace_back(one.surface);
        break;
      case TypeKind::kBool:
        out.emplace_back(true);
        out.emplace_back(false);
        break;
      case TypeKind::kNull:
        out.emplace_back(nullptr);
        break;
      case TypeKind::kOptional:
        out.emplace_back(nullptr);
        [[fallthrough]];
      case TypeKind::kUnion:
        open.insert(open.end(), type->items.begin(), type->items.end());
        break;
      default:
        return std::nullopt;
    }
  }
  if (out.size() > kMost) return std::nullopt;
  return out;
}

bool told_apart(const TypeRef& one_given, const TypeRef& other_given) {
  const TypeRef one = resolve(one_given);
  const TypeRef other = resolve(other_given);
  if (one == nullptr || other == nullptr || one->kind != TypeKind::kRecord ||
      other->kind != TypeKind::kRecord)
    return false;
  const auto named = [](const TypeRef& type, const std::string& name) -> const grammar::Field* {
    const auto at = std::find_if(type->fields.begin(), type->fields.end(),
                                 [&](const auto& field) { return field.name == name; });
    return at == type->fields.end() ? nullptr : &*at;
  };
  for (const auto& field : one->fields)
    if (!field.omittable && named(other, field.name) == nullptr) return true;
  for (const auto& field : other->fields) {
    if (field.omittable) continue;
    const grammar::Field* same = named(one, field.name);
    if (same == nullptr) return true;
    const TypeRef wanted = same->omittable ? optional_type(same->type) : same->type;
    if ((value_kinds(wanted) & value_kinds(field.type)) == 0) return true;
    const auto these = listed_values(wanted);
    const auto those = listed_values(field.type);
    if (these && those && std::none_of(those->begin(), those->end(), [&](const Json& value) {
          return std::find(these->begin(), these->end(), value) != these->end();
        }))
      return true;
  }
  return false;
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

bool holds_span(const TypeRef& type) {
  std::set<const Type*> seen;
  std::vector<TypeRef> open{type};
  while (!open.empty()) {
    const TypeRef one = resolve(open.back());
    open.pop_back();
    if (one == nullptr || !seen.insert(one.get()).second) continue;
    if (one->kind == TypeKind::kSpan) return true;
    open.insert(open.end(), one->items.begin(), one->items.end());
    for (const auto& field : one->fields) open.push_back(field.type);
  }
  return false;
}

bool has_unknown(const TypeRef& type, int depth) {
  if (type == nullptr) return true;
  if (depth <= 0) return false;
  return std::any_of(type->items.begin(), type->items.end(),
                     [&](const TypeRef& i) { return has_unknown(i, depth - 1); }) ||
         std::any_of(type->fields.begin(), type->fields.end(),
                     [&](const auto& f) { return has_unknown(f.type, depth - 1); });
}

}  // namespace espalier::dsl
