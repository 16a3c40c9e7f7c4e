#include "runtime/tokenizer/load_tokenizer.h"

#include <string>
#include <string_view>

#include "runtime/tokenizer/byte_level_bpe.h"
#include "runtime/tokenizer/sentencepiece_bpe.h"
#include "runtime/tokenizer/text_tokenizer.h"
#include "runtime/tokenizer/tokenizer_source.h"
#include "runtime/tokenizer/wordpiece.h"

namespace espalier::runtime {
namespace {

struct Maker {
  std::string_view model;  // tokenizer.ggml.model
  Result<Family> (*make)(const TokenizerSource& source);
};
constexpr Maker kMakers[] = {
    {"gpt2", make_byte_level_bpe}, {"llama", make_sentencepiece_bpe}, {"bert", make_wordpiece}};

}  // namespace

Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const Gguf& file) {
  ESP_ASSIGN(const auto wanted, file.string("tokenizer.ggml.model"));
  std::string names;
  for (const Maker& maker : kMakers) {
    if (maker.model != wanted) {
      names += (names.empty() ? "" : ", ") + std::string(maker.model);
      continue;
    }
    ESP_ASSIGN(const TokenizerSource source, TokenizerSource::read(file));
    ESP_ASSIGN(Family family, maker.make(source));
    return make_text_tokenizer(source, std::move(family));
  }
  return file.refuse(ErrorCode::kUnsupported, "key 'tokenizer.ggml.model': " + shown(wanted) +
                                                  " is not supported; supported: " + names);
}

}  // namespace espalier::runtime
