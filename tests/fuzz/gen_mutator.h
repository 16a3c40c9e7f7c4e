// Mutations of .gen sources that keep most of them readable: lexemes are removed, doubled, swapped,
// moved, or replaced by others of the same file or of the language. Arbitrary bytes seldom get past
// the parser.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "dsl/lexemes.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace espalier::fuzz {

inline std::string mutate_gen(const std::string& source, std::uint32_t seed) {
  static constexpr const char* kWords[] = {"use",
                                           "config",
                                           "record",
                                           "enum",
                                           "type",
                                           "grammar",
                                           "tool",
                                           "gen",
                                           "test",
                                           "mock",
                                           "expect",
                                           "let",
                                           "if",
                                           "else",
                                           "for",
                                           "in",
                                           "match",
                                           "retry",
                                           "require",
                                           "splice",
                                           "return",
                                           "yield",
                                           "break",
                                           "fork",
                                           "run",
                                           "select",
                                           "from",
                                           "by",
                                           "as",
                                           "null",
                                           "true",
                                           "not",
                                           "and",
                                           "or",
                                           "string",
                                           "line",
                                           "int",
                                           "float",
                                           "bool",
                                           "date",
                                           "json",
                                           "span",
                                           "cite(",
                                           "map(",
                                           "think",
                                           "system",
                                           "user",
                                           "assistant",
                                           "turn",
                                           "accepts",
                                           "=>",
                                           "->",
                                           "..",
                                           "|",
                                           "?",
                                           "[",
                                           "]",
                                           "{",
                                           "}",
                                           "(",
                                           ")",
                                           "${",
                                           "$[",
                                           "\"",
                                           "\"\"\"",
                                           ":",
                                           ",",
                                           "=",
                                           "==",
                                           ".",
                                           "-",
                                           "/a*/",
                                           "9223372036854775807",
                                           "0",
                                           "1.5",
                                           "\\",
                                           "//",
                                           "/*",
                                           "max=",
                                           "temperature=",
                                           "edition:",
                                           "overflow:",
                                           "schema(",
                                           "priority:",
                                           "deadline:",
                                           "\n"};
  std::minstd_rand random(seed);
  std::vector<std::string> pieces;
  std::size_t at = 0;
  for (const dsl::Lexeme& one : dsl::lexemes(source).all) {
    if (one.begin > at) pieces.push_back(source.substr(at, one.begin - at));
    pieces.push_back(source.substr(one.begin, one.end - one.begin));
    at = one.end;
  }
  if (at < source.size()) pieces.push_back(source.substr(at));
  const std::size_t edits = 1 + random() % 4;
  for (std::size_t i = 0; i < edits; ++i) {
    if (pieces.empty()) pieces.emplace_back("gen f() {}");
    const std::size_t here = random() % pieces.size(), other = random() % pieces.size();
    const std::size_t length = std::min<std::size_t>(1 + random() % 12, pieces.size() - here);
    const auto begin = pieces.begin() + static_cast<std::ptrdiff_t>(here);
    switch (random() % 6) {
      case 0:
        pieces.erase(begin, begin + static_cast<std::ptrdiff_t>(length));
        break;
      case 1: {
        const std::vector<std::string> copy(begin, begin + static_cast<std::ptrdiff_t>(length));
        pieces.insert(pieces.begin() + static_cast<std::ptrdiff_t>(other), copy.begin(),
                      copy.end());
        break;
      }
      case 2:
        std::swap(pieces[here], pieces[other]);
        break;
      case 3:
        pieces[here] = pieces[other];
        break;
      case 4:
        pieces.insert(begin, kWords[random() % std::size(kWords)]);
        break;
      default:
        pieces[here] = kWords[random() % std::size(kWords)];
    }
  }
  std::string out;
  for (const std::string& piece : pieces) out += piece;
  return out;
}

}  // namespace espalier::fuzz

// Half of the mutations are libFuzzer's own, over bytes.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  if (seed % 2 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const std::string out =
      espalier::fuzz::mutate_gen(std::string(reinterpret_cast<const char*>(data), size), seed / 2);
  const std::size_t kept = std::min(out.size(), max_size);
  std::memcpy(data, out.data(), kept);
  return kept;
}
