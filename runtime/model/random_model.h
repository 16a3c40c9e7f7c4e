// Model files of random weights, by shape: for measuring speed and memory where the real weights
// can't be had, and for trying a shape or a tensor type that no file at hand has.
//
// Such a model computes what a trained one of its shape computes and says nothing. The same plan
// and seed give the same file, byte for byte.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/model/gguf.h"
#include "runtime/model/gguf_writer.h"
#include "runtime/model/tensor.h"

namespace espalier::runtime {

/// Sizes as ModelShape has them.
struct RandomShape {
  std::string_view name;  // of a known model: "llama-3.1-8b"
  std::string architecture = "llama";
  std::uint32_t layers = 0;
  std::uint32_t width = 0;
  std::uint32_t heads = 0;
  std::uint32_t kv_heads = 0;
  std::uint32_t head_width = 0;
  std::uint32_t feed_forward = 0;
  std::uint32_t vocabulary = 0;
  std::uint32_t context = 0;
  bool tied = true;  // the head is the embedding
  float rope_base = 10000.0F;
  std::uint32_t window = 0;  // gemma3's local layers
};

/// The shapes of well-known models, as their published configurations have them.
[[nodiscard]] std::span<const RandomShape> known_shapes();

/// Which type each matrix gets. A width that is no multiple of a K type's 256 gets the type that
/// llama.cpp's quantiser takes there (Q4_K: Q5_0, …).
struct RandomTypes {
  TensorType matrices = TensorType::kQ4_1;
  TensorType embedding = TensorType::kQ4_1;
  TensorType head = TensorType::kQ4_1;
  /// Q4_K_M: the value and down matrices of some layers, and embedding or head, have Q6_K.
  bool mixed = false;

  /// "q4_k_m", or the name of one type for all; kInvalid names the types there are.
  [[nodiscard]] static Result<RandomTypes> parse(std::string_view text);
};

struct RandomModel {
  RandomShape shape;
  RandomTypes types;
  std::uint64_t seed = 1;
  /// The tokenizer and template of this file; without one, the 256 bytes, three control tokens,
  /// and words that no text is cut into.
  const Gguf* vocabulary = nullptr;
  unsigned threads = 1;  // that make the weights; the bytes are the same

  /// kInvalid where sizes do not fit each other or pass the loader's bounds; says which.
  [[nodiscard]] Result<GgufWriter> plan() const;
};

}  // namespace espalier::runtime
