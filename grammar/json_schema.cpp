#include "grammar/json_schema.h"

#include <utility>

#include "grammar/compiled_grammar.h"
#include "grammar/json_expression.h"
#include "grammar/json_text.h"
#include "grammar/schema/scalar_library.h"
#include "grammar/schema/schema_graph.h"
#include "grammar/token_trie.h"

namespace espalier::grammar {

std::string_view name(KeywordOutcome::Kind kind) {
  switch (kind) {
    case KeywordOutcome::Kind::kEnforced:
      return "enforced";
    case KeywordOutcome::Kind::kRecorded:
      return "recorded";
    case KeywordOutcome::Kind::kRefused:
      break;
  }
  return "refused";
}

std::function<Result<Json>(const std::string& uri)> resolver_of(
    std::map<std::string, std::string> documents) {
  if (documents.empty()) return nullptr;
  return [documents = std::move(documents)](const std::string& uri) -> Result<Json> {
    const auto found = documents.find(uri);
    if (found == documents.end()) {
      return fail(ErrorCode::kUnsupported, "`" + uri + "` is not among the documents");
    }
    auto document = read_json_exactly(found->second);
    if (!document) return fail(std::move(document).error().within("document `" + uri + "`"));
    return document;
  };
}

Result<std::vector<KeywordOutcome>> schema_outcomes(const Json& schema,
                                                    const SchemaOptions& options,
                                                    const Limits& limits) {
  Fuel fuel("compile steps (limits.compile_fuel)", limits.compile_fuel);
  ESP_ASSIGN(const auto graph, SchemaGraph::examine(schema, options, fuel));
  return graph->outcomes();
}

Result<Expr> schema_expression(ExpressionPool& pool, const Json& schema,
                               const SchemaOptions& options) {
  ESP_ASSIGN(auto graph, SchemaGraph::create(schema, options, pool.fuel()));
  if (graph->root() == Formulas::kFalse) {
    return fail(ErrorCode::kInvalid, "schema: no value satisfies it");
  }
  return pool.capture(Capture::kJson, pool.schema(std::move(graph)));
}

Result<GrammarRef> compile_json_schema(VocabularyRef vocabulary, const Json& schema,
                                       std::string_view follow, const SchemaOptions& options,
                                       const Limits& limits) {
  Fuel fuel("compile steps (limits.compile_fuel)", limits.compile_fuel);
  auto pool = std::make_shared<ExpressionPool>(fuel);
  ESP_ASSIGN(const Expr root, schema_expression(*pool, schema, options));
  ESP_TRY(pool->status());
  ESP_ASSIGN(auto grammar,
             compile_expression(std::move(vocabulary), pool, root, follow, limits, fuel));
  return GrammarRef(std::move(grammar));
}

void prepare_schemas(const VocabularyRef& vocabulary) {
  const std::shared_ptr<ScalarLibrary> library = ScalarLibrary::of(vocabulary);
  library->keep_for_good(true);
  make_formats(vocabulary);
  library->keep_for_good(false);
  static_cast<void>(vocabulary->slice(JsonExpressions::kUnescaped, std::nullopt));
}

void make_formats(const VocabularyRef& vocabulary) {
  const TokenTrie& trie = vocabulary->trie();
  const std::uint32_t quote = trie.child(TokenTrie::kRoot, '"');
  for (const std::string_view format : schema_format_names()) {  // their automata stay there
    const auto grammar = compile_json_schema(vocabulary, {{"type", "string"}, {"format", format}});
    // What tokens do where a text begins is dear in the largest: some milliseconds.
    if (!grammar || format != "regex" || quote == TokenTrie::kNone) continue;
    Matcher text = (*grammar)->start();
    const auto quotes = trie.tokens_at(quote);
    if (!quotes.empty() && text.advance(quotes[0])) static_cast<void>(text.mask(UINT32_MAX));
  }
}

}  // namespace espalier::grammar
