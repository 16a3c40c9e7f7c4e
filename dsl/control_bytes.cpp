#include "dsl/control_bytes.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "grammar/json_schema.h"

namespace espalier::dsl {
namespace {

constexpr char kMark = '\xFF';
constexpr std::size_t kSize = 5;
constexpr unsigned char kFirstForeign = 0xF5;  // from here on, no byte stands in UTF-8

}  // namespace

std::string control_bytes(TokenId id) {
  std::string out(1, kMark);
  for (int shift = 18; shift >= 0; shift -= 6)
    out += static_cast<char>(0x80U | (static_cast<std::uint32_t>(id) >> shift & 0x3FU));
  return out;
}

runtime::Segments control_segments(std::string_view bytes) {
  runtime::Segments out;
  while (!bytes.empty()) {
    if (bytes[0] != kMark || bytes.size() < kSize) {
      const std::size_t end = std::min(bytes.find(kMark, 1), bytes.size());
      out.push_back({kNoToken, std::string(bytes.substr(0, end))});
      bytes.remove_prefix(end);
      continue;
    }
    std::uint32_t id = 0;
    for (std::size_t i = 1; i < kSize; ++i)
      id = id << 6 | (static_cast<unsigned char>(bytes[i]) & 0x3FU);
    out.push_back({static_cast<TokenId>(id), ""});
    bytes.remove_prefix(kSize);
  }
  return out;
}

Result<grammar::VocabularyRef> with_control_bytes(const runtime::Tokenizer& tokenizer,
                                                  std::span<const TokenId> controls) {
  const grammar::Vocabulary& plain = *tokenizer.vocabulary();
  grammar::Vocabulary::Spec spec;
  spec.bytes.reserve(plain.size());
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const std::string_view bytes = plain.bytes(static_cast<TokenId>(i));
    const bool foreign = std::any_of(bytes.begin(), bytes.end(), [](char c) {
      return static_cast<unsigned char>(c) >= kFirstForeign;
    });
    spec.bytes.emplace_back(foreign ? std::string_view() : bytes);
  }
  for (const TokenId id : controls) {
    if (plain.is_end(id))
      return fail(ErrorCode::kUnsupported, "a call holds a token that ends the turn");
    spec.bytes[static_cast<std::size_t>(id)] = control_bytes(id);
  }
  spec.end_of_turn = plain.end_of_turn();
  spec.also_end.assign(plain.also_end().begin(), plain.also_end().end());
  if (plain.canonical())
    spec.canonical =
        [inner = plain.canonical()](std::string_view bytes) -> Result<std::vector<TokenId>> {
      std::vector<TokenId> out;
      for (const runtime::Segment& segment : control_segments(bytes)) {
        if (segment.control != kNoToken) {
          out.push_back(segment.control);
          continue;
        }
        ESP_ASSIGN(const auto ids, inner(segment.text));
        out.insert(out.end(), ids.begin(), ids.end());
      }
      return out;
    };
  auto made = grammar::Vocabulary::create(std::move(spec));
  if (made) grammar::keep_tables_beside(tokenizer.vocabulary(), *made);
  return made;
}

}  // namespace espalier::dsl
