// Expressions: each gets a static type; what an operator, a member or a name cannot do is said
// where it stands.
#include <algorithm>

#include "dsl/checker.h"
#include "dsl/habits.h"
#include "dsl/parser.h"
#include "dsl/static_strings.h"
#include "dsl/suggest.h"

namespace espalier::dsl {
namespace {

// One whose target is wrong (reported) counts as well.
bool runnable(const ToolInfo& tool) {
  return tool.transport != Transport::kNone || tool.decl->transport != std::nullopt;
}

// The case of an enum that a text stands for, or some case.
const std::string& case_for(const grammar::Type& text, const grammar::Type& cases) {
  if (text.kind == TypeKind::kLiteral && text.literal.is_string()) {
    for (const auto& one : cases.cases)
      if (text.literal == one.surface || text.literal == one.name) return one.name;
  }
  return cases.cases.front().name;
}

}  // namespace

Static Checker::expr(const Expr& node, const TypeRef& expected) {
  Static result = expr_node(node, expected);
  program_.values[node.id] = result.type;
  return result;
}

Static Checker::expr_node(const Expr& node, const TypeRef& expected) {
  const auto boolean = [] { return Static{basic_type(TypeKind::kBool)}; };
  if (std::holds_alternative<NullExpr>(node.node)) return {basic_type(TypeKind::kNull)};
  if (std::holds_alternative<BoolExpr>(node.node)) return boolean();
  if (const auto* e = std::get_if<NumberExpr>(&node.node))
    return {literal_type(e->number.integer ? Json(e->number.int_value) : Json(e->number.value))};
  if (const auto* e = std::get_if<TextExpr>(&node.node)) {
    text(e->text, true);
    if (e->text.chunks.empty()) return {literal_type("")};
    const auto* only =
        e->text.chunks.size() == 1 ? std::get_if<LiteralChunk>(&e->text.chunks[0]) : nullptr;
    return {only != nullptr ? literal_type(only->bytes) : basic_type(TypeKind::kString)};
  }
  if (const auto* e = std::get_if<NameExpr>(&node.node)) return name(node, e->name);
  if (std::holds_alternative<SelectorExpr>(node.node)) {
    error("E0210", node.span, "a selector stands only as an argument, as in `max(xs, by: .score)`");
    return {};
  }
  if (const auto* e = std::get_if<ListExpr>(&node.node)) return list(*e, expected);
  if (const auto* e = std::get_if<RecordExpr>(&node.node)) return record(node, *e, expected);
  if (const auto* e = std::get_if<CallExpr>(&node.node)) return call(node, *e);
  if (const auto* e = std::get_if<MemberExpr>(&node.node)) return member(node, *e);
  if (const auto* e = std::get_if<IndexExpr>(&node.node)) return index(*e);
  if (const auto* e = std::get_if<UnaryExpr>(&node.node)) {
    if (e->op == UnaryOp::kNot) {
      expect(*e->operand, basic_type(TypeKind::kBool), "`not` needs");
      return boolean();
    }
    const Static operand = expr(*e->operand);
    if (!is_number(operand.type)) {
      error("E0206", e->operand->span, "`-` needs a number, found " + type_name(operand.type));
      return {};
    }
    return {widened(operand.type)};
  }
  if (const auto* e = std::get_if<BinaryExpr>(&node.node)) return binary(*e);
  if (const auto* e = std::get_if<ConditionalExpr>(&node.node)) {
    expect(*e->condition, basic_type(TypeKind::kBool), "a condition needs");
    const std::size_t facts = facts_.size();
    learn(*e->condition, true);
    const Static then = expr(*e->then, expected);
    facts_.resize(facts);
    learn(*e->condition, false);
    const Static otherwise = expr(*e->otherwise, expected);
    facts_.resize(facts);
    return {unify(then.type, otherwise.type), then.from_hole && otherwise.from_hole,
            then.selected && otherwise.selected};
  }
  if (const auto* e = std::get_if<RunExpr>(&node.node)) return run_call(node, *e);
  return fork(std::get<ForkExpr>(node.node));
}

Static Checker::expect(const Expr& node, const TypeRef& want, const std::string& what) {
  const Static found = expr(node, want);
  if (!assignable(found.type, want)) mismatch(node.span, want, found.type, what);
  return found;
}

void Checker::mismatch(const Span& span, const TypeRef& want, const TypeRef& found,
                       const std::string& what) {
  const std::string message =
      (what.empty() ? "expected" : what) + " " + type_name(want) + ", found " + type_name(found);
  Diagnostic& diagnostic = error("E0201", span, message, "this is " + type_name(found));
  if (may_be_null(found) && !may_be_null(want) && assignable(without_null(found), want))
    diagnostic.help = "it may be null: test it first (`if x != null { … }`)";
  const TypeRef source = resolve(found);
  const TypeRef target = resolve(want);
  if (source == nullptr || target == nullptr) return;
  if (source->kind == TypeKind::kCall && target->kind != TypeKind::kCall &&
      std::all_of(source->fields.begin(), source->fields.end(), [&](const auto& field) {
        const ToolInfo* tool = program_.tool(field.name);
        return tool != nullptr && runnable(*tool);
      }))
    diagnostic.help = "a call is carried out, and its result had, by `run`";
  if (source->kind == TypeKind::kEnum && is_text(target))
    diagnostic.help = "a case's text is `str(…)`";
  if (is_text(found) && is_number(want))
    diagnostic.help =
        std::string("a text becomes a number by `") + (is_int(want) ? "int" : "float") + "(…)`";
  if (is_number(found) && is_int(want)) diagnostic.help = "`round(…)` gives the nearest int";
  if (is_text(found) && target->kind == TypeKind::kEnum && !target->cases.empty() &&
      !target->name.empty())
    diagnostic.help =
        "write a case, e.g. `" + target->name + "." + case_for(*source, *target) + "`";
  if (source->kind == TypeKind::kRecord && target->kind == TypeKind::kRecord) {
    std::vector<std::string> known;
    for (const auto& field : target->fields) known.push_back(field.name);
    for (const auto& field : source->fields)
      if (std::find(known.begin(), known.end(), field.name) == known.end()) {
        const auto near = suggest(field.name, known);
        diagnostic.help = "`" + field.name + "` is no field of it" +
                          (near.empty() ? "" : ": did you mean `" + near + "`?");
        return;
      }
    for (const auto& field : target->fields) {
      const auto at = std::find_if(source->fields.begin(), source->fields.end(),
                                   [&](const auto& f) { return f.name == field.name; });
      if (at == source->fields.end() && !field.omittable) {
        diagnostic.help = "the field `" + field.name + "` is missing";
        return;
      }
      if (at != source->fields.end() && !assignable(at->type, field.type)) {
        diagnostic.help = "`" + field.name + "` should be " + type_name(field.type) + ", it is " +
                          type_name(at->type);
        return;
      }
    }
  }
}

// ---- names
// --------------------------------------------------------------------------------------------------------

std::vector<std::string> Checker::names_in_reach() const {
  std::vector<std::string> result;
  if (diagnostics_.size() >= Diagnostics::kLimit) return result;  // would not be shown
  constexpr std::size_t kMost = 2000;
  for (auto at = variables_.rbegin(); at != variables_.rend() && result.size() < kMost; ++at)
    result.push_back(at->name);
  for (const auto& [name, entry] : names()) {
    if (result.size() >= 2 * kMost) break;
    result.push_back(name);
  }
  return result;
}

void Checker::unknown_name(const Identifier& name, const std::string& kind,
                           const std::vector<std::string>& candidates) {
  if (name.text.empty() || tainted(name.text)) return;
  Diagnostic& diagnostic = error("E0101", name.span, "unknown " + kind + " `" + name.text + "`");
  if (diagnostics_.suppressed() > 0) return;
  diagnostic.help = kind == "type"     ? habit_of_type(name.text)
                    : kind == "option" ? habit_of_option(name.text)
                                       : "";
  if (!diagnostic.help.empty()) return;
  const std::string near = suggest(name.text, candidates);
  if (near.empty()) {
    if (name.text == "f" &&
        program_.sources[name.span.file].text().substr(name.span.end, 1) == "\"")
      diagnostic.help = "a text needs no `f` before it: `\"${x}\"` puts a value in";
    return;
  }
  diagnostic.help = "did you mean `" + near + "`?";
  diagnostic.replacements.push_back({name.span, near});
  if (Variable* meant = find(near)) meant->used = true;  // not a second thing to say of it
}

Static Checker::name(const Expr& node, const Identifier& written) {
  const std::string& word = written.text;
  NameInfo& info = program_.names[node.id];
  if (Variable* variable = find(word)) {
    info.kind = NameKind::kVariable;
    variable->used = true;
    Static result = variable->value;
    for (auto fact = facts_.rbegin(); fact != facts_.rend(); ++fact)
      if (fact->first == word) {
        result.type = fact->second;
        break;
      }
    note_use(written.span, variable->span, result.type);
    return result;
  }
  if (const Declared* const at = declared(word)) {
    note_spelled(node, word);
    info.index = at->index;
    switch (at->entity) {
      case Entity::kType: {
        info.kind = NameKind::kType;
        const TypeRef type = resolve(program_.types[info.index].type);
        if (type == nullptr) return {};
        if (type->kind == TypeKind::kEnum) return {list_type(program_.types[info.index].type)};
        error("E0210", node.span, "`" + word + "` is a type, not a value").help =
            "`${" + word + "}` prints its schema";
        return {};
      }
      case Entity::kTool:
        info.kind = NameKind::kTool;
        error("E0210", node.span, "`" + word + "` is a tool: call it, as in `run " + word + "(…)`");
        return {};
      case Entity::kGen:
        error("E0210", node.span,
              "`" + word + "` is a generator: call it, as in `" + word + "(…)`");
        return {};
      case Entity::kFile:
        error("E0210", node.span, "`" + word + "` is a file: name something of it").help =
            "as in `" + word + ".name`";
        return {};
    }
  }
  if (word.empty() || tainted(word)) return {};
  if (const auto ended = ended_.find(word); ended != ended_.end()) {
    Diagnostic& diagnostic =
        error("E0102", written.span, "`" + word + "` is not bound on every path to here");
    diagnostic.secondary.push_back({ended->second, "bound only inside this block"});
    return {};
  }
  if (is_keyword(word)) {
    error("E0106", written.span, "`" + word + "` is a word of the language and names no value");
    return {};
  }
  if (find_builtin(word) != nullptr) {
    error("E0210", node.span, "`" + word + "` is a function: call it, as in `" + word + "(…)`");
    return {};
  }
  unknown_name(written, "name", names_in_reach());
  return {};
}

// ---- operators
// ----------------------------------------------------------------------------------------------------

Static Checker::binary(const BinaryExpr& written) {
  if (written.op == BinaryOp::kAnd || written.op == BinaryOp::kOr) {
    const std::string needs = "`" + std::string(spelling(written.op)) + "` needs";
    expect(*written.left, basic_type(TypeKind::kBool), needs);
    const std::size_t facts = facts_.size();
    learn(*written.left, written.op == BinaryOp::kAnd);
    expect(*written.right, basic_type(TypeKind::kBool), needs);
    facts_.resize(facts);
    return {basic_type(TypeKind::kBool)};
  }
  const Static left = expr(*written.left);
  const Static right = expr(*written.right);
  return binary_result(written, left, right);
}

// Apart, so that long chains of operators take little stack.
[[gnu::noinline]] Static Checker::binary_result(const BinaryExpr& written, const Static& left,
                                                const Static& right) {
  const std::string sign(spelling(written.op));
  const auto boolean = [] { return Static{basic_type(TypeKind::kBool)}; };
  const auto refuse = [&](const std::string& why) -> Diagnostic& {
    Diagnostic& diagnostic = error("E0206", written.op_span, "`" + sign + "` " + why);
    diagnostic.secondary.push_back({written.left->span, type_name(left.type)});
    diagnostic.secondary.push_back({written.right->span, type_name(right.type)});
    if (may_be_null(left.type) || may_be_null(right.type))
      diagnostic.help = "it may be null: test it first (`if x != null { … }`)";
    return diagnostic;
  };
  switch (written.op) {
    case BinaryOp::kEqual:
    case BinaryOp::kNotEqual:
      if (!comparable(left.type, right.type)) {
        Diagnostic& diagnostic = refuse("compares values that are never equal");
        const TypeRef type = resolve(left.type);
        const TypeRef other = resolve(right.type);
        std::vector<std::string> known;
        if (type != nullptr && type->kind == TypeKind::kUnion) known = choice_names(type, 100);
        if (other != nullptr && other->kind == TypeKind::kLiteral && other->literal.is_string())
          if (const auto near = suggest(other->literal.get<std::string>(), known); !near.empty())
            diagnostic.help = "did you mean \"" + near + "\"?";
      }
      return boolean();
    case BinaryOp::kLess:
    case BinaryOp::kLessEqual:
    case BinaryOp::kGreater:
    case BinaryOp::kGreaterEqual:
      if (!((is_number(left.type) && is_number(right.type)) ||
            (is_text(left.type) && is_text(right.type))))
        refuse("orders two numbers or two texts");
      return boolean();
    case BinaryOp::kIn: {
      const TypeRef container = resolve(right.type);
      if (container == nullptr || container->kind == TypeKind::kJson) return boolean();
      if (container->kind == TypeKind::kMap && is_text(left.type)) return boolean();
      if (container->kind == TypeKind::kList ? !comparable(left.type, container->items.at(0))
                                             : !(is_text(left.type) && is_text(right.type)))
        refuse("looks for an item in a list or a text in a text");
      return boolean();
    }
    case BinaryOp::kRange:
      if (!is_int(left.type) || !is_int(right.type)) refuse("needs two ints");
      return {list_type(basic_type(TypeKind::kInt))};
    default:
      break;
  }
  if (left.type == nullptr || right.type == nullptr) return {};
  if (is_number(left.type) && is_number(right.type)) {
    const bool whole = is_int(left.type) && is_int(right.type) && written.op != BinaryOp::kDivide;
    const auto* divisor = std::get_if<NumberExpr>(&written.right->node);
    if ((written.op == BinaryOp::kDivide || written.op == BinaryOp::kRemainder) &&
        divisor != nullptr && divisor->number.value == 0)
      error("E0206", written.right->span, "division by zero");
    return {basic_type(whole ? TypeKind::kInt : TypeKind::kFloat)};
  }
  if (written.op == BinaryOp::kAdd) {
    if (is_text(left.type) && is_text(right.type)) return {basic_type(TypeKind::kString)};
    const TypeRef a = resolve(left.type);
    const TypeRef b = resolve(right.type);
    if (a->kind == TypeKind::kList && b->kind == TypeKind::kList)
      return {list_type(unify(a->items.at(0), b->items.at(0)))};
    Diagnostic& diagnostic = refuse("adds two numbers, two texts or two lists");
    if (diagnostic.help.empty() && (is_text(left.type) || is_text(right.type)))
      diagnostic.help = "a text takes any value in: `\"${…}\"`";
    return {};
  }
  refuse("needs two numbers");
  return {};
}

// ---- lists and records
// --------------------------------------------------------------------------------------------

Static Checker::list(const ListExpr& written, const TypeRef& expected) {
  TypeRef want = resolve(without_null(expected));
  if (want != nullptr && want->kind != TypeKind::kList) want = nullptr;
  TypeRef item;
  bool first = true;
  for (const ExprPtr& one : written.items) {
    const TypeRef found = expr(*one, want == nullptr ? nullptr : want->items.at(0)).type;
    item = first ? found : unify(item, found);
    first = false;
  }
  return {list_type(item)};
}

Static Checker::record(const Expr& node, const RecordExpr& written, const TypeRef& expected) {
  if (too_many(written.entries.size(), node.span, "fields")) return {};
  // Of a union's alternatives, the record whose fields have these names.
  TypeRef want = resolve(without_null(expected));
  const auto fits = [&](const TypeRef& type) {
    return type != nullptr && type->kind == TypeKind::kRecord &&
           std::all_of(written.entries.begin(), written.entries.end(), [&](const RecordEntry& e) {
             return std::any_of(type->fields.begin(), type->fields.end(),
                                [&](const auto& f) { return f.name == e.key.text; });
           });
  };
  if (want != nullptr && want->kind == TypeKind::kUnion) {
    TypeRef chosen;
    for (const TypeRef& item : want->items)
      if (fits(resolve(item))) {
        chosen = resolve(item);
        break;
      }
    want = chosen;
  }
  if (want != nullptr && want->kind != TypeKind::kRecord) want = nullptr;
  auto made = std::make_shared<Type>();
  made->kind = TypeKind::kRecord;
  bool complete = want != nullptr && fits(want);
  for (const RecordEntry& entry : written.entries) {
    if (want != nullptr) note_field(entry.key.span, want, entry.key.text);
    if (notes_ != nullptr && entry.value->span == entry.key.span) notes_->key_alone(entry.key.span);
    const auto twice = std::any_of(made->fields.begin(), made->fields.end(),
                                   [&](const auto& f) { return f.name == entry.key.text; });
    if (twice) {
      error("E0105", entry.key.span, "the field `" + entry.key.text + "` is given twice");
      expr(*entry.value);
      continue;
    }
    TypeRef field;
    if (want != nullptr)
      for (const auto& known : want->fields)
        if (known.name == entry.key.text)
          field = known.omittable ? optional_type(known.type) : known.type;
    const Static value = expr(*entry.value, field);
    complete = complete && assignable(value.type, field);
    made->fields.push_back({entry.key.text, entry.key.text, value.type, false, ""});
  }
  if (complete)
    for (const auto& known : want->fields)
      complete = complete && (known.omittable ||
                              std::any_of(made->fields.begin(), made->fields.end(),
                                          [&](const auto& f) { return f.name == known.name; }));
  return {complete ? want : TypeRef(made)};
}

// ---- branches and tools
// -------------------------------------------------------------------------------------------

Static Checker::fork(const ForkExpr& written) {
  if (gen_ == nullptr) {
    error("E0211", written.body.span, "a fork stands only inside a generator");
    return {};
  }
  TypeRef item;
  if (written.over) {
    const Static over = expr(*written.over);
    const TypeRef type = resolve(over.type);
    if (written.variable) {
      if (type != nullptr && type->kind == TypeKind::kList) {
        item = type->items.at(0);
      } else if (type != nullptr && type->kind != TypeKind::kJson) {
        error("E0201", written.over->span,
              "a fork over values needs a list or a range, found " + type_name(over.type));
      }
    } else if (!is_int(over.type)) {
      error("E0201", written.over->span,
            "a fork needs how many branches, an int, found " + type_name(over.type))
          .help = "for one branch an item write `fork x in xs { … }`";
    } else if (const auto* count = std::get_if<NumberExpr>(&written.over->node);
               count != nullptr && count->number.integer &&
               count->number.int_value > static_cast<std::int64_t>(kMaxBranches)) {
      error("E0306", written.over->span,
            too_many_branches(static_cast<std::uint64_t>(count->number.int_value)));
    }
  }
  const std::uint32_t loops = loops_;
  loops_ = 0;
  ++forks_;
  collectors_.push_back({});
  open_scope(written.body.span);
  if (written.variable) bind(*written.variable, {item});
  const bool falls = block(written.body, false);
  close_scope();
  const Collector frame = collectors_.back();
  collectors_.pop_back();
  --forks_;
  loops_ = loops;
  if (frame.yields && falls) {
    const Span end{written.body.span.file, written.body.span.end - 1, written.body.span.end};
    error("E0212", end, "this fork can end without a value", "no `yield` on this path");
  }
  if (!frame.yields && !broken_)
    diagnostics_.warning(
        "W0604", {written.body.span.file, written.body.span.begin, written.body.span.begin + 1},
        "this fork yields nothing", "its text is dropped at its end");
  const TypeRef value =
      frame.yields ? (frame.unknown ? nullptr : frame.type) : basic_type(TypeKind::kNull);
  if (written.over) return {list_type(value)};
  return {value, frame.selected, frame.selected};
}

Static Checker::run_call(const Expr& node, const RunExpr& written) {
  const Static operand = expr(*written.operand);
  const TypeRef type = resolve(operand.type);
  if (type == nullptr) return {};
  const bool many = type->kind == TypeKind::kList;
  const TypeRef called = many ? resolve(type->items.at(0)) : type;
  if (called == nullptr) return {};
  if (called->kind != TypeKind::kCall) {
    error("E0209", node.span, "`run` needs a tool's call, found " + type_name(operand.type)).help =
        "a call is what a hole of a tool's type gives, or `run tool(argument)`";
    return {};
  }
  TypeRef result;
  bool first = true;
  for (const auto& field : called->fields) {
    const ToolInfo* tool = program_.tool(field.name);
    if (tool == nullptr) continue;
    if (!runnable(*tool)) {
      Diagnostic& diagnostic =
          error("E0209", node.span, "`" + tool->name + "` is only a shape: it cannot be run");
      diagnostic.secondary.push_back({tool->decl->name.span, "has no `= python …` or `= exec …`"});
      diagnostic.help =
          called->fields.size() > 1
              ? "take it out first: `match` it, and run what is left"
              : "say how, e.g. `= python \"module:function\"`; from Python, `tools=` may bring it";
    }
    const TypeRef given = tool->decl->result ? tool->result : basic_type(TypeKind::kNull);
    result = first ? given : unify(result, given);
    first = false;
  }
  return {many ? list_type(result) : result};
}

}  // namespace espalier::dsl
