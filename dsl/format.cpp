#include "dsl/format.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "dsl/edition.h"
#include "dsl/parser.h"
#include "dsl/program.h"
#include "dsl/syntax_tree.h"

namespace espalier::dsl {
namespace {

constexpr std::size_t kStep = 2;

struct Fragment {
  enum class Kind : std::uint8_t { kWord, kSign, kText, kBlockText, kComment };
  Kind kind = Kind::kSign;
  std::uint32_t begin = 0;
  std::string text;
  std::size_t lines_before = 0;  // line breaks between the piece before and this one
  bool space_before = false;     // on one line with it, but not touching it
  bool count = false;            // of a grammar's `{2..3}`
};

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         (static_cast<unsigned char>(c) & 0x80) != 0;
}

bool opens(const Fragment& piece) {
  return piece.kind == Fragment::Kind::kSign &&
         (piece.text == "{" || piece.text == "(" || piece.text == "[");
}
bool closes(const Fragment& piece) {
  return piece.kind == Fragment::Kind::kSign &&
         (piece.text == "}" || piece.text == ")" || piece.text == "]");
}

// Cuts a file into its pieces. Texts, strings and patterns are where the syntax tree has them: only
// the grammar knows a pattern from a division, and where a text with inserts ends.
std::vector<Fragment> pieces_of(std::string_view text, const SyntaxTree& tree) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> whole;  // begin, end
  for (const SyntaxNode& node : tree.nodes) {
    const bool one = node.kind == Kind::kText || node.kind == Kind::kBlockText ||
                     node.kind == Kind::kString || node.kind == Kind::kRegex;
    // What stands inside an insert belongs to the text around it.
    if (one && (whole.empty() || node.begin >= whole.back().second))
      whole.emplace_back(node.begin, node.end);
  }
  std::vector<std::pair<std::uint32_t, std::uint32_t>> counts;
  for (const SyntaxNode& node : tree.nodes)
    if (node.kind == Kind::kCount) counts.emplace_back(node.begin, node.end);
  std::vector<Fragment> out;
  std::size_t at = 0;
  std::size_t next = 0;
  std::size_t next_count = 0;
  std::size_t lines = 0;
  bool space = false;
  const auto add = [&](Fragment::Kind kind, std::size_t end) {
    out.push_back({kind, static_cast<std::uint32_t>(at), std::string(text.substr(at, end - at)),
                   lines, space, false});
    while (next_count < counts.size() && counts[next_count].second <= at) ++next_count;
    out.back().count = next_count < counts.size() && counts[next_count].first <= at;
    lines = 0;
    space = false;
    at = end;
  };
  while (at < text.size()) {
    const char c = text[at];
    if (c == '\n') {
      ++lines;
      ++at;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      space = true;
      ++at;
    } else if (next < whole.size() && at == whole[next].first) {
      const bool block = text.substr(at, 3) == "\"\"\"";
      add(block ? Fragment::Kind::kBlockText : Fragment::Kind::kText, whole[next].second);
      ++next;
    } else if (text.substr(at, 2) == "//") {
      std::size_t end = std::min(text.find('\n', at), text.size());
      const std::size_t comment = at;
      while (end > comment &&
             (text[end - 1] == ' ' || text[end - 1] == '\t' || text[end - 1] == '\r'))
        --end;
      add(Fragment::Kind::kComment, end);
    } else if (text.substr(at, 2) == "/*") {
      const std::size_t end = text.find("*/", at + 2);
      add(Fragment::Kind::kComment, end == std::string_view::npos ? text.size() : end + 2);
    } else if (is_word(c)) {
      std::size_t end = at;
      while (end < text.size() && is_word(text[end])) ++end;
      add(Fragment::Kind::kWord, end);
    } else {
      static constexpr std::string_view kSigns[] = {"->", "=>", "==", "!=", "<=", ">=", ".."};
      std::size_t length = 1;
      for (const std::string_view sign : kSigns)
        if (text.substr(at, 2) == sign) length = 2;
      add(Fragment::Kind::kSign, at + length);
    }
  }
  return out;
}

