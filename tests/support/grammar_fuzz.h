// What the fuzz targets of the grammar readers do: the input up to a NUL is a grammar, the rest a
// text. Masks, steps and distances must agree, and whatever was accepted must close.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "grammar/compiled_grammar.h"
#include "grammar/context_free.h"

namespace espalier::grammar::testing {

template <class Read>
int fuzz_grammar(const std::uint8_t* data, std::size_t size, Read read) {
  if (size > 4096) return 0;
  static const VocabularyRef vocabulary = [] {
    Vocabulary::Spec spec;
    for (unsigned b = 0; b < 256; ++b) spec.bytes.emplace_back(1, static_cast<char>(b));
    spec.end_of_turn = 256;
    spec.bytes.emplace_back();
    return *Vocabulary::create(std::move(spec));
  }();
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t split = std::min(input.find('\0'), input.size());
  Limits limits;
  limits.compile_fuel = 100'000;
  limits.state_bytes = 8u << 20;
  Fuel fuel("steps", limits.compile_fuel);
  auto pool = std::make_shared<ExpressionPool>(fuel);
  auto grammar = read(*pool, input.substr(0, split));
  if (!grammar) return 0;
  const auto compiled =
      compile_context_free(vocabulary, pool, std::move(*grammar), {}, limits, fuel);
  if (!compiled) return 0;
  Matcher at = compiled->grammar->start();
  for (const char c : input.substr(std::min(split + 1, input.size())).substr(0, 64)) {
    const auto byte = static_cast<TokenId>(static_cast<unsigned char>(c));
    const bool allowed = at.mask(1u << 20)->allows(byte);
    if (at.advance(byte) != allowed) std::abort();
    if (!allowed) break;
    if ((at.distance() == 0) != at.accepting()) std::abort();
  }
  for (std::uint32_t left = at.distance(); !at.accepting(); --left) {
    const MaskRef mask = at.mask(left);
    if (left == 0 || mask->count() == 0) std::abort();
    if (left > 2000) break;
    if (!at.advance(mask->ids()[0])) std::abort();
  }
  return 0;
}

}  // namespace espalier::grammar::testing
