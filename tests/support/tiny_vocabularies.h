// Small vocabularies of the families that TinyLlama's byte-level one is not of, as files in memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/gguf_writer.h"

namespace espalier::testing {

/// "<0x00>" to "<0xFF>".
inline std::vector<std::string> byte_token_spellings() {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::vector<std::string> out;
  for (unsigned byte = 0; byte < 256; ++byte)
    out.push_back({'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'});
  return out;
}

/// A SentencePiece byte-pair vocabulary. Tokens: "<unk>", "<s>", "</s>", the 256 bytes from id 3
/// on, a user-defined "<h1>", then pieces() from id 260 on, the earlier the better their score.
struct TinySentencePiece {
  std::vector<std::string> pieces = {"\u2581\u2581",
                                     "th",
                                     "he",
                                     "\u2581th",
                                     "in",
                                     "an",
                                     "the",
                                     "\u2581the",
                                     "\u2581a",
                                     "\u2581an",
                                     "and",
                                     "ing",
                                     "\u00e9t",
                                     "中文",
                                     "\u2581",
                                     "t",
                                     "h",
                                     "e",
                                     "i",
                                     "n",
                                     "g",
                                     "a",
                                     "d",
                                     "b",
                                     "\u00e9",
                                     "中",
                                     "1",
                                     "!",
                                     "\u2581\u2581\u2581\u2581"};
  static constexpr std::int32_t kFirstPiece = 260;

  [[nodiscard]] GgufWriter writer() const {
    std::vector<std::string> tokens{"<unk>", "<s>", "</s>"};
    std::vector<std::int32_t> types{2, 3, 3};
    for (auto& byte : byte_token_spellings()) {
      tokens.push_back(std::move(byte));
      types.push_back(6);
    }
    tokens.push_back("<h1>");
    types.push_back(4);
    std::vector<float> scores(tokens.size(), -1000.0F);
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      tokens.push_back(pieces[i]);
      types.push_back(1);
      scores.push_back(-static_cast<float>(i));
    }
    GgufWriter out;
    out.string("general.architecture", "llama").string("tokenizer.ggml.model", "llama");
    out.strings("tokenizer.ggml.tokens", tokens).i32s("tokenizer.ggml.token_type", types);
    out.f32s("tokenizer.ggml.scores", scores);
    out.u32("tokenizer.ggml.bos_token_id", 1).u32("tokenizer.ggml.eos_token_id", 2);
    out.u32("tokenizer.ggml.unknown_token_id", 0);
    return out;
  }
};

/// A WordPiece vocabulary: "[UNK]", "[CLS]", "[SEP]", then what starts a word and what goes on in
/// one.
struct TinyWordPiece {
  std::vector<std::string> starts = {"a", "the", "cafe", "un", "!", "#", "中", "1", "z", "\u03b1"};
  std::vector<std::string> inside = {"s", "able", "aff", "2", "a", "\u03b1"};
  bool hashes = false;  // "the" and "##s", rather than "\u2581the" and "s"

  [[nodiscard]] GgufWriter writer() const {
    std::vector<std::string> tokens{"[UNK]", "[CLS]", "[SEP]"};
    std::vector<std::int32_t> types{2, 3, 3};
    for (const auto& text : starts) tokens.push_back((hashes ? "" : "\u2581") + text);
    for (const auto& text : inside) tokens.push_back((hashes ? "##" : "") + text);
    types.resize(tokens.size(), 1);
    GgufWriter out;
    out.string("general.architecture", "bert").string("tokenizer.ggml.model", "bert");
    out.strings("tokenizer.ggml.tokens", tokens).i32s("tokenizer.ggml.token_type", types);
    return out;
  }
};

}  // namespace espalier::testing
