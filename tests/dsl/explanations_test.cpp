#include "dsl/explanations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/system.h"
#include "dsl/mock_model.h"
#include "support.h"
#include "tests/support/source_folder.h"

namespace espalier::dsl {
namespace {

using testing::codes;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

/// What is said of a program by its own tests, or nothing.
std::string failure(const Compiled& compiled) {
  EXPECT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);
  if (compiled.program == nullptr) return "";
  const auto model = MockModel::create(real_system());
  EXPECT_TRUE(model);
  EXPECT_EQ(compiled.program->tests.size(), 1U);
  const auto outcome =
      (*model)->runner().run_test(compiled.program, *compiled.program->tests[0], false, {});
  return outcome ? "" : outcome.error().rendered;
}

// Those that only a model's vocabulary brings about are tried in tests/dsl_run.
TEST(Explanations, TheWrongProgramSaysTheCodeAndTheRightOneDoesNot) {
  for (const Explanation& one : explanations()) {
    SCOPED_TRACE(one.code);
    EXPECT_FALSE(one.text.empty());
    ASSERT_FALSE(one.wrong.empty());
    ASSERT_FALSE(one.right.empty());
    const Compiled wrong = compile("wrong.gen", std::string(one.wrong), example_files(one));
    const Compiled right = compile("right.gen", std::string(one.right), example_files(one));
    EXPECT_NE(right.program, nullptr) << render(right.diagnostics, right.sources);
    EXPECT_THAT(codes(right.diagnostics), Not(Contains(std::string(one.code))));
    if (one.said_by == SaidBy::kCheck) {
      EXPECT_THAT(codes(wrong.diagnostics), Contains(std::string(one.code)));
    } else {
      EXPECT_NE(wrong.program, nullptr) << render(wrong.diagnostics, wrong.sources);
    }
    if (one.said_by == SaidBy::kTest) {
      EXPECT_THAT(failure(wrong), HasSubstr("error[" + std::string(one.code) + "]"));
      EXPECT_EQ(failure(right), "");
    }
  }
}

TEST(Explanations, AreThoseOfTheReference) {
  std::set<std::string> explained;
  for (const Explanation& one : explanations())
    if (one.said_by != SaidBy::kTest) explained.emplace(one.code);
  const std::string reference = testing::read_file(
      std::filesystem::path(espalier::testing::source_folder()) / "docs" / "language.md");
  std::set<std::string> documented;
  for (std::size_t at = reference.find("\n| `"); at != std::string::npos;
       at = reference.find("\n| `", at + 1)) {
    const std::string code = reference.substr(at + 4, 5);
    if (code[0] == 'E' || code[0] == 'W') documented.insert(code);
  }
  EXPECT_EQ(explained, documented);
}

TEST(Explanations, AreFoundHoweverTheCodeIsWritten) {
  for (const char* written : {"E0302", "e0302", "0302", "302"}) {
    ASSERT_NE(explanation(written), nullptr) << written;
    EXPECT_EQ(explanation(written)->code, "E0302");
  }
  EXPECT_EQ(explanation("E9999"), nullptr);
  EXPECT_EQ(explanation(""), nullptr);
}

}  // namespace
}  // namespace espalier::dsl
