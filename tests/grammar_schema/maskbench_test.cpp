// MaskBench's protocol over rows of its format: ours, and a sample of its development set where the
// reference data is here. For each token the mask, then the token; a byte a token.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/grammar_schema/verdicts.h"
#include "tests/support/data.h"
#include "tests/support/source_folder.h"

namespace espalier::grammar {
namespace {

struct Tally {
  std::size_t schemas = 0, refused = 0, texts = 0, false_accepts = 0, false_rejects = 0;
};

bool fits(const GrammarRef& grammar, const std::string& text) {
  Matcher matcher = grammar->start();
  for (const char c : text) {
    const TokenId id = static_cast<unsigned char>(c);
    const bool allowed = matcher.mask(UINT32_MAX)->allows(id);
    EXPECT_EQ(allowed, Matcher(matcher).advance(id)) << text;
    if (!allowed || !matcher.advance(id)) return false;
  }
  return matcher.accepting();
}

void run(const Json& row, Tally& tally) {
  const Json schema =
      row["schema"].is_string() ? Json::parse(row["schema"].get<std::string>()) : row["schema"];
  SchemaOptions options;
  options.unknown_keywords = true;
  ++tally.schemas;
  const auto grammar = compile_json_schema(testing::byte_vocabulary(), schema, {}, options);
  if (!grammar) {
    ++tally.refused;
    // Refused by name: a keyword's pointer, or that nothing satisfies it.
    EXPECT_NE(grammar.error().message.find("schema"), std::string::npos)
        << row["id"] << ": " << grammar.error().message;
    return;
  }
  for (const Json& test : row["tests"]) {
    const bool valid = test["valid"].get<bool>();
    const bool accepted = fits(*grammar, test["text"].get<std::string>());
    ++tally.texts;
    tally.false_accepts += accepted && !valid ? 1 : 0;
    tally.false_rejects += !accepted && valid ? 1 : 0;
    EXPECT_EQ(accepted, valid) << row["id"] << ": " << test["text"];
  }
}

TEST(MaskBench, OurRowsAllPass) {
  std::ifstream in(espalier::testing::source_folder() + "/tests/grammar_schema/rows.jsonl");
  Tally tally;
  for (std::string line; std::getline(in, line);) run(Json::parse(line), tally);
  EXPECT_GT(tally.schemas, 20U);
  EXPECT_EQ(tally.refused, 0U);
}

TEST(MaskBench, TheDevelopmentSetHasNoWrongVerdict) {
  const auto text = espalier::testing::unpacked("maskbench/dev.jsonl.xz");
  if (!text) GTEST_SKIP() << "no reference data maskbench/dev.jsonl.xz";
  const std::size_t every = std::getenv("ESPALIER_LONG") != nullptr ? 1 : 60;
  std::istringstream in(*text);
  Tally tally;
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    if (number++ % every == 0) run(Json::parse(line), tally);
  }
  std::printf("%zu schemas, %zu refused, %zu texts\n", tally.schemas, tally.refused, tally.texts);
  EXPECT_EQ(tally.false_accepts, 0U);
  EXPECT_LE(tally.refused * 100, tally.schemas * 3);
}

}  // namespace
}  // namespace espalier::grammar
