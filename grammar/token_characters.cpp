#include "grammar/token_characters.h"

#include "base/utf8.h"
#include "grammar/vocabulary.h"

namespace espalier::grammar {

TokenCharacters::TokenCharacters(const Vocabulary& vocabulary) {
  ascii.resize(vocabulary.size());
  count.resize(vocabulary.size());
  beyond.resize(vocabulary.size());
  for (std::size_t id = 0; id < vocabulary.size(); ++id) {
    const auto token = static_cast<TokenId>(id);
    if (vocabulary.is_end(token)) continue;
    const std::string_view bytes = vocabulary.bytes(token);
    Ascii held;
    std::size_t characters = 0, length = 1;
    for (std::size_t at = 0; at < bytes.size() && length != 0; at += length, ++characters) {
      const auto byte = static_cast<unsigned char>(bytes[at]);
      if (byte < 0x80) {
        (byte < 64 ? held.low : held.high) |= std::uint64_t{1} << (byte % 64);
        length = 1;
      } else {
        beyond[id] = 1;
        length = utf8::decode(bytes, at).length;
      }
    }
    ascii[id] = held;
    count[id] = length == 0 || characters > kMost ? 0 : static_cast<std::uint8_t>(characters);
  }
}

}  // namespace espalier::grammar
