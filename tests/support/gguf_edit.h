// A finished GGUF file taken apart into a GgufWriter, so that a test can change it. For files that
// are known to be well-formed.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/gguf_writer.h"

namespace espalier::testing {

inline std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

struct GgufParts {
  struct Key {
    std::string name;
    std::uint32_t type = 0;  // GGUF's number
    std::string value;       // as stored
  };
  struct Tensor {
    std::string name;
    std::vector<std::uint64_t> shape;
    std::uint32_t type = 0;
    std::string data;
  };
  std::vector<Key> keys;
  std::vector<Tensor> tensors;

  [[nodiscard]] GgufWriter writer() const {
    GgufWriter out;
    for (const Key& key : keys) out.raw(key.name, key.type, key.value);
    for (const Tensor& tensor : tensors) {
      out.tensor(tensor.name, tensor.shape, tensor.type, tensor.data);
    }
    return out;
  }
};

class GgufTaker {
 public:
  explicit GgufTaker(std::string_view bytes) : bytes_(bytes) {}

  GgufParts take() {
    GgufParts parts;
    at_ = 8;
    const auto tensors = number<std::uint64_t>();
    const auto keys = number<std::uint64_t>();
    for (std::uint64_t i = 0; i < keys; ++i) {
      GgufParts::Key& key = parts.keys.emplace_back();
      key.name = string();
      key.type = number<std::uint32_t>();
      const std::size_t begin = at_;
      skip(key.type);
      key.value = bytes_.substr(begin, at_ - begin);
    }
    std::vector<std::uint64_t> offsets;
    for (std::uint64_t i = 0; i < tensors; ++i) {
      GgufParts::Tensor& tensor = parts.tensors.emplace_back();
      tensor.name = string();
      tensor.shape.resize(number<std::uint32_t>());
      for (auto& extent : tensor.shape) extent = number<std::uint64_t>();
      tensor.type = number<std::uint32_t>();
      offsets.push_back(number<std::uint64_t>());
    }
    const std::size_t data = (at_ + 31) / 32 * 32;
    for (std::size_t i = 0; i < offsets.size(); ++i) {
      std::uint64_t size = 4;  // F32 alone
      for (const auto extent : parts.tensors[i].shape) size *= extent;
      parts.tensors[i].data = bytes_.substr(data + offsets[i], size);
    }
    return parts;
  }

 private:
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::string string() {
    const auto length = number<std::uint64_t>();
    at_ += length;
    return std::string(bytes_.substr(at_ - length, length));
  }
  void skip(std::uint32_t type) {
    static constexpr std::size_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == 8) {
      string();
    } else if (type == 9) {
      const auto element = number<std::uint32_t>();
      const auto count = number<std::uint64_t>();
      for (std::uint64_t i = 0; i < count; ++i) skip(element);
    } else {
      at_ += kSizes[type];
    }
  }

  std::string_view bytes_;
  std::size_t at_ = 0;
};

/// Of a file whose tensors are all F32.
inline GgufParts take_apart(std::string_view bytes) { return GgufTaker(bytes).take(); }

}  // namespace espalier::testing
