// `match`: what a pattern asks of the value, and which cases no arm takes.
#include <algorithm>

#include "dsl/checker.h"
#include "dsl/suggest.h"
#include "dsl/value.h"

namespace espalier::dsl {
namespace {

/// One type for the cases that are left.
TypeRef merge(const std::vector<TypeRef>& cases) {
  if (cases.empty()) return nullptr;
  std::vector<std::shared_ptr<Type>> made;
  for (const TypeRef& one : cases) {
    const auto same = [&](const std::shared_ptr<Type>& m) {
      return m->kind == one->kind && (one->kind == TypeKind::kCall ||
                                      (one->kind == TypeKind::kEnum && m->name == one->name));
    };
    const auto at = std::find_if(made.begin(), made.end(), same);
    if (at == made.end()) {
      made.push_back(std::make_shared<Type>(*one));
    } else {
      (*at)->cases.insert((*at)->cases.end(), one->cases.begin(), one->cases.end());
      (*at)->fields.insert((*at)->fields.end(), one->fields.begin(), one->fields.end());
    }
  }
  return union_type({made.begin(), made.end()});
}

constexpr std::uint32_t kRecordKind = 1U << static_cast<unsigned>(ValueKind::kRecord);

std::string case_name(const TypeRef& one) {
  if (one->kind == TypeKind::kEnum && one->cases.size() == 1) return one->cases.front().name;
  if (one->kind == TypeKind::kCall && one->fields.size() == 1) return one->fields.front().name;
  return type_name(one);
}
}  // namespace

bool Checker::match(const MatchStmt& node, const Span& span) {
  const Static value = expr(*node.value);
  if (too_many(node.arms.size(), {span.file, span.begin, span.begin + 5}, "arms")) return true;
  const std::vector<TypeRef> cases = cases_of(value.type);
  std::vector<TypeRef> left = cases;
  bool falls = false;
  bool any = false;
  for (std::size_t i = 0; i < node.arms.size(); ++i) {
    const MatchArm& arm = node.arms[i];
    const bool last = i + 1 == node.arms.size();
    const std::vector<TypeRef> before = left;
    pattern(arm.pattern, value.type, cases, left, last);
    const PatternInfo& info = program_.patterns[arm.pattern.id];
    open_scope(arm.body.span);
    const std::size_t facts = facts_.size();
    if (info.test == PatternTest::kAny && arm.pattern.kind == PatternKind::kName &&
        !arm.pattern.called) {
      any = true;
      bind(arm.pattern.name, {before.size() == cases.size() ? value.type : merge(before),
                              value.from_hole, value.selected});
    }
    std::vector<TypeRef> taken;
    for (const TypeRef& one : before)
      if (std::find(left.begin(), left.end(), one) == left.end()) taken.push_back(one);
    if (info.test == PatternTest::kType)
      bind(arm.pattern.name, {merge(taken), value.from_hole, value.selected});
    if (info.test == PatternTest::kTool) {
      const ToolInfo& tool = program_.tools[info.index];
      for (const Identifier& name : arm.pattern.bindings) {
        const auto at = std::find_if(tool.parameters.begin(), tool.parameters.end(),
                                     [&](const Parameter& p) { return p.name == name.text; });
        if (at == tool.parameters.end()) {
          std::vector<std::string> known;
          for (const Parameter& parameter : tool.parameters) known.push_back(parameter.name);
          unknown_name(name, "parameter", known);
          bind(name, {});
        } else {
          bind(name, {at->omittable ? optional_type(at->type) : at->type});
          if (notes_ != nullptr) notes_->together(name.span, at->decl->name.span);
        }
      }
    } else {
      for (const Identifier& name : arm.pattern.bindings) bind(name, {});
    }
    // In the arm, the matched path is what the pattern asked for.
    if (const std::string path = path_of(*node.value); !path.empty() && value.type != nullptr &&
                                                       info.test != PatternTest::kNull &&
                                                       !cases.empty()) {
      const std::vector<TypeRef>& here = info.test == PatternTest::kAny ? before : taken;
      if (!here.empty()) learn_member(*node.value, merge(here), false);
      if (!here.empty() && here.size() < cases.size()) facts_.emplace_back(path, merge(here));
    }
    const bool arm_falls = block(arm.body, false);
    facts_.resize(facts);
    close_scope();
    falls = falls || arm_falls;
    if (any) left.clear();
  }
  if (value.type == nullptr) return true;
  if (!any && !left.empty() && !broken_) {
    std::string missing;
    for (std::size_t i = 0; i < left.size() && i < 4; ++i)
      missing += (i > 0 ? ", `" : "`") + case_name(left[i]) + "`";
    if (left.size() > 4) missing += ", …";
    const Span word{span.file, span.begin, span.begin + 5};
    Diagnostic& diagnostic = error("E0202", word, "this match does not cover " + missing);
    diagnostic.secondary.push_back({node.value->span, type_name(value.type)});
    diagnostic.help = "add an arm for it, or `other => { … }` as the last one";
    return true;
  }
  return falls;
}

void Checker::pattern(const Pattern& node, const TypeRef& value, const std::vector<TypeRef>& cases,
                      std::vector<TypeRef>& left, bool last) {
  PatternInfo& info = program_.patterns[node.id];
  const auto take = [&](const auto& same) {
    const auto known = std::find_if(cases.begin(), cases.end(), same);
    if (known == cases.end()) return false;
    const auto at = std::find_if(left.begin(), left.end(), same);
    if (at == left.end()) {
      error("E0213", node.span, "an arm before has taken this case", "never reached");
    } else {
      left.erase(at);
    }
    return true;
  };
  const auto refuse = [&](const std::string& what, std::vector<std::string> known) {
    Diagnostic& diagnostic = error("E0202", node.span, what);
    if (const auto near =
            suggest(node.kind == PatternKind::kString ? node.string : node.name.text, known);
        !near.empty()) {
      diagnostic.help = "did you mean `" + near + "`?";
    } else if (!known.empty() && known.size() <= 12) {
      diagnostic.help = "the cases are ";
      for (std::size_t i = 0; i < known.size(); ++i)
        diagnostic.help += (i > 0 ? ", `" : "`") + known[i] + "`";
    }
  };
  const bool unknown =
      value == nullptr || resolve(value) == nullptr || resolve(value)->kind == TypeKind::kJson;
  const std::string of = unknown ? "" : type_name(value);
  switch (node.kind) {
    case PatternKind::kNull:
      info.test = PatternTest::kNull;
      if (!unknown && !take([](const TypeRef& t) { return t->kind == TypeKind::kNull; }))
        refuse(of + " is never null", {});
      return;
    case PatternKind::kTrue:
    case PatternKind::kFalse: {
      const bool truth = node.kind == PatternKind::kTrue;
      info.test = truth ? PatternTest::kTrue : PatternTest::kFalse;
      if (!unknown && !take([&](const TypeRef& t) {
            return t->kind == TypeKind::kLiteral && t->literal.is_boolean() &&
                   t->literal.get<bool>() == truth;
          }))
        refuse(of + " is no bool", {});
      return;
    }
    case PatternKind::kString:
    case PatternKind::kNumber: {
      info.test = PatternTest::kLiteral;
      if (unknown) return;
      const bool string = node.kind == PatternKind::kString;
      const Json literal = string                ? Json(node.string)
                           : node.number.integer ? Json(node.number.int_value)
                                                 : Json(node.number.value);
      if (take([&](const TypeRef& t) {
            return t->kind == TypeKind::kLiteral && t->literal == literal;
          }))
        return;
      const bool open = std::any_of(cases.begin(), cases.end(), [&](const TypeRef& t) {
        return t->kind != TypeKind::kLiteral && (string ? is_text(t) : is_number(t));
      });
      if (open) return;
      std::vector<std::string> known;
      for (const TypeRef& one : cases)
        if (one->kind == TypeKind::kLiteral && one->literal.is_string())
          known.push_back(one->literal.get<std::string>());
      refuse(literal.dump() + " is no value of " + of, std::move(known));
      return;
    }
    case PatternKind::kName:
      break;
  }
  const std::string& word = node.name.text;
  if (node.type != nullptr) {
    typed_pattern(node, value, cases, left);
    return;
  }
  std::vector<std::string> known;
  for (const TypeRef& one : cases)
    if (one->kind == TypeKind::kEnum || one->kind == TypeKind::kCall)
      known.push_back(case_name(one));
  if (!node.called &&
      take([&](const TypeRef& t) { return t->kind == TypeKind::kEnum && case_name(t) == word; })) {
    info.test = PatternTest::kCase;
    const auto at = std::find_if(cases.begin(), cases.end(), [&](const TypeRef& t) {
      return t->kind == TypeKind::kEnum && case_name(t) == word;
    });
    note_case(node.name.span, (*at)->name, word);
    const TypeInfo* declared = program_.type((*at)->name);
    const auto& all = declared != nullptr && resolve(declared->type) != nullptr
                          ? resolve(declared->type)->cases
                          : (*at)->cases;
    info.index = static_cast<std::uint32_t>(
        std::find_if(all.begin(), all.end(), [&](const auto& c) { return c.name == word; }) -
        all.begin());
    return;
  }
  const Declared* const at = declared(word);
  const std::string tool =
      at != nullptr && at->entity == Entity::kTool ? program_.tools[at->index].name : word;
  if (take([&](const TypeRef& t) { return t->kind == TypeKind::kCall && case_name(t) == tool; })) {
    info.test = PatternTest::kTool;
    info.index = static_cast<std::uint32_t>(program_.tool(tool) - program_.tools.data());
    note_use(node.name.span, program_.tools[info.index].decl->name.span);
    return;
  }
  info.test = PatternTest::kAny;
  if (node.called) {
    if (!unknown) refuse("`" + word + "` is no tool of " + of, std::move(known));
    return;
  }
  if (!last) {
    refuse(unknown ? "a name that takes every value stands in the last arm"
                   : "`" + word + "` is no case of " + of,
           std::move(known));
  } else if (!unknown && left.empty() && !cases.empty()) {
    diagnostics_.warning("W0601", node.span, "this arm is never reached",
                         "every case is taken before");
  } else {
    // A misspelt case in the last arm would take everything that is left.
    std::vector<std::string> open;
    for (const TypeRef& one : left)
      if (one->kind == TypeKind::kEnum || one->kind == TypeKind::kCall)
        open.push_back(case_name(one));
    if (const std::string near = suggest(word, open); !near.empty()) {
      diagnostics_
          .warning("W0607", node.span,
                   "`" + word + "` is no case of " + of + ", so it takes the rest",
                   left.size() == 1 ? "" : std::to_string(left.size()) + " cases are left")
          .help = "did you mean `" + near + "`? Else write another name, such as `other`";
    }
  }
}

/// `name: Type` takes the alternatives that fit the type; at run time the kind of value decides,
/// and of several records their keys and what stands directly behind them.
void Checker::typed_pattern(const Pattern& node, const TypeRef& value,
                            const std::vector<TypeRef>& cases, std::vector<TypeRef>& left) {
  PatternInfo& info = program_.patterns[node.id];
  info.test = PatternTest::kType;
  const TypeRef wanted = type(*node.type, Place::kValue);
  if (wanted == nullptr || value == nullptr) return;
  if (resolve(value)->kind == TypeKind::kJson || resolve(value)->kind == TypeKind::kSchema) {
    error("E0202", node.span, "an arm by type needs a value whose alternatives are known",
          "this is matched against " + type_name(value));
    return;
  }
  std::vector<TypeRef> rest;
  std::vector<TypeRef> records;
  bool others = false;  // maps and patterns' groups are records at run time, of any keys
  for (const TypeRef& one : left) {
    if (assignable(one, wanted)) {
      const std::uint32_t kinds = value_kinds(one);
      info.index |= kinds;
      if (one->kind == TypeKind::kRecord) {
        records.push_back(one);
      } else if ((kinds & kRecordKind) != 0) {
        others = true;
      }
    } else {
      rest.push_back(one);
    }
  }
  const auto fits = [&](const TypeRef& one) { return assignable(one, wanted); };
  if (rest.size() == left.size()) {
    if (std::any_of(cases.begin(), cases.end(), fits)) {
      error("E0213", node.span, "an arm before has taken this case", "never reached");
    } else {
      error("E0202", node.span, type_name(value) + " is never " + type_name(wanted));
    }
    return;
  }
  for (const TypeRef& one : rest) {
    const std::uint32_t shared = value_kinds(one) & info.index;
    if (shared == 0) continue;
    const bool apart = shared == kRecordKind && !others &&
                       std::all_of(records.begin(), records.end(),
                                   [&](const TypeRef& mine) { return told_apart(mine, one); });
    if (apart) {
      info.records = records;
      continue;
    }
    Diagnostic& diagnostic =
        error("E0202", node.span, "this arm cannot be told from `" + case_name(one) + "`",
              "both are the same kind of value");
    diagnostic.help = one->kind == TypeKind::kRecord && !others && shared == kRecordKind
                          ? "give both a field that tells them apart, as `kind: \"a\"` and "
                            "`kind: \"b\"`, or name that case in an arm before this one"
                          : "name that case in an arm before this one";
    break;
  }
  left = std::move(rest);
}

}  // namespace espalier::dsl
