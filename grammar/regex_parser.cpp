#include "grammar/regex_parser.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <unordered_set>
#include <utility>

#include "base/utf8.h"
#include "grammar/regex_class.h"
#include "grammar/unicode_tables.h"

namespace espalier::grammar {
namespace {

struct Flags {
  bool fold_case = false;   // i
  bool multi_line = false;  // m
  bool dot_all = false;     // s
};

// An open parenthesis (or the whole pattern): what has been read inside it so far.
struct Frame {
  std::vector<std::uint32_t> alternatives;
  std::vector<std::uint32_t> sequence;
  Flags outer;
  std::optional<std::uint32_t> group;
  std::optional<RegexOp> look;
  std::uint32_t offset = 0;
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_octal(char c) { return c >= '0' && c <= '7'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_word(char c) { return is_digit(c) || is_letter(c) || c == '_'; }
int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

class PatternParser {
 public:
  PatternParser(std::string_view pattern, RegexDialect dialect)
      : text_(pattern), ecma_(dialect == RegexDialect::kEcma) {}

  Result<Regex> run() {
    if (text_.size() > Regex::kMaxBytes) {
      return fail(ErrorCode::kLimit, "regex: a pattern of " + std::to_string(text_.size()) +
                                         " bytes; the limit is " +
                                         std::to_string(Regex::kMaxBytes));
    }
    if (const std::size_t bad = utf8::find_malformed(text_); bad != std::string_view::npos) {
      return error(ErrorCode::kInvalid, "malformed UTF-8", bad);
    }
    frames_.emplace_back();
    while (at_ < text_.size()) ESP_TRY(step());
    if (frames_.size() > 1) {
      return error(ErrorCode::kInvalid, "missing )", frames_.back().offset);
    }
    regex_.root = close(frames_.back());
    ESP_TRY(check_looks());
    return std::move(regex_);
  }

 private:
  [[nodiscard]] tl::unexpected<Error> error(ErrorCode code, const std::string& what,
                                            std::size_t offset) const {
    return fail(code, "regex: " + what + " at offset " + std::to_string(offset));
  }
  // Look-around stands in the outermost sequences, and nowhere else.
  Status check_looks() const {
    if (!regex_.looks) return {};
    const auto children = [&](std::uint32_t node) {
      const RegexNode& n = regex_.nodes[node];
      return std::span(regex_.children).subspan(n.first, n.count);
    };
    std::vector<bool> outermost(regex_.nodes.size(), false);
    const auto sequence = [&](std::uint32_t node) {
      outermost[node] = true;
      if (regex_.nodes[node].op != RegexOp::kConcat) return;
      for (const std::uint32_t part : children(node)) outermost[part] = true;
    };
    if (regex_.nodes[regex_.root].op == RegexOp::kAlternate) {
      for (const std::uint32_t alternative : children(regex_.root)) sequence(alternative);
    } else {
      sequence(regex_.root);
    }
    for (std::size_t i = 0; i < regex_.nodes.size(); ++i) {
      if (looks_around(regex_.nodes[i].op) && !outermost[i]) {
        return error(ErrorCode::kUnsupported, "look-around inside a group", regex_.nodes[i].offset);
      }
    }
    return {};
  }
  [[nodiscard]] bool looking_at(std::string_view prefix) const {
    return text_.substr(at_).starts_with(prefix);
  }

  std::uint32_t add(RegexOp op, std::size_t offset, std::uint32_t a = 0, std::uint32_t b = 0,
                    std::span<const std::uint32_t> children = {}) {
    regex_.nodes.push_back({op, a, b, static_cast<std::uint32_t>(regex_.children.size()),
                            static_cast<std::uint32_t>(children.size()),
                            static_cast<std::uint32_t>(offset)});
    regex_.children.insert(regex_.children.end(), children.begin(), children.end());
    return static_cast<std::uint32_t>(regex_.nodes.size() - 1);
  }
  void push(std::uint32_t node) { frames_.back().sequence.push_back(node); }
  void push_class(RegexClass set, std::size_t offset) {
    regex_.classes.push_back(set.normalised());
    push(add(RegexOp::kClass, offset, static_cast<std::uint32_t>(regex_.classes.size() - 1)));
  }
  void push_literal(char32_t c, std::size_t offset) {
    RegexClass set;
    set.add(c, c);
    if (flags_.fold_case) set.fold();
    push_class(std::move(set), offset);
  }

  std::uint32_t close_sequence(Frame& frame) {
    const std::vector<std::uint32_t> sequence = std::exchange(frame.sequence, {});
    if (sequence.empty()) return add(RegexOp::kEmpty, at_);
    if (sequence.size() == 1) return sequence[0];
    return add(RegexOp::kConcat, regex_.nodes[sequence[0]].offset, 0, 0, sequence);
  }
  std::uint32_t close(Frame& frame) {
    frame.alternatives.push_back(close_sequence(frame));
    if (frame.alternatives.size() == 1) return frame.alternatives[0];
    return add(RegexOp::kAlternate, frame.offset, 0, 0, frame.alternatives);
  }

  Status step() {
    const bool after_quantifier = std::exchange(after_quantifier_, false);
    const std::size_t start = at_;
    const char c = text_[at_];
    switch (c) {
      case '(':
        return open_group();
      case ')': {
        if (frames_.size() == 1) return error(ErrorCode::kInvalid, "unexpected )", at_);
        ++at_;
        Frame frame = std::move(frames_.back());
        frames_.pop_back();
        std::uint32_t inside = close(frame);
        if (frame.look) {
          inside = add(*frame.look, frame.offset, 0, 0, std::span(&inside, 1));
        } else if (frame.group) {
          inside = add(RegexOp::kGroup, frame.offset, *frame.group, 0, std::span(&inside, 1));
        }
        flags_ = frame.outer;
        push(inside);
        return {};
      }
      case '|':
        ++at_;
        frames_.back().alternatives.push_back(close_sequence(frames_.back()));
        return {};
      case '[':
        return parse_class();
      case '.': {
        ++at_;
        RegexClass set;
        if (!flags_.dot_all) {
          set.add('\n', '\n');
          if (ecma_) {
            set.add('\r', '\r');
            set.add(0x2028, 0x2029);
          }
        }
        set.negate();
        push_class(std::move(set), start);
        return {};
      }
      case '^':
      case '$':
        if (flags_.multi_line) {
          return error(ErrorCode::kUnsupported,
                       std::string(1, c) + " under (?m) depends on the lines around it", at_);
        }
        ++at_;
        push(add(c == '^' ? RegexOp::kBegin : RegexOp::kEnd, start));
        return {};
      case '*':
      case '+':
      case '?':
        ++at_;
        return quantify(c == '+' ? 1 : 0, c == '?' ? 1 : ExpressionPool::kUnbounded, start,
                        after_quantifier);
      case '{':
        if (const auto counts = counted_repeat()) {
          return quantify(counts->first, counts->second, start, after_quantifier);
        }
        break;
      case '\\':
        return parse_escape();
      default:
        break;
    }
    const utf8::Decoded decoded = utf8::decode(text_, at_);
    at_ += decoded.length;
    push_literal(decoded.code_point, start);
    return {};
  }

  // {n} {n,} {n,m}, and moves past it; anything else is an ordinary brace. Counts saturate.
  std::optional<std::pair<std::uint32_t, std::uint32_t>> counted_repeat() {
    std::size_t i = at_ + 1;
    const auto number = [&]() -> std::optional<std::uint32_t> {
      const std::size_t from = i;
      std::uint64_t value = 0;
      while (i < text_.size() && is_digit(text_[i])) {
        value =
            std::min<std::uint64_t>(value * 10 + static_cast<unsigned>(text_[i] - '0'), 1U << 30);
        ++i;
      }
      if (i == from || (text_[from] == '0' && i - from > 1 && !ecma_)) return std::nullopt;
      return static_cast<std::uint32_t>(value);
    };
    const auto low = number();
    if (!low || i >= text_.size()) return std::nullopt;
    std::uint32_t high = *low;
    if (text_[i] == ',') {
      ++i;
      if (i < text_.size() && text_[i] == '}') {
        high = ExpressionPool::kUnbounded;
      } else {
        const auto second = number();
        if (!second) return std::nullopt;
        high = *second;
      }
    }
    if (i >= text_.size() || text_[i] != '}') return std::nullopt;
    at_ = i + 1;
    return std::pair(*low, high);
  }

  Status quantify(std::uint32_t low, std::uint32_t high, std::size_t offset, bool stacked) {
    if (frames_.back().sequence.empty()) {
      return error(ErrorCode::kInvalid, "nothing to repeat", offset);
    }
    if (looks_around(regex_.nodes[frames_.back().sequence.back()].op)) {
      return error(ErrorCode::kInvalid, "a repeat of look-around", offset);
    }
    if (stacked)
      return error(ErrorCode::kInvalid, "a repeat of a repeat (use parentheses)", offset);
    if (low > high) return error(ErrorCode::kInvalid, "repeat bounds out of order", offset);
    const std::uint32_t largest = high == ExpressionPool::kUnbounded ? low : high;
    if (largest > Regex::kMaxRepeat) {
      return error(ErrorCode::kLimit, "a repeat above " + std::to_string(Regex::kMaxRepeat),
                   offset);
    }
    if (at_ < text_.size() && text_[at_] == '?') ++at_;  // lazy: the same language
    after_quantifier_ = true;
    std::uint32_t& last = frames_.back().sequence.back();
    last = add(RegexOp::kRepeat, offset, low, high, std::span(&last, 1));
    return {};
  }

  Status open_group() {
    const std::size_t start = at_;
    if (frames_.size() > Regex::kMaxDepth) {
      return error(ErrorCode::kLimit,
                   "groups nested more than " + std::to_string(Regex::kMaxDepth) + " deep", start);
    }
    Frame frame;
    frame.offset = static_cast<std::uint32_t>(start);
    frame.outer = flags_;
    ++at_;
    if (at_ >= text_.size() || text_[at_] != '?') return capture(std::move(frame), {});
    ++at_;
    static constexpr std::pair<std::string_view, RegexOp> kLooks[] = {{"=", RegexOp::kAhead},
                                                                      {"!", RegexOp::kNotAhead},
                                                                      {"<=", RegexOp::kBehind},
                                                                      {"<!", RegexOp::kNotBehind}};
    for (const auto& [sign, op] : kLooks) {
      if (!looking_at(sign)) continue;
      if (!ecma_) return error(ErrorCode::kUnsupported, "look-around", start);
      at_ += sign.size();
      frame.look = op;
      regex_.looks = true;
      frames_.push_back(std::move(frame));
      return {};
    }
    if (looking_at("P=") || looking_at("P>")) {
      return error(ErrorCode::kUnsupported, "back references are not regular", start);
    }
    if (looking_at(">")) return error(ErrorCode::kUnsupported, "atomic groups", start);
    if (looking_at("#")) return error(ErrorCode::kUnsupported, "(?# comments", start);
    const bool python_name = !ecma_ && looking_at("P<");
    if (python_name || looking_at("<")) {
      at_ += python_name ? 2 : 1;
      const std::size_t from = at_;
      while (at_ < text_.size() && is_word(text_[at_])) ++at_;
      const std::string name(text_.substr(from, at_ - from));
      if (name.empty() || at_ >= text_.size() || text_[at_] != '>') {
        return error(ErrorCode::kInvalid, "a group's name is letters, digits and _ up to >", from);
      }
      ++at_;
      if (!names_.insert(name).second) {
        return error(ErrorCode::kInvalid, "a second group named " + name, from);
      }
      return capture(std::move(frame), name);
    }
    return flag_group(std::move(frame));
  }

  Status capture(Frame frame, std::string name) {
    frame.group = static_cast<std::uint32_t>(regex_.groups.size());
    regex_.groups.push_back({std::move(name), frame.offset});
    frames_.push_back(std::move(frame));
    return {};
  }

  // (?flags) for the rest of the enclosing group, (?flags:…) for this one.
  Status flag_group(Frame frame) {
    const std::size_t start = frame.offset;
    Flags flags = flags_;
    bool on = true;
    bool any = false;
    for (;; ++at_) {
      if (at_ >= text_.size()) return error(ErrorCode::kInvalid, "missing )", start);
      const char c = text_[at_];
      if (c == ':' || c == ')') break;
      if (ecma_) return error(ErrorCode::kUnsupported, "flags inside a pattern", start);
      if (c == '-' && on) {
        on = false;
        any = false;
        continue;
      }
      any = true;
      if (c == 'i') {
        flags.fold_case = on;
      } else if (c == 'm') {
        flags.multi_line = on;
      } else if (c == 's') {
        flags.dot_all = on;
      } else if (c != 'U') {  // U swaps greedy and lazy: the same language
        return error(ErrorCode::kInvalid, "unknown group or flag", at_);
      }
    }
    if (!on && !any) return error(ErrorCode::kInvalid, "a flag must follow -", at_);
    flags_ = flags;
    if (text_[at_++] == ':') {
      frames_.push_back(std::move(frame));
    } else if (ecma_) {
      return error(ErrorCode::kInvalid, "unknown group", start);
    }
    return {};
  }

  // \p{…} \P{…} \pL; `at_` stands on the p. The class, folded and negated as it says.
  Result<RegexClass> unicode_class() {
    const std::size_t start = at_ - 1;
    bool negated = text_[at_++] == 'P';
    std::string_view name;
    if (at_ < text_.size() && text_[at_] == '{') {
      const std::size_t end = text_.find('}', at_);
      if (end == std::string_view::npos) {
        return error(ErrorCode::kInvalid, "missing } of a Unicode class", start);
      }
      name = text_.substr(at_ + 1, end - at_ - 1);
      at_ = end + 1;
      if (!ecma_ && name.starts_with('^')) {
        negated = !negated;
        name.remove_prefix(1);
      }
    } else {
      if (ecma_ || at_ >= text_.size()) {
        return error(ErrorCode::kInvalid, "a Unicode class needs a name", start);
      }
      const std::size_t length = utf8::decode(text_, at_).length;
      name = text_.substr(at_, length);
      at_ += length;
    }
    RegexClass set;
    std::string_view value = name;
    std::optional<unicode::Kind> kind;
    if (ecma_) {
      kind = unicode::Kind::kCategory;
      if (const std::size_t equals = name.find('='); equals != std::string_view::npos) {
        const std::string_view property = name.substr(0, equals);
        value = name.substr(equals + 1);
        if (property == "Script" || property == "sc") {
          kind = unicode::Kind::kScript;
        } else if (property != "General_Category" && property != "gc") {
          value = {};
        }
      }
    }
    if (value == "Any") {
      set.add(0, 0x10FFFF);
    } else if (ecma_ && value == "ASCII") {
      set.add(0, 0x7F);
    } else if (!ecma_ && value == "C") {  // as RE2 has it: without the code points not assigned
      for (const char* part : {"Cc", "Cf", "Co"})
        set.add(*unicode::find(part, unicode::Kind::kCategory));
    } else if (const auto found = unicode::find(value, kind)) {
      set.add(*found);
    } else {
      return error(ErrorCode::kUnsupported, "the Unicode class `" + std::string(name) + "`", start);
    }
    if (flags_.fold_case) set.fold();
    if (negated) set.negate();
    return set;
  }

  // \d \D \s \S \w \W \p \P at a backslash, and moves past it; nothing where it is another escape.
  Result<std::optional<RegexClass>> class_escape() {
    if (at_ + 1 >= text_.size()) return std::nullopt;
    const char c = text_[at_ + 1];
    if (c == 'p' || c == 'P') {
      ++at_;
      ESP_ASSIGN(RegexClass set, unicode_class());
      return std::optional(std::move(set));
    }
    const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (lower != 'd' && lower != 's' && lower != 'w') return std::nullopt;
    at_ += 2;
    RegexClass set = perl_class(lower, ecma_);
    if (flags_.fold_case) set.fold();
    if (c != lower) set.negate();
    return std::optional(std::move(set));
  }

  Status parse_escape() {
    const std::size_t start = at_;
    ESP_ASSIGN(std::optional<RegexClass> set, class_escape());
    if (set) {
      push_class(std::move(*set), start);
      return {};
    }
    const char c = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    if (c == 'b' || c == 'B') {
      return error(ErrorCode::kUnsupported, std::string("\\") + c + " (word boundary)", start);
    }
    if (c == 'k' && ecma_) {
      return error(ErrorCode::kUnsupported, "back references are not regular", start);
    }
    if (!ecma_) {
      if (c == 'A' || c == 'z') {
        at_ += 2;
        push(add(c == 'A' ? RegexOp::kBegin : RegexOp::kEnd, start));
        return {};
      }
      if (c == 'C')
        return error(ErrorCode::kUnsupported, "\\C (a byte that may not be text)", start);
      if (c == 'Q') {
        at_ += 2;
        while (at_ < text_.size() && !looking_at("\\E")) {
          const utf8::Decoded decoded = utf8::decode(text_, at_);
          push_literal(decoded.code_point, at_);
          at_ += decoded.length;
        }
        at_ = std::min(at_ + 2, text_.size());
        return {};
      }
    }
    ESP_ASSIGN(const char32_t literal, character_escape(false));
    push_literal(literal, start);
    return {};
  }

  // One escaped character, in or out of a class; `at_` stands on the backslash.
  Result<char32_t> character_escape(bool in_class) {
    const std::size_t start = at_++;
    if (at_ >= text_.size()) return error(ErrorCode::kInvalid, "trailing \\", start);
    const utf8::Decoded decoded = utf8::decode(text_, at_);
    at_ += decoded.length;
    const char c = decoded.code_point < 0x80 ? static_cast<char>(decoded.code_point) : '\0';
    switch (c) {
      case 'f':
        return U'\f';
      case 'n':
        return U'\n';
      case 'r':
        return U'\r';
      case 't':
        return U'\t';
      case 'v':
        return U'\v';
      case 'x':
        return hex_escape(start);
      default:
        break;
    }
    if (is_digit(c)) return digit_escape(c, start);
    if (ecma_) {
      if (c == 'u') return unit_escape(start);
      if (c == 'c' && at_ < text_.size() && is_letter(text_[at_])) {
        return static_cast<char32_t>(text_[at_++] & 31);
      }
      if (in_class && c == 'b') return U'\b';
      if (in_class && c == '-') return U'-';
      if (c != '\0' && std::string_view("^$\\.*+?()[]{}|/").find(c) != std::string_view::npos) {
        return decoded.code_point;
      }
      // Without the u flag these stand for themselves, and schemas are full of them.
      if (c != '\0' && !is_word(c)) return decoded.code_point;
    } else {
      if (c == 'a') return U'\a';
      if (c != '\0' && (c == '_' || !is_word(c))) return decoded.code_point;
    }
    return error(ErrorCode::kInvalid, "unknown escape", start);
  }

  Result<char32_t> digit_escape(char c, std::size_t start) {
    if (ecma_) {
      if (c == '0' && (at_ >= text_.size() || !is_digit(text_[at_]))) return U'\0';
      return error(c == '0' ? ErrorCode::kInvalid : ErrorCode::kUnsupported,
                   c == '0' ? "unknown escape" : "back references are not regular", start);
    }
    const bool octal = c == '0' || (is_octal(c) && at_ < text_.size() && is_octal(text_[at_]));
    if (!octal) return error(ErrorCode::kUnsupported, "back references are not regular", start);
    char32_t value = static_cast<char32_t>(c - '0');
    for (int more = 0; more < 2 && at_ < text_.size() && is_octal(text_[at_]); ++more) {
      value = value * 8 + static_cast<char32_t>(text_[at_++] - '0');
    }
    return value;
  }

  std::optional<char32_t> hex_digits(std::size_t count) {
    char32_t value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const int digit = at_ + i < text_.size() ? hex_value(text_[at_ + i]) : -1;
      if (digit < 0) return std::nullopt;
      value = value * 16 + static_cast<char32_t>(digit);
    }
    at_ += count;
    return value;
  }
  // The inside of {…} in hexadecimal; `at_` stands on the brace.
  Result<char32_t> braced_hex(std::size_t start) {
    char32_t value = 0;
    std::size_t i = at_ + 1;
    for (; i < text_.size() && hex_value(text_[i]) >= 0 && value <= 0x10FFFF; ++i) {
      value = value * 16 + static_cast<char32_t>(hex_value(text_[i]));
    }
    if (i == at_ + 1 || i >= text_.size() || text_[i] != '}' || value > 0x10FFFF) {
      return error(ErrorCode::kInvalid, "a bad code point", start);
    }
    at_ = i + 1;
    return value;
  }
  Result<char32_t> hex_escape(std::size_t start) {
    if (!ecma_ && looking_at("{")) return braced_hex(start);
    if (const auto value = hex_digits(2)) return *value;
    return error(ErrorCode::kInvalid, "\\x needs two hexadecimal digits", start);
  }
  Result<char32_t> unit_escape(std::size_t start) {
    if (looking_at("{")) return braced_hex(start);
    const auto unit = hex_digits(4);
    if (!unit) return error(ErrorCode::kInvalid, "\\u needs four hexadecimal digits", start);
    if (*unit >= 0xD800 && *unit < 0xDC00 && looking_at("\\u")) {
      at_ += 2;
      const auto low = hex_digits(4);
      if (low && *low >= 0xDC00 && *low < 0xE000) {
        return 0x10000 + ((*unit - 0xD800) << 10) + (*low - 0xDC00);
      }
      return error(ErrorCode::kUnsupported, "half of a surrogate pair", start);
    }
    if (*unit >= 0xD800 && *unit < 0xE000) {
      return error(ErrorCode::kUnsupported, "half of a surrogate pair", start);
    }
    return *unit;
  }

  Status parse_class() {
    const std::size_t start = at_++;
    const bool negated = looking_at("^");
    if (negated) ++at_;
    RegexClass set;
    bool first = true;
    for (;; first = false) {
      if (at_ >= text_.size()) return error(ErrorCode::kInvalid, "missing ]", start);
      if (text_[at_] == ']' && (ecma_ || !first)) break;
      if (!ecma_ && looking_at("[:")) {
        const std::size_t end = text_.find(":]", at_ + 2);
        if (end != std::string_view::npos) {
          std::string_view name = text_.substr(at_ + 2, end - at_ - 2);
          const bool inverse = name.starts_with('^');
          if (inverse) name.remove_prefix(1);
          auto members = posix_class(name);
          if (!members) return error(ErrorCode::kInvalid, "unknown [: :] class", at_);
          if (flags_.fold_case) members->fold();
          if (inverse) members->negate();
          set.add(*members);
          at_ = end + 2;
          continue;
        }
      }
      if (text_[at_] == '\\') {
        ESP_ASSIGN(std::optional<RegexClass> members, class_escape());
        if (members) {
          set.add(*members);
          continue;
        }
      }
      const std::size_t from = at_;
      ESP_ASSIGN(const char32_t low, class_character(start));
      char32_t high = low;
      if (looking_at("-") && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        ESP_ASSIGN(high, class_character(start));
        if (high < low) return error(ErrorCode::kInvalid, "range out of order", from);
      }
      RegexClass range;
      range.add(low, high);
      if (flags_.fold_case) range.fold();
      set.add(range);
    }
    ++at_;
    if (negated) set.negate();
    push_class(std::move(set), start);
    return {};
  }

  Result<char32_t> class_character(std::size_t start) {
    if (at_ >= text_.size()) return error(ErrorCode::kInvalid, "missing ]", start);
    if (text_[at_] == '\\') return character_escape(true);
    const utf8::Decoded decoded = utf8::decode(text_, at_);
    at_ += decoded.length;
    return decoded.code_point;
  }

  std::string_view text_;
  bool ecma_;
  std::size_t at_ = 0;
  bool after_quantifier_ = false;
  Flags flags_;
  std::vector<Frame> frames_;
  std::unordered_set<std::string> names_;
  Regex regex_;
};

}  // namespace

Result<Regex> parse_regex(std::string_view pattern, RegexDialect dialect) {
  return PatternParser(pattern, dialect).run();
}

}  // namespace espalier::grammar
