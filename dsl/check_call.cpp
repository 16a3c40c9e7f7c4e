// Calls: arguments sorted into parameters, for generators, tools and the language's own functions.
#include <algorithm>

#include "dsl/checker.h"
#include "dsl/suggest.h"

namespace espalier::dsl {

bool Checker::place_arguments(const CallExpr& written, const Span& span,
                              const std::vector<std::string>& names,
                              const std::vector<bool>& required, const std::string& callee,
                              std::vector<const Expr*>& out) {
  out.assign(names.size(), nullptr);
  bool named = false;
  bool good = true;
  std::size_t position = 0;
  for (const Argument& argument : written.arguments) {
    std::size_t at = position;
    if (argument.name) {
      named = true;
      at = static_cast<std::size_t>(std::find(names.begin(), names.end(), argument.name->text) -
                                    names.begin());
      if (at == names.size()) {
        good = false;
        Diagnostic& diagnostic =
            error("E0207", argument.name->span,
                  "`" + callee + "` has no parameter `" + argument.name->text + "`");
        if (const auto near = suggest(argument.name->text, names); !near.empty()) {
          diagnostic.help = "did you mean `" + near + "`?";
          diagnostic.replacements.push_back({argument.name->span, near});
        }
        continue;
      }
    } else {
      if (named) {
        good = false;
        error("E0207", argument.value->span,
              "an argument without a name stands before those with one");
        continue;
      }
      if (position >= names.size()) {
        good = false;
        error("E0207", argument.value->span,
              "`" + callee + "` takes " + std::to_string(names.size()) +
                  (names.size() == 1 ? " argument" : " arguments"),
              "one too many");
        continue;
      }
      ++position;
    }
    if (out[at] != nullptr) {
      good = false;
      error("E0105", argument.value->span, "the argument `" + names[at] + "` is given twice");
      continue;
    }
    out[at] = argument.value.get();
  }
  for (std::size_t i = 0; i < names.size(); ++i)
    if (required[i] && out[i] == nullptr && good) {
      error("E0207", span, "`" + callee + "` needs the argument `" + names[i] + "`", "missing");
      good = false;
    }
  return good;
}

Static Checker::call(const Expr& node, const CallExpr& written) {
  const auto unknown_arguments = [&]() -> Static {
    for (const Argument& argument : written.arguments)
      if (!std::holds_alternative<SelectorExpr>(argument.value->node)) expr(*argument.value);
    return {};
  };
  const auto callee = spelled_name(*written.callee);
  if (!callee) {
    const auto* member = std::get_if<MemberExpr>(&written.callee->node);
    const auto* object = member == nullptr ? nullptr : std::get_if<NameExpr>(&member->object->node);
    if (object != nullptr) {
      if (tainted(object->name.text)) return unknown_arguments();
      if (Variable* variable = find(object->name.text)) variable->used = true;
    }
    const BuiltinInfo* method = member == nullptr ? nullptr : find_builtin(member->key.text);
    error("E0210", written.callee->span,
          "only generators, tools and functions can be called, by name")
        .help = method != nullptr ? "write `" + std::string(method->name) +
                                        "(…)`: " + std::string(method->signature)
                                  : "";
    return unknown_arguments();
  }
  const std::string& word = callee->text;
  CallInfo& info = program_.calls[node.id];
  const Declared* const at = declared(word);
  if (at == nullptr || at->entity == Entity::kType || at->entity == Entity::kFile) {
    if (const BuiltinInfo* builtin = find_builtin(word))
      return builtin_call(node, written, *builtin);
    if (at != nullptr) {
      error("E0210", written.callee->span,
            "`" + word + "` is a " + (at->entity == Entity::kType ? "type" : "file") +
                ": it cannot be called");
    } else if (Variable* variable = find(word)) {
      variable->used = true;
      note_use(callee->span, variable->span);
      error("E0210", written.callee->span, "`" + word + "` is a value: it cannot be called");
    } else {
      std::vector<std::string> known;
      for (const auto& [name, entry] : names())
        if (entry.entity == Entity::kGen || entry.entity == Entity::kTool) known.push_back(name);
      for (const BuiltinInfo& builtin : builtins()) known.emplace_back(builtin.name);
      unknown_name(*callee, "generator, tool or function", known);
    }
    return unknown_arguments();
  }
  note_spelled(*written.callee, word);
  const bool is_gen = at->entity == Entity::kGen;
  const std::vector<Parameter>& parameters =
      is_gen ? program_.gens[at->index].parameters : program_.tools[at->index].parameters;
  std::vector<std::string> names;
  std::vector<bool> required;
  for (const Parameter& parameter : parameters) {
    names.push_back(parameter.name);
    required.push_back(!parameter.omittable && !parameter.fallback);
  }
  info.kind = is_gen ? CalleeKind::kGen : CalleeKind::kTool;
  info.index = at->index;
  const Span close{node.span.file, node.span.end - 1, node.span.end};
  std::vector<const Expr*> arguments;
  place_arguments(written, close, names, required, word, arguments);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == nullptr) continue;
    const TypeRef want =
        parameters[i].omittable ? optional_type(parameters[i].type) : parameters[i].type;
    expect(*arguments[i], want, "the argument `" + names[i] + "` is");
  }
  for (const Argument& argument : written.arguments) {
    if (!argument.name) continue;
    for (const Parameter& parameter : parameters)
      if (parameter.name == argument.name->text)
        note_use(argument.name->span, parameter.decl->name.span);
  }
  for (const Argument& argument : written.arguments)  // those that have no place are still checked
    if (std::find(arguments.begin(), arguments.end(), argument.value.get()) == arguments.end())
      expr(*argument.value);
  info.arguments = std::move(arguments);
  if (is_gen) {
    const GenInfo& gen = program_.gens[info.index];
    return {gen.returns ? gen.result : basic_type(TypeKind::kNull)};
  }
  const ToolInfo& tool = program_.tools[info.index];
  auto made = std::make_shared<Type>();
  made->kind = TypeKind::kCall;
  made->fields.push_back({tool.name, tool.real_name, tool.arguments, false, tool.doc});
  return {made};
}

