#include "runtime/tokenizer/byte_level_bpe.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/byte_pair.h"
#include "runtime/tokenizer/pre_tokenizer.h"
#include "runtime/tokenizer/special_tokens.h"

namespace espalier::runtime {
namespace {

// tokenizer.ggml.token_type's numbers.
enum class TokenType : std::int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5
};

std::string number(std::size_t value) { return std::to_string(value); }

std::string hex(unsigned char byte) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  return {'0', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
}

// Text to ids. Apart from the tokenizer, because the vocabulary's canonical() needs it and the
// tokenizer owns that.
class Encoder {
 public:
  Encoder(const PreTokenizer& pre_tokenizer, BytePair pairs,
          const std::array<TokenId, 256>& byte_ids, SpecialTokens user_defined)
      : pre_tokenizer_(pre_tokenizer),
        pairs_(std::move(pairs)),
        byte_ids_(byte_ids),
        user_defined_(std::move(user_defined)) {}

  Result<std::vector<TokenId>> encode(std::string_view text) const {
    return encode(text, user_defined_);
  }

  // `found` are the tokens to recognise by their text.
  Result<std::vector<TokenId>> encode(std::string_view text, const SpecialTokens& found) const {
    if (text.size() > std::numeric_limits<std::uint32_t>::max()) {
      return fail(ErrorCode::kLimit,
                  "a text of " + number(text.size()) + " bytes; at most 4294967295 are tokenised");
    }
    std::vector<TokenId> out;
    Work work;
    std::size_t at = 0;
    while (const auto match = found.next(text, at)) {
      ESP_TRY(encode_run(text.substr(at, match->offset - at), at, work, out));
      out.push_back(match->id);
      at = match->offset + match->length;
    }
    ESP_TRY(encode_run(text.substr(at), at, work, out));
    return out;
  }

 private:
  struct Work {
    BytePair::Scratch scratch;
    std::vector<std::size_t> ends;
    std::vector<TokenId> piece;
  };

  Status encode_run(std::string_view run, std::size_t base, Work& work,
                    std::vector<TokenId>& out) const {
    work.ends.clear();
    pre_tokenizer_.split(run, 0, work.ends);
    std::size_t start = 0;
    for (const std::size_t end : work.ends) {
      work.piece.clear();
      for (std::size_t i = start; i < end; ++i) {
        const auto byte = static_cast<unsigned char>(run[i]);
        if (byte_ids_[byte] == kNoToken) {
          return fail(ErrorCode::kInvalid, "byte " + hex(byte) + " at offset " + number(base + i) +
                                               " cannot be spelled in the model's vocabulary");
        }
        work.piece.push_back(byte_ids_[byte]);
      }
      pairs_.merge(work.piece, work.scratch, out);
      start = end;
    }
    return {};
  }

  const PreTokenizer& pre_tokenizer_;
  BytePair pairs_;
  std::array<TokenId, 256> byte_ids_;
  SpecialTokens user_defined_;
};

class ByteLevelBpe final : public Tokenizer {
 public:
  struct Parts {
    std::shared_ptr<const Encoder> encoder;
    grammar::VocabularyRef vocabulary;
    SpecialTokens by_text;  // control and user-defined tokens
    std::vector<std::pair<TokenId, std::string>>
        controls;  // sorted by id; the text of those without bytes
    TokenId bos = kNoToken;
    TokenId eos = kNoToken;
    bool add_bos = false;
  };
  explicit ByteLevelBpe(Parts parts) : parts_(std::move(parts)) {}

  Result<std::vector<TokenId>> encode(std::string_view text) const override {
    return parts_.encoder->encode(text);
  }
  Result<std::vector<TokenId>> encode_special(std::string_view text) const override {
    return parts_.encoder->encode(text, parts_.by_text);
  }
  std::string decode(std::span<const TokenId> ids, bool special) const override {
    std::string out;
    for (const TokenId id : ids) {
      if (id < 0 || static_cast<std::size_t>(id) >= size()) continue;
      out += parts_.vocabulary->bytes(id);
      if (special) out += control_text(id);
    }
    return out;
  }
  const grammar::VocabularyRef& vocabulary() const override { return parts_.vocabulary; }
  std::size_t size() const override { return parts_.vocabulary->size(); }
  TokenId special(std::string_view text) const override { return parts_.by_text.find(text); }
  TokenId bos() const override { return parts_.bos; }
  TokenId eos() const override { return parts_.eos; }
  bool add_bos() const override { return parts_.add_bos; }

 private:
  std::string_view control_text(TokenId id) const {
    const auto found = std::lower_bound(
        parts_.controls.begin(), parts_.controls.end(), id,
        [](const auto& control, TokenId wanted) { return control.first < wanted; });
    if (found == parts_.controls.end() || found->first != id) return {};
    return found->second;
  }

