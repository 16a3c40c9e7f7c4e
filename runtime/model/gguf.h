// GGUF, the container of model files: metadata by key and tensors by name, as views into the mapped
// file.
//
// Format: ggml's docs/gguf.md, versions 2 and 3 (64-bit counts), little-endian. The file is hostile
// until proved otherwise: parse() checks every count, length, type, alignment, product, extent and
// overlap against the file's size before it believes it, and afterwards no view can leave the
// mapping. Nothing is copied but one record a key (at most kMaxKeys) and one a tensor (at most
// kMaxTensors), so parsing takes O(metadata) time and a few MiB at worst. Errors name the file, the
// key or tensor, and the limit.
//
// Immutable once parsed and joined; safe from any thread. Shares ownership of the mappings that all
// its views point into.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "runtime/model/tensor.h"

namespace espalier::runtime {

enum class GgufType : std::uint32_t {
  kU8 = 0,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};

struct GgufTensor {
  std::string_view name;
  std::uint32_t type = 0;        // ggml's number; may be one without tensor_traits()
  std::uint32_t dimensions = 0;  // 1 to 4
  std::array<std::uint64_t, 4> shape{1, 1, 1, 1};  // innermost (contracted) first
  std::uint64_t offset = 0;                        // from the start of the data section
  std::span<const std::byte> data;                 // empty where the type has no traits
};

class Gguf {
 public:
  static constexpr std::uint64_t kMaxKeys = 1 << 16;
  static constexpr std::uint64_t kMaxKeyBytes = 1024;
  static constexpr std::uint64_t kMaxTensors = 1 << 17;
  static constexpr std::uint64_t kMaxTensorNameBytes = 256;
  static constexpr std::uint64_t kMaxArrayElements = 1
                                                     << 22;  // of an array that a getter copies out
  static constexpr std::uint64_t kMaxAlignment = 1 << 20;

  /// One file; runtime/model/split.h opens models that are split over several.
  [[nodiscard]] static Result<Gguf> open(const std::string& path, System& system);
  /// `path` is only printed.
  [[nodiscard]] static Result<Gguf> parse(std::shared_ptr<const Mapping> mapping, std::string path);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::size_t files() const { return mappings_.size(); }
  /// Of all files.
  [[nodiscard]] std::uint64_t file_bytes() const;
  [[nodiscard]] std::uint32_t version() const { return version_; }
  /// `part` of a tensor's data is not needed soon.
  void discard(std::span<const std::byte> part) const;
  /// Takes the tensors (and the mapping) of another file behind its own. Keys stay this file's.
  /// kCorrupt where both have a tensor of one name, or a key with different values, but for those
  /// that start with "split.".
  [[nodiscard]] Status join(Gguf later);

  // Metadata. A missing key is kNotFound; a value of another type or out of range is kCorrupt. The
  // *_or forms give `fallback` for a missing key only.
  [[nodiscard]] bool has(std::string_view key) const { return values_.contains(key); }
  [[nodiscard]] bool has_array(std::string_view key) const;
  /// The keys that start with `prefix`, sorted.
  [[nodiscard]] std::vector<std::string_view> keys_below(std::string_view prefix) const;
  /// Type and value as the file stores them, behind the key's name. The key is there.
  [[nodiscard]] std::string stored_value(std::string_view key) const;
  /// Any integer type, in [least, most].
  [[nodiscard]] Result<std::uint64_t> integer(std::string_view key, std::uint64_t least,
                                              std::uint64_t most) const;
  [[nodiscard]] Result<std::uint64_t> integer_or(std::string_view key, std::uint64_t fallback,
                                                 std::uint64_t least, std::uint64_t most) const;
  /// F32 or F64, finite and in [least, most].
  [[nodiscard]] Result<double> number(std::string_view key, double least, double most) const;
  [[nodiscard]] Result<double> number_or(std::string_view key, double fallback, double least,
                                         double most) const;
  [[nodiscard]] Result<bool> boolean(std::string_view key) const;
  [[nodiscard]] Result<bool> boolean_or(std::string_view key, bool fallback) const;
  [[nodiscard]] Result<std::string_view> string(std::string_view key) const;
  /// Arrays of at most kMaxArrayElements.
  [[nodiscard]] Result<std::vector<std::string_view>> strings(std::string_view key) const;
  [[nodiscard]] Result<std::vector<std::int64_t>> integers(std::string_view key) const;
  [[nodiscard]] Result<std::vector<bool>> booleans(std::string_view key) const;
  [[nodiscard]] Result<std::vector<float>> numbers(
      std::string_view key) const;  // F32; NaN and infinity are let by

  // Tensors, in the file's order.
  [[nodiscard]] std::span<const GgufTensor> tensors() const { return tensors_; }
  [[nodiscard]] const GgufTensor* find(std::string_view name) const;
  /// The tensor as a matrix of `rows` rows of `columns`: kNotFound, kUnsupported (its type, by
  /// name) or kCorrupt (another shape; both are named).
  [[nodiscard]] Result<Tensor> tensor(std::string_view name, std::uint64_t columns,
                                      std::uint64_t rows) const;

  /// The failure with this file's name before `message`.
  [[nodiscard]] tl::unexpected<Error> refuse(ErrorCode code, const std::string& message) const;

 private:
  struct Value {
    GgufType type = GgufType::kU8;
    GgufType element = GgufType::kU8;  // of an array
    std::uint64_t count = 0;           // of an array
    std::span<const std::byte>
        bytes;  // a scalar's, a string's content, or an array's elements as stored
  };
  class Reader;

  Gguf() = default;
  [[nodiscard]] Result<const Value*> value(std::string_view key, GgufType type) const;
  [[nodiscard]] Result<const Value*> array(std::string_view key, GgufType element) const;
  [[nodiscard]] Status check_array_size(std::string_view key, const Value& found) const;
  [[nodiscard]] Status place_tensors(std::uint64_t data_start);
  [[nodiscard]] Status sort_names();

  std::string path_;
  std::vector<std::shared_ptr<const Mapping>> mappings_;
  std::uint32_t version_ = 0;
  std::map<std::string_view, Value, std::less<>> values_;
  std::vector<GgufTensor> tensors_;
  std::vector<std::uint32_t> by_name_;  // indices of tensors_, sorted by name
};

/// Untrusted text as a message shows it: quoted, at most 64 bytes, everything but printable ASCII
/// escaped.
std::string shown(std::string_view text);

}  // namespace espalier::runtime
