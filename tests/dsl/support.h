// What the tests of the language share: compiling a piece of source and reading its messages.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "dsl/parser.h"
#include "dsl/program.h"
#include "tests/support/source_folder.h"

namespace espalier::dsl::testing {

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline std::filesystem::path folder() {
  return std::filesystem::path(espalier::testing::source_folder()) / "tests" / "dsl";
}

inline std::vector<std::filesystem::path> files(const std::filesystem::path& directory,
                                                const std::string& extension) {
  std::vector<std::filesystem::path> result;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    if (entry.path().extension() == extension) result.push_back(entry.path());
  std::sort(result.begin(), result.end());
  return result;
}

/// How the programs of a folder read the files they name.
inline ReadFile files_of(const std::string& name) {
  return [name](const std::string& path) -> Result<std::string> {
    const auto file = folder() / name / path;
    if (!std::filesystem::exists(file))
      return fail(ErrorCode::kNotFound, "cannot open '" + path + "'");
    return read_file(file);
  };
}

struct ParsedText {
  std::vector<Source> sources;
  Diagnostics diagnostics;
  Parsed parsed;
  [[nodiscard]] std::string messages() const { return render(diagnostics, sources); }
};

inline ParsedText parse_text(std::string text) {
  ParsedText result;
  result.sources.emplace_back("test.gen", std::move(text));
  result.parsed = parse(result.sources[0], 0, result.diagnostics);
  return result;
}

/// The codes of all messages, in order of place.
inline std::vector<std::string> codes(const Diagnostics& diagnostics) {
  std::vector<std::string> result;
  for (const Diagnostic& diagnostic : diagnostics.sorted()) result.push_back(diagnostic.code);
  return result;
}

}  // namespace espalier::dsl::testing
