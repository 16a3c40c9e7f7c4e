#include "dsl/tool_calls.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>
#include <vector>

#include "dsl/control_bytes.h"
#include "dsl/holes.h"
#include "dsl/schema_text.h"
#include "grammar/json_text.h"
#include "runtime/chat/segments.h"
#include "runtime/chat/tool_syntax.h"

namespace espalier::dsl {
namespace {

using grammar::CallForm;
using grammar::TypeKind;
using grammar::TypeRef;
using runtime::Role;
using runtime::Segments;

// The plain form's declarations, in front of or behind a turn's text.
class PlainDeclarations final : public runtime::ChatTemplate {
 public:
  /// `plain_calls`: calls have the plain form as well, which the model has not seen.
  PlainDeclarations(std::shared_ptr<const runtime::ChatTemplate> inner, const Json& definitions,
                    bool plain_calls)
      : inner_(std::move(inner)) {
    text_ = "You can call these functions.";
    if (plain_calls)
      text_ +=
          " A call is a JSON object with the function's name and its arguments: {\"name\": \"…\", "
          "\"arguments\": {…}}";
    for (const Json& one : definitions) text_ += "\n" + write_json(one["function"]);
  }

  std::string_view family() const override { return inner_->family(); }
  bool supports(Role role) const override { return inner_->supports(role); }
  std::string refusal(Role role) const override { return inner_->refusal(role); }
  std::string refusal(Role role, std::optional<Role> previous) const override {
    return inner_->refusal(role, previous);
  }
  bool refuses_two_user_turns() const override { return inner_->refuses_two_user_turns(); }
  Segments begin(Role first) const override { return inner_->begin(first); }
  Segments open(Role role, std::optional<Role> previous) const override {
    Segments out = inner_->open(role, previous);
    if (!previous && role == Role::kUser)
      runtime::append(out, {{kNoToken, in_form(role, text_ + "\n\n")}});
    return out;
  }
  Segments close(Role role) const override {
    if (role != Role::kSystem) return inner_->close(role);
    Segments out = {{kNoToken, in_form(role, "\n\n" + text_)}};
    runtime::append(out, inner_->close(role));
    return out;
  }
  Segments generation_suffix() const override { return inner_->generation_suffix(); }
  runtime::TextForm text_form(Role role) const override { return inner_->text_form(role); }
  std::string_view not_incremental() const override { return inner_->not_incremental(); }
  bool drops_reasoning() const override { return inner_->drops_reasoning(); }
  Result<Segments> render(const Json& messages, const Json& tools,
                          bool generation_prompt) const override {
    return inner_->render(declared(messages), tools, generation_prompt);
  }
  Result<Segments> render_before(const Json& messages, Role next,
                                 const Json& fields) const override {
    return inner_->render_before(declared(messages), next, fields);
  }
  Result<Segments> render_before_calls(const Json& messages) const override {
    return inner_->render_before_calls(declared(messages));
  }
  const runtime::ToolSyntax* tool_syntax() const override { return inner_->tool_syntax(); }

 private:
  [[nodiscard]] std::string in_form(Role role, const std::string& text) const {
    return runtime::in_form(inner_->text_form(role), text, /*before=*/true);
  }
  [[nodiscard]] Json declared(const Json& messages) const {
    Json out = messages;
    if (!out.is_array() || out.empty() || !out[0].is_object() || !out[0].contains("content") ||
        !out[0]["content"].is_string())
      return out;
    auto& content = out[0]["content"].get_ref<std::string&>();
    if (out[0].value("role", "") == "system") content += "\n\n" + text_;
    if (out[0].value("role", "") == "user") content = text_ + "\n\n" + content;
    return out;
  }

