// Measures, when a model is loaded, which sizes of work this machine is fastest with.
//
// Runs the first layer's products and attention on made-up rows, with one size changed at a time;
// the variants of a size take turns (../fastest.h). Of large matrices a part is measured. Text is
// the same whatever it finds.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "runtime/backend.h"
#include "runtime/cpu/forward.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/cpu/tuning.h"

namespace espalier::runtime::cpu {

class Autotuner {
 public:
  /// Whether a model's layers are so large that sizes of work matter.
  [[nodiscard]] static bool worth_it(const ModelShape& shape);

  /// The sizes that `forward` is fastest with over pages of type `type`; it has them then. Takes
  /// kBudget and one run more at most. kExhausted: memory. May throw bad_alloc.
  [[nodiscard]] static Result<Tuning> tune(Forward& forward, KvType type, System& system);

  static constexpr std::chrono::milliseconds kBudget{200};

 private:
  enum class Stage : std::uint8_t { kProducts, kFeedForward, kAttention };
  struct Size;  // one that is tuned

  Autotuner(Forward& forward, KvPool pool, System& system);
  void make_rows();
  void make_keys();
  void choose(const Size& size, System::Clock::time_point until);
  /// Seconds.
  [[nodiscard]] double run(Stage stage, const Tuning& tuning);
  void attend(const Batch& batch, std::span<const std::uint32_t> rows);

  Forward& forward_;
  KvPool pool_;  // of one layer
  System& system_;
  Forward::Layer part_;  // the first layer, with as much of its matrices as is measured
  Batch prompt_;         // rows of one text
  Batch branches_;       // a row each of texts that begin alike
  std::vector<std::uint32_t> numbers_;  // 0, 1, 2, …
};

}  // namespace espalier::runtime::cpu
