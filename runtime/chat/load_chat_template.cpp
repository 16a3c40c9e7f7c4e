#include "runtime/chat/load_chat_template.h"

#include <algorithm>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "runtime/chat/conversation.h"
#include "runtime/chat/family.h"
#include "runtime/chat/segments.h"
#include "runtime/chat/tool_syntax.h"
#include "runtime/chat/turn_pieces.h"

namespace espalier::runtime {
namespace {

// The template of a model that roles cannot be used with: raw prompts only.
class NoRoles final : public ChatTemplate {
 public:
  NoRoles(std::string_view family, std::string why, Segments begin)
      : family_(family), why_(std::move(why)), begin_(std::move(begin)) {}
  std::string_view family() const override { return family_; }
  bool supports(Role) const override { return false; }
  std::string refusal(Role) const override { return why_; }
  std::string refusal(Role, std::optional<Role>) const override { return why_; }
  Segments begin(Role) const override { return begin_; }
  Segments open(Role, std::optional<Role>) const override { return {}; }
  Segments close(Role) const override { return {}; }
  Result<Segments> render(const Json&, const Json&, bool) const override {
    return fail(ErrorCode::kUnsupported, why_);
  }
  Result<Segments> render_before(const Json&, Role, const Json&) const override {
    return fail(ErrorCode::kUnsupported, why_);
  }

 private:
  std::string_view family_;
  std::string why_;
  Segments begin_;
};

class JinjaChatTemplate final : public ChatTemplate {
 public:
  JinjaChatTemplate(std::string_view family, ConversationTemplate conversation, TurnPieces pieces,
                    std::shared_ptr<const Tokenizer> tokenizer,
                    std::shared_ptr<const ToolSyntax> tools)
      : family_(family),
        conversation_(std::move(conversation)),
        pieces_(std::move(pieces)),
        tokenizer_(std::move(tokenizer)),
        tools_(std::move(tools)) {}

  std::string_view family() const override { return family_; }
  bool supports(Role role) const override { return turn(role).supported; }
  std::string refusal(Role role) const override { return turn(role).refusal; }
  std::string refusal(Role role, std::optional<Role> previous) const override {
    if (!supports(role)) return refusal(role);
    if (!previous) {
      const std::string& why = turn(role).not_first;
      return why.empty() ? ""
                         : "the model's chat template has no conversation that starts with the "
                           "role '" +
                               std::string(name(role)) + "': " + why;
    }
    const auto& it = pair(*previous, role);
    return it.known ? ""
                    : "in the model's chat template the role '" + std::string(name(role)) +
                          "' cannot follow '" + std::string(name(*previous)) + "': " + it.refusal;
  }
  Segments begin(Role first) const override { return turn(first).begin; }
  Segments open(Role role, std::optional<Role> previous) const override {
    return previous ? pair(*previous, role).open : turn(role).first;
  }
  Segments close(Role role) const override { return turn(role).close; }
  Segments generation_suffix() const override { return pieces_.generation_suffix; }
  TextForm text_form(Role role) const override { return turn(role).form; }
  std::string_view not_incremental() const override { return pieces_.not_incremental; }
  bool drops_reasoning() const override { return pieces_.drops_reasoning; }
  Result<Segments> render(const Json& messages, const Json& tools,
                          bool generation_prompt) const override {
    ESP_ASSIGN(const jinja::Text text, conversation_.render(messages, tools, generation_prompt));
    return with_bos(text);
  }
  Result<Segments> render_before(const Json& messages, Role next,
                                 const Json& fields) const override {
    if (next == Role::kAssistant) {
      // Templates without a generation prompt open the turn as they do a finished one.
      ESP_ASSIGN(const jinja::Text plain, conversation_.render(messages, Json(), false));
      ESP_ASSIGN(const jinja::Text prompt, conversation_.render(messages, Json(), true));
      if (prompt != plain) return with_bos(prompt);
    }
    // The other fields may stand before the text: it is a word that is in none of them.
    std::string content = "text";
    const std::string others = fields.dump(-1, ' ', false, Json::error_handler_t::replace);
    while (others.find(content) != std::string::npos) content += "x";
    Json message{{"role", std::string(name(next))}, {"content", content}};
    for (const auto& [key, value] : fields.items()) message[key] = value;
    Json more = messages;
    more.push_back(std::move(message));
    ESP_ASSIGN(const jinja::Text text, conversation_.render(more, Json(), false));
    std::size_t begin = 0;
    for (const jinja::Run& run : text.runs) {
      if (run.origin == more.size()) {
        const std::size_t at = std::string_view(text.bytes).substr(0, run.end).find(content, begin);
        if (at != std::string_view::npos) return with_bos(head(text, at));
      }
      begin = run.end;
    }
    return fail(ErrorCode::kUnsupported, "the model's chat template drops this turn");
  }
  Result<Segments> render_before_calls(const Json& messages) const override {
    if (tools_ == nullptr || !tools_->writes_calls())
      return ChatTemplate::render_before_calls(messages);
    const ToolSyntax::Form& form = tools_->form();
    const std::string_view mark = !form.begin.empty()         ? form.begin
                                  : !form.name_prefix.empty() ? form.name_prefix
                                                              : form.prefix;
    ESP_ASSIGN(const jinja::Text before, conversation_.render(messages, Json(), false));
    Json more = messages;
    more.push_back(tools_->message({{"probe", Json::object(), "probe0id1"}}));
    ESP_ASSIGN(const jinja::Text text, conversation_.render(more, Json(), false));
    // The last turn's mark, not one in an earlier turn's.
    const std::size_t at = mark.empty() ? std::string::npos : text.bytes.rfind(mark);
    const auto same = std::mismatch(before.bytes.begin(), before.bytes.end(), text.bytes.begin(),
                                    text.bytes.end());
    if (at == std::string::npos || at < static_cast<std::size_t>(same.second - text.bytes.begin()))
      return ChatTemplate::render_before_calls(messages);
    return with_bos(head(text, at));
  }
  const ToolSyntax* tool_syntax() const override { return tools_.get(); }
  Result<std::shared_ptr<const ChatTemplate>> with_tools(const Json& definitions) const override {
    if (tools_ == nullptr || !tools_->writes_definitions())
      return fail(ErrorCode::kUnsupported, "the model's chat template writes no tool definitions");
    ConversationTemplate conversation = conversation_;
    conversation.tools = definitions;
    ESP_ASSIGN(TurnPieces pieces, find_pieces(conversation, *tokenizer_));
    for (std::size_t i = 0; i < kRoleCount; ++i) {
      if (turn(static_cast<Role>(i)).supported && !pieces.turns[i].supported)
        return fail(ErrorCode::kUnsupported, pieces.turns[i].refusal);
    }
    return std::make_shared<const JinjaChatTemplate>(family_, std::move(conversation),
                                                     std::move(pieces), tokenizer_, tools_);
  }

