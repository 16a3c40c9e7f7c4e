#include "dsl/signature.h"

#include <algorithm>
#include <string_view>
#include <variant>

#include "dsl/lexemes.h"
#include "dsl/loader.h"

namespace espalier::dsl {
namespace {

// The parameters of a tool or generator, where their texts stand in its label.
void place_parameters(Signature& out, const std::vector<FieldDecl>& fields,
                      const Program& program) {
  std::size_t at = out.label.find('(');
  for (const FieldDecl& field : fields) {
    const std::string_view text = program.sources[field.span.file].slice(field.span);
    at = at == std::string::npos ? at : out.label.find(text, at);
    if (at == std::string::npos) return;
    out.parameters.push_back(
        {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at + text.size()), field.doc});
    at += text.size();
  }
}

const std::vector<FieldDecl>* parameters_of(const Program& program, const Symbol& symbol) {
  for (const Decl& decl : program.file.declarations) {
    if (const auto* tool = std::get_if<ToolDecl>(&decl); tool && tool->name.span == symbol.span)
      return &tool->parameters;
    if (const auto* gen = std::get_if<GenDecl>(&decl); gen && gen->name.span == symbol.span)
      return &gen->parameters;
  }
  return nullptr;
}

// The generator or tool that is called `name` here; `file`: the name of a used file before the dot.
const Symbol* callee(const Analysis& analysis, std::string_view name, std::string_view file) {
  const Program& program = *analysis.program;
  const auto callable = [&](const Symbol& one) {
    return one.name == name && (one.kind == SymbolKind::kGen || one.kind == SymbolKind::kTool);
  };
  if (file.empty()) {
    for (const Symbol& one : analysis.symbols.symbols)
      if (one.span.file == 0 && callable(one)) return &one;
  }
  for (const Decl& decl : program.file.declarations) {
    const auto* use = std::get_if<UseDecl>(&decl);
    if (use == nullptr || use->span.file != 0) continue;
    const bool named = file.empty()
                           ? std::any_of(use->names.begin(), use->names.end(),
                                         [&](const Identifier& one) { return one.text == name; })
                           : use->as && use->as->text == file;
    if (!named) continue;
    const std::string path = path_beside(program.sources[0].name(), use->path.value);
    for (const Symbol& one : analysis.symbols.symbols)
      if (callable(one) && program.sources[one.span.file].name() == path) return &one;
  }
  return nullptr;
}

}  // namespace

std::optional<Signature> signature_at(const Analysis& analysis, std::uint32_t offset) {
  const std::string_view text = analysis.program->sources[0].text();
  offset = std::min(offset, static_cast<std::uint32_t>(text.size()));
  const Lexemes read = lexemes(text.substr(0, offset));
  if (read.end == OpenPlace::kComment) return std::nullopt;
  const auto word = [&](std::size_t i) {
    return i >= read.all.size()
               ? std::string_view()
               : text.substr(read.all[i].begin, read.all[i].end - read.all[i].begin);
  };
  // Back to the bracket that is open, by what stands between it and the place.
  std::size_t commas = 0;
  std::string_view named;  // `name:` before this argument's value
  int depth = 0;
  for (std::size_t i = read.all.size(); i-- > 0;) {
    if (read.all[i].kind == LexemeKind::kText || read.all[i].kind == LexemeKind::kEscape) continue;
    const std::string_view one = word(i);
    if (one == ")" || one == "]" || one == "}") ++depth;
    if (one == "(" || one == "[" || one == "{" || one == "${" || one == "$[") {
      if (depth-- > 0) continue;
      if (one == "[") {  // a list: one argument, or a part of one
        commas = 0;
        named = {};
        depth = 0;
        continue;
      }
      if (one != "(" || i == 0 || read.all[i - 1].kind != LexemeKind::kWord) return std::nullopt;
      const std::string_view name = word(i - 1);
      const std::string_view before = i >= 2 ? word(i - 2) : std::string_view();
      if (before == "gen" || before == "tool") return std::nullopt;  // its declaration
      Signature out;
      std::vector<std::string_view> names;
      const std::string_view file = before == "." && i >= 3 ? word(i - 3) : std::string_view();
      if (const Symbol* symbol = callee(analysis, name, file)) {
        out.label = declaration(analysis, *symbol);
        out.doc = symbol->doc;
        if (const auto* fields = parameters_of(*analysis.program, *symbol)) {
          place_parameters(out, *fields, *analysis.program);
          for (const FieldDecl& field : *fields) names.push_back(field.name.text);
        }
      } else if (const BuiltinInfo* builtin = file.empty() ? find_builtin(name) : nullptr) {
        out.label = std::string(builtin->signature);
        std::size_t at = out.label.find('(');
        for (const BuiltinParameter& parameter : builtin->parameters) {
          at = at == std::string::npos ? at : out.label.find(parameter.name, at);
          if (at == std::string::npos) break;
          out.parameters.push_back({static_cast<std::uint32_t>(at),
                                    static_cast<std::uint32_t>(at + parameter.name.size()),
                                    {}});
          at += parameter.name.size();
          names.push_back(parameter.name);
        }
      } else {
        return std::nullopt;
      }
      std::size_t active = commas;
      if (!named.empty()) {
        active =
            static_cast<std::size_t>(std::find(names.begin(), names.end(), named) - names.begin());
      }
      if (active < out.parameters.size()) out.active = active;
      return out;
    }
    if (depth > 0) continue;
    if (one == ",") ++commas;
    if (one == ":" && commas == 0 && i > 0 && read.all[i - 1].kind == LexemeKind::kWord)
      named = word(i - 1);
  }
  return std::nullopt;
}

}  // namespace espalier::dsl
