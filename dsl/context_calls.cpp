// Calls and their results in a path: how a turn with calls opens, what the template is given of it
// when the conversation is written anew, and the ids by which results name their calls.
#include <algorithm>
#include <iterator>
#include <utility>

#include "base/ascii.h"
#include "dsl/context.h"

namespace espalier::dsl {
namespace {

// A member of messages that no template knows: calls stand in the text, because of what else the
// turn says.
constexpr const char* kCallsAsText = "calls_as_text";

}  // namespace

Result<std::string> Context::write_calls(const std::vector<runtime::ToolCall>& calls, bool list,
                                         const Spelling& spelling) {
  ESP_TRY(expect_calls());
  // What a result names must be in the path, and only a conversation that is written anew has it.
  const grammar::CallForm& own = model_->calls.form;
  const grammar::CallForm& form = own.id_key.empty() || rewrites() ? own : grammar::kPlainCall;
  std::vector<runtime::ToolCall> named = calls;
  if (!form.id_key.empty()) give_ids(named);
  std::string bytes = runtime::write_calls(form, named, list);
  ESP_TRY(put_calls(bytes, spelling, named, {}));
  return bytes;
}

Status Context::put_calls(std::string_view bytes, const Spelling& spelling,
                          const std::vector<runtime::ToolCall>& calls, std::string_view follow) {
  if (log_) log({Piece::Kind::kCalls, std::string(bytes), spelling, calls});
  ESP_TRY(spell(bytes, spelling, /*calls=*/true));
  if (calls.empty()) {
    say(bytes);
  } else {
    say(calls, follow);
  }
  return {};
}

Status Context::expect_calls() {
  if (!rewrites() || raw_ || !started_ || role_ != runtime::Role::kAssistant ||
      !said_.text.empty() || !thoughts_.empty() || model_->calls.texts == nullptr)
    return {};
  const auto segments = model_->chat->render_before_calls(turns_);
  if (!segments) return {};  // it opens as any other
  ESP_TRY(become(*segments));
  ESP_TRY(flush());
  begin_turn();
  return {};
}

void Context::say(std::string_view bytes) {
  if (!rewrites() || role_ != runtime::Role::kAssistant) return;
  said_.text += bytes;
  said_.behind = said_.behind || (!said_.calls.empty() && !trimmed(bytes).empty());
}

void Context::say(const std::vector<runtime::ToolCall>& calls, std::string_view follow) {
  if (!rewrites() || role_ != runtime::Role::kAssistant) return;
  if (said_.calls.empty()) said_.before = said_.text;
  said_.text += runtime::write_calls(grammar::kPlainCall, calls, calls.size() > 1);
  std::vector<runtime::ToolCall> named = calls;
  if (model_->calls.form.id_key.empty()) {
    for (runtime::ToolCall& call : named) call.id.clear();
  } else {
    give_ids(named);
  }
  std::move(named.begin(), named.end(), std::back_inserter(said_.calls));
  say(follow);
}

// Where a conversation is refused that has such a turn, that is why more often than not.
Error Context::refused(Error why) const {
  for (const Json& message : turns_) {
    if (!message.contains(kCallsAsText)) continue;
    why.message +=
        " (a turn has text beside its calls, for which this template has no place: the calls were "
        "written as text)";
    break;
  }
  return why;
}

bool Context::has_id(std::string_view id) const {
  for (const runtime::ToolCall& call : said_.calls)
    if (call.id == id) return true;
  for (const Json& message : turns_) {
    if (!message.contains("tool_calls")) continue;
    for (const Json& call : message["tool_calls"])
      if (call.value("id", "") == id) return true;
  }
  return false;
}

void Context::give_ids(std::vector<runtime::ToolCall>& calls) const {
  std::size_t number = said_.calls.size();
  for (const Json& message : turns_)
    if (message.contains("tool_calls")) number += message["tool_calls"].size();
  for (auto call = calls.begin(); call != calls.end(); ++call, ++number) {
    const auto taken = [&](const std::string& id) {
      return id.empty() || has_id(id) ||
             std::any_of(calls.begin(), call, [&](const auto& before) { return before.id == id; });
    };
    for (std::size_t next = number; taken(call->id); ++next) {
      call->id = std::to_string(next);
      if (const std::size_t size = model_->calls.form.id_size; call->id.size() < size)
        call->id = "c" + std::string(size - 1 - call->id.size(), '0') + call->id;
    }
  }
}

Json Context::answered() const {
  Json out = Json::object();
  std::size_t results = 0;
  for (std::size_t i = turns_.size(); i-- > 0;) {
    if (turns_[i]["role"] == "tool") {
      ++results;
      continue;
    }
    if (!turns_[i].contains("tool_calls")) break;
    const Json& calls = turns_[i]["tool_calls"];
    if (results >= calls.size()) break;
    out["name"] = calls[results]["function"]["name"];
    if (calls[results].contains("id")) out["tool_call_id"] = calls[results]["id"];
    break;
  }
  // A result of no call of the model's.
  if (!out.contains("tool_call_id") && !model_->calls.form.id_key.empty()) {
    std::vector<runtime::ToolCall> none(1);
    give_ids(none);
    out["tool_call_id"] = none[0].id;
  }
  return out;
}

// Calls as the template takes them, with the text in front of them; nothing where it has no place
// for what else was said.
std::optional<Json> Context::message_of_calls() const {
  const runtime::ToolSyntax* syntax = model_->chat->tool_syntax();
  if (syntax == nullptr || !syntax->writes_calls() || said_.behind) return std::nullopt;
  Json message = syntax->message(said_.calls);
  if (trimmed(said_.before).empty()) return message;
  if (syntax->text_before_calls().empty()) return std::nullopt;
  message[std::string(syntax->text_before_calls())] = said_.before;
  return message;
}

// The turn that is about to be closed. Its text is read off its ids, but for one with calls.
void Context::remember_turn() {
  if (!said_.calls.empty() && model_->calls.texts != nullptr) {
    if (auto message = message_of_calls()) {
      turns_.push_back(std::move(*message));
      return;
    }
    if (model_->calls.vocabulary != nullptr || !model_->calls.form.id_key.empty()) {
      turns_.push_back(
          {{"role", std::string(name(*role_))}, {"content", said_.text}, {kCallsAsText, true}});
      return;
    }
  }
  const std::span<const TokenId> ids(branch_.ids());
  std::string text = model_->tokenizer->decode(ids.subspan(std::min(turn_begin_, ids.size())));
  text.erase(0, std::min(turn_skip_, text.size()));
  if (model_->chat->text_form(*role_) == runtime::TextForm::kJson) {
    const Json plain = Json::parse("\"" + text + "\"", nullptr, false);
    if (plain.is_string()) text = plain.get<std::string>();
  }
  Json message{{"role", std::string(name(*role_))}, {"content", std::move(text)}};
  if (role_ == runtime::Role::kTool) message.update(answered());
  turns_.push_back(std::move(message));
}

}  // namespace espalier::dsl
