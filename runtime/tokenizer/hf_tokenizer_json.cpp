#include "runtime/tokenizer/hf_tokenizer_json.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "grammar/json_text.h"
#include "runtime/model/gguf.h"
#include "runtime/tokenizer/byte_level_bpe.h"
#include "runtime/tokenizer/sentencepiece_bpe.h"
#include "runtime/tokenizer/text_tokenizer.h"
#include "runtime/tokenizer/tokenizer_source.h"

namespace espalier::runtime {
namespace {

using Value = nlohmann::json;

constexpr std::int64_t kMaxTokens = 1 << 22;
// Ids may leave holes, but what is made of a file stays in proportion to it.
constexpr std::size_t kHoles = 64;

// What stands in `object` under `key`; null where it has none.
const Value& member(const Value& object, const char* key) {
  static const Value kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

std::string_view text_of(const Value& value) {
  return value.is_string() ? std::string_view(value.get_ref<const std::string&>())
                           : std::string_view();
}

bool is_true(const Value& value) { return value.is_boolean() && value.get<bool>(); }

// The parts of a "Sequence", or the one that is there alone; none for null.
std::vector<const Value*> steps(const Value& value, const char* parts) {
  if (value.is_null()) return {};
  if (text_of(member(value, "type")) != "Sequence") return {&value};
  std::vector<const Value*> out;
  if (const Value& list = member(value, parts); list.is_array()) {
    for (const Value& part : list) out.push_back(&part);
  }
  return out;
}

// The splits of known pre-tokenizers, in order: a regular expression, or the type of a step that
// has none.
struct Splits {
  const char* pre;
  std::vector<std::string_view> steps;
};
const std::vector<Splits>& known_splits() {
  static constexpr std::string_view kWords =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  static constexpr std::string_view kWordsOneDigit =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  static constexpr std::string_view kWordsWithMarks =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  static constexpr std::string_view kTekken =
      R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  static constexpr std::string_view kGpt4o =
      R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  static constexpr std::string_view kDeepseek3 =
      R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  static const std::vector<Splits> splits = {
      {"gpt-2", {"ByteLevel"}},
      {"starcoder", {"Digits", "ByteLevel"}},
      {"dbrx", {kWords}},
      {"qwen2", {kWordsOneDigit}},
      {"qwen35", {kWordsWithMarks}},
      {"tekken", {kTekken}},
      {"gpt-4o", {kGpt4o}},
      {"deepseek-v3", {R"(\p{N}{1,3})", "[一-龥぀-ゟ゠-ヿ]+", kDeepseek3}},
      {"deepseek-coder",
       {"[\r\n]", R"(\s?\p{L}+)", R"(\s?\p{P}+)", "[一-龥ࠀ-一가-퟿]+", "Digits"}},
  };
  return splits;
}

// Makes a source of one file's document, which must outlive it.
class TokenizerJsonReader {
 public:
  TokenizerJsonReader(const Value& document, const std::string& path) : document_(document) {
    out_.path = path;
  }

  Result<TokenizerSource> read() {
    const Value& model = member(document_, "model");
    const std::string_view type = text_of(member(model, "type"));
    if (type != "BPE" && !(type.empty() && member(model, "merges").is_array()))
      return unsupported("model", type);
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (const std::string_view affix = text_of(member(model, key)); !affix.empty())
        return unsupported("a model with '" + std::string(key) + "'", affix);
    }
    ESP_TRY(read_tokens(model));
    ESP_TRY(read_added_tokens());
    ESP_TRY(out_.index());
    ESP_TRY(read_steps(is_true(member(model, "byte_fallback"))));
    ESP_TRY(read_types(model));
    ESP_TRY(read_merges(model));
    read_post_processor();
    out_.whole_pieces = is_true(member(model, "ignore_merges"));
    return std::move(out_);
  }

 private:
  tl::unexpected<Error> unsupported(const std::string& what, std::string_view found) const {
    return out_.refuse(ErrorCode::kUnsupported, what + " " + shown(found) + " is not supported");
  }

  Status place(const Value& id, std::string_view text) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 ||
        id.get<std::int64_t>() >= id_limit_) {
      return out_.refuse(ErrorCode::kCorrupt, "the id of token " + shown(text) +
                                                  " is no integer from 0 to " +
                                                  std::to_string(id_limit_ - 1));
    }
    const auto index = id.get<std::size_t>();
    if (index >= out_.tokens.size()) out_.tokens.resize(index + 1);
    if (!out_.tokens[index].empty() && out_.tokens[index] != text) {
      return out_.refuse(ErrorCode::kCorrupt, out_.named(static_cast<TokenId>(index)) + " and " +
                                                  shown(text) + " have the same id");
    }
    out_.tokens[index] = text;
    return {};
  }

