#include "grammar/lark_syntax.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/ascii.h"
#include "base/utf8.h"
#include "grammar/context_free.h"
#include "grammar/lark_reader.h"

namespace espalier::grammar {
namespace {

bool lower(char c) { return c >= 'a' && c <= 'z'; }
bool upper(char c) { return c >= 'A' && c <= 'Z'; }

// What `%import common.X` means.
constexpr std::array<std::pair<std::string_view, std::string_view>, 25> kCommon{{
    {"DIGIT", "[0-9]"},
    {"HEXDIGIT", "[0-9a-fA-F]"},
    {"INT", "[0-9]+"},
    {"SIGNED_INT", "[+-]?[0-9]+"},
    {"DECIMAL", "[0-9]+\\.[0-9]*|\\.[0-9]+"},
    {"_EXP", "[eE][+-]?[0-9]+"},
    {"FLOAT", "[0-9]+[eE][+-]?[0-9]+|([0-9]+\\.[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?"},
    {"SIGNED_FLOAT", "[+-]?([0-9]+[eE][+-]?[0-9]+|([0-9]+\\.[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?)"},
    {"NUMBER", "([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][+-]?[0-9]+)?"},
    {"SIGNED_NUMBER", "[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][+-]?[0-9]+)?"},
    {"ESCAPED_STRING", "\"([^\"\\\\\\n]|\\\\.)*\""},
    {"LCASE_LETTER", "[a-z]"},
    {"UCASE_LETTER", "[A-Z]"},
    {"LETTER", "[A-Za-z]"},
    {"WORD", "[A-Za-z]+"},
    {"CNAME", "[_A-Za-z][_A-Za-z0-9]*"},
    {"WS_INLINE", "[ \\t]+"},
    {"WS", "[ \\t\\f\\r\\n]+"},
    {"CR", "\\r"},
    {"LF", "\\n"},
    {"NEWLINE", "(\\r?\\n)+"},
    {"SH_COMMENT", "#[^\\n]*"},
    {"CPP_COMMENT", "//[^\\n]*"},
    {"C_COMMENT", "/\\*([^*]|\\*+[^*/])*\\*+/"},
    {"SQL_COMMENT", "--[^\\n]*"},
}};

class LarkParser : private LarkReader {
 public:
  using LarkReader::LarkReader;

  Result<LarkSyntax> run() {
    if (text_.size() > ContextFreeBuilder::kLongestText) {
      return fail(
          ErrorCode::kLimit,
          "grammar: longer than " + std::to_string(ContextFreeBuilder::kLongestText) + " bytes");
    }
    if (const std::size_t bad = utf8::find_malformed(text_); bad != std::string_view::npos) {
      at_ = bad;
      return error("the text is not UTF-8");
    }
    if (sees(utf8::kByteOrderMark)) at_ += utf8::kByteOrderMark.size();
    skip_space(true);
    while (at_ < text_.size()) {
      ESP_TRY(text_[at_] == '%' ? read_statement() : read_definition());
      skip_space(false);
      if (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != '\r') {
        return error("the end of the line is expected here");
      }
      skip_space(true);
    }
    return std::move(out_);
  }

 private:
  // An open bracket, or the definition itself.
  struct Group {
    std::size_t opened = 0;
    char bracket = '\0';
    bool negated = false;  // a `~` stands before the bracket
    std::vector<std::uint32_t> alternatives, conjuncts, sequence;
  };

  // A line that begins with `|` goes on with the definition before it.
  void skip_to_alternative() {
    const std::size_t here = at_;
    skip_space(true);
    if (peek() != '|') at_ = here;
  }

