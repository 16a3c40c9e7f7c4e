// Any bytes as a GBNF grammar and a text: no crash, and what the machine accepts is what its mask
// says, byte by byte.
#include "grammar/gbnf.h"
#include "tests/support/grammar_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return espalier::grammar::testing::fuzz_grammar(data, size, espalier::grammar::read_gbnf);
}
