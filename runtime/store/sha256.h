// SHA-256 (FIPS 180-4) by libcrypto, which uses the processor's own instructions where it has them.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace espalier::runtime {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::span<const std::byte> bytes);
  /// The digest in lower-case hexadecimal; the object is spent.
  [[nodiscard]] std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace espalier::runtime
