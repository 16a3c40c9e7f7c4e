// Leaves: names, numbers, strings, texts with their escapes and indentation, comments that
// document.
#include <charconv>
#include <cmath>

#include "base/utf8.h"
#include "dsl/ast_builder.h"

namespace espalier::dsl {
namespace {

bool blank(char c) { return c == ' ' || c == '\t'; }

/// Puts literal bytes together, so that neighbours become one chunk and empty ones none.
class ChunkList {
 public:
  explicit ChunkList(std::vector<Chunk>& out) : out_(out) {}
  void literal(std::string_view bytes, Span span) {
    if (bytes.empty()) return;
    if (pending_.bytes.empty()) {
      pending_ = {std::string(bytes), span};
    } else {
      pending_.bytes.append(bytes);
      pending_.span = join(pending_.span, span);
    }
  }
  template <class T>
  void add(T chunk) {
    flush();
    out_.emplace_back(std::move(chunk));
  }
  /// Takes back a literal newline at the very end.
  void drop_last_newline() {
    if (!pending_.bytes.empty() && pending_.bytes.back() == '\n') pending_.bytes.pop_back();
  }
  void flush() {
    if (!pending_.bytes.empty()) out_.emplace_back(std::move(pending_));
    pending_ = {};
  }

 private:
  std::vector<Chunk>& out_;
  LiteralChunk pending_;
};

}  // namespace

std::uint32_t AstBuilder::escape(std::uint32_t offset, std::uint32_t limit, std::string& out) {
  const std::string_view all = source_.text();
  const char c = offset + 1 < limit ? all[offset + 1] : '\0';
  const auto refuse = [&](std::uint32_t end, std::string message) {
    diagnostics_.error("E0111", {index_, offset, end}, std::move(message)).help =
        "the escapes are \\n \\t \\r \\\\ \\\" \\$ and \\u{1F600}; a backslash itself is \\\\";
    return end;
  };
  switch (c) {
    case 'n':
      out += '\n';
      return offset + 2;
    case 't':
      out += '\t';
      return offset + 2;
    case 'r':
      out += '\r';
      return offset + 2;
    case '\\':
    case '"':
    case '$':
      out += c;
      return offset + 2;
    case 'u': {
      std::uint32_t end = offset + 2;
      if (end >= limit || all[end] != '{')
        return refuse(end, "expected `{` and a code point after `\\u`");
      std::uint32_t code = 0;
      const char* const first = all.data() + end + 1;
      const char* const last = all.data() + std::min<std::size_t>(limit, end + 8);
      const auto [stop, error] = std::from_chars(first, last, code, 16);
      end = static_cast<std::uint32_t>(stop - all.data());
      if (error != std::errc() || end >= limit || all[end] != '}')
        return refuse(std::min(end, limit),
                      "expected one to six hexadecimal digits and `}` after `\\u{`");
      if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000) || code == 0)
        return refuse(end + 1, "this is not a character that text may hold");
      utf8::append(out, code);
      return end + 1;
    }
    default: {
      const std::uint32_t width =
          offset + 1 < limit ? std::max<std::uint32_t>(utf8::decode(all, offset + 1).length, 1) : 0;
      return refuse(offset + 1 + width, "unknown escape");
    }
  }
}

StringLiteral AstBuilder::string_literal(Node node) {
  StringLiteral result{{}, span(node)};
  const std::string_view all = source_.text();
  const std::uint32_t limit = result.span.end - 1;  // before the closing quote
  std::uint32_t at = result.span.begin + 1;
  while (at < limit) {
    if (all[at] == '\\') {
      at = escape(at, limit, result.value);
    } else {
      result.value += all[at++];
    }
  }
  return result;
}

std::string AstBuilder::regex_pattern(Node node) const {
  const std::string_view written = slice(node).substr(1, slice(node).size() - 2);
  std::string pattern;
  for (std::size_t i = 0; i < written.size(); ++i) {
    if (written[i] == '\\' && i + 1 < written.size()) {
      if (written[i + 1] != '/') pattern += '\\';
      pattern += written[++i];
    } else {
      pattern += written[i];
    }
  }
  return pattern;
}

