// From a program's file to one AST: the file itself, and those that it names by `use`.
//
// Every file is read and parsed once, however often it is used; their declarations stand in one
// File, the program's own first, and a Span tells which source one came from. Inner part of the
// front end: compile() uses it. Limits: kMaxFiles files, kMaxSource bytes in all.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dsl/program.h"

namespace espalier::dsl {

inline constexpr std::uint32_t kMaxFiles = 100;

struct Loaded {
  std::vector<Span> skipped;  // what the parser could not read
  bool complete = true;       // false: the program's own file could not be parsed at all, or some
                              // file is of a later edition
  /// Which source a `use` declaration stands for, by its place; absent where it could not be read
  /// (reported).
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> uses;
};

/// Fills `program`'s sources and file. E0117: a file that cannot be read; E0118: files that use
/// each other in a circle; E0119: a file of a later edition, and then nothing else.
[[nodiscard]] Loaded load(Program& program, std::string name, std::string text,
                          const ReadFile& read, Diagnostics& diagnostics);

/// A path that the file `from` names: relative to that file's folder.
[[nodiscard]] std::string path_beside(const std::string& from, const std::string& path);

}  // namespace espalier::dsl