  std::uint32_t add(LarkOp op, std::size_t offset, std::span<const std::uint32_t> children = {}) {
    LarkNode node;
    node.op = op;
    node.offset = static_cast<std::uint32_t>(offset);
    node.first = static_cast<std::uint32_t>(out_.children.size());
    node.count = static_cast<std::uint32_t>(children.size());
    out_.children.insert(out_.children.end(), children.begin(), children.end());
    out_.nodes.push_back(node);
    return static_cast<std::uint32_t>(out_.nodes.size() - 1);
  }
  std::uint32_t add_text(LarkOp op, std::size_t offset, std::string text) {
    const std::uint32_t node = add(op, offset);
    out_.nodes[node].low = static_cast<std::uint32_t>(out_.texts.size());
    out_.texts.push_back(std::move(text));
    return node;
  }
  std::uint32_t add_value(LarkOp op, std::size_t offset, Json value) {
    const std::uint32_t node = add(op, offset);
    out_.nodes[node].low = static_cast<std::uint32_t>(out_.values.size());
    out_.values.push_back(std::move(value));
    return node;
  }
  std::uint32_t join(LarkOp op, std::size_t offset, std::vector<std::uint32_t>& parts) {
    const std::uint32_t whole = parts.size() == 1 ? parts[0] : add(op, offset, parts);
    parts.clear();
    return whole;
  }

  Status read_definition() {
    LarkDefinition definition;
    definition.offset = at_;
    if (peek() == '!') ++at_;
    if (peek() == '?') ++at_;
    ESP_ASSIGN(definition.name, read_name());
    if (sees("::")) return unsupported("parametric rules (`::`) are");
    if (peek() == '{') return unsupported("templates (`name{…}`) are");
    if (peek() == '.') ESP_TRY(read_priority());
    if (peek() == '[') {
      if (is_terminal_name(definition.name)) {
        return unsupported("attributes of terminals (upper-case names) are");
      }
      ESP_TRY(read_attributes(definition));
    }
    if (!take(':')) return error("`:` is expected behind a name");
    definition.first = static_cast<std::uint32_t>(out_.nodes.size());
    ESP_ASSIGN(definition.root, read_body());
    out_.definitions.push_back(std::move(definition));
    return {};
  }

  // `name.2`: which of several ways to read a text is taken, not which texts there are.
  Status read_priority() {
    ++at_;
    if (peek() == '-') ++at_;
    ESP_ASSIGN([[maybe_unused]] const std::uint32_t priority, read_count());
    return {};
  }

  Status read_attributes(LarkDefinition& definition) {
    ++at_;
    skip_space(false);
    std::vector<std::string> keys;
    while (peek() != ']') {
      const std::size_t begins = at_;
      ESP_ASSIGN(const std::string key, read_name());
      if (std::find(keys.begin(), keys.end(), key) != keys.end()) {
        at_ = begins;
        return error("the attribute `" + key + "` is given twice");
      }
      keys.push_back(key);
      if (key == "stop" || key == "stop_capture" || key == "max_tokens" || key == "temperature") {
        at_ = begins;
        return unsupported("the attribute `" + key + "` is");
      }
      if (key == "capture") {
        if (take('=')) {
          ESP_ASSIGN([[maybe_unused]] const std::string name, read_string());
        }
      } else if (key == "lazy") {
        definition.lazy = true;
      } else if (key == "suffix") {
        if (!take('=')) return error("`suffix=…` is expected");
        definition.suffix_first = static_cast<std::uint32_t>(out_.nodes.size());
        ESP_ASSIGN(definition.suffix, read_value());
        definition.has_suffix = definition.lazy = true;
      } else {
        at_ = begins;
        return error("unknown attribute `" + key + "`");
      }
      skip_space(false);
      if (!take(',') && peek() != ']') return error("`,` or `]` is expected here");
    }
    ++at_;
    skip_space(false);
    return {};
  }

  Status read_statement() {
    const std::size_t begins = at_;
    const auto word = [&](std::string_view keyword) {
      if (!sees(keyword) || is_name_byte(peek(keyword.size()))) return false;
      at_ += keyword.size();
      skip_space(false);
      return true;
    };
    if (word("%ignore")) {
      LarkDefinition ignored;
      ignored.offset = begins;
      ignored.first = static_cast<std::uint32_t>(out_.nodes.size());
      ESP_ASSIGN(ignored.root, read_body());
      out_.ignored.push_back(std::move(ignored));
      return {};
    }
    if (word("%import")) return read_import();
    if (word("%llguidance")) return read_options();
    for (const char* keyword : {"%declare", "%override", "%extend", "%lark"}) {
      if (sees(keyword)) return unsupported("`" + std::string(keyword) + "` is");
    }
    return error("a rule, a terminal, %ignore, %import or %llguidance is expected here");
  }