Number AstBuilder::number(Node node, bool negative) {
  Number result;
  result.span = span(node);
  std::string digits(slice(node));
  if (negative) digits.insert(digits.begin(), '-');
  const char* const first = digits.data();
  const char* const last = first + digits.size();
  result.integer = digits.find('.') == std::string::npos;
  // from_chars for double is exact and does not depend on the locale.
  if (std::from_chars(first, last, result.value).ec != std::errc() ||
      !std::isfinite(result.value)) {
    diagnostics_.error("E0112", result.span, "this number is too large",
                       "a float holds up to about 1.8e308");
    result.value = 0;
  }
  if (result.integer && std::from_chars(first, last, result.int_value).ec != std::errc()) {
    diagnostics_.error("E0112", result.span, "this integer is too large",
                       "integers go from -9223372036854775808 to 9223372036854775807");
  }
  return result;
}

RangeLiteral AstBuilder::range(Node node) {
  RangeLiteral result;
  result.span = span(node);
  auto parts = children(node);
  if (const auto low = parts.take(Kind::kNumber)) result.low = number(*low);
  if (!parts.take(Kind::kDotDot)) {
    result.exact = true;
    result.high = result.low;
    return result;
  }
  if (const auto high = parts.take(Kind::kNumber)) result.high = number(*high);
  return result;
}

Text AstBuilder::text(Node node) {
  Text result;
  result.span = span(node);
  result.block = kind(node) == Kind::kBlockText;
  const std::string_view all = source_.text();
  ChunkList chunks(result.chunks);

  // `"""`: the closing quotes, alone on their line, say how far the lines are indented.
  std::string_view indent;
  bool closing_alone = false;
  std::uint32_t content_end = result.span.end - (result.block ? 3 : 1);
  std::uint32_t at_first = result.span.begin + (result.block ? 3 : 1);
  bool line_start = false;
  if (result.block) {
    std::uint32_t start = content_end;
    while (start > at_first && blank(all[start - 1])) --start;
    if (start > at_first && all[start - 1] == '\n') {
      indent = all.substr(start, content_end - start);
      closing_alone = true;
    }
    std::uint32_t first = at_first;
    if (first < content_end && all[first] == '\r') ++first;
    if (first < content_end && all[first] == '\n') {
      at_first = first + 1;
      line_start = true;
    }
  }

  std::uint32_t resume = at_first;  // bytes before this are already used
  const auto plain = [&](std::uint32_t begin, std::uint32_t end) {
    std::uint32_t at = std::max(begin, resume);
    while (at < end) {
      if (line_start) {
        line_start = false;
        std::uint32_t stripped = 0;
        while (stripped < indent.size() && at < end && all[at] == indent[stripped])
          ++stripped, ++at;
        const bool empty_line = at >= content_end || all[at] == '\n' || all[at] == '\r';
        if (stripped < indent.size() && !empty_line && !indent.empty()) {
          std::uint32_t word = at;
          while (word < content_end && blank(all[word])) ++word;
          if (word < content_end && all[word] != '\n' && all[word] != '\r')
            diagnostics_
                .error("E0116", {index_, at, at + 1},
                       "this line is indented less than the closing `\"\"\"`", "starts here")
                .help =
                "indent every line of the text at least as far as its closing quotes, "
                "with the same spaces or tabs";
        }
        continue;
      }
      std::uint32_t stop = at;
      while (stop < end && all[stop] != '\n') ++stop;
      const bool newline = stop < end;
      std::uint32_t keep = stop;
      if (newline && keep > at && all[keep - 1] == '\r') --keep;
      chunks.literal(all.substr(at, keep - at), {index_, at, keep});
      if (newline) {
        chunks.literal("\n", {index_, stop, stop + 1});
        line_start = result.block;
        ++stop;
      }
      at = stop;
    }
  };

  for (auto parts = children(node); !parts.done();) {
    const Node part = parts.next();
    const Span place = span(part);
    if (kind(part) != Kind::kRun && line_start && !indent.empty() && place.begin >= resume) {
      line_start = false;
      diagnostics_
          .error("E0116", place, "this line is indented less than the closing `\"\"\"`",
                 "starts here")
          .help = "indent every line of the text at least as far as its closing quotes";
    }
    switch (kind(part)) {
      case Kind::kRun:
        plain(place.begin, place.end);
        break;
      case Kind::kDollarBrace:
        chunks.literal("${", place);
        break;
      case Kind::kDollarBracket:
        chunks.literal("$[", place);
        break;
      case Kind::kEscape: {
        std::string bytes;
        const std::uint32_t end = escape(place.begin, content_end, bytes);
        chunks.literal(bytes, {index_, place.begin, end});
        resume = std::max(resume, end);
        break;
      }
      case Kind::kHole:
        chunks.add(hole(part));
        break;
      case Kind::kInsert:
        chunks.add(insert(part));
        break;
      default:
        break;
    }
    if (kind(part) != Kind::kRun) line_start = false;
  }
  if (closing_alone) chunks.drop_last_newline();
  chunks.flush();
  return result;
}

