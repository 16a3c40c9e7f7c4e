#include "grammar/gbnf.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace espalier::grammar {
namespace {

constexpr char32_t kLastCodePoint = 0x10FFFF;

class Reader {
 public:
  Reader(ExpressionPool& pool, std::string_view text)
      : pool_(pool), rules_(pool, text), text_(text) {}

  Result<ContextFree> run() {
    if (text_.size() > ContextFreeBuilder::kLongestText) {
      return fail(
          ErrorCode::kLimit,
          "grammar: longer than " + std::to_string(ContextFreeBuilder::kLongestText) + " bytes");
    }
    if (const std::size_t bad = utf8::find_malformed(text_); bad != std::string_view::npos) {
      return fail(rules_.error_at(bad, "the text is not UTF-8"));
    }
    if (text_.starts_with(utf8::kByteOrderMark)) at_ = utf8::kByteOrderMark.size();
    skip_space(true);
    while (at_ < text_.size() && pool_.ok()) ESP_TRY(read_rule());
    ESP_TRY(pool_.status());
    return rules_.finish("root");
  }

 private:
  // An open parenthesis, or the rule itself.
  struct Group {
    std::size_t opened = 0;
    std::vector<Expr> alternatives;
    std::vector<Expr> sequence;
  };

  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  [[nodiscard]] tl::unexpected<Error> error(std::string_view what,
                                            ErrorCode code = ErrorCode::kInvalid) const {
    return fail(rules_.error_at(at_, what, code));
  }

