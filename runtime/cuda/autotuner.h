// Measures, at a model's first start on a device, which sizes of work that device is fastest with.
//
// Runs each product of a step, the heads and attention by themselves, with made-up rows and for
// each number of rows that a Tuning tells apart, one size changed at a time (../fastest.h); also
// all layers in one kernel beside recorded ones, the head with panels left out, and copies from
// host memory in pieces. Products pass the weights
// of as many layers as the device's cache does not hold. Steps of few rows come first, for where
// time is up what is not yet measured stays as the rule has it. Text is the same whatever it finds.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/system.h"
#include "runtime/cuda/activation_room.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/forward.h"
#include "runtime/cuda/kernels.h"
#include "runtime/cuda/stopwatch.h"
#include "runtime/cuda/tuning.h"
#include "runtime/tuning_file.h"

namespace espalier::runtime::cuda {

/// The sizes of a product that are fastest by `run`, which gives seconds: one after the other, of
/// those that make a difference to `rows` rows of weights that are floats or not.
[[nodiscard]] ProductSizes fastest_product(std::uint32_t rows, bool dense,
                                           const std::function<double(const ProductSizes&)>& run,
                                           const std::function<bool()>& more);

class Autotuner {
 public:
  /// Of all devices of a start together.
  static constexpr std::chrono::seconds kBudget{30};

  /// What a device has of a model, with the pool that its pages are in: nothing is in them yet.
  struct Subject {
    Forward& forward;
    const KvView& pool;
    std::uint32_t pages = 0;
    const DeviceFacts& device;
  };

  /// Whether a model's layers are so large that sizes of work matter.
  [[nodiscard]] static bool worth_it(const ModelShape& shape);

  /// All that the best sizes depend on: chip, driver, shape and types.
  [[nodiscard]] static Result<std::string> key(const Subject& of, System& system);

  /// The sizes that the subject is fastest with, which it has then: what is kept of it, or what is
  /// measured until `until` (and one run more) and kept. Where nothing can be kept nothing is
  /// measured: a start must not take longer each time. What a measurement lacks memory for stays as
  /// it is. Fails where the device does.
  [[nodiscard]] static Status tune(const Subject& of, System::Clock::time_point until,
                                   const Stopwatch& stopwatch, System& system);

 private:
  // Where a product's activations and results are. Stride 0: as many as outputs.
  struct Place {
    ActivationRoom* room;
    std::uint32_t columns;
    float* out;
    std::size_t stride;
  };

  Autotuner(const Subject& of, System::Clock::time_point until, const Stopwatch& stopwatch,
            System& system);
  /// Nothing where there is no memory for any of it.
  [[nodiscard]] Result<std::optional<Tuning>> measure();
  void measure_products(std::size_t step);
  [[nodiscard]] Status measure_head(std::size_t step);
  [[nodiscard]] Status measure_heads(std::size_t step);
  [[nodiscard]] Status measure_attention(std::size_t step);
  void measure_layers(std::size_t step);
  [[nodiscard]] Status measure_pieces();
  [[nodiscard]] Batch made_up(std::uint32_t rows, std::uint32_t depth, bool prompt) const;
  [[nodiscard]] const MatrixGroup& group(ProductOf which, std::uint32_t layer) const;
  [[nodiscard]] std::uint32_t layers_to_pass(ProductOf which) const;
  [[nodiscard]] Place place_of(ProductOf which);
  /// The products of that kind, of as many layers as are passed.
  void pass(ProductOf which, std::uint32_t rows, const ProductSizes& sizes,
            const std::uint32_t* wanted);
  /// Seconds; endless where it does not run.
  [[nodiscard]] double seconds(const std::function<void()>& work);
  /// Sets `field`, a size of tuning_, to the fastest of `values`; `run` measures with what it has.
  void choose(std::uint32_t& field, std::initializer_list<std::uint32_t> values,
              const std::function<double()>& run);
  [[nodiscard]] bool more() { return system_.now() < until_; }

  Subject of_;
  Forward& forward_;
  System::Clock::time_point until_;
  const Stopwatch& stopwatch_;
  System& system_;
  Tuning tuning_;
};

}  // namespace espalier::runtime::cuda