Hole AstBuilder::hole(Node node) {
  Hole result;
  result.id = holes_++;
  result.span = span(node);
  auto parts = children(node);
  if (const auto name = parts.take(Kind::kName)) result.name = identifier(*name);
  result.select = parts.take(Kind::kSelect).has_value();
  if (const auto written = parts.take(Kind::kType)) result.type = type(*written);
  while (!parts.done()) {
    const Node option = parts.next();
    auto inner = children(option);
    const Span place = span(option);
    if (kind(option) == Kind::kFrom) {
      if (result.from) diagnostics_.error("E0105", place, "`from` is given twice");
      result.from = expr(inner.next());
    } else if (kind(option) == Kind::kBy) {
      if (result.by) diagnostics_.error("E0105", place, "`by` is given twice");
      result.by = identifier(inner.next());
    } else {
      HoleOption made;
      made.name = identifier(inner.next());
      made.value = expr(inner.next());
      result.options.push_back(std::move(made));
    }
  }
  return result;
}

Insert AstBuilder::insert(Node node) {
  auto parts = children(node);
  const auto run = parts.take(Kind::kInsertRun);
  ExprPtr value = parts.done() ? missing(span(node)) : expr(parts.next());
  if (run) {
    const Span place = join(span(*run), value->span);
    value = make(place, RunExpr{std::move(value)});
  }
  return {span(node), std::move(value)};
}

std::string AstBuilder::doc(Node node, bool trailing) const {
  const std::string_view all = source_.text();
  const auto& docs = tree_.docs;
  const auto own_line = [&](std::uint32_t begin) {
    while (begin > 0 && blank(all[begin - 1])) --begin;
    return begin == 0 || all[begin - 1] == '\n';
  };
  const auto content = [&](std::uint32_t begin, std::uint32_t end) {
    std::string_view line = all.substr(begin + 3, end - begin - 3);
    if (!line.empty() && line.front() == ' ') line.remove_prefix(1);
    while (!line.empty() && (blank(line.back()) || line.back() == '\r')) line.remove_suffix(1);
    return std::string(line);
  };
  const auto space_between = [&](std::uint32_t begin, std::uint32_t end, bool comma) {
    for (; begin < end; ++begin) {
      const char c = all[begin];
      if (!blank(c) && c != '\n' && c != '\r' && !(comma && c == ',')) return false;
      if (comma && c == '\n') return false;
    }
    return true;
  };
  std::vector<std::string> lines;  // from the last to the first
  std::uint32_t before = tree_.nodes[node].begin;
  for (auto at = docs.lower_bound(before); at != docs.begin();) {
    --at;
    if (!own_line(at->first) || !space_between(at->second, before, false)) break;
    lines.push_back(content(at->first, at->second));
    before = at->first;
  }
  std::string result;
  for (auto line = lines.rbegin(); line != lines.rend(); ++line)
    result += (result.empty() ? "" : "\n") + *line;
  if (!trailing) return result;
  const std::uint32_t after = tree_.nodes[node].end;
  if (const auto at = docs.lower_bound(after);
      at != docs.end() && space_between(after, at->first, true)) {
    const std::string line = content(at->first, at->second);
    result = result.empty() ? line : result + "\n" + line;
  }
  return result;
}

}  // namespace espalier::dsl