Static Checker::builtin_call(const Expr& node, const CallExpr& written,
                             const BuiltinInfo& builtin) {
  std::vector<std::string> names;
  std::vector<bool> required;
  for (const BuiltinParameter& parameter : builtin.parameters) {
    names.emplace_back(parameter.name);
    required.push_back(parameter.required);
  }
  std::vector<const Expr*> arguments;
  const Span close{node.span.file, node.span.end - 1, node.span.end};
  const std::string word(builtin.name);
  const bool placed = place_arguments(written, close, names, required, word, arguments);
  std::vector<TypeRef> types(arguments.size());
  for (std::size_t i = 0; i < arguments.size(); ++i)
    if (arguments[i] != nullptr && !std::holds_alternative<SelectorExpr>(arguments[i]->node))
      types[i] = expr(*arguments[i]).type;
  CallInfo& info = program_.calls[node.id];
  info.kind = CalleeKind::kBuiltin;
  info.builtin = builtin.id;
  info.arguments = arguments;
  if (!placed) return {};
  return builtin_result(builtin, arguments, types);
}

// Apart, so that calls inside calls take little stack.
[[gnu::noinline]] Static Checker::builtin_result(const BuiltinInfo& builtin,
                                                 const std::vector<const Expr*>& arguments,
                                                 const std::vector<TypeRef>& types) {
  const std::string word(builtin.name);
  const auto wrong = [&](std::size_t i, const std::string& want) -> Static {
    Diagnostic& diagnostic =
        error("E0201", arguments[i]->span,
              "`" + word + "` needs " + want + ", found " + type_name(types[i]));
    diagnostic.help = may_be_null(types[i]) ? "it may be null: test it first (`if x != null { … }`)"
                                            : std::string(builtin.signature);
    return {};
  };
  const auto item_of = [&](std::size_t i) -> std::pair<bool, TypeRef> {
    const TypeRef type = resolve(types[i]);
    if (type == nullptr || type->kind == TypeKind::kJson) return {true, nullptr};
    if (type->kind != TypeKind::kList) return {false, nullptr};
    return {true, type->items.at(0)};
  };
  const auto texty = [&](const TypeRef& type) {
    return is_text(type) || (resolve(type) != nullptr && resolve(type)->kind == TypeKind::kEnum);
  };
  switch (builtin.id) {
    case Builtin::kNear:
      for (std::size_t i = 0; i < 3; ++i)
        if (!is_number(types[i])) return wrong(i, "a number");
      return {basic_type(TypeKind::kBool)};
    case Builtin::kSum: {
      const auto [list, item] = item_of(0);
      if (!list || !is_number(item)) return wrong(0, "a list of numbers");
      return {item == nullptr ? nullptr
                              : basic_type(is_int(item) ? TypeKind::kInt : TypeKind::kFloat)};
    }
    case Builtin::kMin:
    case Builtin::kMax:
    case Builtin::kSort: {
      const auto [list, item] = item_of(0);
      if (!list) return wrong(0, "a list");
      const TypeRef result = builtin.id != Builtin::kSort ? item
                             : item == nullptr            ? nullptr
                                                          : list_type(item);
      TypeRef key = item;
      if (arguments[1] != nullptr) {
        const auto* selector = std::get_if<SelectorExpr>(&arguments[1]->node);
        if (selector == nullptr) {
          error("E0201", arguments[1]->span, "`by` takes a field's name, as in `by: .score`");
          return {result};
        }
        key = item == nullptr ? nullptr : member_of({item}, selector->key).type;
      }
      if (key != nullptr && !is_number(key) && !is_text(key))
        error("E0201", arguments[arguments[1] != nullptr ? 1 : 0]->span,
              "`" + word + "` orders numbers or texts, found " + type_name(key))
            .help = resolve(key) != nullptr && resolve(key)->kind == TypeKind::kRecord
                        ? "say by which field: `" + word + "(xs, by: .field)`"
                        : "";
      return {result};
    }
    case Builtin::kReverse: {
      const auto [list, item] = item_of(0);
      if (!list) return wrong(0, "a list");
      return {item == nullptr ? nullptr : list_type(item)};
    }
    case Builtin::kSplit:
    case Builtin::kReplace:
      for (std::size_t i = 0; i < types.size(); ++i)
        if (!texty(types[i])) return wrong(i, "a text");
      if (builtin.id == Builtin::kReplace) return {basic_type(TypeKind::kString)};
      return {list_type(basic_type(TypeKind::kString))};
    case Builtin::kLen: {
      const auto [list, item] = item_of(0);
      const bool map = resolve(types[0]) != nullptr && resolve(types[0])->kind == TypeKind::kMap;
      if (!list && !map && !texty(types[0])) return wrong(0, "a list, a map or a text");
      return {basic_type(TypeKind::kInt)};
    }
    case Builtin::kKeys: {
      const TypeRef type = resolve(types[0]);
      if (type != nullptr && type->kind != TypeKind::kMap && type->kind != TypeKind::kJson)
        return wrong(0, "a map");
      return {list_type(basic_type(TypeKind::kString))};
    }
    case Builtin::kJoin: {
      const auto [list, item] = item_of(0);
      if (!list) return wrong(0, "a list");
      if (arguments[1] != nullptr && !is_text(types[1])) return wrong(1, "a text");
      return {basic_type(TypeKind::kString)};
    }
    case Builtin::kInt:
    case Builtin::kFloat:
      if (!is_number(types[0]) && !texty(types[0])) return wrong(0, "a text or a number");
      return {basic_type(builtin.id == Builtin::kInt ? TypeKind::kInt : TypeKind::kFloat)};
    case Builtin::kStr:
    case Builtin::kJson:
      return {basic_type(TypeKind::kString)};
    case Builtin::kRound:
      if (!is_number(types[0])) return wrong(0, "a number");
      if (arguments[1] != nullptr && !is_int(types[1])) return wrong(1, "an int");
      return {basic_type(arguments[1] == nullptr ? TypeKind::kInt : TypeKind::kFloat)};
    case Builtin::kAbs:
      if (!is_number(types[0])) return wrong(0, "a number");
      return {widened(types[0])};
    case Builtin::kLower:
    case Builtin::kUpper:
    case Builtin::kTrim:
      if (!texty(types[0])) return wrong(0, "a text");
      return {basic_type(TypeKind::kString)};
    case Builtin::kContains: {
      const auto [list, item] = item_of(0);
      if (list && !is_text(types[0])) {
        if (!comparable(item, types[1])) return wrong(1, "an item of " + type_name(types[0]));
      } else if (!texty(types[0])) {
        if (!list) return wrong(0, "a text or a list");
      } else if (!texty(types[1])) {
        return wrong(1, "a text");
      }
      return {basic_type(TypeKind::kBool)};
    }
  }
  return {};
}

}  // namespace espalier::dsl
