#include "dsl/diagnostic.h"

#include <algorithm>
#include <tuple>

#include "base/utf8.h"

namespace espalier::dsl {
namespace {

constexpr std::uint32_t kTab = 4;
constexpr std::uint32_t kWidth = 120;  // display columns of source shown at most
// Bytes of a line that are looked at around a mark: a file may be one line, and have many messages.
constexpr std::size_t kLineBytes = 4096;

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

std::uint32_t display_width(char32_t c) {
  if ((c >= 0x300 && c <= 0x36F) || (c >= 0x200B && c <= 0x200F) || (c >= 0xFE00 && c <= 0xFE0F))
    return 0;
  const bool wide = (c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) ||
                    (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0xF900 && c <= 0xFAFF) ||
                    (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF60) ||
                    (c >= 0x1F300 && c <= 0x1FAFF) || (c >= 0x20000 && c <= 0x3FFFD);
  return wide ? 2 : 1;
}

/// A source line as a terminal shows it: tabs are spaces, control characters are `?`.
struct Shown {
  std::string text;
  std::vector<std::uint32_t>
      column;  // by byte of the source line (and one past it): display column

  explicit Shown(std::string_view line) {
    std::uint32_t at = 0;
    for (std::size_t i = 0; i < line.size();) {
      const auto decoded = utf8::decode(line, i);
      const std::size_t length = std::max<std::size_t>(decoded.length, 1);
      std::uint32_t width = 1;
      std::string bytes(line.substr(i, length));
      if (line[i] == '\t') {
        width = kTab - at % kTab;
        bytes.assign(width, ' ');
      } else if (decoded.length == 0 || decoded.code_point < 0x20 ||
                 (decoded.code_point >= 0x7F && decoded.code_point < 0xA0)) {
        bytes = "?";
      } else {
        width = display_width(decoded.code_point);
      }
      for (std::size_t k = 0; k < length; ++k) column.push_back(at);
      text += bytes;
      at += width;
      i += length;
    }
    column.push_back(at);
  }

  [[nodiscard]] std::uint32_t column_of(std::size_t byte) const {
    return column[std::min(byte, column.size() - 1)];
  }
  [[nodiscard]] std::uint32_t width() const { return column.back(); }
};

/// `text` between display columns [from, to), cut at character borders.
std::string cut(std::string_view text, std::uint32_t from, std::uint32_t to) {
  std::string result;
  std::uint32_t at = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto decoded = utf8::decode(text, i);
    const std::size_t length = std::max<std::size_t>(decoded.length, 1);
    if (at >= from && at < to) result += text.substr(i, length);
    at += display_width(decoded.code_point);
    i += length;
  }
  return result;
}

struct Mark {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  char sign = '^';
  std::string text;
};

std::string trim_right(std::string line) {
  const auto last = line.find_last_not_of(' ');
  line.resize(last == std::string::npos ? 0 : last + 1);
  return line;
}

class DiagnosticRenderer {
 public:
  DiagnosticRenderer(const Diagnostic& diagnostic, std::span<const Source> sources)
      : diagnostic_(diagnostic), sources_(sources) {}

  std::string run() {
    const std::string kind = diagnostic_.severity == Severity::kError ? "error" : "warning";
    out_ = kind + "[" + diagnostic_.code + "]: " + diagnostic_.message + "\n";
    if (diagnostic_.label.span.file >= sources_.size()) {
      if (!diagnostic_.help.empty()) out_ += "  = help: " + diagnostic_.help + "\n";
      return std::move(out_);
    }
    const Source& source = sources_[diagnostic_.label.span.file];
    collect(source);
    const Position place = source.position(diagnostic_.label.span.begin);
    gutter_ = std::to_string(lines_.back().first).size();
    out_ += pad() + "--> " + source.name() + ":" + std::to_string(place.line) + ":" +
            std::to_string(place.column) + "\n";
    out_ += pad() + " |\n";
    std::uint32_t last = 0;
    for (const auto& [line, marks] : lines_) {
      if (last != 0 && line > last + 1) out_ += "...\n";
      last = line;
      snippet(source, line, marks);
    }
    for (const Label& label : diagnostic_.secondary) elsewhere(label);
    help(source);
    return std::move(out_);
  }

 private:
  [[nodiscard]] std::string pad() const { return std::string(gutter_, ' '); }

