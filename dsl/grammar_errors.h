// What is said where the grammar expected something else: one message a commit point. Kept apart
// from the rules, so that each can be read alone.
#pragma once

#include "dsl/grammar.h"

namespace espalier::dsl::syntax {

template <class Rule>
inline constexpr ErrorText kErrorOf{"E0100", "expected something else here"};

#define ESP_EXPECT(RULE, ...)                 \
  template <>                                 \
  inline constexpr ErrorText kErrorOf<RULE> { \
    __VA_ARGS__                               \
  }
// clang-format off
ESP_EXPECT(comment_end, "E0115", "this comment is never closed", Hint::kUnterminated, "end it with `*/`");
ESP_EXPECT(until<comment_end>, "E0115", "this comment is never closed", Hint::kUnterminated, "end it with `*/`");
ESP_EXPECT(string_end, "E0115", "this string is never closed", Hint::kUnterminated, "end it with `\"` on the same line");
ESP_EXPECT(regex_end, "E0115", "this pattern is never closed", Hint::kUnterminated, "end it with `/` on the same line; a `/` inside is written `\\/`");
ESP_EXPECT(text_end, "E0115", "this text is never closed", Hint::kUnterminated, "end it with `\"` on the same line, or use `\"\"\"` for several lines");
ESP_EXPECT(block_text_end, "E0115", "this text is never closed", Hint::kUnterminated, "end it with `\"\"\"`");

ESP_EXPECT(lbrace, "E0100", "expected `{`");
ESP_EXPECT(rbrace, "E0100", "expected `}`", Hint::kCloses);
ESP_EXPECT(lparen, "E0100", "expected `(`");
ESP_EXPECT(rparen, "E0100", "expected `)`", Hint::kCloses);
ESP_EXPECT(rbracket, "E0100", "expected `]`", Hint::kCloses);
ESP_EXPECT(colon, "E0100", "expected `:`");
ESP_EXPECT(field_colon, "E0100", "expected `:` and a type after the name");
ESP_EXPECT(assign, "E0100", "expected `=`");
ESP_EXPECT(fat_arrow, "E0100", "expected `=>` after the pattern");
ESP_EXPECT(name, "E0100", "expected a name");
ESP_EXPECT(key, "E0100", "expected a field's name");
ESP_EXPECT(number, "E0100", "expected a number");
ESP_EXPECT(plain_string, "E0100", "expected a string");
ESP_EXPECT(head_end, "E0100", "expected `{`", Hint::kHead);

ESP_EXPECT(type, "E0100", "expected a type");
ESP_EXPECT(type_postfix, "E0100", "expected a type after `|`");
ESP_EXPECT(type_argument, "E0100", "expected a range or a type");
ESP_EXPECT(range, "E0100", "expected a range, as in `{1..3}`");

ESP_EXPECT(hole_name, "E0110", "expected a name after `$[`", Hint::kFound, "a hole is `$[name: type]`; for a literal `$[` write `$$[`");
ESP_EXPECT(hole_colon, "E0110", "expected `:` and a type after the hole's name", Hint::kHoleColon);
ESP_EXPECT(hole_end, "E0110", "expected `]` at the end of the hole", Hint::kCloses);
ESP_EXPECT(option_name, "E0110", "expected an option after `,`", Hint::kFound, "for example `max=80` or `temperature=0.7`");
ESP_EXPECT(option_assign, "E0110", "expected `=` after the option's name");
ESP_EXPECT(insert_end, "E0110", "expected `}` at the end of the insert", Hint::kCloses);

ESP_EXPECT(expr, "E0100", "expected an expression");
ESP_EXPECT(let_value, "E0100", "expected an expression");
ESP_EXPECT(condition, "E0100", "expected a condition");
ESP_EXPECT(operand, "E0100", "expected a call");
ESP_EXPECT(unary, "E0100", "expected an expression after the operator");
ESP_EXPECT(mul_expr, "E0100", "expected an expression after the operator");
ESP_EXPECT(add_expr, "E0100", "expected an expression after the operator", Hint::kOperand);
ESP_EXPECT(range_expr, "E0100", "expected an expression after the operator");
ESP_EXPECT(compare_expr, "E0100", "expected an expression after `and`");
ESP_EXPECT(and_expr, "E0100", "expected an expression after `or`");
ESP_EXPECT(kw_in, "E0100", "expected `in` and a list or a range");
ESP_EXPECT(kw_else, "E0100", "expected `else`: an `if` that gives a value needs both sides");
ESP_EXPECT(argument, "E0100", "expected an argument");

ESP_EXPECT(block, "E0100", "expected `{`");
ESP_EXPECT(block_or_text, "E0100", "expected a text or a block after the role", Hint::kFound, "a text stands in quotes; a value is put into one: `\"${value}\"`");
ESP_EXPECT(require_message, "E0100", "expected the message, a text, after `,`");
ESP_EXPECT(statement_expected, "E0100", "expected a statement or `}`", Hint::kStatement);
ESP_EXPECT(arm_expected, "E0100", "expected a pattern and `=>`, or `}`");
ESP_EXPECT(item_expected, "E0100", "expected a name or `}`");
ESP_EXPECT(declaration_expected, "E0100", "expected a declaration", Hint::kDeclaration, "a file holds `gen`, `tool`, `record`, `enum`, `type`, `grammar`, `config`, `use` and `test`");

ESP_EXPECT(use_what, "E0100", "expected `as name` or `{ names }` after the file");
ESP_EXPECT(alternatives, "E0100", "expected a pattern, a string or a rule's name");
ESP_EXPECT(sequence, "E0100", "expected a pattern, a string or a rule's name after `|`");
ESP_EXPECT(parameters, "E0100", "expected `(` and the parameters");
ESP_EXPECT(record_literal, "E0100", "expected `{` and the mocked values");
// clang-format on
#undef ESP_EXPECT

/// must<sor<…>> written in place.
template <class... Rules>
inline constexpr ErrorText kErrorOf<sor<Rules...>>{"E0100", "expected a statement or a block"};
template <>
inline constexpr ErrorText kErrorOf<sor<expect_type, expr>>{
    "E0100", "expected an expression, or a type and `accepts`"};

}  // namespace espalier::dsl::syntax
