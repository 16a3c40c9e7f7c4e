// Any bytes as a model file: parsed, its tokenizer, template, shape and weights read, or refused.
//
// Random bytes seldom get past a header, so inputs that do not parse are replaced by the smallest
// model of some architecture before they are mutated: each reader is reached from the start.
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/chat/load_chat_template.h"
#include "runtime/cpu/rope.h"
#include "runtime/model/architecture.h"
#include "runtime/model/weights.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "runtime/tokenizer/tokenizer_source.h"
#include "tests/support/memory_mapping.h"
#include "tests/support/tiny_architecture.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  using namespace espalier;
  using namespace espalier::runtime;
  const auto bytes = espalier::testing::mapping_of({reinterpret_cast<const char*>(data), size});
  if (!Gguf::parse(bytes, "fuzz.gguf") || seed % 64 == 0) {
    const auto all = architectures();
    const espalier::testing::TinyArchitecture tiny{std::string(all[seed / 64 % all.size()]->name)};
    const std::string file = tiny.writer().finish().bytes;
    if (file.size() <= most) {
      std::memcpy(data, file.data(), file.size());
      size = file.size();
    }
  }
  return LLVMFuzzerMutate(data, size, most);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace espalier;
  using namespace espalier::runtime;
  const auto file = Gguf::parse(
      espalier::testing::mapping_of({reinterpret_cast<const char*>(data), size}), "fuzz.gguf");
  if (!file) return 0;
  if (const auto tokenizer = load_tokenizer(*file)) {
    const auto chat = load_chat_template(*file, *tokenizer);
    // Each token has at most kMaxTokenBytes, so the text of a few stays small.
    if (const auto ids = (*tokenizer)->encode_special("Hello <|im_end|> 12")) {
      ESP_CHECK((*tokenizer)->decode(*ids, true).size() <= ids->size() * kMaxTokenBytes);
    }
  }
  if (const auto architecture = find_architecture(*file)) {
    std::uint32_t tokens = 266;
    if (const auto list = file->strings("tokenizer.ggml.tokens"); list && !list->empty()) {
      tokens = static_cast<std::uint32_t>(list->size());
    }
    for (const std::uint32_t context : {0U, 16U}) {
      if (const auto shape = (*architecture)->read_shape(*file, {tokens, context})) {
        const cpu::RopeTable rope(shape->rope, shape->rope_width);
        std::vector<float> cosines(rope.pairs());
        std::vector<float> sines(rope.pairs());
        rope.fill(shape->context - 1, cosines.data(), sines.data());
        const auto weights = (*architecture)->read_weights(*file, *shape);
        if (weights) (void)weight_shares(*weights);
      }
    }
  }
  return 0;
}
