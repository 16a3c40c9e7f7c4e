// The keys of one architecture in a model file, and what all architectures read alike.
//
// A key below "<architecture>.attention." or "<architecture>.rope." that nobody asked for changes
// what the model computes in a way that is not known here, so it is refused by name; so are the
// keys of known variants that are not supported (experts, scaled residuals).
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/model/gguf.h"
#include "runtime/model/model.h"

namespace espalier::runtime {

// Bounds on hyper-parameters, far above any known model: they keep every later product of two or
// three of them, and every allocation that follows from them, inside 64 bits and reason.
inline constexpr std::uint64_t kMaxLayers = 1024;
inline constexpr std::uint64_t kMaxWidth = 1 << 17;
inline constexpr std::uint64_t kMaxHeads = 1024;
inline constexpr std::uint64_t kMaxHeadWidth = 1024;
inline constexpr std::uint64_t kMaxFeedForward = 1 << 20;
inline constexpr std::uint64_t kMaxVocabulary = 1 << 22;
inline constexpr std::uint64_t kMaxContext = 1 << 24;

/// What is known before the shape is read.
struct ShapeRequest {
  std::uint32_t vocabulary = 0;  // tokens of the tokenizer
  std::uint32_t context = 0;     // LoadOptions::context
};

class HyperParameters {
 public:
  /// Keys are read below `architecture` (general.architecture) and a dot.
  HyperParameters(const Gguf& file, std::string_view architecture)
      : file_(file), prefix_(std::string(architecture) + ".") {}

  [[nodiscard]] const Gguf& file() const { return file_; }
  [[nodiscard]] std::string key(std::string_view name) const { return prefix_ + std::string(name); }

  // As Gguf's getters, for "<architecture>.<name>".
  [[nodiscard]] bool has(std::string_view name);
  [[nodiscard]] Result<std::uint64_t> integer(std::string_view name, std::uint64_t least,
                                              std::uint64_t most);
  [[nodiscard]] Result<std::uint64_t> integer_or(std::string_view name, std::uint64_t fallback,
                                                 std::uint64_t least, std::uint64_t most);
  [[nodiscard]] Result<double> number(std::string_view name, double least, double most);
  [[nodiscard]] Result<double> number_or(std::string_view name, double fallback, double least,
                                         double most);
  /// The key is known and changes nothing here.
  void allow(std::string_view name) { asked_.insert(key(name)); }

  /// "<file>: key '<architecture>.<name>': <message>"
  [[nodiscard]] tl::unexpected<Error> refuse(ErrorCode code, std::string_view name,
                                             const std::string& message) const;
  /// Refuses keys of attention and positions that nobody asked for.
  [[nodiscard]] Status refuse_rest() const;

  /// Sizes, norms' epsilon, query scale 1 / sqrt(head width), and the positions of layers that see
  /// everything (linear and YaRN scaling; `long_rope`: the caller knows LongRoPE). Refuses
  /// variants.
  [[nodiscard]] Result<ModelShape> read_shape(const ShapeRequest& request, bool long_rope = false);
  /// Reads attention.sliding_window, 0 where it is absent: every layer is local then.
  [[nodiscard]] Status read_window(ModelShape& shape);
  /// One divisor a pair from a tensor of F32; none where it is absent.
  [[nodiscard]] Result<std::vector<float>> divisors(const ModelShape& shape,
                                                    const std::string& tensor) const;

 private:
  [[nodiscard]] Status refuse_variants();
  [[nodiscard]] Status read_heads(ModelShape& shape);
  [[nodiscard]] Status read_rope(ModelShape& shape, bool long_rope);
  [[nodiscard]] Status read_yarn(ModelShape& shape, std::uint64_t original_context);

  const Gguf& file_;
  std::string prefix_;
  std::set<std::string, std::less<>> asked_;
};

}  // namespace espalier::runtime
