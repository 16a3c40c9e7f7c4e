// The forward pass of a transformer over a ragged batch on a CUDA device: the stages of
// ../cpu/forward.h, each a few kernels on one stream, with the same bits.
//
// A step comes in two halves. Of the first is all that no mask decides (rows, slots, page tables;
// ids, or embeddings where the device has no matrix of them): it goes to the device in one copy,
// and the layers run. Rows whose logits nobody wants stop at the last layer's K and V. Of the
// second, which the host makes ready meanwhile, are the head's panels that have a token which some
// row may choose: only they are computed (of all rows: what takes time is to read them; but the
// others' logits are then anything). Owns the weights and scratch that grows with the largest
// batch. Used by one thread at a time, on whose current device it lives.
//
// Several of them are one model: those of a stage share its layers (model_part.h), each forms its
// columns of every product and gathers the others', and so all of them have the whole residual
// stream; the stages have the model's layers in turn, and each sends the stream to the next.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "runtime/backend.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/cuda/activation_room.h"
#include "runtime/cuda/attention.h"
#include "runtime/cuda/communicator.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/graph_cache.h"
#include "runtime/cuda/layers_together.h"
#include "runtime/cuda/low_precision.h"
#include "runtime/cuda/page_transfers.h"
#include "runtime/cuda/rope_tables.h"
#include "runtime/cuda/sample.h"
#include "runtime/cuda/side_copies.h"
#include "runtime/cuda/step_input.h"
#include "runtime/cuda/tensor_products.h"
#include "runtime/cuda/tuning.h"
#include "runtime/cuda/weights.h"
#include "runtime/model/model.h"
#include "runtime/model/model_part.h"
#include "runtime/numerics.h"

namespace espalier::runtime::cuda {

/// Rows whose logits exist at one time.
inline constexpr std::uint32_t kHeadRows = 64;

/// kUnsupported, naming the limit, where the kernels cannot take a model of this shape.
[[nodiscard]] Status check_shape(const ModelShape& shape);

/// What earlier layers, elsewhere, left in the residual stream: rows of the model's width on the
/// host.
struct Residual {
  const float* rows = nullptr;  // null: there are none, and the step begins with embeddings
  std::size_t stride = 0;
};

/// Tokens of a step's rows that the device has chosen and the host does not know yet.
struct ChosenTokens {
  const SampleResult* choices = nullptr;  // the same at every step, or what is recorded is not
  std::span<const std::uint32_t> ids;  // of all rows, as embed_rows() has them; empty: the batch's
};

/// With whom a forward pass works; both may change between steps, and outlive the step.
struct Links {
  Communicator* across = nullptr;  // those that share its layers; null: nobody
  Communicator* along = nullptr;   // a rank a stage of layers, first to last; null: one stage
};

class Forward {
 public:
  /// `model` is what this device has: of `shares`, where it does not have its layers alone, this
  /// rank's. `workers` outlives it; `multiprocessors` are the device's. `low`: what is not exact,
  /// of this device's layers. `kv_type`: the pool's.
  [[nodiscard]] static Result<std::unique_ptr<Forward>> create(
      std::shared_ptr<const Model> model, const Shares& shares, cpu::WorkerPool& workers,
      std::uint32_t multiprocessors, KvType kv_type, const LowPrecision& low);

