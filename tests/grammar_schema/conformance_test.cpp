// The reference suites that nobody here wrote: JSON-Schema-Test-Suite (draft 2020-12) and
// JSONTestSuite.
//
// Each group compiles or is refused by name. Where it compiles, no invalid instance is accepted;
// valid instances, written compactly, are accepted but for the spellings that json_schema.h names.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "grammar/json_schema.h"
#include "tests/grammar_schema/verdicts.h"
#include "tests/support/source_folder.h"

namespace espalier::grammar {
namespace {

std::filesystem::path data() {
  if (const char* set = std::getenv("ESPALIER_DATA")) return set;
  return std::filesystem::path(espalier::testing::source_folder()) / "../shared/data";
}

std::string content(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// The rows of docs/grammar.md's support table; empty where the documents are not here.
std::string documented() {
  return content(std::filesystem::path(espalier::testing::source_folder()) / "docs/grammar.md");
}

struct Verdicts {
  std::size_t groups = 0, refused = 0, tests = 0, passed = 0, false_rejects = 0, false_accepts = 0;
};

// Runs a folder of the suite's files, and holds the support table to what it finds.
Verdicts run_folder(const std::filesystem::path& folder, const SchemaOptions& options) {
  Verdicts all;
  const std::string table = documented();
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() != ".json") continue;
    std::size_t tests = 0, passed = 0;
    for (const Json& group : Json::parse(content(file.path()))) {
      ++all.groups;
      tests += group["tests"].size();
      const auto grammar =
          compile_json_schema(testing::byte_vocabulary(), group["schema"], {}, options);
      const bool none =
          !grammar && grammar.error().message.find("no value satisfies it") != std::string::npos;
      if (!grammar && !none) {
        ++all.refused;
        // A suite's schema is never wrong: only what we do not enforce.
        EXPECT_TRUE(grammar.error().code == ErrorCode::kUnsupported ||
                    grammar.error().code == ErrorCode::kLimit)
            << file.path().filename() << ": " << group["description"] << ": "
            << grammar.error().message;
        continue;
      }
      for (const Json& test : group["tests"]) {
        const bool accepted =
            !none && testing::accepts(*grammar, test["data"].dump(-1, ' ', false,
                                                                  Json::error_handler_t::replace));
        const bool valid = test["valid"].get<bool>();
        EXPECT_TRUE(valid || !accepted) << "false accept: " << file.path().filename() << ": "
                                        << group["description"] << ": " << test["description"];
        all.false_accepts += !valid && accepted ? 1 : 0;
        all.false_rejects += valid && !accepted ? 1 : 0;
        passed += valid == accepted ? 1 : 0;
      }
    }
    const std::string row = "| `" + file.path().stem().string() + "` | " + std::to_string(passed) +
                            " | " + std::to_string(tests) + " |\n";
    EXPECT_NE(table.find(row), std::string::npos)
        << "docs/grammar.md has no row " << row << "(schema_suite --table makes them)";
    all.tests += tests;
    all.passed += passed;
  }
  std::printf(
      "%zu groups, %zu refused; %zu of %zu tests pass, %zu false rejects, %zu false accepts\n",
      all.groups, all.refused, all.passed, all.tests, all.false_rejects, all.false_accepts);
  return all;
}

SchemaOptions suite_options() {
  SchemaOptions options;
  options.unknown_keywords = true;
  options.formats = false;  // annotations, outside of the suite's optional part
  options.draft = SchemaDraft::k2020;
  options.resolver = [&](const std::string& uri) -> Result<Json> {
    const std::string server = "http://localhost:1234/";
    const auto file =
        data() / "json_schema_test_suite/remotes" / uri.substr(std::min(server.size(), uri.size()));
    if (!uri.starts_with(server) || !std::filesystem::exists(file)) {
      return fail(ErrorCode::kUnsupported, "no document at `" + uri + "`");
    }
    return Json::parse(content(file));
  };
  return options;
}

TEST(JsonSchemaTestSuite, RequiredTestsPass) {
  const auto folder = data() / "json_schema_test_suite/tests/draft2020-12";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no suite at " << folder;
  const Verdicts all = run_folder(folder, suite_options());
  EXPECT_GE(all.passed * 1000, all.tests * 990);
  EXPECT_EQ(all.false_accepts, 0U);
}

TEST(JsonSchemaTestSuite, FormatsAreAsserted) {
  const auto folder = data() / "json_schema_test_suite/tests/draft2020-12/optional/format";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no suite at " << folder;
  SchemaOptions options = suite_options();
  options.formats = true;
  const Verdicts all = run_folder(folder, options);
  EXPECT_GE(all.passed * 100, all.tests * 95);
  EXPECT_EQ(all.false_accepts, 0U);
}

TEST(JsonTestSuite, AnyJsonIsJson) {
  const auto folder = data() / "json_syntax/test_parsing";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no suite at " << folder;
  const auto grammar = compile_json_schema(testing::byte_vocabulary(), true);
  ASSERT_TRUE(grammar.has_value());
  std::size_t rejected = 0, accepted = 0, left_out = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    const std::string name = file.path().filename().string();
    const std::string text = content(file.path());
    if (text.size() > 10'000) continue;  // nesting beyond any bound
    const bool ours = testing::accepts(*grammar, text);
    if (name.starts_with("n_")) {
      EXPECT_FALSE(ours) << name;
      ++rejected;
    } else if (name.starts_with("y_")) {
      // Whitespace is bounded and stands inside only, numbers have bounded spellings: the rest is
      // all in.
      if (!ours) ++left_out;
      if (!ours) std::printf("  left out: %s\n", name.c_str());
      accepted += ours ? 1 : 0;
    }
  }
  std::printf("n_: %zu rejected; y_: %zu accepted, %zu left out\n", rejected, accepted, left_out);
  EXPECT_GT(accepted, 50U);
}

}  // namespace
}  // namespace espalier::grammar