  Status read_tokens(const Value& model) {
    const Value& vocabulary = member(model, "vocab");
    if (!vocabulary.is_object() || vocabulary.empty())
      return out_.refuse(ErrorCode::kCorrupt, "'model.vocab' has no token");
    const Value& added = member(document_, "added_tokens");
    const std::size_t tokens = vocabulary.size() + (added.is_array() ? added.size() : 0);
    id_limit_ = std::min(kMaxTokens, static_cast<std::int64_t>(kHoles * tokens + kHoles));
    for (auto it = vocabulary.begin(); it != vocabulary.end(); ++it)
      ESP_TRY(place(it.value(), it.key()));
    return {};
  }

  Status read_added_tokens() {
    const Value& added = member(document_, "added_tokens");
    if (!added.is_array()) return {};
    for (const Value& token : added) {
      const std::string_view text = text_of(member(token, "content"));
      if (text.empty())
        return out_.refuse(ErrorCode::kCorrupt, "an added token has no text as its 'content'");
      ESP_TRY(place(member(token, "id"), text));
    }
    return {};
  }

  // Called once texts are indexed.
  Status read_types(const Value& model) {
    out_.types.assign(out_.tokens.size(), TokenType::kNormal);
    out_.typed = true;
    if (out_.model == "llama") {
      for (std::size_t id = 0; id < out_.tokens.size(); ++id) {
        const std::string_view text = out_.tokens[id];
        if (text.size() == 6 && text.starts_with("<0x") && text.ends_with('>'))
          out_.types[id] = TokenType::kByte;
      }
    }
    if (const Value& added = member(document_, "added_tokens"); added.is_array()) {
      for (const Value& token : added) {
        const auto id = member(token, "id").get<TokenId>();
        const bool special = is_true(member(token, "special"));
        out_.types[static_cast<std::size_t>(id)] =
            special ? TokenType::kControl : TokenType::kUserDefined;
        if (special && is_true(member(token, "rstrip"))) out_.space_takers.push_back(id);
      }
    }
    out_.unknown = out_.find(text_of(member(model, "unk_token")));
    if (out_.unknown != kNoToken)
      out_.types[static_cast<std::size_t>(out_.unknown)] = TokenType::kUnknown;
    return {};
  }

  Status read_merges(const Value& model) {
    const Value& merges = member(model, "merges");
    if (!merges.is_array()) return out_.refuse(ErrorCode::kCorrupt, "'model.merges' is no list");
    for (std::size_t i = 0; i < merges.size(); ++i) {
      const Value& merge = merges[i];
      if (merge.is_array() && merge.size() == 2) {
        ESP_TRY(out_.add_merge(text_of(merge[0]), text_of(merge[1])));
      } else {
        ESP_TRY(out_.add_merge(text_of(merge)));
      }
    }
    return {};
  }

