// The bytes of stored forms: numbers of eight bytes, little-endian, texts behind their length, and
// the digests that a form carries of itself and of its vocabulary.
//
// A reader trusts nothing: a length beyond what is left makes a field empty and the form not whole,
// and nothing is made room for that is not there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "grammar/vocabulary.h"

namespace espalier::grammar {

/// A step takes a number of eight bytes and is a bijection of the state: so a change within one
/// number always changes the end, and any other all but always. No guard against who would forge
/// one.
class Digest {
 public:
  /// As numbers of eight bytes, the last filled up with zeros: texts that may be mistaken for
  /// others go behind their length.
  void add(std::string_view bytes);
  void add(std::uint64_t number) {
    state_ = (state_ ^ number) * 0x9E3779B97F4A7C15ULL;
    state_ ^= state_ >> 32;
  }
  [[nodiscard]] std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0xCBF29CE484222325ULL;
};

/// Of bytes and how many they are.
[[nodiscard]] std::uint64_t digest_of(std::string_view bytes);
/// Of its tokens' bytes, by id, and of its end tokens.
[[nodiscard]] std::uint64_t digest_of(const Vocabulary& vocabulary);

void put(std::string& out, std::uint64_t number);
void put(std::string& out, std::string_view text);

/// Reads what put() wrote; texts are parts of the form.
class Fields {
 public:
  explicit Fields(std::string_view form) : left_(form) {}
  std::uint64_t number();
  std::string_view text();
  /// Whether all was there so far.
  [[nodiscard]] bool whole() const { return whole_; }
  /// And nothing is left.
  [[nodiscard]] bool done() const { return whole_ && left_.empty(); }

 private:
  std::string_view left_;
  bool whole_ = true;
};

}  // namespace espalier::grammar
