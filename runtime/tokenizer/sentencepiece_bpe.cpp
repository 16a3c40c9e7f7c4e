#include "runtime/tokenizer/sentencepiece_bpe.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "runtime/tokenizer/byte_pair.h"
#include "runtime/tokenizer/code_point_map.h"
#include "runtime/tokenizer/piece_splits.h"
#include "runtime/tokenizer/sentencepiece.h"

namespace espalier::runtime {
namespace {

class SentencePieceEncoder final : public RunEncoder {
 public:
  // Symbols are tokens, and behind them the characters that tokens contain and that are none.
  struct Parts {
    std::size_t tokens = 0;
    BytePair pairs;
    CodePointMap characters;             // to symbols
    std::vector<std::uint32_t> lengths;  // by symbol: the bytes it stands for
    std::vector<char32_t> beside;        // the characters that are no token, in order
    std::array<TokenId, 256> byte_ids{};
    std::bitset<256> joins_space;  // bytes that stand before a space inside a token
  };
  explicit SentencePieceEncoder(Parts parts) : parts_(std::move(parts)) {}

  Status encode(std::string_view run, std::size_t offset, Work& work,
                std::vector<TokenId>& out) const override {
    work.piece.clear();
    std::size_t start = 0;  // of the piece
    for (std::size_t at = 0; at < run.size();) {
      const auto byte = static_cast<unsigned char>(run[at]);
      const utf8::Decoded next = byte < 0x80 ? utf8::Decoded{byte, 1} : utf8::decode(run, at);
      const TokenId symbol = next.length == 0 ? kNoToken : parts_.characters.find(next.code_point);
      // No merge crosses a character that no token has, or a space where no token has one after
      // that byte: words merge apart, which is as exact and keeps the heap small.
      const bool word = byte == ' ' && at > start && run[at - 1] != ' ' &&
                        !parts_.joins_space[static_cast<unsigned char>(run[at - 1])];
      if (symbol == kNoToken || word) {
        ESP_TRY(finish(offset + start, work, out));
        start = at;
      }
      const std::size_t length = std::max<std::size_t>(next.length, 1);
      if (symbol == kNoToken) {
        ESP_TRY(spell(run.substr(at, length), offset + at, out));
        start = at + length;
      } else {
        work.piece.push_back(symbol);
      }
      at += length;
    }
    return finish(offset + start, work, out);
  }

 private:
  // Merges the piece, which starts at `offset`.
  Status finish(std::size_t offset, Work& work, std::vector<TokenId>& out) const {
    if (work.piece.empty()) return {};
    const auto before = static_cast<std::ptrdiff_t>(out.size());
    parts_.pairs.merge(work.piece, work.scratch, out);
    work.piece.clear();
    const auto is_token = [&](TokenId id) { return static_cast<std::size_t>(id) < parts_.tokens; };
    if (std::all_of(out.begin() + before, out.end(), is_token)) return {};
    const std::vector<TokenId> merged(out.begin() + before, out.end());
    out.erase(out.begin() + before, out.end());
    for (const TokenId symbol : merged) {
      const auto index = static_cast<std::size_t>(symbol);
      if (is_token(symbol)) {
        out.push_back(symbol);
      } else {
        std::string character;
        utf8::append(character, parts_.beside[index - parts_.tokens]);
        ESP_TRY(spell(character, offset, out));
      }
      offset += parts_.lengths[index];
    }
    return {};
  }

  Status spell(std::string_view bytes, std::size_t offset, std::vector<TokenId>& out) const {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const auto byte = static_cast<unsigned char>(bytes[i]);
      if (parts_.byte_ids[byte] == kNoToken) return cannot_spell(byte, offset + i);
      out.push_back(parts_.byte_ids[byte]);
    }
    return {};
  }

  Parts parts_;
};

// The only character of `text`, which is well-formed; nothing where it has several.
std::optional<char32_t> only_character(std::string_view text) {
  const utf8::Decoded first = utf8::decode(text, 0);
  if (first.length != text.size()) return std::nullopt;
  return first.code_point;
}

// 0 for the best score, 1 for the next, and the same for equal ones; by token.
std::vector<std::uint32_t> ranks(const std::vector<float>& scores) {
  std::vector<float> distinct = scores;
  std::sort(distinct.begin(), distinct.end(), std::greater<>());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  std::vector<std::uint32_t> out;
  out.reserve(scores.size());
  for (const float score : scores) {
    const auto at = std::lower_bound(distinct.begin(), distinct.end(), score, std::greater<>());
    out.push_back(static_cast<std::uint32_t>(at - distinct.begin()));
  }
  return out;
}

class SentencePieceMaker {
 public:
  SentencePieceMaker(const TokenizerSource& source, const std::vector<std::string>& bytes)
      : source_(source), bytes_(bytes) {}

