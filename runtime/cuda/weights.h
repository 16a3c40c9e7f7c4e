// A model's weights on the device: matrices laid out for the products, and the small vectors.
//
// Q, K and V, and gate and up, of one tensor type lie side by side and are one matrix: one product
// for all. One block of memory for all matrices. Loading lays out on all threads of `workers` while
// the part before is being copied; the file's pages are given back as they have been read. Under
// numerics `fp8` the layers' matrices of floats are made E4M3 codes on the way.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/kernels.h"
#include "runtime/cuda/layer_vectors.h"
#include "runtime/fp8_products.h"
#include "runtime/model/model.h"

namespace espalier::runtime::cuda {

/// Matrices that read the same activations; their outputs stand side by side.
struct MatrixGroup {
  struct Part {
    DeviceMatrix matrix;
    std::uint32_t first = 0;  // where its outputs begin
  };
  std::vector<Part> parts;
  std::uint32_t outputs = 0;  // of all, each matrix's rounded up to 16
  bool codes = false;         // what they read
  bool halves = false;
  bool floats = false;
  bool e4m3 = false;

  /// Whether all of them are F16, or all BF16: what tensor cores take as it is.
  [[nodiscard]] bool in_sixteen_bits() const;
};

struct DeviceLayer : LayerVectors {
  MatrixGroup heads;   // Q, K, V
  MatrixGroup output;  // of attention
  MatrixGroup hidden;  // gate, up
  MatrixGroup down;
  std::uint32_t key_first = 0;  // outputs of `heads`
  std::uint32_t value_first = 0;
  std::uint32_t up_first = 0;  // output of `hidden`
};

class DeviceWeights {
 public:
  /// Bytes on the device. `fp8`: which of the model's products are in 8 bits; null: none.
  [[nodiscard]] static std::uint64_t bytes(const Model& model, const Fp8Products* fp8 = nullptr);
  /// kExhausted where the device lacks memory.
  [[nodiscard]] static Result<DeviceWeights> load(const Model& model, cpu::WorkerPool& workers,
                                                  const Stream& stream,
                                                  const Fp8Products* fp8 = nullptr);
  /// A matrix of embeddings of its own. kExhausted.
  [[nodiscard]] Status load_embedding(const Model& model, cpu::WorkerPool& workers,
                                      const Stream& stream);

  std::vector<DeviceLayer> layers;
  const float* output_norm = nullptr;  // null, and no head, in a part without one (model_part.h)
  MatrixGroup head;
  MatrixGroup embedding;  // empty: the host looks embeddings up. The head's, where it is tied

 private:
  DeviceMemory matrices_, vectors_, embedding_;
};

}  // namespace espalier::runtime::cuda
