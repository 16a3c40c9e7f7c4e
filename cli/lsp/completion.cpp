#include "dsl/completion.h"

#include "cli/lsp/features.h"

namespace espalier::cli::lsp {
namespace {

// CompletionItemKind of LSP.
int kind_of(const dsl::Candidate& candidate) {
  switch (candidate.kind) {
    case dsl::CandidateKind::kKeyword:
      return 14;
    case dsl::CandidateKind::kOption:
      return 10;  // property
    case dsl::CandidateKind::kType:
      return 22;  // struct
    case dsl::CandidateKind::kFunction:
      return 3;
    case dsl::CandidateKind::kMember:
      return 5;  // field
    case dsl::CandidateKind::kSymbol:
      break;
  }
  switch (candidate.symbol) {
    case dsl::SymbolKind::kEnum:
      return 13;
    case dsl::SymbolKind::kCase:
      return 20;
    case dsl::SymbolKind::kTool:
    case dsl::SymbolKind::kGen:
      return 3;
    case dsl::SymbolKind::kFile:
      return 9;  // module
    case dsl::SymbolKind::kField:
      return 5;
    case dsl::SymbolKind::kParameter:
    case dsl::SymbolKind::kVariable:
    case dsl::SymbolKind::kHole:
      return 6;
    default:
      return 22;
  }
}

}  // namespace

Json completion(const Place& place, const Workspace& workspace) {
  const dsl::Completion found = dsl::complete(place.analysis, place.offset);
  TextPositions positions(place.analysis.program->sources[0], workspace.encoding());
  const Json range = positions.range(found.span);
  Json items = Json::array();
  for (const dsl::Candidate& one : found.candidates) {
    Json item{{"label", one.text}, {"kind", kind_of(one)}};
    if (!one.detail.empty()) item["detail"] = one.detail;
    if (!one.doc.empty()) item["documentation"] = {{"kind", "markdown"}, {"value", one.doc}};
    item["textEdit"] = {{"range", range}, {"newText", one.text}};
    items.push_back(std::move(item));
  }
  return {{"isIncomplete", false}, {"items", std::move(items)}};
}

}  // namespace espalier::cli::lsp
