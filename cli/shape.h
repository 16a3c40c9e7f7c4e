// What an answer is held to, however it was said: a type of the language, a JSON Schema, a regular
// expression, a GBNF or a Lark grammar. Declared once for the verbs that take one.
#pragma once

#include <CLI/App.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/command.h"
#include "grammar/context_free.h"
#include "grammar/json_schema.h"
#include "grammar/matcher.h"
#include "grammar/type.h"

namespace espalier::cli {

/// A shape that was read: its front end has seen it, no vocabulary has.
struct Shape {
  enum class Kind { kType, kSchema, kRegex, kGbnf, kLark };
  Kind kind = Kind::kType;
  grammar::TypeRef type;
  std::string text;  // of all kinds but a type; of a schema its JSON
  grammar::SchemaOptions schema_options;
  std::string label;  // how messages call it: `--regex`, `TYPE`, `'letter.schema.json'`

  /// A hole of this shape that ends the turn; errors begin with the label.
  [[nodiscard]] Result<grammar::ContextFreeGrammar> compile(
      grammar::VocabularyRef vocabulary) const;
};

class ShapeOptions {
 public:
  /// --schema, --regex, --gbnf, --lark and --type, and what goes with --schema; `subject` begins
  /// their descriptions.
  void declare(CLI::App& app, const std::string& subject);
  /// The type that stands on the command line without a flag.
  void set_type(std::string type) {
    type_ = std::move(type);
    type_label_ = "TYPE";
  }

  [[nodiscard]] int count() const;
  /// The first one given; what is wrong with it: `written` is true where the command line itself
  /// holds it, so that it is a usage error.
  [[nodiscard]] Result<Shape> read(Context& context) const;
  [[nodiscard]] bool written() const { return regex_ || type_; }

 private:
  [[nodiscard]] Result<std::map<std::string, std::string>> documents(Context& context) const;

  std::optional<std::string> schema_, regex_, gbnf_, lark_, type_;
  std::string type_label_ = "--type";
  std::vector<std::string> documents_;  // URI=FILE
  bool declared_order_ = false;
  bool record_ = false;
};

}  // namespace espalier::cli
