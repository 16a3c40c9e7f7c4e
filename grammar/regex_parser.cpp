#include "grammar/regex_parser.h"

#include <algorithm>
#include <optional>
#include <unordered_set>
#include <utility>

#include "base/utf8.h"
#include "grammar/regex_lift.h"
#include "grammar/regex_reader.h"

namespace espalier::grammar {
namespace {

// An open parenthesis (or the whole pattern): what has been read inside it so far.
struct Frame {
  std::vector<std::uint32_t> alternatives;
  std::vector<std::uint32_t> sequence;
  RegexFlags outer;
  std::optional<std::uint32_t> group;
  std::optional<RegexOp> look;
  std::uint32_t offset = 0;
};

class PatternParser : private RegexReader {
 public:
  using RegexReader::RegexReader;

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
  // Look-around stands in the outermost sequences, where no repeat that goes on is around it.
  Status check_looks() {
    if (!regex_.looks) return {};
    if (inner_look()) lift_looks(regex_);
    if (const auto look = inner_look()) {
      return error(ErrorCode::kUnsupported,
                   "look-around inside a group that may repeat, or in look-around",
                   regex_.nodes[*look].offset);
    }
    return check_boundaries();
  }
  // The first that stands elsewhere.
  [[nodiscard]] std::optional<std::uint32_t> inner_look() const {
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
    std::vector<bool> reached(regex_.nodes.size(), false);  // what was lifted has left others
    std::optional<std::uint32_t> out;
    for (std::vector<std::uint32_t> left{regex_.root}; !left.empty();) {
      const std::uint32_t node = left.back();
      left.pop_back();
      if (reached[node]) continue;
      reached[node] = true;
      const bool inner = looks_around(regex_.nodes[node].op) && !outermost[node];
      if (inner && (!out || regex_.nodes[node].offset < regex_.nodes[*out].offset)) out = node;
      for (const std::uint32_t child : children(node)) left.push_back(child);
    }
    return out;
  }
  // Word boundaries are few, those in repeats counted by their turns, and nothing looks behind.
  Status check_boundaries() const {
    const std::vector<bool> within = nodes_with_boundaries(regex_);
    if (!within[regex_.root]) return {};
    std::vector<std::uint64_t> count(within.size(), 0);
    std::vector<std::uint32_t> depth(within.size(), 0);
    for (std::size_t i = 0; i < within.size(); ++i) {
      const RegexNode& node = regex_.nodes[i];
      if (node.op == RegexOp::kBehind || node.op == RegexOp::kNotBehind) {
        return error(ErrorCode::kUnsupported, "look-behind beside \\b (word boundary)",
                     node.offset);
      }
      if (!within[i]) continue;
      count[i] = is_boundary(node.op) ? 1 : 0;
      for (std::uint32_t c = 0; c < node.count; ++c) {
        const std::uint32_t child = regex_.children[node.first + c];
        count[i] += count[child];
        depth[i] = std::max(depth[i], depth[child] + 1);
      }
      if (node.op == RegexOp::kRepeat) count[i] *= std::max(node.b, 1U);
      if (count[i] > Regex::kMostBoundaries || depth[i] > Regex::kDeepestBoundary) {
        return error(ErrorCode::kUnsupported,
                     node.op == RegexOp::kRepeat ? "\\b (word boundary) in so many turns"
                                                 : "so many of \\b (word boundary)",
                     node.offset);
      }
    }
    return {};
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
      case '[': {
        ESP_ASSIGN(RegexClass set, bracket_class());
        push_class(std::move(set), start);
        return {};
      }
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
    const RegexOp repeated = regex_.nodes[frames_.back().sequence.back()].op;
    if (looks_around(repeated))
      return error(ErrorCode::kInvalid, "a repeat of look-around", offset);
    if (is_boundary(repeated)) return error(ErrorCode::kInvalid, "a repeat of \\b or \\B", offset);
    if (stacked)
      return error(ErrorCode::kInvalid, "a repeat of a repeat (use parentheses)", offset);
    if (low > high) return error(ErrorCode::kInvalid, "repeat bounds out of order", offset);
    const std::uint32_t largest = high == ExpressionPool::kUnbounded ? low : high;
    if (largest > Regex::kMaxRepeat) {
      return error(ErrorCode::kLimit, "a repeat above " + std::to_string(Regex::kMaxRepeat),
                   offset);
    }
    const bool marked = at_ < text_.size() && text_[at_] == '?';
    if (marked) ++at_;
    after_quantifier_ = true;
    std::uint32_t& last = frames_.back().sequence.back();
    last = add(RegexOp::kRepeat, offset, low, high, std::span(&last, 1));
    regex_.nodes[last].lazy = marked != flags_.lazy;
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

  // (?flags) for the rest of the enclosing group, (?flags:…) for this one. ECMA-262 has only the
  // second, and that of late; the first comes from other engines and can mean nothing else.
  Status flag_group(Frame frame) {
    const std::size_t start = frame.offset;
    RegexFlags flags = flags_;
    bool on = true;
    bool any = false;
    for (;; ++at_) {
      if (at_ >= text_.size()) return error(ErrorCode::kInvalid, "missing )", start);
      const char c = text_[at_];
      if (c == ':' || c == ')') break;
      if (ecma_ && (c == 'm' || c == 'U')) {
        return error(ErrorCode::kUnsupported, "the flags m and U inside a pattern", start);
      }
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
      } else if (c == 'U') {
        flags.lazy = on;
      } else {
        return error(ErrorCode::kInvalid, "unknown group or flag", at_);
      }
    }
    if (!on && !any) return error(ErrorCode::kInvalid, "a flag must follow -", at_);
    flags_ = flags;
    if (text_[at_++] == ':') {
      frames_.push_back(std::move(frame));
    } else if (ecma_ && !any) {
      return error(ErrorCode::kInvalid, "unknown group", start);
    }
    return {};
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
      if (!ecma_) {
        return error(ErrorCode::kUnsupported, std::string("\\") + c + " (word boundary)", start);
      }
      at_ += 2;
      push(add(c == 'b' ? RegexOp::kBoundary : RegexOp::kNoBoundary, start));
      regex_.looks = true;
      return {};
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

  bool after_quantifier_ = false;
  std::vector<Frame> frames_;
  std::unordered_set<std::string> names_;
  Regex regex_;
};

}  // namespace

std::vector<bool> nodes_with_boundaries(const Regex& regex) {
  std::vector<bool> out(regex.nodes.size(), false);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const RegexNode& node = regex.nodes[i];
    out[i] = is_boundary(node.op);
    for (std::uint32_t c = 0; c < node.count; ++c) {
      out[i] = out[i] || out[regex.children[node.first + c]];
    }
  }
  return out;
}

Result<Regex> parse_regex(std::string_view pattern, RegexDialect dialect, const RegexFlags& flags) {
  return PatternParser(pattern, dialect, flags).run();
}

}  // namespace espalier::grammar
