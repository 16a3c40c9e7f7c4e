#include "runtime/tokenizer/load_tokenizer.h"

#include <string>
#include <string_view>

#include "runtime/tokenizer/byte_level_bpe.h"

namespace espalier::runtime {
namespace {

struct Family {
  std::string_view name;  // tokenizer.ggml.model
  Result<std::shared_ptr<const Tokenizer>> (*load)(const Gguf& file);
};
constexpr Family kFamilies[] = {{"gpt2", load_byte_level_bpe}};

}  // namespace

Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const Gguf& file) {
  ESP_ASSIGN(const auto wanted, file.string("tokenizer.ggml.model"));
  std::string names;
  for (const Family& family : kFamilies) {
    if (family.name == wanted) return family.load(file);
    names += (names.empty() ? "" : ", ") + std::string(family.name);
  }
  return file.refuse(ErrorCode::kUnsupported, "key 'tokenizer.ggml.model': " + shown(wanted) +
                                                  " is not supported; supported: " + names);
}

}  // namespace espalier::runtime
