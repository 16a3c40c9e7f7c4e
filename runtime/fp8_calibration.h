// A calibration for numerics `fp8`: what 8 bits do to each product of a model, as it was measured
// on a text, and the bound from which on a product stays in the weights' own type.
//
// It is kept as a small file of lines of text, which ends with its own SHA-256: a file of which any
// bit has changed is refused by name, and so is one of another model.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "runtime/fp8_products.h"
#include "runtime/model/model.h"

namespace espalier::runtime {

struct Fp8Calibration {
  std::string model;         // model_key()
  std::uint64_t tokens = 0;  // that it was measured on
  double bound = 0;
  /// Of each layer and its products: the root of the squares of the outputs' errors over those of
  /// the outputs. 0 where no weights are floats.
  std::vector<std::array<double, kLayerProducts.size()>> errors;

  [[nodiscard]] bool keeps(std::size_t layer, LayerProducts products) const {
    // A NaN stays too.
    return !(errors[layer][static_cast<std::size_t>(products)] <= bound);
  }
  [[nodiscard]] Fp8Products products() const;
  /// How many of how many products stay: those whose weights are no floats are not counted.
  struct Counts {
    std::size_t kept = 0;
    std::size_t all = 0;
  };
  [[nodiscard]] Counts counts() const;
  /// kInvalid where it is another model's.
  [[nodiscard]] Status check(const Model& of) const;

  /// As a file has it.
  [[nodiscard]] std::string text() const;
  /// Names it among all: 16 digits, the same as long as the text is.
  [[nodiscard]] std::string name() const;
  /// kInvalid, naming the file, where it is not whole.
  [[nodiscard]] static Result<Fp8Calibration> parse(std::string_view text, const std::string& path);
  [[nodiscard]] static Result<Fp8Calibration> read(const std::string& path, System& system);
};

/// Null, as where none is named: all products in 8 bits, and no name.
[[nodiscard]] Fp8Products products_of(const std::shared_ptr<const Fp8Calibration>& calibration);
[[nodiscard]] std::string name_of(const std::shared_ptr<const Fp8Calibration>& calibration);

/// A digest of what a model is: its tensors' names, types and shapes, and some of their bytes.
/// Cheap, unlike the whole file's (engine/fingerprint.h).
[[nodiscard]] std::string model_key(const Model& model);

}  // namespace espalier::runtime
