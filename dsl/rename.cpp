#include "dsl/rename.h"

#include <algorithm>
#include <utility>

#include "dsl/parser.h"

namespace espalier::dsl {
namespace {

bool is_name(const std::string& text) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !text.empty() && letter(text[0]) && std::all_of(text.begin(), text.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9');
  });
}

// How often each symbol is named, in the order of the definitions.
std::vector<std::size_t> counts(const SymbolIndex& index) {
  std::vector<std::size_t> out(index.symbols.size());
  for (const Occurrence& one : index.occurrences) ++out[one.symbol];
  return out;
}

}  // namespace

std::string with_changes(const std::string& text, std::uint32_t file,
                         const std::vector<Replacement>& changes) {
  std::string out;
  std::size_t at = 0;
  for (const Replacement& one : changes) {
    if (one.span.file != file) continue;
    out.append(text, at, one.span.begin - at);
    out += one.text;
    at = one.span.end;
  }
  out.append(text, at);
  return out;
}

Result<std::vector<Replacement>> rename(const Analysis& analysis, std::uint32_t file,
                                        std::uint32_t offset, const std::string& name,
                                        const ReadFile& read, AutomatonFindings* findings) {
  const Occurrence* here = analysis.symbols.at(file, offset);
  if (here == nullptr) return fail(ErrorCode::kNotFound, "there is no name to change here");
  if (!is_name(name))
    return fail(ErrorCode::kInvalid,
                "'" + name + "' is no name: it takes letters, digits and _, no digit first");
  if (is_keyword(name))
    return fail(ErrorCode::kInvalid, "'" + name + "' is a word of the language");
  const SymbolIndex& index = analysis.symbols;
  const std::string& before = index.symbols[here->symbol].name;
  if (name == before) return std::vector<Replacement>{};
  const bool field = index.symbols[here->symbol].kind == SymbolKind::kField;

  std::vector<Replacement> changes;
  const auto places = index.places(here->symbol);
  for (const Occurrence* place : places) {
    std::string text = name;
    if (place->key_alone) {
      text = before + ": " + name;  // the field keeps its name
    } else if (field) {
      // So does a variable that gives the field its value.
      const Occurrence* first = index.at(place->span.file, place->span.begin);
      if (first != nullptr && first->key_alone && first->span == place->span)
        text = name + ": " + before;
    }
    if (changes.empty() || changes.back().span != place->span)
      changes.push_back({place->span, std::move(text)});
  }

  // What it would be then.
  const std::vector<Source>& sources = analysis.program->sources;
  const auto changed = [&](const std::string& path) -> Result<std::string> {
    for (std::uint32_t i = 0; i < sources.size(); ++i)
      if (sources[i].name() == path) return with_changes(sources[i].text(), i, changes);
    if (read == nullptr) return fail(ErrorCode::kNotFound, "'" + path + "' is not at hand");
    return read(path);
  };
  const Analysis after =
      analyze(sources[0].name(), with_changes(sources[0].text(), 0, changes), changed, findings);
  if (after.diagnostics.errors() > analysis.diagnostics.errors()) {
    for (const Diagnostic& one : after.diagnostics.sorted())
      if (one.severity == Severity::kError && one.message.find(name) != std::string::npos)
        return fail(ErrorCode::kInvalid, "it cannot be called '" + name + "': " + one.message);
    return fail(ErrorCode::kInvalid, "it cannot be called '" + name + "': errors would follow");
  }
  if (counts(after.symbols) != counts(index))
    return fail(ErrorCode::kInvalid,
                "it cannot be called '" + name + "': names would come to mean something else");
  return changes;
}

}  // namespace espalier::dsl