  void collect(const Source& source) {
    const auto put = [&](const Label& label, char sign) {
      const std::uint32_t line = source.position(label.span.begin).line;
      auto at = std::find_if(lines_.begin(), lines_.end(),
                             [&](const auto& l) { return l.first == line; });
      if (at == lines_.end()) at = lines_.insert(lines_.end(), {line, {}});
      const std::uint32_t start = source.line_start(line);
      at->second.push_back({label.span.begin - start,
                            std::max(label.span.end, label.span.begin + 1) - start, sign,
                            label.text});
    };
    put(diagnostic_.label, '^');
    for (const Label& label : diagnostic_.secondary)
      if (label.span.file == diagnostic_.label.span.file) put(label, '-');
    std::sort(lines_.begin(), lines_.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
  }

  // The mark that a line too long to show is cut around: the first `^`, or the first.
  static const Mark& focus_of(const std::vector<Mark>& marks) {
    const auto main =
        std::find_if(marks.begin(), marks.end(), [](const Mark& m) { return m.sign == '^'; });
    return main == marks.end() ? marks.front() : *main;
  }

  void snippet(const Source& source, std::uint32_t line, std::vector<Mark> marks) {
    std::string_view whole = source.line(line);
    bool before = false, behind = false;  // there is more of the line
    if (whole.size() > kLineBytes) {
      const std::size_t at = std::min<std::size_t>(focus_of(marks).begin, whole.size());
      std::size_t begin = at > kLineBytes / 2 ? at - kLineBytes / 2 : 0;
      std::size_t end = std::min(whole.size(), begin + kLineBytes);
      while (begin > 0 && continues_character(whole[begin])) --begin;
      while (end < whole.size() && continues_character(whole[end])) ++end;
      before = begin > 0;
      behind = end < whole.size();
      whole = whole.substr(begin, end - begin);
      std::erase_if(marks, [&](const Mark& m) { return m.end <= begin || m.begin > end; });
      for (Mark& mark : marks) {
        mark.begin -= static_cast<std::uint32_t>(std::min<std::size_t>(mark.begin, begin));
        mark.end -= static_cast<std::uint32_t>(begin);
      }
    }
    const Shown shown(whole);
    for (Mark& mark : marks) {
      const std::uint32_t begin = shown.column_of(mark.begin);
      mark.end =
          std::max(mark.end > whole.size() ? shown.width() : shown.column_of(mark.end), begin + 1);
      mark.begin = begin;
    }
    std::uint32_t from = 0;
    std::uint32_t to = shown.width();
    if (shown.width() > kWidth && !marks.empty()) {
      const std::uint32_t focus = focus_of(marks).begin;
      from = focus > kWidth / 2 ? focus - kWidth / 2 : 0;
      to = std::min(from + kWidth, shown.width());
    }
    std::string text = cut(shown.text, from, to);
    const std::uint32_t shift = from > 0 || before ? 1 : 0;
    if (from > 0 || before) text.insert(0, "…");
    if (to < shown.width() || behind) text += "…";
    const std::string number = std::to_string(line);
    out_ += std::string(gutter_ - number.size(), ' ') + number + " |" +
            (text.empty() ? "" : " " + text) + "\n";
    draw(std::move(marks), from, to, shift);
  }

  void draw(std::vector<Mark> marks, std::uint32_t from, std::uint32_t to, std::uint32_t shift) {
    std::erase_if(marks, [&](const Mark& m) { return m.begin >= to + 1 || m.end <= from; });
    if (marks.empty()) return;
    std::string row;
    // `^` is drawn last: it wins where marks overlap.
    std::stable_sort(marks.begin(), marks.end(),
                     [](const Mark& a, const Mark& b) { return a.sign == '-' && b.sign == '^'; });
    for (Mark& mark : marks) {
      mark.begin = std::max(mark.begin, from) - from + shift;
      mark.end =
          std::max(std::min(mark.end, to) - std::min(from, mark.end) + shift, mark.begin + 1);
      if (row.size() < mark.end) row.resize(mark.end, ' ');
      std::fill(row.begin() + mark.begin, row.begin() + mark.end, mark.sign);
    }
    // The rightmost mark's text stands behind it, the others' each on a line of their own.
    std::sort(marks.begin(), marks.end(),
              [](const Mark& a, const Mark& b) { return a.begin > b.begin; });
    if (!marks.front().text.empty()) row += " " + marks.front().text;
    out_ += pad() + " | " + row + "\n";
    for (std::size_t i = 1; i < marks.size(); ++i)
      if (!marks[i].text.empty())
        out_ += pad() + " | " + std::string(marks[i].begin, ' ') + marks[i].text + "\n";
  }

  /// A secondary label in another file.
  void elsewhere(const Label& label) {
    if (label.span.file == diagnostic_.label.span.file || label.span.file >= sources_.size())
      return;
    const Source& source = sources_[label.span.file];
    const Position place = source.position(label.span.begin);
    out_ += pad() + "::: " + source.name() + ":" + std::to_string(place.line) + ":" +
            std::to_string(place.column) + ": " + label.text + "\n";
  }

  void help(const Source& source) {
    if (diagnostic_.help.empty()) return;
    const std::string changed = changed_line(source);
    if (changed.empty()) {
      out_ += pad() + " = help: " + diagnostic_.help + "\n";
    } else {
      out_ += pad() + " |\nhelp: " + diagnostic_.help + "\n" + changed;
    }
  }

  /// The line with its replacements made and `+` under them; empty where they do not fit one line.
  std::string changed_line(const Source& source) const {
    auto edits = diagnostic_.replacements;
    if (edits.empty()) return {};
    std::sort(edits.begin(), edits.end(),
              [](const auto& a, const auto& b) { return a.span.begin < b.span.begin; });
    const std::uint32_t line = source.position(edits.front().span.begin).line;
    const std::string_view text = source.line(line);
    const std::uint32_t start = source.line_start(line);
    if (text.size() > kLineBytes) return {};
    std::string made;
    std::string signs;
    std::size_t at = 0;
    const auto keep = [&](std::string_view bytes, char sign) {
      const Shown shown(bytes);
      made += shown.text;
      signs.append(shown.width(), sign);
    };
    for (const Replacement& edit : edits) {
      if (edit.span.file != diagnostic_.label.span.file ||
          edit.text.find('\n') != std::string::npos)
        return {};
      if (edit.span.begin < start + at || edit.span.end > start + text.size()) return {};
      keep(text.substr(at, edit.span.begin - start - at), ' ');
      keep(edit.text, '+');
      at = edit.span.end - start;
    }
    keep(text.substr(at), ' ');
    if (signs.size() > kWidth) return {};
    return pad() + " | " + made + "\n" + trim_right(pad() + " | " + signs) + "\n";
  }

  const Diagnostic& diagnostic_;
  std::span<const Source> sources_;
  std::vector<std::pair<std::uint32_t, std::vector<Mark>>> lines_;
  std::size_t gutter_ = 1;
  std::string out_;
};

Json place(const Span& span, std::span<const Source> sources) {
  Json result = Json::object();
  if (span.file >= sources.size()) return result;
  const Source& source = sources[span.file];
  const Position begin = source.position(span.begin);
  const Position end = source.position(span.end);
  result["file"] = source.name();
  result["line"] = begin.line;
  result["column"] = begin.column;
  result["end_line"] = end.line;
  result["end_column"] = end.column;
  return result;
}

}  // namespace

Diagnostic& Diagnostics::add(Diagnostic diagnostic) {
  const bool seen = std::any_of(all_.begin(), all_.end(), [&](const Diagnostic& d) {
    return d.label.span.file == diagnostic.label.span.file &&
           d.label.span.begin == diagnostic.label.span.begin && d.code == diagnostic.code;
  });
  if (seen || all_.size() >= kLimit) {
    if (!seen) {
      ++suppressed_;
      if (diagnostic.severity == Severity::kError) ++errors_;
    }
    overflow_ = std::move(diagnostic);
    return overflow_;
  }
  if (diagnostic.severity == Severity::kError) ++errors_;
  all_.push_back(std::move(diagnostic));
  return all_.back();
}

Diagnostic& Diagnostics::error(std::string code, Span span, std::string message,
                               std::string label) {
  return add({Severity::kError,
              std::move(code),
              std::move(message),
              {span, std::move(label)},
              {},
              {},
              {}});
}

Diagnostic& Diagnostics::warning(std::string code, Span span, std::string message,
                                 std::string label) {
  return add({Severity::kWarning,
              std::move(code),
              std::move(message),
              {span, std::move(label)},
              {},
              {},
              {}});
}

std::vector<Diagnostic> Diagnostics::sorted() const {
  std::vector<Diagnostic> result = all_;
  std::stable_sort(result.begin(), result.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::tie(a.label.span.file, a.label.span.begin, a.code) <
           std::tie(b.label.span.file, b.label.span.begin, b.code);
  });
  return result;
}