// The statements and declarations that may go on in a new line, by where they begin.
class Continuations {
 public:
  explicit Continuations(const SyntaxTree& tree) {
    for (const SyntaxNode& node : tree.nodes) {
      switch (node.kind) {
        case Kind::kRole:
        case Kind::kTurn:
        case Kind::kLet:
        case Kind::kRequire:
        case Kind::kSplice:
        case Kind::kReturn:
        case Kind::kYield:
        case Kind::kArm:
        case Kind::kIf:
        case Kind::kMatch:
        case Kind::kFor:
        case Kind::kRetry:
        case Kind::kUse:
        case Kind::kConfigEntry:
        case Kind::kAlias:
        case Kind::kRule:
        case Kind::kTool:
        case Kind::kGen:
        case Kind::kField:
        case Kind::kExpect:
        case Kind::kEnumCase:
          spans_.emplace_back(node.begin, node.end);
          break;
        default:
          break;
      }
    }
  }
  /// Whether `at` stands inside one that began after `bracket` and before `at`.
  [[nodiscard]] bool goes_on(std::uint32_t at, std::int64_t bracket) {
    while (next_ < spans_.size() && spans_[next_].first < at) open_.push_back(spans_[next_++]);
    while (!open_.empty() && open_.back().second <= at) open_.pop_back();
    return !open_.empty() && open_.back().first > bracket;
  }

 private:
  std::vector<std::pair<std::uint32_t, std::uint32_t>> spans_;  // in order of their beginnings
  std::vector<std::pair<std::uint32_t, std::uint32_t>> open_;
  std::size_t next_ = 0;
};

bool separate(const Fragment& a, const Fragment& b, bool written) {
  if ((closes(b) && opens(a)) || b.count) return false;  // {} () []
  if (b.text == "," || b.text == ")" || b.text == "]") return false;
  if (a.text == "(" || a.text == "[") return false;
  if (a.text == "," || a.text == "{" || b.text == "}") return true;
  if (b.text == "{") return true;
  for (const std::string_view sign : {"->", "=>", "==", "!=", "<=", ">=", "<", ">", "=", "|"})
    if (a.text == sign || b.text == sign) return true;
  if (b.text == ":" || b.text == ".." || a.text == "..") return false;
  if (a.text == ":") return true;
  return written;
}

std::string moved(const std::string& block, std::size_t indent) {
  const std::size_t last = block.rfind('\n');
  if (last == std::string::npos) return block;
  const std::string closing = block.substr(last + 1, block.size() - last - 4);
  if (closing.find_first_not_of(' ') != std::string::npos)
    return block;  // not on a line of its own
  std::string out;
  for (std::size_t at = 0; at < block.size();) {
    const std::size_t end = std::min(block.find('\n', at), block.size());
    const std::string line = block.substr(at, end - at);
    if (at == 0) {
      out += line;
    } else if (line.size() > closing.size() && line.compare(0, closing.size(), closing) == 0) {
      out += std::string(indent, ' ') + line.substr(closing.size());
    } else if (line.find_first_not_of(' ') != std::string::npos) {
      return block;  // tabs, or less indented: left as it is
    }
    if (end < block.size()) out += '\n';
    at = end + 1;
  }
  return out;
}

std::string print(const std::vector<Fragment>& pieces, const SyntaxTree& tree) {
  struct Open {
    std::uint32_t begin = 0;
    std::size_t line = 0;
  };
  std::string out;
  std::vector<Open> open;
  Continuations continuations(tree);
  std::size_t line = 0;
  std::size_t indent = 0;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const Fragment& piece = pieces[i];
    const Fragment* before = i == 0 ? nullptr : &pieces[i - 1];
    const bool starts = before == nullptr || piece.lines_before > 0;
    const bool goes_on =
        continuations.goes_on(piece.begin, open.empty() ? -1 : std::int64_t{open.back().begin});
    if (starts) {
      if (before != nullptr) {
        const bool empty_line = piece.lines_before > 1 && !opens(*before) && !closes(piece);
        out += empty_line ? "\n\n" : "\n";
        ++line;
      }
      std::vector<Open> outer = open;
      for (std::size_t k = i; k < pieces.size() && closes(pieces[k]) && !outer.empty() &&
                              (k == i || pieces[k].lines_before == 0);
           ++k)
        outer.pop_back();
      std::size_t steps = 0;
      for (std::size_t k = 0; k < outer.size(); ++k)
        if (k == 0 || outer[k].line != outer[k - 1].line) ++steps;
      const bool own =
          closes(piece) || piece.text == "else" || piece.kind == Fragment::Kind::kComment;
      if (goes_on && !own) ++steps;
      indent = steps * kStep;
      out += std::string(indent, ' ');
    } else if (piece.kind == Fragment::Kind::kComment) {
      out += "  ";
    } else if (before->kind == Fragment::Kind::kComment ||
               separate(*before, piece, piece.space_before)) {
      out += ' ';
    }
    if (opens(piece)) open.push_back({piece.begin, line});
    if (closes(piece) && !open.empty()) open.pop_back();
    out +=
        piece.kind == Fragment::Kind::kBlockText ? moved(piece.text, indent + kStep) : piece.text;
    line += static_cast<std::size_t>(std::count(piece.text.begin(), piece.text.end(), '\n'));
  }
  if (!out.empty()) out += '\n';
  return out;
}