  /// Holds a matrix of embeddings, if it has none and one takes at most so many bytes, so that ids
  /// go up instead of rows. For those that begin with embeddings.
  [[nodiscard]] Status hold_embedding(std::uint64_t most_bytes);
  /// Makes a step ready and enqueues its input: all that can lack memory is here, so that ranks can
  /// fail before they wait for each other. `wanted` (rising, unique) are the rows of the batch
  /// whose logits may be asked for afterwards; without a head they are not looked at. The step
  /// before may still run; the one before that has ended. `chosen` where looks_up(). kExhausted.
  [[nodiscard]] Status prepare(const Batch& batch, std::span<const std::uint32_t> wanted,
                               const Residual& earlier, const Links& links,
                               const ChosenTokens& chosen = {});
  /// Whether a step of so many rows, of which so many are wanted, finds its scratch there.
  [[nodiscard]] bool has_room(std::size_t rows, std::size_t wanted) const {
    return rows <= reserved_rows_ &&
           (!has_head(*model_) || std::min<std::size_t>(wanted, kHeadRows) <= reserved_head_rows_);
  }
  /// Whether it has embeddings, which begin a step that nothing comes before.
  [[nodiscard]] bool looks_up() const { return !weights_.embedding.parts.empty(); }
  /// Enqueues the layers, which write K and V, each behind what it reads of pages that arrive.
  [[nodiscard]] Status run(const KvView& pool, PageTransfers& transfers);
  /// After run(), before logits(), of those with a head: of each kHeadRows wanted rows the tokens
  /// that matter, as the words of a mask of the whole vocabulary (empty: all). Goes up beside the
  /// layers.
  [[nodiscard]] Status narrow_head(std::span<const std::vector<std::uint64_t>> tokens);
  /// Enqueues the head: logits of wanted rows [begin, end), logits_stride() apart, in device memory
  /// that the next call overwrites. `begin` is a multiple of kHeadRows, and so is `end`, or all of
  /// them: kHeadRows at most.
  [[nodiscard]] Result<const float*> logits(std::uint32_t begin, std::uint32_t end);
  [[nodiscard]] std::uint32_t logits_stride() const { return logits_stride_; }
  /// Sizes of the work of later steps; they are valid. No bit depends on them.
  void set_tuning(const Tuning& tuning);
  [[nodiscard]] const Tuning& tuning() const { return tuning_; }
  [[nodiscard]] Numerics numerics() const { return numerics_; }
  [[nodiscard]] const Stream& stream() const { return stream_; }

 private:
  friend class Autotuner;  // runs stages by themselves

  struct Planned {
    AttentionPlan plan;
    StepInput::Place place;
    AttentionGrid grid;  // the plan's, rounded up
  };
  // What layers that see everything, or local ones, share.
  struct View {
    View(const ModelShape& shape, const Rope& rope, std::uint32_t window)
        : tables(rope, shape.rope_width),
          all{AttentionPlan(shape, window), {}, {}},
          wanted{AttentionPlan(shape, window), {}, {}} {}
    RopeTables tables;
    Planned all;     // of all rows
    Planned wanted;  // of those alone, in the last layer
  };

  // A matrix of rows, of which this rank forms some columns.
  struct Shared {
    const Cut* cut;
    float* whole;
    std::size_t stride;
  };
  // Where this rank's columns go: among the whole ones where it has all.
  struct Own {
    float* to;
    std::size_t stride;
  };

  Forward(std::shared_ptr<const Model> model, const Shares& shares, cpu::WorkerPool& workers,
          std::uint32_t multiprocessors);
  [[nodiscard]] Status reserve(std::uint32_t rows, std::uint32_t head_rows);
  [[nodiscard]] bool on_tensor_cores(const MatrixGroup& group, std::uint32_t rows) const;
  [[nodiscard]] Status fit(ActivationRoom& room, std::uint32_t rows, std::uint32_t columns,
                           const MatrixGroup& reader) const;
  [[nodiscard]] Status reserve(ActivationRoom& room, std::uint32_t rows, std::uint32_t columns,
                               const MatrixGroup& reader) const;
  [[nodiscard]] Status enqueue(const KvView& pool, PageTransfers& transfers);
  [[nodiscard]] OneKernelCall layers_call(const KvView& pool) const;
  [[nodiscard]] Status run_together(std::uint32_t& rows, const KvView& pool);
  [[nodiscard]] Status take_apart();
  [[nodiscard]] float* after_layers(const KvView& pool) const;
  [[nodiscard]] Status head(std::uint32_t begin, std::uint32_t end);
  void embed(const Batch& batch, std::span<float> out);
  [[nodiscard]] Status run_layer(std::uint32_t number, std::uint32_t& rows, const KvView& pool);
  [[nodiscard]] bool is_shared() const { return shares_.ranks() > 1; }
  [[nodiscard]] Own own(const Shared& matrix, std::uint32_t rows) const;
  [[nodiscard]] Status gather(const Shared& matrix, std::uint32_t rows, bool add);
  [[nodiscard]] Status multiply(ProductOf which, const MatrixGroup& group, const Activations& x,
                                std::uint32_t rows, float* out, std::size_t stride, bool add,
                                const std::uint32_t* wanted = nullptr);
  [[nodiscard]] Result<bool> multiply_codes(const DeviceMatrix& matrix, const E4m3Rows& x,
                                            std::uint32_t rows, float* out, std::size_t stride,
                                            bool add);
  [[nodiscard]] bool plan_head(const std::vector<std::uint64_t>& tokens, std::uint32_t rows,
                               std::span<std::uint32_t> panels) const;
  [[nodiscard]] Status add_block(ProductOf which, const MatrixGroup& group, const Activations& x,
                                 std::uint32_t rows, const float* post);
  [[nodiscard]] Heads heads_of(std::uint32_t number) const;
  [[nodiscard]] View& view(std::uint32_t layer) {
    return shape_.is_local(layer) ? *local_ : *global_;
  }
  [[nodiscard]] const View& view(std::uint32_t layer) const {
    return shape_.is_local(layer) ? *local_ : *global_;
  }

