// docs/language.md: every program in it runs, with some argument of each parameter's type and tools
// that answer with some value of theirs, and its tests pass.
#include <gtest/gtest.h>

#include "dsl/mock_model.h"
#include "tests/dsl_run/support.h"
#include "tests/support/source_folder.h"

namespace espalier::dsl {
namespace {

using grammar::TypeKind;
using grammar::TypeRef;

Json some_value(const TypeRef& given) {
  if (given == nullptr) return nullptr;
  const TypeRef type = given->kind == TypeKind::kReference ? given->target.lock() : given;
  switch (type->kind) {
    case TypeKind::kString:
      return "What two lamps cost, I ask.";
    case TypeKind::kLine:
    case TypeKind::kSpan:
      return "two";
    case TypeKind::kInt:
      return std::max<std::int64_t>(type->int_low.value_or(2), 2);
    case TypeKind::kFloat:
      return 2.5;
    case TypeKind::kBool:
      return true;
    case TypeKind::kLiteral:
      return type->literal;
    case TypeKind::kEnum:
      return type->cases.front().surface;
    case TypeKind::kJson:
      return {{"zone", "UTC"}};
    case TypeKind::kList:
      return Json::array({some_value(type->items.at(0)), some_value(type->items.at(0))});
    case TypeKind::kUnion:
      return some_value(type->items.front());
    case TypeKind::kRecord: {
      Json out = Json::object();
      for (const auto& field : type->fields) out[field.key] = some_value(field.type);
      return out;
    }
    default:
      return nullptr;  // what may be null
  }
}

std::vector<std::string> programs() {
  std::ifstream file(espalier::testing::source_folder() + "/docs/language.md", std::ios::binary);
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> out;
  for (std::size_t at = page.find("```gen\n"); at != std::string::npos;
       at = page.find("```gen\n", at + 1))
    out.push_back(page.substr(at + 7, page.find("```", at + 7) - at - 7));
  return out;
}

TEST(Reference, EveryProgramOfItRuns) {
  std::size_t ran = 0, holes = 0;
  for (const std::string& source : programs()) {
    const Compiled compiled = compile("language.md", source);
    ASSERT_NE(compiled.program, nullptr) << source;
    for (const GenInfo& gen : compiled.program->gens) {
      testing::World world;
      testing::Functions functions;
      testing::Recorder recorder;
      for (const ToolInfo& tool : compiled.program->tools)
        functions.functions[tool.name] = [&tool](const Json&) -> Result<Json> {
          return some_value(tool.result);
        };
      Json arguments = Json::object();
      for (const Parameter& parameter : gen.parameters)
        arguments[parameter.key] = some_value(parameter.type);
      RunOptions options;
      options.tools = &functions;
      options.observer = &recorder;
      const auto out =
          world.runner->run_now(compiled.program, gen.name, arguments, std::move(options));
      EXPECT_TRUE(out) << out.error().rendered << arguments << "\n" << source;
      holes += recorder.holes().size();
      ++ran;
    }
  }
  EXPECT_GE(ran, 14U);
  EXPECT_GE(holes, 30U);
}

TEST(Reference, EveryTestOfItPasses) {
  auto model = MockModel::create(real_system());
  ASSERT_TRUE(model) << model.error().message;
  std::size_t passed = 0;
  for (const std::string& source : programs()) {
    const Compiled compiled = compile("language.md", source);
    ASSERT_NE(compiled.program, nullptr) << source;
    for (const TestDecl* test : compiled.program->tests) {
      const auto outcome = (*model)->runner().run_test(compiled.program, *test, false, {});
      EXPECT_TRUE(outcome) << outcome.error().rendered << source;
      ++passed;
    }
  }
  EXPECT_GE(passed, 8U);
}

}  // namespace
}  // namespace espalier::dsl
