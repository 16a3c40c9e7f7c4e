#include "dsl/completion.h"

#include <algorithm>
#include <array>
#include <set>

#include "dsl/builtins.h"
#include "dsl/lexemes.h"
#include "dsl/loader.h"
#include "dsl/patterns.h"
#include "dsl/static_strings.h"
#include "dsl/static_types.h"

namespace espalier::dsl {
namespace {

using Words = std::vector<std::string_view>;

const Words kDeclarations = {"use",     "config", "record", "enum", "type",
                             "grammar", "tool",   "gen",    "test"};
const Words kStatements = {"system", "user",   "assistant", "tool",  "turn",   "let",
                           "if",     "else",   "for",       "match", "retry",  "require",
                           "splice", "return", "yield",     "break", "expect", "mock"};
const Words kOperators = {"and",  "or",  "not",  "in",    "if",  "else",
                          "fork", "run", "true", "false", "null"};
const Words kTypes = {"string", "line", "int",    "float",    "bool", "null",
                      "json",   "date", "time",   "datetime", "uuid", "email",
                      "url",    "map",  "schema", "span",     "cite", "think"};
const Words kSettings = {"edition",      "overflow", "priority",  "deadline", "max",
                         "temperature",  "top_p",    "min_p",     "top_k",    "seed",
                         "repetition",   "presence", "frequency", "retain",   "retain_tokens",
                         "retain_steps", "calls"};
const Words kHoleOptions = {"max",  "temperature", "top_p",    "min_p",    "top_k",
                            "seed", "repetition",  "presence", "frequency"};
const Words kWays = {"total", "mean", "prior"};
const Words kTransports = {"python", "exec", "http", "mcp"};

constexpr std::uint64_t kMostChoices = 256;

struct Member {
  std::string name;
  TypeRef type;
  std::string doc;
};

// What `.name` can be of a value of this type.
void members_of(const TypeRef& given, std::vector<Member>& out, int depth = 0) {
  const TypeRef type = resolve(without_null(given));
  if (type == nullptr || depth > 8) return;
  switch (type->kind) {
    case TypeKind::kRecord:
      for (const auto& field : type->fields)
        out.push_back(
            {field.name, field.omittable ? optional_type(field.type) : field.type, field.doc});
      return;
    case TypeKind::kList: {
      std::vector<Member> inner;
      members_of(type->items.at(0), inner, depth + 1);
      for (Member& one : inner) out.push_back({one.name, list_type(one.type), one.doc});
      return;
    }
    case TypeKind::kUnion:
      for (const TypeRef& item : type->items) members_of(item, out, depth + 1);
      return;
    case TypeKind::kRegex:
      if (const TypeRef groups = group_record(type->pattern)) members_of(groups, out, depth + 1);
      return;
    case TypeKind::kEnum:
      out.push_back({"doc", basic_type(TypeKind::kString), "the case's `///` comment"});
      return;
    case TypeKind::kSpan:
      out.push_back({"spans", nullptr, "where it stands in its source: start and end"});
      return;
    default:
      return;
  }
}

std::vector<Member> members_of_symbol(const Symbol& symbol) {
  std::vector<Member> out;
  members_of(symbol.type, out);
  if (symbol.hole == nullptr) return out;
  out.push_back({"truncated", basic_type(TypeKind::kBool), "whether its budget closed it"});
  if (symbol.hole->select) {
    out.push_back({"p", basic_type(TypeKind::kFloat), "how likely the choice is"});
    auto choices = std::make_shared<Type>();
    choices->kind = TypeKind::kRecord;
    for (const std::string& one : choice_names(symbol.type, kMostChoices))
      choices->fields.push_back({one, one, basic_type(TypeKind::kFloat), false, {}});
    out.push_back({"dist", choices, "how likely each choice is"});
  }
  return out;
}

class Completer {
 public:
  Completer(const Analysis& analysis, std::uint32_t offset)
      : analysis_(analysis),
        text_(analysis.program->sources[0].text()),
        offset_(std::min(offset, static_cast<std::uint32_t>(text_.size()))),
        read_(lexemes(text_.substr(0, offset_))) {}

  Completion run() {
    result_.span = {0, offset_, offset_};
    if (read_.end == OpenPlace::kText || read_.end == OpenPlace::kPattern ||
        read_.end == OpenPlace::kComment)
      return std::move(result_);
    std::size_t count = read_.all.size();
    if (count > 0 && read_.all[count - 1].end == offset_) {
      const LexemeKind kind = read_.all[count - 1].kind;
      if (kind == LexemeKind::kNumber) return std::move(result_);
      if (kind == LexemeKind::kWord) result_.span.begin = read_.all[--count].begin;
    }
    read_.all.resize(count);
    if (word(1) == ".") {
      after_dot();
    } else if (read_.end == OpenPlace::kHole) {
      in_hole();
    } else if (read_.end == OpenPlace::kInsert) {
      expression();
    } else {
      in_code();
    }
    return std::move(result_);
  }

