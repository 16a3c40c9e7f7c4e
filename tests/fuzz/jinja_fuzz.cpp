// Any source as a template: it is refused or rendered within its limits, twice the same; and the
// origins cover the text.
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "runtime/jinja/template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace espalier;
  using namespace espalier::runtime::jinja;
  static const Json variables = Json::parse(R"({
      "messages": [{"role": "system", "content": "Be <b> \"good\"\n"}, {"role": "user", "content": " h\u00e9llo "},
                   {"role": "assistant", "content": null, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {"x": [1, 2.5]}}}]},
                   {"role": "tool", "content": "r", "tool_call_id": "a"}],
      "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
      "bos_token": "<s>", "add_generation_prompt": true, "n": 3, "f": 0.5})");
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto compiled = Template::compile(source);
  if (!compiled) return 0;
  RenderOptions options;
  options.limits = {
      .steps = 20'000, .output_bytes = 1 << 16, .memory_bytes = 1 << 22, .depth = 250};
  const auto render = [&] {
    Arena arena(options.limits.memory_bytes);
    const auto values = from_json(arena, variables, 1);
    return (*compiled)->render(arena, *values->dict, options);
  };
  const auto first = render();
  const auto second = render();
  ESP_CHECK(first.has_value() == second.has_value());
  if (!first) {
    ESP_CHECK(first.error().message == second.error().message);
    return 0;
  }
  ESP_CHECK(first->text == second->text);
  std::size_t end = 0;
  for (const Run& run : first->text.runs) {
    ESP_CHECK(run.end > end);
    end = run.end;
  }
  ESP_CHECK(end == first->text.bytes.size());
  return 0;
}
