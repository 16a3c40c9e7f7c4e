// Any bytes as a model file: parsed, its tokenizer, template, shape and weights read, or refused.
#include <cstdint>
#include <string>

#include "runtime/chat/load_chat_template.h"
#include "runtime/model/architecture.h"
#include "runtime/tokenizer/tokenizer_source.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "tests/support/memory_mapping.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace espalier;
  using namespace espalier::runtime;
  const auto file = Gguf::parse(
      espalier::testing::mapping_of({reinterpret_cast<const char*>(data), size}), "fuzz.gguf");
  if (!file) return 0;
  if (const auto tokenizer = load_tokenizer(*file)) {
    const auto chat = load_chat_template(*file, **tokenizer);
    // Each token has at most kMaxTokenBytes, so the text of a few stays small.
    if (const auto ids = (*tokenizer)->encode_special("Hello <|im_end|> 12")) {
      ESP_CHECK((*tokenizer)->decode(*ids, true).size() <= ids->size() * kMaxTokenBytes);
    }
  }
  if (const auto architecture = find_architecture(*file)) {
    if (const auto shape = (*architecture)->read_shape(*file, {266, 0})) {
      const auto weights = (*architecture)->read_weights(*file, *shape);
    }
  }
  return 0;
}
