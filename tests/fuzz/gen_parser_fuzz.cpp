// The front end of the language on arbitrary bytes: it ends with a verdict, and its messages
// render.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "dsl/program.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto compiled =
      espalier::dsl::compile("fuzz.gen", std::string(reinterpret_cast<const char*>(data), size));
  ESP_CHECK((compiled.program == nullptr) == compiled.diagnostics.has_errors());
  const std::string text = espalier::dsl::render(compiled.diagnostics, compiled.sources);
  ESP_CHECK(text.empty() == (compiled.diagnostics.size() == 0));
  // dump() throws on broken UTF-8 unless told otherwise: labels may cut a source that was refused
  // for it.
  espalier::dsl::to_json(compiled.diagnostics, compiled.sources).dump();
  return 0;
}