 private:
  // The n-th lexeme before the word, from 1; empty before the first.
  [[nodiscard]] std::string_view word(std::size_t n) const {
    if (n > read_.all.size()) return {};
    const Lexeme& one = read_.all[read_.all.size() - n];
    return text_.substr(one.begin, one.end - one.begin);
  }

  void add(Candidate candidate) {
    if (known_.insert(candidate.text).second) result_.candidates.push_back(std::move(candidate));
  }
  void add(const Words& words, CandidateKind kind) {
    for (const std::string_view one : words) add({std::string(one), kind, {}, {}, {}});
  }
  void add(const Symbol& symbol) {
    add({symbol.name, CandidateKind::kSymbol, symbol.kind, declaration(analysis_, symbol),
         symbol.doc});
  }
  void add(std::vector<Member> members) {
    for (Member& one : members)
      add({std::move(one.name),
           CandidateKind::kMember,
           {},
           one.type == nullptr ? "" : type_name(one.type),
           std::move(one.doc)});
  }

  [[nodiscard]] static bool top_level(const Symbol& symbol) {
    switch (symbol.kind) {
      case SymbolKind::kRecord:
      case SymbolKind::kEnum:
      case SymbolKind::kAlias:
      case SymbolKind::kGrammar:
      case SymbolKind::kTool:
      case SymbolKind::kGen:
      case SymbolKind::kFile:
        return true;
      default:
        return false;
    }
  }
  [[nodiscard]] static bool is_type(SymbolKind kind) {
    return kind == SymbolKind::kRecord || kind == SymbolKind::kEnum || kind == SymbolKind::kAlias ||
           kind == SymbolKind::kGrammar || kind == SymbolKind::kTool || kind == SymbolKind::kFile;
  }
  // Declared in this file, or taken by name from another one.
  [[nodiscard]] bool reachable(const Symbol& symbol) const {
    if (!top_level(symbol)) return false;
    if (symbol.span.file == 0) return true;
    for (const Decl& decl : analysis_.program->file.declarations) {
      const auto* use = std::get_if<UseDecl>(&decl);
      if (use == nullptr || use->span.file != 0) continue;
      for (const Identifier& name : use->names)
        if (name.text == symbol.name) return true;
    }
    return false;
  }
  [[nodiscard]] bool in_scope(const Symbol& symbol) const {
    return symbol.span.file == 0 && !symbol.scope.empty() && symbol.scope.begin < offset_ &&
           offset_ <= symbol.scope.end && symbol.span.end < offset_;
  }

  void types() {
    for (const Symbol& symbol : analysis_.symbols.symbols)
      if (is_type(symbol.kind) && reachable(symbol)) add(symbol);
    add(kTypes, CandidateKind::kType);
  }

  void expression() {
    for (auto symbol = analysis_.symbols.symbols.rbegin();
         symbol != analysis_.symbols.symbols.rend(); ++symbol)
      if (in_scope(*symbol)) add(*symbol);
    for (const Symbol& symbol : analysis_.symbols.symbols)
      if (reachable(symbol)) add(symbol);
    for (const BuiltinInfo& one : builtins())
      add({std::string(one.name), CandidateKind::kFunction, {}, std::string(one.signature), {}});
    add(kOperators, CandidateKind::kKeyword);
  }

  void in_hole() {
    // Back to the mark that opened it: what has been written of it so far.
    bool colon = false;
    std::string_view clause;  // the last word or sign that begins a part of it
    int depth = 0;
    for (std::size_t n = 1;; ++n) {
      const std::string_view one = word(n);
      if (one.empty() || one == "$[") break;
      if (one == ")" || one == "]" || one == "}") ++depth;
      if (one == "(" || one == "[" || one == "{") --depth;
      if (depth > 0) continue;
      colon = colon || one == ":";
      if (clause.empty() &&
          (one == ":" || one == "," || one == "=" || one == "from" || one == "by"))
        clause = one;
    }
    if (!colon) return;  // a new name
    if (clause == ",") {
      if (depth == 0 && read_.depth == 0) return add(kHoleOptions, CandidateKind::kOption);
      return types();
    }
    if (clause == "by") {
      if (word(1) == "by") add(kWays, CandidateKind::kOption);
      return;
    }
    if (clause == "=" || clause == "from") return expression();
    const std::string_view last = word(1);
    if (last == ":" && read_.depth == 0) add({"select"}, CandidateKind::kKeyword);
    if (last == ":" || last == "|" || last == "(" || last == "select" || read_.depth > 0)
      return types();
    add({"from", "by"}, CandidateKind::kKeyword);
  }

