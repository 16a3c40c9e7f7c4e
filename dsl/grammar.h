// The grammar of .gen files as PEGTL rules: docs/language.md's PEG, rule by rule.
//
// Rules only say what may stand where. What is kept of a match is listed at the end (kind_of);
// messages are in grammar_errors.h; where parsing goes on after an error is in recovery.h:
// `recovered<R, S>` is R, but an error in it is reported and the input skipped as S says. Every
// `must` is a commit point: past it only one reading is possible, so that the error stands where
// the input really went wrong. Tokens eat the space after them.
//
// PEGTL is costly to compile: only syntax.cpp and one test include this header.
#pragma once

#include <optional>
#include <tao/pegtl.hpp>
#include <utility>

#include "dsl/recovery.h"
#include "dsl/syntax_tree.h"

namespace espalier::dsl::syntax {

// A grammar is written in its vocabulary.
using namespace tao::pegtl;  // NOLINT(google-build-using-namespace)
using tao::pegtl::raise;     // not that of <csignal>

// ---- rules that steer the parser
// ----------------------------------------------------------------------------------

/// R; after an error in it, skips to where `Where` says and goes on as if R had matched nothing.
template <class Rule, Skip Where>
struct recovered {
  using rule_t = typename tao::pegtl::seq<Rule>::rule_t;
  using subs_t = type_list<Rule>;
  template <apply_mode A, rewind_mode M, template <class...> class Action,
            template <class...> class Control, class Input, class... States>
  [[nodiscard]] static bool match(Input& in, States&&... st) {
    // What may be read otherwise is no error yet.
    if (tentatively(st...)) return Control<Rule>::template match<A, M, Action, Control>(in, st...);
    const auto begin = static_cast<std::uint32_t>(in.byte());
    const std::size_t kept_nodes = node_count(st...);
    try {
      return Control<Rule>::template match<A, M, Action, Control>(in, st...);
    } catch (Failure& failure) {
      const std::optional<std::uint32_t> to = recover(Where, failure, begin, kept_nodes, st...);
      if (!to) throw;
      in.iterator() = in.begin() + *to;
      return true;
    }
  }
};

/// R, an error in it being no match: for the one place where the grammar must look further ahead.
template <class Rule>
struct tentative {
  using rule_t = typename tao::pegtl::seq<Rule>::rule_t;
  using subs_t = type_list<Rule>;
  template <apply_mode A, rewind_mode M, template <class...> class Action,
            template <class...> class Control, class Input, class... States>
  [[nodiscard]] static bool match(Input& in, States&&... st) {
    auto mark = in.template mark<rewind_mode::required>();
    const bool outer = std::exchange(tentatively(st...), true);
    bool matched = false;
    try {
      matched = Control<Rule>::template match<A, rewind_mode::active, Action, Control>(in, st...);
    } catch (const Failure&) {
      matched = false;
    }
    tentatively(st...) = outer;
    return mark(matched);
  }
};

// ---- space, comments, tokens
// --------------------------------------------------------------------------------------

struct doc_comment : seq<string<'/', '/', '/'>, star<not_one<'\n'>>> {};
struct line_comment : seq<two<'/'>, star<not_one<'\n'>>> {};
struct comment_end : string<'*', '/'> {};
struct block_comment : if_must<string<'/', '*'>, until<comment_end>> {};
struct ws : star<sor<plus<one<' ', '\t', '\r', '\n'>>, doc_comment, line_comment, block_comment>> {
};

template <class... Rules>
struct token : seq<Rules..., ws> {};
template <char... C>
struct word : token<string<C...>, not_at<identifier_other>> {};

// clang-format off
struct kw_use : word<'u','s','e'> {};          struct kw_as : word<'a','s'> {};
struct kw_config : word<'c','o','n','f','i','g'> {};
struct kw_record : word<'r','e','c','o','r','d'> {};
struct kw_enum : word<'e','n','u','m'> {};     struct kw_type : word<'t','y','p','e'> {};
struct kw_grammar : word<'g','r','a','m','m','a','r'> {};
struct kw_tool : word<'t','o','o','l'> {};     struct kw_gen : word<'g','e','n'> {};
struct kw_test : word<'t','e','s','t'> {};     struct kw_expect : word<'e','x','p','e','c','t'> {};
struct kw_let : word<'l','e','t'> {};          struct kw_if : word<'i','f'> {};
struct kw_else : word<'e','l','s','e'> {};     struct kw_for : word<'f','o','r'> {};
struct kw_in : word<'i','n'> {};               struct kw_match : word<'m','a','t','c','h'> {};
struct kw_retry : word<'r','e','t','r','y'> {};
struct kw_require : word<'r','e','q','u','i','r','e'> {};
struct kw_splice : word<'s','p','l','i','c','e'> {};
struct kw_return : word<'r','e','t','u','r','n'> {};
struct kw_yield : word<'y','i','e','l','d'> {}; struct kw_break : word<'b','r','e','a','k'> {};
struct kw_null : word<'n','u','l','l'> {};     struct kw_true : word<'t','r','u','e'> {};
struct kw_false : word<'f','a','l','s','e'> {}; struct kw_select : word<'s','e','l','e','c','t'> {};
struct kw_run : word<'r','u','n'> {};          struct kw_fork : word<'f','o','r','k'> {};
struct kw_or : word<'o','r'> {};               struct kw_and : word<'a','n','d'> {};
struct kw_not : word<'n','o','t'> {};
// Contextual: names everywhere else.
struct kw_mock : word<'m','o','c','k'> {};     struct kw_accepts : word<'a','c','c','e','p','t','s'> {};
struct kw_rejects : word<'r','e','j','e','c','t','s'> {};
struct kw_from : word<'f','r','o','m'> {};     struct kw_by : word<'b','y'> {};
struct kw_turn : word<'t','u','r','n'> {};

struct role_word : seq<sor<string<'s','y','s','t','e','m'>, string<'u','s','e','r'>,
                           string<'a','s','s','i','s','t','a','n','t'>, string<'t','o','o','l'>>,
                       not_at<identifier_other>> {};

struct keyword_word : seq<sor<
    string<'u','s','e','r'>, string<'u','s','e'>, string<'a','s','s','i','s','t','a','n','t'>, string<'a','s'>,
    string<'c','o','n','f','i','g'>, string<'r','e','c','o','r','d'>,
    string<'e','n','u','m'>, string<'t','y','p','e'>, string<'g','r','a','m','m','a','r'>, string<'t','o','o','l'>,
    string<'g','e','n'>, string<'t','e','s','t'>, string<'e','x','p','e','c','t'>, string<'s','y','s','t','e','m'>,
    string<'l','e','t'>, string<'i','f'>,
    string<'e','l','s','e'>, string<'f','o','r','k'>, string<'f','o','r'>, string<'i','n'>, string<'m','a','t','c','h'>,
    string<'r','e','t','r','y'>, string<'r','e','q','u','i','r','e'>, string<'s','p','l','i','c','e'>,
    string<'r','e','t','u','r','n'>, string<'y','i','e','l','d'>, string<'b','r','e','a','k'>,
    string<'n','u','l','l'>, string<'t','r','u','e'>, string<'f','a','l','s','e'>, string<'s','e','l','e','c','t'>,
    string<'r','u','n'>, string<'o','r'>, string<'a','n','d'>, string<'n','o','t'>>> {};
// clang-format on
// Longer words stand before their own prefixes (user, use); the boundary keeps "format" a name.
struct reserved : seq<at<identifier>, keyword_word, not_at<identifier_other>> {};

struct lbrace : token<one<'{'>> {};
struct rbrace : token<one<'}'>> {};
struct lparen : token<one<'('>> {};
struct rparen : token<one<')'>> {};
struct lbracket : token<one<'['>> {};
struct rbracket : token<one<']'>> {};
struct comma : token<one<','>> {};
struct colon : token<one<':'>> {};
struct bar : token<one<'|'>> {};
struct dot : token<one<'.'>, not_at<one<'.'>>> {};
struct assign : token<one<'='>, not_at<one<'=', '>'>>> {};
struct arrow : token<string<'-', '>'>> {};
struct fat_arrow : token<string<'=', '>'>> {};
struct dotdot_token : two<'.'> {};
struct dotdot : token<dotdot_token> {};
struct question_token : one<'?'> {};
struct question : token<question_token> {};

struct name_token : seq<not_at<reserved>, identifier> {};
struct name : token<name_token> {};
struct key_token : identifier {};
struct key : token<key_token> {};
struct number_token : seq<opt<one<'-'>>, plus<digit>, opt<one<'.'>, plus<digit>>> {};
struct number : token<number_token> {};
struct string_end : one<'"'> {};
struct string_token
    : if_must<one<'"'>, star<not_at<one<'"', '\n'>>, sor<seq<one<'\\'>, any>, any>>, string_end> {};
struct plain_string : token<string_token> {};
struct regex_end : one<'/'> {};
struct regex_token
    : seq<one<'/'>, plus<not_at<one<'/', '\n'>>, sor<seq<one<'\\'>, not_one<'\n'>>, not_one<'\\'>>>,
          must<regex_end>> {};
struct regex : token<regex_token> {};

// ---- types
// --------------------------------------------------------------------------------------------------------

struct type;
struct expr;
struct block;
struct text;

struct range : sor<seq<dotdot, opt<number>>, seq<number, opt<dotdot, opt<number>>>> {};

struct as_name : if_must<kw_as, plain_string> {};
struct field_colon : colon {};
struct field : seq<key, opt<as_name>, opt<question>, must<field_colon>, must<type>> {};
struct default_value : if_must<assign, expr> {};
struct parameter_field
    : seq<key, opt<as_name>, opt<question>, must<field_colon>, must<type>, opt<default_value>> {};

struct record_type : if_must<lbrace, recovered<field, Skip::kItem>,
                             star<comma, recovered<field, Skip::kItem>>, opt<comma>, rbrace> {};
struct type_argument : sor<regex, range, type> {};
struct type_arguments
    : if_must<lparen, type_argument, star<if_must<comma, type_argument>>, rparen> {};
struct type_member : if_must<dot, name> {};
struct named_type : seq<name, opt<type_member>, opt<type_arguments>> {};
struct paren_type : if_must<lparen, type, rparen> {};
struct length : if_must<lbracket, opt<range>, rbracket> {};
struct null_type : kw_null {};
struct type_primary
    : sor<record_type, regex, plain_string, number, null_type, named_type, paren_type> {};
struct type_postfix : seq<type_primary, star<sor<question, length>>> {};
struct type : seq<type_postfix, star<if_must<bar, type_postfix>>> {};

// ---- text
// ---------------------------------------------------------------------------------------------------------

struct select_word : kw_select {};
struct from_option : if_must<kw_from, expr> {};
struct by_option : if_must<kw_by, name> {};
struct option_name : name {};
struct option_assign : assign {};
struct hole_option : if_must<comma, option_name, option_assign, expr> {};
struct hole_name : name {};
struct hole_colon : colon {};
struct hole_end : one<']'> {};
struct hole_body : if_must<string<'$', '['>, ws, hole_name, hole_colon, opt<select_word>, type,
                           star<sor<from_option, by_option, hole_option>>, hole_end> {};
struct hole : recovered<hole_body, Skip::kHole> {};
struct insert_run : kw_run {};
struct insert_end : one<'}'> {};
struct insert_body : if_must<string<'$', '{'>, ws, opt<insert_run>, expr, insert_end> {};
struct insert : recovered<insert_body, Skip::kInsert> {};

struct dollar_brace : string<'$', '$', '{'> {};
struct dollar_bracket : string<'$', '$', '['> {};
struct escape : seq<one<'\\'>, any> {};
struct special : sor<dollar_brace, dollar_bracket, hole, insert, escape> {};
// A run of plain characters; `$` is one unless it opens something.
struct special_dollar
    : sor<string<'$', '['>, string<'$', '{'>, string<'$', '$', '{'>, string<'$', '$', '['>> {};
struct line_run : plus<sor<not_one<'"', '\n', '\\', '$'>, seq<not_at<special_dollar>, one<'$'>>>> {
};
struct block_run : plus<not_at<string<'"', '"', '"'>>,
                        sor<not_one<'\\', '$'>, seq<not_at<special_dollar>, one<'$'>>>> {};
struct block_text_end : string<'"', '"', '"'> {};
struct text_end : one<'"'> {};
struct block_text
    : if_must<string<'"', '"', '"'>, star<not_at<string<'"', '"', '"'>>, sor<special, block_run>>,
              block_text_end> {};
struct line_text : if_must<one<'"'>, star<sor<special, line_run>>, text_end> {};
struct text : token<sor<block_text, line_text>> {};

// ---- expressions
// --------------------------------------------------------------------------------------------------

struct or_expr;
struct postfix;
struct condition : seq<or_expr> {};
struct operand : seq<postfix> {};

struct true_word : kw_true {};
struct false_word : kw_false {};
struct null_word : kw_null {};
struct fork_each : seq<name, kw_in, must<expr>> {};
struct fork_expr : if_must<kw_fork, opt<sor<fork_each, seq<not_at<one<'{'>>, expr>>>, block> {};
struct entry : seq<key, opt<if_must<colon, expr>>> {};
struct record_literal : if_must<lbrace, opt<entry, star<comma, entry>, opt<comma>>, rbrace> {};
struct list_literal : if_must<lbracket, opt<expr, star<comma, expr>, opt<comma>>, rbracket> {};
struct selector : seq<dot, must<key>> {};
struct paren_expr : if_must<lparen, expr, rparen> {};
struct variable : name {};
struct primary : sor<number, text, true_word, false_word, null_word, fork_expr, record_literal,
                     list_literal, selector, paren_expr, variable> {};
struct argument_name : seq<name, colon> {};
struct argument : seq<opt<argument_name>, expr> {};
struct call : if_must<lparen, opt<argument, star<comma, argument>, opt<comma>>, rparen> {};
struct member : if_must<dot, key> {};
struct index : if_must<lbracket, expr, rbracket> {};
struct postfix : seq<primary, star<sor<call, member, index>>> {};
struct prefix_token : sor<seq<string<'n', 'o', 't'>, not_at<identifier_other>>, one<'-'>> {};
struct prefix : token<prefix_token> {};
struct unary : seq<star<prefix>, postfix> {};

struct mul_token : one<'*', '/', '%'> {};
struct add_token : seq<one<'+', '-'>, not_at<one<'>'>>> {};
struct range_token : two<'.'> {};
struct compare_token : sor<two<'='>, string<'!', '='>, string<'<', '='>, string<'>', '='>,
                           one<'<', '>'>, seq<string<'i', 'n'>, not_at<identifier_other>>> {};
struct and_token : seq<string<'a', 'n', 'd'>, not_at<identifier_other>> {};
struct or_token : seq<string<'o', 'r'>, not_at<identifier_other>> {};
struct mul_op : token<mul_token> {};
struct add_op : token<add_token> {};
struct range_op : token<range_token> {};
struct compare_op : token<compare_token> {};
struct and_op : token<and_token> {};
struct or_op : token<or_token> {};

struct mul_expr : seq<unary, star<if_must<mul_op, unary>>> {};
struct add_expr : seq<mul_expr, star<if_must<add_op, mul_expr>>> {};
struct range_expr : seq<add_expr, opt<if_must<range_op, add_expr>>> {};
struct compare_expr : seq<range_expr, opt<if_must<compare_op, range_expr>>> {};
struct and_expr : seq<compare_expr, star<if_must<and_op, compare_expr>>> {};
struct or_expr : seq<and_expr, star<if_must<or_op, and_expr>>> {};

struct conditional
    : if_must<kw_if, condition, lbrace, expr, rbrace, kw_else, lbrace, expr, rbrace> {};
struct run_expr : if_must<kw_run, operand> {};
struct expr : sor<conditional, run_expr, or_expr> {};

// ---- statements
// ---------------------------------------------------------------------------------------------------

struct statement;
struct decl_word : sor<kw_use, kw_config, kw_record, kw_enum, kw_type, kw_grammar, kw_gen, kw_test,
                       seq<kw_tool, not_at<one<'"', '{'>>>> {};
struct statement_expected : failure {};
struct bad_statement : seq<not_at<sor<one<'}'>, eof, decl_word>>, raise<statement_expected>> {};
struct block
    : if_must<lbrace, star<recovered<sor<statement, bad_statement>, Skip::kStatement>>, rbrace> {};
struct block_or_text : sor<block, text> {};

struct role : if_must<token<role_word>, block_or_text> {};
struct turn : if_must<kw_turn, expr, block_or_text> {};
struct of_type : if_must<colon, type> {};
struct let : if_must<kw_let, name, opt<of_type>, assign, expr> {};
struct for_statement;
struct let_value : sor<for_statement, expr> {};
struct let_statement : if_must<kw_let, name, opt<of_type>, assign, let_value> {};
struct head_end : at<one<'{'>> {};
struct if_head : must<condition, head_end> {};
struct else_part;
struct if_statement
    : seq<kw_if, recovered<if_head, Skip::kHead>, must<block>,
          star<kw_else, kw_if, recovered<if_head, Skip::kHead>, must<block>>, opt<else_part>> {};
struct else_part : if_must<kw_else, block> {};
struct for_head : must<name, kw_in, expr, head_end> {};
struct for_statement : seq<kw_for, recovered<for_head, Skip::kHead>, must<block>> {};

struct bindings : if_must<lparen, name, star<if_must<comma, name>>, rparen> {};
struct pattern : sor<plain_string, number, null_word, true_word, false_word,
                     seq<name, opt<sor<bindings, of_type>>>> {};
struct arm : seq<pattern, must<fat_arrow>, must<sor<block, statement>>, opt<comma>> {};
struct arm_expected : failure {};
struct bad_arm : seq<not_at<sor<one<'}'>, eof, decl_word>>, raise<arm_expected>> {};
struct match_head : must<expr, head_end> {};
struct match_statement : seq<kw_match, recovered<match_head, Skip::kHead>, must<lbrace>,
                             star<recovered<sor<arm, bad_arm>, Skip::kArm>>, must<rbrace>> {};
struct retry_as : if_must<kw_as, name> {};
struct retry_head : seq<must<number>, opt<retry_as>, must<head_end>> {};
struct retry_statement
    : seq<kw_retry, recovered<retry_head, Skip::kHead>, must<block>, opt<else_part>> {};
struct require_message : text {};
struct require_statement : if_must<kw_require, expr, opt<if_must<comma, require_message>>> {};
struct splice_statement : if_must<kw_splice, operand> {};
struct return_statement : seq<kw_return, opt<expr>> {};
struct yield_statement : if_must<kw_yield, expr> {};
struct break_statement : kw_break {};
struct statement : sor<role, turn, let_statement, if_statement, for_statement, match_statement,
                       retry_statement, require_statement, splice_statement, return_statement,
                       yield_statement, break_statement, text> {};

// ---- declarations
// -------------------------------------------------------------------------------------------------

struct use_as : if_must<kw_as, name> {};
struct use_names : if_must<lbrace, name, star<if_must<comma, name>>, rbrace> {};
struct use_what : sor<use_as, use_names> {};
struct use : if_must<kw_use, plain_string, use_what> {};

struct item_expected : failure {};
struct bad_item : seq<not_at<sor<one<'}'>, eof>>, raise<item_expected>> {};
template <class Item>
struct item_block
    : if_must<lbrace, star<recovered<sor<Item, bad_item>, Skip::kItem>, opt<comma>>, rbrace> {};

struct config_entry : seq<key, must<colon>, must<expr>> {};
struct config : if_must<kw_config, item_block<config_entry>> {};
struct record : if_must<kw_record, name, item_block<parameter_field>> {};
struct enum_case : seq<name, opt<as_name>> {};
struct enumeration : if_must<kw_enum, name, item_block<enum_case>> {};
struct alias : if_must<kw_type, name, assign, type> {};

struct alternatives;
struct group : if_must<lparen, alternatives, rparen> {};
struct count : if_must<lbrace, range, rbrace> {};
struct repeat_token : one<'*', '+', '?'> {};
struct repeat : token<repeat_token> {};
struct item : seq<sor<regex, plain_string, name, group>, opt<sor<repeat, count>>> {};
struct rule_start : seq<not_at<reserved>, identifier, ws, assign> {};
struct sequence : plus<not_at<rule_start>, item> {};
struct alternatives : seq<sequence, star<if_must<bar, sequence>>> {};
struct rule : seq<name, must<assign>, must<alternatives>> {};
struct grammar_declaration : if_must<kw_grammar, name, item_block<rule>> {};

struct parameters : if_must<lparen,
                            opt<recovered<parameter_field, Skip::kItem>,
                                star<comma, recovered<parameter_field, Skip::kItem>>, opt<comma>>,
                            rparen> {};
struct result : if_must<arrow, type> {};
struct transport : if_must<assign, name, plain_string> {};
struct tool : if_must<kw_tool, name, opt<as_name>, parameters, opt<result>, opt<transport>> {};
struct gen_head : seq<must<name>, must<parameters>, opt<result>, must<head_end>> {};
struct gen : seq<kw_gen, recovered<gen_head, Skip::kHead>, must<block>> {};

struct mock : if_must<kw_mock, record_literal> {};
struct accepts : sor<kw_accepts, kw_rejects> {};
struct expect_type : seq<tentative<type>, accepts, must<plain_string>> {};
struct expectation : if_must<kw_expect, sor<expect_type, expr>> {};
struct test : if_must<kw_test, plain_string, item_block<sor<mock, let, expectation>>> {};

struct declaration
    : sor<use, config, record, enumeration, alias, grammar_declaration, tool, gen, test> {};
struct declaration_expected : failure {};
struct bad_declaration : seq<not_at<eof>, raise<declaration_expected>> {};
struct file : seq<opt<utf8::bom>, ws,
                  star<recovered<sor<declaration, bad_declaration>, Skip::kDeclaration>>, eof> {};

// ---- what is kept
// -------------------------------------------------------------------------------------------------

/// The Kind of the node that a match of Rule leaves; kFile stands for none where `kept` is false.
template <class Rule>
struct kept : std::false_type {};
#define ESP_KEEP(RULE, KIND)                 \
  template <>                                \
  struct kept<RULE> : std::true_type {       \
    static constexpr Kind kind = Kind::KIND; \
  }
// clang-format off
ESP_KEEP(doc_comment, kDoc);
ESP_KEEP(block_comment, kComment);
ESP_KEEP(name_token, kName);
ESP_KEEP(key_token, kKey);
ESP_KEEP(number_token, kNumber);
ESP_KEEP(string_token, kString);
ESP_KEEP(regex_token, kRegex);
ESP_KEEP(question_token, kQuestion);
ESP_KEEP(dotdot_token, kDotDot);
ESP_KEEP(range, kRange);
ESP_KEEP(as_name, kAs);
ESP_KEEP(retry_as, kAs);
ESP_KEEP(field, kField);
ESP_KEEP(parameter_field, kField);
ESP_KEEP(default_value, kDefault);
ESP_KEEP(record_type, kRecordType);
ESP_KEEP(type_arguments, kTypeArguments);
ESP_KEEP(type_member, kMember);
ESP_KEEP(named_type, kNamedType);
ESP_KEEP(paren_type, kParenType);
ESP_KEEP(length, kLength);
ESP_KEEP(type, kType);
ESP_KEEP(select_word, kSelect);
ESP_KEEP(from_option, kFrom);
ESP_KEEP(by_option, kBy);
ESP_KEEP(hole_option, kOption);
ESP_KEEP(hole_body, kHole);
ESP_KEEP(insert_run, kInsertRun);
ESP_KEEP(insert_body, kInsert);
ESP_KEEP(dollar_brace, kDollarBrace);
ESP_KEEP(dollar_bracket, kDollarBracket);
ESP_KEEP(escape, kEscape);
ESP_KEEP(line_run, kRun);
ESP_KEEP(block_run, kRun);
ESP_KEEP(block_text, kBlockText);
ESP_KEEP(line_text, kText);
ESP_KEEP(true_word, kTrue);
ESP_KEEP(false_word, kFalse);
ESP_KEEP(null_word, kNull);
ESP_KEEP(null_type, kNull);
ESP_KEEP(fork_each, kForkEach);
ESP_KEEP(fork_expr, kFork);
ESP_KEEP(entry, kEntry);
ESP_KEEP(record_literal, kRecordLiteral);
ESP_KEEP(list_literal, kList);
ESP_KEEP(selector, kSelector);
ESP_KEEP(paren_expr, kParen);
ESP_KEEP(argument_name, kArgumentName);
ESP_KEEP(argument, kArgument);
ESP_KEEP(call, kCall);
ESP_KEEP(member, kMember);
ESP_KEEP(index, kIndex);
ESP_KEEP(prefix_token, kPrefix);
ESP_KEEP(mul_token, kOperator);
ESP_KEEP(add_token, kOperator);
ESP_KEEP(range_token, kOperator);
ESP_KEEP(compare_token, kOperator);
ESP_KEEP(and_token, kOperator);
ESP_KEEP(or_token, kOperator);
ESP_KEEP(condition, kExpr);
ESP_KEEP(operand, kExpr);
ESP_KEEP(expr, kExpr);
ESP_KEEP(conditional, kConditional);
ESP_KEEP(run_expr, kRunExpr);
ESP_KEEP(role_word, kWord);
ESP_KEEP(role, kRole);
ESP_KEEP(turn, kTurn);
ESP_KEEP(let, kLet);
ESP_KEEP(let_statement, kLet);
ESP_KEEP(else_part, kElse);
ESP_KEEP(if_statement, kIf);
ESP_KEEP(for_statement, kFor);
ESP_KEEP(bindings, kBindings);
ESP_KEEP(pattern, kPattern);
ESP_KEEP(arm, kArm);
ESP_KEEP(match_statement, kMatch);
ESP_KEEP(retry_statement, kRetry);
ESP_KEEP(require_statement, kRequire);
ESP_KEEP(splice_statement, kSplice);
ESP_KEEP(return_statement, kReturn);
ESP_KEEP(yield_statement, kYield);
ESP_KEEP(break_statement, kBreak);
ESP_KEEP(block, kBlock);
ESP_KEEP(use_as, kUseAs);
ESP_KEEP(use_names, kUseNames);
ESP_KEEP(use, kUse);
ESP_KEEP(config_entry, kConfigEntry);
ESP_KEEP(config, kConfig);
ESP_KEEP(record, kRecord);
ESP_KEEP(enum_case, kEnumCase);
ESP_KEEP(enumeration, kEnum);
ESP_KEEP(alias, kAlias);
ESP_KEEP(count, kCount);
ESP_KEEP(repeat_token, kRepeat);
ESP_KEEP(item, kItem);
ESP_KEEP(sequence, kSequence);
ESP_KEEP(alternatives, kAlternatives);
ESP_KEEP(rule, kRule);
ESP_KEEP(grammar_declaration, kGrammar);
ESP_KEEP(parameters, kParameters);
ESP_KEEP(result, kResult);
ESP_KEEP(transport, kTransport);
ESP_KEEP(tool, kTool);
ESP_KEEP(gen, kGen);
ESP_KEEP(mock, kMock);
ESP_KEEP(accepts, kWord);
ESP_KEEP(expect_type, kExpectType);
ESP_KEEP(expectation, kExpect);
ESP_KEEP(test, kTest);
ESP_KEEP(file, kFile);
// clang-format on
#undef ESP_KEEP

}  // namespace espalier::dsl::syntax
