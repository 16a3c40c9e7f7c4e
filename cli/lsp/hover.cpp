#include <string>

#include "cli/lsp/features.h"
#include "dsl/builtins.h"
#include "dsl/cost.h"
#include "dsl/lexemes.h"

namespace espalier::cli::lsp {
namespace {

Json shown(const std::string& code, const std::string& text, const dsl::Source& source,
           const dsl::Span& span, Encoding encoding) {
  std::string value = "```gen\n" + code + "\n```";
  if (!text.empty()) value += "\n" + text;
  TextPositions positions(source, encoding);
  return {{"contents", {{"kind", "markdown"}, {"value", std::move(value)}}},
          {"range", positions.range(span)}};
}

// The word at a place, empty where there is none.
dsl::Span word_at(std::string_view text, std::uint32_t offset) {
  const auto part = [&](std::uint32_t i) {
    const char c = text[i];
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  std::uint32_t begin = offset;
  while (begin > 0 && part(begin - 1)) --begin;
  std::uint32_t end = offset;
  while (end < text.size() && part(end)) ++end;
  return {0, begin, end};
}

}  // namespace

Json hover(const Place& place, const Workspace& workspace) {
  const dsl::Analysis& analysis = place.analysis;
  const dsl::Program& program = *analysis.program;
  const dsl::Occurrence* here = analysis.symbols.at(0, place.offset);
  if (here == nullptr) {
    const std::string& text = program.sources[0].text();
    const dsl::Span word = word_at(text, place.offset);
    const auto* builtin =
        dsl::find_builtin(std::string_view(text).substr(word.begin, word.end - word.begin));
    const bool called = word.end < text.size() && text[word.end] == '(';
    if (builtin == nullptr || !called ||
        dsl::lexemes(std::string_view(text).substr(0, word.begin)).end == dsl::OpenPlace::kText)
      return nullptr;
    return shown(std::string(builtin->signature), {}, program.sources[0], word,
                 workspace.encoding());
  }
  const dsl::Symbol& symbol = analysis.symbols.symbols[here->symbol];
  std::string text = symbol.doc;
  const auto add = [&](const std::string& line) { text += (text.empty() ? "" : "\n\n") + line; };
  if (symbol.hole != nullptr && !symbol.hole->select)
    add("at most " + dsl::value_tokens(program, *symbol.hole).text() + " tokens");
  if (symbol.kind == dsl::SymbolKind::kGen && !analysis.diagnostics.has_errors()) {
    for (const dsl::GenInfo& gen : program.gens) {
      if (gen.decl->name.span != symbol.span) continue;
      const dsl::Cost cost = dsl::cost_of(program, gen);
      if (!cost.holes.zero())
        add("holes: " + cost.holes.text() + "; tokens generated: at most " + cost.generated.text());
    }
  }
  return shown(dsl::declaration(analysis, symbol, here->type), text, program.sources[0], here->span,
               workspace.encoding());
}

}  // namespace espalier::cli::lsp
