// Where sizes of work that were measured are kept: a small file a machine and model shape, under
// ~/.cache/espalier/tuning. Backends share it; what their sizes are they say themselves
// (cpu/tuning.h, cuda/tuning.h).
//
// A file has the key of what it was measured for, whole, and a number for each name. What is not
// whole, of another key or out of a number's limits is as if it were not there.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/system.h"

namespace espalier::runtime {

/// A file of numbers by name, whatever they stand for.
class NumbersFile {
 public:
  /// `key`: all that the best sizes depend on. Null where there is no home, or no folder can be
  /// made in it.
  [[nodiscard]] static std::optional<NumbersFile> open(std::string key, System& system);

  /// The numbers of these names; nothing where there is no file, or it is not whole or of another
  /// key.
  [[nodiscard]] std::optional<std::vector<std::uint32_t>> read(
      std::span<const std::string> names) const;
  [[nodiscard]] Status begin(std::span<const std::string> names,
                             std::span<const std::uint32_t> numbers) const;
  [[nodiscard]] Status write(std::span<const std::string> names,
                             std::span<const std::uint32_t> numbers) const;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  NumbersFile(std::string path, std::string key, System& system)
      : path_(std::move(path)), key_(std::move(key)), system_(&system) {}
  [[nodiscard]] std::string begun() const { return path_ + ".begun"; }
  [[nodiscard]] Status put(const std::string& path, std::span<const std::string> names,
                           std::span<const std::uint32_t> numbers) const;

  std::string path_, key_;
  System* system_;
};

/// The file of a backend's sizes. `Sizes` gives names() and numbers(), in the same order, and makes
/// itself from numbers by of(), which has nothing for those out of limits.
template <class Sizes>
class TuningFile {
 public:
  /// As NumbersFile::open.
  [[nodiscard]] static std::optional<TuningFile> open(std::string key, System& system) {
    auto file = NumbersFile::open(std::move(key), system);
    if (!file) return std::nullopt;
    return TuningFile(std::move(*file));
  }

  /// What is kept; nothing where there is none that may be used.
  [[nodiscard]] std::optional<Sizes> read() const {
    const auto numbers = file_.read(Sizes::names());
    return numbers ? Sizes::of(*numbers) : std::nullopt;
  }
  /// Whether there is room for a file and leave to write it: what cannot be kept need not be
  /// measured. Leaves a file beside it that write() takes.
  [[nodiscard]] Status begin() const { return file_.begin(Sizes::names(), Sizes().numbers()); }
  [[nodiscard]] Status write(const Sizes& sizes) const {
    return file_.write(Sizes::names(), sizes.numbers());
  }
  [[nodiscard]] const std::string& path() const { return file_.path(); }

 private:
  explicit TuningFile(NumbersFile file) : file_(std::move(file)) {}

  NumbersFile file_;
};

}  // namespace espalier::runtime
