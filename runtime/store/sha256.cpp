#include "runtime/store/sha256.h"

#include <openssl/evp.h>

#include <array>

#include "base/result.h"

namespace espalier::runtime {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  ESP_CHECK(state_->context != nullptr &&
            EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}
Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) {
  ESP_CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

std::string Sha256::finish() {
  std::array<unsigned char, 32> digest{};
  unsigned size = 0;
  ESP_CHECK(EVP_DigestFinal_ex(state_->context, digest.data(), &size) == 1 &&
            size == digest.size());
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const unsigned char byte : digest) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

}  // namespace espalier::runtime