  Status read_import() {
    if (!sees("common.") && !sees("common ")) {
      return unsupported("imports other than from `common` are");
    }
    at_ += 6;
    if (take('.')) {
      ESP_ASSIGN(const std::string name, read_name());
      std::string alias = name;
      if (sees("->")) {
        at_ += 2;
        skip_space(false);
        ESP_ASSIGN(alias, read_name());
      }
      return import(name, alias);
    }
    skip_space(false);
    if (!take('(')) return error("`common.NAME` or `common (NAMES)` is expected");
    while (peek() != ')') {
      ESP_ASSIGN(const std::string name, read_name());
      ESP_TRY(import(name, name));
      if (!take(',') && peek() != ')') return error("`,` or `)` is expected here");
    }
    ++at_;
    return {};
  }

  Status import(const std::string& name, const std::string& alias) {
    const auto* const found = std::find_if(kCommon.begin(), kCommon.end(),
                                           [&](const auto& entry) { return entry.first == name; });
    if (found == kCommon.end()) {
      std::string known;
      for (const auto& entry : kCommon) known += " " + std::string(entry.first);
      return error("`common` has no `" + name + "`; it has" + known);
    }
    LarkDefinition definition;
    definition.name = alias;
    definition.offset = at_;
    definition.first = definition.root = add_text(LarkOp::kRegex, at_, std::string(found->second));
    out_.definitions.push_back(std::move(definition));
    return {};
  }

  Status read_options() {
    ESP_ASSIGN(const Json options, read_object());
    for (const auto& [key, value] : options.items()) {
      if (key == "allow_initial_skip" && value.is_boolean()) {
        out_.initial_skip = value.get<bool>();
      } else if (key == "ignore_once" && value.is_boolean()) {
        out_.ignore_once = value.get<bool>();
      } else if (key != "no_forcing") {  // which the language does not depend on
        return unsupported("the option `" + key + "` is");
      }
    }
    return {};
  }

  // A definition's alternatives. Nesting is `groups`, not the machine's stack.
  Result<std::uint32_t> read_body() {
    std::vector<Group> groups(1);
    groups[0].opened = at_;
    bool negated = false;  // a `~` was read and waits for its atom
    while (true) {
      const bool nested = groups.size() > 1;
      if (nested) skip_space(true);
      if (!nested) skip_to_alternative();
      Group& group = groups.back();
      const std::size_t begins = at_;
      const char c = peek();
      const bool ends = at_ >= text_.size() || c == '\n' || c == '\r' || c == '|' || c == '&' ||
                        c == ')' || c == ']' || sees("->") || sees("%if");
      if (negated && ends) return error("`~` needs something behind it");
      if (ends) {
        if (sees("%if")) return unsupported("conditions (`%if`) are");
        if (sees("->")) {
          at_ += 2;
          skip_space(false);
          ESP_ASSIGN([[maybe_unused]] const std::string alias, read_name());
          continue;
        }
        if (c == '&') {
          group.conjuncts.push_back(join(LarkOp::kConcat, begins, group.sequence));
          ++at_;
          skip_space(false);
          continue;
        }
        if (c == '|') {
          close_alternative(group);
          ++at_;
          skip_space(nested);
          continue;
        }
        if (!nested) {
          if (c == ')' || c == ']') return error("a bracket closes here that none opened");
          return close_group(group);
        }
        if (c != (group.bracket == '(' ? ')' : ']')) {
          at_ = group.opened;
          return error("this bracket is never closed");
        }
        std::uint32_t whole = close_group(group);
        const Group closed = std::move(group);
        groups.pop_back();
        ++at_;
        if (closed.bracket == '[') whole = repeat(whole, 0, 1, closed.opened);
        if (closed.negated) whole = add(LarkOp::kNot, closed.opened, {{whole}});
        ESP_ASSIGN(whole, read_repeats(whole));
        groups.back().sequence.push_back(whole);
        continue;
      }
      if (c == '~') {
        if (negated) return error("`~~`");
        negated = true;
        ++at_;
        skip_space(false);
        continue;
      }
      if (c == '(' || c == '[') {
        groups.push_back({at_, c, std::exchange(negated, false), {}, {}, {}});
        ++at_;
        continue;
      }
      ESP_ASSIGN(std::uint32_t atom, read_value());
      if (std::exchange(negated, false)) atom = add(LarkOp::kNot, begins, {{atom}});
      ESP_ASSIGN(atom, read_repeats(atom));
      groups.back().sequence.push_back(atom);
    }
  }

