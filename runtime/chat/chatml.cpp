#include "runtime/chat/chatml.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "runtime/chat/jinja_literals.h"

namespace espalier::runtime {
namespace {

constexpr std::string_view kStart = "<|im_start|>";
constexpr std::string_view kEnd = "<|im_end|>";
constexpr std::size_t kRoles = 4;
constexpr Role kAllRoles[kRoles] = {Role::kSystem, Role::kUser, Role::kAssistant, Role::kTool};

class ChatMl final : public ChatTemplate {
 public:
  struct Turn {
    std::vector<TokenId> open;
    std::vector<TokenId> close;
  };
  struct Parts {
    Turn turns[kRoles];                   // by role
    std::vector<TokenId> begin;           // bos where the model wants it
    std::vector<TokenId> default_system;  // the whole turn, or nothing
    bool plain_tool = false;              // a tool's turn is written like any other
  };
  explicit ChatMl(Parts parts) : parts_(std::move(parts)) {}

  std::string_view family() const override { return "chatml"; }
  bool supports(Role role) const override { return role != Role::kTool || parts_.plain_tool; }
  std::string refusal(Role role) const override {
    if (supports(role)) return "";
    return "the model's chat template writes tool results in a form of its own, which is not "
           "supported yet";
  }
  std::vector<TokenId> begin(Role first) const override {
    std::vector<TokenId> ids = parts_.begin;
    if (first != Role::kSystem)
      ids.insert(ids.end(), parts_.default_system.begin(), parts_.default_system.end());
    return ids;
  }
  std::vector<TokenId> open(Role role) const override { return turn(role).open; }
  std::vector<TokenId> close(Role role) const override { return turn(role).close; }

 private:
  const Turn& turn(Role role) const { return parts_.turns[static_cast<std::size_t>(role)]; }
  Parts parts_;
};

// Whether the template writes a turn as start + role + … : any message's role goes through
// unchanged.
bool writes_any_role(std::string_view source) {
  std::string squeezed;
  for (const char c : source) {
    if (c == '"')
      squeezed += '\'';
    else if (c != ' ' && c != '\n' && c != '\t')
      squeezed += c;
  }
  for (const char* form : {"'<|im_start|>'+message['role']+", "'<|im_start|>'+message.role+",
                           "<|im_start|>{{message['role']}}", "<|im_start|>{{message.role}}"}) {
    if (squeezed.find(form) != std::string::npos) return true;
  }
  return false;
}

// Whether the source looks at a role by name elsewhere than to place the default system turn.
bool singles_out_tools(std::string_view source) {
  return source.find("tool") != std::string_view::npos ||
         source.find("ipython") != std::string_view::npos;
}

// The text of the system turn that the template adds by itself: the one literal that holds a whole
// system turn. nullopt where there are several that differ.
std::optional<std::string> default_system_text(std::string_view source) {
  const std::string opening = std::string(kStart) + "system\n";
  std::set<std::string> texts;
  for (const std::string& literal : jinja_literals(source)) {
    if (!literal.starts_with(opening)) continue;
    const std::size_t end = literal.find(kEnd, opening.size());
    if (end != std::string::npos && end > opening.size()) {
      texts.insert(literal.substr(opening.size(), end - opening.size()));
    }
  }
  if (texts.size() > 1) return std::nullopt;
  return texts.empty() ? "" : *texts.begin();
}

}  // namespace

Result<std::shared_ptr<const ChatTemplate>> read_chatml(std::string_view source,
                                                        const Tokenizer& tokenizer) {
  const TokenId start = tokenizer.special(kStart);
  const TokenId end = tokenizer.special(kEnd);
  const auto default_text = default_system_text(source);
  if (start == kNoToken || end == kNoToken || !writes_any_role(source) || !default_text)
    return nullptr;

  // A turn from `text` on: start, `text` as plain bytes.
  const auto opened = [&](std::string_view text) -> Result<std::vector<TokenId>> {
    ESP_ASSIGN(auto ids, tokenizer.encode(text));
    ids.insert(ids.begin(), start);
    return ids;
  };
  ESP_ASSIGN(auto closing, tokenizer.encode("\n"));
  closing.insert(closing.begin(), end);

  ChatMl::Parts parts;
  for (const Role role : kAllRoles) {
    auto& turn = parts.turns[static_cast<std::size_t>(role)];
    ESP_ASSIGN(turn.open, opened(std::string(name(role)) + "\n"));
    turn.close = closing;
  }
  if (tokenizer.add_bos()) parts.begin.push_back(tokenizer.bos());
  if (!default_text->empty()) {
    ESP_ASSIGN(parts.default_system, opened("system\n" + *default_text));
    parts.default_system.insert(parts.default_system.end(), closing.begin(), closing.end());
  }
  parts.plain_tool = !singles_out_tools(source);
  return std::make_shared<const ChatMl>(std::move(parts));
}

}  // namespace espalier::runtime
