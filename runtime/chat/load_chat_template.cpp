#include "runtime/chat/load_chat_template.h"

#include <string>
#include <utility>
#include <vector>

#include "runtime/chat/chatml.h"

namespace espalier::runtime {
namespace {

// A template's source is scanned a few times; the largest known one has 10 KB.
constexpr std::size_t kMaxSourceBytes = 1 << 20;

// The template of a model that roles cannot be used with: raw prompts only.
class NoRoles final : public ChatTemplate {
 public:
  NoRoles(std::string_view family, std::string why, std::vector<TokenId> begin)
      : family_(family), why_(std::move(why)), begin_(std::move(begin)) {}
  std::string_view family() const override { return family_; }
  bool supports(Role) const override { return false; }
  std::string refusal(Role) const override { return why_; }
  std::vector<TokenId> begin(Role) const override { return begin_; }
  std::vector<TokenId> open(Role) const override { return {}; }
  std::vector<TokenId> close(Role) const override { return {}; }

 private:
  std::string_view family_;
  std::string why_;
  std::vector<TokenId> begin_;
};

}  // namespace

std::string_view name(Role role) {
  switch (role) {
    case Role::kSystem:
      return "system";
    case Role::kUser:
      return "user";
    case Role::kAssistant:
      return "assistant";
    case Role::kTool:
      return "tool";
  }
  return "";
}

Result<std::shared_ptr<const ChatTemplate>> load_chat_template(const Gguf& file,
                                                               const Tokenizer& tokenizer) {
  std::vector<TokenId> begin;
  if (tokenizer.add_bos()) begin.push_back(tokenizer.bos());
  if (!file.has("tokenizer.chat_template")) {
    return std::make_shared<const NoRoles>("none", "the model has no chat template (a base model)",
                                           std::move(begin));
  }
  ESP_ASSIGN(const auto source, file.string("tokenizer.chat_template"));
  if (source.size() > kMaxSourceBytes) {
    return file.refuse(ErrorCode::kLimit, "key 'tokenizer.chat_template' has " +
                                              std::to_string(source.size()) + " bytes; at most " +
                                              std::to_string(kMaxSourceBytes));
  }
  for (auto* read : {&read_chatml}) {
    auto found = read(source, tokenizer);
    if (!found) return file.refuse(found.error().code, "key 'tokenizer.chat_template': " + found.error().message);
    if (*found != nullptr) return found;
  }
  return std::make_shared<const NoRoles>(
      "unknown",
      "the model's chat template is of a family that is not supported yet; supported: chatml",
      std::move(begin));
}

}  // namespace espalier::runtime