  void close_alternative(Group& group) {
    group.conjuncts.push_back(join(LarkOp::kConcat, at_, group.sequence));
    group.alternatives.push_back(join(LarkOp::kAnd, at_, group.conjuncts));
  }
  std::uint32_t close_group(Group& group) {
    close_alternative(group);
    return join(LarkOp::kChoice, group.opened, group.alternatives);
  }

  std::uint32_t repeat(std::uint32_t child, std::uint32_t low, std::uint32_t high,
                       std::size_t offset) {
    const std::uint32_t node = add(LarkOp::kRepeat, offset, {{child}});
    out_.nodes[node].low = low;
    out_.nodes[node].high = high;
    return node;
  }

  Result<std::uint32_t> read_repeats(std::uint32_t atom) {
    constexpr std::uint32_t kAny = UINT32_MAX;
    skip_space(false);
    const std::size_t begins = at_;
    switch (peek()) {
      case '*':
        ++at_;
        atom = repeat(atom, 0, kAny, begins);
        break;
      case '+':
        ++at_;
        atom = repeat(atom, 1, kAny, begins);
        break;
      case '?':
        ++at_;
        atom = repeat(atom, 0, 1, begins);
        break;
      case '~':
      case '{': {
        const bool braces = peek() == '{';
        std::size_t next = at_ + 1;
        while (next < text_.size() && (text_[next] == ' ' || text_[next] == '\t')) ++next;
        const char first = next < text_.size() ? text_[next] : '\0';
        if (!is_ascii_digit(first) && !(braces && first == ',')) {
          if (braces) return error("counts are expected in `{…}`");
          return atom;  // `~` before the next atom
        }
        at_ = next;
        std::uint32_t low = 0;
        if (is_ascii_digit(first)) {
          ESP_ASSIGN(low, read_count());
        }
        std::uint32_t high = low;
        if (braces && take(',')) {
          high = kAny;
          if (peek() != '}') {
            ESP_ASSIGN(high, read_count());
          }
        } else if (!braces && sees("..")) {
          at_ += 2;
          skip_space(false);
          ESP_ASSIGN(high, read_count());
        }
        if (braces && !take('}')) return error("`}` is expected behind counts");
        if (low > high) {
          at_ = begins;
          return error("the least count is above the greatest");
        }
        atom = repeat(atom, low, high, begins);
        break;
      }
      default:
        break;
    }
    skip_space(false);
    return atom;
  }

  // A string, a range, a regex, a name, %json or %regex.
  Result<std::uint32_t> read_value() {
    const std::size_t begins = at_;
    const char c = peek();
    if (c == '"') {
      ESP_ASSIGN(std::string text, read_string());
      if (sees("..") && text_.substr(at_, 3) != "...") {
        at_ += 2;
        skip_space(false);
        if (peek() != '"') return error("a string is expected behind `..`");
        ESP_ASSIGN(const std::string last, read_string());
        const utf8::Decoded low = utf8::decode(text, 0);
        const utf8::Decoded high = utf8::decode(last, 0);
        if (text.empty() || last.empty() || low.length != text.size() ||
            high.length != last.size() || low.code_point > high.code_point) {
          at_ = begins;
          return error("a range is of one character to a later one");
        }
        const std::uint32_t node = add(LarkOp::kRange, begins);
        out_.nodes[node].low = low.code_point;
        out_.nodes[node].high = high.code_point;
        return node;
      }
      const std::uint32_t node = add_text(LarkOp::kText, begins, std::move(text));
      if (peek() == 'i' && !is_name_byte(peek(1))) {
        out_.nodes[node].flags[0] = 'i';
        ++at_;
      }
      skip_space(false);
      return node;
    }
    if (c == '/') return read_regex();
    if (sees("%json")) {
      at_ += 5;
      skip_space(true);
      ESP_ASSIGN(Json schema, read_object());
      return add_value(LarkOp::kJson, begins, std::move(schema));
    }
    if (sees("%regex")) return read_substring();
    if (sees("%lark")) return unsupported("`%lark` is");
    if (c == '@') return unsupported("references to other grammars (`@name`) are");
    if (c == '<') return unsupported("special tokens (`<name>`, `<[id]>`) are");
    if (!is_name_byte(c)) return error("a string, a regex, a name or a bracket is expected here");
    ESP_ASSIGN(std::string name, read_name());
    if (sees("::")) return unsupported("parametric rules (`::`) are");
    if (peek() == '{' && !is_ascii_digit(peek(1)) && peek(1) != ',' && peek(1) != ' ') {
      return unsupported("templates (`name{…}`) are");
    }
    return add_text(LarkOp::kName, begins, std::move(name));
  }

