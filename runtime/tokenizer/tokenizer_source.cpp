#include "runtime/tokenizer/tokenizer_source.h"

#include <algorithm>
#include <cmath>

namespace espalier::runtime {
namespace {

constexpr const char* kTokens = "tokenizer.ggml.tokens";

std::string number(std::size_t value) { return std::to_string(value); }

// Reads the keys of one file into a source.
class GgufTokenizerReader {
 public:
  explicit GgufTokenizerReader(const Gguf& file) : file_(file) {}

  Result<TokenizerSource> read() {
    out_.path = file_.path();
    ESP_ASSIGN(out_.model, file_.string("tokenizer.ggml.model"));
    if (file_.has("tokenizer.ggml.pre")) {
      ESP_ASSIGN(out_.pre, file_.string("tokenizer.ggml.pre"));
    }
    ESP_TRY(read_tokens());
    ESP_TRY(read_types());
    ESP_TRY(read_scores());
    ESP_TRY(read_merges());
    ESP_TRY(read_special_ids());
    ESP_TRY(read_switches());
    find_space_takers();
    return std::move(out_);
  }

 private:
  Status read_tokens() {
    ESP_ASSIGN(out_.tokens, file_.strings(kTokens));
    if (out_.tokens.empty())
      return file_.refuse(ErrorCode::kCorrupt, "key '" + std::string(kTokens) + "' has no token");
    return out_.index();
  }

  Status check_size(const char* key, std::size_t size) const {
    if (size == out_.tokens.size()) return {};
    return file_.refuse(ErrorCode::kCorrupt, "key '" + std::string(key) + "' has " + number(size) +
                                                 " elements for " + number(out_.tokens.size()) +
                                                 " tokens");
  }

  Status read_types() {
    static constexpr const char* kKey = "tokenizer.ggml.token_type";
    out_.types.assign(out_.tokens.size(), TokenType::kNormal);
    out_.typed = file_.has(kKey);
    if (!out_.typed) return {};
    ESP_ASSIGN(const auto types, file_.integers(kKey));
    ESP_TRY(check_size(kKey, types.size()));
    for (std::size_t id = 0; id < types.size(); ++id) {
      if (types[id] < 1 || types[id] > 6) {
        return file_.refuse(ErrorCode::kCorrupt, out_.named(static_cast<TokenId>(id)) +
                                                     " has type " + std::to_string(types[id]) +
                                                     "; there are types 1 to 6");
      }
      out_.types[id] = static_cast<TokenType>(types[id]);
    }
    return {};
  }

  Status read_scores() {
    static constexpr const char* kKey = "tokenizer.ggml.scores";
    if (out_.model != "llama" && out_.model != "t5") return {};
    ESP_ASSIGN(out_.scores, file_.numbers(kKey));
    ESP_TRY(check_size(kKey, out_.scores.size()));
    const auto wrong = std::find_if(out_.scores.begin(), out_.scores.end(),
                                    [](float score) { return !std::isfinite(score); });
    if (wrong != out_.scores.end()) {
      return file_.refuse(ErrorCode::kCorrupt,
                          out_.named(static_cast<TokenId>(wrong - out_.scores.begin())) +
                              " has a score that is no finite number");
    }
    return {};
  }

  Status read_merges() {
    static constexpr const char* kKey = "tokenizer.ggml.merges";
    if (!file_.has(kKey)) return {};
    ESP_ASSIGN(const auto lines, file_.strings(kKey));
    out_.merges.reserve(lines.size());
    for (const std::string_view line : lines) ESP_TRY(out_.add_merge(line));
    return {};
  }

  Status read_special_ids() {
    const std::pair<const char*, TokenId*> ids[] = {
        {"tokenizer.ggml.bos_token_id", &out_.bos},
        {"tokenizer.ggml.eos_token_id", &out_.eos},
        {"tokenizer.ggml.unknown_token_id", &out_.unknown},
        {"tokenizer.ggml.seperator_token_id", &out_.separator},  // the format's own spelling
        {"tokenizer.ggml.eot_token_id", &out_.end_of_turn},
        {"tokenizer.ggml.eom_token_id", &out_.end_of_message},
    };
    for (const auto& [key, id] : ids) {
      if (!file_.has(key)) continue;
      ESP_ASSIGN(const auto value, file_.integer(key, 0, out_.tokens.size() - 1));
      *id = static_cast<TokenId>(value);
    }
    return {};
  }