// Without spaces and comments.
std::string squeezed(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text.substr(at, 2) == "//") {
      at = std::min(text.find('\n', at), text.size());
    } else if (text.substr(at, 2) == "/*") {
      const std::size_t end = text.find("*/", at + 2);
      at = end == std::string_view::npos ? text.size() : end + 2;
    } else {
      if (text[at] != ' ' && text[at] != '\n' && text[at] != '\t' && text[at] != '\r')
        out += text[at];
      ++at;
    }
  }
  return out;
}

// Without the spaces that lines begin with.
std::string unindented(std::string_view text) {
  std::string out;
  bool start = false;
  for (const char c : text) {
    if (start && c == ' ') continue;
    start = c == '\n';
    out += c;
  }
  return out;
}

// Whether two trees say the same: kinds, words and, but for the indentation of `"""`, texts.
bool same(const SyntaxTree& a, std::string_view a_text, const SyntaxTree& b,
          std::string_view b_text) {
  if (a.nodes.size() != b.nodes.size() || a.docs.size() != b.docs.size()) return false;
  for (std::size_t i = 0; i < a.nodes.size(); ++i) {
    const SyntaxNode& x = a.nodes[i];
    const SyntaxNode& y = b.nodes[i];
    if (x.kind != y.kind || x.next != y.next) return false;
    if (x.next != i + 1) continue;  // its children are compared
    const std::string_view one = a_text.substr(x.begin, x.end - x.begin);
    const std::string_view other = b_text.substr(y.begin, y.end - y.begin);
    const bool exact = x.kind == Kind::kString || x.kind == Kind::kRegex || x.kind == Kind::kText ||
                       x.kind == Kind::kEscape;
    const bool equal = exact                  ? one == other
                       : x.kind == Kind::kRun ? unindented(one) == unindented(other)
                                              : squeezed(one) == squeezed(other);
    if (!equal) return false;
  }
  return true;
}

}  // namespace

Result<std::string> format(const Source& source, Diagnostics& diagnostics,
                           std::optional<std::int64_t> edition) {
  const Parsed parsed = parse(source, 0, diagnostics);
  const Edition written = edition_of(parsed.file, 0, diagnostics);
  if (written.number > kLastEdition) {
    diagnostics = {};  // its syntax may be another
    refuse_later(written, diagnostics);
    return fail(ErrorCode::kInvalid, "'" + source.name() + "' is of a later edition");
  }
  if (!parsed.complete || diagnostics.has_errors())
    return fail(ErrorCode::kInvalid, "'" + source.name() + "' has errors");
  if (edition) {
    return format({source.name(), with_edition(source.text(), parsed.file, written, *edition)},
                  diagnostics);
  }
  Diagnostics again;
  const SyntaxResult before = match_syntax(source, 0, again);
  std::string out = print(pieces_of(source.text(), before.tree), before.tree);
  const Source formatted(source.name(), out);
  Diagnostics after_diagnostics;
  const SyntaxResult after = match_syntax(formatted, 0, after_diagnostics);
  if (after_diagnostics.has_errors() ||
      !same(before.tree, source.text(), after.tree, formatted.text())) {
    return fail(ErrorCode::kInternal, "formatting '" + source.name() +
                                          "' would change what it means; it is left as it is");
  }
  return out;
}

}  // namespace espalier::dsl
