#include "dsl/static_strings.h"

#include <algorithm>
#include <set>

#include "dsl/grammar_blocks.h"
#include "dsl/patterns.h"

namespace espalier::dsl {
namespace {

/// Which first characters a JSON value of the type may have; '"' for strings, '0' for numbers.
void first_signs(const TypeRef& given, std::set<char>& out, int depth) {
  const TypeRef type = resolve(given);
  if (type == nullptr || depth > kMaxTypeDepth) return;
  switch (type->kind) {
    case TypeKind::kString:
    case TypeKind::kLine:
    case TypeKind::kRegex:
    case TypeKind::kEnum:
    case TypeKind::kGrammar:
    case TypeKind::kSpan:
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
    case TypeKind::kMap:
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
  if (type == nullptr || depth > kMaxTypeDepth) return std::nullopt;
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

/// Why two alternatives cannot be told apart, or empty.
std::string clash(const TypeRef& a_given, const TypeRef& b_given, bool json, int depth) {
  const TypeRef a = resolve(a_given);
  const TypeRef b = resolve(b_given);
  if (a == nullptr || b == nullptr || depth > kMaxTypeDepth) return {};
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
    return t->kind == TypeKind::kString || t->kind == TypeKind::kLine ||
           t->kind == TypeKind::kGrammar || t->kind == TypeKind::kSpan;
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
      if (pattern_holds(pattern->pattern, one)) return "the pattern matches " + quoted(one);
    return {};
  };
  if (a->kind == TypeKind::kRegex && b_fixed) return by_pattern(a, *b_fixed);
  if (b->kind == TypeKind::kRegex && a_fixed) return by_pattern(b, *a_fixed);
  if (a->kind == TypeKind::kRegex || b->kind == TypeKind::kRegex) return {};
  if (std::find(both.begin(), both.end(), '0') != both.end()) return "both may be numbers";
  if (a->kind == TypeKind::kList && b->kind == TypeKind::kList) return "both are lists";
  const auto map_with_object = [](const TypeRef& x, const TypeRef& y) {
    return x->kind == TypeKind::kMap &&
           (y->kind == TypeKind::kMap || y->kind == TypeKind::kRecord ||
            y->kind == TypeKind::kCall);
  };
  if (map_with_object(a, b) || map_with_object(b, a)) return "both are objects";
  const auto call_with_record = [](const TypeRef& x, const TypeRef& y) {
    return x->kind == TypeKind::kCall && y->kind == TypeKind::kRecord;
  };
  if (call_with_record(a, b) || call_with_record(b, a)) return "both are objects";
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
    case TypeKind::kGrammar:
    case TypeKind::kSpan:
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
      return pattern_holds(type->pattern, "");
    case TypeKind::kGrammar:
      return nullable_rules(*type->rules).count(grammar::GrammarRules::kStart) > 0;
    case TypeKind::kUnion:
      return std::any_of(type->items.begin(), type->items.end(),
                         [](const TypeRef& i) { return may_be_empty(i); });
    default:
      return false;
  }
}

std::optional<Ambiguity> find_ambiguity(const std::vector<TypeRef>& alternatives, bool json) {
  for (std::size_t j = 1; j < alternatives.size(); ++j)
    for (std::size_t i = 0; i < j; ++i)
      if (auto why = clash(alternatives[i], alternatives[j], json, 0); !why.empty())
        return Ambiguity{i, j, std::move(why)};
  return std::nullopt;
}

}  // namespace espalier::dsl