  Status read_steps(bool byte_fallback) {
    std::vector<std::string_view> splits;
    bool byte_level = false;
    for (const Value* step : steps(member(document_, "pre_tokenizer"), "pretokenizers")) {
      const std::string_view type = text_of(member(*step, "type"));
      if (type == "ByteLevel") {
        byte_level = true;
        if (is_true(member(*step, "add_prefix_space")))
          return unsupported("pre-tokenizer with", "add_prefix_space");
        const Value& use_regex = member(*step, "use_regex");
        if (use_regex.is_null() || is_true(use_regex)) splits.push_back(type);
      } else if (type == "Split") {
        const Value& pattern = member(*step, "pattern");
        // Gemma splits at spaces that its normalizer has taken away before.
        if (text_of(member(pattern, "String")) == " ") continue;
        splits.push_back(text_of(member(pattern, "Regex")));
      } else if (type == "Digits" && is_true(member(*step, "individual_digits"))) {
        splits.push_back(type);
      } else {
        return unsupported("pre-tokenizer", type);
      }
    }
    if (byte_level) return set_byte_level(splits);
    if (!byte_fallback || !splits.empty())
      return unsupported("a model without", "ByteLevel or byte_fallback");
    return set_sentencepiece();
  }

  Status set_byte_level(const std::vector<std::string_view>& splits) {
    out_.model = "gpt2";
    for (const Value* step : steps(member(document_, "normalizer"), "normalizers")) {
      if (const auto type = text_of(member(*step, "type")); type != "NFC")
        return unsupported("normalizer", type);
    }
    const auto known = std::find_if(known_splits().begin(), known_splits().end(),
                                    [&](const Splits& it) { return it.steps == splits; });
    if (known == known_splits().end())
      return unsupported("pre-tokenizer expression", splits.empty() ? "" : splits.back());
    out_.pre = known->pre;
    return {};
  }

  // Spaces become U+2581, with one before the text where it is prepended.
  Status set_sentencepiece() {
    out_.model = "llama";
    out_.add_space_prefix = false;
    for (const Value* step : steps(member(document_, "normalizer"), "normalizers")) {
      const std::string_view type = text_of(member(*step, "type"));
      if (type == "Prepend" && text_of(member(*step, "prepend")) == "\u2581") {
        out_.add_space_prefix = true;
      } else if (type != "Replace" || text_of(member(member(*step, "pattern"), "String")) != " " ||
                 text_of(member(*step, "content")) != "\u2581") {
        return unsupported("normalizer", type);
      }
    }
    return {};
  }

  // What stands before and after the text in the template of one.
  void read_post_processor() {
    for (const Value* step : steps(member(document_, "post_processor"), "processors")) {
      const Value& single = member(*step, "single");
      if (!single.is_array()) continue;
      bool after = false;
      for (const Value& part : single) {
        if (member(part, "Sequence").is_object()) after = true;
        const TokenId id = out_.find(text_of(member(member(part, "SpecialToken"), "id")));
        if (id == kNoToken) continue;
        (after ? out_.eos : out_.bos) = id;
        (after ? out_.add_eos : out_.add_bos) = true;
      }
    }
    if (!out_.add_bos) out_.add_bos = false;
  }

  const Value& document_;
  std::int64_t id_limit_ = 0;
  TokenizerSource out_;
};

}  // namespace

Result<std::shared_ptr<const Tokenizer>> load_hf_tokenizer_json(std::string_view json,
                                                                const std::string& path) {
  if (json.size() > kMaxTokenizerJsonBytes) {
    return fail(ErrorCode::kLimit, path + ": has " + std::to_string(json.size()) +
                                       " bytes; at most " + std::to_string(kMaxTokenizerJsonBytes));
  }
  const auto document = read_json_by_key(json);
  if (!document) return fail(Error(document.error()).within(path));
  ESP_ASSIGN(const TokenizerSource source, TokenizerJsonReader(*document, path).read());
  ESP_ASSIGN(Family family,
             source.model == "gpt2" ? make_byte_level_bpe(source) : make_sentencepiece_bpe(source));
  return make_text_tokenizer(source, std::move(family));
}

}  // namespace espalier::runtime
