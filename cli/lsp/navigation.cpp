#include <algorithm>
#include <set>

#include "cli/lsp/features.h"
#include "dsl/loader.h"

namespace espalier::cli::lsp {
namespace {

// SymbolKind of LSP.
int kind_of(dsl::SymbolKind kind) {
  switch (kind) {
    case dsl::SymbolKind::kRecord:
    case dsl::SymbolKind::kAlias:
    case dsl::SymbolKind::kGrammar:
      return 23;  // struct
    case dsl::SymbolKind::kEnum:
      return 10;
    case dsl::SymbolKind::kTool:
    case dsl::SymbolKind::kGen:
      return 12;  // function
    case dsl::SymbolKind::kFile:
      return 2;  // module
    default:
      return 13;  // variable
  }
}

}  // namespace

Json definition(const Place& place, const Workspace& workspace) {
  const dsl::Analysis& analysis = place.analysis;
  const dsl::Program& program = *analysis.program;
  if (const dsl::Occurrence* here = analysis.symbols.at(0, place.offset)) {
    const dsl::Symbol& symbol = analysis.symbols.symbols[here->symbol];
    // From the name that an arm gives a parameter on to the parameter.
    const dsl::Symbol& target = here->definition ? analysis.symbols.symbols[symbol.group] : symbol;
    return workspace.location(program, target.span);
  }
  // The file in `use "…"`.
  for (const dsl::Decl& decl : program.file.declarations) {
    const auto* use = std::get_if<dsl::UseDecl>(&decl);
    if (use == nullptr || use->span.file != 0 || place.offset < use->path.span.begin ||
        place.offset > use->path.span.end)
      continue;
    const std::string path = dsl::path_beside(program.sources[0].name(), use->path.value);
    for (std::uint32_t i = 0; i < program.sources.size(); ++i)
      if (program.sources[i].name() == path) return workspace.location(program, {i, 0, 0});
  }
  return nullptr;
}

Json references(const Place& place, bool declarations, Workspace& workspace) {
  const dsl::Occurrence* here = place.analysis.symbols.at(0, place.offset);
  Json out = Json::array();
  if (here == nullptr) return out;
  const dsl::Symbol& symbol = place.analysis.symbols.symbols[here->symbol];
  std::set<std::pair<std::string, std::uint32_t>> seen;  // file and place
  for (const Sighting& sighting : workspace.sightings(place.analysis, symbol)) {
    const auto& sources = sighting.analysis->program->sources;
    std::vector<TextPositions> positions;
    for (const dsl::Source& one : sources) positions.emplace_back(one, workspace.encoding());
    for (const dsl::Occurrence* one : sighting.analysis->symbols.places(sighting.symbol)) {
      if (one->definition && !declarations) continue;
      const std::string& name = sources[one->span.file].name();
      if (!seen.emplace(name, one->span.begin).second) continue;
      out.push_back(
          {{"uri", workspace.uri_of(name)}, {"range", positions[one->span.file].range(one->span)}});
    }
  }
  return out;
}

Json highlights(const Place& place, const Workspace& workspace) {
  Json out = Json::array();
  const dsl::Occurrence* here = place.analysis.symbols.at(0, place.offset);
  if (here == nullptr) return out;
  TextPositions positions(place.analysis.program->sources[0], workspace.encoding());
  for (const dsl::Occurrence* one : place.analysis.symbols.places(here->symbol))
    if (one->span.file == 0)
      out.push_back({{"range", positions.range(one->span)}, {"kind", one->definition ? 3 : 2}});
  return out;
}

Json document_symbols(const Document& document, const Workspace& workspace) {
  const dsl::Analysis& analysis = *document.analysis;
  const dsl::Program& program = *analysis.program;
  TextPositions positions(program.sources[0], workspace.encoding());
  Json out = Json::array();
  for (const dsl::Decl& decl : program.file.declarations) {
    std::visit(
        [&](const auto& one) {
          using T = std::decay_t<decltype(one)>;
          if (one.span.file != 0) return;
          if constexpr (std::is_same_v<T, dsl::TestDecl>) {
            out.push_back({{"name", "test \"" + one.name.value + "\""},
                           {"kind", 24},  // event
                           {"range", positions.range(one.span)},
                           {"selectionRange", positions.range(one.name.span)}});
          } else if constexpr (!std::is_same_v<T, dsl::UseDecl> &&
                               !std::is_same_v<T, dsl::ConfigDecl>) {
            const dsl::Occurrence* named = analysis.symbols.at(0, one.name.span.begin);
            if (named == nullptr) return;
            out.push_back({{"name", one.name.text},
                           {"kind", kind_of(analysis.symbols.symbols[named->symbol].kind)},
                           {"range", positions.range(one.span)},
                           {"selectionRange", positions.range(one.name.span)}});
          }
        },
        decl);
  }
  return out;
}

}  // namespace espalier::cli::lsp
