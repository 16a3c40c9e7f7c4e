// Changes that the server proposes: renaming, formatting, fixes.
#include <algorithm>
#include <map>

#include "cli/lsp/diagnostics.h"
#include "cli/lsp/features.h"
#include "dsl/format.h"
#include "dsl/rename.h"

namespace espalier::cli::lsp {
namespace {

Json edit_json(TextPositions& positions, const dsl::Replacement& change) {
  return {{"range", positions.range(change.span)}, {"newText", change.text}};
}

}  // namespace

Json prepare_rename(const Place& place, const Workspace& workspace) {
  const dsl::Occurrence* here = place.analysis.symbols.at(0, place.offset);
  if (here == nullptr) return nullptr;
  TextPositions positions(place.analysis.program->sources[0], workspace.encoding());
  return {{"range", positions.range(here->span)},
          {"placeholder", place.analysis.symbols.symbols[here->symbol].name}};
}

Result<Json> rename_everywhere(const Place& place, const std::string& name, Workspace& workspace) {
  const dsl::Occurrence* here = place.analysis.symbols.at(0, place.offset);
  if (here == nullptr) return fail(ErrorCode::kNotFound, "there is no name to change here");
  const dsl::Symbol& symbol = place.analysis.symbols.symbols[here->symbol];
  // By URI, then by place: programs that share a file propose the same for it.
  std::map<std::string, std::map<std::uint32_t, Json>> changes;
  for (const Sighting& sighting : workspace.sightings(place.analysis, symbol)) {
    const auto& sources = sighting.analysis->program->sources;
    ESP_ASSIGN(const auto edits, dsl::rename(*sighting.analysis, sighting.file, symbol.span.begin,
                                             name, workspace.reader(), &workspace.findings()));
    std::vector<TextPositions> positions;
    for (const dsl::Source& one : sources) positions.emplace_back(one, workspace.encoding());
    for (const dsl::Replacement& edit : edits)
      changes[workspace.uri_of(sources[edit.span.file].name())].emplace(
          edit.span.begin, edit_json(positions[edit.span.file], edit));
  }
  Json out = Json::object();
  for (const auto& [uri, edits] : changes) {
    Json& list = out[uri] = Json::array();
    for (const auto& [at, edit] : edits) list.push_back(edit);
  }
  return Json{{"changes", std::move(out)}};
}

Json formatting(const Document& document, const Workspace& workspace) {
  const dsl::Source source(document.path, document.text);
  dsl::Diagnostics diagnostics;
  const auto formatted = dsl::format(source, diagnostics);
  if (!formatted) return nullptr;
  const std::string& before = document.text;
  const std::string& after = *formatted;
  if (before == after) return Json::array();
  // One edit of the lines that differ, so that cursors elsewhere stay where they are.
  std::size_t head = 0;
  while (head < before.size() && head < after.size() && before[head] == after[head]) ++head;
  while (head > 0 && before[head - 1] != '\n') --head;
  std::size_t tail = 0;
  while (tail < before.size() - head && tail < after.size() - head &&
         before[before.size() - 1 - tail] == after[after.size() - 1 - tail])
    ++tail;
  while (tail > 0 && before[before.size() - tail - 1] != '\n') --tail;
  TextPositions positions(source, workspace.encoding());
  const dsl::Span span{0, static_cast<std::uint32_t>(head),
                       static_cast<std::uint32_t>(before.size() - tail)};
  return Json::array(
      {edit_json(positions, {span, after.substr(head, after.size() - tail - head)})});
}

Json code_actions(const Document& document, std::uint32_t begin, std::uint32_t end,
                  const Workspace& workspace) {
  const dsl::Analysis& analysis = *document.analysis;
  TextPositions positions(analysis.program->sources[0], workspace.encoding());
  Json out = Json::array();
  for (const dsl::Diagnostic& one : analysis.diagnostics.sorted()) {
    const dsl::Span& at = one.label.span;
    if (one.replacements.empty() || at.file != 0 || at.begin > end || at.end < begin) continue;
    Json edits = Json::array();
    for (const dsl::Replacement& change : one.replacements)
      if (change.span.file == 0) edits.push_back(edit_json(positions, change));
    Json changes = Json::object();
    changes[document.uri] = std::move(edits);
    out.push_back({{"title", one.help.empty() ? "fix " + one.code : one.help},
                   {"kind", "quickfix"},
                   {"diagnostics", Json::array({diagnostic_json(one, analysis, workspace)})},
                   {"isPreferred", true},
                   {"edit", {{"changes", std::move(changes)}}}});
  }
  return out;
}

}  // namespace espalier::cli::lsp
