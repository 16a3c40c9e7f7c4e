// Any JSON as a schema: an expression or a clear error, and never a crash; a text that it accepts
// is JSON.
#include <cstdlib>
#include <string>
#include <string_view>

#include "grammar/json_schema.h"
#include "tests/support/naive_expression.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace espalier;
  using namespace espalier::grammar;
  if (size > 4096) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t split = std::min(input.find('\n'), input.size());
  const Json schema = Json::parse(input.substr(0, split), nullptr, false);
  if (schema.is_discarded()) return 0;
  Fuel fuel("steps", 50'000);
  ExpressionPool pool(fuel);
  JsonExpressions json(pool);
  const auto e = schema_expression(pool, json, schema, {true});
  if (!e) {
    if (e.error().message.empty()) std::abort();
    return 0;
  }
  if (!pool.ok()) return 0;
  const std::string_view text = input.substr(std::min(split + 1, input.size())).substr(0, 64);
  if (testing::NaiveExpression(pool, *e).matches(text) && !Json::accept(text)) std::abort();
  return 0;
}
