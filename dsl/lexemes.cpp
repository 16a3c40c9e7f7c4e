#include "dsl/lexemes.h"

#include <algorithm>
#include <string>

#include "dsl/parser.h"

namespace espalier::dsl {
namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }
bool word_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         (static_cast<unsigned char>(c) & 0x80) != 0;
}

// Code, or a text, that is open; the innermost last.
struct Open {
  enum class Kind : std::uint8_t { kCode, kInsert, kHole, kLine, kBlock } kind = Kind::kCode;
  std::vector<bool> grammar;  // of code: for each open bracket, whether it is inside a grammar
};

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) { open_.emplace_back(); }

  Lexemes run() {
    while (at_ < text_.size()) {
      const Open::Kind kind = open_.back().kind;
      if (kind == Open::Kind::kLine || kind == Open::Kind::kBlock) {
        in_text();
      } else {
        in_code();
      }
    }
    finish();
    return std::move(out_);
  }

 private:
  [[nodiscard]] bool here(std::string_view what) const {
    return text_.substr(at_, what.size()) == what;
  }
  void add(LexemeKind kind, std::size_t begin, std::size_t end) {
    out_.all.push_back({kind, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)});
    at_ = end;
  }

  void in_text() {
    const bool block = open_.back().kind == Open::Kind::kBlock;
    const std::size_t begin = at_;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const bool ends = block ? here("\"\"\"") : c == '"';
      const bool escape = here("$${") || here("$$[") || (c == '\\' && at_ + 1 < text_.size());
      const bool mark = !escape && (here("${") || here("$["));
      if (!ends && !escape && !mark && (block || c != '\n')) {
        ++at_;
        continue;
      }
      const std::size_t stop = at_;
      if (ends) {
        add(LexemeKind::kText, begin, stop + (block ? 3 : 1));
        open_.pop_back();
        return;
      }
      if (stop > begin) add(LexemeKind::kText, begin, stop);
      if (escape) {
        add(LexemeKind::kEscape, stop, stop + (c == '$' ? 3 : 2));
      } else if (mark) {
        add(LexemeKind::kMark, stop, stop + 2);
        open_.emplace_back();
        open_.back().kind = text_[stop + 1] == '{' ? Open::Kind::kInsert : Open::Kind::kHole;
      } else {
        open_.pop_back();  // a line's end closes a text that was not closed
      }
      return;
    }
    if (at_ > begin) add(LexemeKind::kText, begin, at_);
  }

  void in_code() {
    const char c = text_[at_];
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      ++at_;
    } else if (here("//")) {
      const std::size_t end = std::min(text_.find('\n', at_), text_.size());
      unfinished_ = end == text_.size();
      add(LexemeKind::kComment, at_, end);
    } else if (here("/*")) {
      const std::size_t end = text_.find("*/", at_ + 2);
      unfinished_ = end == std::string_view::npos;
      add(LexemeKind::kComment, at_, unfinished_ ? text_.size() : end + 2);
    } else if (c == '"') {
      const bool block = here("\"\"\"");
      const std::size_t begin = at_;
      at_ += block ? 3 : 1;
      open_.emplace_back();
      open_.back().kind = block ? Open::Kind::kBlock : Open::Kind::kLine;
      add(LexemeKind::kText, begin, at_);
    } else if (word_start(c)) {
      std::size_t end = at_;
      while (end < text_.size() && (word_start(text_[end]) || digit(text_[end]))) ++end;
      add(LexemeKind::kWord, at_, end);
    } else if (digit(c)) {
      std::size_t end = at_;
      while (end < text_.size() && digit(text_[end])) ++end;
      if (end + 1 < text_.size() && text_[end] == '.' && digit(text_[end + 1])) {
        ++end;
        while (end < text_.size() && digit(text_[end])) ++end;
      }
      add(LexemeKind::kNumber, at_, end);
    } else if (c == '/' && pattern_here()) {
      std::size_t end = at_ + 1;
      while (end < text_.size() && text_[end] != '/' && text_[end] != '\n')
        end += text_[end] == '\\' && end + 1 < text_.size() ? 2 : 1;
      const bool closed = end < text_.size() && text_[end] == '/';
      unfinished_ = end >= text_.size();
      add(LexemeKind::kPattern, at_, std::min(text_.size(), end + (closed ? 1 : 0)));
    } else {
      sign(c);
    }
  }

  void sign(char c) {
    Open& code = open_.back();
    if (c == '{' || c == '(' || c == '[') {
      const bool inside = !code.grammar.empty() && code.grammar.back();
      code.grammar.push_back(inside || (c == '{' && opens_grammar()));
    } else if (c == '}' || c == ')' || c == ']') {
      const bool closes = code.grammar.empty() && ((code.kind == Open::Kind::kInsert && c == '}') ||
                                                   (code.kind == Open::Kind::kHole && c == ']'));
      if (closes) {
        open_.pop_back();
        add(LexemeKind::kMark, at_, at_ + 1);
        return;
      }
      if (!code.grammar.empty()) code.grammar.pop_back();
    }
    static constexpr std::string_view kSigns[] = {"->", "=>", "==", "!=", "<=", ">=", ".."};
    std::size_t length = 1;
    for (const std::string_view one : kSigns)
      if (here(one)) length = 2;
    add(LexemeKind::kSign, at_, at_ + length);
  }

  // `grammar Name {`
  [[nodiscard]] bool opens_grammar() const {
    const std::size_t n = out_.all.size();
    return n >= 2 && written(out_.all[n - 2]) == "grammar" &&
           out_.all[n - 1].kind == LexemeKind::kWord;
  }

  // A pattern stands where no value has just ended; in a grammar everywhere.
  [[nodiscard]] bool pattern_here() const {
    const Open& code = open_.back();
    if (!code.grammar.empty() && code.grammar.back()) return true;
    for (auto last = out_.all.rbegin(); last != out_.all.rend(); ++last) {
      if (last->kind == LexemeKind::kComment) continue;
      if (last->kind == LexemeKind::kSign) {
        const std::string_view sign = written(*last);
        return sign != ")" && sign != "]" && sign != "}";
      }
      if (last->kind == LexemeKind::kMark) return true;
      return last->kind == LexemeKind::kWord && is_keyword(written(*last));
    }
    return false;
  }

  [[nodiscard]] std::string_view written(const Lexeme& one) const {
    return text_.substr(one.begin, one.end - one.begin);
  }

  void finish() {
    const Open& last = open_.back();
    out_.depth = static_cast<std::uint32_t>(last.grammar.size());
    switch (last.kind) {
      case Open::Kind::kLine:
      case Open::Kind::kBlock:
        out_.end = OpenPlace::kText;
        return;
      case Open::Kind::kInsert:
        out_.end = OpenPlace::kInsert;
        break;
      case Open::Kind::kHole:
        out_.end = OpenPlace::kHole;
        break;
      case Open::Kind::kCode:
        break;
    }
    if (!unfinished_ || out_.all.empty() || out_.all.back().end != text_.size()) return;
    if (out_.all.back().kind == LexemeKind::kComment) out_.end = OpenPlace::kComment;
    if (out_.all.back().kind == LexemeKind::kPattern) out_.end = OpenPlace::kPattern;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<Open> open_;
  bool unfinished_ = false;  // the last comment or pattern runs to the end
  Lexemes out_;
};

}  // namespace

Lexemes lexemes(std::string_view text) { return Scanner(text).run(); }

}  // namespace espalier::dsl
