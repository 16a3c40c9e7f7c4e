// Writes GGUF version 3: keys first, then tensors, whose bytes are made while they are written, so
// that a file larger than memory costs one piece of a tensor at a time.
//
// Format: ggml's docs/gguf.md; see gguf.h. The file appears whole or not at all: it is written
// beside its place, synced and renamed. Not safe from several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "runtime/model/gguf.h"
#include "runtime/model/tensor.h"

namespace espalier::runtime {

/// Appends a value as the format stores it (little-endian, as every machine that this runs on).
template <class T>
void put_bytes(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

class GgufWriter {
 public:
  static constexpr std::uint64_t kAlignment = 32;

  // Keys, each once, in the file's order.
  void integer(std::string_view key, std::uint32_t value);
  void number(std::string_view key, float value);
  void boolean(std::string_view key, bool value);
  void string(std::string_view key, std::string_view value);
  void strings(std::string_view key, std::span<const std::string> values);
  void integers(std::string_view key, std::span<const std::int32_t> values);
  /// The key as `file` has it.
  void copy(std::string_view key, const Gguf& file);

  /// Rows [first, first + count) of a tensor as its type stores them.
  using Rows = std::function<std::string(std::uint64_t first, std::uint64_t count)>;
  /// A matrix, or a vector where `rows` is 1. Columns are a multiple of the type's block.
  void tensor(std::string name, TensorType type, std::uint64_t columns, std::uint64_t rows,
              Rows make);

  /// Of the whole file.
  [[nodiscard]] std::uint64_t bytes() const;
  /// `progress` hears how many bytes are written; it returns false to stop (kCancelled).
  [[nodiscard]] Status write(const std::string& path, System& system,
                             const std::function<bool(std::uint64_t bytes)>& progress) const;

 private:
  struct Planned {
    std::string name;
    TensorType type;
    std::uint64_t columns, rows;
    Rows make;
    [[nodiscard]] std::uint64_t row_bytes() const;
    [[nodiscard]] std::uint64_t padded_bytes() const;
  };
  void start(std::string_view key, GgufType type);
  void start_array(std::string_view key, GgufType element, std::uint64_t count);
  [[nodiscard]] std::string header() const;
  [[nodiscard]] Status write_all(OutputFile& file,
                                 const std::function<bool(std::uint64_t bytes)>& progress) const;

  std::string keys_;
  std::uint64_t key_count_ = 0;
  std::vector<Planned> tensors_;
};

}  // namespace espalier::runtime
