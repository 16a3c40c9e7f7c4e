#include "runtime/chat/conversation.h"

#include <array>
#include <ctime>
#include <string>
#include <vector>

#include "runtime/chat/chat_template.h"
#include "runtime/jinja/strings.h"

namespace espalier::runtime {
namespace {

using jinja::Arena;
using jinja::Entry;
using jinja::make_str;
using jinja::Value;

bool known_role(const Json& value) {
  if (!value.is_string()) return false;
  for (const Role role : {Role::kSystem, Role::kUser, Role::kAssistant, Role::kTool}) {
    if (value.get_ref<const std::string&>() == name(role)) return true;
  }
  return false;
}

// "2026-11-27 09:30:00".
std::string date_and_time(std::chrono::sys_seconds local) {
  const std::time_t time = std::chrono::system_clock::to_time_t(local);
  std::tm civil{};
  gmtime_r(&time, &civil);
  std::array<char, 32> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &civil);
  return {text.data(), size};
}

Result<Value> message_value(Arena& arena, const Json& message, jinja::Origin origin) {
  if (!message.is_object()) return fail(ErrorCode::kInvalid, "a message must be an object");
  std::vector<Entry> entries;
  entries.reserve(message.size());
  for (const auto& [key, value] : message.items()) {
    const bool role = key == "role" && known_role(value);
    ESP_ASSIGN(const Value converted,
               jinja::from_json(arena, value, role ? jinja::kTemplate : origin));
    entries.push_back({Value::of(make_str(arena, key, origin)), converted});
  }
  return Value::of(jinja::make_dict(arena, entries));
}

}  // namespace

Result<jinja::Text> ConversationTemplate::render(const Json& messages, const Json& given,
                                                 bool generation_prompt,
                                                 const jinja::Limits& limits) const {
  if (!messages.is_array()) return fail(ErrorCode::kInvalid, "the messages must be an array");
  jinja::RenderOptions options;
  options.now = now;
  options.limits = limits;
  Arena arena(options.limits.memory_bytes);
  std::vector<Value> items;
  items.reserve(messages.size());
  for (const Json& message : messages) {
    ESP_ASSIGN(items.emplace_back(),
               message_value(arena, message, static_cast<jinja::Origin>(items.size() + 1)));
  }
  const auto key = [&](const char* text) {
    return Value::of(make_str(arena, text, jinja::kTemplate));
  };
  std::vector<Entry> variables;
  variables.push_back({key("messages"), Value::of(jinja::make_list(arena, items))});
  variables.push_back({key("add_generation_prompt"), Value::of(generation_prompt)});
  ESP_ASSIGN(const Value tool_values,
             jinja::from_json(arena, given.is_null() ? tools : given, kTools));
  variables.push_back({key("tools"), tool_values});
  if (functions_and_datetime) {
    const Json& functions = given.is_null() ? tools : given;
    const std::string spec = (functions.is_null() ? Json::array() : functions)
                                 .dump(4, ' ', false, Json::error_handler_t::replace);
    variables.push_back({key("functions"), Value::of(make_str(arena, spec, kTools))});
    variables.push_back({key("datetime"), key(date_and_time(now).c_str())});
  }
  variables.push_back({key("bos_token"), key(bos.c_str())});
  variables.push_back({key("eos_token"), key(eos.c_str())});
  ESP_ASSIGN(auto rendered, compiled->render(arena, *jinja::make_dict(arena, variables), options));
  return std::move(rendered.text);
}

}  // namespace espalier::runtime
