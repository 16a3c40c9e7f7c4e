// What the context-free tests share: texts followed a byte at a time.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "grammar/context_free.h"
#include "grammar/matcher.h"

namespace espalier::grammar::testing {

/// All 256 single bytes (ids 0..255), then `extra`, then the end of turn.
inline VocabularyRef bytes_and(const std::vector<std::string>& extra = {}) {
  Vocabulary::Spec spec;
  for (unsigned b = 0; b < 256; ++b) spec.bytes.emplace_back(1, static_cast<char>(b));
  spec.bytes.insert(spec.bytes.end(), extra.begin(), extra.end());
  spec.end_of_turn = static_cast<TokenId>(spec.bytes.size());
  spec.bytes.emplace_back();
  return *Vocabulary::create(std::move(spec));
}

/// "yes": a text of the grammar; "begins": the beginning of one; else the offset of the refused
/// byte.
inline std::string verdict(const GrammarRef& grammar, std::string_view text) {
  Matcher at = grammar->start();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!at.advance(static_cast<unsigned char>(text[i]))) return std::to_string(i);
  }
  return at.accepting() ? "yes" : "begins";
}

}  // namespace espalier::grammar::testing