  Parts parts_;
};

// Reads one file's tokens, merges and special ids into the parts.
class Loader {
 public:
  explicit Loader(const Gguf& file) : file_(file) {}

  Result<std::shared_ptr<const Tokenizer>> load() {
    ESP_ASSIGN(const auto pre, file_.string("tokenizer.ggml.pre"));
    const PreTokenizer* pre_tokenizer = find_pre_tokenizer(pre);
    if (pre_tokenizer == nullptr) {
      return file_.refuse(ErrorCode::kUnsupported,
                          "key 'tokenizer.ggml.pre': pre-tokenizer " + shown(pre) +
                              " is not supported; supported: " + pre_tokenizer_names());
    }
    ESP_ASSIGN(tokens_, file_.strings("tokenizer.ggml.tokens"));
    if (tokens_.empty())
      return file_.refuse(ErrorCode::kCorrupt, "key 'tokenizer.ggml.tokens' has no token");
    ESP_TRY(sort_tokens());
    ESP_TRY(read_types());
    ESP_ASSIGN(BytePair pairs, read_merges());

    std::array<TokenId, 256> byte_ids{};
    for (std::size_t byte = 0; byte < byte_ids.size(); ++byte) {
      byte_ids[byte] = find_ordinary(byte_level_spellings()[byte]);
    }
    auto encoder = std::make_shared<const Encoder>(*pre_tokenizer, std::move(pairs), byte_ids,
                                                   SpecialTokens(user_defined_));
    ByteLevelBpe::Parts parts;
    auto by_text = user_defined_;
    for (const auto& [id, text] : controls_) by_text.emplace_back(text, id);
    parts.by_text = SpecialTokens(std::move(by_text));
    parts.controls = std::move(controls_);
    ESP_TRY(read_special_ids(parts));
    spec_.canonical = [encoder](std::string_view bytes) { return encoder->encode(bytes); };
    auto vocabulary = grammar::Vocabulary::create(std::move(spec_));
    if (!vocabulary) return fail(std::move(vocabulary).error().within(file_.path()));
    parts.vocabulary = std::move(*vocabulary);
    parts.encoder = std::move(encoder);
    return std::make_shared<const ByteLevelBpe>(std::move(parts));
  }

 private:
  std::string token(std::size_t id) const {
    return "token " + number(id) + " " + shown(tokens_[id]);
  }

  // Sorted rather than hashed: no choice of texts makes loading slow. Some files fill gaps with
  // empty tokens.
  Status sort_tokens() {
    for (std::size_t id = 0; id < tokens_.size(); ++id) {
      if (tokens_[id].size() > kMaxTokenBytes) {
        return file_.refuse(ErrorCode::kLimit, token(id) + " has " + number(tokens_[id].size()) +
                                                   " bytes; at most " + number(kMaxTokenBytes));
      }
      if (!tokens_[id].empty()) sorted_.push_back(static_cast<TokenId>(id));
    }
    std::sort(sorted_.begin(), sorted_.end(),
              [&](TokenId a, TokenId b) { return text(a) < text(b); });
    const auto same = std::adjacent_find(sorted_.begin(), sorted_.end(),
                                         [&](TokenId a, TokenId b) { return text(a) == text(b); });
    if (same != sorted_.end()) {
      const auto [first, second] = std::minmax(same[0], same[1]);
      return file_.refuse(ErrorCode::kCorrupt,
                          token(static_cast<std::size_t>(first)) + " and token " +
                              number(static_cast<std::size_t>(second)) + " have the same text");
    }
    return {};
  }
  std::string_view text(TokenId id) const { return tokens_[static_cast<std::size_t>(id)]; }

  // The token with this text that merging may produce, or kNoToken.
  TokenId find_ordinary(std::string_view wanted) const {
    const auto found =
        std::lower_bound(sorted_.begin(), sorted_.end(), wanted,
                         [&](TokenId id, std::string_view it) { return text(id) < it; });
    if (found == sorted_.end() || text(*found) != wanted) return kNoToken;
    return types_[static_cast<std::size_t>(*found)] == TokenType::kNormal ? *found : kNoToken;
  }

