#include "runtime/model/architecture.h"

#include <string>

#include "runtime/model/llama.h"

namespace espalier::runtime {

Result<const Architecture*> find_architecture(const Gguf& file) {
  static const Architecture* const kAll[] = {&llama_architecture()};
  ESP_ASSIGN(const auto name, file.string("general.architecture"));
  std::string names;
  for (const Architecture* architecture : kAll) {
    if (architecture->name == name) return architecture;
    names += (names.empty() ? "" : ", ") + std::string(architecture->name);
  }
  return file.refuse(ErrorCode::kUnsupported,
                     "architecture " + shown(name) + " is not supported; supported: " + names);
}

}  // namespace espalier::runtime