  Result<std::uint32_t> read_regex() {
    const std::size_t begins = at_++;
    while (peek() != '/') {
      if (peek() == '\\') ++at_;
      if (at_ >= text_.size() || peek() == '\n') {
        at_ = begins;
        return error("this regex is never closed");
      }
      ++at_;
    }
    const std::uint32_t node =
        add_text(LarkOp::kRegex, begins, std::string(text_.substr(begins + 1, at_ - begins - 1)));
    ++at_;
    static constexpr std::string_view kFlags = "ims";
    for (; lower(peek()); ++at_) {
      const char flag = peek();
      if (const std::size_t i = kFlags.find(flag); i != std::string_view::npos) {
        out_.nodes[node].flags[i] = flag;
      } else if (flag != 'u') {
        return unsupported("the regex flag `" + std::string(1, flag) + "` is");
      }
    }
    skip_space(false);
    return node;
  }

  Result<std::uint32_t> read_substring() {
    const std::size_t begins = at_;
    at_ += 6;
    skip_space(true);
    ESP_ASSIGN(const Json object, read_object());
    const auto wrong = [&] {
      at_ = begins;
      return error(
          "%regex takes one of {\"substring_chunks\": [strings]}, {\"substring_words\": "
          "string}, {\"substring_chars\": string}");
    };
    if (object.size() != 1) return wrong();
    const std::string& key = object.begin().key();
    const Json& value = object.begin().value();
    Json chunks = Json::array();
    if (key == "substring_chunks" && value.is_array()) {
      for (const Json& chunk : value) {
        if (!chunk.is_string()) return wrong();
        chunks.push_back(chunk.get<std::string>());
      }
    } else if (key == "substring_chars" && value.is_string()) {
      const std::string text = value.get<std::string>();
      for (std::size_t i = 0; i < text.size();) {
        const std::size_t length = std::max<std::size_t>(utf8::decode(text, i).length, 1);
        chunks.push_back(text.substr(i, length));
        i += length;
      }
    } else if (key == "substring_words" && value.is_string()) {
      // Runs of letters, digits and `_` stay together, everything else is on its own.
      const std::string text = value.get<std::string>();
      for (std::size_t i = 0; i < text.size();) {
        std::size_t end = i;
        const auto word = [&](char c) {
          return is_ascii_digit(c) || is_ascii_letter(c) || c == '_' ||
                 static_cast<signed char>(c) < 0;
        };
        while (end < text.size() && word(text[end])) ++end;
        if (end == i) ++end;
        chunks.push_back(text.substr(i, end - i));
        i = end;
      }
    } else {
      return wrong();
    }
    skip_space(false);
    return add_value(LarkOp::kSubstring, begins, std::move(chunks));
  }

  LarkSyntax out_;
};

}  // namespace

bool is_terminal_name(std::string_view name) {
  const std::size_t letter = name.find_first_not_of('_');
  return letter != std::string_view::npos && upper(name[letter]);
}

Result<LarkSyntax> parse_lark(std::string_view text) { return LarkParser(text).run(); }

}  // namespace espalier::grammar
