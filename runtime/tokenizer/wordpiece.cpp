#include "runtime/tokenizer/wordpiece.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "runtime/tokenizer/special_tokens.h"
#include "runtime/tokenizer/unicode.h"

namespace espalier::runtime {
namespace {

constexpr std::string_view kWordStart = "\xE2\x96\x81";  // U+2581

// The blocks that BERT's tokenizer takes for Chinese; the sixth starts where its first port had it,
// and those who trained with that kept it.
bool is_ideograph(char32_t code) {
  constexpr std::pair<char32_t, char32_t> kBlocks[] = {
      {0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},
      {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
  return std::any_of(std::begin(kBlocks), std::end(kBlocks),
                     [&](const auto& it) { return code >= it.first && code <= it.second; });
}

bool stands_alone(char32_t code, CharClass kind) {
  return kind == CharClass::kPunctuation || (code < 0x80 && kind == CharClass::kSymbol) ||
         is_ideograph(code);
}

class WordPieceEncoder final : public RunEncoder {
 public:
  // `pieces`: texts with kWordStart before those that start a word.
  WordPieceEncoder(SpecialTokens pieces, TokenId unknown)
      : pieces_(std::move(pieces)), unknown_(unknown) {}

  Status encode(std::string_view run, std::size_t offset, Work&,
                std::vector<TokenId>& out) const override {
    std::string word;
    std::size_t word_at = 0;
    std::u32string characters;
    const auto finish = [&]() -> Status {
      if (word.empty()) return {};
      const std::string text = std::exchange(word, {});
      return spell(std::string(kWordStart) + text, static_cast<unsigned char>(run[word_at]),
                   offset + word_at, out);
    };
    for (std::size_t at = 0; at < run.size();) {
      const Scanned next = scan(run, at);
      const std::size_t here = at;
      at += next.length;
      if (next.kind == CharClass::kSpace) {
        ESP_TRY(finish());
        continue;
      }
      if (next.kind == CharClass::kOther || next.kind == CharClass::kAccent ||
          next.code_point == 0xFFFD)
        continue;
      characters.clear();
      append_base(characters, next.code_point);
      for (const char32_t character : characters) {
        const bool alone = stands_alone(character, char_class(character));
        if (alone) ESP_TRY(finish());
        if (word.empty()) word_at = here;
        utf8::append(word, to_lower(character));
        if (alone) ESP_TRY(finish());
      }
    }
    return finish();
  }

 private:
  // `first` is the byte at `offset`, where the word starts in the text.
  Status spell(const std::string& word, unsigned char first, std::size_t offset,
               std::vector<TokenId>& out) const {
    const std::size_t before = out.size();
    for (std::size_t at = 0; at < word.size();) {
      const SpecialTokens::Match piece = pieces_.longest_at(word, at);
      if (piece.id == kNoToken) {
        if (unknown_ == kNoToken) return cannot_spell(first, offset);
        out.resize(before);
        out.push_back(unknown_);
        return {};
      }
      out.push_back(piece.id);
      at += piece.length;
    }
    return {};
  }

  SpecialTokens pieces_;
  TokenId unknown_;
};

// The token of a key, or else the one with the text that vocabularies of this kind give it.
TokenId special(const TokenizerSource& source, TokenId id, std::string_view text) {
  return id != kNoToken ? id : source.find(text);
}

}  // namespace

Result<Family> make_wordpiece(const TokenizerSource& source) {
  const bool marked =
      std::any_of(source.tokens.begin(), source.tokens.end(),
                  [](std::string_view text) { return text.starts_with(kWordStart); });
  Family family;
  family.bytes.resize(source.tokens.size());
  std::vector<std::pair<std::string, TokenId>> pieces;
  for (std::size_t i = 0; i < source.tokens.size(); ++i) {
    const std::string_view text = source.tokens[i];
    const auto id = static_cast<TokenId>(i);
    if (text.empty()) continue;
    switch (source.types[i]) {
      case TokenType::kNormal: {
        const bool starts = marked ? text.starts_with(kWordStart) : !text.starts_with("##");
        std::string_view bare = text;
        if (marked && starts) bare.remove_prefix(kWordStart.size());
        if (!marked && !starts) bare.remove_prefix(2);
        family.bytes[i] = (starts ? " " : "") + std::string(bare);
        if (starts || !bare.empty())
          pieces.emplace_back(std::string(starts ? kWordStart : "") + std::string(bare), id);
        break;
      }
      case TokenType::kUserDefined:
        family.bytes[i] = text;
        break;
      case TokenType::kByte:
        return source.refuse(
            ErrorCode::kCorrupt,
            source.named(id) + " is typed a byte, which a WordPiece vocabulary does not have");
      case TokenType::kUnknown:
      case TokenType::kControl:
      case TokenType::kUnused:
        break;
    }
  }
  family.encoder = std::make_unique<WordPieceEncoder>(SpecialTokens(std::move(pieces)),
                                                      special(source, source.unknown, "[UNK]"));
  family.bos = special(source, source.bos, "[CLS]");
  family.eos = special(source, source.separator, "[SEP]");
  family.add_bos = true;
  family.add_eos = source.add_separator.value_or(true);
  return family;
}

}  // namespace espalier::runtime