  void in_code() {
    const std::string_view last = word(1);
    if (const std::size_t open = innermost(); word(open) == "{" && word(open + 1) == "config") {
      if (last == ":") return;  // a constant
      return add(kSettings, CandidateKind::kOption);
    }
    if (last == "->" || last == "|") return types();
    if (last == "=") {
      if (word(3) == "type") return types();
      // `tool f(…) -> T = `
      for (std::size_t n = 2; n <= 64 && !word(n).empty(); ++n) {
        if (word(n) == "}" || word(n) == "{") break;
        if (word(n) == "tool") return add(kTransports, CandidateKind::kKeyword);
      }
      expression();
      for (std::size_t n = 3; n <= 16 && word(n) != "="; ++n)
        if (word(n) == "let") return add({"for"}, CandidateKind::kKeyword);
      return;
    }
    if (arms()) return;
    if (last == ":") {
      types();
      // In a declaration or after `let name`, a type is all that fits.
      const std::size_t open = innermost();
      if (word(3) == "let" || word(open + 2) == "record" || word(open + 2) == "gen" ||
          word(open + 2) == "tool")
        return;
      return expression();
    }
    if (read_.depth == 0) {
      const std::size_t line = text_.substr(0, result_.span.begin).find_last_not_of(" \t");
      if (line == std::string_view::npos || text_[line] == '\n')
        add(kDeclarations, CandidateKind::kKeyword);
      return;
    }
    expression();
    if (last == "{" || last == "}" || last == "=>" || new_line()) {
      add(kStatements, CandidateKind::kKeyword);
      add({"accepts", "rejects"}, CandidateKind::kKeyword);
    }
  }

  // Which lexeme before the word opens the innermost bracket; past all of them where none is open.
  [[nodiscard]] std::size_t innermost() const {
    int depth = 0;
    for (std::size_t n = 1; !word(n).empty(); ++n) {
      const std::string_view one = word(n);
      if (one == ")" || one == "]" || one == "}") ++depth;
      if ((one == "(" || one == "[" || one == "{") && --depth < 0) return n;
    }
    return read_.all.size() + 1;
  }

  [[nodiscard]] bool new_line() const {
    const std::size_t before = text_.substr(0, result_.span.begin).find_last_not_of(" \t\r");
    return before == std::string_view::npos || text_[before] == '\n';
  }

  // Where an arm of a `match` begins: the cases of its value.
  bool arms() {
    const std::size_t open = innermost();
    if (word(open) != "{" || (word(1) == "=>") || (open != 1 && !new_line() && word(1) != "}"))
      return false;
    std::size_t at = 0;
    const std::vector<std::string_view> path = path_before(open + 1, at);
    if (path.empty() || word(at + 1) != "match") return false;
    for (const TypeRef& one : cases_of(type_of(path))) {
      const std::string shown = type_name(one);
      const std::string doc = one->cases.empty() ? "" : one->cases.front().doc;
      if (one->kind == TypeKind::kEnum) {
        add({one->cases.front().name, CandidateKind::kSymbol, SymbolKind::kCase, shown, doc});
      } else if (one->kind == TypeKind::kCall) {
        std::string text = one->fields.front().name + "(";
        if (const TypeRef arguments = resolve(one->fields.front().type); arguments != nullptr)
          for (std::size_t i = 0; i < arguments->fields.size(); ++i)
            text += (i > 0 ? ", " : "") + arguments->fields[i].name;
        add({text + ")", CandidateKind::kSymbol, SymbolKind::kTool, shown,
             one->fields.front().doc});
      } else if (one->kind == TypeKind::kLiteral || one->kind == TypeKind::kNull) {
        add({one->kind == TypeKind::kNull ? "null" : one->literal.dump(),
             CandidateKind::kKeyword,
             {},
             shown,
             {}});
      } else if (!one->name.empty()) {
        std::string name = one->name;
        name.front() = static_cast<char>(name.front() | 0x20);  // declared names are ASCII
        add({(name == one->name ? "one" : name) + ": " + one->name,
             CandidateKind::kType,
             {},
             shown,
             {}});
      }
    }
    add({"other"}, CandidateKind::kKeyword);
    return true;
  }

