// Any bytes as a pattern and a text: no crash, and RE2's answer wherever RE2 accepts and we do.
#include <re2/re2.h>

#include <cstdlib>
#include <string_view>

#include "grammar/regex.h"
#include "tests/support/naive_expression.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace espalier;
  using namespace espalier::grammar;
  if (size > 256) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t split = std::min(input.find('\n'), input.size());
  const std::string_view pattern = input.substr(0, split);
  const std::string_view text = input.substr(std::min(split + 1, input.size())).substr(0, 32);
  for (const bool json : {false, true}) {
    Fuel fuel("steps", 100'000);
    ExpressionPool pool(fuel);
    const auto ecma = regex_expression(pool, pattern, {RegexDialect::kEcma, true, json, false});
    if (ecma) testing::NaiveExpression(pool, *ecma).matches(text);
  }
  Fuel fuel("steps", 100'000);
  ExpressionPool pool(fuel);
  const auto e = regex_expression(pool, pattern, {RegexDialect::kRe2, false, false, false});
  if (!e || utf8::find_malformed(text) != std::string_view::npos) return 0;
  RE2::Options options;
  options.set_log_errors(false);
  const RE2 re2(pattern, options);
  if (!re2.ok()) return 0;
  // The naive oracle walks a count of empty turns one by one; RE2 bounds its counts, and so does
  // this.
  if (testing::NaiveExpression(pool, *e).matches(text) != RE2::FullMatch(text, re2)) std::abort();
  return 0;
}