  std::shared_ptr<const runtime::ChatTemplate> inner_;
  std::string text_;
};

// The tools that a value of `type` can call.
void collect(const TypeRef& type, std::set<std::string>& names,
             std::set<const grammar::Type*>& seen) {
  if (type == nullptr || !seen.insert(type.get()).second) return;
  if (type->kind == TypeKind::kCall) {
    for (const auto& tool : type->fields) names.insert(tool.name);
    return;
  }
  for (const TypeRef& item : type->items) collect(item, names, seen);
  for (const auto& field : type->fields) collect(field.type, names, seen);
  if (type->kind == TypeKind::kReference) collect(type->target.lock(), names, seen);
}

}  // namespace

CallSyntax call_syntax(const runtime::Tokenizer& tokenizer, const runtime::ChatTemplate& chat) {
  const runtime::ToolSyntax* syntax = chat.tool_syntax();
  if (syntax == nullptr) return {};
  CallSyntax out;
  out.form = syntax->form();
  auto texts = std::make_shared<std::array<std::string, 6>>();
  std::vector<TokenId> controls;
  std::string_view* const pieces[] = {&out.form.begin,  &out.form.name_prefix, &out.form.prefix,
                                      &out.form.suffix, &out.form.separator,   &out.form.end};
  for (std::size_t i = 0; i < texts->size(); ++i) {
    // A mask cannot give what the vocabulary does not spell.
    if (!tokenizer.encode_special(*pieces[i])) return {};
    runtime::jinja::Text written;
    written.append(*pieces[i], runtime::jinja::kTemplate);
    const auto segments = runtime::segments_of(written, tokenizer);
    if (!segments) return {};
    std::size_t length = 0;
    for (const runtime::Segment& segment : *segments) {
      if (segment.control == kNoToken) {
        (*texts)[i] += segment.text;
        length += segment.text.size();
        continue;
      }
      (*texts)[i] += control_bytes(segment.control);
      length += tokenizer.decode({&segment.control, 1}, true).size();
      controls.push_back(segment.control);
    }
    if (length != pieces[i]->size()) return {};  // white space that a control token takes along
    *pieces[i] = (*texts)[i];
  }
  out.texts = std::move(texts);
  if (!out.form.id_key.empty() && !syntax->writes_calls()) return {};
  if (controls.empty()) return out;
  // Where a conversation is written anew, control tokens and ids are in no turn's text: the
  // template must take calls as such.
  if (!chat.not_incremental().empty() && !syntax->writes_calls()) return {};
  auto vocabulary = with_control_bytes(tokenizer, controls);
  if (!vocabulary) return {};
  out.vocabulary = std::move(*vocabulary);
  return out;
}

ModelParts model_parts(std::shared_ptr<const runtime::Tokenizer> tokenizer,
                       std::shared_ptr<const runtime::ChatTemplate> chat, std::uint32_t context) {
  CallSyntax calls = call_syntax(*tokenizer, *chat);
  return {std::move(tokenizer), std::move(chat), context, std::move(calls)};
}

bool is_calls(const Value& value) {
  if (value.kind() == ValueKind::kCall) return true;
  return value.kind() == ValueKind::kList && value.length() > 0 &&
         std::all_of(value.as_list().begin(), value.as_list().end(),
                     [](const Value& one) { return one.kind() == ValueKind::kCall; });
}

std::vector<runtime::ToolCall> calls_of(const Program& program, const Value& value) {
  const auto one = [&](const Value& call) {
    const ToolInfo* tool = program.tool(call.tool());
    return runtime::ToolCall{
        tool == nullptr ? call.tool() : tool->real_name, written_json(call.arguments()), {}};
  };
  std::vector<runtime::ToolCall> out;
  if (value.kind() == ValueKind::kCall) {
    out.push_back(one(value));
  } else {
    for (const Value& call : value.as_list()) out.push_back(one(call));
  }
  return out;
}

Json tool_definitions(const Program& program, const GenInfo& gen) {
  std::set<std::string> names;
  std::set<const grammar::Type*> seen;
  each_own_hole(program, gen, [&](const Hole& hole, std::string_view) {
    collect(program.holes[hole.id].type, names, seen);
  });
  Json out = Json::array();
  for (const ToolInfo& tool : program.tools) {
    if (names.count(tool.name) == 0) continue;
    out.push_back({{"type", "function"},
                   {"function",
                    {{"name", tool.real_name},
                     {"description", tool.doc},
                     {"parameters", schema_of(tool.arguments)}}}});
  }
  return out;
}

std::shared_ptr<const runtime::ChatTemplate> declaring(const ModelParts& model,
                                                       const Json& definitions, bool plain) {
  const std::shared_ptr<const runtime::ChatTemplate>& chat = model.chat;
  if (!chat->supports(runtime::Role::kUser) && !chat->supports(runtime::Role::kSystem)) return chat;
  if (!plain) {
    if (auto made = chat->with_tools(definitions)) return *made;
    // Some templates write each parameter's description, and fail where there is none.
    Json described = definitions;
    for (Json& one : described)
      for (auto& [key, schema] : one["function"]["parameters"]["properties"].items())
        if (schema.is_object() && !schema.contains("description")) schema["description"] = "";
    if (auto made = chat->with_tools(described)) return *made;
  }
  return std::make_shared<const PlainDeclarations>(chat, definitions,
                                                   /*plain_calls=*/model.calls.texts == nullptr);
}

ModelParts parts_for(const ModelParts& model, const Program& program, const Json& definitions) {
  ModelParts parts = model;
  const bool plain = program.config.calls == CallsForm::kPlain;
  if (plain) parts.calls = {};
  if (!definitions.empty()) parts.chat = declaring(parts, definitions, plain);
  return parts;
}

}  // namespace espalier::dsl
