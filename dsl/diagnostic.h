// What the language has to say about a program: one Diagnostic, two renderers (text for people,
// JSON for tools).
//
// Codes are stable and listed in docs/language.md: E01xx syntax and names, E02xx types, E03xx
// grammars, E04xx turns, E05xx tools, W06xx warnings. A message names the place and, where there is
// one, the way out (`help`), and a help may carry a replacement that an editor can apply. Labels
// mark places; the first is the one that the heading points at.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dsl/source.h"
#include "grammar/json.h"

namespace espalier::dsl {

enum class Severity : std::uint8_t { kError, kWarning };

struct Label {
  Span span;
  std::string text;
};

/// Replace the bytes of `span` (empty: insert there) by `text`.
struct Replacement {
  Span span;
  std::string text;
};

struct Diagnostic {
  Severity severity = Severity::kError;
  std::string code;                       // "E0302", "W0603"
  std::string message;                    // one line, lower case, no full stop
  Label label;                            // the place; its text may be empty
  std::vector<Label> secondary;           // further places
  std::string help;                       // may be empty
  std::vector<Replacement> replacements;  // what `help` proposes, of one file; may be empty
};

/// The messages of one program, in the order they were found; the renderers sort by place.
class Diagnostics {
 public:
  /// Adds `diagnostic` unless an equal code already stands at its very place. Keeps kLimit of them
  /// and counts the rest.
  Diagnostic& add(Diagnostic diagnostic);
  Diagnostic& error(std::string code, Span span, std::string message, std::string label = {});
  Diagnostic& warning(std::string code, Span span, std::string message, std::string label = {});

  [[nodiscard]] bool has_errors() const { return errors_ > 0; }
  [[nodiscard]] std::size_t errors() const { return errors_; }
  [[nodiscard]] std::size_t size() const { return all_.size(); }
  [[nodiscard]] std::size_t suppressed() const { return suppressed_; }
  /// Sorted by file, place and code.
  [[nodiscard]] std::vector<Diagnostic> sorted() const;

  static constexpr std::size_t kLimit = 200;

 private:
  std::vector<Diagnostic> all_;
  Diagnostic overflow_;
  std::size_t errors_ = 0;
  std::size_t suppressed_ = 0;
};

/// The form of docs/language.md: heading, place, gutter, carets, help. Lines end in "\n"; no
/// colour.
[[nodiscard]] std::string render(const Diagnostic& diagnostic, std::span<const Source> sources);
/// All of them, an empty line between two, and a last line if some were suppressed.
[[nodiscard]] std::string render(const Diagnostics& diagnostics, std::span<const Source> sources);
/// {"code", "severity", "message", "file", "line", "column", "end_line", "end_column", "label",
/// "secondary", "help", "replacements"}, an array of them.
[[nodiscard]] Json to_json(const Diagnostics& diagnostics, std::span<const Source> sources);

}  // namespace espalier::dsl
