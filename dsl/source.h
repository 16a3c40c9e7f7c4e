// Source text and places in it.
//
// A Source is one file's bytes, kept as they were read (well-formed UTF-8, checked by the parser
// before anything else). A Span is a half-open range of bytes; every node of the AST has one. Lines
// and columns are computed only when a message is printed: columns count code points, from 1.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace espalier::dsl {

struct Span {
  std::uint32_t file = 0;  // index into the program's sources
  std::uint32_t begin = 0;
  std::uint32_t end = 0;

  [[nodiscard]] bool empty() const { return begin == end; }
  friend bool operator==(const Span&, const Span&) = default;
};

/// The smallest span that holds both (of one file).
[[nodiscard]] inline Span join(const Span& a, const Span& b) {
  return {a.file, a.begin < b.begin ? a.begin : b.begin, a.end > b.end ? a.end : b.end};
}

struct Position {
  std::uint32_t line = 1;    // from 1
  std::uint32_t column = 1;  // code points from the line's start, from 1
};

class Source {
 public:
  Source(std::string name, std::string text);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] std::string_view slice(const Span& span) const;

  /// Where byte `offset` stands (offsets past the end count as the end). O(log lines + line
  /// length).
  [[nodiscard]] Position position(std::uint32_t offset) const;
  /// The line of byte `offset`, from 1. O(log lines).
  [[nodiscard]] std::uint32_t line_of(std::uint32_t offset) const;
  [[nodiscard]] std::uint32_t lines() const { return static_cast<std::uint32_t>(starts_.size()); }
  /// Line `line` (from 1) without its line break.
  [[nodiscard]] std::string_view line(std::uint32_t line) const;
  /// The byte at which line `line` (from 1) starts.
  [[nodiscard]] std::uint32_t line_start(std::uint32_t line) const { return starts_[line - 1]; }

 private:
  std::string name_;
  std::string text_;
  std::vector<std::uint32_t> starts_;
};

}  // namespace espalier::dsl
