// A schema's grammar against the plain validator, text by text.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/grammar_schema/verdicts.h"
#include "tests/support/naive_schema.h"

namespace espalier::grammar::testing {

/// Each text is accepted iff its value satisfies the schema, which may have none; `seed` names it.
inline void check_naively(const Json& schema, const std::vector<std::string>& texts,
                          std::uint64_t seed) {
  const auto grammar = compile_json_schema(byte_vocabulary(), schema);
  const bool none = !grammar && grammar.error().message.find("no value") != std::string::npos;
  ASSERT_TRUE(grammar || none) << grammar.error().message << "\n" << schema.dump();
  const NaiveSchema naive(schema);
  for (const std::string& text : texts) {
    const bool accepted = grammar && accepts(*grammar, text);
    ASSERT_EQ(accepted, naive.valid(Json::parse(text)))
        << "seed " << seed << ": " << schema.dump() << "\n"
        << text;
  }
}

}  // namespace espalier::grammar::testing