std::string render(const Diagnostic& diagnostic, std::span<const Source> sources) {
  return DiagnosticRenderer(diagnostic, sources).run();
}

std::string render(const Diagnostics& diagnostics, std::span<const Source> sources) {
  std::string result;
  for (const Diagnostic& diagnostic : diagnostics.sorted()) {
    if (!result.empty()) result += "\n";
    result += render(diagnostic, sources);
  }
  if (diagnostics.suppressed() > 0)
    result += "\n" + std::to_string(diagnostics.suppressed()) +
              " more messages are not shown (the limit is " + std::to_string(Diagnostics::kLimit) +
              ")\n";
  return result;
}

Json to_json(const Diagnostics& diagnostics, std::span<const Source> sources) {
  Json result = Json::array();
  for (const Diagnostic& diagnostic : diagnostics.sorted()) {
    Json item = Json::object();
    item["code"] = diagnostic.code;
    item["severity"] = diagnostic.severity == Severity::kError ? "error" : "warning";
    item["message"] = diagnostic.message;
    item.update(place(diagnostic.label.span, sources));
    item["label"] = diagnostic.label.text;
    item["secondary"] = Json::array();
    for (const Label& label : diagnostic.secondary) {
      Json at = place(label.span, sources);
      at["text"] = label.text;
      item["secondary"].push_back(std::move(at));
    }
    item["help"] = diagnostic.help;
    item["replacements"] = Json::array();
    for (const Replacement& edit : diagnostic.replacements) {
      Json at = place(edit.span, sources);
      at["text"] = edit.text;
      item["replacements"].push_back(std::move(at));
    }
    result.push_back(std::move(item));
  }
  return result;
}

}  // namespace espalier::dsl
