// How turns are written for a model: the control tokens around each role's text.
//
// A template turns a conversation into segments: control ids that come from the template alone, and text that is
// tokenised as plain bytes. A turn's opening and closing are ids that never depend on later turns, so an earlier
// turn's ids stay when a turn is added.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token.h"

namespace espalier::runtime {

enum class Role : std::uint8_t { kSystem, kUser, kAssistant, kTool };
std::string_view name(Role role);

class ChatTemplate {
 public:
  virtual ~ChatTemplate() = default;
  /// The family's name ("chatml"), or "none" for a base model.
  [[nodiscard]] virtual std::string_view family() const = 0;
  /// False where the template refuses or drops the role.
  [[nodiscard]] virtual bool supports(Role role) const = 0;
  /// Why supports(role) is false, for a person to read; empty where it is true.
  [[nodiscard]] virtual std::string refusal(Role role) const {
    return supports(role) ? "" : "the model's chat template has no role '" + std::string(name(role)) + "'";
  }
  /// True where the template refuses a user turn directly after another, so that what would be two
  /// has to be one.
  [[nodiscard]] virtual bool refuses_two_user_turns() const { return false; }
  /// What stands before the first turn: bos where the model wants it, and the default system turn where the template
  /// adds one to a conversation that starts with `first` (not kSystem).
  [[nodiscard]] virtual std::vector<TokenId> begin(Role first) const = 0;
  /// Ids that open a turn, up to where its text starts; and those that end it (for kAssistant they start with the
  /// end-of-turn token that the model itself produces).
  [[nodiscard]] virtual std::vector<TokenId> open(Role role) const = 0;
  [[nodiscard]] virtual std::vector<TokenId> close(Role role) const = 0;
};

}  // namespace espalier::runtime
