#include "runtime/tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <array>

#include "runtime/tokenizer/pre_patterns.h"
#include "runtime/tokenizer/word_pattern.h"

namespace espalier::runtime {
namespace {

using Pattern = PreTokenizer::Pattern;
using Contractions = WordPattern::Contractions;
using Words = WordPattern::Words;

template <const WordPattern& words>
std::size_t match_words(std::string_view text, std::size_t at) {
  return words.match(text, at);
}

constexpr WordPattern kGpt2Words{
    Contractions::kLower, Words::kAfterSpace, WordPattern::kAll, true, "", false};
constexpr WordPattern kLlama3Words{.digits = 3};
constexpr WordPattern kQwen2Words{};
constexpr WordPattern kQwen35Words{.words = Words::kWithMarks};
constexpr WordPattern kMiniCpm5Words{.digits = WordPattern::kAll};
constexpr WordPattern kSeedCoderWords{.after_others = ""};
constexpr WordPattern kUfakzekaWords{.contractions = Contractions::kNone};
constexpr WordPattern kTekkenWords{
    .contractions = Contractions::kNone, .words = Words::kCapitalised, .after_others = "\r\n/"};
constexpr WordPattern kGpt4oWords{.contractions = Contractions::kEnding,
                                  .words = Words::kCapitalised,
                                  .digits = 3,
                                  .after_others = "\r\n/"};

constexpr Pattern kGpt2[] = {match_words<kGpt2Words>};
constexpr Pattern kStarcoder[] = {match_digits<1>, match_words<kGpt2Words>};
constexpr Pattern kLlama3[] = {match_words<kLlama3Words>};
constexpr Pattern kQwen2[] = {match_words<kQwen2Words>};
constexpr Pattern kQwen35[] = {match_words<kQwen35Words>};
constexpr Pattern kMiniCpm5[] = {match_digits<3>, match_words<kMiniCpm5Words>};
constexpr Pattern kSeedCoder[] = {match_words<kSeedCoderWords>};
constexpr Pattern kUfakzeka[] = {match_words<kUfakzekaWords>};
constexpr Pattern kTekken[] = {match_words<kTekkenWords>};
constexpr Pattern kGpt4o[] = {match_words<kGpt4oWords>};
constexpr Pattern kLaguna[] = {match_line, match_words<kQwen2Words>};
constexpr Pattern kFalcon[] = {match_falcon_punctuation, match_words<kGpt2Words>,
                               match_three_ascii_digits};
constexpr Pattern kDefault[] = {match_default_punctuation, match_words<kGpt2Words>,
                                match_digits<WordPattern::kAll>, match_three_ascii_digits};
constexpr Pattern kDeepseekLlm[] = {match_newline,
                                    match_deepseek_letters,
                                    match_deepseek_punctuation,
                                    match_trailing_white_space,
                                    match_deepseek_cjk,
                                    match_digits<WordPattern::kAll>};
constexpr Pattern kDeepseekCoder[] = {match_newline, match_spaced_letters, match_spaced_punctuation,
                                      match_deepseek_cjk, match_digits<1>};
constexpr Pattern kDeepseek3[] = {match_digits<3>, match_han_and_kana, match_deepseek3_words};
constexpr Pattern kBloom[] = {match_bloom_words};
constexpr Pattern kViking[] = {match_bloom_words, match_digits<1>};

constexpr PreTokenizer kFamilies[] = {
    {"gpt-2", kGpt2},
    {"starcoder", kStarcoder},
    {"llama-bpe", kLlama3, /*whole_pieces=*/true, /*add_bos=*/true},
    {"dbrx", kLlama3},
    {"qwen2", kQwen2},
    {"qwen35", kQwen35},
    {"minicpm5", kMiniCpm5, /*whole_pieces=*/true},
    {"seed-coder", kSeedCoder},
    {"ufakzeka", kUfakzeka},
    {"tekken", kTekken, /*whole_pieces=*/true, /*add_bos=*/true},
    {"gpt-4o", kGpt4o},
    {"laguna", kLaguna},
    {"falcon", kFalcon},
    {"default", kDefault},
    {"deepseek-llm", kDeepseekLlm},
    {"deepseek-coder", kDeepseekCoder},
    {"deepseek-v3", kDeepseek3},
    {"bloom", kBloom},
    {"viking", kViking},
};

struct Alias {
  std::string_view name, family;
};
constexpr Alias kAliases[] = {
    {"phi-2", "gpt-2"},
    {"mpt", "gpt-2"},
    {"olmo", "gpt-2"},
    {"jais", "gpt-2"},
    {"jina-es", "gpt-2"},
    {"jina-de", "gpt-2"},
    {"jina-v1-en", "gpt-2"},
    {"jina-v2-es", "gpt-2"},
    {"jina-v2-de", "gpt-2"},
    {"jina-v2-code", "gpt-2"},
    {"roberta-bpe", "gpt-2"},
    {"gigachat", "gpt-2"},
    {"a.x-4.0", "gpt-2"},
    {"mellum", "gpt-2"},
    {"modern-bert", "gpt-2"},
    {"exaone4", "gpt-2"},
    {"trillion", "gpt-2"},
    {"granite-docling", "gpt-2"},
    {"smollm", "starcoder"},
    {"refact", "starcoder"},
    {"command-r", "starcoder"},
    {"codeshell", "starcoder"},
    {"exaone", "starcoder"},
    {"minerva-7b", "starcoder"},
    {"mellum2", "starcoder"},
    {"llama3", "llama-bpe"},
    {"llama-v3", "llama-bpe"},
    {"falcon3", "llama-bpe"},
    {"falcon-h1", "llama-bpe"},
    {"pixtral", "llama-bpe"},
    {"midm-2.0", "llama-bpe"},
    {"lfm2", "llama-bpe"},
    {"jina-v5-nano", "llama-bpe"},
    {"smaug-bpe", "dbrx"},
    {"glm4", "dbrx"},
    {"chatglm-bpe", "dbrx"},
    {"stablelm2", "qwen2"},
    {"deepseek-r1-qwen", "qwen2"},
    {"megrez", "qwen2"},
    {"hunyuan", "qwen2"},
    {"kormo", "qwen2"},
    {"f2llmv2", "qwen2"},
    {"solar-open", "qwen2"},
    {"grok-2", "qwen2"},
    {"bailingmoe", "qwen2"},
    {"bailingmoe2", "qwen2"},
    {"llada-moe", "qwen2"},
    {"llama4", "gpt-4o"},
    {"kanana2", "gpt-4o"},
    {"talkie", "gpt-4o"},
    {"minimax-m2", "gpt-4o"},
    {"hunyuan-dense", "deepseek-v3"},
    {"joyai-llm", "deepseek-v3"},
    {"hy_v4", "deepseek-v3"},
    {"poro-chat", "bloom"},
    {"gpt3-finnish", "bloom"},
};

// Cuts text[start, end) into matches and what lies between them.
void cut(Pattern pattern, std::string_view text, std::size_t start, std::size_t end,
         std::vector<std::size_t>& ends) {
  const std::string_view piece = text.substr(start, end - start);
  std::size_t done = 0;
  for (std::size_t at = 0; at < piece.size();) {
    const std::size_t length = pattern(piece, at);
    if (length == 0) {
      at += scan(piece, at).length;
      continue;
    }
    if (at > done) ends.push_back(start + at);
    at += length;
    done = at;
    ends.push_back(start + at);
  }
  if (done < piece.size()) ends.push_back(end);
}

}  // namespace

void PreTokenizer::split(std::string_view text, std::vector<std::size_t>& ends) const {
  if (text.empty()) return;
  if (stages_.size() == 1) return cut(stages_.front(), text, 0, text.size(), ends);
  std::vector<std::size_t> pieces{text.size()};
  std::vector<std::size_t> finer;
  for (const Pattern pattern : stages_) {
    finer.clear();
    std::size_t start = 0;
    for (const std::size_t end : pieces) {
      cut(pattern, text, start, end, finer);
      start = end;
    }
    pieces.swap(finer);
  }
  ends.insert(ends.end(), pieces.begin(), pieces.end());
}

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
  for (const Alias& alias : kAliases) {
    if (alias.name == name) name = alias.family;
  }
  for (const PreTokenizer& family : kFamilies) {
    if (family.family() == name) return &family;
  }
  return nullptr;
}

std::string pre_tokenizer_families() {
  std::string names;
  for (const PreTokenizer& family : kFamilies)
    names += (names.empty() ? "" : ", ") + std::string(family.family());
  return names;
}

std::vector<std::string_view> pre_tokenizer_names() {
  std::vector<std::string_view> names;
  for (const PreTokenizer& family : kFamilies) names.push_back(family.family());
  for (const Alias& alias : kAliases) names.push_back(alias.name);
  return names;
}

}  // namespace espalier::runtime
