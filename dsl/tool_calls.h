// Tool calls as the model at hand writes them, and how a program's tools are declared to it.
//
// A model that was trained to call tools has seen them in its chat template's own form: so calls
// are written and masked in that form (runtime/chat's ToolSyntax), and the declarations of the
// tools that a generator's holes can call stand where the template puts them. A model without a
// form has the plain one: {"name": …, "arguments": {…}}, and the declarations behind the first
// system turn's text, or before the first turn's text where that is the user's.
//
// Everything here is immutable or a pure function.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "dsl/context.h"
#include "dsl/program.h"
#include "dsl/value.h"
#include "runtime/chat/chat_template.h"
#include "runtime/chat/tool_syntax.h"

namespace espalier::dsl {

/// The form of the template; the plain one where it has none, or has control tokens that cannot be
/// put into a mask (they take white space along, or end the turn), or where control tokens and ids
/// would be lost because a template that changes earlier turns takes no calls in a message.
[[nodiscard]] CallSyntax call_syntax(const runtime::Tokenizer& tokenizer,
                                     const runtime::ChatTemplate& chat);

/// A model's parts, with how it writes calls.
[[nodiscard]] ModelParts model_parts(std::shared_ptr<const runtime::Tokenizer> tokenizer,
                                     std::shared_ptr<const runtime::ChatTemplate> chat,
                                     std::uint32_t context);

/// A call, or a list of one or more calls.
[[nodiscard]] bool is_calls(const Value& value);
/// As the model knows them, under their real names and without ids. is_calls(value) holds.
[[nodiscard]] std::vector<runtime::ToolCall> calls_of(const Program& program, const Value& value);

/// What the holes of `gen`, and of what it splices, can call: an array of function definitions as
/// the OpenAI API has them, in declared order. Names, descriptions and schemas are the program's.
[[nodiscard]] Json tool_definitions(const Program& program, const GenInfo& gen);

/// The model's template with these definitions (not empty) in every conversation, in its own form
/// or in the plain one, which `plain` asks for. The same template where it has no turns at all.
[[nodiscard]] std::shared_ptr<const runtime::ChatTemplate> declaring(const ModelParts& model,
                                                                     const Json& definitions,
                                                                     bool plain = false);
/// What of the model a program's contexts need: calls in the form that its `config` asks for, and
/// `definitions` (if any) declared.
[[nodiscard]] ModelParts parts_for(const ModelParts& model, const Program& program,
                                   const Json& definitions);

}  // namespace espalier::dsl