  Status read_types() {
    types_.assign(tokens_.size(), TokenType::kNormal);
    if (file_.has("tokenizer.ggml.token_type")) {
      ESP_ASSIGN(const auto types, file_.integers("tokenizer.ggml.token_type"));
      if (types.size() != tokens_.size()) {
        return file_.refuse(ErrorCode::kCorrupt, "key 'tokenizer.ggml.token_type' has " +
                                                     number(types.size()) + " elements for " +
                                                     number(tokens_.size()) + " tokens");
      }
      for (std::size_t id = 0; id < types.size(); ++id) {
        if (types[id] < 1 || types[id] > 5) {
          return file_.refuse(ErrorCode::kCorrupt,
                              token(id) + " has type " + std::to_string(types[id]) +
                                  ", which a byte-level vocabulary does not have");
        }
        types_[id] = static_cast<TokenType>(types[id]);
      }
    }
    spec_.bytes.resize(tokens_.size());
    for (std::size_t id = 0; id < tokens_.size(); ++id) {
      if (tokens_[id].empty()) continue;
      const auto as_token = static_cast<TokenId>(id);
      switch (types_[id]) {
        case TokenType::kNormal: {
          auto bytes = byte_level_decode(tokens_[id]);
          if (!bytes) {
            return file_.refuse(ErrorCode::kCorrupt,
                                token(id) + " has a character outside the byte-level alphabet");
          }
          spec_.bytes[id] = std::move(*bytes);
          break;
        }
        case TokenType::kUserDefined:
          spec_.bytes[id] = tokens_[id];
          user_defined_.emplace_back(tokens_[id], as_token);
          break;
        case TokenType::kUnknown:
        case TokenType::kControl:
          controls_.emplace_back(as_token, tokens_[id]);
          break;
        case TokenType::kUnused:
          break;
      }
    }
    return {};
  }

  Result<BytePair> read_merges() {
    ESP_ASSIGN(const auto lines, file_.strings("tokenizer.ggml.merges"));
    std::vector<BytePair::Rule> rules;
    rules.reserve(lines.size());
    std::string joined;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      // A side is never empty, so the space that parts them is not the first character.
      const std::size_t space = lines[i].find(' ', 1);
      if (lines[i].size() > 2 * kMaxTokenBytes || space == std::string_view::npos ||
          space + 1 == lines[i].size()) {
        return file_.refuse(ErrorCode::kCorrupt, "merge " + number(i) + " " + shown(lines[i]) +
                                                     " is not two tokens with a space between");
      }
      const auto left = lines[i].substr(0, space);
      const auto right = lines[i].substr(space + 1);
      joined.assign(left).append(right);
      const BytePair::Rule rule{find_ordinary(left), find_ordinary(right), find_ordinary(joined)};
      if (rule.left == kNoToken || rule.right == kNoToken || rule.merged == kNoToken) {
        return file_.refuse(ErrorCode::kCorrupt,
                            "merge " + number(i) + " " + shown(lines[i]) +
                                ": one of its sides or its result is not an ordinary token");
      }
      rules.push_back(rule);
    }
    return BytePair(tokens_.size(), rules);
  }

  Result<TokenId> special_id(const char* key) const {
    if (!file_.has(key)) return kNoToken;
    ESP_ASSIGN(const auto id, file_.integer(key, 0, tokens_.size() - 1));
    return static_cast<TokenId>(id);
  }

  Status read_special_ids(ByteLevelBpe::Parts& parts) {
    ESP_ASSIGN(parts.bos, special_id("tokenizer.ggml.bos_token_id"));
    ESP_ASSIGN(parts.eos, special_id("tokenizer.ggml.eos_token_id"));
    ESP_ASSIGN(const auto end_of_turn, special_id("tokenizer.ggml.eot_token_id"));
    ESP_ASSIGN(const auto end_of_message, special_id("tokenizer.ggml.eom_token_id"));
    ESP_ASSIGN(parts.add_bos, file_.boolean_or("tokenizer.ggml.add_bos_token", false));
    if (parts.add_bos && parts.bos == kNoToken) {
      return file_.refuse(ErrorCode::kCorrupt,
                          "key 'tokenizer.ggml.add_bos_token' is set, but "
                          "'tokenizer.ggml.bos_token_id' is missing");
    }
    // Files name their end-of-turn token seldom; then it is the one whose text every chat format of
    // its kind uses.
    std::vector<TokenId> ends{end_of_turn};
    for (const char* known : {"<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>"}) {
      ends.push_back(parts.by_text.find(known));
    }
    ends.push_back(parts.eos);
    ends.push_back(end_of_message);
    ends.push_back(parts.by_text.find("<|endoftext|>"));
    for (const TokenId id : ends) {
      if (id == kNoToken || id == spec_.end_of_turn) continue;
      if (spec_.end_of_turn == kNoToken) {
        spec_.end_of_turn = id;
      } else if (std::find(spec_.also_end.begin(), spec_.also_end.end(), id) ==
                 spec_.also_end.end()) {
        spec_.also_end.push_back(id);
      }
    }
    return {};
  }

  const Gguf& file_;
  std::vector<std::string_view> tokens_;
  std::vector<TokenId> sorted_;  // by text, without the empty ones
  std::vector<TokenType> types_;
  std::vector<std::pair<std::string, TokenId>> user_defined_;
  std::vector<std::pair<TokenId, std::string>> controls_;
  grammar::Vocabulary::Spec spec_;
};

}  // namespace

Result<std::shared_ptr<const Tokenizer>> load_byte_level_bpe(const Gguf& file) {
  return Loader(file).load();
}

}  // namespace espalier::runtime
