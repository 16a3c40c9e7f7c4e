// The formatter on mutated programs: what it gives parses, means the same (the formatter compares),
// has the same messages when checked, and formats to itself.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "dsl/format.h"
#include "dsl/program.h"
#include "gen_mutator.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace espalier;
  using namespace espalier::dsl;
  const std::string text(reinterpret_cast<const char*>(data), size);
  Diagnostics diagnostics;
  const auto once = format(Source("fuzz.gen", text), diagnostics);
  if (!once) {
    ESP_CHECK(once.error().code == ErrorCode::kInvalid);
    ESP_CHECK(diagnostics.has_errors());
    return 0;
  }
  Diagnostics again;
  const auto twice = format(Source("fuzz.gen", *once), again);
  ESP_CHECK(twice.has_value());
  ESP_CHECK(*twice == *once);
  return 0;
}