  Result<std::unique_ptr<const RunEncoder>> make() {
    collect_tokens();
    collect_characters();
    ESP_TRY(source_.merges.empty() ? rules_of_scores() : rules_of_merges());
    return std::make_unique<SentencePieceEncoder>(SentencePieceEncoder::Parts{
        source_.tokens.size(), BytePair(source_.tokens.size() + beside_.size(), rules_),
        std::move(characters_), std::move(lengths_), std::move(beside_), byte_tokens(source_),
        joins_space_});
  }

 private:
  // The tokens that merging can give: ordinary ones that can stand in a text, whose spaces are
  // written as U+2581.
  void collect_tokens() {
    lengths_.resize(source_.tokens.size());
    for (std::size_t i = 0; i < source_.tokens.size(); ++i) {
      const std::string& bytes = bytes_[i];
      lengths_[i] = static_cast<std::uint32_t>(bytes.size());
      if (source_.types[i] != TokenType::kNormal || bytes.empty() ||
          source_.tokens[i].find(' ') != std::string_view::npos ||
          utf8::find_malformed(bytes) != std::string::npos)
        continue;
      texts_.push_back(bytes);
      symbols_.push_back(static_cast<TokenId>(i));
      for (std::size_t at = 1; at < bytes.size(); ++at) {
        if (bytes[at] == ' ') joins_space_.set(static_cast<unsigned char>(bytes[at - 1]));
      }
    }
  }

  void collect_characters() {
    for (std::size_t i = 0; i < texts_.size(); ++i) {
      if (const auto only = only_character(texts_[i])) characters_.set(*only, symbols_[i]);
    }
    const std::size_t tokens = texts_.size();
    for (std::size_t i = 0; i < tokens; ++i) {
      for (std::size_t at = 0; at < texts_[i].size();) {
        const utf8::Decoded next = utf8::decode(texts_[i], at);
        if (characters_.find(next.code_point) == kNoToken) {
          const auto symbol = static_cast<TokenId>(source_.tokens.size() + beside_.size());
          characters_.set(next.code_point, symbol);
          beside_.push_back(next.code_point);
          lengths_.push_back(next.length);
          symbols_.push_back(symbol);
          texts_.push_back(texts_[i].substr(at, next.length));
        }
        at += next.length;
      }
    }
  }

  Status rules_of_scores() {
    if (source_.scores.empty())
      return source_.refuse(ErrorCode::kCorrupt, "its tokens have neither scores nor merges");
    const std::vector<std::uint32_t> rank = ranks(source_.scores);
    for (const PieceSplit& split : piece_splits(texts_)) {
      const TokenId merged = symbols_[split.whole];
      rules_.push_back({symbols_[split.left], symbols_[split.right], merged,
                        rank[static_cast<std::size_t>(merged)]});
    }
    return {};
  }

  // tokenizer.json lists what scores imply. Merges of tokens that stand in no run (user-defined
  // ones among them) never apply.
  Status rules_of_merges() {
    std::string joined;
    for (std::size_t i = 0; i < source_.merges.size(); ++i) {
      const auto [left, right] = source_.merges[i];
      joined.assign(left).append(right);
      const BytePair::Rule rule{source_.find(left), source_.find(right), source_.find(joined),
                                static_cast<std::uint32_t>(i)};
      if (rule.left == kNoToken || rule.right == kNoToken || rule.merged == kNoToken) {
        return source_.refuse(ErrorCode::kCorrupt,
                              "merge " + std::to_string(i) + " " +
                                  shown(std::string(left) + " " + std::string(right)) +
                                  ": one of its sides or its result is not a token");
      }
      const auto ordinary = [&](TokenId id) { return source_.type(id) == TokenType::kNormal; };
      if (ordinary(rule.left) && ordinary(rule.right) && ordinary(rule.merged))
        rules_.push_back(rule);
    }
    return {};
  }

  const TokenizerSource& source_;
  const std::vector<std::string>& bytes_;
  std::vector<BytePair::Rule> rules_;
  std::vector<std::string> texts_;  // of symbols_, side by side
  std::vector<TokenId> symbols_;
  CodePointMap characters_;
  std::vector<std::uint32_t> lengths_;
  std::vector<char32_t> beside_;
  std::bitset<256> joins_space_;
};

}  // namespace

Result<Family> make_sentencepiece_bpe(const TokenizerSource& source) {
  if (!source.typed) {
    return source.refuse(ErrorCode::kCorrupt,
                         "key 'tokenizer.ggml.token_type' is missing: which tokens are bytes and "
                         "which are control tokens is not known");
  }
  Family family;
  ESP_ASSIGN(family.bytes, sentencepiece_bytes(source));
  ESP_ASSIGN(family.encoder, SentencePieceMaker(source, family.bytes).make());
  family.add_bos = true;
  if (source.add_space_prefix.value_or(true)) {
    family.run_prefix = " ";
    RunEncoder::Work work;
    std::vector<TokenId> ids;
    if (!family.encoder->encode(family.run_prefix, 0, work, ids)) {
      return source.refuse(ErrorCode::kCorrupt,
                           "a space before each run is wanted, and the vocabulary cannot spell it");
    }
  }
  return family;
}

}  // namespace espalier::runtime
