// A Mapping of bytes in memory: what a test or fuzz target parses instead of a file.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>

#include "base/system.h"

namespace espalier::testing {

class MemoryMapping final : public Mapping {
 public:
  explicit MemoryMapping(std::string content) : content_(std::move(content)) {}
  [[nodiscard]] std::span<const std::byte> bytes() const override {
    return std::as_bytes(std::span(content_.data(), content_.size()));
  }

 private:
  std::string content_;
};

inline std::shared_ptr<const Mapping> mapping_of(std::string content) {
  return std::make_shared<MemoryMapping>(std::move(content));
}

}  // namespace espalier::testing
