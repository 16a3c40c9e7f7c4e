#include "runtime/tokenizer/text_tokenizer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "runtime/tokenizer/special_tokens.h"
#include "runtime/tokenizer/word_pattern.h"

namespace espalier::runtime {
namespace {

std::string hex(unsigned char byte) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  return {'0', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
}

// Text to ids. Apart from the tokenizer, because the vocabulary's canonical() needs it and the
// tokenizer owns that.
class TextEncoder {
 public:
  TextEncoder(std::unique_ptr<const RunEncoder> runs, std::string run_prefix,
              SpecialTokens user_defined, std::vector<TokenId> space_takers)
      : runs_(std::move(runs)),
        run_prefix_(std::move(run_prefix)),
        user_defined_(std::move(user_defined)),
        space_takers_(std::move(space_takers)) {
    std::sort(space_takers_.begin(), space_takers_.end());
  }

  bool takes_space_after(TokenId id) const {
    return std::binary_search(space_takers_.begin(), space_takers_.end(), id);
  }

  const std::string& run_prefix() const { return run_prefix_; }

  Result<std::vector<TokenId>> encode(std::string_view text, TextStart start) const {
    return encode(text, start, user_defined_);
  }

  // `found` are the tokens to recognise by their text.
  // Every run of a text that starts one begins anew after a token that was found; those of a
  // continuation have no space before them anywhere, so that they are read back as they were.
  Result<std::vector<TokenId>> encode(std::string_view text, TextStart start,
                                      const SpecialTokens& found) const {
    static constexpr std::size_t kMost = std::numeric_limits<std::uint32_t>::max() - 1;
    if (text.size() > kMost) {
      return fail(ErrorCode::kLimit, "a text of " + std::to_string(text.size()) +
                                         " bytes; at most " + std::to_string(kMost) +
                                         " are tokenised");
    }
    std::vector<TokenId> out;
    RunEncoder::Work work;
    std::size_t at = 0;
    while (const auto match = found.next(text, at)) {
      ESP_TRY(encode_run(text.substr(at, match->offset - at), at, start, work, out));
      out.push_back(match->id);
      at = match->offset + match->length;
      if (takes_space_after(match->id)) {
        at = end_of_run(text, at, [](const Scanned& it) { return it.kind == CharClass::kSpace; });
      }
    }
    ESP_TRY(encode_run(text.substr(at), at, start, work, out));
    return out;
  }

 private:
  Status encode_run(std::string_view run, std::size_t offset, TextStart start,
                    RunEncoder::Work& work, std::vector<TokenId>& out) const {
    if (run.empty()) return {};
    if (start == TextStart::kContinuation || run_prefix_.empty())
      return runs_->encode(run, offset, work, out);
    return runs_->encode(run_prefix_ + std::string(run), offset - run_prefix_.size(), work, out);
  }

  std::unique_ptr<const RunEncoder> runs_;
  std::string run_prefix_;
  SpecialTokens user_defined_;
  std::vector<TokenId> space_takers_;  // sorted
};

class TextTokenizer final : public Tokenizer {
 public:
  struct Parts {
    std::shared_ptr<const TextEncoder> encoder;
    grammar::VocabularyRef vocabulary;
    SpecialTokens by_text;  // control and user-defined tokens
    std::vector<std::pair<TokenId, std::string>>
        controls;  // sorted by id; the text of those without bytes
    TokenId bos = kNoToken;
    TokenId eos = kNoToken;
    bool add_bos = false;
    bool add_eos = false;
  };
  explicit TextTokenizer(Parts parts) : parts_(std::move(parts)) {}