 private:
  const TurnPieces::Turn& turn(Role role) const {
    return pieces_.turns[static_cast<std::size_t>(role)];
  }
  const TurnPieces::Pair& pair(Role previous, Role next) const {
    return pieces_.pairs[static_cast<std::size_t>(previous)][static_cast<std::size_t>(next)];
  }
  static jinja::Text head(const jinja::Text& text, std::size_t end) {
    jinja::Text out;
    std::size_t begin = 0;
    for (const jinja::Run& run : text.runs) {
      const std::size_t stop = std::min<std::size_t>(run.end, end);
      if (stop <= begin) break;
      out.append(std::string_view(text.bytes).substr(begin, stop - begin), run.origin);
      begin = run.end;
    }
    return out;
  }
  Result<Segments> with_bos(const jinja::Text& text) const {
    ESP_ASSIGN(Segments segments, segments_of(text, *tokenizer_));
    const TokenId bos = tokenizer_->bos();
    if (tokenizer_->add_bos() && bos != kNoToken &&
        (segments.empty() || segments.front().control != bos))
      segments.insert(segments.begin(), {bos, ""});
    return segments;
  }

  std::string_view family_;
  ConversationTemplate conversation_;
  TurnPieces pieces_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const ToolSyntax> tools_;
};

std::chrono::sys_seconds local_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm local{};
  localtime_r(&now, &local);
  return std::chrono::sys_seconds(std::chrono::seconds(now + local.tm_gmtoff));
}

}  // namespace

Result<std::shared_ptr<const ChatTemplate>> make_chat_template(
    std::string_view source, std::shared_ptr<const Tokenizer> tokenizer) {
  const auto text = [&](TokenId id) {
    return id == kNoToken ? "" : tokenizer->decode({&id, 1}, true);
  };
  Segments begin;
  if (tokenizer->add_bos() && tokenizer->bos() != kNoToken) begin.push_back({tokenizer->bos(), ""});
  auto compiled = jinja::Template::compile(source);
  if (!compiled) {
    return std::make_shared<const NoRoles>(
        "unknown", "the model's chat template cannot be used: " + compiled.error().message,
        std::move(begin));
  }
  ConversationTemplate conversation{std::move(*compiled), text(tokenizer->bos()),
                                    text(tokenizer->eos()), local_now()};
  const std::string_view family = family_of(source);
  conversation.functions_and_datetime = family == "firefunction-v2";
  const Json probe = Json::array({{{"role", "user"}, {"content", "text"}}});
  if (!conversation.render(probe, Json(), false, kProbeLimits) &&
      conversation.render(probe, Json::array(), false, kProbeLimits))
    conversation.tools = Json::array();
  ESP_ASSIGN(TurnPieces pieces, find_pieces(conversation, *tokenizer));
  auto tools = find_tool_syntax(family, conversation);
  return std::make_shared<const JinjaChatTemplate>(
      family, std::move(conversation), std::move(pieces), std::move(tokenizer), std::move(tools));
}

Result<std::shared_ptr<const ChatTemplate>> load_chat_template(
    const Gguf& file, std::shared_ptr<const Tokenizer> tokenizer) {
  if (!file.has("tokenizer.chat_template")) {
    Segments begin;
    if (tokenizer->add_bos() && tokenizer->bos() != kNoToken)
      begin.push_back({tokenizer->bos(), ""});
    return std::make_shared<const NoRoles>("none", "the model has no chat template (a base model)",
                                           std::move(begin));
  }
  ESP_ASSIGN(const auto source, file.string("tokenizer.chat_template"));
  auto made = make_chat_template(source, std::move(tokenizer));
  if (!made)
    return file.refuse(made.error().code, "key 'tokenizer.chat_template': " + made.error().message);
  return made;
}

}  // namespace espalier::runtime
