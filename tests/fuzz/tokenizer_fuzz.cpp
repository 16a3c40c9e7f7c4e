// Any text through a byte-level tokenizer with every byte: it comes back, and no control token
// comes from plain text.
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/memory_mapping.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace espalier;
  using namespace espalier::runtime;
  static const auto tokenizer = [] {
    const auto file = Gguf::parse(
        espalier::testing::mapping_of(espalier::testing::TinyLlama{}.writer().finish().bytes),
        "fuzz.gguf");
    return load_tokenizer(file.value()).value();
  }();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto plain = tokenizer->encode(text);
  ESP_CHECK(plain && tokenizer->decode(*plain) == text);
  for (const TokenId id : *plain) ESP_CHECK(id >= 3);
  const auto special = tokenizer->encode_special(text);
  ESP_CHECK(special && tokenizer->decode(*special, true) == text);
  return 0;
}
