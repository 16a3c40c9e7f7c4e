// Types by their names: declared ones, and those of the language with their arguments.
#include <algorithm>
#include <array>

#include "base/fuel.h"
#include "dsl/checker.h"
#include "dsl/suggest.h"
#include "dsl/text_formats.h"
#include "grammar/expression.h"
#include "grammar/json_schema.h"
#include "grammar/json_text.h"
#include "grammar/matcher.h"

namespace espalier::dsl {
namespace {

constexpr std::array<std::string_view, 18> kBuiltinTypes = {
    "string", "line", "int",   "float", "bool", "null",   "json", "date", "datetime",
    "time",   "uuid", "email", "url",   "map",  "schema", "span", "cite", "think"};

bool is_builtin_type(std::string_view name) {
  return std::find(kBuiltinTypes.begin(), kBuiltinTypes.end(), name) != kBuiltinTypes.end();
}

}  // namespace

TypeRef Checker::named_type(const TypeExpr& written, const NamedType& named) {
  if (named.member) {
    // `other.Type`: a type of a file that is used as `other`.
    const Declared* const file = declared(named.name.text);
    if (file != nullptr && file->entity == Entity::kFile) {
      NamedType inside;
      inside.name = {named.name.text + "." + named.member->text, written.span};
      inside.called = named.called;
      note_use(named.name.span, file->span);
      if (const Declared* const inner = declared(inside.name.text))
        note_use(named.member->span, inner->span);
      return named_type(written, inside);
    }
  }
  const std::string& word = named.name.text;
  const auto no_arguments = [&] {
    if (named.called)
      error("E0211", written.span, "`" + word + "` takes no arguments in parentheses");
  };
  if (const Declared* const at = declared(word)) {
    // The parts of `other.name` were noted one by one.
    if (word.find('.') == std::string::npos) note_use(named.name.span, at->span);
    no_arguments();
    if (at->entity == Entity::kGen) {
      error("E0210", named.name.span, "`" + word + "` is a generator, not a type");
      return nullptr;
    }
    if (at->entity == Entity::kFile) {
      error("E0210", named.name.span, "`" + word + "` is a file: name a type of it").help =
          "as in `" + word + ".Type`";
      return nullptr;
    }
    if (at->entity == Entity::kTool) {
      if (named.member) {
        error("E0205", named.member->span, "a tool has no cases");
        return nullptr;
      }
      const ToolInfo& tool = program_.tools[at->index];
      auto made = std::make_shared<Type>();
      made->kind = TypeKind::kCall;
      grammar::Field field;
      field.name = tool.name;
      field.key = tool.real_name;
      field.type = tool.arguments;
      field.doc = tool.doc;
      made->fields.push_back(std::move(field));
      return made;
    }
    const TypeRef found = declared_type(at->index, named.name.span);
    if (!named.member) return found;
    const TypeRef resolved = resolve(found);
    if (resolved == nullptr) return nullptr;
    if (resolved->kind != TypeKind::kEnum) {
      error("E0205", named.member->span, "`" + word + "` has no cases: it is not an enum");
      return nullptr;
    }
    for (const auto& one : resolved->cases)
      if (one.name == named.member->text) {
        note_case(named.member->span, resolved->name, one.name);
        auto made = std::make_shared<Type>();
        made->kind = TypeKind::kEnum;
        made->name = resolved->name;
        made->cases.push_back(one);
        return made;
      }
    std::vector<std::string> names;
    for (const auto& one : resolved->cases) names.push_back(one.name);
    Diagnostic& diagnostic = error("E0205", named.member->span,
                                   "`" + word + "` has no case `" + named.member->text + "`");
    if (const auto near = suggest(named.member->text, names); !near.empty())
      diagnostic.help = "did you mean `" + near + "`?";
    return nullptr;
  }
  if (is_builtin_type(word) && !named.member) return builtin_type(written, named);
  if (tainted(word)) return nullptr;
  std::vector<std::string> known(kBuiltinTypes.begin(), kBuiltinTypes.end());
  for (const auto& [name, entry] : names())
    if (entry.entity == Entity::kType || entry.entity == Entity::kTool) known.push_back(name);
  unknown_name(named.name, "type", known);
  return nullptr;
}

TypeRef Checker::builtin_type(const TypeExpr& written, const NamedType& named) {
  const std::string& word = named.name.text;
  const auto wrong = [&](const Span& span, const std::string& want) -> TypeRef {
    error("E0211", span, "`" + word + "` takes " + want);
    return nullptr;
  };
  if (word == "schema") return schema_type(written, named);
  if (word == "map") return map_type(written, named);
  if (word == "cite") return cite_type(written, named);
  if (word == "think") {
    error("E0211", written.span, "`think` is all that its hole holds").help =
        "write a hole of its own before the answer: `$[why: think]`";
    return nullptr;
  }
  auto made = std::make_shared<Type>();
  if (std::string format = text_format(word); !format.empty()) {
    if (named.called) return wrong(written.span, "no arguments");
    made->kind = TypeKind::kRegex;
    made->pattern = std::move(format);
    made->name = word;
    return made;
  }
  made->kind = word == "string"  ? TypeKind::kString
               : word == "line"  ? TypeKind::kLine
               : word == "int"   ? TypeKind::kInt
               : word == "float" ? TypeKind::kFloat
               : word == "bool"  ? TypeKind::kBool
               : word == "null"  ? TypeKind::kNull
               : word == "span"  ? TypeKind::kSpan
                                 : TypeKind::kJson;
  if (!named.called) return made;
  const bool bounded = made->kind == TypeKind::kString || made->kind == TypeKind::kLine ||
                       made->kind == TypeKind::kInt || made->kind == TypeKind::kFloat;
  if (!bounded) return wrong(written.span, "no arguments");
  const auto* range =
      named.arguments.size() == 1 ? std::get_if<RangeLiteral>(&named.arguments[0]) : nullptr;
  if (range == nullptr) return wrong(written.span, "one range, as in `" + word + "(1..9)`");
  if (made->kind == TypeKind::kString || made->kind == TypeKind::kLine) {
    if (!length_bounds(*range, *made)) return nullptr;
    if (made->high && *made->high == 0) {
      error("E0301", range->span, "no text fits this type", "only the empty one would");
      return nullptr;
    }
    return made;
  }
  const auto swapped = [&] {
    error("E0301", range->span, "no number fits this type", "the lower end is above the upper end")
        .help = "write " + word + "(" + written_number(*range->high) + ".." +
                written_number(*range->low) + ")";
  };
  if (made->kind == TypeKind::kInt) {
    for (const auto* end : {&range->low, &range->high})
      if (*end && !(*end)->integer) return wrong((*end)->span, "whole numbers as its ends");
    if (range->low) made->int_low = range->low->int_value;
    if (range->high) made->int_high = range->high->int_value;
    if (made->int_low && made->int_high && *made->int_low > *made->int_high) {
      swapped();
      return nullptr;
    }
    return made;
  }
  if (range->low) made->float_low = range->low->value;
  if (range->high) made->float_high = range->high->value;
  if (made->float_low && made->float_high && *made->float_low > *made->float_high) {
    swapped();
    return nullptr;
  }
  return made;
}

// `{quote: span, value: T}`: the evidence first, then what it says.
TypeRef Checker::cite_type(const TypeExpr& written, const NamedType& named) {
  const auto* item =
      named.arguments.size() == 1 ? std::get_if<TypePtr>(&named.arguments.front()) : nullptr;
  if (item == nullptr) {
    error("E0211", written.span, "`cite` takes the type of what is read out, as in `cite(date)`");
    return nullptr;
  }
  auto made = std::make_shared<Type>();
  made->kind = TypeKind::kRecord;
  made->fields.push_back({"quote", "quote", basic_type(TypeKind::kSpan), false, {}});
  made->fields.push_back({"value", "value", type_at(**item, Place::kJson), false, {}});
  return made->fields.back().type == nullptr ? nullptr : made;
}

TypeRef Checker::map_type(const TypeExpr& written, const NamedType& named) {
  const auto* item =
      named.arguments.empty() ? nullptr : std::get_if<TypePtr>(&named.arguments.front());
  const auto* size =
      named.arguments.size() == 2 ? std::get_if<RangeLiteral>(&named.arguments[1]) : nullptr;
  if (item == nullptr || named.arguments.size() > 2 ||
      (named.arguments.size() == 2 && size == nullptr)) {
    error("E0211", written.span, "`map` takes the type of its values, as in `map(string)`").help =
        "and how many entries it has: `map(string, 1..20)`";
    return nullptr;
  }
  auto made = std::make_shared<Type>();
  made->kind = TypeKind::kMap;
  made->items.push_back(type_at(**item, Place::kJson));
  if (made->items[0] == nullptr) return nullptr;
  if (size != nullptr && !length_bounds(*size, *made)) return nullptr;
  if (made->low.value_or(0) > 1) {
    error("E0211", size->span, "a map may ask for one entry at least, not for more",
          "a mask cannot tell new keys from repeated ones")
        .help = "write 1.." + (made->high ? std::to_string(*made->high) : "");
    return nullptr;
  }
  return made;
}

TypeRef Checker::schema_type(const TypeExpr& written, const NamedType& named) {
  const auto* argument =
      named.arguments.size() == 1 ? std::get_if<TypePtr>(&named.arguments[0]) : nullptr;
  const auto* literal =
      argument == nullptr ? nullptr : std::get_if<LiteralType>(&(*argument)->node);
  const auto* path = literal == nullptr ? nullptr : std::get_if<std::string>(&literal->value);
  if (path == nullptr || path->empty()) {
    error("E0211", written.span, "`schema` takes the path of a JSON Schema").help =
        "as in `schema(\"letter.schema.json\")`";
    return nullptr;
  }
  const Span& place = (*argument)->span;
  const std::string where = path_beside(source().name(), *path);
  auto known = program_.schemas.find(where);
  if (known == program_.schemas.end()) {
    if (read_ == nullptr) {
      error("E0117", place, "\"" + *path + "\" cannot be read: no files are at hand");
      return nullptr;
    }
    auto text = read_(where);
    if (!text) {
      error("E0117", place, text.error().message);
      return nullptr;
    }
    known = program_.schemas.emplace(where, std::move(*text)).first;
  }
  const auto refuse = [&](const Error& why) {
    error("E0309", place, "this schema cannot be enforced: " + why.message);
    return nullptr;
  };
  auto document = read_json_exactly(known->second);
  if (!document) return refuse(document.error());
  if (grammar::holds_number_text(*document)) {  // the document is also shown as text
    return refuse(
        {ErrorCode::kUnsupported, "a number of more digits than 64 bits or a double keep"});
  }
  Fuel fuel("compile steps", grammar::Limits().compile_fuel);
  grammar::ExpressionPool pool(fuel);
  const auto compiled = grammar::schema_expression(pool, *document);
  if (!compiled) return refuse(compiled.error());
  if (!pool.ok()) return refuse(pool.status().error());
  auto made = std::make_shared<Type>();
  made->kind = TypeKind::kSchema;
  made->literal = std::move(*document);
  return made;
}

void Checker::from_outside(const TypeRef& type, const Span& span) {
  std::set<const Type*> seen;
  std::vector<TypeRef> open{type};
  while (!open.empty()) {
    const TypeRef one = resolve(open.back());
    open.pop_back();
    if (one == nullptr || !seen.insert(one.get()).second) continue;
    if (one->kind == TypeKind::kSchema) {
      error("E0211", span, "what comes from outside is not checked against a schema file",
            "holds a `schema(…)`")
          .help = "take it as `json`, or write its type";
      return;
    }
    open.insert(open.end(), one->items.begin(), one->items.end());
    for (const auto& field : one->fields) open.push_back(field.type);
  }
}

}  // namespace espalier::dsl
