#include "grammar/stored_form.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kNumber = 8;  // bytes

// The first `size` bytes, at most kNumber.
std::uint64_t number_at(const char* bytes, std::size_t size) {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < size; ++i) {
    out |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return out;
}

}  // namespace

void Digest::add(std::string_view bytes) {
  for (; bytes.size() >= kNumber; bytes.remove_prefix(kNumber)) {
    add(number_at(bytes.data(), kNumber));
  }
  if (!bytes.empty()) add(number_at(bytes.data(), bytes.size()));
}

std::uint64_t digest_of(std::string_view bytes) {
  Digest digest;
  digest.add(bytes.size());
  digest.add(bytes);
  return digest.value();
}

std::uint64_t digest_of(const Vocabulary& vocabulary) {
  Digest digest;
  digest.add(vocabulary.size());
  for (std::size_t id = 0; id < vocabulary.size(); ++id) {
    const std::string_view bytes = vocabulary.bytes(static_cast<TokenId>(id));
    digest.add(bytes.size());
    digest.add(bytes);
  }
  digest.add(static_cast<std::uint64_t>(vocabulary.end_of_turn()));
  for (const TokenId id : vocabulary.also_end()) digest.add(static_cast<std::uint64_t>(id));
  return digest.value();
}

void put(std::string& out, std::uint64_t number) {
  for (int shift = 0; shift < 64; shift += 8) out += static_cast<char>((number >> shift) & 0xFF);
}

void put(std::string& out, std::string_view text) {
  put(out, std::uint64_t{text.size()});
  out += text;
}

std::uint64_t Fields::number() {
  if (left_.size() < kNumber) {
    whole_ = false;
    return 0;
  }
  const std::uint64_t out = number_at(left_.data(), kNumber);
  left_.remove_prefix(kNumber);
  return out;
}

std::string_view Fields::text() {
  const std::uint64_t size = number();
  if (size > left_.size()) {
    whole_ = false;
    return {};
  }
  const std::string_view out = left_.substr(0, size);
  left_.remove_prefix(size);
  return out;
}

}  // namespace espalier::grammar
