// A program given on a command line as FILE or FILE:GEN, compiled, with what
// the language says about it shown.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/command.h"
#include "dsl/program.h"
#include "grammar/json.h"

namespace espalier::cli {

struct ProgramFile {
  std::string path;
  std::string text;
  dsl::ProgramRef program;
  const dsl::GenInfo* gen = nullptr;  // into `program`

  /// All that the program is made of, for a job's identity: its text, or every file by its path.
  [[nodiscard]] Json contents() const;
  /// The folder that the program's tools and files are looked for in.
  [[nodiscard]] std::string directory() const;
};

/// The folder that the file of this path stands in.
[[nodiscard]] std::string folder_of(const std::string& path);

/// How programs read the files that they name.
[[nodiscard]] dsl::ReadFile reader(System& system);

/// Reads and compiles the file; diagnostics go to stderr. Without GEN: the only
/// generator, else the one called like the file, else `main`. A file that is
/// not there or has errors is an error of the work (its message may be empty
/// where the diagnostics said it all); a generator that is not there is of the
/// command line.
struct OpenedProgram {
  ProgramFile file;
  int code = kDone;  // otherwise give this back: everything is said
};
[[nodiscard]] Result<OpenedProgram> open_program(const std::string& argument, std::string_view verb,
                                                 Context& context);

/// Arguments of a program as the command line gives them: --args '{…}' first,
/// then each --arg name=value on top.
class ProgramArguments {
 public:
  void declare(CLI::App& app);
  /// The JSON object for `parameters`. The error is a usage error.
  [[nodiscard]] Result<Json> read(const std::vector<dsl::Parameter>& parameters,
                                  Context& context) const;

 private:
  std::vector<std::string> named_;
  std::optional<std::string> object_;
};

}  // namespace espalier::cli
