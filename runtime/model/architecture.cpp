#include "runtime/model/architecture.h"

#include <string>

namespace espalier::runtime {

std::span<const Architecture* const> architectures() {
  static const Architecture* const kAll[] = {&llama_architecture(),    &qwen2_architecture(),
                                             &qwen3_architecture(),    &gemma3_architecture(),
                                             &mistral3_architecture(), &phi3_architecture()};
  return kAll;
}

Result<const Architecture*> find_architecture(const Gguf& file) {
  ESP_ASSIGN(const auto name, file.string("general.architecture"));
  std::string names;
  for (const Architecture* architecture : architectures()) {
    if (architecture->name == name) return architecture;
    names += (names.empty() ? "" : ", ") + std::string(architecture->name);
  }
  return file.refuse(ErrorCode::kUnsupported,
                     "architecture " + shown(name) + " is not supported; supported: " + names);
}

}  // namespace espalier::runtime
