// How a model writes tool calls, and how they are read back.
//
// The form in which the template writes calls is found by rendering probes; the family's row of a
// small table is the authority on parsing what the model writes, because a template shows one way
// of writing and a model was trained on the family's.
//
// Immutable; safe from any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/call_form.h"
#include "grammar/json.h"
#include "runtime/chat/conversation.h"

namespace espalier::runtime {

struct ToolCall {
  std::string name;
  Json arguments = Json::object();
  std::string id;  // empty where the text has none
  bool operator==(const ToolCall&) const = default;
};

/// What a model's turn says: text, and the calls it makes.
struct AssistantTurn {
  std::string text;
  std::vector<ToolCall> calls;
};

/// Calls in a form: one alone, or (`list`) several as a turn has them, in a JSON array where the
/// form is for one call alone.
[[nodiscard]] std::string write_calls(const grammar::CallForm& form,
                                      const std::vector<ToolCall>& calls, bool list);

class ToolSyntax {
 public:
  virtual ~ToolSyntax() = default;

  using Form = grammar::CallForm;
  [[nodiscard]] virtual const Form& form() const = 0;
  /// Whether the template writes tool definitions, calls, and results at all.
  [[nodiscard]] virtual bool writes_definitions() const = 0;
  [[nodiscard]] virtual bool writes_calls() const = 0;
  [[nodiscard]] virtual bool writes_results() const = 0;
  /// Whether the template takes a call's arguments as JSON text rather than as an object.
  [[nodiscard]] virtual bool arguments_as_text() const = 0;

  /// The member of a message with calls that holds the text in front of them: "content", or another
  /// that the template has for it; empty where it leaves such a text out.
  [[nodiscard]] virtual std::string_view text_before_calls() const = 0;
  /// Reads a whole assistant turn (without its end-of-turn token). Text without a call gives no
  /// calls; a call that is begun and not whole is kInvalid with its offset. O(n).
  [[nodiscard]] virtual Result<AssistantTurn> parse(std::string_view turn) const = 0;
  /// An assistant message with calls, in the shape this template takes.
  [[nodiscard]] virtual Json message(const std::vector<ToolCall>& calls) const = 0;
};

/// Null where the family's syntax is not in the table and the probes do not show one of the
/// table's.
[[nodiscard]] std::shared_ptr<const ToolSyntax> find_tool_syntax(
    std::string_view family, const ConversationTemplate& conversation);

}  // namespace espalier::runtime
