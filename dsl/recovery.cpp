#include "dsl/recovery.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/utf8.h"
#include "dsl/habits.h"

namespace espalier::dsl::syntax {
namespace {

bool word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view word_at(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size() && word_character(text[end])) ++end;
  return text.substr(at, end - at);
}

template <std::size_t N>
bool one_of(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

constexpr std::array<std::string_view, 9> kDeclarationWords = {
    "use", "config", "record", "enum", "type", "grammar", "tool", "gen", "test"};
constexpr std::array<std::string_view, 15> kStatementWords = {
    "system", "user",  "assistant", "tool",   "turn",   "let",   "if",   "for",
    "match",  "retry", "require",   "splice", "return", "yield", "break"};

bool declaration_at(std::string_view text, std::size_t at) {
  const std::string_view word = word_at(text, at);
  if (!one_of(word, kDeclarationWords)) return false;
  if (word != "tool") return true;
  std::size_t next = at + word.size();
  while (next < text.size() && blank(text[next])) ++next;
  return next < text.size() && text[next] != '"' && text[next] != '{';
}

bool statement_at(std::string_view text, std::size_t at) {
  return at < text.size() && (text[at] == '"' || one_of(word_at(text, at), kStatementWords));
}

/// Walks over the text outside strings and comments, keeping count of braces.
class Skipper {
 public:
  Skipper(std::string_view text, std::size_t at) : text_(text), at_(at) {}

  [[nodiscard]] bool done() const { return at_ >= text_.size(); }
  [[nodiscard]] std::size_t at() const { return at_; }
  [[nodiscard]] char here() const { return text_[at_]; }
  /// Brackets opened and not closed since the start: `{` alone, and all three kinds.
  [[nodiscard]] int braces() const { return braces_; }
  [[nodiscard]] int brackets() const { return brackets_; }
  /// Only blanks stand between the line's start and here.
  [[nodiscard]] bool first_in_line() const {
    std::size_t i = at_;
    while (i > 0 && blank(text_[i - 1])) --i;
    return i == 0 || text_[i - 1] == '\n';
  }
  [[nodiscard]] bool column_zero() const { return at_ == 0 || text_[at_ - 1] == '\n'; }

  /// One character, string or comment further.
  void step() {
    const char c = text_[at_];
    if (c == '"') return skip_string();
    if (c == '/' && text_.substr(at_, 2) == "//") {
      at_ = std::min(text_.find('\n', at_), text_.size());
      return;
    }
    if (c == '/' && text_.substr(at_, 2) == "/*") {
      const std::size_t end = text_.find("*/", at_ + 2);
      at_ = end == std::string_view::npos ? text_.size() : end + 2;
      return;
    }
    if (c == '{') ++braces_, ++brackets_;
    if (c == '}') --braces_, --brackets_;
    if (c == '(' || c == '[') ++brackets_;
    if (c == ')' || c == ']') --brackets_;
    if (word_character(c)) {
      at_ += word_at(text_, at_).size();
    } else {
      ++at_;
    }
  }

 private:
  void skip_string() {
    if (text_.substr(at_, 3) == "\"\"\"") {
      const std::size_t end = text_.find("\"\"\"", at_ + 3);
      at_ = end == std::string_view::npos ? text_.size() : end + 3;
      return;
    }
    std::size_t i = at_ + 1;
    while (i < text_.size() && text_[i] != '"' && text_[i] != '\n')
      i += text_[i] == '\\' && i + 1 < text_.size() ? 2 : 1;
    at_ = std::min(i < text_.size() && text_[i] == '"' ? i + 1 : i, text_.size());
  }

  std::string_view text_;
  std::size_t at_;
  int braces_ = 0;
  int brackets_ = 0;
};

std::optional<std::size_t> find_declaration(std::string_view text, std::size_t from,
                                            std::size_t begin) {
  Skipper skipper(text, from);
  while (!skipper.done()) {
    if (skipper.at() > begin && skipper.first_in_line() && declaration_at(text, skipper.at()) &&
        (skipper.column_zero() || skipper.braces() <= 0))
      return skipper.at();
    skipper.step();
  }
  return text.size();
}

std::optional<std::size_t> find_statement(std::string_view text, std::size_t from,
                                          std::size_t begin) {
  Skipper skipper(text, from);
  while (!skipper.done()) {
    if (skipper.braces() == 0 && skipper.here() == '}') return skipper.at();
    if (skipper.at() > begin && skipper.column_zero() && declaration_at(text, skipper.at()))
      return skipper.at();
    if (skipper.braces() == 0 && skipper.at() > begin && skipper.first_in_line() &&
        statement_at(text, skipper.at()))
      return skipper.at();
    skipper.step();
  }
  return text.size();
}

/// For arms: any line at the arms' own level may begin one.
std::optional<std::size_t> find_arm(std::string_view text, std::size_t from, std::size_t begin) {
  Skipper skipper(text, from);
  while (!skipper.done()) {
    if (skipper.braces() == 0 && skipper.here() == '}') return skipper.at();
    if (skipper.at() > begin && skipper.column_zero() && declaration_at(text, skipper.at()))
      return skipper.at();
    if (skipper.braces() == 0 && skipper.at() > begin && skipper.first_in_line() &&
        !blank(skipper.here()) && skipper.here() != '\n')
      return skipper.at();
    skipper.step();
  }
  return text.size();
}

/// Brackets that are open at `to` and were opened at or after `from`.
int open_brackets(std::string_view text, std::size_t from, std::size_t to) {
  Skipper skipper(text.substr(0, to), from);
  while (!skipper.done()) skipper.step();
  return std::max(skipper.brackets(), 0);
}

std::optional<std::size_t> find_item(std::string_view text, std::size_t from, std::size_t begin) {
  // Closing what the item itself opened before the error does not end it, if that is on its line.
  int own = open_brackets(text, std::min(begin, from), from);
  Skipper skipper(text, from);
  while (!skipper.done()) {
    const char c = skipper.here();
    if (skipper.first_in_line()) own = std::min(own, std::max(-skipper.brackets(), 0));
    const int open = skipper.brackets() + own;
    if (open == 0 && (c == '}' || c == ')' || c == ']')) return skipper.at();
    if (skipper.at() > begin && open == 0 && c == ',') return skipper.at();
    if (skipper.at() > begin && skipper.column_zero() && declaration_at(text, skipper.at()))
      return skipper.at();
    if (skipper.at() > begin && open == 0 && skipper.first_in_line() && !blank(c) && c != '\n')
      return skipper.at();
    skipper.step();
  }
  return text.size();
}

std::optional<std::size_t> find_head_end(std::string_view text, std::size_t from) {
  Skipper skipper(text, from);
  while (!skipper.done() && skipper.here() != '\n') {
    if (skipper.here() == '{') return skipper.at();
    if (skipper.here() == '}') return std::nullopt;
    skipper.step();
  }
  return std::nullopt;
}

/// The end of a hole or an insert on its line, else where the line's text ends.
std::optional<std::size_t> find_closing(std::string_view text, std::size_t from, char close) {
  const std::size_t line_end = std::min(text.find('\n', from), text.size());
  Skipper skipper(text.substr(0, line_end), from);
  int open = 0;
  while (!skipper.done()) {
    const char c = skipper.here();
    if (c == close && open <= 0) return skipper.at() + 1;
    if (c == '[' || c == '{' || c == '(') ++open;
    if (c == ']' || c == '}' || c == ')') --open;
    skipper.step();
  }
  return std::min(text.find('"', from), line_end);
}

std::string found(std::string_view text, std::uint32_t offset) {
  if (offset >= text.size()) return "the file ends here";
  if (text[offset] == '\n' || text[offset] == '\r') return "the line ends here";
  if (text[offset] == '"')
    return text.substr(offset, 3) == "\"\"\"" ? "found `\"\"\"`" : "found `\"`";
  if (const auto word = word_at(text, offset); !word.empty())
    return "found `" + std::string(word.substr(0, 40)) + "`";
  const auto decoded = utf8::decode(text, offset);
  return "found `" + std::string(text.substr(offset, std::max<std::size_t>(decoded.length, 1))) +
         "`";
}

std::uint32_t found_length(std::string_view text, std::uint32_t offset) {
  if (offset >= text.size() || text[offset] == '\n' || text[offset] == '\r') return 0;
  if (const auto word = word_at(text, offset); !word.empty())
    return static_cast<std::uint32_t>(word.size());
  return std::max<std::uint32_t>(utf8::decode(text, offset).length, 1);
}

void report(const Failure& failure, bool in_text, MatchState& state) {
  const std::string_view text = state.source.text();
  const ErrorText& error = *failure.text;
  Diagnostic diagnostic;
  diagnostic.code = in_text && std::string_view(error.code) == "E0100" ? "E0110" : error.code;
  diagnostic.message = error.message;
  diagnostic.help = error.help;
  diagnostic.label = {
      {state.file, failure.offset, failure.offset + found_length(text, failure.offset)},
      found(text, failure.offset)};
  const std::string_view rest = text.substr(std::min<std::size_t>(failure.offset, text.size()));
  switch (error.hint) {
    case Hint::kFound:
      if (diagnostic.help.empty() && failure.offset < text.size() &&
          static_cast<unsigned char>(text[failure.offset]) >= 0x80)
        diagnostic.help =
            "names are made of ASCII letters, digits and `_`; texts hold any character";
      if (const auto word = word_at(text, failure.offset);
          diagnostic.help.empty() && (word == "true" || word == "false") &&
          std::string_view(error.message).starts_with("expected a type"))
        diagnostic.help = "the type of `true` and `false` is `bool`";
      break;
    case Hint::kDeclaration:
      if (std::string habit = habit_of_declaration(rest); !habit.empty())
        diagnostic.help = std::move(habit);
      break;
    case Hint::kStatement:
      diagnostic.help = habit_of_statement(rest);
      break;
    case Hint::kHead:
      diagnostic.help = habit_of_head(rest);
      break;
    case Hint::kOperand:
      diagnostic.help = habit_of_operand(rest);
      break;
    case Hint::kUnterminated: {
      const std::uint32_t width = text.substr(failure.opening, 3) == "\"\"\"" ? 3
                                  : text.substr(failure.opening, 2) == "/*"   ? 2
                                                                              : 1;
      diagnostic.label = {{state.file, failure.opening, failure.opening + width}, "opened here"};
      break;
    }
    case Hint::kCloses:
      diagnostic.secondary.push_back(
          {{state.file, failure.opening, failure.opening + 1}, "what began here"});
      if (failure.opening < text.size() && text[failure.opening] == '[')
        diagnostic.help = habit_in_brackets(text, failure.opening, failure.offset);
      break;
    case Hint::kHoleColon: {
      // `$[n int]`: the rest of the hole is most likely its type.
      const std::size_t close = text.find_first_of("]\"\n", failure.offset);
      if (found_length(text, failure.offset) > 0 && close != std::string_view::npos &&
          text[close] == ']' && close > failure.offset && close - failure.offset < 60 &&
          text[failure.offset] != ',') {
        std::string_view name =
            text.substr(failure.opening + 2, failure.offset - failure.opening - 2);
        while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
        const std::size_t end = name.find_last_not_of(" \t");
        name = name.substr(0, end == std::string_view::npos ? 0 : end + 1);
        diagnostic.label.text = "try `$[" + std::string(name) + ": " +
                                std::string(text.substr(failure.offset, close - failure.offset)) +
                                "]`";
        diagnostic.label.span.end = diagnostic.label.span.begin + 1;
      } else if (rest.starts_with("]")) {
        diagnostic.help = "a hole says its type, as in `$[answer: line]`";
      }
      break;
    }
  }
  state.diagnostics.add(std::move(diagnostic));
}

}  // namespace

std::optional<std::uint32_t> recover(Skip where, Failure& failure, std::uint32_t begin,
                                     std::size_t kept_nodes, MatchState& state) {
  state.tree.nodes.resize(std::min(kept_nodes, state.tree.nodes.size()));
  const std::string_view text = state.source.text();
  if (where == Skip::kInsert && !failure.reported && failure.text->hint == Hint::kUnterminated &&
      text.substr(failure.opening, 1) == "\"") {
    // `"${"`: the quote was meant to close the text that the insert stands in, not to open one.
    static constexpr ErrorText kUnclosedInsert{"E0110", "expected `}` before the text ends"};
    failure.text = &kUnclosedInsert;
    failure.offset = failure.opening;
  }
  if (!failure.reported) report(failure, where == Skip::kHole || where == Skip::kInsert, state);
  failure.reported = true;
  if (state.diagnostics.size() >= Diagnostics::kLimit) throw Stopped{};

  // An unterminated comment or `"""` text swallows the rest: nothing after it can be trusted.
  if (failure.text->hint == Hint::kUnterminated && failure.offset >= text.size() &&
      where != Skip::kDeclaration)
    return std::nullopt;
  std::optional<std::size_t> to;
  const std::size_t from = failure.offset;
  switch (where) {
    case Skip::kDeclaration:
      to = find_declaration(text, from, begin);
      break;
    case Skip::kStatement:
      to = find_statement(text, from, begin);
      break;
    case Skip::kArm:
      to = find_arm(text, from, begin);
      break;
    case Skip::kItem:
      to = find_item(text, from, begin);
      break;
    case Skip::kHead:
      to = find_head_end(text, from);
      break;
    case Skip::kHole:
      to = find_closing(text, from, ']');
      break;
    case Skip::kInsert:
      to = find_closing(text, from, '}');
      break;
  }
  if (!to || (*to <= begin && where != Skip::kHead)) return std::nullopt;
  const auto end = static_cast<std::uint32_t>(*to);
  state.tree.skipped.push_back({state.file, begin, end});
  return end;
}

}  // namespace espalier::dsl::syntax