  Result<std::vector<TokenId>> encode(std::string_view text, TextStart start) const override {
    return parts_.encoder->encode(text, start);
  }
  Result<std::vector<TokenId>> encode_special(std::string_view text) const override {
    return parts_.encoder->encode(text, TextStart::kRun, parts_.by_text);
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
  std::string_view run_prefix() const override { return parts_.encoder->run_prefix(); }
  const grammar::VocabularyRef& vocabulary() const override { return parts_.vocabulary; }
  std::size_t size() const override { return parts_.vocabulary->size(); }
  TokenId special(std::string_view text) const override { return parts_.by_text.find(text); }
  bool takes_space_after(TokenId id) const override {
    return parts_.encoder->takes_space_after(id);
  }
  TokenId bos() const override { return parts_.bos; }
  TokenId eos() const override { return parts_.eos; }
  bool add_bos() const override { return parts_.add_bos; }
  bool add_eos() const override { return parts_.add_eos; }

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

// The tokens that end a turn, the likeliest first. Files name their end-of-turn token seldom; then
// it is the one whose text every chat format of its kind uses.
std::vector<TokenId> end_tokens(const TokenizerSource& source, const SpecialTokens& by_text) {
  std::vector<TokenId> ends{source.end_of_turn};
  for (const char* known : {"<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>"}) {
    ends.push_back(by_text.find(known));
  }
  ends.push_back(source.eos);
  ends.push_back(source.end_of_message);
  for (const char* known : {"<|endoftext|>", "<|end_of_text|>", "<|eom_id|>"}) {
    ends.push_back(by_text.find(known));
  }
  std::vector<TokenId> out;
  for (const TokenId id : ends) {
    if (id != kNoToken && std::find(out.begin(), out.end(), id) == out.end()) out.push_back(id);
  }
  return out;
}

Status check_added(const TokenizerSource& source, bool added, TokenId id, const char* name) {
  if (!added || id != kNoToken) return {};
  return source.refuse(ErrorCode::kCorrupt, "key 'tokenizer.ggml.add_" + std::string(name) +
                                                "_token' is set, but 'tokenizer.ggml." + name +
                                                "_token_id' is missing");
}

}  // namespace

tl::unexpected<Error> cannot_spell(unsigned char byte, std::size_t offset) {
  return fail(ErrorCode::kInvalid, "byte " + hex(byte) + " at offset " + std::to_string(offset) +
                                       " cannot be spelled in the model's vocabulary");
}

Result<std::shared_ptr<const Tokenizer>> make_text_tokenizer(const TokenizerSource& source,
                                                             Family family) {
  ESP_CHECK(family.bytes.size() == source.tokens.size());
  std::vector<std::pair<std::string, TokenId>> user_defined;
  TextTokenizer::Parts parts;
  for (std::size_t i = 0; i < source.tokens.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const TokenType type = source.types[i];
    if (source.tokens[i].empty()) continue;
    if (type == TokenType::kUserDefined) user_defined.emplace_back(family.bytes[i], id);
    if (type == TokenType::kControl || type == TokenType::kUnknown)
      parts.controls.emplace_back(id, source.tokens[i]);
  }
  auto by_text = user_defined;
  for (const auto& [id, text] : parts.controls) by_text.emplace_back(text, id);
  parts.by_text = SpecialTokens(std::move(by_text));

  parts.bos = source.bos != kNoToken ? source.bos : family.bos;
  parts.eos = source.eos != kNoToken ? source.eos : family.eos;
  parts.add_bos = source.add_bos.value_or(family.add_bos && parts.bos != kNoToken);
  parts.add_eos = source.add_eos.value_or(family.add_eos && parts.eos != kNoToken);
  ESP_TRY(check_added(source, parts.add_bos, parts.bos, "bos"));
  ESP_TRY(check_added(source, parts.add_eos, parts.eos, "eos"));

  const auto encoder = std::make_shared<const TextEncoder>(
      std::move(family.encoder), std::move(family.run_prefix),
      SpecialTokens(std::move(user_defined)), source.space_takers);
  grammar::Vocabulary::Spec spec;
  spec.bytes = std::move(family.bytes);
  const std::vector<TokenId> ends = end_tokens(source, parts.by_text);
  if (!ends.empty()) {
    spec.end_of_turn = ends.front();
    spec.also_end.assign(ends.begin() + 1, ends.end());
  }
  // What a grammar forces goes on after what is there.
  spec.canonical = [encoder](std::string_view bytes) {
    return encoder->encode(bytes, TextStart::kContinuation);
  };
  auto vocabulary = grammar::Vocabulary::create(std::move(spec));
  if (!vocabulary) return fail(std::move(vocabulary).error().within(source.path));
  parts.vocabulary = std::move(*vocabulary);
  parts.encoder = encoder;
  return std::make_shared<const TextTokenizer>(std::move(parts));
}

}  // namespace espalier::runtime
