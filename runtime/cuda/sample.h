// Choosing tokens on the device: masks and sampling in one kernel, so that logits need not be
// copied.
//
// A row gets the token and the probability that Sampler (../sampling/sampler.h) gives, bit for bit
// (numerics contract 10). Rows with penalties, top-k, top-p or min-p are not for this.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace espalier::runtime::cuda {

/// A choice to make. Several may read the same logits.
struct SampleRow {
  std::uint32_t logits_row = 0;
  std::uint32_t mask_words = 0;         // of 32 bits; tokens past the last are not allowed
  const std::uint32_t* mask = nullptr;  // bit i % 32 of word i / 32 for token i; null: all
  double uniform = 0;                   // in [0, 1), where the temperature is above 0
  float temperature = 0;                // 0: the best, ties to the lowest id
};

enum class SampleState : std::uint32_t {
  kChosen,
  kNothingAllowed,
  kNotFinite,  // a logit that matters
};

struct SampleResult {
  SampleState state = SampleState::kChosen;
  std::int32_t token = -1;
  float probability = 0;  // among the allowed, at temperature 1
};

/// What one sample() after the other leaves to the blocks that come last, on the device.
[[nodiscard]] std::size_t sample_scratch_bytes(std::uint32_t rows, std::uint32_t vocabulary);

/// results[i] is rows[i]'s choice. `logits` has a stride that is a multiple of 4 and not below the
/// vocabulary, and is aligned to 16 bytes; what lies past the vocabulary is not read as a logit.
/// `scratch` is aligned to 16 bytes and was all 0 before the first call with it; calls with one
/// take turns.
void sample(cudaStream_t stream, std::uint32_t rows, const SampleRow* row, const float* logits,
            std::size_t stride, std::uint32_t vocabulary, void* scratch, SampleResult* results);

}  // namespace espalier::runtime::cuda
