#include "cli/lsp/diagnostics.h"

namespace espalier::cli::lsp {

Json diagnostic_json(const dsl::Diagnostic& diagnostic, const dsl::Analysis& analysis,
                     const Workspace& workspace) {
  const dsl::Program& program = *analysis.program;
  std::string message = diagnostic.message;
  if (!diagnostic.label.text.empty()) message += ": " + diagnostic.label.text;
  if (!diagnostic.help.empty()) message += "\nhelp: " + diagnostic.help;
  Json out = workspace.location(program, diagnostic.label.span);
  out.erase("uri");
  out["severity"] = diagnostic.severity == dsl::Severity::kError ? 1 : 2;
  out["code"] = diagnostic.code;
  out["source"] = "espalier";
  out["message"] = message;
  if (diagnostic.code == "W0601" || diagnostic.code == "W0602") out["tags"] = {1};  // unnecessary
  Json related = Json::array();
  for (const dsl::Label& label : diagnostic.secondary)
    related.push_back({{"location", workspace.location(program, label.span)},
                       {"message", label.text.empty() ? diagnostic.message : label.text}});
  if (!related.empty()) out["relatedInformation"] = std::move(related);
  return out;
}

std::map<std::string, Json> diagnostics_of(const dsl::Analysis& analysis,
                                           const Workspace& workspace) {
  std::map<std::string, Json> out;
  for (const dsl::Diagnostic& one : analysis.diagnostics.sorted()) {
    Json& list = out.emplace(analysis.program->sources[one.label.span.file].name(), Json::array())
                     .first->second;
    list.push_back(diagnostic_json(one, analysis, workspace));
  }
  return out;
}

}  // namespace espalier::cli::lsp