  std::shared_ptr<const Model> model_;
  cpu::WorkerPool& workers_;
  const ModelShape& shape_;
  const Shares shares_;
  const std::uint32_t multiprocessors_;
  Tuning tuning_;
  // Of all ranks; shape_ has this one's.
  std::uint32_t query_width_ = 0;
  std::uint32_t hidden_width_ = 0;
  std::uint32_t logits_stride_ = 0;
  Stream stream_;
  DeviceWeights weights_;
  Numerics numerics_ = Numerics::kExact;
  std::unique_ptr<TensorProducts> tensor_;  // null: numerics are exact
  bool tensor_attention_ = false;
  LayersTogether together_;
  std::unique_ptr<View> global_, local_;  // null where no layer is so
  TemperatureTable temperatures_;

  StepInput input_;
  StepInput panels_;  // of the second half: bitsets of the head's panels
  SideCopies copies_beside_;
  GraphCache graphs_;  // of layers, and of heads
  GraphCache::Key key_;
  std::uint64_t moves_ = 0;
  // Scratch by rows: the residual stream, Q K V, attention's result, gate and up, a block's output;
  // what the stage before sent, what is gathered, and the gated columns of all ranks.
  DeviceMemory x_, heads_, attended_, hidden_, block_, logits_, parts_, received_, exchange_,
      gated_;
  std::uint32_t reserved_rows_ = 0, reserved_head_rows_ = 0;
  ActivationRoom normal_, attended_codes_, hidden_codes_, head_;
  std::vector<std::uint32_t> all_rows_;
  std::vector<std::uint64_t> offsets_;
  Links links_;
  std::uint32_t count_ = 0;   // rows of the step
  std::uint32_t wanted_ = 0;  // of them
  std::uint32_t blocks_ = 0;  // of the layers in one kernel; 0: one kernel a stage
  bool recorded_ = false;     // whether its launches are recorded
  // Of the step, on the device. The residual stream begins in the input, as embeddings or as what
  // earlier layers left, or in received_, where the stage before sends it or embeddings are looked
  // up, and moves to x_ where only wanted rows go on.
  float* begin_ = nullptr;
  const std::uint32_t* ids_ = nullptr;  // null: nothing is looked up there
  const SampleResult* chosen_ = nullptr;
  float* residual_ = nullptr;
  const DeviceRow* rows_ = nullptr;
  const DeviceSlot* slots_ = nullptr;
  const DeviceCopy* copies_ = nullptr;
  const std::uint32_t* kept_rows_ = nullptr;
  std::vector<StepInput::Place> panels_at_;        // of each kHeadRows wanted rows
  std::vector<const std::uint32_t*> head_panels_;  // theirs on the device; null: all
  std::vector<std::uint32_t> waves_;  // of copies: one may read what an earlier one wrote
};

}  // namespace espalier::runtime::cuda
