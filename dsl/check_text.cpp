// Texts and holes: where a hole may stand, what it may hold, and what marks its end.
#include <algorithm>
#include <array>

#include "dsl/checker.h"
#include "dsl/static_strings.h"
#include "dsl/suggest.h"

namespace espalier::dsl {
namespace {

constexpr std::uint64_t kMaxChoices = 4096;

struct Option {
  std::string_view name;
  bool integer;
  double low, high;
  bool with_select;
};
constexpr std::array<Option, 9> kOptions = {{
    {"max", true, 1, 1e9, false},
    {"temperature", false, 0, 100, true},
    {"top_p", false, 0, 1, false},
    {"min_p", false, 0, 1, false},
    {"top_k", true, 0, 1e9, false},
    {"seed", true, 0, 9.3e18, true},
    {"repetition", false, 0, 100, false},
    {"presence", false, -100, 100, false},
    {"frequency", false, -100, 100, false},
}};

}  // namespace

void Checker::text(const Text& node, bool value) {
  for (std::size_t i = 0; i < node.chunks.size(); ++i) {
    if (const auto* insert = std::get_if<Insert>(&node.chunks[i])) {
      // `${Type}` prints a schema: the one place where a type stands as a value.
      if (const auto name = spelled_name(*insert->value); name && find(name->text) == nullptr) {
        const Declared* const at = declared(name->text);
        if (at != nullptr && (at->entity == Entity::kType || at->entity == Entity::kTool)) {
          program_.names[insert->value->id] = {
              at->entity == Entity::kType ? NameKind::kType : NameKind::kTool, at->index};
          note_spelled(*insert->value, name->text);
          program_.values[insert->value->id] = basic_type(TypeKind::kString);
          continue;
        }
      }
      const Static found = expr(*insert->value);
      const auto* call = std::get_if<CallExpr>(&insert->value->node);
      if (call != nullptr && program_.calls[insert->value->id].kind == CalleeKind::kGen &&
          !program_.gens[program_.calls[insert->value->id].index].returns)
        error(
            "E0201", insert->value->span,
            "`" + program_.gens[program_.calls[insert->value->id].index].name + "` returns nothing")
            .help = "`splice` it for its text";
      (void)found;
    } else if (const auto* written = std::get_if<Hole>(&node.chunks[i])) {
      if (value)
        error("E0404", written->span, "a hole in a text that is a value",
              "nothing is generated here")
            .help = "write the text as a statement; its hole's name is then the value";
      hole(*written, node, i);
    }
  }
}

void Checker::hole(const Hole& node, const Text& text, std::size_t position) {
  holes_named_[node.name.text].push_back(node.name.span);
  const std::string& word = node.name.text;
  if (turn_.open && turn_.role != Role::kAssistant) {
    Diagnostic& diagnostic = error("E0401", node.span, "a hole outside an assistant turn",
                                   "the model does not write here");
    diagnostic.secondary.push_back({turn_.span, turn_.role
                                                    ? "this turn is not the assistant's"
                                                    : "this turn may not be the assistant's"});
    diagnostic.help = "move it into `assistant \"…\"`; for a literal `$[` write `$$[`";
  } else if (!turn_.open && mixed_) {
    error("E0401", node.span, "a hole outside an assistant turn", "this generator opens turns")
        .help = "put it into `assistant \"…\"`";
  }
  HoleInfo& info = program_.holes[node.id];
  info.hole = &node;
  const auto* named = std::get_if<NamedType>(&node.type->node);
  info.think = named != nullptr && named->name.text == "think" && !named->called &&
               !named->member && !node.select;
  if (info.think) {
    auto thought = std::make_shared<Type>();
    thought->name = "think";
    info.type = thought;
  } else {
    info.type = type(*node.type, node.select ? Place::kJson : Place::kPlain);
  }
  const TypeRef held = info.type;
  info.copies = holds_span(held);
  if (node.from) {
    const Static source = expr(*node.from);
    if (!info.copies && !has_unknown(held, 6)) {
      error("E0207", node.from->span, "`from` belongs to a `span`",
            "nothing in this type copies from it");
    } else if (!assignable(source.type, basic_type(TypeKind::kString))) {
      mismatch(node.from->span, basic_type(TypeKind::kString), source.type, "`from` is");
    }
  } else if (info.copies) {
    error("E0407", node.type->span, "nothing says which text this copies from", "holds a `span`")
        .help = "write `$[" + word + ": … from text]`";
  }
  if (node.by) {
    static const std::map<std::string, SelectBy> kBy = {
        {"total", SelectBy::kTotal}, {"mean", SelectBy::kMean}, {"prior", SelectBy::kPrior}};
    const auto at = kBy.find(node.by->text);
    if (at == kBy.end()) {
      unknown_name(*node.by, "way to score", {"total", "mean", "prior"});
    } else {
      info.by = at->second;
    }
    if (!node.select)
      error("E0207", node.by->span, "`by` belongs to `select`").help =
          "write `$[" + word + ": select …]`";
  }
  hole_options(node);
  if (held != nullptr) {
    if (node.select) {
      choices(node, held);
    } else {
      const TypeRef resolved = resolve(held);
      if (resolved != nullptr && resolved->kind == TypeKind::kOptional) {
        error("E0307", node.type->span, "a hole cannot be left empty", "`?` has no text of its own")
            .help =
            "ask first (`$[found: \"yes\" | \"no\"]`), or use it as a field of a record, where it "
            "is null";
      } else if (info.think) {
        // Its closing tag marks its end.
      } else if (may_be_empty(held)) {
        error("E0307", node.type->span, "this type holds the empty text",
              "nothing would be generated")
            .help = resolved != nullptr && resolved->kind == TypeKind::kRegex
                        ? "ask for at least one character, as in `/…+/`"
                        : "";
      }
      if (!info.think) follow(node, text, position, held);
    }
  }
  hole_ = &node;
  bind(node.name, {held, true, node.select}, false, SymbolKind::kHole);
  hole_ = nullptr;
}

void Checker::hole_options(const Hole& node) {
  std::set<std::string> seen;
  for (const HoleOption& option : node.options) {
    const auto known = std::find_if(kOptions.begin(), kOptions.end(),
                                    [&](const Option& o) { return o.name == option.name.text; });
    const Static value = expr(*option.value);
    if (known == kOptions.end()) {
      std::vector<std::string> names;
      for (const Option& one : kOptions) names.emplace_back(one.name);
      unknown_name(option.name, "option", names);
      continue;
    }
    if (!seen.insert(option.name.text).second)
      error("E0105", option.name.span, "`" + option.name.text + "` is given twice");
    if (node.select && !known->with_select)
      error("E0207", option.name.span, "`select` has no `" + option.name.text + "`").help =
          "its options are `temperature` and `seed`";
    const TypeRef want = basic_type(known->integer ? TypeKind::kInt : TypeKind::kFloat);
    if (!assignable(value.type, want)) {
      mismatch(option.value->span, want, value.type, "`" + option.name.text + "` is");
    } else if (const auto* number = std::get_if<NumberExpr>(&option.value->node);
               number != nullptr &&
               (number->number.value < known->low || number->number.value > known->high)) {
      error("E0211", option.value->span,
            "`" + option.name.text + "` goes from " + Json(known->low).dump() + " to " +
                Json(known->high).dump());
    }
  }
}

void Checker::choices(const Hole& node, const TypeRef& held) {
  const auto count = count_choices(held, kMaxChoices);
  if (!count) {
    const TypeRef resolved = resolve(held);
    Diagnostic& diagnostic =
        error("E0203", node.type->span, "`select` needs a type with finitely many values",
              type_name(held) + " has no list of them");
    diagnostic.help = is_int(held) ? "give both ends: `int(1..10)`"
                      : resolved != nullptr && resolved->kind == TypeKind::kRegex
                          ? "write its strings as a union: `\"a\" | \"b\"`"
                          : "use an enum, or a union of texts; or drop `select` to generate it";
    return;
  }
  if (*count > kMaxChoices)
    error("E0306", node.type->span,
          "`select` over more than " + std::to_string(kMaxChoices) + " choices");
  if (may_be_empty(held)) error("E0307", node.type->span, "one of the choices is the empty text");
  const TypeRef resolved = resolve(held);
  if (resolved != nullptr && resolved->kind == TypeKind::kUnion)
    if (const auto twice = find_ambiguity(resolved->items, false))
      error("E0303", node.type->span, "two choices have the same text", twice->why);
}

void Checker::follow(const Hole& node, const Text& text, std::size_t position,
                     const TypeRef& held) {
  if (position + 1 >= text.chunks.size() || ends_itself(held)) return;
  const std::string& word = node.name.text;
  if (const auto* next = std::get_if<Hole>(&text.chunks[position + 1])) {
    Diagnostic& diagnostic = error("E0302", node.span, "two open holes meet");
    diagnostic.secondary.push_back({next->span, "nothing marks where `" + word + "` ends"});
    const TypeRef resolved = resolve(held);
    const bool plain_string = resolved != nullptr && resolved->kind == TypeKind::kString &&
                              !resolved->low && !resolved->high &&
                              std::holds_alternative<NamedType>(node.type->node);
    const std::string mark = text.block ? "" : "\\n";
    diagnostic.help = plain_string && !text.block
                          ? "put text between them, or make `" + word + "` a `line`"
                          : "put text between them";
    if (plain_string && !text.block) diagnostic.replacements.push_back({node.type->span, "line"});
    if (!text.block)
      diagnostic.replacements.push_back(
          {{next->span.file, next->span.begin, next->span.begin}, mark});
  } else if (const auto* insert = std::get_if<Insert>(&text.chunks[position + 1])) {
    Diagnostic& diagnostic = error("E0302", node.span, "an insert follows an open hole");
    diagnostic.secondary.push_back(
        {insert->span, "may begin with anything: it does not mark where `" + word + "` ends"});
    diagnostic.help = "put text between them";
  }
}

/// An open hole at a text's end must end its turn.
void Checker::turn_order(const Block& body) {
  for (std::size_t i = 0; i + 1 < body.statements.size(); ++i) {
    const auto* first = std::get_if<TextStmt>(&body.statements[i].node);
    if (first == nullptr || first->text.chunks.empty()) continue;
    const auto* last = std::get_if<Hole>(&first->text.chunks.back());
    if (last == nullptr || last->select || program_.holes[last->id].think ||
        program_.holes[last->id].type == nullptr || ends_itself(program_.holes[last->id].type))
      continue;
    for (std::size_t j = i + 1; j < body.statements.size(); ++j) {
      const Stmt& next = body.statements[j];
      const auto* text = std::get_if<TextStmt>(&next.node);
      const bool writes = (text != nullptr && !text->text.chunks.empty()) ||
                          std::holds_alternative<SpliceStmt>(next.node);
      if (!writes) continue;
      Diagnostic& diagnostic = error("E0302", last->span, "this open hole does not end its turn");
      diagnostic.secondary.push_back({next.span, "the turn goes on here"});
      diagnostic.help =
          "put what follows into the same text: it then marks where `" + last->name.text + "` ends";
      break;
    }
  }
}

}  // namespace espalier::dsl
