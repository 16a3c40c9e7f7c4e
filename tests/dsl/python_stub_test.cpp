// Types for Python's type checkers, as golden files; tests/python/test_stub.py holds them against
// the values that programs give.
#include "dsl/python_stub.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "support.h"

namespace espalier::dsl {
namespace {

TEST(PythonStub, IsThatOfTheGoldenFiles) {
  const bool update = std::getenv("ESPALIER_UPDATE_GOLDEN") != nullptr;
  for (const std::string name : {"shop", "prices"}) {
    const auto path = testing::folder() / "stubs" / (name + ".gen");
    const auto compiled =
        compile(name + ".gen", testing::read_file(path), testing::files_of("stubs"));
    ASSERT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);
    auto expected = path;
    expected.replace_extension(".pyi");
    const std::string stub = python_stub(*compiled.program);
    if (update) std::ofstream(expected, std::ios::binary) << stub;
    EXPECT_EQ(stub, testing::read_file(expected));
  }
}

}  // namespace
}  // namespace espalier::dsl
