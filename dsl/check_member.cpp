// Members and items: `.field`, `[index]`, and an enum's cases.
#include <algorithm>

#include "dsl/checker.h"
#include "dsl/habits.h"
#include "dsl/patterns.h"
#include "dsl/static_strings.h"
#include "dsl/suggest.h"

namespace espalier::dsl {
namespace {

/// Of `.spans`: where a span stands in its source.
TypeRef span_places() {
  auto place = std::make_shared<Type>();
  place->kind = TypeKind::kRecord;
  for (const char* end : {"start", "end"})
    place->fields.push_back({end, end, basic_type(TypeKind::kInt), false, {}});
  return list_type(place);
}

}  // namespace

std::string Checker::path_of(const Expr& node) {
  if (const auto* e = std::get_if<NameExpr>(&node.node)) return e->name.text;
  if (const auto* e = std::get_if<MemberExpr>(&node.node)) {
    const std::string object = path_of(*e->object);
    return object.empty() ? "" : object + "." + e->key.text;
  }
  return {};
}

Static Checker::member(const Expr& node, const MemberExpr& written) {
  if (const auto whole = spelled_name(node)) return name(node, *whole);  // `other.name`
  // `Topic.lost_card`
  if (const auto object = spelled_name(*written.object); object && find(object->text) == nullptr) {
    const Declared* const at = declared(object->text);
    if (at != nullptr && at->entity == Entity::kType) {
      NameInfo& info = program_.names[written.object->id];
      info.kind = NameKind::kType;
      info.index = at->index;
      const TypeRef named = program_.types[info.index].type;
      const TypeRef type = resolve(named);
      note_spelled(*written.object, object->text);
      if (type == nullptr) return {};
      if (type->kind != TypeKind::kEnum) {
        error("E0210", written.object->span,
              "`" + object->text + "` is a type without cases, not a value");
        return {};
      }
      std::vector<std::string> cases;
      for (const auto& one : type->cases) cases.push_back(one.name);
      if (std::find(cases.begin(), cases.end(), written.key.text) == cases.end()) {
        Diagnostic& diagnostic =
            error("E0205", written.key.span,
                  "`" + object->text + "` has no case `" + written.key.text + "`");
        if (const auto near = suggest(written.key.text, cases); !near.empty()) {
          diagnostic.help = "did you mean `" + near + "`?";
          diagnostic.replacements.push_back({written.key.span, near});
        }
      }
      note_case(written.key.span, type->name, written.key.text);
      return {named};
    }
  }
  const Static object = expr(*written.object);
  Static result = member_of(object, written.key);
  if (const std::string path = path_of(node); !path.empty())
    for (auto fact = facts_.rbegin(); fact != facts_.rend(); ++fact)
      if (fact->first == path) {
        result.type = fact->second;
        break;
      }
  return result;
}

Static Checker::member_of(const Static& object, const Identifier& key) {
  if (object.type == nullptr) return {};
  if (const TypeRef found = field_of(object.type, key, true)) return {found};
  const TypeRef type = resolve(object.type);
  const bool has_field = type != nullptr && type->kind == TypeKind::kRecord &&
                         std::any_of(type->fields.begin(), type->fields.end(),
                                     [&](const auto& f) { return f.name == key.text; });
  if (has_field) return {};
  if (key.text == "truncated" && object.from_hole) return {basic_type(TypeKind::kBool)};
  if (key.text == "p" && object.selected) return {basic_type(TypeKind::kFloat)};
  if (key.text == "dist" && object.selected) {
    auto made = std::make_shared<Type>();
    made->kind = TypeKind::kRecord;
    for (const std::string& choice : choice_names(object.type, 4096))
      made->fields.push_back({choice, choice, basic_type(TypeKind::kFloat), false, ""});
    if (notes_ != nullptr && type != nullptr && type->kind == TypeKind::kEnum)
      notes_->by_case(made, type->name);
    return {made};
  }
  if ((key.text == "p" || key.text == "dist") && object.from_hole) {
    error("E0205", key.span, "only a `select` hole has `." + key.text + "`").help =
        "write `$[name: select Type]`";
    return {};
  }
  field_of(object.type, key, false);
  return {};
}

/// The type of `object.key`, or null: reported unless `quiet`.
TypeRef Checker::field_of(const TypeRef& given, const Identifier& key, bool quiet) {
  const TypeRef type = resolve(given);
  if (type == nullptr) return nullptr;
  const auto refuse = [&](const std::string& message, const std::vector<std::string>& known,
                          const std::string& help) -> TypeRef {
    if (quiet) return nullptr;
    Diagnostic& diagnostic = error("E0205", key.span, message);
    diagnostic.help = help;
    if (const auto near = suggest(key.text, known); !near.empty()) {
      diagnostic.help = "did you mean `" + near + "`?";
      diagnostic.replacements.push_back({key.span, near});
    } else if (!known.empty() && known.size() <= 12) {
      diagnostic.help = "it has ";
      for (std::size_t i = 0; i < known.size(); ++i)
        diagnostic.help += (i > 0 ? ", `" : "`") + known[i] + "`";
    }
    return nullptr;
  };
  switch (type->kind) {
    case TypeKind::kRecord: {
      std::vector<std::string> known;
      for (const auto& field : type->fields) {
        if (field.name == key.text) {
          // A field that was left out is null, unless its record has a default for it.
          note_field(key.span, type, key.text);
          const TypeInfo* declared = type->name.empty() ? nullptr : program_.type(type->name);
          const bool filled = declared != nullptr && declared->defaults.count(field.name) > 0;
          return field.omittable && !filled ? optional_type(field.type) : field.type;
        }
        known.push_back(field.name);
      }
      return refuse("`" + type_name(given) + "` has no field `" + key.text + "`", known, "");
    }
    case TypeKind::kRegex: {
      const TypeRef groups = group_record(type->pattern);
      if (groups == nullptr)
        return refuse("this pattern has no named groups", {}, "name one: `(?<" + key.text + ">…)`");
      return field_of(groups, key, quiet);
    }
    case TypeKind::kList: {
      const TypeRef item = field_of(type->items.at(0), key, quiet);
      return item == nullptr ? nullptr : list_type(item);
    }
    case TypeKind::kEnum:
      if (key.text == "doc") return basic_type(TypeKind::kString);
      return refuse("a case has no `" + key.text + "`", {"doc"}, "");
    case TypeKind::kSpan:
      if (key.text == "spans") return span_places();
      return refuse("a span has no `" + key.text + "`", {"spans"}, "");
    case TypeKind::kOptional:
      return refuse("this may be null, so it has no `." + key.text + "` yet", {},
                    "test it first: `if … != null { … }`");
    case TypeKind::kUnion: {
      TypeRef result;
      for (const TypeRef& item : type->items) {
        const TypeRef found = field_of(item, key, true);
        if (found == nullptr) {
          if (may_be_null(type))
            return refuse("this may be null, so it has no `." + key.text + "` yet", {},
                          "test it first: `if … != null { … }`");
          return refuse(
              "not every alternative of " + type_name(given) + " has a field `" + key.text + "`",
              {}, "`match` tells them apart");
        }
        result = result == nullptr ? found : unify(result, found);
      }
      return result;
    }
    case TypeKind::kCall:
      if (key.text == "name") return basic_type(TypeKind::kString);  // of its tool
      return refuse("a call's arguments are read by `match`", {},
                    "as in `match call { tool(argument) => … }`");
    case TypeKind::kMap:
      return refuse("a map's values are read by their keys", {}, "write `[\"" + key.text + "\"]`");
    case TypeKind::kJson:
    case TypeKind::kSchema:
      return nullptr;
    default:
      return refuse(type_name(given) + " has no fields", {}, habit_of_field(key.text));
  }
}

Static Checker::index(const IndexExpr& written) {
  const Static object = expr(*written.object);
  const TypeRef type = resolve(object.type);
  const auto* range = std::get_if<BinaryExpr>(&written.index->node);
  const bool part = range != nullptr && range->op == BinaryOp::kRange;
  if (part && type != nullptr &&
      (type->kind == TypeKind::kList || type->kind == TypeKind::kEnum || is_text(type))) {
    expr(*written.index);
    return {type->kind == TypeKind::kJson   ? nullptr
            : type->kind == TypeKind::kList ? list_type(type->items.at(0))
                                            : basic_type(TypeKind::kString)};
  }
  if (type == nullptr || type->kind == TypeKind::kJson || type->kind == TypeKind::kSchema) {
    expr(*written.index);
    return {};
  }
  if (type->kind == TypeKind::kMap) {
    expect(*written.index, basic_type(TypeKind::kString), "a map is indexed by");
    return {type->items.at(0)};
  }
  if (type->kind == TypeKind::kRecord) {
    expect(*written.index, basic_type(TypeKind::kString), "a record is indexed by");
    TypeRef all;
    for (const auto& field : type->fields)
      all = all == nullptr ? field.type : unify(all, field.type);
    return {all};
  }
  if (type->kind != TypeKind::kList) {
    expr(*written.index);
    error("E0206", written.object->span, type_name(object.type) + " cannot be indexed").help =
        may_be_null(type) ? "it may be null: test it first"
        : is_text(type)   ? "for its first three characters write `[0..2]`"
                          : "";
    return {};
  }
  expect(*written.index, basic_type(TypeKind::kInt), "a list is indexed by");
  if (const auto* number = std::get_if<NumberExpr>(&written.index->node);
      number != nullptr && number->number.integer && number->number.int_value < 0)
    error("E0211", written.index->span, "a list has no item before its first, which is at 0").help =
        "the last item is `xs[len(xs) - 1]`";
  return {type->items.at(0)};
}

}  // namespace espalier::dsl
