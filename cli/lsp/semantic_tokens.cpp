#include <algorithm>
#include <array>
#include <string_view>

#include "cli/lsp/features.h"
#include "dsl/builtins.h"
#include "dsl/lexemes.h"
#include "dsl/parser.h"

namespace espalier::cli::lsp {
namespace {

constexpr std::array<std::string_view, 14> kTypes = {
    "namespace", "type",    "enum",    "enumMember", "parameter", "variable", "property",
    "function",  "keyword", "comment", "string",     "number",    "regexp",   "operator"};
enum TokenType : std::uint32_t {
  kNamespace,
  kType,
  kEnum,
  kEnumMember,
  kParameter,
  kVariable,
  kProperty,
  kFunction,
  kKeyword,
  kComment,
  kString,
  kNumber,
  kRegexp,
  kOperator
};
constexpr std::uint32_t kDeclaration = 1;  // bits of the modifiers, in their order
constexpr std::uint32_t kDefaultLibrary = 2;
constexpr std::size_t kMostTokens = 200'000;  // what stands behind has no colours

TokenType type_of(dsl::SymbolKind kind) {
  switch (kind) {
    case dsl::SymbolKind::kRecord:
    case dsl::SymbolKind::kAlias:
    case dsl::SymbolKind::kGrammar:
      return kType;
    case dsl::SymbolKind::kEnum:
      return kEnum;
    case dsl::SymbolKind::kTool:
    case dsl::SymbolKind::kGen:
    case dsl::SymbolKind::kRule:
      return kFunction;
    case dsl::SymbolKind::kFile:
      return kNamespace;
    case dsl::SymbolKind::kParameter:
      return kParameter;
    case dsl::SymbolKind::kVariable:
    case dsl::SymbolKind::kHole:
      return kVariable;
    case dsl::SymbolKind::kField:
      return kProperty;
    case dsl::SymbolKind::kCase:
      return kEnumMember;
  }
  return kVariable;
}

bool one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

class Tokens {
 public:
  Tokens(const Document& document, Encoding encoding)
      : analysis_(*document.analysis),
        text_(analysis_.program->sources[0].text()),
        positions_(analysis_.program->sources[0], encoding) {}

  Json run() {
    const dsl::Lexemes read = dsl::lexemes(text_);
    auto name = analysis_.symbols.occurrences.begin();
    const auto last = analysis_.symbols.occurrences.end();
    for (std::size_t i = 0; i < read.all.size() && count_ < kMostTokens; ++i) {
      const dsl::Lexeme& one = read.all[i];
      while (name != last && name->span.file == 0 && name->span.begin < one.begin) ++name;
      const bool named = name != last && name->span.file == 0 && name->span.begin == one.begin &&
                         name->span.end == one.end;
      switch (one.kind) {
        case dsl::LexemeKind::kWord:
          if (named) {
            const dsl::Symbol& symbol = analysis_.symbols.symbols[name->symbol];
            add(one, type_of(symbol.kind), name->definition ? kDeclaration : 0);
          } else {
            word(one, i + 1 < read.all.size() ? read.all[i + 1] : dsl::Lexeme{});
          }
          break;
        case dsl::LexemeKind::kNumber:
          add(one, kNumber, 0);
          break;
        case dsl::LexemeKind::kText:
        case dsl::LexemeKind::kEscape:
          add(one, kString, 0);
          break;
        case dsl::LexemeKind::kMark:
          add(one, kOperator, 0);
          break;
        case dsl::LexemeKind::kPattern:
          add(one, kRegexp, 0);
          break;
        case dsl::LexemeKind::kComment:
          add(one, kComment, 0);
          break;
        case dsl::LexemeKind::kSign:
          break;
      }
    }
    return {{"data", std::move(data_)}};
  }

 private:
  void word(const dsl::Lexeme& one, const dsl::Lexeme& next) {
    const std::string_view text = text_.substr(one.begin, one.end - one.begin);
    const bool called = next.begin == one.end && next.end > next.begin && text_[next.begin] == '(';
    if (dsl::is_keyword(text) || one_of(text, {"mock", "accepts", "rejects", "from", "by", "turn"}))
      add(one, kKeyword, 0);
    else if (one_of(text,
                    {"string", "line", "int", "float", "bool", "json", "date", "time", "datetime",
                     "uuid", "email", "url", "map", "schema", "span", "cite", "think"}))
      add(one, kType, kDefaultLibrary);
    else if (called && dsl::find_builtin(text) != nullptr)
      add(one, kFunction, kDefaultLibrary);
  }

  // A token is of one line: longer lexemes are cut at their line breaks.
  void add(const dsl::Lexeme& lexeme, TokenType type, std::uint32_t modifiers) {
    std::uint32_t begin = lexeme.begin;
    while (begin < lexeme.end && count_ < kMostTokens) {
      const auto found = text_.substr(0, lexeme.end).find('\n', begin);
      const std::uint32_t end =
          found == std::string_view::npos ? lexeme.end : static_cast<std::uint32_t>(found);
      if (end > begin) {
        const TextPosition from = positions_.at(begin);
        const TextPosition to = positions_.at(end);
        data_.push_back(from.line - line_);
        data_.push_back(from.line == line_ ? from.character - character_ : from.character);
        data_.push_back(to.character - from.character);
        data_.push_back(static_cast<std::uint32_t>(type));
        data_.push_back(modifiers);
        line_ = from.line;
        character_ = from.character;
        ++count_;
      }
      begin = end + 1;
    }
  }

  const dsl::Analysis& analysis_;
  std::string_view text_;
  TextPositions positions_;
  Json data_ = Json::array();
  std::size_t count_ = 0;
  std::uint32_t line_ = 0, character_ = 0;  // where the token before begins
};

}  // namespace

Json semantic_tokens(const Document& document, const Workspace& workspace) {
  return Tokens(document, workspace.encoding()).run();
}

Json semantic_legend() {
  return {{"tokenTypes", kTypes}, {"tokenModifiers", {"declaration", "defaultLibrary"}}};
}

}  // namespace espalier::cli::lsp
