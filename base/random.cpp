#include "base/random.h"

namespace espalier {
namespace {

// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA'14): a bijection that mixes every bit.
std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

}  // namespace

RandomKey RandomKey::with(std::uint64_t part) const {
  RandomKey out;
  out.key_ = mix(key_ + 0x9E3779B97F4A7C15ULL + mix(part + 0x9E3779B97F4A7C15ULL));
  return out;
}

RandomKey RandomKey::with(std::string_view part) const {
  RandomKey out = with(static_cast<std::uint64_t>(part.size()));
  std::uint64_t word = 0;
  std::size_t filled = 0;
  for (const char c : part) {
    word = (word << 8) | static_cast<unsigned char>(c);
    if (++filled == 8) {
      out = out.with(word);
      word = 0;
      filled = 0;
    }
  }
  return filled == 0 ? out : out.with(word);
}

std::array<std::uint32_t, 4> RandomKey::bits(std::uint64_t counter) const {
  std::array<std::uint32_t, 4> c = {static_cast<std::uint32_t>(counter),
                                    static_cast<std::uint32_t>(counter >> 32), 0, 0};
  auto k0 = static_cast<std::uint32_t>(key_);
  auto k1 = static_cast<std::uint32_t>(key_ >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53} * c[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

double RandomKey::uniform(std::uint64_t counter) const {
  const auto b = bits(counter);
  const std::uint64_t word = (std::uint64_t{b[1]} << 32) | b[0];
  return static_cast<double>(word >> 11) * 0x1.0p-53;
}

}  // namespace espalier
