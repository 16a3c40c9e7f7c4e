// The checker on mutated programs: it ends with a verdict, whose messages render; what it accepts
// has a bound and a stub.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "dsl/cost.h"
#include "dsl/program.h"
#include "dsl/python_stub.h"
#include "gen_mutator.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace espalier::dsl;
  const std::string source(reinterpret_cast<const char*>(data), size);
  const auto compiled = compile("fuzz.gen", source);
  ESP_CHECK((compiled.program == nullptr) == compiled.diagnostics.has_errors());
  const std::string text = render(compiled.diagnostics, compiled.sources);
  ESP_CHECK(text.empty() == (compiled.diagnostics.size() == 0));
  to_json(compiled.diagnostics, compiled.sources).dump();
  if (compiled.program == nullptr) return 0;
  for (const GenInfo* gen : compiled.program->own_gens())
    ESP_CHECK(!cost_of(*compiled.program, *gen).generated.text().empty());
  ESP_CHECK(!python_stub(*compiled.program).empty());
  return 0;
}
