#include "runtime/model/split.h"

#include <algorithm>
#include <utility>

namespace espalier::runtime {
namespace {

constexpr std::string_view kOf = "-of-";
constexpr std::string_view kSuffix = ".gguf";
constexpr std::size_t kDigits = 5;

std::optional<std::uint64_t> five_digits(std::string_view text) {
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

std::string padded(std::uint64_t value) {
  const std::string digits = std::to_string(value);
  return std::string(kDigits - std::min(kDigits, digits.size()), '0') + digits;
}

Status check_part(const Gguf& part, std::uint64_t number, std::uint64_t count,
                  std::uint64_t tensors) {
  ESP_ASSIGN(const auto stated, part.integer("split.count", 1, kMaxSplitFiles));
  if (stated != count) {
    return part.refuse(ErrorCode::kCorrupt, "key 'split.count': " + std::to_string(stated) +
                                                ", but other files of the model say " +
                                                std::to_string(count));
  }
  ESP_ASSIGN(const auto index, part.integer("split.no", 0, count - 1));
  if (index + 1 != number) {
    return part.refuse(ErrorCode::kCorrupt, "holds part " + std::to_string(index + 1) +
                                                " of the model, but its name says part " +
                                                std::to_string(number));
  }
  ESP_ASSIGN(const auto all, part.integer("split.tensors.count", 0, Gguf::kMaxTensors));
  if (all != tensors) {
    return part.refuse(ErrorCode::kCorrupt, "key 'split.tensors.count': " + std::to_string(all) +
                                                ", but other files of the model say " +
                                                std::to_string(tensors));
  }
  return {};
}

}  // namespace

std::string SplitName::file(std::uint64_t other) const {
  return stem + "-" + padded(other) + std::string(kOf) + padded(count) + std::string(kSuffix);
}

std::optional<SplitName> split_name(std::string_view path) {
  constexpr std::size_t kTail = 1 + kDigits + kOf.size() + kDigits + kSuffix.size();
  if (path.size() <= kTail || !path.ends_with(kSuffix)) return std::nullopt;
  const std::string_view tail = path.substr(path.size() - kTail);
  const auto number = five_digits(tail.substr(1, kDigits));
  const auto count = five_digits(tail.substr(1 + kDigits + kOf.size(), kDigits));
  if (tail[0] != '-' || tail.substr(1 + kDigits, kOf.size()) != kOf || !number || !count ||
      *number == 0 || *number > *count) {
    return std::nullopt;
  }
  return SplitName{std::string(path.substr(0, path.size() - kTail)), *number, *count};
}

Result<Gguf> open_split(const std::string& path, System& system) {
  ESP_ASSIGN(auto given, Gguf::open(path, system));
  if (!given.has("split.count")) return given;
  ESP_ASSIGN(const auto count, given.integer("split.count", 1, kMaxSplitFiles));
  if (count == 1) return given;
  const auto name = split_name(path);
  if (!name || name->count != count) {
    ESP_ASSIGN(const auto index, given.integer("split.no", 0, count - 1));
    const SplitName usual{"", index + 1, count};
    return given.refuse(ErrorCode::kInvalid,
                        "is part " + std::to_string(index + 1) + " of " + std::to_string(count) +
                            " of a split model; its name must end in " +
                            shown(usual.file(index + 1)) + ", or the others cannot be found");
  }
  ESP_ASSIGN(const auto tensors, given.integer("split.tensors.count", 0, Gguf::kMaxTensors));
  std::optional<Gguf> whole;
  for (std::uint64_t number = 1; number <= count; ++number) {
    const std::string file = name->file(number);
    // NOLINTNEXTLINE(bugprone-use-after-move): one number alone is its own
    auto part = number == name->number ? Result<Gguf>(std::move(given)) : Gguf::open(file, system);
    if (!part && part.error().code == ErrorCode::kNotFound) {
      return fail(ErrorCode::kNotFound, file + ": part " + std::to_string(number) + " of " +
                                            std::to_string(count) + " of the model is missing");
    }
    if (!part) return part;
    ESP_TRY(check_part(*part, number, count, tensors));
    if (whole) {
      ESP_TRY(whole->join(std::move(*part)));
    } else {
      whole = std::move(*part);
    }
  }
  if (whole->tensors().size() != tensors) {
    return whole->refuse(ErrorCode::kCorrupt,
                         "key 'split.tensors.count': " + std::to_string(tensors) +
                             ", but the files have " + std::to_string(whole->tensors().size()) +
                             " tensors");
  }
  return std::move(*whole);
}

}  // namespace espalier::runtime
