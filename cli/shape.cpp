#include "cli/shape.h"

#include <utility>

#include "cli/input_text.h"
#include "cli/options.h"
#include "dsl/program.h"
#include "grammar/grammar_source.h"
#include "grammar/json_text.h"

namespace espalier::cli {

Result<grammar::ContextFreeGrammar> Shape::compile(grammar::VocabularyRef vocabulary) const {
  const auto labelled = [&](Error error) { return fail(std::move(error).within(label)); };
  if (kind == Kind::kType) {
    auto compiled = grammar::compile(std::move(vocabulary), type, {});
    if (!compiled) return labelled(std::move(compiled).error());
    return grammar::ContextFreeGrammar{std::move(*compiled), {}};
  }
  grammar::GrammarSource source;
  source.kind = kind == Kind::kSchema  ? grammar::GrammarKind::kSchema
                : kind == Kind::kRegex ? grammar::GrammarKind::kRegex
                : kind == Kind::kGbnf  ? grammar::GrammarKind::kGbnf
                                       : grammar::GrammarKind::kLark;
  source.text = text;
  source.schema = schema_options;
  auto compiled = grammar::compile(std::move(vocabulary), source);
  if (!compiled) return labelled(std::move(compiled).error());
  return compiled;
}

void ShapeOptions::declare(CLI::App& app, const std::string& subject) {
  CLI::Option* schema = add_text(app, "--schema", schema_, "F",
                                 subject + " is JSON that fits the JSON Schema in this file");
  app.add_flag("--declared-order", declared_order_,
               "With --schema: members keep the order in which it declares them")
      ->needs(schema);
  app.add_flag("--record", record_,
               "With --schema: leave out what cannot be enforced, instead of refusing the schema")
      ->needs(schema);
  app.add_option(
         "--document", documents_,
         "With --schema: the schema in FILE is what references to URI mean; may be repeated")
      ->type_name("URI=FILE")
      ->allow_extra_args(false)
      ->needs(schema);
  add_text(app, "--regex", regex_, "R", subject + " matches this regular expression as a whole");
  add_text(app, "--gbnf", gbnf_, "F", subject + " is a text of the GBNF grammar in this file");
  add_text(app, "--lark", lark_, "F", subject + " is a text of the Lark grammar in this file");
  add_text(app, "--type", type_, "T",
           subject + " is of this type of the language: 'int(1..9)', '\"yes\" | \"no\"'");
}

int ShapeOptions::count() const {
  return (schema_ ? 1 : 0) + (regex_ ? 1 : 0) + (gbnf_ ? 1 : 0) + (lark_ ? 1 : 0) + (type_ ? 1 : 0);
}

// What --document gives, by URI: JSON, as a look at each shows. A URI stands once.
Result<std::map<std::string, std::string>> ShapeOptions::documents(Context& context) const {
  std::map<std::string, std::string> out;
  for (const std::string& given : documents_) {
    const std::size_t equals = given.rfind('=');  // a URI may hold one
    if (equals == std::string::npos || equals == 0 || equals + 1 == given.size()) {
      return fail(ErrorCode::kInvalid, "--document takes URI=FILE, not '" + given + "'");
    }
    std::string uri = given.substr(0, equals);
    if (uri.ends_with('#')) uri.pop_back();
    const std::string path = given.substr(equals + 1);
    ESP_ASSIGN(std::string text, read_text(path, context));
    if (auto schema = read_json_exactly(text); !schema) {
      return fail(std::move(schema).error().within("'" + path + "'"));
    }
    if (!out.try_emplace(uri, std::move(text)).second) {
      return fail(ErrorCode::kInvalid, "--document: two files for '" + uri + "'");
    }
  }
  return out;
}

Result<Shape> ShapeOptions::read(Context& context) const {
  Shape shape;
  if (gbnf_ || lark_) {
    const std::string& path = gbnf_ ? *gbnf_ : *lark_;
    ESP_ASSIGN(shape.text, read_text(path, context));
    shape.kind = lark_ ? Shape::Kind::kLark : Shape::Kind::kGbnf;
    shape.label = "'" + path + "'";
    return shape;
  }
  if (schema_) {
    shape.label = "'" + *schema_ + "'";
    shape.kind = Shape::Kind::kSchema;
    ESP_ASSIGN(shape.text, read_text(*schema_, context));
    if (auto schema = read_json_exactly(shape.text); !schema) {
      return fail(std::move(schema).error().within(shape.label));
    }
    shape.schema_options.strict = !record_;
    if (declared_order_) shape.schema_options.order = grammar::MemberOrder::kDeclared;
    ESP_ASSIGN(auto documents, this->documents(context));
    shape.schema_options.resolver = grammar::resolver_of(std::move(documents));
    return shape;
  }
  if (regex_) {
    shape.label = "--regex";
    shape.kind = Shape::Kind::kRegex;
    shape.text = *regex_;
    return shape;
  }
  // The language's own front end reads the type, in the smallest program that holds one.
  shape.label = type_label_;
  const auto compiled = dsl::compile(type_label_, "type Answer = " + *type_ + "\n");
  if (compiled.program == nullptr) {
    std::string message = dsl::render(compiled.diagnostics, compiled.sources);
    if (message.ends_with('\n')) message.pop_back();
    return fail(ErrorCode::kInvalid, type_label_ + " is not a type of the language\n" + message);
  }
  const dsl::TypeInfo* info = compiled.program->type("Answer");
  if (info == nullptr || info->type == nullptr) {
    return fail(ErrorCode::kInvalid, type_label_ + " has no form in text");
  }
  // Recursive types point into what the program keeps alive.
  shape.type = grammar::TypeRef(compiled.program, info->type.get());
  return shape;
}

}  // namespace espalier::cli
