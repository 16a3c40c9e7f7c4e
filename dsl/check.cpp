// Declarations: who is called what, then types, tools, generators and defaults.
#include "dsl/check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include "dsl/checker.h"
#include "dsl/parser.h"
#include "dsl/suggest.h"
#include "grammar/strong_components.h"

namespace espalier::dsl {
namespace {

bool word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Of an interval's end: as a program would write it.
std::string spelled(double number) {
  const bool whole = number == std::floor(number) && std::abs(number) < 1e15;
  return whole ? std::to_string(static_cast<std::int64_t>(number)) : Json(number).dump();
}

bool builtin_type_name(std::string_view name) {
  static constexpr std::array<std::string_view, 18> kNames = {
      "string", "line",   "int",  "float", "bool", "null",  "json", "uuid", "email",
      "url",    "schema", "span", "cite",  "map",  "think", "date", "time", "datetime"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

}  // namespace

void check(Program& program, const Loaded& loaded, const ReadFile& read, Diagnostics& diagnostics,
           SymbolNotes* notes, AutomatonFindings* findings) {
  Checker(program, loaded, read, diagnostics, notes, findings).run();
}

Checker::Checker(Program& program, const Loaded& loaded, const ReadFile& read,
                 Diagnostics& diagnostics, SymbolNotes* notes, AutomatonFindings* findings)
    : program_(program),
      loaded_(loaded),
      read_(read),
      diagnostics_(diagnostics),
      notes_(notes),
      findings_(findings),
      broken_(!loaded.skipped.empty()),
      names_(program.sources.size()) {
  for (const Span& span : loaded.skipped) {
    const std::string_view text = program_.sources[span.file].slice(span);
    for (std::size_t i = 0; i < text.size();) {
      std::size_t end = i;
      while (end < text.size() && word_character(text[end])) ++end;
      if (end > i) tainted_.insert(std::string(text.substr(i, end - i)));
      i = end + 1;
    }
  }
}

void Checker::run() {
  const File& file = program_.file;
  program_.names.resize(file.expressions);
  program_.calls.resize(file.expressions);
  program_.values.resize(file.expressions);
  program_.holes.resize(file.holes);
  program_.patterns.resize(file.patterns);
  declare_all();
  define_types();
  define_tools();
  define_gens();
  refuse_recursion();
  for (GenInfo& info : program_.gens) {
    const InFile here(*this, info.decl->name.span.file);
    gen(info);
  }
  for (const TestDecl* one : program_.tests) test(*one);
  note_declarations();
  automata();
}

void Checker::declare(const Identifier& name, Entity entity, std::uint32_t index) {
  if (name.text.empty()) return;
  if (entity != Entity::kGen && builtin_type_name(name.text)) {
    error("E0104", name.span, "`" + name.text + "` is a type of the language",
          "choose another name");
    return;
  }
  if (entity != Entity::kType && find_builtin(name.text) != nullptr) {
    error("E0104", name.span, "`" + name.text + "` is a function of the language",
          "choose another name");
    return;
  }
  const auto [at, fresh] = names().emplace(name.text, Declared{entity, index, name.span});
  if (!fresh)
    error("E0104", name.span, "`" + name.text + "` is declared twice")
        .secondary.push_back({at->second.span, "first here"});
}

// Names are the program's own first: where two files declare one, the other's is called after its
// file, so that messages and schemas never confuse them.
std::string Checker::program_name(const Identifier& name) {
  std::string result = name.text;
  if (file_ == 0) {
    taken_.insert(result);
    return result;
  }
  const std::string stem = std::filesystem::path(source().name()).stem().string();
  for (int i = 1; !taken_.insert(result).second; ++i)
    result = stem + (i > 1 ? std::to_string(i) : "") + "." + name.text;
  return result;
}

void Checker::declare_all() {
  const ConfigDecl* first_config = nullptr;
  const auto file_of = [](const Decl& decl) {
    return std::visit([](const auto& one) { return one.span.file; }, decl);
  };
  for (const Decl& decl : program_.file.declarations) {
    const InFile here(*this, file_of(decl));
    const auto add_type = [&](const Identifier& name, const std::string& doc) {
      declare(name, Entity::kType, static_cast<std::uint32_t>(program_.types.size()));
      program_.types.push_back({program_name(name), name.span, nullptr, doc, {}, nullptr});
      type_decls_.push_back(&decl);
    };
    if (const auto* record = std::get_if<RecordDecl>(&decl)) add_type(record->name, record->doc);
    if (const auto* enumeration = std::get_if<EnumDecl>(&decl))
      add_type(enumeration->name, enumeration->doc);
    if (const auto* alias = std::get_if<AliasDecl>(&decl)) add_type(alias->name, alias->doc);
    if (const auto* grammar = std::get_if<GrammarDecl>(&decl)) {
      add_type(grammar->name, grammar->doc);
    }
    if (const auto* tool = std::get_if<ToolDecl>(&decl)) {
      declare(tool->name, Entity::kTool, static_cast<std::uint32_t>(program_.tools.size()));
      program_.tools.emplace_back();
      program_.tools.back().decl = tool;
      program_.tools.back().name = program_name(tool->name);
    }
    if (const auto* gen = std::get_if<GenDecl>(&decl)) {
      declare(gen->name, Entity::kGen, static_cast<std::uint32_t>(program_.gens.size()));
      program_.gens.emplace_back();
      program_.gens.back().decl = gen;
      program_.gens.back().name = program_name(gen->name);
      program_.gens.back().doc = gen->doc;
    }
    if (const auto* one = std::get_if<TestDecl>(&decl); one != nullptr && file_ == 0) {
      program_.tests.push_back(one);
    }
    // A file's settings are for when it is run itself.
    const auto* written = std::get_if<ConfigDecl>(&decl);
    if (written == nullptr || file_ != 0) continue;
    if (first_config != nullptr) {
      const Span at{written->span.file, written->span.begin, written->span.begin + 6};
      const Span before{first_config->span.file, first_config->span.begin,
                        first_config->span.begin + 6};
      error("E0104", at, "there are two `config` blocks")
          .secondary.push_back({before, "first here"});
    } else {
      first_config = written;
      config(*written);
    }
  }
  for (const Decl& decl : program_.file.declarations) {
    if (const auto* one = std::get_if<UseDecl>(&decl)) {
      const InFile here(*this, one->span.file);
      use(*one);
    }
  }
}

void Checker::use(const UseDecl& decl) {
  const auto target = loaded_.uses.find({decl.span.file, decl.span.begin});
  if (target == loaded_.uses.end()) {
    // Reported. What it would bring in is taken as known.
    if (decl.as) tainted_.insert(decl.as->text);
    for (const Identifier& name : decl.names) tainted_.insert(name.text);
    return;
  }
  const std::uint32_t file = target->second;
  const Names& theirs = names_[file];
  const auto own = [&](const Names::value_type& entry) { return entry.second.span.file == file; };
  const auto add = [&](const std::string& name, const Declared& entry, const Span& span) {
    const auto [at, fresh] = names().emplace(name, entry);
    // Taking the same thing twice is no conflict.
    if (!fresh && at->second.span != entry.span)
      error("E0104", span, "`" + name + "` is declared twice")
          .secondary.push_back({at->second.span, "first here"});
  };
  if (decl.as) {
    add(decl.as->text, {Entity::kFile, file, decl.as->span}, decl.as->span);
    note(SymbolKind::kFile, *decl.as, nullptr, decl.path.value);
    for (const auto& entry : theirs)
      if (own(entry)) names().emplace(decl.as->text + "." + entry.first, entry.second);
  }
  for (const Identifier& name : decl.names) {
    const auto at = theirs.find(name.text);
    if (at != theirs.end() && own(*at)) {
      add(name.text, at->second, name.span);
      note_use(name.span, at->second.span);
      continue;
    }
    std::vector<std::string> known;
    for (const auto& entry : theirs)
      if (own(entry)) known.push_back(entry.first);
    unknown_name(name, "name of \"" + decl.path.value + "\":", known);
    tainted_.insert(name.text);
  }
}

std::optional<Identifier> Checker::spelled_name(const Expr& expr) const {
  if (const auto* name = std::get_if<NameExpr>(&expr.node)) return name->name;
  const auto* member = std::get_if<MemberExpr>(&expr.node);
  const auto* object = member == nullptr ? nullptr : std::get_if<NameExpr>(&member->object->node);
  if (object == nullptr) return std::nullopt;
  const Declared* file = declared(object->name.text);
  if (file == nullptr || file->entity != Entity::kFile) return std::nullopt;
  return Identifier{object->name.text + "." + member->key.text, expr.span};
}

void Checker::config(const ConfigDecl& decl) {
  struct Key {
    std::string_view name;
    bool integer;
    double low, high;
    std::optional<double> Config::*real;
    std::optional<std::int64_t> Config::*whole;
  };
  static const std::array<Key, 14> kKeys = {{
      {"temperature", false, 0, 100, &Config::temperature, nullptr},
      {"top_p", false, 0, 1, &Config::top_p, nullptr},
      {"min_p", false, 0, 1, &Config::min_p, nullptr},
      {"repetition", false, 0, 100, &Config::repetition, nullptr},
      {"presence", false, -100, 100, &Config::presence, nullptr},
      {"frequency", false, -100, 100, &Config::frequency, nullptr},
      {"top_k", true, 0, 1e9, nullptr, &Config::top_k},
      {"seed", true, 0, 9.3e18, nullptr, &Config::seed},
      {"max", true, 1, 1e9, nullptr, &Config::max},
      {"priority", true, -10, 10, nullptr, &Config::priority},
      {"deadline", false, 0.001, 1e7, &Config::deadline, nullptr},
      {"retain", true, 0, 10, nullptr, &Config::retain},
      {"retain_tokens", true, 1, 1e9, nullptr, &Config::retain_tokens},
      {"retain_steps", true, 1, 1e9, nullptr, &Config::retain_steps},
  }};
  std::set<std::string> seen;
  for (const ConfigEntry& entry : decl.entries) {
    if (entry.key.text == "edition" || entry.key.text == "overflow" || entry.key.text == "calls") {
      if (!seen.insert(entry.key.text).second)
        error("E0105", entry.key.span, "`" + entry.key.text + "` is given twice");
      if (entry.key.text == "overflow")
        program_.config.overflow =
            word_of(entry, "refuse", "drop_oldest") ? Overflow::kDropOldest : Overflow::kRefuse;
      if (entry.key.text == "calls")
        program_.config.calls =
            word_of(entry, "template", "plain") ? CallsForm::kPlain : CallsForm::kTemplate;
      continue;  // the loader has looked at the edition
    }
    const auto key = std::find_if(kKeys.begin(), kKeys.end(),
                                  [&](const Key& k) { return k.name == entry.key.text; });
    if (key == kKeys.end()) {
      std::vector<std::string> names;
      for (const Key& k : kKeys) names.emplace_back(k.name);
      names.insert(names.end(), {"edition", "overflow", "calls"});
      unknown_name(entry.key, "setting", names);
      continue;
    }
    if (!seen.insert(entry.key.text).second)
      error("E0105", entry.key.span, "`" + entry.key.text + "` is given twice");
    const auto value =
        constant(*entry.value, basic_type(key->integer ? TypeKind::kInt : TypeKind::kFloat));
    if (!value) continue;
    const double number = value->get<double>();
    if (number < key->low || number > key->high) {
      error(
          "E0211", entry.value->span,
          "`" + entry.key.text + "` goes from " + spelled(key->low) + " to " + spelled(key->high));
      continue;
    }
    if (key->integer) {
      program_.config.*(key->whole) = value->get<std::int64_t>();
    } else {
      program_.config.*(key->real) = number;
    }
  }
}

// Whether a setting of two words is the second of them.
bool Checker::word_of(const ConfigEntry& entry, const std::string& first,
                      const std::string& second) {
  const auto value = constant(*entry.value, basic_type(TypeKind::kString));
  if (!value) return false;
  const auto word = value->get<std::string>();
  if (word != first && word != second) {
    Diagnostic& wrong =
        error("E0211", entry.value->span,
              "`" + entry.key.text + "` is \"" + first + "\" or \"" + second + "\"");
    if (const std::string near = suggest(word, {first, second}); !near.empty())
      wrong.help = "did you mean \"" + near + "\"?";
  }
  return word == second;
}

void Checker::define_types() {
  type_states_.assign(program_.types.size(), State::kNew);
  type_levels_.assign(program_.types.size(), 0);
  type_references_.assign(program_.types.size(), nullptr);
  // Tools are types too (their calls); their parameters are filled in before any type may name one.
  std::vector<std::shared_ptr<Type>> records;
  for (ToolInfo& tool : program_.tools) {
    tool.doc = tool.decl->doc;
    tool.real_name = tool.decl->as ? tool.decl->as->value : tool.decl->name.text;
    records.push_back(std::make_shared<Type>());
    records.back()->kind = TypeKind::kRecord;
    tool.arguments = records.back();
  }
  for (std::size_t i = 0; i < program_.tools.size(); ++i) {
    ToolInfo& tool = program_.tools[i];
    const InFile here(*this, tool.decl->name.span.file);
    if (too_many(tool.decl->parameters.size(), tool.decl->name.span, "parameters")) continue;
    for (const FieldDecl& field : tool.decl->parameters)
      tool.parameters.push_back(parameter(field, true));
    std::set<std::string> names, keys;
    for (const Parameter& one : tool.parameters) {
      if (!names.insert(one.name).second)
        error("E0104", one.decl->name.span, "the parameter `" + one.name + "` is declared twice");
      if (!keys.insert(one.key).second)
        error("E0104", one.decl->name.span, "two parameters have the key \"" + one.key + "\"");
      records[i]->fields.push_back(
          {one.name, one.key, one.type, one.omittable || one.fallback.has_value(), one.doc});
    }
  }
  for (std::uint32_t i = 0; i < program_.types.size(); ++i)
    if (type_states_[i] == State::kNew) define_type(i);
  refuse_nested_calls(records);
}

// A tool whose own arguments may hold a call of it. Its type would own itself, too, so that what is
// refused is taken out of it.
void Checker::refuse_nested_calls(std::span<const std::shared_ptr<Type>> records) {
  std::map<const Type*, std::uint32_t> numbers;
  std::vector<const Type*> types;
  std::vector<TypeRef> kept;  // what references lead to
  const auto number = [&](const Type* type) {
    const auto [at, fresh] = numbers.emplace(type, static_cast<std::uint32_t>(types.size()));
    if (fresh) types.push_back(type);
    return at->second;
  };
  const auto parts = [&](const Type* type, auto&& visit) {
    for (const TypeRef& item : type->items)
      if (item != nullptr) visit(item.get());
    for (const auto& field : type->fields)
      if (field.type != nullptr) visit(field.type.get());
    if (type->kind != TypeKind::kReference) return;
    if (const TypeRef target = type->target.lock()) {
      visit(target.get());
      kept.push_back(target);
    }
  };
  for (const auto& record : records) number(record.get());
  for (std::size_t i = 0; i < types.size(); ++i)
    parts(types[i], [&](const Type* part) { number(part); });
  const auto groups = grammar::strong_components(types.size(), [&](std::uint32_t i, auto&& edge) {
    parts(types[i], [&](const Type* part) { edge(numbers.at(part)); });
  });
  for (const auto& group : groups) {
    if (group.size() == 1) continue;  // a call stands between a tool's arguments and themselves
    for (const std::uint32_t i : group) {
      if (i >= records.size()) continue;
      const ToolInfo& tool = program_.tools[i];
      const InFile here(*this, tool.decl->name.span.file);
      error("E0214", tool.decl->name.span,
            "the arguments of `" + tool.name + "` may hold a call of it", "calls don't nest")
          .help = "let it take the name of a tool, or what it is to do with the result of one";
      records[i]->fields.clear();
    }
  }
}

void Checker::define_tools() {
  std::map<std::string, Span> real_names;
  for (ToolInfo& tool : program_.tools) {
    const ToolDecl& decl = *tool.decl;
    const InFile here(*this, decl.name.span.file);
    const Span named = decl.as ? decl.as->span : decl.name.span;
    if (tool.real_name.empty()) error("E0502", named, "a tool needs a name");
    if (const auto [at, fresh] = real_names.emplace(tool.real_name, named); !fresh)
      error("E0502", named, "two tools are called \"" + tool.real_name + "\"")
          .secondary.push_back({at->second, "first here"});
    if (decl.result) {
      tool.result = type(*decl.result, Place::kValue);
      from_outside(tool.result, decl.result->span);
    }
    if (program_.of_caller.count(tool.name) != 0) {
      tool.transport = Transport::kCaller;
    } else if (decl.transport) {
      tool_transport(tool);
    }
  }
}

Parameter Checker::parameter(const FieldDecl& field, bool generated) {
  Parameter result;
  result.decl = &field;
  result.name = field.name.text;
  result.key = field.as ? field.as->value : field.name.text;
  result.type = type(*field.type, generated ? Place::kJson : Place::kValue);
  if (!generated) from_outside(result.type, field.type->span);
  result.doc = field.doc;
  result.omittable = field.omittable;
  if (field.value) {
    if (field.omittable) error("E0105", field.value->span, "`?` and a default exclude each other");
    result.fallback = constant(*field.value, result.type);
    if (!result.fallback) result.fallback = Json();  // reported; the parameter stays optional
  }
  return result;
}

void Checker::define_gens() {
  for (GenInfo& info : program_.gens) {
    const InFile here(*this, info.decl->name.span.file);
    std::set<std::string> names;
    if (too_many(info.decl->parameters.size(), info.decl->name.span, "parameters")) continue;
    for (const FieldDecl& field : info.decl->parameters) {
      if (!names.insert(field.name.text).second) {
        error("E0104", field.name.span,
              "the parameter `" + field.name.text + "` is declared twice");
        continue;
      }
      if (is_keyword(field.name.text))
        error("E0106", field.name.span,
              "`" + field.name.text + "` is a word of the language and cannot name a value")
            .help = "write another name and `as \"" + field.name.text + "\"` after it";
      info.parameters.push_back(parameter(field, false));
    }
    info.returns = info.decl->result != nullptr;
    if (info.returns) info.result = type(*info.decl->result, Place::kValue);
  }
  collect_traits();
}

std::optional<Json> Checker::constant(const Expr& node, const TypeRef& want) {
  const Static found = expr(node, want);
  if (!assignable(found.type, want)) {
    mismatch(node.span, want, found.type, "");
    return std::nullopt;
  }
  auto value = fold(node);
  if (!value)
    error("E0211", node.span,
          "a default is a constant: numbers, texts without inserts, lists, records and enum cases");
  return value;
}

std::optional<Json> Checker::fold(const Expr& node) {
  if (std::holds_alternative<NullExpr>(node.node)) return Json(nullptr);
  if (const auto* e = std::get_if<BoolExpr>(&node.node)) return Json(e->value);
  if (const auto* e = std::get_if<NumberExpr>(&node.node))
    return e->number.integer ? Json(e->number.int_value) : Json(e->number.value);
  if (const auto* e = std::get_if<TextExpr>(&node.node)) {
    std::string text;
    for (const Chunk& chunk : e->text.chunks) {
      const auto* literal = std::get_if<LiteralChunk>(&chunk);
      if (literal == nullptr) return std::nullopt;
      text += literal->bytes;
    }
    return Json(text);
  }
  if (const auto* e = std::get_if<ListExpr>(&node.node)) {
    Json result = Json::array();
    for (const ExprPtr& item : e->items) {
      auto value = fold(*item);
      if (!value) return std::nullopt;
      result.push_back(std::move(*value));
    }
    return result;
  }
  if (const auto* e = std::get_if<RecordExpr>(&node.node)) {
    const TypeRef made = resolve(program_.values[node.id]);
    Json result = Json::object();
    for (const RecordEntry& entry : e->entries) {
      auto value = fold(*entry.value);
      if (!value) return std::nullopt;
      std::string key = entry.key.text;
      if (made != nullptr)
        for (const auto& field : made->fields)
          if (field.name == key) key = field.key;
      result[key] = std::move(*value);
    }
    return result;
  }
  if (std::holds_alternative<MemberExpr>(node.node)) {
    const auto& member = std::get<MemberExpr>(node.node);
    const TypeRef made = resolve(program_.values[node.id]);
    const bool of_type = program_.names[member.object->id].kind == NameKind::kType;
    if (!of_type || made == nullptr || made->kind != TypeKind::kEnum) return std::nullopt;
    for (const auto& one : made->cases)
      if (one.name == member.key.text) return Json(one.surface);
  }
  return std::nullopt;
}

void Checker::reasoning_order(const std::vector<FieldDecl>& fields) {
  static const std::set<std::string> kAnswers = {"answer",   "label",     "score",    "verdict",
                                                 "decision", "result",    "category", "class",
                                                 "rating",   "conclusion"};
  static const std::set<std::string> kReasons = {"reasoning",   "reason",  "reasons",  "rationale",
                                                 "explanation", "thought", "thoughts", "evidence",
                                                 "analysis",    "why",     "because"};
  const FieldDecl* answer = nullptr;
  for (const FieldDecl& field : fields) {
    if (answer == nullptr && kAnswers.count(field.name.text) > 0) answer = &field;
    if (answer != nullptr && kReasons.count(field.name.text) > 0) {
      Diagnostic& diagnostic = diagnostics_.warning(
          "W0605", answer->name.span, "the answer is written before its reasoning", "comes first");
      diagnostic.secondary.push_back({field.name.span, "can no longer change it"});
      diagnostic.help = "declare `" + field.name.text + "` before `" + answer->name.text +
                        "`: fields are written in order";
      return;
    }
  }
}

}  // namespace espalier::dsl
