// Any JSON as a schema: a grammar or a clear error, and never a crash; a text that it accepts is
// JSON, and every place that a text leads to can be closed.
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/grammar_schema/verdicts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace espalier;
  using namespace espalier::grammar;
  if (size > 4096) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t split = std::min(input.find('\n'), input.size());
  const Json schema = Json::parse(input.substr(0, split), nullptr, false);
  if (schema.is_discarded()) return 0;
  Limits limits;
  limits.compile_fuel = 50'000;
  SchemaOptions options;
  options.unknown_keywords = true;
  options.strict = size % 2 == 0;
  options.order = size % 4 < 2 ? MemberOrder::kFree : MemberOrder::kDeclared;
  const auto grammar = compile_json_schema(testing::byte_vocabulary(), schema, {}, options, limits);
  if (!grammar) {
    if (grammar.error().message.empty()) std::abort();
    return 0;
  }
  const std::string_view text = input.substr(std::min(split + 1, input.size())).substr(0, 64);
  Matcher matcher = (*grammar)->start();
  std::string read;
  for (const char c : text) {
    if (!matcher.advance(static_cast<unsigned char>(c))) break;
    read += c;
    if (matcher.accepting() != (matcher.distance() == 0)) std::abort();
  }
  if (matcher.accepting() && !Json::accept(read)) std::abort();
  // The closing: one byte after the other lowers the distance.
  for (std::uint32_t left = matcher.distance(); left > 0; --left) {
    const MaskRef mask = matcher.mask(left);
    TokenId next = kNoToken;
    for (TokenId id = 0; id < 256 && next == kNoToken; ++id) {
      if (mask->allows(id)) next = id;
    }
    if (next == kNoToken || !matcher.advance(next) || matcher.distance() >= left) std::abort();
  }
  return 0;
}
