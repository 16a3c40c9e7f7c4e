// The reference suites that nobody here wrote: JSON-Schema-Test-Suite (draft 2020-12) and
// JSONTestSuite.
//
// Each group compiles or is refused by name. Where it compiles, no invalid instance is accepted;
// valid instances, written compactly with members in declared order, are accepted but for the
// spellings that json_schema.h names.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "base/utf8.h"
#include "grammar/json_schema.h"
#include "tests/support/naive_expression.h"

namespace espalier::grammar {
namespace {

std::filesystem::path data() {
  if (const char* set = std::getenv("ESPALIER_DATA")) return set;
  return std::filesystem::path(ESPALIER_SOURCE_DIR) / "../shared/data";
}

std::string content(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Every order of the members of every object inside `value`, up to a few hundred: the declared one
// is among them.
std::vector<Json> orders(const Json& value) {
  std::vector<Json> out;
  if (value.is_array()) {
    out.push_back(Json::array());
    for (const Json& item : value) {
      std::vector<Json> next;
      for (const Json& inner : orders(item)) {
        for (const Json& so_far : out) {
          next.push_back(so_far);
          next.back().push_back(inner);
        }
      }
      if (next.size() > 500) next.resize(500);
      out = std::move(next);
    }
  } else if (value.is_object()) {
    std::vector<std::size_t> order(value.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::vector<std::pair<std::string, std::vector<Json>>> members;
    for (const auto& [key, inner] : value.items()) members.emplace_back(key, orders(inner));
    do {
      std::vector<Json> built = {Json::object()};
      for (const std::size_t i : order) {
        std::vector<Json> next;
        for (const Json& inner : members[i].second) {
          for (const Json& so_far : built) {
            next.push_back(so_far);
            next.back()[members[i].first] = inner;
          }
        }
        built = std::move(next);
      }
      out.insert(out.end(), built.begin(), built.end());
    } while (out.size() < 500 && std::next_permutation(order.begin(), order.end()));
  } else {
    out.push_back(value);
  }
  return out;
}

bool well_formed(const Json& value) {
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.find("\xef\xbf\xbd") == std::string::npos;
}

TEST(JsonSchemaTestSuite, NothingInvalidIsAccepted) {
  const auto folder = data() / "json_schema_test_suite/tests/draft2020-12";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no suite at " << folder;
  std::size_t groups = 0, refused = 0, passed = 0, false_rejects = 0, false_accepts = 0;
  std::map<std::string, std::size_t> rejected_in;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() != ".json") continue;
    for (const Json& group : Json::parse(content(file.path()))) {
      ++groups;
      Fuel fuel("steps", 1'000'000);
      ExpressionPool pool(fuel);
      JsonExpressions json(pool);
      const auto e = schema_expression(pool, json, group["schema"], {true});
      if (!e) {
        ++refused;
        // A suite's schema is never wrong: only what we do not enforce, or what nothing satisfies.
        const bool none = e.error().message.find("no value satisfies it") != std::string::npos;
        EXPECT_TRUE(none || e.error().code == ErrorCode::kUnsupported ||
                    e.error().message.find("no $anchor") != std::string::npos ||
                    e.error().message.find("nothing stands at") != std::string::npos)
            << file.path().filename() << ": " << group["description"] << ": " << e.error().message;
        for (const Json& test : group["tests"]) {
          EXPECT_FALSE(none && test["valid"].get<bool>())
              << group["description"] << test["description"];
        }
        continue;
      }
      testing::NaiveExpression naive(pool, *e);
      for (const Json& test : group["tests"]) {
        if (!well_formed(test["data"])) continue;
        bool accepted = false;
        for (const Json& order : orders(test["data"])) {
          accepted = accepted || naive.matches(order.dump());
        }
        const bool valid = test["valid"].get<bool>();
        EXPECT_TRUE(valid || !accepted) << "false accept: " << file.path().filename() << ": "
                                        << group["description"] << ": " << test["description"];
        false_accepts += !valid && accepted ? 1 : 0;
        false_rejects += valid && !accepted ? 1 : 0;
        if (valid && !accepted) {
          ++rejected_in[file.path().stem().string() + ": " +
                        group["description"].get<std::string>() + ": " +
                        test["description"].get<std::string>()];
        }
        passed += valid == accepted ? 1 : 0;
      }
    }
  }
  std::printf("%zu groups, %zu refused; %zu tests pass, %zu false rejects, %zu false accepts\n",
              groups, refused, passed, false_rejects, false_accepts);
  for (const auto& [where, count] : rejected_in) std::printf("  false reject: %s\n", where.c_str());
  EXPECT_GT(passed, 300U);
  EXPECT_EQ(false_accepts, 0U);
}

TEST(JsonTestSuite, AnyJsonIsJson) {
  const auto folder = data() / "json_syntax/test_parsing";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no suite at " << folder;
  Fuel fuel("steps", 1'000'000);
  ExpressionPool pool(fuel);
  JsonExpressions json(pool);
  const auto e = schema_expression(pool, json, true);
  ASSERT_TRUE(e.has_value());
  testing::NaiveExpression naive(pool, *e);
  std::size_t rejected = 0, accepted = 0, left_out = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    const std::string name = file.path().filename().string();
    const std::string text = content(file.path());
    if (text.size() > 10'000) continue;  // nesting beyond any bound
    const bool ours = naive.matches(text);
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
