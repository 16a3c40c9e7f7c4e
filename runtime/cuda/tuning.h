// Sizes of a step's work on the device: what its kernels read together and side by side, never in
// which order a number is formed, so that every choice gives the same bits. Each has a rule, which
// was found on one chip; the autotuner (autotuner.h) finds what is faster on others, and it is kept
// (../tuning_file.h) by chip, driver, shape and types.
//
// What is best depends on how many rows a step has: all sizes but one are chosen for each of eight
// numbers of rows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/cuda/attention.h"
#include "runtime/cuda/kernels.h"
#include "runtime/cuda/one_kernel.h"

namespace espalier::runtime::cuda {

/// The products of a step, by whose weights they read.
enum class ProductOf : std::uint8_t { kHeads, kOutput, kHidden, kDown, kHead };
inline constexpr std::size_t kProductsOf = 5;

/// Of StepSizes::heads_together; more rows than a step has.
inline constexpr std::uint32_t kMostHeadsTogether = 1U << 20;

/// Sizes of steps of about so many rows.
struct StepSizes {
  std::array<ProductSizes, kProductsOf> products;
  // Of attention, in halves a multiprocessor: blocks that are taken to run side by side, and those
  // of prompts from which on their rows are not cut by segments.
  std::uint32_t side_by_side = 2;
  std::uint32_t busy = 3;
  std::uint32_t heads_together = kHeadsTogether;  // turn_heads()
  // Sixteenths of the head's panels from which on all are computed.
  std::uint32_t most_of_head = 12;
  // Of layers in one kernel: blocks a multiprocessor, 0: one kernel a stage, or as the rule has it.
  std::uint32_t one_kernel = kOneKernelByRule;

  [[nodiscard]] ProductSizes& of(ProductOf which) { return products[static_cast<int>(which)]; }
  [[nodiscard]] const ProductSizes& of(ProductOf which) const {
    return products[static_cast<int>(which)];
  }
  [[nodiscard]] AttentionLimits attention(std::uint32_t multiprocessors) const;

  friend bool operator==(const StepSizes&, const StepSizes&) = default;
};

struct SizeLimits {
  std::uint32_t least, most;
};

struct Tuning {
  /// The most rows of each kind of step; what is above the last but one is of the last, which is
  /// measured with so many.
  static constexpr std::array<std::uint32_t, 8> kRows = {1, 2, 4, 8, 16, 32, 64, 512};

  std::array<StepSizes, kRows.size()> steps;
  // KiB of a page that are copied from host memory at once, at least (page_transfers.h).
  std::uint32_t piece_kib = 256;

  [[nodiscard]] const StepSizes& of(std::uint32_t rows) const;

  friend bool operator==(const Tuning&, const Tuning&) = default;
  /// Every size within its limits.
  [[nodiscard]] bool valid() const;
  /// What differs from the rules: "rules but 1 hidden_warps 4, 8 head_rows 16"; "rules".
  [[nodiscard]] std::string text() const;

  // As a file has them (../tuning_file.h).
  [[nodiscard]] static std::vector<std::string> names();
  [[nodiscard]] std::vector<std::uint32_t> numbers() const;
  [[nodiscard]] static std::vector<SizeLimits> limits();  // of numbers()
  [[nodiscard]] static std::optional<Tuning> of(std::span<const std::uint32_t> numbers);
};

}  // namespace espalier::runtime::cuda
