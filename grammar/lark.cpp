#include "grammar/lark.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/utf8.h"
#include "grammar/json_schema.h"
#include "grammar/lark_syntax.h"
#include "grammar/regex.h"

namespace espalier::grammar {
namespace {

class Compiler {
 public:
  Compiler(ExpressionPool& pool, std::string_view text, LarkSyntax syntax)
      : pool_(pool), rules_(pool, text), syntax_(std::move(syntax)) {}

  Result<ContextFree> run() {
    for (std::size_t i = 0; i < syntax_.definitions.size(); ++i) {
      const LarkDefinition& definition = syntax_.definitions[i];
      const auto [it, fresh] = by_name_.try_emplace(definition.name, i);
      if (!fresh) {
        return fail(
            rules_.error_at(definition.offset, "`" + definition.name + "` is defined already"));
      }
    }
    expressions_.resize(syntax_.nodes.size());
    terminals_.resize(syntax_.definitions.size());
    ESP_TRY(compile_terminals());
    std::vector<Expr> ignored;
    for (const LarkDefinition& definition : syntax_.ignored) {
      ESP_ASSIGN(const Expr e, terminal(definition.first, definition.root));
      ignored.push_back(e);
    }
    const Expr one = pool_.choice(ignored);
    skip_ = ignored.empty()       ? pool_.empty()
            : syntax_.ignore_once ? pool_.optional(one)
                                  : pool_.repeat(one, 0);
    for (std::size_t i = 0; i < syntax_.definitions.size() && pool_.ok(); ++i) {
      const LarkDefinition& definition = syntax_.definitions[i];
      if (is_terminal_name(definition.name)) continue;
      ESP_ASSIGN(Expr body, rule_body(definition));
      if (definition.name == "start" && syntax_.initial_skip) body = pool_.concat({skip_, body});
      ESP_TRY(rules_.define(definition.name, body, definition.offset));
    }
    ESP_TRY(pool_.status());
    ESP_ASSIGN(ContextFree out, rules_.finish("start"));
    find_unreachable(out.report);
    return out;
  }

 private:
  // Terminals in an order in which each finds those it uses; a loop is an error.
  Status compile_terminals() {
    enum class Mark : std::uint8_t { kNew, kOpen, kDone };
    std::vector<Mark> marks(syntax_.definitions.size(), Mark::kNew);
    struct Frame {
      std::size_t definition;
      std::uint32_t at;  // the next of its nodes to look at
    };
    for (std::size_t i = 0; i < syntax_.definitions.size(); ++i) {
      if (!is_terminal_name(syntax_.definitions[i].name) || marks[i] != Mark::kNew) continue;
      std::vector<Frame> work{{i, syntax_.definitions[i].first}};
      marks[i] = Mark::kOpen;
      while (!work.empty()) {
        Frame& top = work.back();
        const LarkDefinition& definition = syntax_.definitions[top.definition];
        if (top.at > definition.root) {
          ESP_ASSIGN(terminals_[top.definition], terminal(definition.first, definition.root));
          marks[top.definition] = Mark::kDone;
          work.pop_back();
          continue;
        }
        const LarkNode& node = syntax_.nodes[top.at++];
        if (node.op != LarkOp::kName) continue;
        const auto it = by_name_.find(syntax_.text_of(node));
        if (it == by_name_.end() || !is_terminal_name(syntax_.text_of(node)))
          continue;  // an error of terminal()
        if (marks[it->second] == Mark::kOpen) {
          return fail(rules_.error_at(node.offset, "the terminal `" + syntax_.text_of(node) +
                                                       "` needs itself: only rules, in lower "
                                                       "case, may be recursive"));
        }
        if (marks[it->second] == Mark::kNew) {
          marks[it->second] = Mark::kOpen;
          work.push_back({it->second, syntax_.definitions[it->second].first});
        }
      }
    }
    return {};
  }

  [[nodiscard]] Expr any_text() { return pool_.repeat(pool_.code_points({{0, 0x10FFFF}}), 0); }