  Status read_switches() {
    const std::pair<const char*, std::optional<bool>*> switches[] = {
        {"tokenizer.ggml.add_bos_token", &out_.add_bos},
        {"tokenizer.ggml.add_eos_token", &out_.add_eos},
        {"tokenizer.ggml.add_sep_token", &out_.add_separator},
        {"tokenizer.ggml.add_space_prefix", &out_.add_space_prefix},
        {"tokenizer.ggml.remove_extra_whitespaces", &out_.remove_extra_whitespaces},
    };
    for (const auto& [key, value] : switches) {
      if (!file_.has(key)) continue;
      ESP_ASSIGN(*value, file_.boolean(key));
    }
    return {};
  }

  // The format has no key for it. Phi-3's tokenizer.json says it of all special tokens but three;
  // its successors have a byte-level vocabulary, and no such tokens.
  void find_space_takers() {
    if (out_.model != "llama" || file_.string("general.architecture").value_or("") != "phi3")
      return;
    for (std::size_t i = 0; i < out_.tokens.size(); ++i) {
      const std::string_view text = out_.tokens[i];
      if (out_.types[i] == TokenType::kControl && text != "<unk>" && text != "<s>" &&
          text != "<|endoftext|>")
        out_.space_takers.push_back(static_cast<TokenId>(i));
    }
  }

  const Gguf& file_;
  TokenizerSource out_;
};

}  // namespace

Result<TokenizerSource> TokenizerSource::read(const Gguf& file) {
  return GgufTokenizerReader(file).read();
}

Status TokenizerSource::index() {
  by_text.clear();
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (tokens[i].size() > kMaxTokenBytes) {
      return refuse(ErrorCode::kLimit, named(id) + " has " + number(tokens[i].size()) +
                                           " bytes; at most " + number(kMaxTokenBytes));
    }
    if (!tokens[i].empty()) by_text.push_back(id);
  }
  std::sort(by_text.begin(), by_text.end(),
            [&](TokenId a, TokenId b) { return text(a) != text(b) ? text(a) < text(b) : a < b; });
  const auto same = std::adjacent_find(by_text.begin(), by_text.end(),
                                       [&](TokenId a, TokenId b) { return text(a) == text(b); });
  if (same == by_text.end()) return {};
  return refuse(ErrorCode::kCorrupt,
                named(same[0]) + " and token " + std::to_string(same[1]) + " have the same text");
}

Status TokenizerSource::add_merge(std::string_view left, std::string_view right) {
  if (left.empty() || right.empty() || left.size() + right.size() > kMaxTokenBytes) {
    return refuse(ErrorCode::kCorrupt, "merge " + number(merges.size()) + " " +
                                           shown(std::string(left.substr(0, kMaxTokenBytes)) + " " +
                                                 std::string(right.substr(0, kMaxTokenBytes))) +
                                           " is not two tokens with a space between");
  }
  merges.emplace_back(left, right);
  return {};
}

Status TokenizerSource::add_merge(std::string_view line) {
  // A side is never empty, so the space that parts them is not the first character.
  const std::size_t space = line.find(' ', 1);
  const bool parted = space != std::string_view::npos;
  return add_merge(line.substr(0, space), parted ? line.substr(space + 1) : std::string_view());
}

TokenId TokenizerSource::find(std::string_view wanted) const {
  const auto found =
      std::lower_bound(by_text.begin(), by_text.end(), wanted,
                       [&](TokenId id, std::string_view it) { return text(id) < it; });
  return found != by_text.end() && text(*found) == wanted ? *found : kNoToken;
}

TokenId TokenizerSource::find(std::string_view wanted, TokenType wanted_type) const {
  const TokenId found = find(wanted);
  return found != kNoToken && type(found) == wanted_type ? found : kNoToken;
}

std::string TokenizerSource::named(TokenId id) const {
  return "token " + std::to_string(id) + " " + shown(text(id));
}

tl::unexpected<Error> TokenizerSource::refuse(ErrorCode code, const std::string& message) const {
  return fail(code, path + ": " + message);
}

}  // namespace espalier::runtime
