// A tool's answer as JSON: refused, or written and read again it is the same; and what a server
// says that a call gave has a value or an error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "dsl/mcp/session.h"
#include "dsl/tool_answer.h"
#include "grammar/json_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace espalier;
  const auto answer = dsl::read_answer({reinterpret_cast<const char*>(data), size});
  if (!answer) return 0;
  const auto again = dsl::read_answer(write_json(*answer));
  ESP_CHECK(again && *again == *answer);
  for (const bool as_text : {false, true}) {
    const auto value = dsl::mcp::value_of(*answer, as_text);
    ESP_CHECK(!value || !as_text || !value->is_discarded());
  }
  return 0;
}