  // `name.key[0].key` that ends with the n-th lexeme, from its first name on, "[" for an index;
  // `at` is where that first name stands. Empty where something else stands there.
  std::vector<std::string_view> path_before(std::size_t n, std::size_t& at) const {
    std::vector<std::string_view> path;  // from the last to the first
    while (true) {
      if (word(n) == "]") {
        int depth = 0;
        do {
          if (word(n).empty()) return {};
          if (word(n) == "]") ++depth;
          if (word(n) == "[") --depth;
          ++n;
        } while (depth > 0);
        path.emplace_back("[");
        continue;
      }
      if (n > read_.all.size() || read_.all[read_.all.size() - n].kind != LexemeKind::kWord)
        return {};  // a call's value, or nothing that has members
      path.push_back(word(n));
      if (word(n + 1) != ".") break;
      n += 2;
    }
    at = n;
    std::reverse(path.begin(), path.end());
    return path;
  }

  // What `name: Type` says of a name whose block could not be read.
  [[nodiscard]] TypeRef written_type(std::string_view name) const {
    for (std::size_t n = 3; !word(n).empty(); ++n) {
      if (word(n) != name || word(n - 1) != ":") continue;
      const Symbol* type = find(word(n - 2));
      return type == nullptr ? nullptr : type->type;
    }
    return nullptr;
  }

  [[nodiscard]] TypeRef type_of(const std::vector<std::string_view>& path) const {
    const Symbol* root = find(path[0]);
    TypeRef type = root == nullptr ? written_type(path[0]) : root->type;
    for (std::size_t i = 1; i < path.size(); ++i) {
      const TypeRef outer = resolve(without_null(type));
      if (outer == nullptr) return nullptr;
      if (path[i] == "[") {
        if (outer->kind != TypeKind::kList && outer->kind != TypeKind::kMap) return nullptr;
        type = outer->items.at(0);
        continue;
      }
      std::vector<Member> members;
      if (i == 1 && root != nullptr) {
        members = members_of_symbol(*root);
      } else {
        members_of(outer, members);
      }
      std::vector<TypeRef> found;  // several, in alternatives of a union
      for (const Member& one : members)
        if (one.name == path[i] && one.type != nullptr) found.push_back(one.type);
      if (found.empty()) return nullptr;
      type = union_type(std::move(found));
    }
    return type;
  }

  void after_dot() {
    std::size_t at = 0;
    const std::vector<std::string_view> path = path_before(2, at);
    if (path.empty()) return;
    const Symbol* root = find(path[0]);
    if (root == nullptr || path.size() > 1) {
      std::vector<Member> members;
      members_of(type_of(path), members);
      return add(std::move(members));
    }
    if (root->kind == SymbolKind::kFile) return of_file(*root);
    if (root->kind == SymbolKind::kEnum || root->kind == SymbolKind::kAlias) {
      if (const TypeRef type = resolve(root->type);
          type != nullptr && type->kind == TypeKind::kEnum)
        for (const auto& one : type->cases)
          add({one.name, CandidateKind::kSymbol, SymbolKind::kCase, root->name, one.doc});
      return;
    }
    add(members_of_symbol(*root));
  }

  // The names of a file that is used as `name`.
  void of_file(const Symbol& file) {
    for (const Decl& decl : analysis_.program->file.declarations) {
      const auto* use = std::get_if<UseDecl>(&decl);
      if (use == nullptr || !use->as || use->as->span != file.span) continue;
      const auto& sources = analysis_.program->sources;
      for (const Symbol& symbol : analysis_.symbols.symbols) {
        if (symbol.span.file == 0 || !top_level(symbol)) continue;
        if (sources[symbol.span.file].name() == path_beside(sources[0].name(), use->path.value))
          add(symbol);
      }
    }
  }

  // The nearest variable of that name in reach, else a declaration, else, where a mistake hides the
  // block, the last variable before.
  [[nodiscard]] const Symbol* find(std::string_view name) const {
    const Symbol* declared = nullptr;
    const Symbol* before = nullptr;
    const auto& all = analysis_.symbols.symbols;
    for (auto symbol = all.rbegin(); symbol != all.rend(); ++symbol) {
      if (symbol->name != name) continue;
      if (in_scope(*symbol)) return &*symbol;
      if (declared == nullptr && reachable(*symbol)) declared = &*symbol;
      if (before == nullptr && !symbol->scope.empty() && symbol->span.file == 0 &&
          symbol->span.end < offset_)
        before = &*symbol;
    }
    return declared != nullptr ? declared : before;
  }

  const Analysis& analysis_;
  std::string_view text_;
  std::uint32_t offset_;
  Lexemes read_;
  Completion result_;
  std::set<std::string> known_;
};

}  // namespace

Completion complete(const Analysis& analysis, std::uint32_t offset) {
  return Completer(analysis, offset).run();
}

}  // namespace espalier::dsl
