// Chat templates with forms for calls, as tests use them with the tiny model's tokenizer.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "runtime/chat/load_chat_template.h"
#include "tests/dsl_run/support.h"

namespace espalier::dsl::testing {

// A template of the Hermes kind: definitions behind the system text, calls in tags, results in a
// user turn.
inline constexpr const char* kTaggedTemplate =
    R"({%- if messages[0].role == 'system' %}{%- set first = messages[0].content %}{%- else %}{%- set first = 'Be good.' %}{%- endif %}
{{- '<|im_start|>system\n' + first }}
{%- if tools %}{{- '\nTools:' }}{%- for tool in tools %}{{- '\n' + (tool | tojson) }}{%- endfor %}{%- endif %}
{{- '<|im_end|>\n' }}
{%- for m in messages %}
{%- if m.role == 'system' and loop.first %}
{%- elif m.role == 'tool' %}{{- '<|im_start|>user\n<tool_response>\n' + m.content + '\n</tool_response><|im_end|>\n' }}
{%- else %}{{- '<|im_start|>' + m.role + '\n' }}{%- if m.content %}{{- m.content }}{%- endif %}
{%- for c in m.tool_calls %}{{- '<tool_call>\n{"name": "' + c.function.name + '", "arguments": ' + (c.function.arguments | tojson) + '}\n</tool_call>' }}{%- endfor %}
{{- '<|im_end|>\n' }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %})";

inline std::shared_ptr<const runtime::ChatTemplate> tagged_template() {
  static const auto made = [] {
    auto chat = runtime::make_chat_template(kTaggedTemplate, tiny_model()->tokenizer());
    EXPECT_TRUE(chat) << chat.error().message;
    EXPECT_NE((*chat)->tool_syntax(), nullptr);
    return *chat;
  }();
  return made;
}

}  // namespace espalier::dsl::testing
