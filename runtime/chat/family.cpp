#include "runtime/chat/family.h"

#include <algorithm>
#include <array>

namespace espalier::runtime {
namespace {

struct Family {
  std::string_view name;
  std::array<std::string_view, 3>
      marks;  // all of them stand in the source; empty ones count as there
};

// The first that fits.
constexpr Family kFamilies[] = {
    {"functionary-v3.2", {">>>all", "<|start_header_id|>"}},
    {"functionary-v3.1", {"<function=", "<|start_header_id|>"}},
    {"firefunction-v2", {"functools[", "<|start_header_id|>"}},
    {"llama-4", {"<|header_start|>"}},
    {"llama-3.x", {"<|start_header_id|>", "ipython"}},
    {"llama-3", {"<|start_header_id|>"}},
    {"command-r7b", {"<|START_OF_TURN_TOKEN|>", "<|START_ACTION|>"}},
    {"command-r", {"<|START_OF_TURN_TOKEN|>"}},
    {"deepseek-r1", {"<｜Assistant｜>", "<think>"}},
    {"deepseek", {"<｜Assistant｜>"}},
    {"llama-2", {"[INST]", "<<SYS>>"}},
    {"mistral", {"[INST]"}},
    {"granite", {"<|start_of_role|>"}},
    {"phi-4", {"<|im_start|>", "<|im_sep|>"}},
    {"phi-3", {"<|user|>", "<|end|>"}},
    {"zephyr", {"<|user|>"}},
    {"qwen3", {"<|im_start|>", "enable_thinking"}},
    {"qwen2.5", {"<|im_start|>", "<tool_call>", "<tool_response>"}},
    {"hermes", {"<|im_start|>", "<tool_call>"}},
    {"chatml", {"<|im_start|>"}},
    {"gemma", {"<start_of_turn>"}},
    {"gpt-oss", {"<|channel|>"}},
};

}  // namespace

std::string_view family_of(std::string_view source) {
  for (const Family& family : kFamilies) {
    const bool fits = std::all_of(
        family.marks.begin(), family.marks.end(),
        [&](std::string_view mark) { return source.find(mark) != std::string_view::npos; });
    if (!fits) continue;
    // Hermes and Qwen 2.5 share their tags; Hermes describes the schema of a call.
    if (family.name == "qwen2.5" && source.find("FunctionCall") != std::string_view::npos)
      return "hermes";
    return family.name;
  }
  return "custom";
}

}  // namespace espalier::runtime
