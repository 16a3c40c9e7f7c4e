// Tokenizers of every family. By the first byte: any text through a vocabulary with every byte (it
// comes back, and no control token comes from plain text); any vocabulary of the family, which is
// refused or keeps the same laws for a text; or any tokenizer.json. WordPiece's law is that what is
// decoded gives the same ids again.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/tokenizer/hf_tokenizer_json.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "runtime/tokenizer/pre_tokenizer.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/memory_mapping.h"
#include "tests/support/tiny_vocabularies.h"

namespace {

using namespace espalier;
using namespace espalier::runtime;

Result<std::shared_ptr<const Tokenizer>> load(const espalier::testing::GgufWriter& writer) {
  const auto file = Gguf::parse(espalier::testing::mapping_of(writer.finish().bytes), "fuzz.gguf");
  return load_tokenizer(file.value());
}

// Whatever is spelled comes back, and has no control token: those have no bytes.
void check_text(const Tokenizer& tokenizer, std::string_view text, bool all_bytes) {
  for (const TextStart start : {TextStart::kContinuation, TextStart::kRun}) {
    const auto ids = tokenizer.encode(text, start);
    ESP_CHECK(ids || !all_bytes);
    if (!ids) continue;
    for (const TokenId id : *ids) ESP_CHECK(!tokenizer.vocabulary()->bytes(id).empty());
    const std::string back = tokenizer.decode(*ids);
    if (start == TextStart::kContinuation || tokenizer.run_prefix().empty())
      ESP_CHECK(back == text);
  }
  const auto special = tokenizer.encode_special(text);
  ESP_CHECK(special || !all_bytes);
  if (special && tokenizer.run_prefix().empty())
    ESP_CHECK(tokenizer.decode(*special, true) == text);
}

// Takes parts of the input.
class Input {
 public:
  explicit Input(std::string_view data) : data_(data) {}
  unsigned char byte() {
    if (data_.empty()) return 0;
    const auto out = static_cast<unsigned char>(data_.front());
    data_.remove_prefix(1);
    return out;
  }
  // As many bytes as the next one says.
  std::string text() {
    const std::size_t size = std::min<std::size_t>(byte() % 16U, data_.size());
    std::string out(data_.substr(0, size));
    data_.remove_prefix(size);
    return out;
  }
  std::string_view rest() const { return data_; }

 private:
  std::string_view data_;
};

void check_vocabulary(Input input, const std::string& model) {
  espalier::testing::GgufWriter writer;
  writer.string("general.architecture", "llama").string("tokenizer.ggml.model", model);
  const auto names = pre_tokenizer_names();
  writer.string("tokenizer.ggml.pre", std::string(names[input.byte() % names.size()]));
  const std::size_t count = input.byte() % 64U;
  std::vector<std::string> tokens;
  std::vector<std::int32_t> types;
  std::vector<float> scores;
  const bool bytes = input.byte() % 2 == 0;
  if (bytes) {
    tokens = model == "gpt2" ? espalier::testing::byte_level_alphabet()
                             : espalier::testing::byte_token_spellings();
    types.assign(tokens.size(), model == "gpt2" ? 1 : 6);
    scores.assign(tokens.size(), -1.0F);
  }
  for (std::size_t i = 0; i < count; ++i) {
    const unsigned char kind = input.byte();
    tokens.push_back((kind & 1U) != 0 ? "\u2581" + input.text() : input.text());
    types.push_back(kind % 16U < 10 ? 1 : kind % 16U - 9);
    scores.push_back(static_cast<float>(kind / 16));
  }
  std::vector<std::string> merges;
  for (std::size_t i = input.byte() % 32U; i > 0; --i) {
    const std::size_t left = input.byte() % (tokens.size() + 1);
    const std::size_t right = input.byte() % (tokens.size() + 1);
    merges.push_back((left < tokens.size() ? tokens[left] : input.text()) + " " +
                     (right < tokens.size() ? tokens[right] : input.text()));
  }
  writer.strings("tokenizer.ggml.tokens", tokens).i32s("tokenizer.ggml.token_type", types);
  writer.f32s("tokenizer.ggml.scores", scores).strings("tokenizer.ggml.merges", merges);
  const unsigned char flags = input.byte();
  if ((flags & 1U) != 0) writer.boolean("tokenizer.ggml.add_space_prefix", (flags & 2U) != 0);
  if ((flags & 4U) != 0) writer.u32("tokenizer.ggml.bos_token_id", flags / 8U);
  const auto tokenizer = load(writer);
  if (tokenizer) check_text(**tokenizer, input.rest(), false);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto byte_level = load(espalier::testing::TinyLlama{}.writer()).value();
  static const auto sentencepiece = load(espalier::testing::TinySentencePiece{}.writer()).value();
  static const auto wordpiece = load(espalier::testing::TinyWordPiece{}.writer()).value();
  Input input({reinterpret_cast<const char*>(data), size});
  switch (input.byte() % 6) {
    case 0:
      check_text(*byte_level, input.rest(), true);
      break;
    case 1:
      check_text(*sentencepiece, input.rest(), true);
      break;
    case 2:
      check_vocabulary(input, "gpt2");
      break;
    case 3:
      check_vocabulary(input, "llama");
      break;
    case 4: {
      const auto ids = wordpiece->encode(input.rest());
      ESP_CHECK(ids.has_value());
      const auto again = wordpiece->encode_special(wordpiece->decode(*ids, true));
      ESP_CHECK(again && *again == *ids);
      break;
    }
    default:
      if (const auto tokenizer = load_hf_tokenizer_json(input.rest(), "tokenizer.json"))
        check_text(**tokenizer, input.rest(), false);
      break;
  }
  return 0;
}
