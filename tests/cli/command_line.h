// Runs command lines as a user would: in this process with captured streams, or the built program
// itself.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/system.h"
#include "cli/command.h"

namespace espalier::cli {

/// Ran::code of a program that a signal ended: this and the signal.
inline constexpr int kKilledBy = 1000;

struct Ran {
  int code = -1;
  std::string out;
  std::string err;
};

/// In this process. `terminal`: stdout and stderr claim to be terminals.
Ran run_line(std::vector<std::string> arguments, std::string input = {}, bool terminal = false);
/// Where the built program lies.
std::string program_path();
/// The built program, its stdin a pipe that nobody writes to; `signal` (0: none) is sent `after`
/// the file `once` is there (empty: after the start), `times` in a row.
Ran run_built(const std::vector<std::string>& arguments, int signal = 0,
              std::chrono::milliseconds after = std::chrono::milliseconds(700),
              const std::string& once = {}, int times = 1);

/// True, with a message, where the default model is not on this machine.
bool without_model();
/// A new empty folder, removed with this object.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string path(const std::string& name = {}) const;
  std::string write(const std::string& name, std::string_view content) const;
  [[nodiscard]] std::string read(const std::string& name) const;

 private:
  std::string path_;
};

}  // namespace espalier::cli
