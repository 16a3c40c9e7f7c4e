// How turns are written for a model: the control tokens and texts around each role's text.
//
// Two ways lead to a prompt. render() writes a whole conversation with the model's own template,
// exactly. The pieces (begin, open, close) write it turn by turn, so that a turn that is added
// costs its own tokens only and never changes an earlier turn's; they were found by rendering
// probes, and where the template does not let turns be added that way, not_incremental() says why.
//
// Either way the result is segments: control tokens, which come from the template's own text alone,
// and texts, which are tokenised as plain bytes, jointly over each run between control tokens
// (CONTRACTS 12, 15). Immutable; safe from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "grammar/json.h"
#include "runtime/tokenizer/tokenizer.h"

namespace espalier::runtime {

enum class Role : std::uint8_t { kSystem, kUser, kAssistant, kTool };
inline constexpr std::size_t kRoleCount = 4;
std::string_view name(Role role);

/// A control token, or text where `control` is kNoToken.
struct Segment {
  TokenId control = kNoToken;
  std::string text;
  bool operator==(const Segment&) const = default;
};
using Segments = std::vector<Segment>;

/// The ids of `segments`; neighbouring texts are tokenised together. Errors as Tokenizer::encode.
[[nodiscard]] Result<std::vector<TokenId>> encode(const Tokenizer& tokenizer,
                                                  std::span<const Segment> segments);
/// As a person reads it: control tokens by their text.
[[nodiscard]] std::string text_of(const Tokenizer& tokenizer, std::span<const Segment> segments);

/// What a template does to the text of a turn.
enum class TextForm : std::uint8_t {
  kPlain,
  kTrimmed,  // white space at both ends goes
  kJson,     // it stands inside a JSON string
};

/// A piece of a turn's text as the template would have it: with JSON's escapes, or without the
/// white space in front where nothing was `before` it. What is behind the last piece is the
/// caller's to trim: without_trailing_space.
[[nodiscard]] std::string in_form(TextForm form, std::string_view piece, bool before);
[[nodiscard]] std::string_view without_trailing_space(std::string_view text);

class ToolSyntax;

class ChatTemplate {
 public:
  virtual ~ChatTemplate() = default;
  /// The family's name ("chatml"), "custom" for a template of no known family, "none" for a model
  /// without one.
  [[nodiscard]] virtual std::string_view family() const = 0;
  /// False where the template refuses or drops the role.
  [[nodiscard]] virtual bool supports(Role role) const = 0;
  /// Why supports(role) is false, for a person to read; empty where it is true.
  [[nodiscard]] virtual std::string refusal(Role role) const = 0;
  /// Why a turn of `role` cannot follow one of `previous` (nothing: the first turn); empty where it
  /// can.
  [[nodiscard]] virtual std::string refusal(Role role, std::optional<Role> previous) const = 0;

  /// True where the template refuses a user turn directly after another, so that what would be two
  /// has to be one.
  [[nodiscard]] virtual bool refuses_two_user_turns() const {
    return !refusal(Role::kUser, Role::kUser).empty();
  }

  /// What stands before the first turn: bos where the model wants it, and the default system turn
  /// where the template adds one to a conversation that starts with `first`.
  [[nodiscard]] virtual Segments begin(Role first) const = 0;
  /// What opens a turn after one of `previous`, up to where its text starts; and what ends it (for
  /// kAssistant it starts with the end-of-turn token that the model itself produces). Empty where
  /// the role is not supported.
  [[nodiscard]] virtual Segments open(Role role,
                                      std::optional<Role> previous = std::nullopt) const = 0;
  [[nodiscard]] virtual Segments close(Role role) const = 0;
  /// What the generation prompt adds behind an assistant turn's opening ("<think>\n").
  [[nodiscard]] virtual Segments generation_suffix() const { return {}; }
  [[nodiscard]] virtual TextForm text_form(Role) const { return TextForm::kPlain; }

  /// Why the pieces do not give what the template would: the part that changes when a turn is
  /// added. Empty where they give it.
  [[nodiscard]] virtual std::string_view not_incremental() const { return ""; }
  /// Whether the reasoning before "</think>" goes from assistant turns once they are history.
  [[nodiscard]] virtual bool drops_reasoning() const { return false; }

  /// A whole conversation as the template writes it. `messages`: an array of {"role", "content", …}
  /// as the OpenAI API has them; `tools`: an array of function definitions, or null. Errors:
  /// kInvalid where the template refuses the conversation, kUnsupported without a template, kLimit.
  [[nodiscard]] virtual Result<Segments> render(const Json& messages, const Json& tools,
                                                bool generation_prompt) const = 0;
  /// `messages` and what stands behind them, up to where the text of one more turn of `next` starts
  /// (for the assistant: with the generation prompt). What the pieces give, where they do; else the
  /// only exact way to add a turn. `fields`: an object with what that turn's message has besides
  /// its role and text, as the id of the call that a result answers. Errors as render().
  [[nodiscard]] virtual Result<Segments> render_before(const Json& messages, Role next,
                                                       const Json& fields) const = 0;
  /// The same up to where the calls begin (form().begin) of an assistant turn that holds nothing
  /// else. kUnsupported where the template does not say.
  [[nodiscard]] virtual Result<Segments> render_before_calls(const Json& /*messages*/) const {
    return fail(ErrorCode::kUnsupported, "the model's chat template writes no calls");
  }
  /// How the model writes tool calls; null where that is not known.
  [[nodiscard]] virtual const ToolSyntax* tool_syntax() const { return nullptr; }
  /// The same template with these function definitions (an array, as the OpenAI API has them) in
  /// every conversation, where and as the template writes them; its pieces are found anew, so keep
  /// it. kUnsupported where the template writes none, or fails at these.
  [[nodiscard]] virtual Result<std::shared_ptr<const ChatTemplate>> with_tools(
      const Json& /*definitions*/) const {
    return fail(ErrorCode::kUnsupported, "the model's chat template writes no tool definitions");
  }
};

}  // namespace espalier::runtime
