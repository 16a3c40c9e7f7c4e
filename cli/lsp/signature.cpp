#include "dsl/signature.h"

#include "cli/lsp/features.h"

namespace espalier::cli::lsp {
namespace {

Json documented(Json out, const std::string& doc) {
  if (!doc.empty()) out["documentation"] = {{"kind", "markdown"}, {"value", doc}};
  return out;
}

}  // namespace

Json signature_help(const Place& place, const Workspace& workspace) {
  const auto found = dsl::signature_at(place.analysis, place.offset);
  if (!found) return nullptr;
  // Places in the label count as places in documents do.
  const dsl::Source label("", found->label);
  TextPositions positions(label, workspace.encoding());
  const auto column = [&](std::uint32_t at) {
    return positions.range({0, at, at})["start"]["character"];
  };
  Json parameters = Json::array();
  for (const auto& one : found->parameters)
    parameters.push_back(
        documented({{"label", Json::array({column(one.begin), column(one.end)})}}, one.doc));
  Json signature =
      documented({{"label", found->label}, {"parameters", std::move(parameters)}}, found->doc);
  Json out{{"signatures", Json::array({std::move(signature)})}, {"activeSignature", 0}};
  // Past the last one: none is lit.
  out["activeParameter"] = found->active.value_or(found->parameters.size());
  return out;
}

}  // namespace espalier::cli::lsp