  // Nodes [first, root] as a regular expression.
  Result<Expr> terminal(std::uint32_t first, std::uint32_t root) {
    for (std::uint32_t id = first; id <= root && pool_.ok(); ++id) {
      const LarkNode& node = syntax_.nodes[id];
      switch (node.op) {
        case LarkOp::kName: {
          if (!is_terminal_name(syntax_.text_of(node))) {
            return fail(rules_.error_at(node.offset, "the rule `" + syntax_.text_of(node) +
                                                         "` cannot stand in a terminal"));
          }
          ESP_ASSIGN(expressions_[id], terminal_named(node));
          break;
        }
        case LarkOp::kJson:
          return fail(rules_.error_at(node.offset, "%json cannot stand in a terminal"));
        case LarkOp::kAnd: {
          Expr all = child(node, 0);
          for (std::size_t i = 1; i < node.count; ++i) {
            all = pool_.intersection(all, child(node, i));
          }
          expressions_[id] = all;
          break;
        }
        case LarkOp::kNot:
          expressions_[id] = pool_.difference(any_text(), child(node, 0));
          break;
        default: {
          ESP_ASSIGN(expressions_[id], plain(node));
        }
      }
    }
    ESP_TRY(pool_.status());
    return expressions_[root];
  }

  Result<Expr> terminal_named(const LarkNode& node) {
    const auto it = by_name_.find(syntax_.text_of(node));
    if (it == by_name_.end()) {
      return fail(
          rules_.error_at(node.offset, "terminal `" + syntax_.text_of(node) + "` is not defined"));
    }
    return terminals_[it->second];
  }

  Result<Expr> rule_body(const LarkDefinition& definition) {
    if (definition.lazy) {
      ESP_ASSIGN(Expr words, terminal(definition.first, definition.root));
      if (definition.has_suffix) {
        ESP_ASSIGN(const Expr suffix, terminal(definition.suffix_first, definition.suffix));
        words = pool_.concat({words, suffix});
      }
      // The words that none of the others begins.
      const Expr more = pool_.concat({words, pool_.repeat(pool_.code_points({{0, 0x10FFFF}}), 1)});
      return lexeme(pool_.difference(words, more));
    }
    for (std::uint32_t id = definition.first; id <= definition.root && pool_.ok(); ++id) {
      const LarkNode& node = syntax_.nodes[id];
      switch (node.op) {
        case LarkOp::kName:
          if (is_terminal_name(syntax_.text_of(node))) {
            ESP_ASSIGN(const Expr words, terminal_named(node));
            expressions_[id] = lexeme(words);
          } else {
            expressions_[id] = rules_.rule(syntax_.text_of(node), node.offset);
          }
          break;
        case LarkOp::kJson: {
          auto schema = schema_expression(pool_, syntax_.value_of(node));
          if (!schema) {
            return fail(rules_.error_at(node.offset, "%json: " + schema.error().message,
                                        schema.error().code));
          }
          // As one product: grammars' machines run no schemas themselves.
          expressions_[id] =
              lexeme(pool_.intersection(*schema, pool_.repeat(pool_.byte_set(ByteSet::all()), 0)));
          break;
        }
        case LarkOp::kAnd:
        case LarkOp::kNot:
          return fail(rules_.error_at(node.offset,
                                      "`&` and `~` stand in terminals (upper-case names) only"));
        case LarkOp::kConcat:
        case LarkOp::kChoice:
        case LarkOp::kRepeat: {
          ESP_ASSIGN(expressions_[id], plain(node));
          break;
        }
        default: {
          ESP_ASSIGN(const Expr words, plain(node));
          expressions_[id] = lexeme(words);
        }
      }
    }
    ESP_TRY(pool_.status());
    return expressions_[definition.root];
  }

  Expr lexeme(Expr words) { return pool_.concat({words, skip_}); }

  [[nodiscard]] Expr child(const LarkNode& node, std::size_t i) const {
    return expressions_[syntax_.children_of(node)[i]];
  }

