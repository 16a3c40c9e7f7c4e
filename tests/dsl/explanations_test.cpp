#include "dsl/explanations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "support.h"

namespace espalier::dsl {
namespace {

using testing::codes;
using ::testing::Contains;
using ::testing::Not;

TEST(Explanations, TheWrongProgramSaysTheCodeAndTheRightOneDoesNot) {
  for (const Explanation& one : explanations()) {
    SCOPED_TRACE(one.code);
    EXPECT_FALSE(one.text.empty());
    if (!one.wrong.empty()) {
      EXPECT_THAT(codes(compile("wrong.gen", std::string(one.wrong)).diagnostics),
                  Contains(std::string(one.code)));
    }
    if (one.right.empty()) continue;
    const Compiled right = compile("right.gen", std::string(one.right));
    EXPECT_NE(right.program, nullptr) << render(right.diagnostics, right.sources);
    EXPECT_THAT(codes(right.diagnostics), Not(Contains(std::string(one.code))));
  }
}

TEST(Explanations, AreThoseOfTheReference) {
  std::set<std::string> explained;
  for (const Explanation& one : explanations())
    if (one.code.substr(0, 3) != "E07") explained.emplace(one.code);
  const std::string reference =
      testing::read_file(std::filesystem::path(ESPALIER_SOURCE_DIR) / "docs" / "language.md");
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
