// The forward pass of a transformer (ModelShape says which) over a ragged batch: one pass over the
// weights for all rows.
//
// Stages of a layer, each one loop of the pool: [norm, quantise] Q, K and V products [biases, norms
// and rotation of heads, K and V to the pages] attention [quantise] output product onto the
// residual [norm, quantise] gate and up with their activation and the next quantisation, down onto
// the residual. Where a block's output is normed, its product goes to a buffer and from there onto
// the residual. The bracketed parts are short for few rows and then run on the owner alone. Rows
// whose logits nobody wants stop at the last layer's K and V.
//
// Owns the panels and scratch that grows with the largest batch. Used by one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "grammar/mask.h"
#include "runtime/backend.h"
#include "runtime/cpu/attention.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/cpu/matrix.h"
#include "runtime/cpu/memory.h"
#include "runtime/cpu/rope.h"
#include "runtime/cpu/tuning.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/fp8_products.h"
#include "runtime/model/model.h"

namespace espalier::runtime::cpu {

/// Whose logits are wanted: a row of the batch, and of which tokens. No masks: of all.
struct HeadRow {
  std::uint32_t row = 0;
  bool all = false;
  std::vector<const grammar::Mask*> masks;
};

class Forward {
 public:
  /// Makes the panels. `kernels` and `workers` outlive it.
  [[nodiscard]] static Result<std::unique_ptr<Forward>> create(std::shared_ptr<const Model> model,
                                                               const Kernels& kernels,
                                                               WorkerPool& workers);

  /// Runs the layers and writes K and V; `wanted` (rising, unique) are the rows whose logits may be
  /// asked for afterwards. Without a head `wanted` is not looked at: all rows go on. May throw
  /// bad_alloc.
  void run(const Batch& batch, std::span<const std::uint32_t> wanted, KvPool& pool);

  /// Of a model without a head (model_part.h): what the last run's rows left in the residual
  /// stream, residual_stride() apart.
  [[nodiscard]] const float* residual() const { return x_.data(); }
  [[nodiscard]] std::size_t residual_stride() const { return width_stride_; }

  /// Logits of rows wanted by the last run, row i at out + i * logits_stride(). Only panels of 16
  /// tokens with a wanted token are computed; the rest of `out` is left as it was. Every computed
  /// logit has the bits that the whole head would give. May throw bad_alloc.
  void logits(std::span<const HeadRow> rows, float* out);
  [[nodiscard]] std::size_t logits_stride() const;

  /// Called with what the products of a layer read, before they do, for all rows that go on.
  using Watch = std::function<void(std::size_t layer, LayerProducts products, const Activations& x,
                                   std::size_t rows)>;
  void watch(Watch watch) { watch_ = std::move(watch); }

  /// valid(). Never changes a result.
  void set_tuning(const Tuning& tuning);
  [[nodiscard]] const Tuning& tuning() const { return tuning_; }

 private:
  friend class Autotuner;  // runs stages by themselves
  struct Layer {
    std::vector<float> attention_norm, feed_forward_norm;
    std::vector<float> query_bias, key_bias, value_bias;             // empty: none
    std::vector<float> query_norm, key_norm;                         // empty: none
    std::vector<float> post_attention_norm, post_feed_forward_norm;  // empty: none
    Matrix query, key, value, attention_output, gate, up, down;
    bool local = false;
  };
  // What layers that see everything, or local ones, share: who sees what, and the batch's angles.
  struct View {
    Attention attention;
    RopeTable rope;
    std::vector<float> cosines, sines;  // rope.pairs() a row
  };
  struct Product {
    const Matrix* matrix;
    float* out;
    std::size_t stride;
    bool add;
  };

  Forward(std::shared_ptr<const Model> model, const Kernels& kernels, WorkerPool& workers);
  [[nodiscard]] Status load();
  void make_panels(Matrix& matrix);

  // f(row, thread) for every row: on the owner alone where that is shorter.
  template <class F>
  void each_row(std::size_t rows, F&& f);
  void normalise(std::size_t rows, const std::vector<float>& weight, Activations& out);
  void multiply(std::span<const Product> products, const Activations& x, std::size_t rows);
  // One head's K or Q, after its product: bias and norm are those of the layer.
  void turn(float* heads, std::size_t count, const std::vector<float>& bias,
            const std::vector<float>& norm, const float* cosines, const float* sines) const;
  void write_keys(const Batch& batch, std::size_t layer, const View& view, KvPool& pool);
  void feed_forward(const Layer& layer, std::size_t rows);
  void show(std::size_t layer, LayerProducts products, const Activations& x,
            std::size_t rows) const {
    if (watch_) watch_(layer, products, x, rows);
  }
  // The product onto the residual: through `post`, where there is one.
  void add_block(const Matrix& matrix, const Activations& x, std::size_t rows,
                 const std::vector<float>& post);
  [[nodiscard]] View& view(const Layer& layer) { return layer.local ? *local_ : *global_; }
  void plan(const Batch& batch, std::span<const std::uint32_t> rows, KvType type,
            const Layer* only);

  std::shared_ptr<const Model> model_;
  const Kernels& kernels_;
  WorkerPool& workers_;
  ModelShape shape_;
  Tuning tuning_;
  Watch watch_;
  Memory memory_;
  std::vector<Layer> layers_;
  std::vector<float> output_norm_;
  Matrix output_;
  std::unique_ptr<View> global_, local_;  // null where no layer is so

  // Scratch, by rows of the batch.
  std::size_t width_stride_, query_stride_, key_stride_;
  std::vector<float> x_, queries_, keys_, values_, attended_, block_;
  Activations normal_, attended_codes_, hidden_, head_;
  struct Scratch {
    std::vector<float> row, gate, up;
    KvRow kept;
  };
  std::vector<Scratch> scratch_;
  std::vector<std::uint32_t> all_rows_;
  std::vector<std::uint32_t> kept_;  // batch rows that x_ holds after run()
  std::vector<std::uint32_t> panels_;
};

}  // namespace espalier::runtime::cpu
