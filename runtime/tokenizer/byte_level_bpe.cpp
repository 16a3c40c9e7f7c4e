#include "runtime/tokenizer/byte_level_bpe.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/byte_pair.h"
#include "runtime/tokenizer/pre_tokenizer.h"

namespace espalier::runtime {
namespace {

// The tokens by their bytes, for vocabularies whose whole pieces are looked up.
class WholePieces {
 public:
  WholePieces(const TokenizerSource& source, const std::vector<std::string>& bytes) {
    for (std::size_t id = 0; id < bytes.size(); ++id) {
      if (source.types[id] == TokenType::kNormal && !bytes[id].empty())
        tokens_.emplace_back(bytes[id], static_cast<TokenId>(id));
    }
    std::sort(tokens_.begin(), tokens_.end());
  }

  TokenId find(std::string_view piece) const {
    const auto found = std::lower_bound(
        tokens_.begin(), tokens_.end(), piece,
        [](const auto& token, std::string_view wanted) { return token.first < wanted; });
    return found != tokens_.end() && found->first == piece ? found->second : kNoToken;
  }

 private:
  std::vector<std::pair<std::string, TokenId>> tokens_;
};

class ByteLevelEncoder final : public RunEncoder {
 public:
  ByteLevelEncoder(const PreTokenizer& pre_tokenizer, BytePair pairs,
                   const std::array<TokenId, 256>& byte_ids, std::optional<WholePieces> whole)
      : pre_tokenizer_(pre_tokenizer),
        pairs_(std::move(pairs)),
        byte_ids_(byte_ids),
        whole_(std::move(whole)) {}

  Status encode(std::string_view run, std::size_t offset, Work& work,
                std::vector<TokenId>& out) const override {
    work.ends.clear();
    pre_tokenizer_.split(run, work.ends);
    std::size_t start = 0;
    for (const std::size_t end : work.ends) {
      if (whole_) {
        if (const TokenId id = whole_->find(run.substr(start, end - start)); id != kNoToken) {
          out.push_back(id);
          start = end;
          continue;
        }
      }
      work.piece.clear();
      for (; start < end; ++start) {
        const auto byte = static_cast<unsigned char>(run[start]);
        if (byte_ids_[byte] == kNoToken) return cannot_spell(byte, offset + start);
        work.piece.push_back(byte_ids_[byte]);
      }
      pairs_.merge(work.piece, work.scratch, out);
    }
    return {};
  }

 private:
  const PreTokenizer& pre_tokenizer_;
  BytePair pairs_;
  std::array<TokenId, 256> byte_ids_;
  std::optional<WholePieces> whole_;
};

Result<std::vector<std::string>> read_bytes(const TokenizerSource& source) {
  std::vector<std::string> out(source.tokens.size());
  for (std::size_t id = 0; id < out.size(); ++id) {
    const std::string_view text = source.tokens[id];
    switch (source.types[id]) {
      case TokenType::kNormal: {
        auto bytes = byte_level_decode(text);
        if (!bytes) {
          return source.refuse(ErrorCode::kCorrupt,
                               source.named(static_cast<TokenId>(id)) +
                                   " has a character outside the byte-level alphabet");
        }
        out[id] = std::move(*bytes);
        break;
      }
      case TokenType::kUserDefined:
        out[id] = text;
        break;
      case TokenType::kByte:
        return source.refuse(ErrorCode::kCorrupt,
                             source.named(static_cast<TokenId>(id)) +
                                 " is typed a byte, which a byte-level vocabulary does not have");
      case TokenType::kUnknown:
      case TokenType::kControl:
      case TokenType::kUnused:
        break;
    }
  }
  return out;
}

Result<BytePair> read_merges(const TokenizerSource& source) {
  const auto ordinary = [&](std::string_view text) {
    return source.find(text, TokenType::kNormal);
  };
  std::vector<BytePair::Rule> rules;
  rules.reserve(source.merges.size());
  std::string joined;
  for (std::size_t i = 0; i < source.merges.size(); ++i) {
    const auto [left, right] = source.merges[i];
    joined.assign(left).append(right);
    const BytePair::Rule rule{ordinary(left), ordinary(right), ordinary(joined),
                              static_cast<std::uint32_t>(i)};
    if (rule.left == kNoToken || rule.right == kNoToken || rule.merged == kNoToken) {
      return source.refuse(ErrorCode::kCorrupt,
                           "merge " + std::to_string(i) + " " +
                               shown(std::string(left) + " " + std::string(right)) +
                               ": one of its sides or its result is not an ordinary token");
    }
    rules.push_back(rule);
  }
  return BytePair(source.tokens.size(), rules);
}

}  // namespace

Result<Family> make_byte_level_bpe(const TokenizerSource& source) {
  if (source.pre.empty()) {
    return source.refuse(ErrorCode::kUnsupported,
                         "key 'tokenizer.ggml.pre' is missing: which pre-tokenizer the vocabulary "
                         "was trained with is not known");
  }
  const PreTokenizer* pre_tokenizer = find_pre_tokenizer(source.pre);
  if (pre_tokenizer == nullptr) {
    return source.refuse(ErrorCode::kUnsupported,
                         "key 'tokenizer.ggml.pre': pre-tokenizer " + shown(source.pre) +
                             " is not supported; supported, with others of the same rules: " +
                             pre_tokenizer_families());
  }
  Family family;
  ESP_ASSIGN(family.bytes, read_bytes(source));
  ESP_ASSIGN(BytePair pairs, read_merges(source));
  std::array<TokenId, 256> byte_ids{};
  for (std::size_t byte = 0; byte < byte_ids.size(); ++byte)
    byte_ids[byte] = source.find(byte_level_spellings()[byte], TokenType::kNormal);
  family.add_bos = pre_tokenizer->add_bos();
  std::optional<WholePieces> whole;
  if (source.whole_pieces.value_or(pre_tokenizer->whole_pieces()))
    whole.emplace(source, family.bytes);
  family.encoder = std::make_unique<ByteLevelEncoder>(*pre_tokenizer, std::move(pairs), byte_ids,
                                                      std::move(whole));
  return family;
}

}  // namespace espalier::runtime