  Result<Expr> plain(const LarkNode& node) {
    std::vector<Expr> parts;
    for (const std::uint32_t c : syntax_.children_of(node)) parts.push_back(expressions_[c]);
    switch (node.op) {
      case LarkOp::kText:
        if (node.flags[0] == 0) return pool_.bytes(syntax_.text_of(node));
        return regex(node, quoted(syntax_.text_of(node)));
      case LarkOp::kRegex:
        return regex(node, syntax_.text_of(node));
      case LarkOp::kRange:
        return pool_.code_points({{node.low, node.high}});
      case LarkOp::kSubstring: {
        // Any run of chunks: from each place on, as many as one likes.
        std::vector<Expr> starts{pool_.empty()};
        Expr rest = pool_.empty();
        const Json& chunks = syntax_.value_of(node);
        for (std::size_t i = chunks.size(); i-- > 0 && pool_.ok();) {
          const Expr from = pool_.concat({pool_.bytes(chunks[i].get<std::string>()), rest});
          starts.push_back(from);
          rest = pool_.optional(from);
        }
        return pool_.choice(starts);
      }
      case LarkOp::kConcat:
        return pool_.concat(parts);
      case LarkOp::kChoice:
        return rules_.alternatives(parts);
      case LarkOp::kRepeat:
        return pool_.repeat(parts[0], node.low, node.high);
      default:
        return fail(ErrorCode::kInternal, "grammar: a node out of place");
    }
  }

  static std::string quoted(std::string_view text) {
    std::string out;
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      const bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      if (word || byte >= 0x80) {
        out += c;
      } else {
        static constexpr char kHex[] = "0123456789abcdef";
        out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
      }
    }
    return out;
  }

  Result<Expr> regex(const LarkNode& node, std::string_view pattern) {
    RegexUse use;
    use.captures = false;
    use.flags.fold_case = node.flags[0] != 0;
    use.flags.multi_line = node.flags[1] != 0;
    use.flags.dot_all = node.flags[2] != 0;
    auto e = regex_expression(pool_, pattern, use);
    if (!e) return fail(rules_.error_at(node.offset, e.error().message, e.error().code));
    return *e;
  }

  // Of rules and terminals alike.
  void find_unreachable(ContextFreeReport& report) const {
    std::vector<bool> reached(syntax_.definitions.size(), false);
    std::vector<std::size_t> work;
    const auto reach = [&](std::uint32_t first, std::uint32_t root) {
      for (std::uint32_t id = first; id <= root; ++id) {
        const LarkNode& node = syntax_.nodes[id];
        if (node.op != LarkOp::kName) continue;
        const auto it = by_name_.find(syntax_.text_of(node));
        if (it == by_name_.end() || reached[it->second]) continue;
        reached[it->second] = true;
        work.push_back(it->second);
      }
    };
    for (const LarkDefinition& ignored : syntax_.ignored) reach(ignored.first, ignored.root);
    const std::size_t start = by_name_.at("start");
    reached[start] = true;
    work.push_back(start);
    while (!work.empty()) {
      const LarkDefinition& definition = syntax_.definitions[work.back()];
      work.pop_back();
      reach(definition.first, definition.root);
      if (definition.has_suffix) reach(definition.suffix_first, definition.suffix);
    }
    report.rules = syntax_.definitions.size();
    report.unreachable.clear();
    for (std::size_t i = 0; i < reached.size(); ++i) {
      if (!reached[i]) report.unreachable.push_back(syntax_.definitions[i].name);
    }
  }

  ExpressionPool& pool_;
  ContextFreeBuilder rules_;
  LarkSyntax syntax_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
  std::vector<Expr> expressions_;  // by node
  std::vector<Expr> terminals_;    // by definition
  Expr skip_;
};

}  // namespace

Result<ContextFree> read_lark(ExpressionPool& pool, std::string_view text) {
  ESP_ASSIGN(LarkSyntax syntax, parse_lark(text));
  return Compiler(pool, text, std::move(syntax)).run();
}

Result<ContextFreeGrammar> compile_lark(VocabularyRef vocabulary, std::string_view text,
                                        std::string_view follow, const Limits& limits) {
  Fuel fuel("compile steps (limits.compile_fuel)", limits.compile_fuel);
  auto pool = std::make_shared<ExpressionPool>(fuel);
  ESP_ASSIGN(ContextFree grammar, read_lark(*pool, text));
  return compile_context_free(std::move(vocabulary), pool, std::move(grammar), follow, limits,
                              fuel);
}

}  // namespace espalier::grammar
