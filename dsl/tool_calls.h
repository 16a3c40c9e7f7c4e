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

#include "base/result.h"
#include "dsl/context.h"
#include "dsl/program.h"
#include "dsl/value.h"
#include "grammar/call_form.h"
#include "runtime/chat/chat_template.h"

namespace espalier::dsl {

struct CallSyntax {
  grammar::CallForm form = grammar::kPlainCall;
  /// Written before a hole of calls: the form's control tokens, which no mask can give. They are
  /// no part of `form`.
  runtime::Segments lead;
};

/// The form of the model's template; the plain one where it has none, or has control tokens
/// elsewhere than at its very beginning (a mask can only give text).
[[nodiscard]] CallSyntax call_syntax(const ModelParts& model);

/// A call, or a list of one or more calls.
[[nodiscard]] bool is_calls(const Value& value);
/// Whether a hole of this type is a call or a list of calls.
[[nodiscard]] bool is_calls(const grammar::TypeRef& type);
/// As the model would write it, without the lead. is_calls(value) holds.
[[nodiscard]] std::string calls_text(const Program& program, const grammar::CallForm& form,
                                     const Value& value);

/// What the holes of `gen`, and of what it splices, can call: an array of function definitions as
/// the OpenAI API has them, in declared order. Names, descriptions and schemas are the program's.
[[nodiscard]] Json tool_definitions(const Program& program, const GenInfo& gen);

/// `chat` with these definitions (not empty) in every conversation, in the template's form or in
/// the plain one. The same template where it has no turns at all.
[[nodiscard]] std::shared_ptr<const runtime::ChatTemplate> declaring(
    const std::shared_ptr<const runtime::ChatTemplate>& chat, const Json& definitions);

}  // namespace espalier::dsl
