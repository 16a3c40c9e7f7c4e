// What codes of 8 bits do to each product of a model on a text: a pass over windows of its tokens,
// exact, in which every product whose weights are floats is formed beside by numerics `fp8` (the
// codes and scales of model/e4m3.h, a scale an output and a row; sums in fp32, as a device has them
// but for their order). Runs on the CPU, whatever device the model is for.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "base/token.h"
#include "runtime/cpu/forward.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/fp8_products.h"
#include "runtime/model/model.h"

namespace espalier::runtime::cpu {

class Fp8Errors {
 public:
  /// Tokens of a window at most; of each some rows are looked at, which are spread over it.
  static constexpr std::uint32_t kMostWindow = 512;
  static constexpr std::size_t kRows = 32;

  /// kInvalid where the model has no product of floats. kExhausted for memory or threads.
  [[nodiscard]] static Result<std::unique_ptr<Fp8Errors>> create(
      const std::shared_ptr<const Model>& model, unsigned threads, System& system);

  /// One more window, of at least one token, kMostWindow and the model's positions at most.
  [[nodiscard]] Status take(std::span<const TokenId> window);
  /// Of all so far (Fp8Calibration::errors). The same whatever the number of threads.
  [[nodiscard]] std::vector<std::array<double, kLayerProducts.size()>> errors() const;

 private:
  struct Sums {
    double error = 0;  // squares
    double output = 0;
  };

  Fp8Errors(std::shared_ptr<const Model> model, std::unique_ptr<WorkerPool> workers,
            std::unique_ptr<Forward> forward, KvPool pool);
  void measure(std::size_t layer, LayerProducts products, const Activations& x, std::size_t rows);
  void add(const Tensor& tensor, std::size_t rows, Sums& to);

  std::shared_ptr<const Model> model_;
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<Forward> forward_;
  KvPool pool_;
  std::vector<std::array<Sums, kLayerProducts.size()>> sums_;
  std::vector<float> rows_, coded_rows_;                     // those that are looked at
  std::vector<std::vector<float>> weights_, coded_weights_;  // one a thread
  std::vector<Sums> outputs_;
};

}  // namespace espalier::runtime::cpu