  void skip_space(bool newlines) {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        at_ = std::min(text_.find_first_of("\r\n", at_), text_.size());
      } else if (c == ' ' || c == '\t' || (newlines && (c == '\r' || c == '\n'))) {
        ++at_;
      } else {
        return;
      }
    }
  }

  Result<std::string_view> read_name() {
    const std::size_t from = at_;
    while (at_ < text_.size() && is_name_byte(text_[at_])) ++at_;
    if (at_ == from) return error("a rule's name is expected here");
    return text_.substr(from, at_ - from);
  }

  Status read_rule() {
    const std::size_t begins = at_;
    ESP_ASSIGN(const std::string_view name, read_name());
    skip_space(false);
    if (text_.substr(at_, 3) != "::=") return error("`::=` is expected behind a rule's name");
    at_ += 3;
    skip_space(true);
    ESP_ASSIGN(const Expr body, read_body());
    return rules_.define(name, body, begins);
  }

  // Whether another rule begins here: a name with `::=` behind it. Without one, an item on a new
  // line goes on with the rule before it.
  [[nodiscard]] bool at_rule() {
    const std::size_t here = at_;
    while (at_ < text_.size() && is_name_byte(text_[at_])) ++at_;
    const bool named = at_ > here;
    skip_space(false);
    const bool rule = named && text_.substr(at_, 3) == "::=";
    at_ = here;
    return rule;
  }

  // A rule's alternatives, up to the next rule. Nesting is `groups`, not the machine's stack.
  Result<Expr> read_body() {
    std::vector<Group> groups(1);
    while (at_ < text_.size() && pool_.ok()) {
      Group& group = groups.back();
      const bool nested = groups.size() > 1;
      switch (const char c = text_[at_]) {
        case '(':
          groups.push_back({at_, {}, {}});
          ++at_;
          skip_space(true);
          continue;
        case '|':
          close_alternative(group);
          ++at_;
          skip_space(true);
          continue;
        case ')': {
          if (!nested) return error("`)` without its `(`");
          const Expr whole = close_group(group);
          groups.pop_back();
          groups.back().sequence.push_back(whole);
          ++at_;
          break;
        }
        case '*':
        case '+':
        case '?':
        case '{': {
          if (group.sequence.empty()) return error("nothing stands before this to be repeated");
          std::uint32_t low = c == '+' ? 1 : 0;
          std::uint32_t high = c == '?' ? 1 : ExpressionPool::kUnbounded;
          if (c == '{') {
            ESP_TRY(read_counts(&low, &high));
          } else {
            ++at_;
          }
          group.sequence.back() = pool_.repeat(group.sequence.back(), low, high);
          break;
        }
        case '"': {
          ESP_ASSIGN(const Expr text, read_string());
          group.sequence.push_back(text);
          break;
        }
        case '[': {
          ESP_ASSIGN(const Expr characters, read_class());
          group.sequence.push_back(characters);
          break;
        }
        case '.':
          group.sequence.push_back(pool_.code_points({{0, kLastCodePoint}}));
          ++at_;
          break;
        case '<':
        case '!':
          return error(
              "references to tokens (`<name>`, `<[id]>`, `!<…>`) are not supported: a "
              "grammar here is over text",
              ErrorCode::kUnsupported);
        default: {
          if (c == '\r' || c == '\n') {  // of a line outside parentheses
            skip_space(true);
            if (at_rule()) return close_group(group);
            continue;
          }
          if (!is_name_byte(c)) {
            return error("a string, a class, `.`, a rule's name, `(`, `|`" +
                         std::string(nested ? ", `)`" : "") + " or a count is expected here");
          }
          const std::size_t begins = at_;
          ESP_ASSIGN(const std::string_view name, read_name());
          group.sequence.push_back(rules_.rule(name, begins));
        }
      }
      skip_space(groups.size() > 1);
    }
    ESP_TRY(pool_.status());
    if (groups.size() > 1) {
      at_ = groups.back().opened;
      return error("this `(` is never closed");
    }
    return close_group(groups[0]);
  }

  void close_alternative(Group& group) {
    group.alternatives.push_back(pool_.concat(group.sequence));
    group.sequence.clear();
  }
  Expr close_group(Group& group) {
    close_alternative(group);
    return rules_.alternatives(group.alternatives);
  }

  Result<std::uint32_t> read_count() {
    std::uint64_t value = 0;
    const std::size_t from = at_;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      value = value * 10 + static_cast<std::uint64_t>(peek() - '0');
      if (value >= ExpressionPool::kUnbounded) {
        at_ = from;
        return error("a count is at most " + std::to_string(ExpressionPool::kUnbounded - 1),
                     ErrorCode::kLimit);
      }
    }
    if (at_ == from) return error("a count is expected here");
    return static_cast<std::uint32_t>(value);
  }

  Status read_counts(std::uint32_t* low, std::uint32_t* high) {
    const std::size_t begins = at_++;
    skip_space(false);
    ESP_ASSIGN(*low, read_count());
    *high = *low;
    skip_space(false);
    if (peek() == ',') {
      ++at_;
      skip_space(false);
      *high = ExpressionPool::kUnbounded;
      if (peek() != '}') {
        ESP_ASSIGN(*high, read_count());
      }
      skip_space(false);
    }
    if (peek() != '}') return error("`}` is expected behind a count");
    ++at_;
    if (*low > *high) {
      at_ = begins;
      return error("the least count is above the greatest");
    }
    return {};
  }

  Result<char32_t> read_character() {
    if (peek() != '\\') {
      const utf8::Decoded decoded = utf8::decode(text_, at_);
      at_ += decoded.length;
      return decoded.code_point;
    }
    std::size_t digits = 0;
    switch (const char c = peek(1)) {
      case 'n':
        at_ += 2;
        return U'\n';
      case 'r':
        at_ += 2;
        return U'\r';
      case 't':
        at_ += 2;
        return U'\t';
      case 'x':
        digits = 2;
        break;
      case 'u':
        digits = 4;
        break;
      case 'U':
        digits = 8;
        break;
      default:
        // llama.cpp knows five of them.
        if (is_ascii_punctuation(c)) {
          at_ += 2;
          return static_cast<char32_t>(c);
        }
        return error(
            "unknown escape; \\n \\r \\t \\xHH \\uHHHH \\UHHHHHHHH and a backslash before "
            "punctuation are known");
    }
    char32_t value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const char c = peek(2 + i);
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return error(std::to_string(digits) + " hexadecimal digits are expected");
      value = value * 16 + static_cast<char32_t>(digit);
    }
    if (value > kLastCodePoint || (value >= 0xD800 && value <= 0xDFFF)) {
      return error("this is no Unicode character");
    }
    at_ += 2 + digits;
    return value;
  }

  Result<Expr> read_string() {
    const std::size_t begins = at_++;
    std::string out;
    while (peek() != '"') {
      if (at_ >= text_.size()) {
        at_ = begins;
        return error("this string is never closed");
      }
      ESP_ASSIGN(const char32_t c, read_character());
      utf8::append(out, c);
    }
    ++at_;
    return pool_.bytes(out);
  }

  Result<Expr> read_class() {
    const std::size_t begins = at_++;
    const bool negated = peek() == '^';
    if (negated) ++at_;
    std::vector<CodePointRange> ranges;
    while (peek() != ']') {
      if (at_ >= text_.size()) {
        at_ = begins;
        return error("this class is never closed");
      }
      const std::size_t from = at_;
      ESP_ASSIGN(const char32_t low, read_character());
      char32_t high = low;
      if (peek() == '-' && peek(1) != ']') {
        ++at_;
        if (at_ >= text_.size()) continue;
        ESP_ASSIGN(high, read_character());
      }
      if (low > high) {
        at_ = from;
        return error("this range runs backwards");
      }
      ranges.emplace_back(low, high);
    }
    if (ranges.empty()) {
      at_ = begins;
      return error("an empty class matches nothing; write `.` for any character");
    }
    ++at_;
    return negated ? pool_.code_points(complement(std::move(ranges))) : pool_.code_points(ranges);
  }

  static std::vector<CodePointRange> complement(std::vector<CodePointRange> ranges) {
    std::sort(ranges.begin(), ranges.end());
    std::vector<CodePointRange> out;
    char32_t next = 0;
    for (const auto& [low, high] : ranges) {
      if (low > next) out.emplace_back(next, low - 1);
      next = std::max<char32_t>(next, high + 1);
    }
    if (next <= kLastCodePoint) out.emplace_back(next, kLastCodePoint);
    return out;
  }

  ExpressionPool& pool_;
  ContextFreeBuilder rules_;
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Result<ContextFree> read_gbnf(ExpressionPool& pool, std::string_view text) {
  return Reader(pool, text).run();
}

Result<ContextFreeGrammar> compile_gbnf(VocabularyRef vocabulary, std::string_view text,
                                        std::string_view follow, const Limits& limits) {
  Fuel fuel("compile steps (limits.compile_fuel)", limits.compile_fuel);
  auto pool = std::make_shared<ExpressionPool>(fuel);
  ESP_ASSIGN(ContextFree grammar, read_gbnf(*pool, text));
  return compile_context_free(std::move(vocabulary), pool, std::move(grammar), follow, limits,
                              fuel);
}

}  // namespace espalier::grammar
